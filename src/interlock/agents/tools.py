"""Tools of LLM agents: functions and tools of MCP servers, each bound to an action of the scope."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec


class Tool(msgspec.Struct, frozen=True):
    """Something a model may call.

    name: of the action that it is. parameters: a JSON Schema of its arguments. call: takes them as a dict, returns
    JSON; raises AgentError. timeout: seconds. effect: it changes something out there.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[dict[str, Any]], Awaitable[Any]]
    timeout: float
    effect: bool = False
