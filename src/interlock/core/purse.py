"""The money of one run: what its calls have consumed, and what is left for them in the run's own budgets."""

from collections import defaultdict
from typing import Any

import msgspec

from .budget import (
    NOTHING,
    NOTHING_USED,
    RESERVED_WAIT_US,
    Amounts,
    BudgetPolicy,
    Ledger,
    is_only_reserved,
    raise_by,
    reserve,
    reserve_more,
    settle,
    settle_late,
    shortfall,
)
from .job import Usage

# Of a duty: (the gate that it is, whose it is, how much); a call draws on each of them.
Budgets = tuple[tuple[str, str, BudgetPolicy], ...]
# The gate that keeps a call away where others have set aside what it lacks, and may leave it.
RESERVATION = "run_reservation"


class Cost(msgspec.Struct, frozen=True):
    """What a run has consumed. usd is None as soon as one price is unknown."""

    usd: float | None
    tokens: int
    calls: int


class Purse:
    """What was drawn, by events alone. ledgers: whose budget -> where it stands."""

    def __init__(self) -> None:
        self.ledgers: defaultdict[str, Ledger] = defaultdict(Ledger)
        self._calls = self._input_tokens = self._output_tokens = self._requests = 0
        self._usd = 0.0
        self._price_unknown = False
        self._drawn: dict[tuple[int, int], Budgets] = {}
        self._aside: defaultdict[str, Amounts] = defaultdict(Amounts)

    @property
    def cost(self) -> Cost:
        """What the run has consumed so far."""
        tokens = self._input_tokens + self._output_tokens
        return Cost(None if self._price_unknown else self._usd, tokens, self._calls)

    @property
    def usage(self) -> Usage:
        """The same, as that of one call."""
        usd = None if self._price_unknown else self._usd
        return Usage(self._input_tokens, self._output_tokens, usd, requests=self._requests)

    def lacking(self, budgets: Budgets, at_us: int) -> tuple[Any, ...]:
        """What keeps a call away: the gate, why, and when to ask again if that helps; empty where nothing does."""
        for gate, whose, budget in budgets:
            ledger = self.ledgers[whose]
            lacks = shortfall(ledger, budget, at_us)
            if lacks and is_only_reserved(ledger, budget):
                return RESERVATION, f"{whose or 'the run'}: {lacks} for now", at_us + RESERVED_WAIT_US
            if lacks:
                return gate, f"{whose or 'the run'}: {lacks}"
        return ()

    def awaited(self, budgets: Budgets, at_us: int) -> Budgets:
        """The budgets up to the first that lacks something, if others have only set that aside; else none of them."""
        for count, (_, whose, budget) in enumerate(budgets, 1):
            ledger = self.ledgers[whose]
            if shortfall(ledger, budget, at_us, self._aside.get(whose, NOTHING)):
                return budgets[:count] if is_only_reserved(ledger, budget) else ()
        return ()

    def ledger(self, whose: str) -> Ledger:
        """Where a budget stands; at its beginning, where no call has drawn on it."""
        return self.ledgers.get(whose) or Ledger()

    def raise_by(self, whose: str, budget: BudgetPolicy, more: Amounts, at_us: int) -> None:
        """A person has approved more of a budget."""
        raise_by(self.ledgers.setdefault(whose, Ledger()), budget, more, at_us)

    def draw(self, n: int, attempt: int, budgets: Budgets, calls: int = 1) -> None:
        """A call begins: what it may consume is set aside. calls: 0 for a run, which tells its own at its end."""
        self._calls += calls
        if budgets:
            self._drawn[n, attempt] = budgets
        for _, whose, budget in budgets:
            reserve(self.ledgers[whose], budget)

    def draw_more(self, n: int, attempt: int, budgets: Budgets, more: Amounts) -> None:
        """More is set aside for a run that does a step. budgets: what it draws on, with that."""
        self._drawn[n, attempt] = budgets
        for _, whose, _ in budgets:
            reserve_more(self.ledgers[whose], more)

    def set_aside(self, budgets: Budgets) -> None:
        """What a call may consume is kept from those that wait, though it may never be made."""
        for _, whose, budget in budgets:
            self._aside[whose].add(budget.call)

    def give_back(self, budgets: Budgets) -> None:
        """What was set aside for a call is there for others."""
        for _, whose, budget in budgets:
            self._aside[whose].add(budget.call, -1)

    def settle(self, budgets: Budgets, usage: Usage | None, at_us: int) -> None:
        """A call has ended. usage: None where nobody knows what it consumed."""
        if usage is not None:
            self._charge(usage)
        for _, whose, budget in budgets:
            settle(self.ledgers[whose], budget, usage, at_us)

    def settle_run(self, budgets: Budgets, usage: Usage, calls: int, at_us: int) -> None:
        """A run that has done a step has ended."""
        self._calls += calls
        self._charge(usage)
        for _, whose, budget in budgets:
            settle(self.ledgers[whose], budget, usage, at_us, calls)

    def settle_late(self, n: int, attempt: int, usage: Usage | None, at_us: int) -> None:
        """A call has told what it consumed after it was given up. By now another agent may do its step."""
        if usage is not None:
            self._charge(usage)
        for _, whose, budget in self._drawn.get((n, attempt), ()):
            settle_late(self.ledgers[whose], budget, usage or NOTHING_USED, at_us)

    def settle_late_run(self, n: int, attempt: int, usage: Usage, calls: int, at_us: int) -> None:
        """A run has ended for which its step has not waited any more."""
        self._calls += calls
        self._charge(usage)
        for _, whose, budget in self._drawn.get((n, attempt), ()):
            settle_late(self.ledgers[whose], budget, usage, at_us, calls)

    def _charge(self, usage: Usage) -> None:
        self._input_tokens += usage.input_tokens
        self._output_tokens += usage.output_tokens
        self._requests += usage.requests
        if usage.usd is not None:
            self._usd += usage.usd
        elif usage.input_tokens or usage.output_tokens or usage.requests:
            self._price_unknown = True
