"""Branches of a plan: steps that run only where another step's agent has requested it.

The plan says which action of which step leads to which branch, so it stays static: a request adds no step, no need and
no permission, it only keeps a step from being skipped.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interlock.errors import PlanError, TeamError, ValueRefused, cut_short

from .events import BranchRequested
from .job import Request
from .naming import hint
from .paths import SHOWN_CHARS_MAX
from .plan import Plan
from .scope import Scope
from .step import Step

REQUESTERS_SHOWN = 3
REQUEST_CHARS_MAX = 200


def branches_of(step: Step, plan: Plan, scope: Scope) -> tuple[BranchRequested, ...]:
    """What an agent with this scope may request in a step: each branch by its action and the agent that does it."""
    allowed = ((action, branch) for action, branch in step.on_request.items() if action in scope.allowed_actions)
    return tuple(
        BranchRequested(action, plan.steps[plan.groups[branch][0]].agent or branch, branch)
        for action, branch in allowed
    )


def granted(request: Any, agent: str, branches: Sequence[BranchRequested]) -> BranchRequested:
    """The branch that an agent's request runs. Raises ValueRefused: it has none, or the agent may not request it."""
    if type(request) is not Request or not (_is_name(request.action) and _is_name(request.to)):
        raise ValueRefused(
            f"request is no interlock.Request with an action and to, texts of 1 to {REQUEST_CHARS_MAX} characters"
        )
    branch = next((one for one in branches if one.action == request.action), None)
    if branch is None:
        may = ", ".join(f"{one.action} of {one.to}" for one in branches) or "nothing"
        raise ValueRefused(f"{agent} may not request {_shown(request.action)} in this step; it may request {may}")
    if request.to not in {branch.to, branch.step}:
        raise ValueRefused(
            f"{branch.action} is requested of {branch.to} (step {branch.step}), not {_shown(request.to)}"
        )
    return branch


def _is_name(text: Any) -> bool:
    return type(text) is str and 0 < len(text) <= REQUEST_CHARS_MAX


def _shown(text: str) -> str:
    return repr(cut_short(text, SHOWN_CHARS_MAX))


def unrequested(n: int, plan: Plan) -> str:
    """Why a branch is skipped that nobody has requested."""
    asking = [*dict.fromkeys(plan.declared_id[plan.steps[by].id] for by in plan.requesters[n])]
    more = " or others" if len(asking) > REQUESTERS_SHOWN else ""
    return f"it was not requested by {' or '.join(asking[:REQUESTERS_SHOWN])}{more}"


def branch_problems(step: Step, scopes: Mapping[str, Scope]) -> Iterator[TeamError]:
    """Branches that could never run, since none of the agents that do this step may request them."""
    for action in step.on_request:
        allowed = dict.fromkeys(one for scope in scopes.values() for one in scope.allowed_actions)
        if action not in allowed:
            message = f"step {step.id}: {' and '.join(scopes)} may not request {action}{hint(action, allowed)}"
            fix = f"allowed_actions of {step.agent}: {', '.join(scopes[step.agent].allowed_actions) or 'nothing'}"
            place = ("plan", step.id, "on_request", action)
            yield PlanError(message, fix=fix, place=place, agents=tuple(scopes))
