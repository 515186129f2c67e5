"""Whether what agents cost can be known, where a budget bounds them in US dollars.

The price of a model with a prompt is known before it is called, or else never: a budget over it that can't be kept is
refused. What functions and agents of frameworks cost is known when they tell it. Where a budget reserves dollars for
each call (`call: {usd: ...}`), one that tells of tokens or requests without their price is charged those; where it
doesn't, it bounds only what is told, and that is worth a warning. Who answers and tells nothing has used nothing.
"""

from collections.abc import Iterator, Mapping

from interlock.core.budget import BudgetPolicy
from interlock.core.role import Duty
from interlock.core.rules import Rules
from interlock.errors import UnknownPrice
from interlock.prices import has_list, is_listed

from .agent import Agent
from .model import Team
from .shapes import dotted

SOME_COST = "price: {input: 0.15, output: 0.60}"
NO_COST = "price: {input: 0, output: 0}"


def unpriced(agents: Mapping[str, Agent], rules: Rules) -> Iterator[UnknownPrice]:
    """The models that a budget in US dollars bounds, and whose price nobody knows."""
    for name, budgets in _bounded(rules).items():
        llm = agents[name].llm
        if llm is None or "price" in llm or is_listed(llm["model"].partition(":")[2]):
            continue
        place = ("agents", name, "llm", "model")
        words = next(iter(budgets))
        message = f"{dotted(place)}: what {llm['model']} costs isn't known, and {words} is in dollars"
        yield UnknownPrice(message, fix=_fix(llm["model"]), place=place, agents=(name,))


def refuse_unpriced(team: Team) -> None:
    """Raise UnknownPrice, in file and line, where there is such a model."""
    if problems := [team.locate(problem) for problem in unpriced(team.agents, team.rules)]:
        raise UnknownPrice.of(problems)


def _fix(model: str) -> str:
    declare = (
        "declare its price beside model, in dollars per million tokens, such as price: {input: 0.15, output: 0.60}"
    )
    if model.startswith("local:"):
        return f"declare its price beside model; if it costs you nothing: {NO_COST}"
    return declare if has_list() else f"{declare}; or get a price list: pip install 'interlock[prices]'"


def uncertain(agents: Mapping[str, Agent], rules: Rules) -> dict[str, str]:
    """Agents that may not tell what they cost, and the budget in US dollars that then doesn't bound them, in words."""
    found: dict[str, str] = {}
    for name, budgets in _bounded(rules).items():
        agent = agents[name]
        declared = getattr(agent, agent.kind or "use")
        has_price = isinstance(declared, Mapping) and "price" in declared
        loose = [words for words, budget in budgets.items() if not budget.call_usd]
        if agent.kind not in {"llm", "choose", "team"} and not has_price and loose:
            found[name] = loose[0]
    return found


def _bounded(rules: Rules) -> dict[str, dict[str, BudgetPolicy]]:
    """Agent -> the budgets in US dollars that its calls draw on, by what they are called."""
    found: dict[str, dict[str, BudgetPolicy]] = {}
    for duties in rules.duties:
        for duty in duties:
            for words, budget in _drawn_on(duty, rules):
                if budget is not None and budget.usd is not None:
                    found.setdefault(duty.agent, {})[words] = budget
    return found


def _drawn_on(duty: Duty, rules: Rules) -> Iterator[tuple[str, BudgetPolicy | None]]:
    for _, whose, budget in duty.budgets:
        yield f"the budget of {whose or 'the run'}", budget
    yield f"the daily budget of agent {duty.agent}", duty.gate.budget
    yield "the team's daily budget", rules.gate.budget
