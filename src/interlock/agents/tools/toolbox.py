"""The tools of one agent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from interlock.core.job import Job
from interlock.errors import TeamError

from .functions import FunctionTool
from .mcp import McpTool
from .tool import Declared, Tool

if TYPE_CHECKING:
    from interlock.agents.setting import Setting  # which has a workshop among its fields


class Source(Protocol):
    """One declared tool, of whatever kind."""

    def begin(self) -> None:
        """Begin to open what is behind it."""

    async def tool(self, job: Job) -> Tool:
        """The tool for one job, when that is open. Raises AgentError where it can't be."""


class Toolbox:
    """The tools that an agent declares."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    @classmethod
    def of(cls, setting: "Setting") -> "Toolbox":
        """The toolbox of an agent in a team file. Raises TeamError, naming every tool that can't be called."""
        sources: list[Source] = []
        problems: list[TeamError] = []
        for name, keys in setting.declared.get("tools", {}).items():
            declared = Declared.of(name, keys)
            try:
                sources.append(_source(declared, setting))
            except TeamError as error:
                message = f"its tool {name} uses {declared.use}: {error.sentence}"
                problems.append(TeamError(message, fix=error.fix, place=("tools", name, "use")))
        if problems:
            raise TeamError.of(problems)
        return cls(sources)

    async def open(self, job: Job) -> list[Tool]:
        """The tools for one job; what has to be connected first is connected, before the agent's own work begins.

        Raises AgentError: a server can't be reached within OPEN_SECONDS_MAX, or doesn't have the tool.
        """
        for source in self._sources:
            source.begin()
        return [await source.tool(job) for source in self._sources]


def _source(declared: Declared, setting: "Setting") -> Source:
    workshop = setting.workshop
    if declared.mcp:
        return McpTool(declared, workshop.servers[declared.mcp], workshop.limits)
    return FunctionTool(declared, setting.find(declared.use), workshop)
