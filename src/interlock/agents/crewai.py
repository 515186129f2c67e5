"""Crews of CrewAI, in worker processes of their own: a crew works in threads, which nothing in this process can stop.

The other end of the pipe is `crew`, which makes a crew for each job and runs it.
"""

import asyncio
from collections.abc import Callable, Mapping
from tempfile import TemporaryDirectory
from typing import Any

from interlock.core.job import Job
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import TeamError
from interlock.ports import Began, unheard
from interlock.team.agent import described
from interlock.team.registry import importable

from .extras import check
from .process import ProcessAdapter, ProcessPool
from .setting import Setting
from .wire import Binding

# A worker takes seconds to import CrewAI, and holds a quarter of a gigabyte then.
WORKERS = 2
OPTIONS = ("instructions", "input", "output", "price")


def from_crewai(
    make_crew: Callable[[], Any],
    *,
    instructions: str = "",
    input: Callable[[Job], Mapping[str, Any]] | None = None,  # noqa: A002 - the word of the team file
    output: Callable[[Any, Job], Any] | None = None,
    price: Mapping[str, float] | None = None,
    workers: int = WORKERS,
) -> "CrewAdapter":
    """An agent that has a crew do the job; make_crew makes a new one, with LLMs of its own, for each call.

    It is called once more when a worker starts. instructions: a template of what the crew is told. input: makes the
    inputs of its kickoff from a job. output: makes the answer from its result and the job. price: US dollars per
    million tokens of `input`, `output` and `cached`. workers: how many crews work at once, each in a process. All three
    functions must stand at the top level of a module. Raises TeamError where one doesn't, MissingExtra without CrewAI.
    """
    check("crewai", "crewai")
    functions = {"input": input, "output": output}
    options: dict[str, Any] = {name: _reference(function) for name, function in functions.items() if function}
    if instructions:
        options["instructions"] = instructions
    if price is not None:
        options["price"] = dict(price)
    return CrewAdapter(_reference(make_crew), options, workers=workers)


def declared(setting: Setting) -> "CrewAdapter":
    """The adapter of a team file's agent. Its code is imported by its workers alone: CrewAI takes seconds."""
    python = _python(setting)
    if not python:
        check("crewai", "crewai")
    options = {key: setting.declared[key] for key in OPTIONS if key in setting.declared}
    team, workers = setting.team, setting.agent.concurrency or WORKERS
    folder = str(team.folder) if team.folder else ""
    return CrewAdapter(
        setting.declared["use"], options, folder=folder, limits=team.limits, workers=workers, python=python
    )


def _python(setting: Setting) -> str:
    """The interpreter that is declared: a path counts from the team file's folder, a bare name is looked up."""
    declared: str = setting.declared.get("python", "")
    folder = setting.team.folder
    return str(folder / declared) if "/" in declared and folder is not None else declared


class CrewAdapter:
    """Has crews do jobs, as many at once as it has workers. It can be called like a function of the job, too."""

    def __init__(
        self,
        reference: str,
        options: Mapping[str, Any],
        *,
        folder: str = "",
        limits: Limits = DEFAULT_LIMITS,
        workers: int = WORKERS,
        python: str = "",
    ) -> None:
        self._reference, self._options, self._folder, self._limits = reference, options, folder, limits
        self._python = python
        self.slots: int | None = workers
        self._processes: ProcessAdapter | None = None

    async def __call__(self, job: Job) -> Any:
        """The crew's reply, outside of an engine."""
        return await self.call(job, unheard)

    async def call(self, job: Job, began: Began) -> Any:
        """The crew's reply; its call begins when a worker has imported its code. A cancelled one is killed."""
        if self._processes is None:
            self._processes = self._started()
        return await self._processes.call(job, began)

    def _started(self) -> ProcessAdapter:
        self._storage = TemporaryDirectory(prefix="interlock-crewai-")
        binding = Binding("interlock.agents.crew", {**self._options, "storage": self._storage.name})
        pool = ProcessPool(self._folder, limits=self._limits, idle_max=self.slots, binding=binding, python=self._python)
        self._pool = pool
        return ProcessAdapter(pool, self._reference, self.slots)

    async def probe(self) -> str:
        """That a worker can import the crew. Raises AgentRefused where it can't."""
        if self._processes is None:
            self._processes = self._started()
        self._pool.give_back(await self._pool.lease(self._reference))
        return f"{self._reference} is imported by a worker"

    async def close(self) -> None:
        """Stop the workers, and remove what their crews have stored."""
        if self._processes is not None:
            processes, self._processes = self._processes, None
            await processes.close()
            await asyncio.to_thread(self._storage.cleanup)


def _reference(function: Callable[..., Any]) -> str:
    reference = importable(function)
    if reference is None:
        message = f"a crew runs in a process of its own, and no other process can import {described(function)}"
        raise TeamError(message, fix="define it at the top level of a module")
    return reference
