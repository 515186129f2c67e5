"""A run under another version of its team: what differs, and whether that matters for the steps that remain."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from interlock.core.machine import Machine
from interlock.core.role import Duty
from interlock.core.rules import Rules
from interlock.core.states import TERMINAL
from interlock.errors import JournalError, TeamError
from interlock.ports import Journal, RunRow
from interlock.team import Team, changes

from .decisions import folded
from .forks import rules_of

SHOWN_MAX = 8


class Change(msgspec.Struct, frozen=True):
    """One difference, as a line. why: it matters for a step that remains; "" where it does for none."""

    text: str
    why: str


class Versions(msgspec.Struct, frozen=True):
    """What differs between the team that a run was started under and another. remaining: the steps left to do."""

    run_id: str
    changes: Sequence[Change]
    remaining: Sequence[str]

    @property
    def matters(self) -> bool:
        """Whether a step that remains would be done otherwise."""
        return any(change.why for change in self.changes)

    def lines(self) -> Iterator[str]:
        """For people: what matters first, and why."""
        shown = sorted(self.changes, key=lambda change: not change.why)
        for change in shown[:SHOWN_MAX]:
            yield f"{change.text}  ({change.why or 'matters for no step that remains'})"
        if len(shown) > SHOWN_MAX:
            yield f"and {len(shown) - SHOWN_MAX:,} more"


async def versions(journal: Journal, row: RunRow, team: Team) -> Versions:
    """Compare the team of a stored run with this one. Raises JournalError where the journal's copy can't be read."""
    rules = await rules_of(journal, row)
    machine = await folded(journal, rules, row.run_id)
    left = [n for n, state in enumerate(machine.state) if n and state not in TERMINAL]
    found = changes(await journal.blob(row.team), team.document)
    concern = _Concern(machine, left, team.rules)
    return Versions(
        row.run_id, [Change(text, concern.why(place)) for place, text in found], [machine.step_id(n) for n in left]
    )


class _Concern:
    """Which steps that remain a difference is about."""

    def __init__(self, machine: Machine, left: Sequence[int], new: Rules) -> None:
        old = machine.rules
        self._old, self._new = machine.plan, new.plan
        # Declared step -> how people know it; agent, effect -> the steps that need them, under either team.
        self._steps = {machine.plan.declared_id[machine.step(n).id]: machine.step_id(n) for n in left}
        self._agents: dict[str, str] = {}
        self._effects: dict[str, str] = {}
        for n in left:
            for duty in old.duties[machine.label[n]]:
                self._note(duty, machine.step_id(n))
        for declared in self._steps.keys() | (new.plan.groups.keys() - machine.plan.groups.keys()):
            for number in new.plan.groups.get(declared, ()):
                for duty in new.duties[number]:
                    self._note(duty, self._steps.get(declared, declared))

    def _note(self, duty: Duty, step: str) -> None:
        self._agents.setdefault(duty.agent, step)
        for effect in duty.effects:
            self._effects.setdefault(effect, step)
        for judge in (judge for bench in duty.judges.values() for judge in bench):
            self._agents.setdefault(judge.agent, step)

    def why(self, place: tuple[str, ...]) -> str:
        """Why a difference at this place matters for a step that remains; "" where it does not."""
        match place:
            case ("agents", name, *_):
                return f"{name} works at {self._agents[name]}" if name in self._agents else ""
            case ("effects", name, *_):
                return f"{self._effects[name]} may have it performed" if name in self._effects else ""
            case ("plan", step, *_):
                return self._of_step(step)
        return "it holds for the whole run" if self._steps or self._added() else ""

    def _of_step(self, step: str) -> str:
        if step in self._steps:
            return f"{self._steps[step]} remains"
        return f"{step} is new" if step in self._added() else ""

    def _added(self) -> set[str]:
        return {*self._new.groups} - {*self._old.groups}


async def pinned(journal: Journal, team_hash: str, path: Path | None, like: Team | None = None) -> Team:
    """The team as a run was started under it: its declarations are those in the journal, its code is what is there now.

    path: that of its file, in whose folder the code is. like: a version of it, of which comes what no run is pinned to.
    Raises TeamError where the journal's copy is not all of it, JournalError where it can't be read.
    """
    try:
        team = Team.of_document(await journal.blob(team_hash))
    except msgspec.DecodeError as error:
        message = f"the journal is damaged: the team as it was can't be read ({error})"
        raise JournalError(message, fix="restore it from a copy") from error
    team.path = path
    if like is not None:
        team.placed_like(like).notify = like.notify
    if team.hash != team_hash:
        raise TeamError("the journal does not hold all of the team as it was", fix="resume with that team itself")
    return team
