"""Steps tried again in another run: what that run begins with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.machine import Machine
from interlock.core.naming import hint
from interlock.core.redrive import change, dead_steps, obstacle, taken_over
from interlock.core.rules import Rules
from interlock.core.takeover import adopted, coming_after
from interlock.errors import InputError, JournalError
from interlock.ports import Journal, RunRow, Secrets
from interlock.team import Team

STEPS_SHOWN = 8


class Tried(msgspec.Struct, frozen=True):
    """What is to be tried again: the first of the steps that were named, with what is set for it; by whom and why.

    at: how the step was named that somebody forks a run at; empty where it is for what is dead. more: its other copies.
    repeat_effects: those of what is tried again are performed again. replaces: the fork takes the place of its origin.
    """

    step: str
    changes: Mapping[str, Any]
    by: str
    reason: str
    at: str = ""
    more: Sequence[str] = ()
    repeat_effects: bool = False
    replaces: bool = False

    @classmethod
    def at_step(
        cls, machine: Machine, at: str, changes: Mapping[str, Any], by: str, reason: str, *, repeat_effects: bool
    ) -> Self:
        """A step or an item of a run, or all copies of a step. Raises InputError."""
        copies = [machine.step_id(n) for n in machine.plan.groups.get(at, ())] or [at]
        if copies[0] not in machine.number:
            items = (item for item, *_ in machine.items.values())
            known = (*machine.plan.number, *machine.plan.groups, *items)
            names = [step.id for step in machine.plan.steps[1:]]
            some = ", ".join(names[:STEPS_SHOWN]) + (", ..." if len(names) > STEPS_SHOWN else "")
            raise InputError(f"there is no step {at!r:.100} to fork at{hint(at, known)}", fix=f"its steps: {some}")
        return cls(copies[0], changes, by, reason, at, copies[1:], repeat_effects)


async def rules_of(journal: Journal, row: RunRow) -> Rules:
    """The rules that a run was started under. Raises JournalError where the journal's copy of them can't be read."""
    try:
        return Team.of_document(await journal.blob(row.team)).rules
    except msgspec.DecodeError as error:
        message = f"the journal is damaged: the team of run {row.run_id} can't be read ({error})"
        raise JournalError(message, fix="restore it from a copy") from error


async def forked(
    journal: Journal, row: RunRow, machine: Machine, tried: Tried, *, rules: Rules, team: str, now_us: int, faults: str
) -> list[e.AnyEvent]:
    """What a fork begins with that tries the dead steps of a run again, and those at which it is forked.

    It shares what doesn't come after them. machine: of the run. rules, team: those of the fork, and the team's hash;
    where that is another, all that is shared is proved under them. Raises InputError.
    """
    if machine.status == "running":
        why = "" if tried.at else obstacle(machine, [tried.step])
        message = f"run {row.run_id} is not over" + (f", and can't go on with {tried.step}: {why}" if why else "")
        raise InputError(message, fix="let it end first: interlock resume")
    events, is_other = (await journal.load(row.run_id))[: machine.seq], team != row.team
    steps = [*dict.fromkeys((*((tried.step, *tried.more) if tried.at else ()), *dead_steps(machine)))]
    apart = coming_after(machine.plan, rules.plan, steps) if is_other else ()
    repeats = tried.repeat_effects
    facts = taken_over(
        machine, row.run_id, events, steps, now_us, apart, repeat_effects=repeats, keep_waits=tried.replaces
    )
    first = events[0]
    assert isinstance(first, e.RunStarted)
    request = first.request
    # What nobody has approved is asked about again, and so is what is decided anew.
    decides = rules.supervisor is not None and rules.supervisor.ask == "start"
    approval = first.approval if machine.rejected or machine.waits_for_approval or decides else None
    if is_other:
        facts, machine = adopted(rules, machine.plan, request, facts, steps, now_us)
    for path, value in tried.changes.items():
        request = change(machine, request, facts, tried.step, path, value)
    changed = tuple(map(paths.canonical, tried.changes))
    other = row.team if is_other else ""
    told = (tried.by, tried.reason, changed, other, tried.at, repeats, tried.replaces)
    origin = e.Origin(row.run_id, tuple(steps), *told)
    return [e.RunStarted(now_us, request, team, rules.plan.hash, e.FORMAT_VERSION, faults, origin, approval), *facts]


def refuse_secrets(facts: Iterable[e.AnyEvent], secrets: Secrets | None) -> None:
    """What a fork takes over was looked through before; what is changed in it was not. Raises InputError."""
    told = [bytes(e.encode(fact)) for fact in facts if isinstance(fact, e.RunStarted | e.StepShared)]
    if secrets is not None and (name := next(filter(None, map(secrets.among, told)), "")):
        message = f"what is changed holds the value of {name}, which is secret, and a journal keeps it"
        raise InputError(message, fix="leave it out")
