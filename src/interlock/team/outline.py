"""A plan before it runs: its steps with their levels, and what is certain of them for a request.

Declared steps are told, as a person wrote them: samples and items are one step here. What a request makes certain is
what no step that comes before may change: a condition on it holds or doesn't, a list there has so many items.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from interlock.core.conditions import holds
from interlock.core.context import Bank
from interlock.core.plan import Plan
from interlock.core.races import Writers
from interlock.core.rules import Rules
from interlock.core.step import Step

Runs = Literal["yes", "maybe", "no"]


class StepOutline(msgspec.Struct, frozen=True, kw_only=True):
    """One declared step.

    agents: who does it, then those that stand in, in their order; nobody where it waits or reconciles. waits: what it
    waits for. reconciles: what, and who decides about contradictions.
    level: how many steps follow one another up to it, itself included. copies: how many of it there are; None for as
    many as a list has items that nobody knows yet.
    requested_by: as (step, action), where it is a branch. runs: whether it does, if no step is given up; why: what that
    hangs on, or what keeps it from running. asks: whether a person is asked before it is given up. nested: the plans of
    those of its agents that are teams, by agent.
    """

    id: str
    agents: tuple[str, ...]
    action: str
    waits: str
    reconciles: str
    level: int
    needs: tuple[str, ...]
    writes: tuple[str, ...]
    copies: int | None
    samples: int
    for_each: str | None
    width: int
    batch: int
    when: str
    requested_by: tuple[tuple[str, str], ...]
    join: str
    on_dead: str
    asks: bool
    runs: Runs
    why: str
    nested: Mapping[str, "Outline"] = {}


class Decides(msgspec.Struct, frozen=True):
    """Who decides about the plan. before: before anything else. times, steps: how often, and what is added, at most."""

    agents: tuple[str, ...]
    before: bool
    times: int
    steps: int


class Outline(msgspec.Struct, frozen=True):
    """All steps of a plan, in plan order. decides: who adds others."""

    steps: tuple[StepOutline, ...]
    decides: Decides | None = None

    @classmethod
    def of(
        cls,
        rules: Rules,
        request: Mapping[str, Any] | None = None,
        nested: Mapping[str, "Outline"] | None = None,
    ) -> "Outline":
        """The outline of a plan. nested: those of the agents that are teams. Raises InputError for a wrong request."""
        drawn: dict[str, StepOutline] = {}
        foresight = _Foresight(rules, request)
        requesters = _requesters(rules.plan)
        for step in _in_plan_order(rules.plan):
            one = _outlined(step, rules, drawn, foresight, requesters.get(step.id, ()))
            teams = {agent: nested[agent] for agent in one.agents if agent in nested} if nested else {}
            drawn[step.id] = msgspec.structs.replace(one, nested=teams) if teams else one
        return cls(tuple(drawn.values()), _decides(rules))

    @property
    def levels(self) -> list[list[StepOutline]]:
        """The steps by level: those of one can't be in each other's way."""
        levels: list[list[StepOutline]] = [[] for _ in range(max((step.level for step in self.steps), default=0))]
        for step in self.steps:
            levels[step.level - 1].append(step)
        return levels


def _decides(rules: Rules) -> Decides | None:
    policy = rules.supervisor
    if policy is None:
        return None
    return Decides(rules.chain(policy.agent), policy.ask == "start", policy.asked_at_most, policy.steps_max)


def _in_plan_order(plan: Plan) -> Iterator[Step]:
    """The declared steps, each after all that it needs."""
    declared = {step.id: step for step in plan.declared}
    for name in dict.fromkeys(plan.declared_id[step.id] for step in plan.steps[1:]):
        yield declared[name]


def _requesters(plan: Plan) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for step in plan.declared:
        for action, branch in step.on_request.items():
            named = plan.declared_id.get(branch, branch)
            found[named] = (*found.get(named, ()), (step.id, action))
    return found


class _Foresight:
    """What a request makes certain."""

    def __init__(self, rules: Rules, request: Mapping[str, Any] | None) -> None:
        self._plan = rules.plan
        self._bank: Bank | None = None
        if request is not None:
            self._bank = Bank(rules.plan, rules.sharing.reducers, rules.limits)
            self._bank.commit_request(msgspec.Raw(rules.encode_request(request)))
            self._writers = Writers([(), *(rules.may_write(step) for step in rules.plan.steps[1:])], {})

    def sees(self, path: str, n: int) -> Bank | None:
        """The bank as step n will find it at a path; None where that isn't certain yet."""
        if self._bank is None or self._writers.meeting(path) & self._plan.ancestors[n]:
            return None
        return self._bank

    def items(self, step: Step, n: int) -> int | None:
        """How many copies a for_each makes. Of what is no list, none: the step is given up."""
        path = step.for_each
        assert path is not None
        bank = self.sees(path, n)
        if bank is None:
            return None
        try:
            found = bank.value(path, self._plan.ancestors[n])
        except KeyError:
            return 0
        return len(step.batched(found)) if isinstance(found, list) else 0

    def condition(self, step: Step, n: int) -> bool | None:
        """Whether the condition of a step holds."""
        assert step.when is not None
        bank = self.sees(step.when.path, n)
        return None if bank is None else holds(step.when, bank, self._plan.ancestors[n])


def _outlined(
    step: Step,
    rules: Rules,
    before: Mapping[str, StepOutline],
    foresight: _Foresight,
    requested_by: tuple[tuple[str, str], ...],
) -> StepOutline:
    plan = rules.plan
    n = plan.groups[step.id][0]
    needs = tuple(dict.fromkeys(plan.declared_id[plan.steps[need].id] for need in plan.needs[n]))
    runs, why = _runs(step, n, [before[need] for need in needs], foresight, requested_by)
    copies: int | None = step.samples or 1
    if step.for_each is not None:
        copies = 0 if runs == "no" else foresight.items(step, n)
    return StepOutline(
        id=step.id,
        agents=() if step.by_itself else tuple(duty.agent for duty in rules.duties[n]),
        action=step.action,
        waits=rules.waits[n].described if step.waits else "",
        reconciles="" if step.reconcile is None else rules.reconciles[n].described,
        level=1 + max((before[need].level for need in needs), default=0),
        needs=needs,
        writes=rules.may_write(step),
        copies=copies,
        samples=step.samples,
        for_each=step.for_each,
        width=step.width,
        batch=step.batch,
        when="" if step.when is None else str(step.when),
        requested_by=requested_by,
        join=step.join,
        on_dead=rules.on_dead[n],
        asks=rules.escalations[n] is not None,
        runs=runs,
        why=why,
    )


def _runs(
    step: Step,
    n: int,
    needs: list[StepOutline],
    foresight: _Foresight,
    requested_by: tuple[tuple[str, str], ...],
) -> tuple[Runs, str]:
    """Whether a step runs, and what that hangs on."""
    if needs and all(need.runs == "no" for need in needs):
        return "no", "all that it needs is skipped"
    held = None if step.when is None else foresight.condition(step, n)
    if held is False:
        return "no", f"{step.when} does not hold"
    reasons = [f"{name} requests {action}" for name, action in requested_by]
    if step.when is not None and held is None:
        reasons.append(str(step.when))
    if needs and all(need.runs != "yes" for need in needs):
        reasons.append("one that it needs runs")
    return ("maybe", "; ".join(reasons)) if reasons else ("yes", "")
