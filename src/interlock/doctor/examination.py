"""Looks at everything behind a team at once, each look bounded in time, and closes whatever it has opened."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from interlock.agents.bound import BoundAdapter
from interlock.agents.tools import Workshop
from interlock.engine import tasks
from interlock.errors import AgentError
from interlock.ports import Adapter
from interlock.team import Agent, Team
from interlock.team.tables import AGENT
from interlock.wiring import adapter_of

from . import factories, models
from .diagnosis import Diagnosis, Examination, diagnosed, wrong
from .notices import could_be_told
from .servers import Look, check_tools

# What runs already answers soon. A worker has to import a framework first, and an MCP server may install itself.
PROBE_SECONDS_MAX = 10.0
START_SECONDS_MAX = 65.0
CLOSE_SECONDS_MAX = 10.0
# A worker that has imported CrewAI holds a quarter of a gigabyte.
WORKERS_MAX = 4

# Told of each agent whose code is imported; then, whenever that changes, the names of what is still looked at.
Watch = Callable[[str, Sequence[str]], None]

log = logging.getLogger("interlock")


@runtime_checkable
class Probed(Protocol):
    """An adapter that can look whether what is behind it answers."""

    async def probe(self) -> str:
        """A sentence about what is behind it. Raises AgentError where it doesn't answer."""


def examine(team: Team, watch: Watch | None = None) -> Examination:
    """Look at every agent and MCP server of a team: whether it can be made, and whether what is behind it answers.

    Of those who are notified: whether there is all that it takes. Teams that are nested in it are looked at after it.
    """
    return tasks.run_main(_with_nested(team, watch or _unwatched))


def _unwatched(_importing: str, _waiting: Sequence[str]) -> None:
    pass


async def _with_nested(team: Team, watch: Watch) -> Examination:
    found = await _examined(team, watch)
    for name, inner in team.nested.items():
        found = found.including(name, await _with_nested(inner, watch))
    return found


async def _examined(team: Team, watch: Watch) -> Examination:
    workshop = Workshop.of(team)
    made: dict[str, Adapter | Diagnosis] = {}
    try:
        for name, agent in team.agents.items():  # one after another: it imports their code
            watch(name, ())
            made[name] = _made(team, agent, workshop)
        return await _Round(team, made, workshop, watch).found()
    finally:
        adapters = [one for one in made.values() if not isinstance(one, Diagnosis)]
        await asyncio.gather(*(_closed(one) for one in adapters), _closed(workshop))


def _made(team: Team, agent: Agent, workshop: Workshop) -> Adapter | Diagnosis:
    if agent.name in team.nested:
        return Diagnosis(agent.name, "team", "ok", ", ".join(team.nested[agent.name].agents))
    try:
        return adapter_of(team, agent, workshop)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - its code was written by others, and hides no other agent's
        return wrong(agent.name, agent.kind or "use", error)


class _Round:
    """All looks at a team, under way at once."""

    def __init__(self, team: Team, made: Mapping[str, Adapter | Diagnosis], workshop: Workshop, watch: Watch) -> None:
        self._team, self._made, self._watch = team, made, watch
        self._looks = {name: Look(server) for name, server in workshop.servers.items()}
        self._room = asyncio.Semaphore(WORKERS_MAX)
        self._waiting: list[tuple[str, str]] = []
        self._servers: dict[str, asyncio.Task[Diagnosis]] = {}

    async def found(self) -> Examination:
        """What they find."""
        agents = [self._begun(name, "agent", self._of_agent(self._team.agents[name])) for name in self._made]
        self._servers |= {name: self._begun(name, "server", self._of_server(name)) for name in self._looks}
        recipients = [self._begun(one.name, "recipient", could_be_told(self._team, one)) for one in self._team.notify]
        self._tell()
        await asyncio.gather(*agents, *self._servers.values(), *recipients)
        groups = (agents, self._servers.values(), recipients)
        return Examination(*(tuple(task.result() for task in group) for group in groups))

    def _begun(self, name: str, what: str, look: Coroutine[Any, Any, Diagnosis]) -> "asyncio.Task[Diagnosis]":
        self._waiting.append((name, what))
        return tasks.spawn(self._watched((name, what), look))

    async def _watched(self, what: tuple[str, str], look: Coroutine[Any, Any, Diagnosis]) -> Diagnosis:
        found = await look
        self._waiting.remove(what)
        self._tell()
        return found

    def _tell(self) -> None:
        self._watch("", [name for name, _ in self._waiting])

    async def _of_server(self, name: str) -> Diagnosis:
        return await diagnosed(name, "mcp", self._looks[name].said(), START_SECONDS_MAX)

    async def _of_agent(self, agent: Agent) -> Diagnosis:
        made = self._made[agent.name]
        found = made if isinstance(made, Diagnosis) else await self._of_adapter(agent, made)
        if not found.is_fine:
            return found
        try:
            await check_tools(agent, self._servers, self._looks)
        except AgentError as error:
            return wrong(agent.name, agent.kind, error)
        return found

    async def _of_adapter(self, agent: Agent, adapter: Adapter) -> Diagnosis:
        """What a look at an agent finds that could be made; a name is all there is to see of some."""
        name, kind, declared = agent.name, agent.kind or "use", _keys(agent)
        if kind == "llm":
            return await diagnosed(name, kind, models.model(declared), PROBE_SECONDS_MAX)
        if kind in factories.IN_WORKERS:
            async with self._room:
                return await diagnosed(name, kind, factories.in_worker(self._team, agent, declared), START_SECONDS_MAX)
        if kind == "autogen":
            return await diagnosed(name, kind, factories.of_autogen(self._team, declared["use"]), PROBE_SECONDS_MAX)
        if isinstance(adapter, Probed):
            seconds_max = START_SECONDS_MAX if isinstance(adapter, BoundAdapter) else PROBE_SECONDS_MAX
            return await diagnosed(name, kind, adapter.probe(), seconds_max)
        return Diagnosis(name, kind, "ok", _named(declared))


def _keys(agent: Agent) -> Mapping[str, Any]:
    """What stands under the key of its kind; where that is the one value that is enough, under the key of that."""
    declared: Any = getattr(agent, agent.kind or "use")
    shape: Any = AGENT.fields[agent.kind or "use"].shape
    return declared if isinstance(declared, Mapping) else {getattr(shape, "key", "use"): declared}


def _named(declared: Mapping[str, Any]) -> str:
    """What is declared, as far as it has a name."""
    said = next((declared[key] for key in ("use", "url", "run") if key in declared), None)
    if isinstance(said, list | tuple):
        return " ".join(map(str, said))
    return said if isinstance(said, str) else "can be called"


async def _closed(one: Adapter | Workshop) -> None:
    """Close it. Where that fails, the others are closed all the same."""
    found = await diagnosed(type(one).__name__, "", _closing(one), CLOSE_SECONDS_MAX)
    if not found.is_fine:
        log.warning("closing %s failed: %s", found.subject, found.text)


async def _closing(one: Adapter | Workshop) -> str:
    await one.close()
    return ""
