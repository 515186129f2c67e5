"""What the tools of all agents of a team share."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from interlock.agents.process import ProcessPool
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import AgentError
from interlock.team import Team

from .mcp import McpServer


class Workshop:
    """Worker processes for the functions of a team, and connections to its MCP servers."""

    def __init__(
        self,
        pool: ProcessPool,
        mcp_servers: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        folder: str = "",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.pool, self.limits = pool, limits
        # Else each of a model's calls at once would start a process.
        self.room = asyncio.Semaphore(pool.idle_max)
        self.servers = {name: McpServer(name, keys, folder) for name, keys in (mcp_servers or {}).items()}

    @classmethod
    def of(cls, team: Team) -> "Workshop":
        """The workshop of a team."""
        folder = str(team.folder or "")
        pool = ProcessPool(folder, limits=team.limits)
        return cls(pool, team.mcp_servers, folder=folder, limits=team.limits)

    async def make_ready(self, reference: str) -> None:
        """Have a process import a function, unless one has, or all are at work. A call meets the error of that."""
        if not self.room.locked() and not self.pool.knows(reference):
            with suppress(AgentError):
                async with self.room:
                    self.pool.give_back(await self.pool.lease(reference))

    async def close(self) -> None:
        """End the processes and connections; a later call opens them again."""
        for server in self.servers.values():
            server.end()
        for server in self.servers.values():
            await server.ended()
        await self.pool.close()
