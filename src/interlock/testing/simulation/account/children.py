"""What must be true of runs that do steps of another: told of once, and committed only if they succeeded."""

import msgspec

from interlock.core import events as e

from .attempts import attempt_started
from .known import Known
from .payment import charge_run, pay

ChildEvent = e.ChildStarted | e.ChildParked | e.ChildEnded | e.ChildAbandoned
# How late a step may notice that the run which does it has had its time.
LATE_US_MAX = 1_000_000


class ChildAccount(msgspec.Struct):
    """A run that does a step, as far as events of the run above it tell. ended: how; "" while it goes on."""

    started: e.ChildStarted
    is_parked: bool = False
    ended: str = ""


def child_told(run: Known, event: ChildEvent) -> None:
    """A step is done by a run of its own, which has begun, is parked, has ended, or is waited for no more."""
    if isinstance(event, e.ChildStarted):
        _started(run, event)
        return
    if isinstance(event, e.ChildEnded) and event.late:
        expected = run.abandoned.pop(event.run_id, None)
        run.require("children", expected, f"run {event.run_id} ends late, and was not given up or has been told")
        charge_run(run, event, is_late=True)
        return
    child = run.children.get(event.step)
    run.require("children", child and not child.ended, f"{event.step} hears of {event.run_id}, and waits for no run")
    assert child is not None
    one, started = run.step(event.step), child.started
    mine = (event.run_id, event.attempt, one.state) == (started.run_id, one.attempt, "running")
    run.require("children", mine, f"{event.step} hears of {event.run_id}, and waits for {started.run_id}")
    if run.status == "parked":
        run.status, run.reason = "running", ""
    match event:
        case e.ChildParked():
            child.is_parked = True
        case e.ChildEnded():
            child.ended, child.is_parked = event.status, False
            run.require("children", event.status in _OVER, f"run {event.run_id} has ended as {event.status}")
            charge_run(run, event)
        case e.ChildAbandoned():
            over = started.due_us and (event.at_us >= started.due_us or not run.clock_is_steady)
            run.require("children", over, f"{event.step} waits no more for {event.run_id}, before its time")
            child.ended, child.is_parked = "timeout", False
            run.abandoned[event.run_id] = event.attempt
            pay(run, event, None)


_OVER = frozenset({"succeeded", "failed", "cancelled"})


def _started(run: Known, event: e.ChildStarted) -> None:
    attempt_started(run, event)
    policy = run.step(event.step).duty.policy
    due_us = event.at_us + 1_000 * policy.timeout_ms if policy.timeout_ms else 0
    run.require_same("children", f"the time of {event.run_id}", event.due_us, due_us)
    run.children[event.step] = ChildAccount(event)


def share_raised(run: Known, event: e.ShareRaised) -> None:
    """A person has approved more for a run that does a step: it is set aside where all budgets have so much left."""
    child, more = run.children.get(event.step), (event.calls, event.tokens, event.usd)
    goes_on = child is not None and not child.ended and child.started.run_id == event.run_id
    run.require("children", goes_on, f"more is set aside for run {event.run_id}, which doesn't do {event.step}")
    run.require("people", event.by.startswith("person:"), f"{event.by} approves more for {event.run_id}")
    run.require("people", min(more) >= 0 and any(more), f"{more} is not more")
    one = run.step(event.step)
    for _, whose, budget in run.budgets_of(one.duty, one):
        account = run.budgets[whose]
        account.hold_more(*more)
        over = account.exceeds(budget, *more)
        run.require("gates", not over, f"more {over} are set aside for {event.run_id} than {whose or 'the run'} has")
    before = one.more.get(one.duty.agent, (0, 0, 0))
    one.more[one.duty.agent] = (before[0] + more[0], before[1] + more[1], before[2] + more[2])
    run.charged[event.step, event.attempt] = run.budgets_of(one.duty, one)
