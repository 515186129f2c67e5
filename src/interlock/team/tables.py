"""The keys of a team file: what each must look like, and what it means. The only place that knows them."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Literal, get_args

import msgspec

from interlock.core import paths
from interlock.core.effects import OnUnknown
from interlock.core.naming import hint
from interlock.core.nested import MAPPINGS_MAX
from interlock.core.plan import ROUNDS_MAX
from interlock.core.policy import RETRIES_MAX, Escalation
from interlock.core.reducers import REDUCERS
from interlock.core.result import EXAMPLE, TEMPLATE_CHARS_MAX, Result
from interlock.core.schema import WritesSchema
from interlock.core.scope import Scope
from interlock.core.states import OnDead
from interlock.core.step import SAMPLES_MAX, WIDTH_MAX, Operator
from interlock.core.supervision import CHOOSES, Ask, Recursion, Then
from interlock.core.values import Limits
from interlock.errors import InputError, TeamError

from . import choosing
from .gates import BREAKER, BUDGET, DURATION, RATE, STEP_BUDGET
from .guarding import Guarding
from .nesting import TeamFile, border_problems
from .notify import shape as notify_shape
from .output import Output
from .plans import PLANS_MAX
from .reconciling import shape as reconcile_shape
from .secret_names import names_a_secret
from .shapes import (
    Brief,
    Choice,
    Compiled,
    Either,
    Field,
    Flag,
    Json,
    Listed,
    Many,
    Named,
    Number,
    Place,
    Record,
    Switch,
    Text,
    Whole,
    dotted,
    matching,
)
from .templates import Made
from .waits import DEADLINE, EVENT, ON_DEADLINE, TIME, Taken

ACTION_CHARS_MAX = 200
AGENTS_MAX = 2_000
CONCURRENCY_MAX = 100_000
DECIDED_MAX = 10_000
DEPTH_LIMIT_MAX = 100
EFFECTS_MAX = 1_000
MCP_SERVERS_MAX = 100
SIZE_LIMIT_MAX = 2**40
THRESHOLD_LEAST = 0.01
TOOLS_MAX = 128
USD_MAX = 1e6
OPENAI = "openai"
PROVIDERS = (OPENAI, "anthropic", "google", "mistral", "local")
SCOPE_KEYS = Scope.__struct_fields__

Effort = Literal["simple", "complex"]
Effects = Literal["immediate"]
Isolation = Literal["task", "process", "thread"]

_ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,199}"
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
ADDRESS = matching(
    "an address such as https://agents.example.com/triage, without a password", r"https?://[^\s/?#@]+([/?#]\S*)?"
)
FILLED_IN = matching("a text in which ${NAME} stands for a secret", r"([^$]|\$(?!\{)|\$\{[^\W\d]\w*\})*")
ON_DEAD = Choice(get_args(OnDead))
ESCALATE = Switch(Compiled(Escalation.of, "true, or what comes after a deadline: {deadline, then, default}"))
SCHEMA = Compiled(WritesSchema, "a JSON Schema over what is written")
GUARDRAILS = Many(Guarding())
MAPPING = Named(PATH, PATH, most=MAPPINGS_MAX)
THRESHOLD = Number(THRESHOLD_LEAST, 1)

_ADAPTERS_LATER = frozenset({"a2a", "agent_framework", "pydantic_ai"})

PRICES = Record(
    "prices",
    {
        "input": Field(Number(0, USD_MAX), "US dollars per million input tokens.", required=True),
        "output": Field(Number(0, USD_MAX), "US dollars per million output tokens.", required=True),
        "cached": Field(Number(0, USD_MAX), "US dollars per million input tokens out of the provider's cache."),
    },
)
_FRAMEWORK = {
    "use": Field(USE, "The framework's object, as module:name.", required=True),
    "instructions": Field(TEXT, "What it is told; {ticket.id} stands for what its view has there."),
    "input": Field(USE, "A function that makes the framework's input from a job, as module:function."),
    "output": Field(USE, "A function that makes the reply from the result and the job, as module:function."),
    "price": Field(PRICES, "What its tokens cost, where the price list doesn't know or you pay otherwise."),
}
FRAMEWORK = Brief("use", Record("an agent of a framework", _FRAMEWORK))
_PYTHON = Field(
    TEXT, "The Python of another environment, with Interlock and CrewAI in it, which holds other frameworks back."
)
CREW = Brief("use", Record("a crew", {**_FRAMEWORK, "python": _PYTHON}))


def _tool_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    yield from _one_of(value, place, "use", "mcp", "a Python function or a tool of an MCP server")
    yield from _belongs(value, place, "tool", "mcp")
    yield from _belongs(value, place, "on_unknown", "effect")
    yield from _belongs(value, place, "approve", "effect")


def _server_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    yield from _one_of(value, place, "command", "url", "a program or an address")
    yield from _belongs(value, place, "env", "command")
    yield from _belongs(value, place, "headers", "url")


def _one_of(value: Mapping[str, Any], place: Place, one: str, other: str, what: str) -> Iterator[TeamError]:
    if one in value and other in value:
        message = f"{dotted(place)} has {one} and {other}: it is {what}"
        yield TeamError(message, fix="keep one of them", place=(*place, other))
    if one not in value and other not in value:
        yield TeamError(f"{dotted(place)} has neither {one} nor {other}", fix=f"name {what}", place=place)


def _belongs(value: Mapping[str, Any], place: Place, key: str, to: str) -> Iterator[TeamError]:
    if key in value and to not in value:
        at = (*place, key)
        yield TeamError(f"{dotted(at)} says nothing without {to}", fix="remove it", place=at)


TOOL = Record(
    "a tool",
    {
        "use": Field(USE, "A Python function, as module:function."),
        "mcp": Field(NAME, "The MCP server that has it; one of the team's mcp_servers."),
        "tool": Field(TEXT, "Its name on the MCP server, where that isn't the action's."),
        "description": Field(TEXT, "What the model is told of it, in place of its own description."),
        "timeout": Field(DURATION, "How long one call of it may take (10s)."),
        "effect": Field(Flag(), "It changes something out there: what is done is not done again."),
        "on_unknown": Field(
            Choice(get_args(OnUnknown)),
            "Of an effect, where nobody knows whether it was performed: ask a person (the default), retry it, or fail.",
        ),
        "approve": Field(Flag(), "Of an effect: a person must approve each before it is performed."),
    },
    check=_tool_problems,
)


def _model(text: str) -> bool:
    """Whether a text is provider:model. Raises TeamError with what it should be."""
    provider, colon, name = text.partition(":")
    if not colon:
        raise TeamError(fix=f"put the provider before it, such as openai:{text}")
    if provider not in PROVIDERS:
        raise TeamError(fix=f"the providers are {', '.join(PROVIDERS)}{hint(provider, PROVIDERS)}")
    return bool(name)


def _url(text: str) -> bool:
    """Whether a text is the address of a server. Raises InputError, which doesn't show it, where it has a password."""
    found = re.fullmatch(r"https?://([^/\s?#]+)\S*", text)
    if found and "@" in found[1]:
        raise InputError("the address has a password in it", fix="leave it out; key names the secret that is sent")
    return found is not None


def _secret(text: str) -> None:
    """Raises InputError, which doesn't show it, for what is no name: it may be the secret itself."""
    if re.fullmatch(_ENVIRONMENT_NAME, text) is None:
        raise InputError("it is not the name of a secret", fix="set the secret as OPENAI_API_KEY, say, and name that")


def _llm_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    if "instructions" in value and "instructions_file" in value:
        at = (*place, "instructions_file")
        yield TeamError(f"{dotted(place)} has instructions and instructions_file", fix="keep one of them", place=at)
    provider = str(value.get("model")).partition(":")[0]
    if "base_url" in value and provider in PROVIDERS and provider != OPENAI:
        at = (*place, "base_url")
        message = f"{dotted(at)}: only an OpenAI-compatible server has one, and the model is of {provider}"
        yield TeamError(message, fix="write model: openai:NAME, with the name that the server gives it", place=at)


MODEL = Text("provider:model", _model, {"pattern": rf"^({'|'.join(PROVIDERS)}):."})
URL = Text("the address of a server, such as http://localhost:11434/v1", _url, {"pattern": "^https?://"})
SECRET = Text("the name of a secret", _secret, {"pattern": f"^{_ENVIRONMENT_NAME}$"})
OUTPUT = Output(USE)
LLM = Record(
    "an LLM agent",
    {
        "model": Field(MODEL, "provider:model, such as openai:gpt-5-mini or local:smollm2.", required=True),
        "instructions": Field(TEXT, "What it is told; {ticket.id} stands for what its view has there."),
        "instructions_file": Field(TEXT, "The same from a file, which lies beside the team file."),
        "output": Field(
            OUTPUT, "What it answers: fields and their types, a JSON Schema, or a pydantic model, as module:class."
        ),
        "tools": Field(
            Named(ACTION, TOOL, most=TOOLS_MAX),
            "Tools by the action that each is; one of the agent's allowed actions.",
        ),
        "temperature": Field(Number(0, 2), "How much chance there is in what it says."),
        "max_tokens": Field(Whole(1, 10_000_000), "The longest answer, in tokens."),
        "base_url": Field(URL, "Where an OpenAI-compatible server is, such as http://localhost:11434/v1."),
        "key": Field(SECRET, "The name of its secret, such as OPENAI_API_KEY; never the secret itself."),
        "price": Field(PRICES, "What its tokens cost, where the price list doesn't know or you pay otherwise."),
    },
    check=_llm_problems,
)


def _bare_secrets(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    """A team file is shared, and kept in journals."""
    for section in ("headers", "env"):
        named = value.get(section)
        for name, text in named.items() if isinstance(named, Mapping) else ():
            if names_a_secret(str(name)) and "${" not in str(text):
                at = (*place, section, str(name))
                fix = "write ${NAME}, and set NAME in the environment"
                yield TeamError(f"{dotted(at)} holds a secret itself", fix=fix, place=at)


HTTP = Brief(
    "url",
    Record(
        "an HTTP agent",
        {
            "url": Field(ADDRESS, "Where the job is posted to, as JSON.", required=True),
            "headers": Field(Named(TEXT, FILLED_IN), "Headers; ${NAME} stands for the secret with this name."),
        },
        check=_bare_secrets,
    ),
)
COMMAND = Brief(
    "run",
    Record(
        "a command",
        {
            "run": Field(Many(TEXT, least=1), "The program and its arguments.", required=True),
            "env": Field(
                Named(TEXT, FILLED_IN), "Environment variables; ${NAME} stands for the secret with this name."
            ),
        },
        check=_bare_secrets,
    ),
)
MCP_SERVER = Record(
    "an MCP server",
    {
        "command": Field(Many(TEXT, least=1), "The program that is one, and its arguments; it speaks stdio."),
        "url": Field(URL, "Where one is; it speaks streamable HTTP."),
        "env": Field(Named(TEXT, FILLED_IN), "Environment variables; ${NAME} stands for the secret with this name."),
        "headers": Field(Named(TEXT, FILLED_IN), "Headers; ${NAME} stands for the secret with this name."),
    },
    check=lambda value, place: chain(_server_problems(value, place), _bare_secrets(value, place)),
)
KINDS: dict[str, Field] = {
    "use": Field(USE, "Its code, as module:function; the team's folder is on the import path.", lone=True),
    "llm": Field(LLM, "A model with a prompt, declared here (extra llm).", lone=True),
    "langgraph": Field(FRAMEWORK, "A LangGraph graph or a LangChain runnable (extra langgraph).", lone=True),
    "crewai": Field(CREW, "A function that makes a CrewAI crew (extra crewai).", lone=True),
    "autogen": Field(FRAMEWORK, "An AutoGen agent or team, or a function that makes one (extra autogen).", lone=True),
    "openai_agents": Field(FRAMEWORK, "An agent of the OpenAI Agents SDK (extra openai-agents).", lone=True),
    "swarm": Field(FRAMEWORK, "An agent of OpenAI Swarm, which is installed apart.", lone=True),
    "http": Field(HTTP, "An HTTP endpoint that takes a job and returns a reply.", lone=True),
    "choose": Field(choosing.shape(PATH), "One of several candidates, by vote or by score; no model.", lone=True),
    "command": Field(COMMAND, "A program that reads a job from standard input and writes a reply.", lone=True),
    "team": Field(TeamFile(), "Another team, by the path of its file, relative to this one.", lone=True),
}


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


def tools_of(llm: Any) -> Mapping[str, Mapping[str, Any]]:
    """The tools of an LLM agent by name, as far as they are declared in the right shape."""
    tools = llm.get("tools") if isinstance(llm, Mapping) else None
    if not isinstance(tools, Mapping):
        return {}
    return {name: tool for name, tool in tools.items() if isinstance(name, str) and isinstance(tool, Mapping)}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


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
