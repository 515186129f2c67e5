"""What must be true of plans that a person approves: nothing of them runs before, and what is approved is what runs."""

from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.states import TERMINAL

from .known import Known, StepAccount
from .payment import charge, outcome


def plan_asked(run: Known, event: e.QuestionAsked) -> None:
    """A person is asked about a plan: the run's own, or what its agent has decided."""
    one, name = run.step(event.step), event.step
    plan = msgspec.json.decode(event.plan)
    if name in run.added:
        one = outcome(run, event)
        charge(run, event)
        asks = run.approval is not None or _for_itself(run, plan)
        run.require("approval", asks, f"{name} asks for approval, and needs none")
        run.proposed[name] = event.plan
    else:
        run.require("approval", run.unapproved and not run.calls, f"{name} asks whether the plan may run, too late")
        run.require("once", one.state == "waiting", f"{name} asks whether the plan may run: it is {one.state}")
        run.require_same("approval", "the plan that {} asks about", plan, run.plan.hash, name)
    one.state, one.asked, one.due_us, one.about = "escalated", "", event.due_us, ""


def is_about_own_plan(run: Known, event: e.QuestionAsked) -> bool:
    """Whether a person is asked about the run's own plan, before anybody is called."""
    return e.says(event.plan) and event.step not in run.added


def plan_answered(run: Known, event: e.QuestionAnswered, one: StepAccount) -> None:
    """A person has approved a plan, or has decided in the place of an agent."""
    name = event.step
    one.state = "ready"
    if name in run.added:
        proposed = run.proposed.pop(name, None)
        same = event.decision != "approve" or proposed == event.plan
        run.require("approval", same, f"what is approved of {name} is not what it had decided")
        run.agreed[name] = event
        run.drafted.add((name, event.attempt))
        return
    run.require("approval", run.unapproved and event.decision == "approve", f"the plan is approved by {event.decision}")
    run.unapproved = False
    one.state = "waiting"


def plan_refused(run: Known, one: StepAccount) -> bool:
    """Whether it was the run's own plan that nobody has approved: then nothing of it ever runs."""
    if not run.unapproved or one.state != "escalated":
        return False
    run.unapproved, run.rejected = False, True
    for other in run.steps.values():
        if other.state not in TERMINAL:
            other.state = "cancelled"
    return True


def agreed(run: Known, event: e.AttemptCommitted) -> StepAccount | None:
    """The step of a decision that is committed since a person has approved or made it."""
    answered = run.agreed.pop(event.step, None)
    if answered is None:
        return None
    found = (event.output, event.writes, event.attempt, event.usage)
    meant = (answered.plan, answered.writes, answered.attempt, None)
    run.require_same("approval", "what is committed of {}", found, meant, event.step)
    return run.step(event.step)


def _for_itself(run: Known, plan: Any) -> bool:
    """Whether an agent that decides has given steps to itself."""
    policy = run.rules.supervisor
    chain = () if policy is None else run.rules.chain(policy.agent)
    return any(one["agent"] in chain for one in plan.get("add") or [])
