"""What is said to an MCP server. Only this module and its transports, over_stdio and over_http, know the MCP client.

It is imported by the thread of a connection, since that takes a second.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
)
from pydantic import ValidationError

from interlock.agents.failure import of_status
from interlock.agents.secret import filled_in
from interlock.errors import AgentError, AgentRefused, Unreachable

from .connection import Answer, Hangup, Listed, Stale, first_of
from .over_http import http
from .over_stdio import stdio
from .quiet import keep_quiet

# Speak the newest form of the protocol that the server does.
MODE = "auto"
PAGES_MAX = 100
TOOLS_MAX = 2_000

_OWN = Implementation(name="interlock", version="")
_NOT_FOUND = 404
_FAILURES = range(400, 600)

keep_quiet()


class Session:
    """The conversation with one server. answered: what HTTP answered to the request of the task that asks."""

    def __init__(self, client: Client, answered: "ContextVar[list[httpx2.Response]]") -> None:
        self._client, self._answered = client, answered

    async def tools(self) -> dict[str, Listed]:
        """The tools that the server lists. Raises AgentRefused where there are too many."""
        listed: dict[str, Listed] = {}
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._client.list_tools(cursor=cursor)
            listed |= {tool.name: Listed(tool.description or "", tool.input_schema) for tool in page.tools}
            cursor = page.next_cursor
            if len(listed) > TOOLS_MAX:
                raise AgentRefused(f"it lists more than {TOOLS_MAX:,} tools")
            if not cursor:
                return listed
        raise AgentRefused(f"it lists its tools on more than {PAGES_MAX} pages")

    async def call(self, tool: str, arguments: dict[str, Any]) -> Answer:
        """What a tool answers. Raises Stale, Hangup, AgentError."""
        responses: list[httpx2.Response] = []
        self._answered.set(responses)
        # Not the client's own call_tool: that holds results against the server's schema, whose patterns may never end.
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
        try:
            return _answer(await self._client.session.send_request(request, CallToolResult))
        except ValidationError:
            raise AgentError(f"it answered to {tool} with something that is no result of a tool") from None
        except MCPError as error:
            raise _told(error, responses) from None


def _answer(result: CallToolResult) -> Answer:
    blocks = [getattr(block, "text", None) or f"[{block.type}]" for block in result.content]
    return Answer("\n".join(blocks), result.structured_content, result.is_error)


def _told(error: MCPError, responses: "list[httpx2.Response]") -> Exception:
    """What a JSON-RPC error means, seen together with the HTTP response that it came in."""
    response = responses[-1] if responses and responses[-1].status_code in _FAILURES else None
    if error.code == HEADER_MISMATCH or (response is not None and response.status_code == _NOT_FOUND):
        return Stale(error.message)
    if error.code == CONNECTION_CLOSED:
        return Hangup(error.message)
    if response is not None:
        return of_status(response.status_code, error.message, response.headers)
    return AgentError(error.message)


@asynccontextmanager
async def session(keys: Mapping[str, Any], folder: str) -> AsyncIterator[Session]:
    """A conversation with the server that is declared by these keys. Raises AgentError, or a group with anything."""
    answered: ContextVar[list[httpx2.Response]] = ContextVar("answered")
    opening: list[httpx2.Response] = []
    answered.set(opening)
    filled = {key: {n: filled_in(text) for n, text in keys.get(key, {}).items()} for key in ("env", "headers")}
    if "url" in keys:
        transport = http(keys["url"], filled["headers"], answered)
    else:
        transport = stdio(keys["command"], filled["env"], folder)
    try:
        async with Client(transport, client_info=_OWN, cache=None, mode=MODE) as client:
            yield Session(client, answered)
    except Exception as error:
        cause = first_of(error)
        if not isinstance(cause, MCPError):
            raise
        told = _told(cause, opening)
        raise Unreachable(str(told)) if isinstance(told, Stale | Hangup) else told from None
