"""What must be true of a plan that grows: when an agent decides about it, and what it may add."""

from itertools import combinations, pairwise
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
    undecided = [name for name in left if name in run.added]
    early = undecided if policy.ask == "each" and not event.reason else left
    run.require("decisions", not early, f"{event.step} is to decide, but not before {early[:3]}")
    groups = [name for name, one in run.steps.items() if run.name_of[one.number] == name and name not in left]
    run.require_same("decisions", "what {} comes after", sorted(event.needs), sorted(groups), event.step)
    done = {name for name in groups if run.states[name] in {"committed", "dead"}}
    news = done - {*run.added} - {*run.known_to.get([*run.added][-1] if run.added else "", ())}
    run.require("decisions", news or not left, f"{event.step} is to decide, and nothing has ended since")
    run.require("decisions", not run.finished, "{} is to decide after the last decision", event.step)
    spent = bounds_reached(run)
    if event.reason:
        asks = spent and policy.then == "escalate"
        run.require("decisions", asks, "a person is to decide in {}, within its bounds", event.step)
        run.handed.add(event.step)
    else:
        run.require("decisions", not spent, "{} is to decide, but {}", event.step, spent)
    run.known_to[event.step] = groups
    decision = Step(event.step, policy.agent, policy.action, event.needs, instructions=policy.instructions)
    run.added[event.step] = []
    goes_on = "continue" if policy.otherwise and run.approval is None else None
    _grow(run, [msgspec.structs.replace(decision.deciding(), on_dead=goes_on)])
    run.steps[event.step].given_up = bool(event.reason)


def plan_revised(run: Known, event: e.PlanRevised) -> None:
    """The plan has what was decided right before, and nothing else."""
    if event.otherwise:
        _last_resort(run, event)
        return
    commits = (one for one in reversed(run.events) if isinstance(one, e.AttemptCommitted) and one.step == event.step)
    before = next(commits, None)
    taken = event.step in run.added and event.step not in run.revised
    run.require("decisions", before and taken, "the plan is revised without a decision of {}", event.step)
    assert before is not None
    run.revised.add(event.step)
    decision: dict[str, Any] = msgspec.json.decode(before.output)
    added = decoded(event.added)
    told = [(step.id, step.agent, step.action) for step in added]
    meant = [(one["id"], one["agent"], one["action"]) for one in decision.get("add") or []]
    run.require_same("decisions", "the steps that {} adds", told, meant, event.step)
    run.require_same("decisions", "whether {} finishes", event.finished, decision.get("finish") is not None, event.step)
    run.finished = event.finished
    for name in event.dropped:
        one = run.step(name)
        wanted = event.finished or run.name_of[one.number] in _names(run, decision.get("drop") or [])
        run.require("decisions", wanted, "{} is dropped, which {} has not said", name, event.step)
        run.require("decisions", one.state == "waiting", "{} is dropped although it is {}", name, one.state)
        run.dropped.add(name)
    if not added:
        return
    names = _grow(run, added)
    run.added[event.step] = names
    settle_new(run, names)
    _check_added(run, event.step, names)


def _names(run: Known, declared: list[str]) -> set[str]:
    """The steps that declared ones stand for: themselves, or their samples."""
    return {run.plan.steps[n].id for name in declared for n in run.plan.groups[name]}


def _last_resort(run: Known, event: e.PlanRevised) -> None:
    """The plan is taken that is declared for a planner whose proposals could not be."""
    policy, lost = run.rules.supervisor, run.steps[event.step].state == "dead"
    assert policy is not None
    run.require("decisions", lost and not run.added[event.step], "{} is replaced, and is not given up", event.step)
    told, meant = [step.id for step in decoded(event.added)], [step.id for step in policy.last_resort]
    run.require_same("decisions", "the plan that is taken in place of {}", told, meant, event.step)
    names = _grow(run, decoded(event.added))
    run.added[event.step] = names
    settle_new(run, names)


def _check_added(run: Known, decision: str, names: list[str]) -> None:
    """That each comes after its decision, is allowed to its agent, and tramples on nobody."""
    policy = run.rules.supervisor
    assert policy is not None
    for name in names:
        one, step = run.steps[name], run.declared(run.steps[name])
        run.require("decisions", run.comes_after(name, [decision]), f"{name} doesn't come after {decision}")
        allowed = run.rules.roles[step.agent].scope.allowed_actions
        run.require("permissions", step.action in allowed, f"{step.agent} may not do {step.action} in {name}")
        own = step.agent == policy.agent and (decision, run.steps[decision].attempt) not in run.drafted
        run.require("decisions", not own, f"{decision} adds {name} for its own agent")
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
    if policy.ask == "each":
        last = _windows(run)[-policy.no_progress_max :]
    fruitless = not any(run.steps[name].state == "committed" for names in last for name in names)
    return "nothing came of the last" if len(last) == policy.no_progress_max and fruitless else ""


def _windows(run: Known) -> list[list[str]]:
    """What ended between each decision and the next."""
    known = [{*names} for names in run.known_to.values()]
    ended = {name for name, one in run.steps.items() if run.name_of[one.number] == name and one.state in TERMINAL}
    return [[*after - before - {*run.added}] for before, after in pairwise([*known, ended])]


def gave_up(run: Known) -> bool:
    """Whether the run fails because nobody may decide any more what is to be done."""
    policy = run.rules.supervisor
    if policy is None or run.finished or policy.then != "fail_run":
        return False
    return policy.ask != "start" and bool(bounds_reached(run))
