"""What may be behind an agent of a team file: its kinds, and the tools of those that have some."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, get_args

from interlock.core.effects import OnUnknown
from interlock.core.naming import hint
from interlock.errors import InputError, TeamError

from . import choosing
from .gates import DURATION
from .nesting import TeamFile
from .output import Output
from .secret_names import names_a_secret
from .shapes import Brief, Choice, Field, Flag, Many, Named, Number, Place, Record, Text, Whole, dotted
from .values import ACTION, ADDRESS, FILLED_IN, NAME, PATH, TEXT, USE

TOOLS_MAX = 128
USD_MAX = 1e6
OPENAI = "openai"
PROVIDERS = (OPENAI, "anthropic", "google", "mistral", "local")
_ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,199}"

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


def tools_of(llm: Any) -> Mapping[str, Mapping[str, Any]]:
    """The tools of an LLM agent by name, as far as they are declared in the right shape."""
    tools = llm.get("tools") if isinstance(llm, Mapping) else None
    if not isinstance(tools, Mapping):
        return {}
    return {name: tool for name, tool in tools.items() if isinstance(name, str) and isinstance(tool, Mapping)}
