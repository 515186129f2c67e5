"""`plan`: a plan is shown, with what it takes, and nothing of it runs."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.errors import InputError, TeamError
from interlock.planning import Choice, choose, under
from interlock.team import Team
from interlock.team.drawing import dot, mermaid
from interlock.team.estimates import Cap
from interlock.team.outline import StepOutline
from interlock.team.plans import chooses
from interlock.team.prospect import Prospect

from . import exits, inputs
from .documents import print_json

TREE = "tree"
_GRAPHS = {"mermaid": mermaid, "dot": dot}
FORMATS = (TREE, *_GRAPHS)


class Picture(msgspec.Struct, frozen=True):
    """What is shown. origin: where the request was read that it is for; "" where there is none.

    chosen, why: which of several plans that has.
    """

    prospect: Prospect
    origin: str = ""
    chosen: str = ""
    why: str = ""


def plan(name: str, input_name: str | None, mapping: Sequence[str], form: str, named: str = "", *, json: bool) -> int:
    """Show the plan of a team, for the first request of an input where one is named.

    named: which of several plans, instead of the one that the request has.
    """
    if form not in FORMATS:
        raise InputError(f"--format is {form!r}", fix=f"use one of: {', '.join(FORMATS)}")
    if json and form != TREE:
        raise InputError(f"--json is a format of its own, and so is {form}", fix="give one of them")
    team = Team.load(name)
    if not named and team.plans and chooses(team.planner) and input_name is None:
        fix = f"give it the request: --input FILE; or name one: --plan {' or '.join(team.plans)}"
        raise InputError("which plan it has hangs on the request", fix=fix)
    if team.plan is None and not team.plans:
        raise TeamError("the team has no plan", fix="give it a plan", place=("plan",), file=str(team.path or ""))
    row = inputs.read(input_name, mapping).rows[0] if input_name is not None else None
    choice = Choice(team, "", "")
    if named:
        choice = Choice(under(team, named), named, "as you named it")
    elif row is not None:
        choice = choose(team, row.request)
    prospect = Prospect.of(choice.team, row.request if row else None)
    picture = Picture(prospect, row.place if row else "", choice.plan, choice.why)
    if form in _GRAPHS:
        sys.stdout.write(_GRAPHS[form](picture.prospect.outline))
        return exits.DONE
    if json:
        return print_json(_document(picture))
    from .paint_plan import show_plan

    show_plan(picture)
    return exits.DONE


def _document(picture: Picture) -> dict[str, Any]:
    chosen = {"chosen": picture.chosen, "why": picture.why} if picture.chosen else {}
    return {**_described(picture.prospect, picture.origin or None), **chosen}


def _described(prospect: Prospect, origin: str | None) -> dict[str, Any]:
    rules, found = prospect.team.rules, prospect.estimates
    return {
        "team": prospect.team.hash,
        "plan": rules.plan.hash,
        "request": origin,
        "steps": [_step(step, prospect) for step in prospect.outline.steps],
        "calls": {
            "least": found.calls_least,
            **_cap(found.calls),
            "besides": found.calls_besides,
            "per_copy": found.calls_per_copy,
            "copies_max": found.copies_max,
        },
        "longest_way": {
            "steps": found.way.steps,
            "ms_most": found.way.most_ms,
            "grows": found.way.grows,
            "open": found.way.open,
        },
        "tokens": _cap(found.tokens),
        "usd": _cap(found.usd),
        **({"supervisor": msgspec.to_builtins(rules.supervisor)} if rules.supervisor else {}),
    }


def _step(step: StepOutline, prospect: Prospect) -> dict[str, Any]:
    """A step; with the plans of those of its agents that are teams."""
    told = {
        **msgspec.to_builtins(msgspec.structs.replace(step, nested={})),
        "requested_by": [{"step": name, "action": action} for name, action in step.requested_by],
        "calls_most": prospect.calls_of(step),
        "ms_most": None if step.id in prospect.estimates.way.open else prospect.most_ms_of(step),
    }
    del told["nested"]
    nested = {agent: _described(prospect.nested[agent], None) for agent in step.nested}
    return told | ({"nested": nested} if nested else {})


def _cap(cap: Cap) -> dict[str, Any]:
    return {"most": cap.most, "by": cap.by, "exact": cap.exact, "unbounded": cap.unbounded}
