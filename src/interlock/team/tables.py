"""The keys of a team file: what each must look like, and what it means. The only place that knows them."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from interlock.core import paths
from interlock.core.plan import SAMPLES_MAX, Operator
from interlock.core.policy import RETRIES_MAX, TIMEOUT_MS_MAX, duration_ms
from interlock.core.reducers import REDUCERS
from interlock.core.schema import WritesSchema
from interlock.core.scope import Scope
from interlock.core.values import Limits
from interlock.errors import TeamError

from .shapes import (
    Choice,
    Compiled,
    Either,
    Field,
    Flag,
    Json,
    Many,
    Named,
    Place,
    Record,
    Text,
    Whole,
    dotted,
    matching,
)

ACTION_CHARS_MAX = 200
AGENTS_MAX = 2_000
CONCURRENCY_MAX = 100_000
DEPTH_LIMIT_MAX = 100
SIZE_LIMIT_MAX = 2**40
SCOPE_KEYS = Scope.__struct_fields__

Effort = Literal["simple", "complex"]
Isolation = Literal["task", "process", "thread"]

_IDENTIFIER = r"[^\W\d]\w*"
TEXT = Text(keywords={"minLength": 1})
NAME = matching("a name of 1 to 80 letters, digits, _ and -", r"[A-Za-z0-9_-]{1,80}")
ACTION = Text(
    f"the name of an action, of 1 to {ACTION_CHARS_MAX} characters",
    lambda text: text.strip() == text and 0 < len(text) <= ACTION_CHARS_MAX and text.isprintable(),
    {"minLength": 1, "maxLength": ACTION_CHARS_MAX},
)
USE = matching("module:function", rf"{_IDENTIFIER}(\.{_IDENTIFIER})*:{_IDENTIFIER}(\.{_IDENTIFIER})*")
PATH = Text("a dotted path", paths.canonical, {"minLength": 1})
PATTERN = Text("a path pattern", paths.parse_pattern, {"minLength": 1})
DURATION = Text(
    "a duration of more than 0 and up to 7d, such as 500ms, 2s, 1m or 1h",
    lambda text: 0 < duration_ms(text) <= TIMEOUT_MS_MAX,
    {"pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"},
)
SCHEMA = Compiled(WritesSchema, "a JSON Schema over what is written")

_ADAPTERS_LATER = frozenset(
    {"a2a", "agent_framework", "autogen", "crewai", "langchain", "langgraph", "llm", "mcp", "openai_agents"}
    | {"pydantic_ai", "swarm"}
)


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


AGENT = Record(
    "an agent",
    {
        "allowed_actions": Field(Many(ACTION), "The actions that the agent may be asked to do."),
        "context_access": Field(
            Many(PATTERN), "What it may read: `a.b` is that field and all below it, `a.*` all below `a`."
        ),
        "write_permissions": Field(
            Many(PATTERN), "What it may write, as patterns of the same kind. It may read this as well."
        ),
        "use": Field(USE, "Its code, as module:function; the team's folder is on the import path.", lone=True),
        "effort": Field(Choice(get_args(Effort)), "simple: a timeout of 5 s (the default). complex: 30 s.", lone=True),
        "timeout": Field(DURATION, "How long one attempt may take, such as 2s.", lone=True),
        "retries": Field(Whole(0, RETRIES_MAX), "Further attempts after a refused or failed one (2).", lone=True),
        "backoff": Field(
            DURATION, "The wait after a first failure (200ms); each further failure doubles it.", lone=True
        ),
        "fallback": Field(NAME, "The agent that takes over when all attempts have failed."),
        "schema": Field(SCHEMA, "A JSON Schema over its writes; the properties are dotted paths."),
        "isolation": Field(
            Choice(get_args(Isolation)),
            "Where it runs: task (async functions), process (sync ones; it can be killed) or thread (it can't).",
            lone=True,
        ),
        "concurrency": Field(Whole(1, CONCURRENCY_MAX), "How many of its calls may be open at a time.", lone=True),
        "version": Field(TEXT, "Change it when its code changes meaning: runs keep to their version.", lone=True),
    },
    later=_ADAPTERS_LATER | {"breaker", "budget", "effects", "escalation", "guardrails", "on_request", "rate"},
)

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
        "when": Field(CONDITION, "The step is skipped unless this holds."),
        "join": Field(Choice(("all", "any_outcome")), "any_outcome: it runs although a step that it needs has died."),
        "timeout": Field(DURATION, "In place of the agent's.", lone=True),
        "retries": Field(Whole(0, RETRIES_MAX), "In place of the agent's.", lone=True),
        "backoff": Field(DURATION, "In place of the agent's.", lone=True),
        "schema": Field(SCHEMA, "A JSON Schema over its writes, beside the agent's."),
    },
    later=frozenset({"budget", "effects", "guardrails", "on_request", "team"}),
)

PHASE = Record(
    "a phase",
    {
        "phase": Field(TEXT, "The name of the phase.", required=True),
        "steps": Field(Many(STEP), "Steps that may run at the same time.", required=True),
    },
    check=_phase_problems,
)

PLAN_ITEM = Either(("phase", "steps"), PHASE, STEP)

LIMITS = Record(
    "the limits",
    {
        field.name: Field(
            Whole(1, DEPTH_LIMIT_MAX if field.name == "depth_max" else SIZE_LIMIT_MAX),
            f"{field.name.removesuffix('_max').replace('_', ' ')}: {field.default:,} at most.",
            lone=True,
        )
        for field in msgspec.structs.fields(Limits)
    },
)

TEAM = Record(
    "a team file",
    {
        "name": Field(TEXT, "The name of the team.", lone=True),
        "agents": Field(Named(NAME, AGENT, 1, AGENTS_MAX), "The agents by name.", required=True),
        "reducers": Field(
            Named(PATH, Choice(tuple(REDUCERS))), "Fields that several steps write at a time, and how that is merged."
        ),
        "succession": Field(
            Named(PATH, Many(NAME, least=2)), "Fields that pass from owner to owner, and the owners in their order."
        ),
        "plan": Field(Many(PLAN_ITEM, least=1), "Phases, one after another, or steps with needs."),
        "limits": Field(LIMITS, "Bounds on what a run may hold; sizes are bytes of JSON.", lone=True),
    },
    later=frozenset({"breakers", "budget", "gates", "guardrails", "planner", "planning", "rate", "supervisor"}),
)
