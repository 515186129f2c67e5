"""What must be true across runs of nested teams: what a run tells of another is what that has come to."""

from collections.abc import Mapping

from interlock.core import events as e
from interlock.core.budget import BudgetPolicy

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
    most = most or BudgetPolicy()
    more = above.step(parent.step).more.get(agent, (0, 0, 0))
    bounds = zip((most.calls, most.tokens, most.usd), more, strict=True)
    expected = (*(None if bound is None else bound + added for bound, added in bounds), most.when_spent)
    told = (parent.calls, parent.tokens, parent.usd, parent.when_spent)
    above.require_same("children", f"what run {run_id} may consume", told, expected)
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


def check_share(accounts: Mapping[str, Account], below: Account, raised: e.BudgetRaised) -> None:
    """A run hears that more of its share is approved: so much is set aside in the run above it, for that."""
    above = accounts[below.parent.run_id] if below.parent is not None else below
    mine = (below.run_id, raised.step, raised.asked_us, raised.calls, raised.tokens, raised.usd)
    told = [one for one in above.events if isinstance(one, e.ShareRaised)]
    found = [(one.run_id, one.asked, one.asked_us, one.calls, one.tokens, one.usd) for one in told]
    above.require("children", found.count(mine) == 1, f"run {below.run_id} has more than is set aside for it")


def check_the_end(accounts: Mapping[str, Account]) -> None:
    """At the end nobody waits for a run that is over, and no run goes on for one that is."""
    for above in accounts.values():
        for child in above.children.values() if above.status not in OVER else ():
            below = accounts.get(child.started.run_id)
            over = below is not None and below.status in OVER
            above.require("children", not over, f"run {child.started.run_id} is over, and nobody has noticed")
        for raised in above.events:
            if isinstance(raised, e.ShareRaised):
                heard = not _still_asks(accounts[raised.run_id], raised)
                above.require("children", heard, f"run {raised.run_id} was never told that it may consume more")
    for below in accounts.values():
        parent = accounts.get(below.parent.run_id) if below.parent is not None else None
        if parent is not None and parent.status in OVER:
            below.require("children", below.status in OVER, f"it goes on, and run {parent.run_id} is over")


def _still_asks(below: Account, raised: e.ShareRaised) -> bool:
    """Whether a run waits for what is approved."""
    asked = [one.at_us for one in below.events if isinstance(one, e.StepEscalated) and one.step == raised.asked]
    waits = below.status not in OVER and below.step(raised.asked).state == "escalated"
    return waits and asked[-1] == raised.asked_us
