"""A whole plan that an agent proposes, held against the team and proved like the plan of a team file."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from interlock.core import proposal
from interlock.core.bounds import DEFAULT_BOUNDS, Bounds
from interlock.core.flaws import Flaws
from interlock.core.plan import Plan
from interlock.core.step import Step
from interlock.errors import TeamError
from interlock.team import Team

from .estimate import estimate, excesses


def validated(raw: bytes | Mapping[str, Any], team: Team, bounds: Bounds = DEFAULT_BOUNDS) -> Plan:
    """The plan that is proposed, held against the team. Raises ProposalRefused with all that is wrong, bounded."""
    plan = planned(raw, team, bounds).plan
    assert plan is not None
    return plan


def planned(raw: bytes | Mapping[str, Any], team: Team, bounds: Bounds = DEFAULT_BOUNDS) -> Team:
    """The team under the plan that is proposed, proved. Raises ProposalRefused with all that is wrong, bounded."""
    steps = proposed_steps(raw, team, bounds)
    flaws, places = Flaws(bounds), {step.id: n for n, step in enumerate(steps)}
    try:
        plan = Plan(steps, steps_max=min(bounds.steps_max, team.limits.steps_max))
    except TeamError as error:
        flaws.add_problems(error.problems, places)
        flaws.raise_if_any()
        raise
    return proved(plan, team, bounds)


def proved(plan: Plan, team: Team, bounds: Bounds = DEFAULT_BOUNDS) -> Team:
    """The team under a plan, if that keeps within bounds and budgets. Raises ProposalRefused."""
    flaws = Flaws(bounds)
    for what, allowed in (*_sizes(plan, bounds), *excesses(plan, team)):
        flaws.add("$.steps", what, allowed)
    flaws.raise_if_any()
    under = team.with_plan(plan)
    try:
        assert under.rules.plan is plan
    except TeamError as error:
        flaws.add_problems(error.problems, {step.id: n for n, step in enumerate(plan.declared)})
        flaws.raise_if_any()
        raise
    return under


def proposed_steps(
    raw: bytes | Mapping[str, Any], team: Team, bounds: Bounds = DEFAULT_BOUNDS, known: Collection[str] = ()
) -> list[Step]:
    """The steps of a proposal, each of which is right by itself; see `core.proposal`. Raises ProposalRefused."""
    return proposal.proposed_steps(raw, team.roles, bounds, known)


def _sizes(plan: Plan, bounds: Bounds) -> Iterator[tuple[str, str]]:
    """Bounds on the shape of a plan that it exceeds."""
    steps = len(plan.steps) - 1
    if steps > bounds.steps_max:
        yield f"the plan has {steps:,} steps", f"{bounds.steps_max:,} at most"
    if steps > min(bounds.depth_max, bounds.width_max):
        yield from _shape(plan, bounds)
    if steps > bounds.agent_calls_max:
        for agent, calls in estimate(plan).calls.items():
            if calls > bounds.agent_calls_max:
                yield f"{agent} has {calls:,} steps", f"{bounds.agent_calls_max:,} for each agent at most"


def _shape(plan: Plan, bounds: Bounds) -> Iterator[tuple[str, str]]:
    depth = [0] * len(plan.steps)
    width: dict[int, int] = {}
    for n, needs in enumerate(plan.needs):
        if n:
            mine = depth[n] = max(map(depth.__getitem__, needs), default=0) + 1
            width[mine] = width.get(mine, 0) + 1
    if max(depth) > bounds.depth_max:
        yield f"{max(depth):,} steps come one after another", f"{bounds.depth_max:,} at most"
    widest = max(width.values())
    if widest > bounds.width_max:
        yield f"{widest:,} steps are side by side", f"{bounds.width_max:,} at most"
