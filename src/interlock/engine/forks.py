"""Dead steps tried again in another run: what that run begins with."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.machine import Machine
from interlock.core.redrive import change, dead_steps, obstacle, taken_over
from interlock.core.rules import Rules
from interlock.core.takeover import adopted, coming_after
from interlock.errors import InputError, JournalError
from interlock.ports import Journal, RunRow, Secrets
from interlock.team import Team


class Tried(msgspec.Struct, frozen=True):
    """What is to be tried again: the first of the steps that were named, with what is set for it; by whom and why."""

    step: str
    changes: Mapping[str, Any]
    by: str
    reason: str


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
    """What a fork begins with that tries the dead steps of a run again.

    It shares what doesn't come after them. machine: of the run. rules, team: those of the fork, and the team's hash;
    where that is another, all that is shared is proved under them. Raises InputError.
    """
    if machine.status == "running":
        why = obstacle(machine, [tried.step])
        message = f"run {row.run_id} is not over" + (f", and can't go on with {tried.step}: {why}" if why else "")
        raise InputError(message, fix="let it end first: interlock resume")
    events, dead, is_other = await journal.load(row.run_id), dead_steps(machine), team != row.team
    apart = coming_after(machine.plan, rules.plan, dead) if is_other else ()
    facts = taken_over(machine, row.run_id, events, dead, now_us, apart)
    first = events[0]
    assert isinstance(first, e.RunStarted)
    request = first.request
    if is_other:
        facts, machine = adopted(rules, machine.plan, request, facts, dead, now_us)
    for path, value in tried.changes.items():
        request = change(machine, request, facts, tried.step, path, value)
    changed = tuple(map(paths.canonical, tried.changes))
    origin = e.Origin(row.run_id, tuple(dead), tried.by, tried.reason, changed, row.team if is_other else "")
    return [e.RunStarted(now_us, request, team, rules.plan.hash, e.FORMAT_VERSION, faults, origin), *facts]


def refuse_secrets(facts: Iterable[e.AnyEvent], secrets: Secrets | None) -> None:
    """What a fork takes over was looked through before; what is changed in it was not. Raises InputError."""
    told = [bytes(e.encode(fact)) for fact in facts if isinstance(fact, e.RunStarted | e.StepShared)]
    if secrets is not None and (name := next(filter(None, map(secrets.among, told)), "")):
        message = f"what is changed holds the value of {name}, which is secret, and a journal keeps it"
        raise InputError(message, fix="leave it out")
