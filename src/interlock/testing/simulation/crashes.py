"""The crash explorer: die at every write of the journal in turn, resume, and compare with the world that never died."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.testing.chance import Chance
from interlock.testing.injection.faults import Fault, Faults, Injection

from .account import Account, Broken
from .episode import Episode
from .forks import name_of
from .world import Scene, World

WHEN = ("crash_before_write", "crash_after_write")
FIRST_PROCESS = "process-1"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A crash after which something else came out. write: the number of the write it struck, from 1."""

    write: int
    when: str
    message: str
    episode: Episode


class CrashReport(msgspec.Struct, frozen=True, kw_only=True):
    """What crashes at every write came to. points: how many were tried: before and after each write."""

    points: int
    writes: int
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether every crash came to the same end."""
        return not self.differences


class _CrashAt(Faults):
    """The one fault of a world: the first process dies at this write."""

    __slots__ = ("_kind", "_number")

    def __init__(self, number: int, kind: str) -> None:
        super().__init__([Fault(fault=kind)])
        self._number, self._kind = number, kind

    def of_write(self, chance: Chance, *name: str | int) -> Injection | None:
        """It strikes once."""
        if name != (FIRST_PROCESS, self._number):
            return None
        return Injection(self._kind, self.faults[0], 0, f"write-{self._number}:{self._kind}")


def explore_crashes(
    scene: Scene, seed: int = 0, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> CrashReport:
    """Die before and after every journal write of this world. progress: is told how many of how many points are done.

    The scene's own faults are left out. Raises Broken where the world breaks something even without a crash.
    """
    # After a crash a person may come too late: that is another end, and no broken promise.
    calm = msgspec.structs.replace(scene, faults=Faults(), people=False)
    expected = World(calm, seed).play()
    if expected.broken is not None:
        raise expected.broken
    points = [(write, when) for write in range(1, expected.writes + 1) for when in WHEN]
    differences = []
    for done, (write, when) in enumerate(points, 1):
        episode = World(msgspec.structs.replace(calm, faults=_CrashAt(write, when)), seed).play()
        message = next(_differences(expected, episode), "")
        if message:
            differences.append(Difference(write=write, when=when, message=message, episode=episode))
        progress(done, len(points))
    return CrashReport(points=len(points), writes=expected.writes, differences=differences)


def _differences(expected: Episode, episode: Episode) -> Iterator[str]:
    broken: Broken | None = episode.broken
    if broken is not None:
        yield str(broken)
        return
    if not any(struck.kind in WHEN for struck in episode.struck):
        yield "the crash did not happen: the same world took another course"
    found = {name_of(run_id, episode.runs): account for run_id, account in episode.runs.items()}
    for run_id, account in ((name_of(name, expected.runs), account) for name, account in expected.runs.items()):
        after = found.get(run_id)
        if after is None:
            yield f"run {run_id} is missing"
            continue
        for name, look in _ASPECTS.items():
            one, other = look(account), look(after)
            if one != other:
                yield f"run {run_id}: {_first_difference(name, one, other)}"


def _first_difference(name: str, one: Any, other: Any) -> str:
    """Where two values differ first, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *other):
            if key not in other:
                return f"{name}.{key} is missing after the crash"
            if key not in one:
                return f"{name}.{key} is there only after the crash"
            if one[key] != other[key]:
                return _first_difference(f"{name}.{key}", one[key], other[key])
    return f"{name} is {other!r:.200}, without the crash {one!r:.200}"


def _views(account: Account) -> dict[str, str]:
    started = (event for event in account.events if isinstance(event, e.AttemptStarted))
    return {f"{event.step}/{event.attempt}": event.view for event in started}


def _commits(account: Account) -> dict[str, Any]:
    found = (event for event in account.events if isinstance(event, e.AttemptCommitted))
    return {event.step: {"attempt": event.attempt, "deletes": event.deletes, **_texts(event.writes)} for event in found}


def _texts(writes: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    return {path: bytes(raw).decode() for path, raw in writes.items()}


_ASPECTS: dict[str, Callable[[Account], Any]] = {
    "status": lambda account: account.status,
    "steps": lambda account: account.states,
    "context": lambda account: msgspec.json.encode(account.context),
    "views": _views,
    "commits": _commits,
    "tokens": lambda account: account.tokens,
}
