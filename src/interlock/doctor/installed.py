"""The optional parts of Interlock, and which of them are installed."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

import msgspec

PACKAGE = "interlock"
# What the makers of Interlock install; no user needs it.
_OF_OUR_OWN = frozenset({"dev", "mutation"})
_REQUIREMENT = re.compile(
    r"""(?P<name>[\w.-]+)(?:\[(?P<parts>[\w.,\s-]+)\])?(?P<asked>[^;]*);.*\bextra\s*==\s*['"](?P<extra>[\w.-]+)['"]"""
)
_BOUND = re.compile(r"(?P<how>>=|<=|>|<)\s*(?P<version>\d[\w.]*)")
_RELEASE = re.compile(r"(?:\d+!)?(\d+(?:\.\d+)*)")
_KEEPS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


class Extra(msgspec.Struct, frozen=True):
    """An optional part. packages: what it brings -> the version that is installed, or None.

    unfit: of those that are installed in another version than it was tried with, which versions are asked for.
    """

    name: str
    packages: dict[str, str | None]
    unfit: dict[str, str] = {}

    @property
    def is_installed(self) -> bool:
        """Whether all of it is there, and as it is needed."""
        return all(self.packages.values()) and not self.unfit


def extras() -> list[Extra]:
    """Every optional part of Interlock."""
    found: dict[str, Extra] = {}
    for extra, name, parts, asked in _brought(PACKAGE):
        if extra not in _OF_OUR_OWN:
            whole = found.setdefault(extra, Extra(extra, {}, {}))
            inner = ((below, of_it) for part, below, _, of_it in _brought(name) if part in parts)
            for one, wanted in ((name, asked), *inner):
                version = whole.packages[one] = _version(one)
                if version and not fits(version, wanted):
                    whole.unfit[one] = wanted
    return [found[name] for name in sorted(found)]


def fits(version: str, asked: str) -> bool:
    """Whether a version is within bounds such as `>=1.2,<2`; what else is asked for isn't looked at."""
    there = _release(version)
    return all(_KEEPS[bound["how"]](there, _release(bound["version"])) for bound in _BOUND.finditer(asked))


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, so that 1.2 is the same as 1.2.0."""
    match = _RELEASE.match(version)
    numbers = [int(number) for number in match[1].split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _brought(package: str) -> Iterator[tuple[str, str, list[str], str]]:
    """What the extras of a package bring: the extra, a package, which extras of that one, and which versions."""
    for match in filter(None, map(_REQUIREMENT.match, _requirements(package))):
        parts = [part.strip() for part in (match["parts"] or "").split(",")]
        yield match["extra"], match["name"], parts, match["asked"].strip(" ()")


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
