"""A system as it was found: who works in it, in which steps, over which keys, and how one step leads to the next."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from interlock.team.findings import Severity

START, END = "(start)", "(end)"
STEPS_MAX, KEYS_MAX, EDGES_MAX = 1_000, 1_000, 20_000
NAME_CHARS_MAX, ID_CHARS_MAX = 200, 70
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

# How values meet that several steps write to one key. none: the later takes the place of the earlier. last, first: the
# system calls it merging, and only one of them stays.
Merging = Literal["none", "append", "add", "merge", "last", "first", "unknown"]
Kind = Literal["langgraph", "crewai"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found in a system. code is stable; where: a file and line, or a part of the system."""

    code: str
    severity: Severity
    where: str
    agents: tuple[str, ...]
    paths: tuple[str, ...]
    message: str
    fix: str = ""


class Key(msgspec.Struct, frozen=True):
    """A field that steps share. told: how it merges, in the system's own words."""

    path: str
    merging: Merging = "none"
    told: str = ""


class Sign(msgspec.Struct, frozen=True):
    """A call that looks as if it changed something out there."""

    what: str
    where: str


class Worker(msgspec.Struct, frozen=True):
    """Who does steps. told: what it is. target: under which key a team file can name it, and how, where it can."""

    id: str
    told: str
    where: str
    tools: tuple[str, ...] = ()
    target: tuple[str, str] = ("", "")
    timeout_ms: int = 0
    retries: int | None = None


class Step(msgspec.Struct, frozen=True):
    """What one worker does once, over paths of keys.

    open: what couldn't be found out about it. asks: whether a person is asked in it, or before it. late: it waits until
    nothing else is under way.
    """

    id: str
    worker: str
    where: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    effects: tuple[Sign, ...] = ()
    asks: bool = False
    late: bool = False
    instructions: str = ""
    schema: Mapping[str, Any] = {}


class Route(msgspec.Struct, frozen=True):
    """What decides whether an edge is taken.

    told: the function that does. path, values: the key that it looks at, and what that must be, where both are known.
    spread: the list whose items each get a step. brings: what the step finds in its item. many: it may choose several.
    """

    told: str
    path: str = ""
    values: tuple[Any, ...] = ()
    spread: str = ""
    brings: tuple[str, ...] = ()
    many: bool = False


class Edge(msgspec.Struct, frozen=True):
    """From a step, or START, to another, or END. joint: the other waits for all of its joint edges."""

    source: str
    target: str
    route: Route | None = None
    joint: bool = False


class System(msgspec.Struct, frozen=True):
    """A whole system, every name in it an id. findings: what only its reader can see.

    bound: what keeps its loops from going on for ever. whole: the reference can be an agent of a team as it is.
    """

    kind: Kind
    reference: str
    keys: Mapping[str, Key]
    workers: Sequence[Worker]
    steps: Sequence[Step]
    edges: Sequence[Edge]
    findings: Sequence[Finding] = ()
    bound: str = ""
    whole: bool = False


def ids_of(names: Iterable[str], what: str) -> tuple[dict[str, str], list[Finding]]:
    """An id for each name, and what is to be said of the names that are none."""
    ids: dict[str, str] = {}
    found = []
    for name in names:
        ids[name] = _unlike(re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:ID_CHARS_MAX].strip("_") or what, {*ids.values()})
        if ids[name] != name:
            message = f"the {what} {shown(name)} is called {ids[name]} here: a name has letters, digits, _ and -"
            found.append(Finding("renamed", "info", shown(name), (ids[name],), (), message))
    return ids, found


def _unlike(name: str, taken: set[str]) -> str:
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def shown(name: str) -> str:
    """A name that was made up elsewhere, as a part of a sentence."""
    plain = "".join(character if character.isprintable() else "?" for character in name[: NAME_CHARS_MAX + 1])
    return plain if len(plain) <= NAME_CHARS_MAX else plain[: NAME_CHARS_MAX - 1] + "…"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names as a part of a sentence, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
