"""What has drawn on a budget that a step needs more of, and what another call of it takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from interlock.core.budget import USD_MICROS, Amounts, BudgetPolicy, Ledger, limit, shortfall
from interlock.core.delegating import SHARE
from interlock.core.gate import AtGate, GatePolicy, tell
from interlock.core.machine import Machine

from .attempts import Attempt
from .telling import budget_words

# What is approved where nothing says how much a call takes: a part of what was declared.
PART_SUGGESTED = 10


class Drawn(msgspec.Struct):
    """What the calls of one step by one agent have consumed. usd: None as soon as one price is unknown."""

    step: str
    agent: str
    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0


class Shortage(msgspec.Struct, frozen=True):
    """A budget that is spent. gate, whose: which it is, as in BudgetRaised.

    limits: with what people have approved; of a daily budget as far as its gate was asked, and what was spent of it
    then; None where it wasn't. by: what has drawn on it in this run, the most first.
    """

    gate: str
    whose: str
    policy: BudgetPolicy
    limits: Mapping[str, float]
    spent: Mapping[str, float] | None
    by: Sequence[Drawn]

    @property
    def words(self) -> str:
        """What it is called."""
        return budget_words(self.gate, self.whose)

    @property
    def call(self) -> Mapping[str, float]:
        """What another call takes at most, as far as that is known."""
        known = _plain(self.policy.call)
        return {name: known[name] for name in self.limits if known[name] and name != "calls"}

    @property
    def suggested(self) -> Mapping[str, float]:
        """What a person might approve: enough for another call, or a part of what was declared."""
        spent = self.spent or {}
        short = [
            name for name, most in self.limits.items() if name in spent and self._is_short(name, most, spent[name])
        ]
        return {
            name: self._enough(name, most, most if self.spent is None else self.spent[name])
            for name, most in self.limits.items()
            if not short or name in short
        }

    def _enough(self, name: str, most: float, spent: float) -> float:
        """What might be approved: also where calls have exceeded the budget."""
        part = most / PART_SUGGESTED if name == "usd" else most // PART_SUGGESTED
        return max(0, round(spent - most, 6)) + (self.call.get(name) or part or 1)

    def _is_short(self, name: str, most: float, spent: float) -> bool:
        need = 1 if name == "calls" else self.call.get(name, 0)
        return spent + need > most or spent >= most

    def to_dict(self) -> dict[str, Any]:
        """The budget as `inbox show --json` prints it."""
        document = {"gate": self.gate, "whose": self.whose, "daily": self.policy.daily, "limits": self.limits}
        by = [msgspec.to_builtins(one) for one in self.by]
        return {**document, "spent": self.spent, "call": self.call, "by": by}


def shortage(
    machine: Machine, step: str, attempts: Sequence[Attempt], at: AtGate | None = None, now_us: int = 0
) -> Shortage | None:
    """The budget that a step asks a person to raise; None where it asks something else.

    at: the gate of a daily budget as the journal has it now, which is changed; a run doesn't know where that stands.
    """
    n = machine.number[step]
    asked = machine.questions[n]
    policy, whose = machine.budget_at(asked.budget, machine.duty(n))
    if policy is None:
        return None
    ledger = machine.purse.ledger(whose)
    if policy.daily:
        ledger = _today(at, machine.gate_at(asked.budget, machine.duty(n)), now_us) if at else Ledger()
    limits = Amounts(*(limit(ledger, policy, name) or 0 for name in ("calls", "tokens", "usd")))
    bounded = {name: most for name, most in _plain(limits).items() if getattr(policy, name) is not None}
    spent = _plain(ledger.spent) if at or not policy.daily else None
    mine = [one for one in attempts if _draws(machine, one, whose)]
    return Shortage(asked.budget, whose, policy, bounded, spent, _summed(mine))


def _today(at: AtGate, policy: GatePolicy, now_us: int) -> Ledger:
    """Where a daily budget stands."""
    tell(at.gate, policy, at.outcomes)
    assert policy.budget is not None
    shortfall(at.gate.ledger, policy.budget, now_us)  # what was spent on another day doesn't count
    return at.gate.ledger


def _plain(amounts: Amounts) -> dict[str, float]:
    return {"usd": amounts.usd / USD_MICROS, "tokens": amounts.tokens, "calls": amounts.calls}


def _draws(machine: Machine, one: Attempt, whose: str) -> bool:
    declared = machine.plan.declared_id[machine.step(machine.number[one.step]).id]
    return whose in {"", SHARE, f"agent {one.agent}", f"step {declared}"} or whose.startswith("team ")


def _summed(attempts: Sequence[Attempt]) -> list[Drawn]:
    found: dict[tuple[str, str], Drawn] = {}
    for one in attempts:
        drawn = found.setdefault((one.step, one.agent), Drawn(one.step, one.agent))
        drawn.calls += 1
        if one.usage is not None:
            tokens = one.usage.input_tokens + one.usage.output_tokens
            drawn.tokens += tokens
            is_unknown = one.usage.usd is None and bool(tokens or one.usage.requests)
            drawn.usd = None if is_unknown or drawn.usd is None else drawn.usd + (one.usage.usd or 0)
    return sorted(found.values(), key=lambda one: (-(one.usd or 0), -one.tokens, -one.calls))
