"""What a team declares of the gates that calls must pass: breakers, rates and budgets, and what they must look like."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from interlock.core.breaker import COUNTED, WhileOpen, breaker_of
from interlock.core.budget import AMOUNT_MAX, USD_MAX, BudgetPolicy, WhenSpent, budget_of
from interlock.core.gate import GatePolicy
from interlock.core.policy import TIMEOUT_MS_MAX, duration_ms
from interlock.core.rate import RatePolicy, rate_of
from interlock.errors import TeamError

from .shapes import Choice, Field, Many, Number, Place, Record, Text, Whole, dotted

TRIP_AFTER_MAX = 10_000
WINDOW_MAX = 1_000
_AMOUNTS = ("usd", "tokens", "calls")

DURATION = Text(
    "a duration of more than 0 and up to 7d, such as 500ms, 2s, 1m or 1h",
    lambda text: 0 < duration_ms(text) <= TIMEOUT_MS_MAX,
    {"pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"},
)
_RATE = Text("a rate, such as 60/min", rate_of, {"pattern": r"^[0-9_]{1,16}\s*/\s*(s|min|h|day)$"})


def _rate_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    if not value:
        yield TeamError(f"{dotted(place)} is empty", fix="give it requests or tokens", place=place)


def _budget_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    if not any(name in value for name in _AMOUNTS) and "day" not in value:
        yield TeamError(f"{dotted(place)} bounds nothing", fix="give it usd, tokens or calls", place=place)
    if value.get("when_spent") == "wait" and place[-1] != "day":
        at = (*place, "when_spent")
        message = f"{dotted(at)}: nothing comes back within a run, so it would wait for ever"
        yield TeamError(message, fix="put it under day", place=at)
    call = value.get("call")
    if not isinstance(call, Mapping):
        return
    for name in ("usd", "tokens"):
        if name in call and name not in value:
            at = (*place, "call", name)
            yield TeamError(f"{dotted(at)} says nothing without {name}", fix=f"give the budget {name}", place=at)
        elif name in call and _is_number(call[name]) and _is_number(value[name]) and call[name] > value[name]:
            at = (*place, "call", name)
            message = f"{dotted(at)}: a call may consume more than the whole budget, so none is ever made"
            yield TeamError(message, fix="lower it, or raise the budget", place=at)


def _is_number(value: Any) -> bool:
    return type(value) in {int, float}


BREAKER = Record(
    "a breaker",
    {
        "threshold": Field(Number(0, 1), "A score below it is bad (0.7)."),
        "trip_after": Field(Whole(1, TRIP_AFTER_MAX), "So many bad outputs in a row open it (5)."),
        "window": Field(Whole(2, WINDOW_MAX), "So many last outputs are looked at for bad_share."),
        "bad_share": Field(Number(0, 1), "It opens as well where so large a share of the window was bad (0.5)."),
        "cooldown": Field(DURATION, "How long it stays open (30s)."),
        "half_open_calls": Field(Whole(1, TRIP_AFTER_MAX), "How many probes it then lets through (3)."),
        "counts": Field(Many(Choice(COUNTED)), "What is bad beside a low score: refused, error, timeout (all)."),
        "while_open": Field(
            Choice(get_args(WhileOpen)), "What becomes of a step whose agent has no fallback: wait (the default), fail."
        ),
    },
)
RATE = Record(
    "a rate",
    {
        "requests": Field(_RATE, "How many calls may begin in any window of time, such as 60/min."),
        "tokens": Field(_RATE, "How many tokens they may consume in it, such as 40000/min."),
    },
    check=_rate_problems,
)
_CALL = Record(
    "the most that a call may consume",
    {
        "usd": Field(Number(0, USD_MAX), "US dollars."),
        "tokens": Field(Whole(0, AMOUNT_MAX), "Input and output tokens."),
    },
)
_BUDGET = {
    "usd": Field(Number(0, USD_MAX), "US dollars."),
    "tokens": Field(Whole(0, AMOUNT_MAX), "Input and output tokens."),
    "calls": Field(Whole(0, AMOUNT_MAX), "Calls of agents."),
    "call": Field(_CALL, "What one call may consume at most, which is reserved for it before it is made."),
    "when_spent": Field(
        Choice(get_args(WhenSpent)),
        "What becomes of a step whose agent has no fallback: fail (the default), wait. ask: a person may approve more.",
    ),
}
DAILY = Record("a daily budget", _BUDGET, check=_budget_problems)
BUDGET = Record(
    "a budget",
    {**_BUDGET, "day": Field(DAILY, "How much on one day in UTC, over all runs on the journal.")},
    check=_budget_problems,
)
STEP_BUDGET = Record("a step's budget", _BUDGET, check=_budget_problems)


def gate_of(
    *,
    breaker: Mapping[str, Any] | None = None,
    rate: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
) -> GatePolicy:
    """What all runs on a journal share of these declarations."""
    return GatePolicy(
        None if breaker is None else breaker_of(breaker),
        None if rate is None else RatePolicy(**{name: rate_of(text) for name, text in rate.items()}),
        budget_of(budget["day"], daily=True) if budget is not None and "day" in budget else None,
    )


def run_budget_of(budget: Mapping[str, Any] | None) -> BudgetPolicy | None:
    """What one run may consume of these declarations."""
    return budget_of(budget) if budget is not None and any(name in budget for name in _AMOUNTS) else None
