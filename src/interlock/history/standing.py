"""Where gates stand: breakers, rates and daily budgets as they are now, from what a journal keeps of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlock.core.breaker import Breaker, Moved
from interlock.core.budget import USD_MICROS, Amounts, shortfall
from interlock.core.gate import TOKENS_AT_FIRST, AtGate, Gate, GatePolicy, tell
from interlock.core.rate import PERIODS_US, Rate, earliest, taken

from .times import timestamp

_PER = {period_us: name for name, period_us in PERIODS_US.items()}


class RateStanding(msgspec.Struct, frozen=True):
    """How much of a rate is taken.

    what: requests or tokens. later: booked for calls that wait. free_us: when one more call could begin.
    """

    what: str
    amount: int
    per: str
    booked: int
    later: int
    free_us: int


class BudgetStanding(msgspec.Struct, frozen=True):
    """How much of a daily budget is used. what: usd (US dollars), tokens or calls. raised: by people, for today."""

    what: str
    limit: float
    spent: float
    reserved: float
    raised: float = 0

    @property
    def left(self) -> float:
        """What may still be consumed today."""
        return max(0, round(self.limit + self.raised - self.spent - self.reserved, 6))


class Standing(msgspec.Struct, frozen=True):
    """Where one gate stands. team: its name, or the path of its file. agent: "" for the gate that all of a team share.

    policy: None where the team declares this gate no longer. breaker: None where none is declared and none ever moved.
    moves: what it did, the newest first.
    """

    team: str
    agent: str
    policy: GatePolicy | None
    breaker: Breaker | None
    moves: Sequence[Moved]
    rates: Sequence[RateStanding]
    budgets: Sequence[BudgetStanding]
    day: str

    def to_dict(self) -> dict[str, Any]:
        """The gate as `interlock breakers --json` prints it."""
        document: dict[str, Any] = {"team": self.team, "agent": self.agent}
        if self.breaker is not None:
            document["breaker"] = _breaker(self.breaker) | {"moves": [_move(moved) for moved in self.moves]}
        if self.rates:
            document["rate"] = {rate.what: _rate(rate) for rate in self.rates}
        if self.budgets:
            document["budget"] = {"day": self.day} | {budget.what: _budget(budget) for budget in self.budgets}
        return document | ({} if self.policy is not None else {"declared": False})


def standing(name: str, at: AtGate, policy: GatePolicy | None, now_us: int) -> Standing:
    """Where a gate stands; changes what was read of it. policy: None where nobody knows any more what was declared."""
    team, _, agent = name.rpartition("/")
    gate, moves = at.gate, at.moved
    if policy is not None:  # what was told to it since anybody asked it
        moves = [*tell(gate, policy, at.outcomes)[::-1], *moves]
    has_breaker = bool(moves or (policy is not None and policy.breaker is not None))
    return Standing(
        team,
        agent,
        policy,
        gate.breaker if has_breaker else None,
        moves,
        _rates(gate, policy, now_us),
        _budgets(gate, policy, now_us),
        f"{datetime.fromtimestamp(now_us // 1_000_000, UTC):%Y-%m-%d}",
    )


def _rates(gate: Gate, policy: GatePolicy | None, now_us: int) -> list[RateStanding]:
    if policy is None or policy.rate is None:
        return []
    usual = gate.consumed // gate.ended if gate.ended else TOKENS_AT_FIRST
    bounds = (("requests", policy.rate.requests, gate.requests, 1), ("tokens", policy.rate.tokens, gate.tokens, usual))
    return [
        RateStanding(
            what, rate.amount, _per(rate), *taken(booked, rate, now_us), earliest(booked, rate, amount, now_us)
        )
        for what, rate, booked, amount in bounds
        if rate is not None
    ]


def _per(rate: Rate) -> str:
    return _PER.get(rate.period_us, f"{rate.period_us / 1e6:g} s")


def _budgets(gate: Gate, policy: GatePolicy | None, now_us: int) -> list[BudgetStanding]:
    if policy is None or policy.budget is None:
        return []
    shortfall(gate.ledger, policy.budget, now_us)  # what was spent on another day doesn't count
    amounts = (policy.budget, gate.ledger.spent, gate.ledger.reserved, gate.ledger.raised or Amounts())
    units = {"usd": USD_MICROS, "tokens": 1, "calls": 1}
    return [
        BudgetStanding(what, *(getattr(one, what) / unit if unit > 1 else getattr(one, what) for one in amounts))
        for what, unit in units.items()
        if getattr(policy.budget, what) is not None
    ]


# --- as JSON ---


def _breaker(breaker: Breaker) -> dict[str, Any]:
    document: dict[str, Any] = {"state": breaker.state}
    if breaker.since_us:
        document["since"] = timestamp(breaker.since_us)
    if breaker.state != "closed":
        document["until"] = timestamp(breaker.until_us) if breaker.until_us else None
    return document | {
        name: getattr(breaker, name) for name in ("reason", "bad_in_a_row", "probes", "good") if getattr(breaker, name)
    }


def _move(moved: Moved) -> dict[str, Any]:
    document = {"at": timestamp(moved.at_us), "to": moved.to, "reason": moved.reason}
    return document | ({"by": moved.by} if moved.by else {})


def _rate(rate: RateStanding) -> dict[str, Any]:
    return {
        "amount": rate.amount,
        "per": rate.per,
        "booked": rate.booked,
        "later": rate.later,
        "free": timestamp(rate.free_us),
    }


def _budget(budget: BudgetStanding) -> dict[str, Any]:
    document = {name: getattr(budget, name) for name in ("limit", "spent", "reserved", "left")}
    return document | ({"raised": budget.raised} if budget.raised else {})
