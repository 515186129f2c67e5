"""What must be true of the end of a call: it ends once, and is paid for."""

from typing import Any

from interlock.core import events as e
from interlock.core.job import Usage

from .known import Known, StepAccount


def outcome(run: Known, event: Any) -> StepAccount:
    """The step whose call has ended; its first outcome counts."""
    one = run.step(event.step)
    if not one.open or one.attempt != event.attempt:
        which = (type(event), event.attempt, event.step)
        raise run.broken("first_outcome", "{.__name__} of attempt {} of {}, which is over", *which)
    one.open = False
    return one


def charged(run: Known, event: Any) -> StepAccount:
    """The step whose call has ended, and is paid for."""
    one = outcome(run, event)
    charge(run, event)
    return one


def charge_run(run: Known, event: e.ChildEnded, *, is_late: bool = False) -> None:
    """Charge what a run has told that it used which did a step."""
    run.calls += event.calls
    _charge(run, event, is_late=is_late)


def charge(run: Known, event: Any, *, is_late: bool = False) -> None:
    """Charge what a call has told that it used to its budgets and to the run."""
    child = run.children.pop(event.step, None)
    if child is None:
        _charge(run, event, is_late=is_late)
        return
    means = {"failed": "child_failed", "cancelled": "child_cancelled"}.get(child.ended, child.ended)
    kind = event.kind if type(event) is e.AttemptFailed else "succeeded"
    run.require(
        "children", kind == means, f"{event.step} has {kind}, but the run that did it has {child.ended or 'not ended'}"
    )


def _charge(run: Known, event: Any, *, is_late: bool = False) -> None:
    kind = type(event)
    is_stopped = kind is e.AttemptFailed or (kind is e.QuestionAsked and bool(event.effect))
    told_nothing = is_stopped and event.usage is None
    pay(run, event, None if told_nothing else event.usage or Usage(), is_late=is_late)
    if event.usage is not None:
        tokens = event.usage.input_tokens + event.usage.output_tokens
        run.tokens += tokens
        if event.usage.usd is None:
            run.usd = None if tokens or event.usage.requests else run.usd
        elif run.usd is not None:
            run.usd += event.usage.usd


def pay(run: Known, event: Any, usage: Usage | None, *, is_late: bool = False) -> None:
    """Charge a call to the budgets that it draws on.

    usage: None where a call has not told. One that tells late was charged its most before.
    """
    for _, whose, budget in run.charged[event.step, event.attempt]:
        account, most = run.budgets[whose], (budget.call_tokens, budget.call_usd)
        tokens, usd = most
        if usage is not None:
            tokens = usage.input_tokens + usage.output_tokens
            known = usage.usd is not None or not (tokens or usage.requests)
            usd = round(1_000_000 * (usage.usd or 0)) if known else most[1]
        if is_late:
            tokens, usd = max(0, tokens - most[0]), max(0, usd - most[1])
            account.calls += max(0, calls_of(event, 0) - budget.call_calls)
        else:
            account.hold(budget, -1)
            account.calls += calls_of(event, budget.call_calls)
        account.tokens += tokens
        account.usd += usd


def calls_of(event: Any, otherwise: int) -> int:
    """How many calls an event tells of that a run has made which did a step."""
    return event.calls if isinstance(event, e.ChildEnded) else otherwise
