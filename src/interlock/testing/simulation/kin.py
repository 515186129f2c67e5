"""What must be true across runs of nested teams: what a run tells of another is what that has come to."""

from collections.abc import Mapping

from interlock.core import events as e

from .account import Account, Broken

OVER = frozenset({"succeeded", "failed", "cancelled"})
# What may be told to a run that is parked, and leaves it so.
STILL = e.AnswerRefused | e.EventRefused | e.EventReceived


def check_child(accounts: Mapping[str, Account], run_id: str, first: e.RunStarted, parent: e.Parent) -> None:
    """A run begins that does a step of another: that one has announced it, and gives it what it may consume."""
    above = accounts.get(parent.run_id)
    child = above.children.get(parent.step) if above is not None else None
    if above is None or child is None or child.started.run_id != run_id:
        raise Broken("children", f"run {run_id} begins, and no run has announced that", run_id)
    agent = child.started.agent
    nested, most = above.rules.roles[agent].nested, above.rules.roles[agent].budget
    above.require_same("children", f"the team of run {run_id}", first.team, nested.hash if nested else "")
    bounds = None if most is None else (most.calls, most.tokens, most.usd)
    told = (parent.calls, parent.tokens, parent.usd)
    above.require_same("children", f"what run {run_id} may consume", told, bounds or (None, None, None))
    gate, higher = above.rules.gate, above.parent.above if above.parent is not None else ()
    gates = [(gate.rate, gate.budget)] * bool(gate) + [(one.rate, one.budget) for one in higher]
    passed = [(one.rate, one.budget) for one in parent.above]
    above.require_same("children", f"the gates above run {run_id}", passed, gates)
    depth = above.parent.depth + 1 if above.parent is not None else 1
    above.require_same("children", f"how deep run {run_id} is", parent.depth, depth)


def check_told(accounts: Mapping[str, Account], above: Account, event: e.ChildParked | e.ChildEnded) -> None:
    """A run tells that another is parked, or has ended: so it is, and that is what it has consumed."""
    below = accounts.get(event.run_id)
    if isinstance(event, e.ChildParked):
        above.require("children", below is not None, f"run {event.run_id} is told to be parked, and there is none")
        assert below is not None
        moved = (one for one in reversed(below.events[: event.seq]) if not isinstance(one, STILL))
        was_parked = isinstance(next(moved), e.RunParked)
        above.require("children", was_parked, f"run {event.run_id} is told to be parked, and was not")
        return
    if below is None:  # it could not begin
        above.require("children", event.status == "failed", f"run {event.run_id} has {event.status}, and never began")
        return
    above.require_same("children", f"how run {event.run_id} has ended", event.status, below.status)
    told = [one for one in above.events if isinstance(one, e.ChildEnded) and one.run_id == event.run_id]
    tokens = sum(one.usage.input_tokens + one.usage.output_tokens for one in told)
    consumed = (tokens, sum(one.calls for one in told))
    above.require_same("children", f"what run {event.run_id} has consumed", consumed, (below.tokens, below.calls))


def check_the_end(accounts: Mapping[str, Account]) -> None:
    """At the end nobody waits for a run that is over, and no run goes on for one that is."""
    for above in accounts.values():
        for child in above.children.values() if above.status not in OVER else ():
            below = accounts.get(child.started.run_id)
            over = below is not None and below.status in OVER
            above.require("children", not over, f"run {child.started.run_id} is over, and nobody has noticed")
    for below in accounts.values():
        parent = accounts.get(below.parent.run_id) if below.parent is not None else None
        if parent is not None and parent.status in OVER:
            below.require("children", below.status in OVER, f"it goes on, and run {parent.run_id} is over")
