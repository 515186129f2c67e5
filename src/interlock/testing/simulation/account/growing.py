"""What must be true of a plan that grows: when an agent decides about it, and what it may add."""

from itertools import combinations
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.extended import ExtendedRules
from interlock.core.grown import decoded
from interlock.core.states import TERMINAL
from interlock.core.step import Step

from .known import Known, StepAccount
from .progress import settle_new


def decision_called(run: Known, event: e.DecisionCalled) -> None:
    """An agent is to decide: nothing else is left to do, and it is within its bounds."""
    policy = run.rules.supervisor
    run.require("decisions", policy is not None, "{} is to decide, and nobody may", event.step)
    assert policy is not None
    left = [name for name, state in run.states.items() if state not in TERMINAL]
    run.require("decisions", not left, f"{event.step} is to decide, but not before {left[:3]}")
    groups = [name for name, one in run.steps.items() if run.name_of[one.number] == name]
    run.require_same("decisions", "what {} comes after", sorted(event.needs), sorted(groups), event.step)
    run.require("decisions", not run.finished, "{} is to decide after the last decision", event.step)
    spent = bounds_reached(run)
    run.require("decisions", not spent, "{} is to decide, but {}", event.step, spent)
    decision = Step(event.step, policy.agent, policy.action, event.needs, instructions=policy.instructions)
    run.added[event.step] = []
    _grow(run, [decision.deciding()])


def plan_revised(run: Known, event: e.PlanRevised) -> None:
    """The plan has what was decided right before, and nothing else."""
    before = run.events[-2]
    taken = isinstance(before, e.AttemptCommitted) and before.step == event.step and event.step in run.added
    run.require("decisions", taken, "the plan is revised without a decision of {}", event.step)
    decision: dict[str, Any] = msgspec.json.decode(before.output)  # type: ignore[union-attr]
    added = decoded(event.added)
    told = [(step.id, step.agent, step.action) for step in added]
    meant = [(one["id"], one["agent"], one["action"]) for one in decision.get("add") or []]
    run.require_same("decisions", "the steps that {} adds", told, meant, event.step)
    run.require_same("decisions", "whether {} finishes", event.finished, decision.get("finish") is not None, event.step)
    run.finished = event.finished
    if not added:
        return
    names = _grow(run, added)
    run.added[event.step] = names
    settle_new(run, names)
    _check_added(run, event.step, names)


def _check_added(run: Known, decision: str, names: list[str]) -> None:
    """That each comes after its decision, is allowed to its agent, and tramples on nobody."""
    policy = run.rules.supervisor
    assert policy is not None
    for name in names:
        one, step = run.steps[name], run.declared(run.steps[name])
        run.require("decisions", run.comes_after(name, [decision]), f"{name} doesn't come after {decision}")
        allowed = run.rules.roles[step.agent].scope.allowed_actions
        run.require("permissions", step.action in allowed, f"{step.agent} may not do {step.action} in {name}")
        run.require("decisions", step.agent != policy.agent, f"{decision} adds {name} for its own agent")
        run.require("once", one.attempt == 0, f"{name} is not new")
    for name, other in combinations(names, 2):
        if not run.comes_after(name, [other]) and not run.comes_after(other, [name]):
            shared = _shared(run, run.steps[name], run.steps[other])
            run.require("permissions", not shared, f"{name} and {other} may both write {shared} at the same time")
    count = sum(map(len, run.added.values()))
    run.require("decisions", count <= policy.steps_max, f"{count} steps are added, more than {policy.steps_max}")


def _shared(run: Known, one: StepAccount, other: StepAccount) -> str:
    if one.number == other.number:
        return ""
    reduced = run.rules.sharing.reducers
    pairs = ((a, b) for a in one.duty.writable.patterns for b in other.duty.writable.patterns)
    met = (paths.intersection(a, b) for a, b in pairs if a not in reduced and b not in reduced)
    return next((shared for shared in met if shared is not None), "")


def _grow(run: Known, added: list[Step]) -> list[str]:
    """Take new steps into the plan; their names."""
    first = len(run.steps) + 1
    run.rules = ExtendedRules(run.rules, added, first)
    run.plan = run.rules.plan
    numbers = range(first, len(run.plan.steps))
    names = [run.plan.steps[n].id for n in numbers]
    for n, name in zip(numbers, names, strict=True):
        run.require("plan", name not in run.steps, "there are two steps {}", name)
        run.steps[name] = StepAccount(n, run.rules.duties[n])
        run.name_of[n] = name
    run.ancestors += [0] * (first - len(run.ancestors))
    for n in numbers:
        seen = 1
        for need in run.plan.needs[n]:
            seen |= 1 << need | run.ancestors[need]
        run.ancestors.append(seen)
    return names


def bounds_reached(run: Known) -> str:
    """Which bound of the decisions is reached; "" while none is."""
    policy = run.rules.supervisor
    if policy is None:
        return ""
    if len(run.added) >= (1 if policy.ask == "start" else policy.decisions_max):
        return f"{len(run.added)} decisions were made"
    last = [*run.added.values()][-policy.no_progress_max :]
    fruitless = not any(run.steps[name].state == "committed" for names in last for name in names)
    return "nothing came of the last" if len(last) == policy.no_progress_max and fruitless else ""


def gave_up(run: Known) -> bool:
    """Whether the run fails because nobody may decide any more what is to be done."""
    policy = run.rules.supervisor
    if policy is None or run.finished or policy.then != "fail_run":
        return False
    return policy.ask != "start" and bool(bounds_reached(run))
