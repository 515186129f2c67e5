"""A model, as an LLM agent asks it: one request with instructions, data, the form of the answer, and tools.

Whatever speaks to providers stands behind this protocol; nothing else of the package knows what that is.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from interlock.errors import AgentError

# whole: it said all it wanted to. cut: its longest answer wasn't enough. refused: it, or its provider, won't answer.
Finish = Literal["whole", "cut", "refused"]

Hear = Callable[[str], None]


class Tokens(msgspec.Struct, frozen=True):
    """What one request consumed; the cached ones are among the input."""

    input: int
    output: int
    cached: int


class ToolCall(msgspec.Struct, frozen=True):
    """A tool that the model wants called, with its arguments as it wrote them."""

    call_id: str
    name: str
    arguments: str


class Said(msgspec.Struct, frozen=True):
    """What a model said. model: the one that answered. tokens: None where the provider didn't say.

    raw: the answer as whoever asked wants it back in the next request.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    finish: Finish = "whole"
    model: str = ""
    tokens: Tokens | None = None
    raw: Any = None


class Offer(msgspec.Struct, frozen=True):
    """A tool that the model may ask for."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class Exchange(msgspec.Struct, frozen=True):
    """An earlier answer that asked for tools, and what each of its calls returned."""

    said: Said
    results: tuple[tuple[ToolCall, str], ...]


class Request(msgspec.Struct, frozen=True):
    """One request. schema: the JSON Schema that the answer must fit; None where the instructions say it in words."""

    instructions: str
    data: str
    schema: Mapping[str, Any] | None = None
    offers: tuple[Offer, ...] = ()
    exchanges: tuple[Exchange, ...] = ()


class SchemaNotTaken(AgentError):
    """The server takes no JSON Schema for its answers."""


class Model(Protocol):
    """A model somewhere. takes_schema: it can be held to a JSON Schema."""

    takes_schema: bool

    async def ready(self) -> None:
        """Make ready what takes long and is no work of an agent, such as a server in this process."""

    async def ask(self, request: Request, hear: Hear | None) -> Said:
        """Its answer; `hear` is told its text while it comes.

        Raises whatever the provider's client does, and SchemaNotTaken, after which takes_schema is false.
        """

    async def close(self) -> None:
        """Give up all connections."""
