"""What a plan takes at least and at most: calls, time and cost. What nothing bounds is None, never a guess.

Counted is what the plan and its agents declare. Not counted is what only happens while a run goes on: calls that a
crash makes necessary again, what people have tried once more, and waiting: for room, at gates, for people, for effects,
and as long as a failed server asks for. A step that waits takes as long as it declares.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from interlock.core.budget import USD_MICROS, BudgetPolicy
from interlock.core.role import Duty
from interlock.core.rules import Rules

from .agent import Agent
from .outline import Outline, StepOutline

MILLION = 1_000_000


class Cap(msgspec.Struct, frozen=True):
    """The most that may be consumed. by: what bounds it. exact: no call may exceed it.

    unbounded: the agents that nothing bounds, where `most` is None.
    """

    most: float | None
    by: str = ""
    exact: bool = True
    unbounded: tuple[str, ...] = ()


class Way(msgspec.Struct, frozen=True):
    """The steps that follow one another and take longest if each attempt does.

    most_ms: how long. grows: those of them that may take longer, since not all of
    their items run at a time, and nobody knows how many there are. open: the waits
    of the plan, on this way or not, of which nobody knows how long they last.
    """

    steps: tuple[str, ...]
    most_ms: int
    grows: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


class Estimates(msgspec.Struct, frozen=True):
    """What a plan takes; a step of a nested team, what that team's plan takes.

    calls_least: if nothing is refused or fails. calls: the most. calls_per_copy: of the for_each steps whose items
    nobody knows, how many calls each copy takes, by the step's id; calls_besides: of all others. copies_max: how many
    copies a for_each may have. way: the longest.
    """

    calls_least: int
    calls: Cap
    calls_besides: int
    calls_per_copy: Mapping[str, int]
    copies_max: int
    way: Way
    tokens: Cap
    usd: Cap


def estimated(outline: Outline, rules: Rules, agents: Mapping[str, Agent], nested: "Nested | None" = None) -> Estimates:
    """The estimates of a plan, for what is known of its request. nested: those of the agents that are teams."""
    per_copy: dict[str, int] = {}
    besides = 0
    nested = nested or {}
    for step in outline.steps:
        most = calls_of(step, rules, nested) or 0
        if step.copies is not None:
            besides += most * step.copies * (step.runs != "no")
        else:
            per_copy[step.id] = most
    return Estimates(
        calls_least=sum(map(partial(_least_calls, nested=nested), outline.steps)),
        calls=_cap("calls", outline, rules, agents, nested),
        calls_besides=besides,
        calls_per_copy=per_copy,
        copies_max=rules.limits.for_each_width_max,
        way=_longest(outline, rules, nested),
        tokens=_cap("tokens", outline, rules, agents, nested),
        usd=_cap("usd", outline, rules, agents, nested),
    )


# By agent: what the plan of the team takes that it is.
Nested = Mapping[str, Estimates]
_NO_TEAMS: Nested = {}


# --- calls and time ---


def duties_of(step: StepOutline, rules: Rules) -> tuple[Duty, ...]:
    """Who does a step: its agent, then those that stand in; nobody, where it waits."""
    return () if not step.agents else rules.duties[rules.plan.groups[step.id][0]]


def calls_of(step: StepOutline, rules: Rules, nested: Nested = _NO_TEAMS) -> int | None:
    """How many calls one copy of a step takes at most, those of judges included; None where nothing bounds a team's."""
    calls = [_calls(duty, rules, nested) for duty in duties_of(step, rules)]
    return None if None in calls else sum(filter(None, calls))


def _calls(duty: Duty, rules: Rules, nested: Nested) -> int | None:
    once: float | None = 1
    if duty.agent in nested:
        budget = rules.roles[duty.agent].budget
        bounds = (nested[duty.agent].calls.most, None if budget is None else budget.calls)
        once = min((bound for bound in bounds if bound is not None), default=None)
    return None if once is None else _tries(duty) * (int(once) + sum(map(_tries, _judges(duty))))


def _least_calls(step: StepOutline, nested: Nested) -> int:
    if step.runs != "yes" or not step.agents or step.reconciles:
        return 0
    first = step.agents[0]
    return (step.copies or 0) * (nested[first].calls_least if first in nested else 1)


def _judges(duty: Duty) -> Iterator[Duty]:
    return (judge for bench in duty.judges.values() for judge in bench)


def _tries(duty: Duty) -> int:
    return 1 + duty.policy.retries


def most_ms_of(step: StepOutline, rules: Rules, nested: Nested = _NO_TEAMS) -> int:
    """How long one copy of a step takes at most, from its first call on; what waits without a bound, no time."""
    if step.waits:
        return rules.waits[rules.plan.groups[step.id][0]].ms
    return sum(_most_ms(duty, nested) for duty in duties_of(step, rules))


def is_open(step: StepOutline, rules: Rules, nested: Nested = _NO_TEAMS) -> bool:
    """Whether nobody knows how long a step takes, since it waits, or a nested team does."""
    if step.waits:
        return not most_ms_of(step, rules)
    duties = duties_of(step, rules) if nested else ()
    return any(nested[d.agent].way.open and not d.policy.timeout_ms for d in duties if d.agent in nested)


def _once_ms(duty: Duty, nested: Nested) -> int:
    if duty.agent not in nested:
        return duty.policy.timeout_ms
    way, timeout_ms = nested[duty.agent].way, duty.policy.timeout_ms
    bounded = timeout_ms and (way.open or timeout_ms < way.most_ms)
    return timeout_ms if bounded else way.most_ms


def _most_ms(duty: Duty, nested: Nested) -> int:
    policy = duty.policy
    once = _once_ms(duty, nested) + sum(_most_ms(judge, nested) for judge in _judges(duty))
    whole = _tries(duty) * once + sum(map(policy.wait_after, range(1, _tries(duty))))
    return min(whole, policy.retry_for_ms + once) if policy.retry_for_ms else whole


def _longest(outline: Outline, rules: Rules, nested: Nested) -> Way:
    """The way through the plan that takes longest."""
    took: dict[str, int] = {}
    before: dict[str, str] = {}
    for step in outline.steps:
        latest = max(step.needs, key=took.__getitem__, default="")
        before[step.id] = latest
        took[step.id] = took.get(latest, 0) + _rounds(step) * most_ms_of(step, rules, nested)
    last = max(took, key=took.__getitem__, default="")
    most_ms, way = took.get(last, 0), list[str]()
    while last:
        way.append(last)
        last = before[last]
    skipped = {step.id for step in outline.steps if step.runs == "no"}
    grows = {step.id for step in outline.steps if step.copies is None and step.width}
    steps = tuple(name for name in reversed(way) if name not in skipped)
    open_ = tuple(step.id for step in outline.steps if step.runs != "no" and is_open(step, rules, nested))
    return Way(steps, most_ms, tuple(name for name in steps if name in grows), open_)


def _rounds(step: StepOutline) -> int:
    """How often the copies that run at a time follow one another; once, where nobody knows how many there are."""
    if step.copies is None:
        return int(step.runs != "no")
    return -(-step.copies // (step.width or step.copies or 1)) if step.runs != "no" else 0


# --- what is consumed ---


def _cap(what: str, outline: Outline, rules: Rules, agents: Mapping[str, Agent], nested: Nested) -> Cap:
    """The most calls, tokens or dollars that a run may consume."""
    scale = USD_MICROS if what == "usd" else 1
    bounds = _budgets(what, (("the budget of the run", rules.budget), ("the team's daily budget", rules.gate.budget)))
    summed, unbounded = _of_agents(what, outline, rules, agents, nested)
    if not unbounded:
        bounds.append((summed, "", True))
    if not bounds:
        return Cap(None, unbounded=unbounded)
    most, by, exact = min(bounds, key=lambda bound: bound[0])
    return Cap(most / scale if scale > 1 else most, by, exact)


def _budgets(what: str, named: Iterable[tuple[str, BudgetPolicy | None]]) -> list[tuple[int, str, bool]]:
    """The budgets that bound it: how much, by what name, and whether no call exceeds it; but who asks may get more."""
    return [
        (getattr(budget, what), name, getattr(budget.call, what) > 0)
        for name, budget in named
        if budget is not None and getattr(budget, what) is not None and not budget.asks
    ]


def _of_agents(
    what: str, outline: Outline, rules: Rules, agents: Mapping[str, Agent], nested: Nested
) -> tuple[int, tuple[str, ...]]:
    """What all agents may consume together, and those of which nobody knows."""
    total: dict[str, int | None] = {}
    for step in outline.steps:
        for duty in duties_of(step, rules) if step.runs != "no" else ():
            for one, calls in _callers(duty):
                inner = nested.get(one.agent)
                call = (
                    _of_call(what, one, rules, agents[one.agent])
                    if inner is None
                    else _of_team(what, one, rules, inner)
                )
                amount = None if call is None or step.copies is None else call * calls * step.copies
                amount = _least(amount, what, (budget for kind, _, budget in one.budgets if kind == "step_budget"))
                so_far = total.get(one.agent, 0)
                total[one.agent] = None if amount is None or so_far is None else so_far + amount
    for name, amount in total.items():
        role = rules.roles[name]
        total[name] = _least(amount, what, (role.budget, role.gate.budget))
    unbounded = tuple(name for name, amount in total.items() if amount is None)
    return sum(amount or 0 for amount in total.values()), unbounded


def _least(amount: int | None, what: str, budgets: Iterable[BudgetPolicy | None]) -> int | None:
    """The least of an amount and what these budgets let nobody exceed; None where nothing bounds it."""
    exact = [most for most, _, is_exact in _budgets(what, (("", budget) for budget in budgets)) if is_exact]
    return min(exact if amount is None else [amount, *exact], default=None)


def _callers(duty: Duty) -> Iterator[tuple[Duty, int]]:
    """An agent and its judges, each with the calls of it that one copy of a step takes at most."""
    yield duty, _tries(duty)
    for judge in _judges(duty):
        yield judge, _tries(duty) * _tries(judge)


def _of_call(what: str, duty: Duty, rules: Rules, agent: Agent) -> int | None:
    """What one call may consume: as the budgets declare that it draws on, else as its price lets it."""
    if what == "calls" or agent.choose is not None:
        return int(what == "calls")
    budgets = [budget for _, _, budget in duty.budgets]
    budgets += [budget for budget in (duty.gate.budget, rules.gate.budget) if budget is not None]
    declared: list[int] = [amount for budget in budgets if (amount := getattr(budget.call, what))]
    if declared:
        return min(declared)
    return _by_price(budgets, agent) if what == "usd" else None


def _of_team(what: str, duty: Duty, rules: Rules, inner: Estimates) -> int | None:
    """What one run of a nested team may consume: as its plan takes, or its budget here lets it."""
    most, budget = getattr(inner, what).most, rules.roles[duty.agent].budget
    planned = None if most is None else round(most * (USD_MICROS if what == "usd" else 1))
    bounds = (planned, None if budget is None else getattr(budget, what))
    return min((bound for bound in bounds if bound is not None), default=None)


def _by_price(budgets: Iterable[BudgetPolicy], agent: Agent) -> int | None:
    """The tokens that a call may have, at the highest price that is declared."""
    declared: Any = getattr(agent, agent.kind) if agent.kind else None
    price = declared.get("price") if isinstance(declared, Mapping) else None
    if not isinstance(price, Mapping):
        return None
    dearest: float = max(price.values(), default=0.0)
    tokens = [budget.call_tokens for budget in budgets if budget.call_tokens]
    if not dearest:
        return 0
    return round(min(tokens) * dearest * USD_MICROS / MILLION) if tokens else None
