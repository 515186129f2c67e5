"""More of what a run has set aside for one that does a step of it: what a person approves there is raised here first.

So the budgets over a nested team hold, whatever is approved below: what isn't set aside is not granted.
"""

from typing import Any

import msgspec

from interlock.errors import InputError

from .decision import Decision
from .events import AnswerRefused, ShareRaised
from .machine import Machine
from .raises import more_of, no_room, told
from .settlement import refused


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a run: more for the run `run_id`, which does its step `step`.

    asked, attempt, asked_us: the step of that run that needs it, after which attempt, and since when it asks. more: as
    it is given: `{"usd": 0.1}`.
    """

    step: str
    run_id: str
    asked: str
    attempt: int
    asked_us: int
    more: dict[str, Any]


def wanted_of(machine: Machine, run_id: str, decision: Decision) -> Wanted:
    """What a person's approval in a run, which asks for more of its share, asks of the run above it."""
    assert machine.parent is not None, "its share was set aside by a run above it"
    asked = machine.questions[machine.number[decision.step]]
    return Wanted(machine.parent.step, run_id, decision.step, asked.attempt, asked.asked_us, decision.more)


def share_raised(machine: Machine, wanted: Wanted, by: str, reason: str, at_us: int) -> ShareRaised | AnswerRefused:
    """The verdict on that: all budgets that the run below draws on have so much left, or one of them hasn't."""
    step, run_id = wanted.step, wanted.run_id
    decision, n = Decision(step, "approve"), machine.number.get(step, 0)
    child = machine.children.get(n)
    if child is None or child.is_over or child.started.run_id != run_id:
        return refused(decision, by, "answered", f"{step} does not wait for run {run_id}", at_us)
    before = machine.raised.get((run_id, wanted.asked, wanted.asked_us))
    if before is not None:
        message = f"{before} has approved more for {wanted.asked} of run {run_id}"
        return refused(decision, by, "answered", message, at_us)
    try:
        more = more_of(wanted.more)
    except InputError as error:
        return refused(decision, by, "decision", str(error), at_us)
    for _, whose, budget in machine.budgets(n):
        if lacking := no_room(machine.purse.ledger(whose), budget, more):
            message = f"{told(more)} more can't be set aside for run {run_id}: {whose or 'the run above'}: {lacking}"
            return refused(decision, by, "decision", message, at_us)
    asked = (wanted.asked, wanted.attempt, wanted.asked_us)
    attempt = child.started.attempt
    return ShareRaised(at_us, step, attempt, run_id, by, *asked, more.calls, more.tokens, more.usd, reason)


def approval_of(raised: ShareRaised) -> Decision:
    """What the run below is told: its share is raised, by as much as was set aside."""
    more = {"calls": raised.calls, "tokens": raised.tokens, "usd": raised.usd / 1_000_000}
    given = {name: amount for name, amount in more.items() if amount}
    return Decision(raised.asked, "approve", attempt=raised.asked_attempt, more=given, asked_us=raised.asked_us)
