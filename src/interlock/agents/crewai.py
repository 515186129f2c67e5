"""Crews of CrewAI, which work in threads.

The other end of the pipe is `crew`, which makes a crew for each job and runs it.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from tempfile import gettempdir
from typing import Any
from weakref import finalize

from msgspec.structs import replace

from interlock.core.job import Job

from .bound import Blueprint, BoundAdapter
from .extras import check
from .setting import Setting

# A worker takes seconds to import CrewAI, and holds a quarter of a gigabyte then.
WORKERS = 2


def from_crewai(
    make_crew: str | Callable[[], Any],
    *,
    instructions: str = "",
    input: str | Callable[[Job], Mapping[str, Any]] | None = None,  # noqa: A002 - the word of the team file
    output: str | Callable[[Any, Job], Any] | None = None,
    price: Mapping[str, float] | None = None,
    workers: int = WORKERS,
) -> "CrewAdapter":
    """An agent that has a crew do the job; make_crew makes a new one, with LLMs of its own, for each call.

    It is called once more when a worker starts. instructions: a template of what the crew is told. input: makes the
    inputs of its kickoff from a job. output: makes the answer from its result and the job. price: US dollars per
    million tokens of `input`, `output` and `cached`. workers: how many crews work at once, each in a process. All three
    functions must stand at the top level of a module, or be named as "module:name".

    Raises TeamError where one doesn't, MissingExtra without CrewAI.
    """
    check("crewai", "crewai")
    blueprint = Blueprint.of(make_crew, instructions=instructions, input=input, output=output, price=price)
    return CrewAdapter(blueprint, workers)


def declared(setting: Setting) -> "CrewAdapter":
    """The adapter of an agent that a team declares."""
    python = _python(setting)
    if not python:
        check("crewai", "crewai")
    return CrewAdapter(Blueprint.declared(setting), setting.agent.concurrency or WORKERS, python=python)


def _python(setting: Setting) -> str:
    """The interpreter that is declared: a path counts from the team file's folder, a bare name is looked up."""
    declared: str = setting.declared.get("python", "")
    folder = setting.team.folder
    return str(folder / declared) if "/" in declared and folder is not None else declared


class CrewAdapter(BoundAdapter):
    """Has crews do jobs, and removes what they have stored."""

    def __init__(self, blueprint: Blueprint, workers: int, *, python: str = "") -> None:
        self._storage = Path(gettempdir(), f"interlock-crewai-{token_hex(16)}")
        options = {**blueprint.options, "storage": str(self._storage)}
        super().__init__("interlock.agents.crew", replace(blueprint, options=options), workers, python=python)
        finalize(self, rmtree, self._storage, ignore_errors=True)  # for whoever doesn't close it

    async def probe(self) -> str:
        """That a worker can import the crew. Raises AgentRefused where it can't."""
        self._pool.give_back(await self._pool.lease(self._reference))
        return f"{self._reference} is imported by a worker"

    async def close(self) -> None:
        """Stop the workers, and remove what their crews have stored; a later call begins anew."""
        await super().close()
        await asyncio.to_thread(rmtree, self._storage, ignore_errors=True)
