"""What a plan is estimated to consume: each step called once, at what the budget reserves for a call."""

from collections.abc import Iterator

import msgspec

from interlock.core.budget import USD_MICROS, BudgetPolicy
from interlock.core.plan import Plan
from interlock.team import Team
from interlock.team.gates import run_budget_of


class Estimate(msgspec.Struct, frozen=True):
    """calls: of every step and sample once, a for_each as one item, agent by agent."""

    calls: dict[str, int]

    @property
    def total(self) -> int:
        """Of all agents."""
        return sum(self.calls.values())


def estimate(plan: Plan) -> Estimate:
    """How often a plan calls each agent, if nothing is skipped and nothing is tried again."""
    calls: dict[str, int] = {}
    for step in plan.steps[1:]:
        if step.by_itself:
            continue
        calls[step.agent] = calls.get(step.agent, 0) + 1
    return Estimate(calls)


def excesses(plan: Plan, team: Team) -> Iterator[tuple[str, str]]:
    """Budgets of one run that the estimate exceeds: what it comes to, and what there is."""
    if team.budget is None and all(role.budget is None for role in team.roles.values()):
        return
    estimated = estimate(plan)
    yield from _excesses(estimated.total, run_budget_of(team.budget), "the plan", "a run")
    for agent, calls in estimated.calls.items():
        role = team.roles.get(agent)
        if role is not None:
            yield from _excesses(calls, role.budget, f"{agent} in the plan", f"{agent} in a run")


def _excesses(calls: int, budget: BudgetPolicy | None, who: str, whose: str) -> Iterator[tuple[str, str]]:
    if budget is None:
        return
    for name, most, need in budget.bounds:
        needed = calls * need
        if needed > most:
            yield f"{who} would take {_amount(name, needed)}", f"the budget of {whose}: {_amount(name, most)}"


def _amount(name: str, amount: int) -> str:
    return f"{amount / USD_MICROS:,.2f} US dollars" if name == "usd" else f"{amount:,} {name}"
