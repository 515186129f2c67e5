"""The optional parts of Interlock, and which of them are installed."""

import re
from collections.abc import Iterable, Iterator
from importlib import metadata

import msgspec

PACKAGE = "interlock"
# What the makers of Interlock install; no user needs it.
_OF_OUR_OWN = frozenset({"dev", "mutation"})
_REQUIREMENT = re.compile(
    r"""(?P<name>[\w.-]+)(?:\[(?P<parts>[\w.,\s-]+)\])?[^;]*;.*\bextra\s*==\s*['"](?P<extra>[\w.-]+)['"]"""
)


class Extra(msgspec.Struct, frozen=True):
    """An optional part. packages: what it brings -> the version that is installed, or None."""

    name: str
    packages: dict[str, str | None]

    @property
    def is_installed(self) -> bool:
        """Whether all of it is there."""
        return all(self.packages.values())


def extras() -> list[Extra]:
    """Every optional part of Interlock."""
    found: dict[str, dict[str, str | None]] = {}
    for extra, name, parts in _brought(PACKAGE):
        if extra not in _OF_OUR_OWN:
            inner = [below for part, below, _ in _brought(name) if part in parts]
            found.setdefault(extra, {}).update({one: _version(one) for one in (name, *inner)})
    return [Extra(name, packages) for name, packages in sorted(found.items())]


def _brought(package: str) -> Iterator[tuple[str, str, list[str]]]:
    """What the extras of a package bring: the extra, a package, and which extras of that one."""
    for match in filter(None, map(_REQUIREMENT.match, _requirements(package))):
        yield match["extra"], match["name"], [part.strip() for part in (match["parts"] or "").split(",")]


def _requirements(package: str) -> Iterable[str]:
    try:
        return metadata.requires(package) or ()
    except metadata.PackageNotFoundError:  # it runs from its source, or isn't there
        return ()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
