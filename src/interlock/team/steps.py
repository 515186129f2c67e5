"""The steps and plans of a team file."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec

from interlock.core.plan import ROUNDS_MAX
from interlock.core.policy import RETRIES_MAX
from interlock.core.step import SAMPLES_MAX, WIDTH_MAX, Operator
from interlock.errors import TeamError

from .gates import DURATION, STEP_BUDGET
from .reconciling import shape as reconcile_shape
from .shapes import Choice, Either, Field, Flag, Json, Many, Named, Place, Record, Shape, Text, Whole, dotted
from .values import ACTION, ESCALATE, GUARDRAILS, NAME, ON_DEAD, PATH, PATTERN, SCHEMA, TEXT, THRESHOLD
from .waits import DEADLINE, EVENT, ON_DEADLINE, TIME


def _condition_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    bare = value.get("op") in {"exists", "absent"}
    if bare and "value" in value:
        at = (*place, "value")
        yield TeamError(f"{dotted(at)}: {value['op']} compares with no value", fix="remove it", place=at)
    if not bare and "value" not in value:
        yield TeamError(f"{dotted(place)} has no value to compare with", fix="add value, or op: exists", place=place)


def _phase_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    if value.get("steps") == []:
        at = (*place, "steps")
        yield TeamError(f"{dotted(at)}: the phase has no steps", fix="remove it or give it steps", place=at)


CONDITION = Record(
    "a condition",
    {
        "path": Field(PATH, "The field that is looked at.", required=True),
        "op": Field(Choice(get_args(Operator)), "How it is compared (==)."),
        "value": Field(Json(), "What it is compared with."),
    },
    check=_condition_problems,
)

STEP = Record(
    "a step",
    {
        "id": Field(NAME, "The name of the step.", required=True),
        "agent": Field(NAME, "The agent that does it.", required=True),
        "action": Field(ACTION, "What it is asked to do; one of the agent's allowed actions.", required=True),
        "needs": Field(Many(NAME), "The steps that must be done before."),
        "reads": Field(Many(PATTERN), "What it reads, within the agent's scope."),
        "writes": Field(
            Many(PATTERN), "What it writes, within the agent's scope; {step} is its id, {index} the number of a copy."
        ),
        "stale_ok": Field(Flag(), "It may read a field that another step writes meanwhile, as it was before."),
        "instructions": Field(Text(accepts=lambda _: True), "A text for the agent.", lone=True),
        "samples": Field(Whole(1, SAMPLES_MAX), "So many copies of the step, independent of each other."),
        "for_each": Field(PATH, "One copy for each item of the list at this path."),
        "width": Field(Whole(1, WIDTH_MAX), "Of a for_each: so many copies at a time, in the order of the list (all)."),
        "batch": Field(Whole(1, WIDTH_MAX), "Of a for_each: so many items for each copy, as a list."),
        "when": Field(CONDITION, "The step is skipped unless this holds."),
        "join": Field(Choice(("all", "any_outcome")), "any_outcome: it runs although a step that it needs has died."),
        "on_dead": Field(
            ON_DEAD,
            "If it is given up. fail_run: the run fails at its end. skip: it counts as skipped. continue: who needs it "
            "runs all the same.",
            lone=True,
        ),
        "timeout": Field(DURATION, "In place of the agent's.", lone=True),
        "retries": Field(Whole(0, RETRIES_MAX), "In place of the agent's.", lone=True),
        "backoff": Field(DURATION, "In place of the agent's.", lone=True),
        "retry_for": Field(DURATION, "In place of the agent's.", lone=True),
        "schema": Field(SCHEMA, "A JSON Schema over its writes, beside the agent's."),
        "guardrails": Field(GUARDRAILS, "Checks on its replies, beside the agent's."),
        "threshold": Field(THRESHOLD, "In place of the agent's."),
        "budget": Field(STEP_BUDGET, "How much its calls may consume in one run.", lone=True),
        "escalate": Field(ESCALATE, "In place of the agent's."),
        "on_request": Field(
            Named(ACTION, NAME), "The actions that its agent may request, and the step that each of them runs."
        ),
    },
    later=frozenset({"effects", "team"}),
)

_OF_ANY_STEP = ("id", "needs", "when", "join", "on_dead")
_OF_JUDGES = (
    *(*_OF_ANY_STEP, "schema", "instructions", "timeout", "retries", "backoff", "retry_for"),
    *("budget", "guardrails", "threshold"),
)
WAIT = Record(
    "a step that waits",
    {name: field for name, field in STEP.fields.items() if name in _OF_ANY_STEP}
    | {
        "wait": Field(
            TIME, "How long it waits, such as 2h, or {until: TIME}: 2026-12-01T09:00:00Z, or the path of such a time."
        ),
        "await_event": Field(EVENT, "The event from outside that it waits for; `interlock event` sends it."),
        "deadline": Field(DEADLINE, "How long for the event, such as 3d; without one, for ever."),
        "on_deadline": Field(
            ON_DEADLINE,
            "If the event hasn't come by then. dead: the step is given up. skip: it counts as skipped. continue: who "
            "needs it runs all the same. {default: {path: value}}: that is written in the event's place.",
        ),
        "writes": Field(Many(PATTERN), "The one path at which is written what the event brings."),
        "schema": Field(SCHEMA, "A JSON Schema over what is written."),
    },
    rivals=("wait", "await_event"),
)
RECONCILE_STEP = Record(
    "a step that reconciles",
    {name: field for name, field in STEP.fields.items() if name in _OF_JUDGES}
    | {
        "agent": Field(NAME, "The agent that judges, where the policy asks one."),
        "action": Field(ACTION, "What it is asked to do."),
        "reconcile": Field(reconcile_shape(PATH, PATTERN), "What is compared, and who decides.", required=True),
        "writes": Field(Many(PATTERN), "The one path at which is written what it comes to.", required=True),
        "escalate": Field(ESCALATE, "How long a person is waited for: {deadline: 24h}."),
    },
)
ANY_STEP = Either(("reconcile",), RECONCILE_STEP, Either(("wait", "await_event"), WAIT, STEP))

PHASE = Record(
    "a phase",
    {
        "phase": Field(TEXT, "The name of the phase.", required=True),
        "steps": Field(Many(ANY_STEP), "Steps that may run at the same time.", required=True),
        "rounds": Field(
            Whole(1, ROUNDS_MAX), "So often they run, one round after another; their ids end with its number: id-1, ..."
        ),
    },
    check=_phase_problems,
)

PLAN_ITEM = Either(("phase", "steps", "rounds"), PHASE, ANY_STEP)


class Made(msgspec.Struct, frozen=True):
    """A plan, or what one is made of: to the schema of files. When anything is judged, it is made already."""

    plan: Shape

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """What is wrong with the plan."""
        yield from self.plan.problems(value, place)

    def schema(self) -> dict[str, Any]:
        """Any of the three."""
        kinds = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
        values = {"type": "object", "additionalProperties": {"anyOf": kinds}}
        steps = {"type": "array", "items": {"type": "object"}, "minItems": 1}
        template = _record({"parameters": values, "steps": steps}, "steps")
        return {"anyOf": [self.plan.schema(), template, _record({"like": {"type": "string"}, "with": values}, "like")]}


def _record(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [required], "additionalProperties": False}
