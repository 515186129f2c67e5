"""Functions that make the agents of frameworks: whether they do. What they make is never asked for anything."""

import inspect
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

from interlock.agents.bound import OPTIONS
from interlock.agents.process import ProcessPool
from interlock.agents.wire import Binding
from interlock.errors import AgentRefused
from interlock.team import Agent, Team, find

# Where the worker's end of each is; that of CrewAI makes a crew and tells what comes of it.
_BINDINGS = {"crewai": "interlock.doctor.crews", "swarm": "interlock.agents.swarm"}
IN_WORKERS = frozenset(_BINDINGS)


async def of_autogen(team: Team, use: str) -> str:
    """What an AutoGen agent is, or what its function makes. Raises whatever that raises."""
    found = find(use, team.folder)
    if hasattr(found, "run_stream"):
        return f"{use} is {_a(found)}"
    made = found()
    runner = await made if inspect.isawaitable(made) else made
    if not hasattr(runner, "run_stream"):
        raise AgentRefused(f"{use} makes {_a(runner)}, not an AutoGen agent or team")
    if hasattr(runner, "close"):
        await runner.close()
    return f"{use} makes {_a(runner)}"


async def in_worker(team: Team, agent: Agent, declared: Mapping[str, Any]) -> str:
    """That a worker process has made the agent. Raises AgentError."""
    use, python = declared["use"], declared.get("python", "")
    if "/" in python and team.folder is not None:
        python = str(team.folder / python)
    with TemporaryDirectory(prefix="interlock-doctor-") as storage:
        options = {key: declared[key] for key in OPTIONS if key in declared} | {"storage": storage}
        binding = Binding(_BINDINGS[agent.kind], options)
        pool = ProcessPool(str(team.folder or ""), limits=team.limits, binding=binding, python=python)
        try:
            await pool.lease(use)
        finally:
            await pool.close()
    return f"{use} is made by a worker" if agent.kind == "crewai" else f"{use} is loaded by a worker"


def _a(thing: Any) -> str:
    name = type(thing).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
