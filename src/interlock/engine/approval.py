"""Whether a person must approve the plan of a run that is to start."""

from interlock.core.events import PlanApproval
from interlock.core.policy import DEADLINE_MS_MAX, duration_ms
from interlock.core.rules import Rules
from interlock.errors import InputError, PlanError


def approval_of(rules: Rules, wanted: bool | str) -> PlanApproval | None:  # noqa: FBT001 - as it is given
    """What `approve_plan` asks for. Raises InputError."""
    if wanted is False:
        return None
    plans = rules.supervisor is not None and rules.supervisor.ask == "start"
    if not plans and not rules.plan.number:
        message = "there is no plan to approve: an agent decides about it while the run goes on"
        raise InputError(message, fix="give the team a plan or a planner, or run it as it is")
    if wanted is True:
        return PlanApproval()
    try:
        deadline_ms = duration_ms(wanted)
    except PlanError as error:
        raise InputError(f"approve_plan: {error.message}", fix=error.fix) from error
    if not 0 < deadline_ms <= DEADLINE_MS_MAX:
        raise InputError(f"approve_plan: {wanted} is not between 1ms and 3650d")
    return PlanApproval(deadline_ms)
