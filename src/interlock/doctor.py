"""What is installed, what a team lacks to run, and whether the servers behind its agents answer."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from interlock.agents.tools import Workshop
from interlock.errors import AccessDenied, InterlockError, MissingExtra, TeamError
from interlock.ports import Adapter
from interlock.team import Agent, Team
from interlock.wiring import adapter_of

PACKAGE = "interlock"
PROBE_SECONDS_MAX = 10.0
# What the makers of Interlock install; no user needs it.
_OF_OUR_OWN = frozenset({"dev", "mutation"})
_REQUIREMENT = re.compile(
    r"""(?P<name>[\w.-]+)(?:\[(?P<parts>[\w.,\s-]+)\])?[^;]*;.*\bextra\s*==\s*['"](?P<extra>[\w.-]+)['"]"""
)

State = Literal["ok", "missing", "failed"]


class Extra(msgspec.Struct, frozen=True):
    """An optional part. packages: what it brings -> the version that is installed, or None."""

    name: str
    packages: dict[str, str | None]

    @property
    def is_installed(self) -> bool:
        """Whether all of it is there."""
        return all(self.packages.values())


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found about one agent, or one server behind the team.

    state: `ok`; `missing` where something must be installed or set; `failed` where it is there and doesn't work. text:
    what is behind it, or what is wrong. fix: how to mend it.
    """

    subject: str
    kind: str
    state: State
    text: str
    fix: str = ""


@runtime_checkable
class Probed(Protocol):
    """An adapter that can look whether what is behind it answers."""

    async def probe(self) -> str:
        """A sentence about what is behind it. Raises AgentError where it doesn't answer."""


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


def examine(team: Team) -> list[Diagnosis]:
    """Look at every agent of a team: whether it can be made, and whether what is behind it answers."""
    return asyncio.run(_examine(team))


async def _examine(team: Team) -> list[Diagnosis]:
    workshop = Workshop.of(team)
    made = {name: _made(team, agent, workshop) for name, agent in team.agents.items()}
    try:
        return [await _diagnosis(team.agents[name], one) for name, one in made.items()]
    finally:
        for adapter in _adapters(made.values()):
            await adapter.close()


def _adapters(made: Iterable[Adapter | InterlockError]) -> Iterator[Adapter]:
    return (one for one in made if not isinstance(one, InterlockError))


def _made(team: Team, agent: Agent, workshop: Workshop) -> Adapter | InterlockError:
    try:
        return adapter_of(team, agent, workshop)
    except InterlockError as error:
        return error


async def _diagnosis(agent: Agent, made: Adapter | InterlockError) -> Diagnosis:
    kind = agent.kind or "use"
    if isinstance(made, InterlockError):
        return _wrong(agent.name, kind, made)
    if not isinstance(made, Probed):
        declared: Any = getattr(agent, kind)
        return Diagnosis(agent.name, kind, "ok", declared if isinstance(declared, str) else "can be called")
    try:
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            return Diagnosis(agent.name, kind, "ok", await made.probe())
    except TimeoutError:
        return Diagnosis(agent.name, kind, "failed", f"no answer within {PROBE_SECONDS_MAX:g} s")
    except InterlockError as error:
        return _wrong(agent.name, kind, error)


def _wrong(subject: str, kind: str, error: InterlockError) -> Diagnosis:
    state: State = "missing" if isinstance(error, MissingExtra | AccessDenied) else "failed"
    text = error.sentence if isinstance(error, TeamError) else error.message
    return Diagnosis(subject, kind, state, text, error.fix)
