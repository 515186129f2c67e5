"""The keys of a team file, and of an agent in it: what each must look like, and what it means."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from interlock.core.effects import OnUnknown
from interlock.core.naming import hint
from interlock.core.policy import RETRIES_MAX
from interlock.core.reducers import REDUCERS
from interlock.core.result import EXAMPLE, TEMPLATE_CHARS_MAX, Result
from interlock.core.scope import Scope
from interlock.core.supervision import CHOOSES, Ask, Recursion, Then
from interlock.core.values import Limits
from interlock.errors import TeamError

from . import choosing
from .gates import BREAKER, BUDGET, DURATION, RATE
from .kinds import KINDS, MCP_SERVER, tools_of
from .nesting import border_problems
from .notify import shape as notify_shape
from .plans import PLANS_MAX
from .shapes import Brief, Choice, Either, Field, Flag, Listed, Many, Named, Place, Record, Text, Whole, dotted
from .steps import CONDITION, PLAN_ITEM, Made
from .values import ACTION, ESCALATE, GUARDRAILS, MAPPING, NAME, ON_DEAD, PATH, PATTERN, SCHEMA, TEXT, THRESHOLD, USE
from .waits import Taken

AGENTS_MAX = 2_000
CONCURRENCY_MAX = 100_000
DECIDED_MAX = 10_000
DEPTH_LIMIT_MAX = 100
EFFECTS_MAX = 1_000
MCP_SERVERS_MAX = 100
SIZE_LIMIT_MAX = 2**40

SCOPE_KEYS = Scope.__struct_fields__

Effort = Literal["simple", "complex"]
Effects = Literal["immediate"]
Isolation = Literal["task", "process", "thread"]


_ADAPTERS_LATER = frozenset({"a2a", "agent_framework", "pydantic_ai"})


def _agent_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) > 1:
        message = f"{dotted(place)} has {' and '.join(kinds)}: an agent is of one kind"
        yield TeamError(message, fix="keep one of them", place=(*place, kinds[1]))
    if "isolation" in value and kinds and "use" not in kinds:
        at = (*place, "isolation")
        message = f"{dotted(at)} says nothing of an agent that is declared by {kinds[0]}"
        yield TeamError(message, fix="remove it, or name a function of your own by use", place=at)
    yield from choosing.out_of_scope(value.get("choose"), value, (*place, "choose"))
    yield from border_problems(value, place)
    allowed = value.get("allowed_actions", ())
    for name in tools_of(value.get("llm")) if isinstance(allowed, list | tuple) else ():
        if name not in allowed:
            at = (*place, "llm", "tools", name)
            near = hint(name, filter(_is_text, allowed))
            message = f"{dotted(at)}: {name} is none of the agent's allowed actions{near}"
            yield TeamError(message, fix="add it to allowed_actions, or remove the tool", place=at)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


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
        **KINDS,
        "inputs": Field(
            MAPPING,
            'Of a team: path in its request: path that the agent may read, or "{item}", the item of a for_each. '
            "Without it, all that the agent is shown.",
            lone=True,
        ),
        "outputs": Field(
            MAPPING,
            "Of a team: path that the agent may write: path in what the team's run has come to. Without it, all fields "
            "that the agent may write and the team has changed.",
            lone=True,
        ),
        "effort": Field(Choice(get_args(Effort)), "simple: a timeout of 5 s (the default). complex: 30 s.", lone=True),
        "timeout": Field(DURATION, "How long one attempt may take, such as 2s.", lone=True),
        "retries": Field(
            Whole(0, RETRIES_MAX), "Further attempts after a refused or failed one (2; 0 of a team).", lone=True
        ),
        "backoff": Field(
            DURATION, "The wait after a first failure (200ms); each further failure doubles it.", lone=True
        ),
        "retry_for": Field(DURATION, "How long after the first attempt began another one may begin.", lone=True),
        "fallback": Field(NAME, "The agent that takes over when all attempts have failed."),
        "breaker": Field(BREAKER, "When it is called no more for a while, because its outputs were bad.", lone=True),
        "rate": Field(RATE, "How many calls and tokens it may have in any window of time, over all runs.", lone=True),
        "budget": Field(BUDGET, "How much its calls may consume in one run, and on one day.", lone=True),
        "schema": Field(SCHEMA, "A JSON Schema over its writes; the properties are dotted paths."),
        "guardrails": Field(GUARDRAILS, "Checks on its replies: names, names with options, functions of your own."),
        "threshold": Field(THRESHOLD, "The score that a reply must reach, from 0 to 1 (1)."),
        "escalate": Field(
            ESCALATE,
            "A person is asked when all attempts have failed: true, or {deadline: 24h, then: dead | fallback | default,"
            " default: {path: value}}.",
        ),
        "isolation": Field(
            Choice(get_args(Isolation)),
            "Where it runs: task (async functions), process (sync ones; it can be killed) or thread (it can't).",
            lone=True,
        ),
        "concurrency": Field(Whole(1, CONCURRENCY_MAX), "How many of its calls may be open at a time.", lone=True),
        "effects": Field(
            Choice(get_args(Effects)), "immediate: it may have effects performed while it works.", lone=True
        ),
        "version": Field(TEXT, "Change it when its code changes meaning: runs keep to their version.", lone=True),
        "on_dead": Field(
            ON_DEAD, "What it means for the run that a step of it is given up (fail_run); see a step's.", lone=True
        ),
    },
    later=_ADAPTERS_LATER | {"escalation"},
    rivals=tuple(KINDS),
    check=_agent_problems,
)

EFFECT = Brief(
    "use",
    Record(
        "an effect",
        {
            "use": Field(USE, "The function that performs it, as module:function."),
            "timeout": Field(DURATION, "How long one try may take (10s).", lone=True),
            "retries": Field(
                Whole(0, RETRIES_MAX), "Further tries after one that failed, or is unknown and retried (2).", lone=True
            ),
            "on_unknown": Field(
                Choice(get_args(OnUnknown)),
                "Where nobody knows whether it was performed: ask a person (the default), retry it, or fail.",
                lone=True,
            ),
            "approve": Field(Flag(), "A person must approve each before it is performed.", lone=True),
        },
    ),
)

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

_DECIDES = {
    "agent": Field(NAME, "The agent that is asked.", required=True),
    "action": Field(ACTION, "What it is asked to do; one of its allowed actions.", required=True),
    "instructions": Field(Text(accepts=lambda _: True), "A text for it.", lone=True),
    "steps_max": Field(Whole(1, DECIDED_MAX), "How many steps it may add to a run (100).", lone=True),
    "depth_max": Field(Whole(1, DECIDED_MAX), "How many of them may come one after another (50).", lone=True),
    "calls_max": Field(Whole(1, DECIDED_MAX), "How many of them one agent may be given (50).", lone=True),
}
PLANNER = Record(
    "a planner",
    {**_DECIDES, "otherwise": Field(NAME, "The one of the plans that is taken where no proposal of it could be.")},
)
RULE = Record(
    "a rule",
    {
        "plan": Field(NAME, "The plan of a request that fulfils it; one of the plans.", required=True),
        "when": Field(Listed(CONDITION), "A condition over the request, or a list of them; without, any request does."),
    },
)
RULES_PLANNER = Record(
    "a planner of rules",
    {
        "rules": Field(Many(RULE), "The first of them that a request fulfils chooses its plan.", required=True),
        "default": Field(NAME, "The plan of requests that fulfil none; without one they are refused."),
    },
)
SUPERVISOR = Record(
    "a supervisor",
    {
        **_DECIDES,
        "ask": Field(
            Choice(get_args(Ask)),
            "start: once, before anything else. idle: whenever nothing is left to do. each: after each step, too.",
            lone=True,
        ),
        "decisions_max": Field(Whole(1, DECIDED_MAX), "How often it may decide in a run (20).", lone=True),
        "no_progress_max": Field(
            Whole(1, DECIDED_MAX), "So many decisions in a row may come to nothing at most (3).", lone=True
        ),
        "then": Field(
            Choice(get_args(Then)),
            "At its bounds: fail_run, finish, or escalate to a person.",
            lone=True,
        ),
        "recursion": Field(
            Choice(get_args(Recursion)),
            "Giving work to itself: refuse, or ask a person.",
            lone=True,
        ),
    },
)

RESULT = Taken(
    Result.of,
    EXAMPLE,
    {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"text": {"type": "string", "maxLength": TEMPLATE_CHARS_MAX}},
                "required": ["text"],
                "additionalProperties": False,
            },
        ]
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
        "supervisor": Field(SUPERVISOR, "The agent that decides, while a run goes on, which steps come next."),
        "plans": Field(
            Named(NAME, Made(Many(PLAN_ITEM, least=1)), most=PLANS_MAX),
            "Plans by name, of which the planner's rules choose: steps, or {parameters, steps}, or {like, with}.",
        ),
        "planner": Field(
            Either(CHOOSES, RULES_PLANNER, PLANNER),
            "The agent that decides, before anything else, which steps there are; or rules that choose a plan.",
        ),
        "result": Field(RESULT, "What a run results in: a path, or {text: a template with {paths}}."),
        "mcp_servers": Field(
            Named(NAME, MCP_SERVER, most=MCP_SERVERS_MAX), "MCP servers by name, for the tools of LLM agents."
        ),
        "rate": Field(RATE, "How many calls and tokens all agents may have in any window of time.", lone=True),
        "budget": Field(BUDGET, "How much one run may consume, and all runs on one day.", lone=True),
        "effects": Field(
            Named(NAME, EFFECT, most=EFFECTS_MAX), "What agents may have done out there, and what performs it."
        ),
        "notify": Field(
            notify_shape(USE, NAME),
            "Who is told when a run waits for a person, or an agent is called no more.",
            lone=True,
        ),
        "limits": Field(LIMITS, "Bounds on what a run may hold; sizes are bytes of JSON.", lone=True),
    },
    later=frozenset({"breakers", "gates", "guardrails", "planning"}),
)
