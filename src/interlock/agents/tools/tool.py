"""What a model may call, as the LLM agent sees it; whatever is behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from interlock.agents.secret import excerpt
from interlock.core.policy import duration_ms
from interlock.errors import AgentError
from interlock.ports import Began

TIMEOUT_SECONDS_DEFAULT = 10.0
DESCRIPTION_CHARS_MAX = 4_000
SCHEMA_BYTES_MAX = 64 << 10


class Tool(msgspec.Struct, frozen=True):
    """Something a model may call while it works on one job.

    name: of the action that it is. parameters: a JSON Schema of its arguments. call: takes them as a dict, checked or
    not, and returns JSON within the team's limits; raises AgentError, whose message is for the model, within `timeout`
    seconds of its own work. effect: it changes something out there; approve: once a person has approved that.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[dict[str, Any]], Awaitable[Any]]
    timeout: float
    effect: bool = False
    approve: bool = False


class Performing:
    """Calls a tool as an effect is performed. It bounds itself, from when its work begins."""

    slots: int | None = None

    def __init__(self, tool: Tool) -> None:
        self._call = tool.call

    async def perform(self, payload: Any, _idempotency_key: str, _began: Began) -> Any:
        """See ports.Performer."""
        return await self._call(payload)

    async def close(self) -> None:
        """Others close what is behind it."""


class Declared(msgspec.Struct, frozen=True):
    """A tool as the team file has it. timeout: seconds. on_unknown is the ledger's."""

    name: str
    use: str = ""
    mcp: str = ""
    tool: str = ""
    description: str = ""
    timeout: float = TIMEOUT_SECONDS_DEFAULT
    effect: bool = False
    on_unknown: str = ""
    approve: bool = False

    @classmethod
    def of(cls, name: str, keys: Mapping[str, Any]) -> "Declared":
        """The tool with this name and these keys."""
        timeout = {"timeout": duration_ms(keys["timeout"]) / 1_000} if "timeout" in keys else {}
        return cls(name, **{**keys, **timeout})

    def offered(
        self, description: str, parameters: Mapping[str, Any], call: Callable[[dict[str, Any]], Awaitable[Any]]
    ) -> Tool:
        """The tool as the model gets it. description: its own, which a declared one replaces."""
        told = excerpt(self.description or description, DESCRIPTION_CHARS_MAX)
        return Tool(self.name, told, parameters, call, self.timeout, self.effect, self.approve)

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Stop what is done inside at the tool's timeout. Raises AgentError then."""
        bound = asyncio.timeout(self.timeout)
        try:
            async with bound:
                yield
        except TimeoutError:
            if not bound.expired():
                raise
            raise AgentError(f"{self.name} took longer than {self.timeout:g} s and was stopped") from None
