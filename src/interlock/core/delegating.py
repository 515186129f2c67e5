"""Steps that are done by runs of their own, those of nested teams: which are under way, and which of them are parked.

A step whose run is parked keeps nothing going: its own run is parked, too, where nothing else is left to do.
"""

import msgspec

from interlock.errors import cut_short

from . import commands as c
from . import events as e
from .above import Above, found_above, is_above
from .budget import Amounts, BudgetPolicy, for_run, with_more
from .gate import GatePolicy, policy_above
from .job import Usage
from .purse import Budgets, Purse
from .revising import Revising
from .role import Duty
from .rules import Rules

CANCELLED = "child_cancelled"
# What the end of a run that does a step is for the step; "" where what it has come to is assessed.
FAILURES = {"succeeded": "", "failed": "child_failed", "cancelled": CANCELLED}
# Of why a run that does a step was parked or has ended, what it does for.
REASON_CHARS_MAX = 1_000

ChildEvent = e.ChildParked | e.ChildEnded | e.ChildAbandoned


# The gate that is what the run above has set aside, and whose budget that is.
OF_SHARE = "share"
SHARE = "its share of what the run above may consume"


def share_of(parent: e.Parent, own: BudgetPolicy | None) -> BudgetPolicy:
    """What the run above has set aside for this one, of whose calls its own team says what one may consume."""
    call = own or BudgetPolicy()
    amounts = (parent.calls, parent.tokens, parent.usd)
    return BudgetPolicy(*amounts, False, call.call_tokens, call.call_usd, parent.when_spent)


def ended(status: str) -> str:
    """How a run has ended, for people."""
    return f"{'was' if status == 'cancelled' else 'has'} {status}"


def added(usage: Usage, more: Usage, times: int = 1) -> Usage:
    """What was consumed in all; or what is left of it without the other, where `times` is -1."""
    usd = None if usage.usd is None or more.usd is None else usage.usd + times * more.usd
    return Usage(
        usage.input_tokens + times * more.input_tokens,
        usage.output_tokens + times * more.output_tokens,
        usd,
        requests=usage.requests + times * more.requests,
    )


class Child(msgspec.Struct):
    """A run that does a step. parked_seq: how many events it had when it was parked; 0 where it never was.

    failure: the kind of the failure that its end is; "" where it has succeeded, and what it has come to is assessed.
    """

    started: e.ChildStarted
    parked_seq: int = 0
    reason: str = ""
    is_over: bool = False
    failure: str = ""


class Delegating(Revising):
    """The steps of a run that other runs do.

    children: the runs that do a step now, by its number. abandoned: those that a step waits for no more, and whose end
    isn't known yet. failed: of a step whose run has failed, that run. charged: what was told of a run that has ended,
    by its id: what it has consumed, in how many calls. more: what people have approved for runs that do a step, by step
    and agent; raised: who did, by the run, its step and when that had asked. parent: the run a step of which this one
    does; share: what that has set aside for it.
    """

    purse: Purse
    at_us: int
    parent: e.Parent | None = None
    share: BudgetPolicy | None = None
    _duty: list[Duty]

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.children: dict[int, Child] = {}
        self.abandoned: dict[str, e.ChildAbandoned] = {}
        self.failed: dict[int, str] = {}
        self.charged: dict[str, tuple[Usage, int]] = {}
        self.more: dict[tuple[int, str], Amounts] = {}
        self.raised: dict[tuple[str, str, int], str] = {}

    def budgets(self, n: int) -> Budgets:
        """What a call for a step draws on, or the run that does it."""
        duty = self._duty[n]
        share = self._share(duty)
        found = duty.budgets if share is None else (*duty.budgets, (OF_SHARE, SHARE, share))
        more = self.more.get((n, duty.agent)) if self.more else None
        return found if more is None else tuple((kind, whose, with_more(one, more)) for kind, whose, one in found)

    def _share(self, duty: Duty) -> BudgetPolicy | None:
        """What the run above has set aside, as a call of this duty draws on it, or a run."""
        if self.share is None or duty.nested is None:
            return self.share
        return for_run(self.share, self.rules.roles[duty.agent].budget)

    def gate_at(self, kind: str, duty: Duty) -> GatePolicy:
        """The gate of a call that this is a part of: that of its agent, its team, or a team above."""
        found = found_above(self._above, kind)
        if found is not None:
            return policy_above(0, found[0])
        return self.rules.gate if kind.startswith("team_") else duty.gate

    def waits_at(self, kind: str, duty: Duty) -> bool:
        """Whether a step waits where this part of a gate holds it, and nobody stands in for its agent."""
        if not is_above(kind):
            return self.rules.waits_at(kind, duty)
        budget, _ = self.budget_at(kind, duty)
        return budget is not None and budget.waits

    def budget_at(self, kind: str, duty: Duty) -> tuple[BudgetPolicy | None, str]:
        """The budget that a gate of a call is, None where it is none; and whose: as in Rules, `team NAME`, or SHARE."""
        if kind == OF_SHARE:
            return self._share(duty), SHARE
        found = found_above(self._above, kind)
        if found is None:
            return self.rules.budget_at(kind, duty)
        team, part = found
        return (team.budget if part == "budget" else None), team.whose

    @property
    def _above(self) -> tuple[Above, ...]:
        return self.parent.above if self.parent is not None else ()

    def _delegate(self, n: int, event: e.ChildStarted) -> None:
        self.children[n] = Child(event)
        if event.due_us:
            self._due[n] = None  # its timer

    def _child_told(self, event: ChildEvent) -> None:
        n = self.number[event.step]
        if isinstance(event, e.ChildEnded):
            self._charge(event)
        if isinstance(event, e.ChildEnded) and event.late:
            del self.abandoned[event.run_id]
            self.purse.settle_late_run(n, event.attempt, event.usage, event.calls, event.at_us)
            return
        child = self.children[n]
        assert child.started.run_id == event.run_id, f"{event.step}: run {event.run_id} is not the one that does it"
        self._unpark()
        if isinstance(event, e.ChildParked):
            self._busy -= not child.parked_seq
            child.parked_seq, child.reason = event.seq, event.reason
            self.reasons[n] = f"run {event.run_id} waits: {cut_short(event.reason, REASON_CHARS_MAX)}"
            return
        self._busy += bool(child.parked_seq)
        child.is_over = True
        if isinstance(event, e.ChildEnded):
            child.failure = FAILURES[event.status]
            child.reason = f"run {event.run_id} {ended(event.status)}: {cut_short(event.reason, REASON_CHARS_MAX)}"
            if event.status == "failed":
                self.failed[n] = event.run_id
            else:
                self.failed.pop(n, None)
            self.purse.settle_run(self.budgets(n), event.usage, event.calls, event.at_us)
        else:
            child.failure, child.reason = "timeout", f"run {event.run_id} has not ended in time, and is cancelled"
            self.purse.settle(self.budgets(n), None, event.at_us)
            self.abandoned[event.run_id] = event
        if child.failure:
            self._due[n] = None

    def _share_raised(self, event: e.ShareRaised) -> None:
        n = self.number[event.step]
        more = Amounts(event.calls, event.tokens, event.usd)
        self.more.setdefault((n, self._duty[n].agent), Amounts()).add(more)
        self.raised[event.run_id, event.asked, event.asked_us] = event.by
        self.purse.draw_more(n, event.attempt, self.budgets(n), more)

    def _charge(self, event: e.ChildEnded) -> None:
        usage, calls = self.charged.get(event.run_id, (Usage(usd=0.0), 0))
        self.charged[event.run_id] = added(usage, event.usage), calls + event.calls

    def _child_command(self, n: int) -> c.StartTimer | c.FailAttempt:
        """The time of a run that does a step is bounded, or it has not done it."""
        child = self.children[n]
        started, due_us = child.started, child.started.due_us
        if child.failure:
            again = child.failure != CANCELLED
            return c.FailAttempt(started.step, started.attempt, child.failure, child.reason, again)
        return c.StartTimer(n, started.step, due_us, -(-max(0, due_us - self.at_us) // 1_000))

    def _is_settled(self, n: int) -> bool:
        """Whether a run has done this step, whose end has told what was consumed; nobody waits for it any more."""
        child = self.children.pop(n, None)
        return child is not None and child.is_over

    def _parked_child(self) -> str:
        """What the first of the runs waits for that are parked; "" where none is."""
        parked = [n for n, child in self.children.items() if child.parked_seq]
        if not parked:
            return ""
        more = f", and {len(parked) - 1:,} more wait" if len(parked) > 1 else ""
        return f"{self.step_id(parked[0])}: {self.reasons[parked[0]]}{more}"
