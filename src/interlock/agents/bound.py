"""Agents of frameworks that nothing in this process can stop: each job is done in a process, which can be killed.

The adapter of such a framework has two ends. This is the one that the engine calls. The other runs in the worker: the
function `bound(reference, options, find)` of a module of the framework's, which makes what is called with a job.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

import msgspec

from interlock.core.job import Job
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import TeamError
from interlock.ports import unheard
from interlock.team.registry import importable

from .process import ProcessAdapter, ProcessPool
from .setting import Setting
from .wire import Binding

OPTIONS = ("instructions", "input", "output", "price")


class Blueprint(msgspec.Struct, frozen=True):
    """What a worker makes an agent from. It travels: functions are references, "module:name".

    reference: the agent. options: those of OPTIONS that are given. folder, limits: the team's.
    """

    reference: str
    options: Mapping[str, Any]
    folder: str = ""
    limits: Limits = DEFAULT_LIMITS

    @classmethod
    def of(cls, agent: str | Callable[[], Any], **options: Any) -> Self:
        """That of an agent that a program declares. Raises TeamError for functions that can't travel."""
        given = {key: value for key, value in options.items() if value is not None and value != ""}
        given |= {key: _reference(given[key]) for key in ("input", "output") if key in given}
        if "price" in given:
            given["price"] = dict(given["price"])  # of all mappings, no other travels
        return cls(_reference(agent), given)

    @classmethod
    def declared(cls, setting: Setting) -> Self:
        """That of an agent that a team declares. Its code is imported by its workers alone."""
        options = {key: setting.declared[key] for key in OPTIONS if key in setting.declared}
        return cls(setting.declared["use"], options, str(setting.team.folder or ""), setting.team.limits)


class BoundAdapter(ProcessAdapter):
    """Has an agent do jobs in workers of its own. It can be called like a function of the job, too.

    module: whose `bound` runs in them. workers: how many there are at most. python: the one that they run, as in
    ProcessPool.
    """

    def __init__(self, module: str, blueprint: Blueprint, workers: int | None = None, *, python: str = "") -> None:
        binding = Binding(module, {**blueprint.options})
        pool = ProcessPool(blueprint.folder, limits=blueprint.limits, idle_max=workers, binding=binding, python=python)
        super().__init__(pool, blueprint.reference, workers)

    async def __call__(self, job: Job) -> Any:
        """The agent's reply, outside of an engine."""
        return await self.call(job, unheard)

    async def close(self) -> None:
        """Stop the workers."""
        await self._pool.close()


def _reference(given: Any) -> str:
    reference = given if isinstance(given, str) else importable(given)
    if reference is None:
        message = f"the agent works in a process of its own, which can't import this {type(given).__name__}"
        raise TeamError(message, fix='name it as "module:name", or give a function at the top level of a module')
    return reference
