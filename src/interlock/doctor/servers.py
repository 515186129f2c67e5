"""The MCP servers of a team: whether they start, and have the tools that its agents take from them."""

import asyncio
from collections.abc import Awaitable, Mapping

from interlock.agents import extras
from interlock.agents.tools.mcp import McpServer
from interlock.core.naming import hint
from interlock.errors import AgentRefused
from interlock.team import Agent
from interlock.team.kinds import tools_of

from .diagnosis import Diagnosis, shown


class Look:
    """A look at one server. tools: the names of those that it lists, once that is known."""

    def __init__(self, server: McpServer) -> None:
        self._server = server
        self.tools: tuple[str, ...] = ()

    async def said(self) -> str:
        """How many tools it has, and which. Raises MissingExtra, AgentError."""
        extras.check("mcp_types", "mcp")
        listed = await asyncio.wrap_future((await self._server.connected()).opened)
        self.tools = tuple(listed)
        number = "1 tool" if len(listed) == 1 else f"{len(listed):,} tools"
        return f"{number}: {shown(self.tools)}" if listed else "it lists no tools"


async def check_tools(agent: Agent, found: Mapping[str, Awaitable[Diagnosis]], looks: Mapping[str, Look]) -> None:
    """Raise AgentRefused where a tool of an agent is on a server that can't be used, or hasn't got it.

    found: what becomes known of each server.
    """
    for action, keys in tools_of(agent.llm).items():
        server = keys.get("mcp")
        if server is None:
            continue
        if not (await found[server]).is_fine:
            raise AgentRefused(f"its tool {action} is on the MCP server {server}, which can't be used")
        tool, tools = keys.get("tool", action), looks[server].tools
        if tool not in tools:
            message = f"the MCP server {server} has no tool {tool}{hint(tool, tools)}"
            raise AgentRefused(message, fix=f"its tools: {shown(tools) or 'none'}")
