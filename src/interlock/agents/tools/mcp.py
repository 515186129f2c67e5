"""Tools of MCP servers.

A server is connected to at its first use, once for all agents of a team, and again when that connection has ended. What
it says is hostile: everything is bounded, and nothing is relied on but that it is JSON. Its schemas go to the model as
they are; results aren't held against them, since nothing but the model reads them.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from interlock.agents import extras
from interlock.agents.secret import excerpt
from interlock.core.job import Job
from interlock.core.naming import hint
from interlock.core.values import Limits, encode
from interlock.errors import AgentRefused, NotPerformed, ReplyRefused, Unreachable, ValueRefused

from .connection import ERROR_CHARS_MAX, Answer, Connection, Listed, Stale
from .tool import SCHEMA_BYTES_MAX, Declared, Tool

CLOSE_SECONDS_MAX = 5.0
NAMES_SHOWN_MAX = 20
NAME_CHARS_MAX = 80
TEXT_CHARS_MAX = 100_000


class McpServer:
    """One server of the team file. folder: where its program is started."""

    def __init__(self, name: str, keys: Mapping[str, Any], folder: str = "") -> None:
        self.name = name
        self._keys, self._folder = keys, folder
        self._connection: Connection | None = None
        self._ending: list[Connection] = []

    def begin(self) -> Connection:
        """The connection there is, or else a new one, which may not be open yet."""
        if not self.is_connected:
            self.end()  # what is left of an earlier one
            self._connection = Connection(self.name, self._keys, self._folder)
        assert self._connection is not None
        return self._connection

    async def connected(self) -> Connection:
        """An open connection. Raises AgentError where there can be none."""
        connection = self.begin()
        await asyncio.wrap_future(connection.opened)
        return connection

    async def call(self, tool: str, arguments: dict[str, Any]) -> Answer:
        """What the server's tool answers. Raises AgentError, for a lost connection too: the tool may have run then."""
        connection = await self.connected()
        with suppress(Stale):
            return await asyncio.wrap_future(connection.call(tool, arguments))
        # The call was not carried out, because the server has forgotten us or changed the tool.
        self._drop(connection)
        try:
            return await asyncio.wrap_future((await self.connected()).call(tool, arguments))
        except Stale as stale:
            raise Unreachable(f"the MCP server {self.name} takes no calls: {stale}") from None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, or one is being opened."""
        return self._connection is not None and self._connection.is_alive

    def _drop(self, connection: Connection) -> None:
        connection.end()
        self._ending = [other for other in self._ending if not other.gone.done()] + [connection]
        if self._connection is connection:
            self._connection = None

    def end(self) -> None:
        """Begin to end the connection."""
        if self._connection is not None:
            self._drop(self._connection)

    async def ended(self) -> None:
        """Wait until what has begun to end has ended; what hangs in that is not waited for."""
        ending, self._ending = self._ending, []
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                for connection in ending:
                    await connection.ended()


class McpTool:
    """One declared tool of a server. Raises MissingExtra."""

    def __init__(self, declared: Declared, server: McpServer, limits: Limits) -> None:
        extras.check("mcp_types", "mcp")  # which came with version 2 of the client
        self._declared, self._server, self._limits = declared, server, limits
        self._name = declared.tool or declared.name

    def begin(self) -> None:
        """Begin to connect to the server, unless that is done already."""
        self._server.begin()

    async def tool(self, _job: Job) -> Tool:
        """The tool. Raises AgentError: the server can't be reached, or doesn't have it."""
        listed = _found(self._name, await asyncio.wrap_future(self._server.begin().opened), self._server.name)
        size = len(msgspec.json.encode(listed.schema))
        if size > SCHEMA_BYTES_MAX:
            message = f"the schema of {self._name} of the MCP server {self._server.name} is {size:,} bytes of JSON"
            raise AgentRefused(f"{message}, more than {SCHEMA_BYTES_MAX:,}")
        return self._declared.offered(listed.description, listed.schema, self._call)

    async def _call(self, given: dict[str, Any]) -> Any:
        try:
            encode(given, self._limits)
        except ValueRefused as error:
            raise NotPerformed(f"these are no arguments for it: {error.message}", again=False) from None
        async with self._declared.in_time():
            answer = await self._server.call(self._name, given)
        if answer.is_error:
            said = _cut(answer.text, ERROR_CHARS_MAX) or f"{self._name} failed and did not say why"
            raise NotPerformed(said, again=False)
        if answer.structured is None:
            return _cut(answer.text, TEXT_CHARS_MAX)
        try:
            encode(answer.structured, self._limits)
        except ValueRefused as error:
            raise ReplyRefused(f"the result of {self._name} can't be used: {error.message}") from None
        return answer.structured


def _found(name: str, listed: Mapping[str, Listed], server: str) -> Listed:
    if name in listed:
        return listed[name]
    names = [_cut(other, NAME_CHARS_MAX) for other in [*listed][:NAMES_SHOWN_MAX]]
    more = f" and {len(listed) - len(names):,} more" if len(listed) > len(names) else ""
    known = ", ".join(names) or "none"
    raise AgentRefused(
        f"the MCP server {server} has no tool {name}{hint(name, names)}", fix=f"its tools: {known}{more}"
    )


def _cut(text: str, most: int) -> str:
    """A text as far as it is bounded, in Unicode and without secrets."""
    whole = text.encode("utf-8", "replace").decode()
    told = excerpt(whole, most)
    return told if len(whole) <= most else f"{told}\n[the first {most:,} of {len(whole):,} characters]"
