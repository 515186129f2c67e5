"""Tools that are Python functions.

An async one runs in the event loop, where its timeout reaches it at its next await. Any other runs in a worker process:
only a process can be stopped, and how often a tool is called is up to a model, so that threads nobody can stop would
pile up.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from interlock.agents.secret import hidden
from interlock.agents.wire import answer_of
from interlock.core.job import Job
from interlock.core.values import encode
from interlock.errors import AgentError, AgentRefused, ReplyRefused, TeamError, ValueRefused, describe, failure_of

from .signature import Signature
from .tool import Declared, Tool
from .workshop import Workshop


class FunctionTool:
    """One declared function. Raises TeamError for one that can't be described to a model."""

    def __init__(self, declared: Declared, function: Any, workshop: Workshop) -> None:
        if isinstance(function, type) or not callable(function):
            what = "a class" if isinstance(function, type) else f"a {type(function).__name__}"
            raise TeamError(f"it is {what}, not a function", fix="name a function")
        try:
            self._signature = Signature(function)
            self._schema = self._signature.schema
        except (TypeError, NameError, ValueError) as error:
            fix = "annotate its parameters with types that JSON can be made into"
            raise TeamError(str(error), fix=fix) from error
        self._declared, self._workshop = declared, workshop
        self._description = inspect.getdoc(function) or ""
        self._call = self._in_loop if inspect.iscoroutinefunction(function) else self._in_process
        self._function: Callable[..., Any] = function

    def begin(self) -> None:
        """Nothing has to be opened."""

    async def tool(self, job: Job) -> Tool:
        """The tool for one job. Its module is imported before the agent's own work begins, which may take long."""
        if self._call == self._in_process:
            await self._workshop.make_ready(self._declared.use)
        return self._declared.offered(self._description, self._schema, partial(self._checked, job))

    async def _checked(self, job: Job, given: dict[str, Any]) -> Any:
        """The result. Raises AgentError with all that went wrong, in words for the model."""
        arguments = self._signature.arguments(given, job, self._workshop.limits)
        try:
            result = await self._call(job, given, arguments)
            encode(result, self._workshop.limits)
        except (ValueRefused, ReplyRefused) as error:
            raise ReplyRefused(f"the result of {self._declared.name} can't be used: {error.message}") from None
        except AgentError as error:
            kind = failure_of(error) if error.retryable else AgentRefused
            raise kind(hidden(describe(error)), retry_after=error.retry_after) from None
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; the model is told
            raise AgentError(hidden(describe(error))) from None
        return result

    async def _in_loop(self, _job: Job, _given: dict[str, Any], arguments: dict[str, Any]) -> Any:
        async with self._declared.in_time():
            return await self._function(**arguments)

    async def _in_process(self, job: Job, given: dict[str, Any], _arguments: dict[str, Any]) -> Any:
        """The result of a worker, which makes the arguments once more: only JSON goes through its pipe."""
        async with self._workshop.room:
            worker = await self._workshop.pool.lease(self._declared.use)
            try:
                async with self._declared.in_time():
                    reply = await worker.use(self._declared.use, given, job if self._signature.takes_job else None)
            except BaseException:
                worker.kill()
                raise
            self._workshop.pool.give_back(worker)
        return answer_of(reply).output
