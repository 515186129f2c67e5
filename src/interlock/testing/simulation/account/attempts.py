"""What must be true of attempts: when a call may begin, what its outcome leads to, and what is left when none helps."""

import msgspec

from interlock.core import events as e
from interlock.core.breaker import BreakerPolicy
from interlock.core.budget import BudgetPolicy
from interlock.core.policy import RETRY_AFTER_MS_MAX
from interlock.core.rate import RatePolicy
from interlock.core.states import TERMINAL
from interlock.core.values import ABSENT

from .approvals import agreed
from .budgets import BudgetAccount
from .calls import repeats, seen_by
from .commits import commit, require_score
from .conflicts import is_irreconcilable
from .known import Known, StepAccount
from .payment import charge, charged, outcome, pay
from .performing import forget_waits, held_up_by, perform
from .progress import can_expand, end, require_turn
from .verdicts import concluded, unjudged
from .waits import is_timeless

# A wait may end so late, since a new process reads the journal first, and a busy disk takes its time.
BACKOFF_LATE_US_MAX = 1_000_000


def attempt_started(run: Known, event: e.AttemptStarted | e.ChildStarted) -> None:
    """A step is called: it is its turn, its wait is over, and its budgets have enough left."""
    one, name = run.step(event.step), event.step
    _require_turn_of_call(run, one, name)
    if run.rules.supervisor is not None and one.draft is None and one.item is ABSENT:
        step = run.declared(one)
        run.tasks.setdefault((event.agent, step.action, step.instructions), []).append(name)
    _require_right_call(run, one, event)
    duty = one.duty
    is_called = type(event) is e.AttemptStarted
    run.require("children", (duty.nested is None) == is_called, "{} is done by what {} is not", name, event.agent)
    for _, whose, budget in run.budgets_of(duty, one):
        lacking = run.budgets.setdefault(whose, BudgetAccount()).lacks(budget)
        run.require("gates", not lacking, f"{name} is called, but {whose or 'the run'} has no {lacking} left")
        run.budgets[whose].hold(budget)
    run.drew[event.step, event.attempt] = duty
    run.charged[event.step, event.attempt] = run.budgets_of(duty, one)
    if not one.reissue:
        one.tries += 1
    if one.first_us < 0:
        one.first_us = event.at_us
    run.calls += is_called
    one.attempt, one.open, one.reissue, one.state = event.attempt, True, False, "running"


def _require_turn_of_call(run: Known, one: StepAccount, name: str) -> None:
    """That a step may be called at all."""
    if one.state in TERMINAL or one.state in {"escalated", "performing"}:
        raise run.broken("once", "{} is called again although it is {}", name, one.state)
    if run.unapproved:
        raise run.broken("approval", "{} is called before a person has approved the plan", name)
    if one.open:
        raise run.broken("once", "{} is called while a call of it is in flight", name)
    if not one.attempt and one.item is ABSENT:
        require_turn(run, name, "called")
        run.require("plan", run.declared(one).for_each is None, f"{name} is called, not its items")
        if run.added:
            other = repeats(run, name)
            run.require("decisions", not other, "{} is called although it repeats {}", name, other)
    if one.item is not ABSENT and one.state == "waiting":
        raise run.broken("width", "{} is called beside too many others of its for_each", name)
    if one.draft is None and held_up_by(run, name):  # a judge performs nothing
        raise run.broken("effects_unknown", "{} is called although an effect of it is unknown", name)
    if one.given_up:
        raise run.broken("attempts", "{} is called although all attempts of it are used up", name)
    if one.short:
        raise run.broken("people", "{} is called before a person has raised its {}", name, one.short)


def _require_right_call(run: Known, one: StepAccount, event: e.AttemptStarted | e.ChildStarted) -> None:
    """That this is the call that is due: its number, its agent, its time and what is shown."""
    name = event.step
    number = one.attempt if one.reissue else one.attempt + 1
    duty = one.duty
    if event.attempt != number:
        raise run.broken("attempts", "attempt {} of {} should be {}", event.attempt, name, number)
    if event.agent != duty.agent:
        raise run.broken("attempts", "{} is called, not {}", event.agent, duty.agent)
    waited = event.at_us >= one.not_before_us or not run.clock_is_steady
    if not waited or one.state == "backing_off":
        raise run.broken("backoff", "{} is called before its wait is over", name)
    if not run.hashes.fit(event.view, seen_by(run, one)):
        raise run.broken("views", "the hash of the view of {} is that of another view", name)


def attempt_committed(run: Known, event: e.AttemptCommitted) -> None:
    """A reply is committed, with a request and effects if it has them."""
    one = agreed(run, event) or concluded(run, event) or charged(run, event)
    commit(run, one, event, bytes(event.output))
    require_score(run, one.duty, event)
    if event.request is not None:
        run.branches.hear(run.declared(one), one.duty.agent, event.request)
    for wanted in event.effects:
        run.effects.asked(event.step, wanted.effect, wanted.key, wanted.payload, one.duty.effects)
    one.score = event.confidence if event.score is None else event.score
    if run.declared(one).reconcile is not None:
        one.ruling = f"judge {one.duty.agent}", msgspec.json.decode(event.output)
    perform(run, event.step, *(wanted.key for wanted in event.effects))


def attempt_refused(run: Known, event: e.AttemptRefused) -> None:
    """A reply is refused, and the next attempt is told why."""
    one = concluded(run, event) or charged(run, event)
    one.refused_effects = event.effects
    forget_waits(run, event.step)
    one.feedback = tuple(finding.message for finding in event.findings)
    _setback(run, one, again=True)


def attempt_failed(run: Known, event: e.AttemptFailed) -> None:
    """A call has failed: it is tried again after a wait, or the next in the line of agents is."""
    one = outcome(run, event)
    forget_waits(run, event.step)
    one.failures += 1
    policy = one.duty.policy
    charge(run, event)
    wait_ms = min(policy.backoff_ms * 2 ** (one.failures - 1), policy.backoff_ms_max)
    wait_ms = max(wait_ms, min(event.retry_after_ms, RETRY_AFTER_MS_MAX))
    _setback(run, one, again=event.retryable, wait_ms=wait_ms)


def attempt_interrupted(run: Known, event: e.AttemptInterrupted) -> None:
    """The process of a call has died: the call is made again, some times."""
    one = outcome(run, event)
    forget_waits(run, event.step)
    pay(run, event, None)
    one.state, one.reissue = "ready", True
    one.lost += 1
    if one.lost > one.duty.policy.reissues_max:
        one.given_up, one.reissue = True, False
        unjudged(one)


def reply_arrived_late(run: Known, event: e.ReplyArrivedLate) -> None:
    """A reply came after the end of its attempt: it only costs."""
    one = run.step(event.step)
    over = event.attempt < one.attempt or (event.attempt == one.attempt and not one.open)
    run.require("first_outcome", over, f"attempt {event.attempt} of {event.step} is late, but has no outcome")
    charge(run, event, is_late=True)


def backoff_ended(run: Known, event: e.BackoffEnded) -> None:
    """A wait is over, neither too early nor much too late."""
    one = run.step(event.step)
    run.require("backoff", one.state == "backing_off", f"{event.step} was not waiting: it is {one.state}")
    if one.held:
        lacks = run.lacks_for_now(one)
        run.require("gates", not lacks, f"{event.step} goes on, but what it waits for is still set aside for others")
    late_us = event.at_us - max(one.not_before_us, run.driven_since_us)
    in_time = late_us <= BACKOFF_LATE_US_MAX or one.held or not run.clock_is_steady
    run.require("backoff", in_time, f"{event.step} waited {late_us / 1e6:g} s longer than it had to")
    one.state, one.held = "ready", False


def call_held(run: Known, event: e.CallHeld) -> None:
    """A gate holds a call back. Whether it is right is for `Gates` to say: a gate belongs to all runs."""
    one, name = run.step(event.step), event.step
    run.require("gates", event.agent == one.duty.agent, f"{event.agent} is held, not {one.duty.agent}")
    run.require("gates", one.state in {"waiting", "ready"}, f"{name} is held although it is {one.state}")
    declared = _holding(run, event.gate, one)
    run.require("gates", declared is not None, f"{name} is held by a {event.gate} that nobody declared")
    assert declared is not None
    for kind, whose, budget in run.budgets_of(one.duty, one):
        if kind == event.gate:
            lacking = run.budgets.setdefault(whose, BudgetAccount()).lacks(budget, at_best=True)
            run.require("gates", lacking, f"{name} is held, but {whose or 'the run'} has enough left")
    asks = isinstance(declared, BudgetPolicy) and declared.asks and event.gate.endswith(("budget", "share"))
    if asks and one.draft is None:
        one.short = event.gate
        return
    in_time = one.in_time(event.until_us)
    passes = event.gate.endswith(("rate", "reservation")) and in_time
    if not passes and one.link + 1 < len(one.duties):
        one.link, one.tries, one.failures, one.state, one.reissue = one.link + 1, 0, 0, "ready", False
        one.first_us = -1
    elif event.until_us and in_time and (passes or declared.waits):
        one.held = event.gate == "run_reservation" and not (one.first_us >= 0 and one.duty.policy.retry_for_ms)
        one.state, one.not_before_us = "backing_off", event.at_us if one.held else event.until_us
    else:
        one.given_up, one.reissue = True, False
        unjudged(one)


def _setback(run: Known, one: StepAccount, *, again: bool, wait_ms: int = 0) -> None:
    one.state = "ready"
    if not again or one.tries > one.duty.policy.retries or not one.in_time(run.at_us + 1_000 * wait_ms):
        one.link, one.first_us = one.link + 1, -1
        one.given_up = one.link == len(one.duties)
        one.tries = one.failures = wait_ms = 0
    if wait_ms:
        one.state, one.not_before_us = "backing_off", run.at_us + 1_000 * wait_ms
    unjudged(one)


def _holding(run: Known, kind: str, one: StepAccount) -> BreakerPolicy | RatePolicy | BudgetPolicy | None:
    """What was declared of the part of a gate that holds a step."""
    own, all_ = one.duty.gate, run.rules.gate
    declared = {"breaker": own.breaker, "rate": own.rate, "budget": own.budget}
    declared |= {"team_rate": all_.rate, "team_budget": all_.budget}
    declared |= {"reservation": own.budget, "team_reservation": all_.budget}
    if kind == "run_reservation":
        return next((budget for _, _, budget in run.budgets_of(one.duty, one)), None)
    declared[kind] = declared.get(kind) or run.declared_above(kind)[0]
    budgets = run.budgets_of(one.duty, one)
    return declared[kind] or next((budget for name, _, budget in budgets if name == kind), None)


def step_buried(run: Known, event: e.StepBuried) -> None:
    """A step is given up: no attempt is left, or it can't go on."""
    name, one = event.step, run.step(event.step)
    step = run.declared(one)
    unlisted = one.item is ABSENT and step.for_each is not None and not can_expand(run, one, step.for_each)
    unlisted = unlisted or is_timeless(run, one) or is_irreconcilable(run, one)
    run.require("once", one.state not in TERMINAL, f"{name} is given up although it is {one.state}")
    held = one.state in {"performing", "ready"} and not all(map(run.effects.asks, held_up_by(run, name)))
    run.require("attempts", one.given_up or unlisted or held, f"{name} is given up with attempts left")
    asks = run.rules.escalations[one.number] is not None
    run.require("people", one.buried or unlisted or held or not asks, f"{name} is given up, and nobody was asked")
    if unlisted:
        require_turn(run, name, "given up")
    end(run, name, "dead")
