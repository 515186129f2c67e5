"""What calls have drawn on the budgets of a run, and by how much people have raised them: by plain counting."""

from interlock.core.budget import BudgetPolicy
from interlock.core.events import BudgetRaised


class BudgetAccount:
    """What calls have drawn on one budget of a run. usd: in millionths of a dollar."""

    def __init__(self) -> None:
        self.calls = self.tokens = self.usd = 0
        # What is set aside for calls in flight, and for runs that do a step.
        self.held_calls = self.held_tokens = self.held_usd = 0
        # For how many of them that is: each makes a call at least, as far as anybody knows.
        self.holders = 0
        # What people have approved beside what is declared.
        self.more_calls = self.more_tokens = self.more_usd = 0

    def lacks(self, budget: BudgetPolicy, *, at_best: bool = False) -> str:
        """What there is too little of for another call; "" where there is enough.

        at_best: even if what is set aside comes back, but for one call of each.
        """
        calls = self.calls + (self.holders if at_best else self.held_calls) + budget.call_calls
        if budget.calls is not None and calls > budget.calls + self.more_calls:
            return "calls"
        for name, spent, held, most, more, call in (
            ("tokens", self.tokens, self.held_tokens, budget.tokens, self.more_tokens, budget.call_tokens),
            ("dollars", self.usd, self.held_usd, budget.usd, self.more_usd, budget.call_usd),
        ):
            taken = spent if at_best else spent + held
            if most is not None and (taken + call > most + more or (not call and spent >= most + more)):
                return name
        return ""

    def hold(self, budget: BudgetPolicy, times: int = 1) -> None:
        """What a call may consume is set aside; or it is no more, where `times` is -1."""
        self.holders += times
        self.held_calls += times * budget.call_calls
        self.held_tokens += times * budget.call_tokens
        self.held_usd += times * budget.call_usd

    def hold_more(self, calls: int, tokens: int, usd: int) -> None:
        """More is set aside for a run that goes on."""
        self.held_calls += calls
        self.held_tokens += tokens
        self.held_usd += usd

    def exceeds(self, budget: BudgetPolicy, *more: int) -> str:
        """Of which of the three that were to be more there is too little; "" where there is enough."""
        for name, added, taken, most in zip(
            ("calls", "tokens", "dollars"),
            more,
            (self.calls + self.held_calls, self.tokens + self.held_tokens, self.usd + self.held_usd),
            _limits(budget, self),
            strict=True,
        ):
            if added and most is not None and taken > most:
                return name
        return ""

    def raised(self, event: BudgetRaised) -> None:
        """A person has approved more."""
        self.more_calls += event.calls
        self.more_tokens += event.tokens
        self.more_usd += event.usd


def _limits(budget: BudgetPolicy, account: BudgetAccount) -> list[int | None]:
    declared = (budget.calls, budget.tokens, budget.usd)
    raised = (account.more_calls, account.more_tokens, account.more_usd)
    return [None if most is None else most + more for most, more in zip(declared, raised, strict=True)]


def wrong_with(event: BudgetRaised, budget: BudgetPolicy | None, whose: str) -> str:
    """Why a budget can't have been raised so; "" if it can. budget, whose: what the step draws on at that gate."""
    if budget is None or not budget.asks:
        return f"no {event.budget} asks a person for more"
    if event.whose != whose:
        return f"it is that of {whose or 'all'}, not of {event.whose or 'all'}"
    if not event.by.startswith("person:"):
        return f"{event.by} is no person"
    amounts = {name: getattr(event, name) for name in ("calls", "tokens", "usd")}
    if min(amounts.values()) < 0 or not any(amounts.values()):
        return f"{amounts} is not more"
    unbound = [name for name, amount in amounts.items() if amount and getattr(budget, name) is None]
    return f"it doesn't bound {unbound[0]}" if unbound else ""
