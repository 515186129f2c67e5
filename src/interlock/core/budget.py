"""A budget: how much may be consumed, reserved before each call and settled after it.

What a call may consume at most is reserved, so calls at the same time never exceed a budget together. Sums are whole
numbers: calls, tokens, and millionths of a US dollar.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec

from .job import Usage

DAY_US = 86_400_000_000
USD_MICROS = 1_000_000
# When to ask again where others' calls hold what is left.
RESERVED_WAIT_US = 1_000_000
# Of an agent that ended by itself and told no usage.
NOTHING_USED = Usage()


WhenSpent = Literal["wait", "fail", "ask"]


class Amounts(msgspec.Struct, omit_defaults=True):
    """How much of each."""

    calls: int = 0
    tokens: int = 0
    usd: int = 0

    def add(self, other: "Amounts", times: int = 1) -> None:
        """Make it more by so much, or less, where `times` is -1."""
        self.calls += times * other.calls
        self.tokens += times * other.tokens
        self.usd += times * other.usd


NOTHING = Amounts()
# The most that a budget may be, however often it is raised. Where a day's stands is known to its gate alone, which cuts
# off what goes beyond.
USD_MAX = 1e9
AMOUNT_MAX = 10**12
BUDGET_MAX = Amounts(AMOUNT_MAX, AMOUNT_MAX, round(USD_MAX * USD_MICROS))


class BudgetPolicy(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """How much may be consumed. None: as much as it takes. usd is in millionths of a dollar.

    daily: anew on each day in UTC. call_tokens, call_usd: what one call may consume at most, which is reserved for it;
    without them a call is let through as long as anything is left, and may exceed it. when_spent: a person is asked for
    more, or else what becomes of a step whose agent has no fallback; waiting is for the next day. call_calls: how many
    calls are reserved for what is done in one go: more than one for a run that does a step.
    """

    calls: int | None = None
    tokens: int | None = None
    usd: int | None = None
    daily: bool = False
    call_tokens: int = 0
    call_usd: int = 0
    when_spent: WhenSpent = "fail"
    call_calls: int = 1

    @property
    def waits(self) -> bool:
        """Whether a step waits where nobody stands in for its agent."""
        return self.when_spent == "wait"

    @property
    def asks(self) -> bool:
        """Whether a person is asked for more, before anybody stands in."""
        return self.when_spent == "ask"

    @cached_property
    def call(self) -> Amounts:
        """What one call may consume."""
        return Amounts(self.call_calls, self.call_tokens, self.call_usd)

    @cached_property
    def reserves_more(self) -> bool:
        """Whether more than one call is reserved, or anything beside it."""
        return self.call_calls > 1 or self.call_tokens > 0 or self.call_usd > 0

    @cached_property
    def bounds(self) -> tuple[tuple[str, int, int], ...]:
        """What it bounds: how much of it there is, and how much one call may consume."""
        amounts = ((name, getattr(self, name), getattr(self.call, name)) for name in ("calls", "tokens", "usd"))
        return tuple((name, most, need) for name, most, need in amounts if most is not None)


def for_run(budget: BudgetPolicy, share: BudgetPolicy | None) -> BudgetPolicy:
    """A budget as a whole run draws on it: what that may consume, which is `share`, is reserved for it at once."""
    share = share or BudgetPolicy()
    reserved = (share.calls or 1, share.tokens or 0, share.usd or 0)
    calls, tokens, usd = reserved
    return msgspec.structs.replace(budget, call_calls=calls, call_tokens=tokens, call_usd=usd)


def with_more(budget: BudgetPolicy, more: Amounts) -> BudgetPolicy:
    """A budget on which a run draws that may consume so much more."""
    calls, tokens, usd = budget.call_calls + more.calls, budget.call_tokens + more.tokens, budget.call_usd + more.usd
    return msgspec.structs.replace(budget, call_calls=calls, call_tokens=tokens, call_usd=usd)


def budget_of(declared: Mapping[str, Any], *, daily: bool = False) -> BudgetPolicy:
    """A budget as it is declared in a team file: `{usd: 0.10, tokens: 4000, calls: 5, call: {usd: 0.02}}`."""
    call = declared.get("call", {})
    return BudgetPolicy(
        declared.get("calls"),
        declared.get("tokens"),
        micros(declared["usd"]) if "usd" in declared else None,
        daily,
        call.get("tokens", 0),
        micros(call.get("usd", 0)),
        declared.get("when_spent", "fail"),
    )


def micros(usd: float) -> int:
    """Dollars as millionths of one."""
    return round(usd * USD_MICROS)


class Ledger(msgspec.Struct, omit_defaults=True):
    """What was spent (of a daily budget: on this day since 1970), and what is reserved for calls that go on.

    raised: by how much people have raised the budget; of a daily one, for this day. raised_us, at_once: when that was
    last, and by how much then. returnable: of the calls that are reserved, how many a run may leave that does a step.
    """

    day: int = 0
    spent: Amounts = msgspec.field(default_factory=Amounts)
    reserved: Amounts = msgspec.field(default_factory=Amounts)
    raised: Amounts | None = None
    raised_us: int = 0
    at_once: Amounts | None = None
    returnable: int = 0


def shortfall(ledger: Ledger, policy: BudgetPolicy, now_us: int, aside: Amounts = NOTHING) -> str:
    """What there is too little of for another call, in words; "" where there is enough.

    aside: what is kept for calls that have not begun.
    """
    if policy.daily and now_us // DAY_US != ledger.day:
        _turn_the_day(ledger, now_us)
    spent, reserved, raised = ledger.spent, ledger.reserved, ledger.raised or NOTHING
    if aside is not NOTHING:
        reserved = Amounts(reserved.calls + aside.calls, reserved.tokens + aside.tokens, reserved.usd + aside.usd)
    calls, tokens, usd = policy.calls, policy.tokens, policy.usd
    if calls is not None and spent.calls + reserved.calls + policy.call_calls > calls + raised.calls:
        return _lacking("calls", policy, spent, reserved, raised)
    if tokens is not None and _is_short(spent.tokens, reserved.tokens, policy.call_tokens, tokens + raised.tokens):
        return _lacking("tokens", policy, spent, reserved, raised)
    if usd is not None and _is_short(spent.usd, reserved.usd, policy.call_usd, usd + raised.usd):
        return _lacking("usd", policy, spent, reserved, raised)
    return ""


def _is_short(spent: int, reserved: int, need: int, most: int) -> bool:
    return spent + reserved + need > most or (spent >= most and not need)


def _lacking(name: str, policy: BudgetPolicy, spent: Amounts, reserved: Amounts, raised: Amounts) -> str:
    """That there is too little left of this, in words."""
    most = getattr(policy, name) + getattr(raised, name)
    left = left_of(name, max(0, most - getattr(spent, name) - getattr(reserved, name)))
    per_day = " a day" if policy.daily else ""
    return f"its budget is {shown(name, most)}{per_day}, of which {left}"


def limit(ledger: Ledger, policy: BudgetPolicy, name: str) -> int | None:
    """How much of this may be consumed, with what people have approved; None for as much as it takes."""
    most: int | None = getattr(policy, name)
    if most is None or ledger.raised is None:
        return most
    return most + int(getattr(ledger.raised, name))


def is_only_reserved(ledger: Ledger, policy: BudgetPolicy) -> bool:
    """Whether what is lacking is set aside for what goes on, and may be left by it. A run may make few calls."""
    call = policy.call
    calls, tokens, usd = (limit(ledger, policy, name) for name in ("calls", "tokens", "usd"))
    kept = ledger.spent.calls + ledger.reserved.calls - ledger.returnable
    if calls is not None and kept + call.calls > calls:
        return False
    bounds = ((tokens, ledger.spent.tokens, call.tokens), (usd, ledger.spent.usd, call.usd))
    return all(most is None or (spent + need <= most and (need or spent < most)) for most, spent, need in bounds)


def reserve(ledger: Ledger, policy: BudgetPolicy) -> None:
    """Set aside what a call may consume."""
    reserved = ledger.reserved
    reserved.calls += policy.call_calls
    if policy.reserves_more:
        ledger.returnable += policy.call_calls - 1
        reserved.tokens += policy.call_tokens
        reserved.usd += policy.call_usd


def reserve_more(ledger: Ledger, more: Amounts) -> None:
    """Set aside more for a run for which some is set aside already."""
    ledger.reserved.add(more)
    ledger.returnable += more.calls


def settle(ledger: Ledger, policy: BudgetPolicy, usage: Usage | None, at_us: int, calls: int | None = None) -> None:
    """A call has ended: what it consumed is spent. usage: None where that is unknown, so that all of it counts.

    calls: how many there were, of a run that has done a step; None for those that were reserved.
    """
    if policy.daily and at_us // DAY_US != ledger.day:
        _turn_the_day(ledger, at_us)
    release(ledger, policy)
    spent = ledger.spent
    spent.calls += policy.call_calls if calls is None else calls
    if usage is NOTHING_USED:
        return
    tokens, usd = (policy.call_tokens, policy.call_usd) if usage is None else _consumed(usage, policy)
    spent.tokens += tokens
    spent.usd += usd


def release(ledger: Ledger, policy: BudgetPolicy) -> None:
    """What was set aside for a call is free again."""
    reserved = ledger.reserved
    reserved.calls -= policy.call_calls
    if policy.reserves_more:
        ledger.returnable -= policy.call_calls - 1
        reserved.tokens -= policy.call_tokens
        reserved.usd -= policy.call_usd


def settle_late(ledger: Ledger, policy: BudgetPolicy, usage: Usage, at_us: int, calls: int = 0) -> None:
    """A call that was taken for lost has told what it consumed; what was reserved for it was spent then."""
    if policy.daily and at_us // DAY_US != ledger.day:
        _turn_the_day(ledger, at_us)
    tokens, usd = _consumed(usage, policy)
    ledger.spent.calls += max(0, calls - policy.call_calls)
    ledger.spent.tokens += max(0, tokens - policy.call_tokens)
    ledger.spent.usd += max(0, usd - policy.call_usd)


def _consumed(usage: Usage, policy: BudgetPolicy) -> tuple[int, int]:
    """The tokens and the US dollars."""
    tokens = usage.input_tokens + usage.output_tokens
    if usage.usd is None:
        return tokens, policy.call_usd if tokens or usage.requests else 0
    return tokens, micros(usage.usd)


def _turn_the_day(ledger: Ledger, now_us: int) -> None:
    """Of a daily budget, only what goes on is carried over to another day. A day never comes back.

    But where a clock was days ahead, what was spent then counts for today.
    """
    day = now_us // DAY_US
    if day > ledger.day:
        ledger.day, ledger.spent, ledger.raised, ledger.raised_us, ledger.at_once = day, Amounts(), None, 0, None
    elif day < ledger.day - 1:
        ledger.day = day


def next_day_us(now_us: int) -> int:
    """When the next day begins in UTC."""
    return (now_us // DAY_US + 1) * DAY_US


def raise_by(ledger: Ledger, policy: BudgetPolicy, more: Amounts, at_us: int, asked_us: int = 0) -> None:
    """A person has approved more; of a daily budget, for the day on which that was.

    asked_us: when it was asked. What was asked before the budget was raised last is the same shortage: several people
    who answer runs of their own don't know of each other, so the most that one of them approves counts, not the sum.
    """
    if policy.daily and at_us // DAY_US != ledger.day:
        _turn_the_day(ledger, at_us)
    if policy.daily and at_us // DAY_US < ledger.day:
        return  # that day is over
    before = raised_since(ledger, asked_us)
    if before is not None:
        more = _above(more, before)
        ledger.at_once = Amounts(before.calls + more.calls, before.tokens + more.tokens, before.usd + more.usd)
    else:
        ledger.raised_us, ledger.at_once = at_us, more
    raised = ledger.raised = ledger.raised or Amounts()
    raised.add(more)
    for name, most, _ in policy.bounds:
        setattr(raised, name, min(getattr(raised, name), getattr(BUDGET_MAX, name) - most))


def raised_since(ledger: Ledger, asked_us: int) -> Amounts | None:
    """By how much a budget was raised for what was asked then, by somebody else who was asked about it."""
    return ledger.at_once if 0 < asked_us < ledger.raised_us else None


def _above(more: Amounts, before: Amounts) -> Amounts:
    """By how much this is more."""
    return Amounts(
        max(0, more.calls - before.calls), max(0, more.tokens - before.tokens), max(0, more.usd - before.usd)
    )


def shown(name: str, amount: int) -> str:
    """An amount in words, such as `5 calls` or `0.02 USD`."""
    if name == "usd":
        return f"{_usd(amount)} USD"
    return f"{amount:,} {name if amount != 1 else name[:-1]}"


def left_of(name: str, amount: int) -> str:
    """That so much is left, such as `1 call is left`."""
    return f"{shown(name, amount)} {'is' if amount == 1 and name != 'usd' else 'are'} left"


def _usd(micros: int) -> str:
    """Dollars and cents, and what is smaller only where there is such a thing."""
    cents = f"{micros / USD_MICROS:,.2f}"
    return cents if not micros % (USD_MICROS // 100) else f"{micros / USD_MICROS:,.6f}".rstrip("0")
