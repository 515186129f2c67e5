"""The plan that a person is asked to approve: what stands in it, and the question at once, on a terminal."""

import sys
from typing import Any

import msgspec
import typer

from interlock.core.approving import is_own
from interlock.core.decision import Asked
from interlock.core.plan import Plan
from interlock.history import Story

from . import exits
from .running import How
from .text import interactive


def steps_of(asked: Asked, plan: Plan) -> list[dict[str, Any]]:
    """The steps of the plan that a question is about, as they were declared or decided; none where it is about none."""
    if not asked.about_plan:
        return []
    if is_own(asked):
        return [msgspec.to_builtins(step) for step in plan.declared]
    return list(msgspec.json.decode(asked.plan)["add"])


def ask(told: Story, how: How, team: str, code: int) -> int:
    """Ask who has just started a run, and sits at a terminal, whether its plan may run; returns the exit code."""
    from . import inbox  # it drives runs, as `running` does

    if told.status != "parked" or how.json or not (interactive() and sys.stdin.isatty()):
        return code
    run_id = told.row.run_id
    found = inbox.about_plan(how.settings, run_id)
    if found is None:
        return code
    from .paint_approval import show_steps

    show_steps(found)
    if not typer.confirm("may this plan run?", err=True):
        left = "nothing of it runs before somebody approves it"
        exits.say(f"{left}: {how.settings.command(f'inbox approve {run_id}')}")
        return code
    return inbox.decide(inbox.Answer("approve", run_id, "", None, "", ""), how, team, no_resume=False)
