"""Agents that are plain functions: `def agent(job) -> Reply | dict`, async or not."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from interlock.core.job import Job, connect, performing
from interlock.errors import AgentError, describe
from interlock.ports import Began

THREADS_MAX = 32
ABANDONED_THREADS_MAX = 16


class FunctionAdapter:
    """Calls an async function in the event loop, where a cancellation reaches it at its next await."""

    slots: int | None = None

    def __init__(self, function: Callable[[Job], Awaitable[Any]]) -> None:
        self._function = function

    async def call(self, job: Job, began: Began) -> Any:
        """The function's answer."""
        began()
        return await self._function(job)

    async def close(self) -> None:
        """Nothing is kept between calls."""


class ThreadAdapter:
    """Calls a function, async or not, in a thread, which nothing can stop: after a timeout it is abandoned.

    Abandoned threads are counted; while ABANDONED_THREADS_MAX of them go on, the agent is not called any more.
    """

    slots: int | None = THREADS_MAX

    def __init__(self, function: Callable[[Job], Any]) -> None:
        self._function = function
        self.abandoned = 0

    async def call(self, job: Job, began: Began) -> Any:
        """The function's answer."""
        if self.abandoned >= ABANDONED_THREADS_MAX:
            raise AgentError(
                f"{self.abandoned} abandoned threads of {job.agent} still run past their timeouts",
                fix="make the agent importable, so that it runs in a process that can be stopped",
            )
        began()
        loop = asyncio.get_running_loop()
        job = self._connected(job, loop)
        answer: asyncio.Future[Any] = loop.create_future()
        threading.Thread(target=self._work, args=(job, answer, loop), name=f"agent-{job.agent}", daemon=True).start()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.cancelled():  # else the thread has just ended
                self.abandoned += 1
            raise

    def _connected(self, job: Job, loop: asyncio.AbstractEventLoop) -> Job:
        """The job, whose effects are performed in the loop of the engine."""
        perform = performing(job)
        if perform is None:
            return job

        def in_loop(effect: str, payload: Any, key: str) -> Any:
            future = asyncio.run_coroutine_threadsafe(perform(effect, payload, key), loop)
            return asyncio.wrap_future(future) if _runs_a_loop() else future.result()

        job = msgspec.structs.replace(job)
        connect(job, in_loop)
        return job

    def _work(self, job: Job, answer: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        try:
            result, error = self._function(job), None
            if inspect.isawaitable(result):
                result = asyncio.run(_finish(result))
        except BaseException as raised:  # noqa: BLE001 - goes to whoever waits for the answer
            result, error = None, raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._deliver, answer, result, error)

    def _deliver(self, answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        if answer.cancelled():
            self.abandoned -= 1
        elif error is None:
            answer.set_result(result)
        else:
            # A future takes no StopIteration, and the loop no SystemExit.
            plain = isinstance(error, Exception) and not isinstance(error, StopIteration)
            answer.set_exception(error if plain else AgentError(describe(error)))

    async def close(self) -> None:
        """Threads can't be stopped; they end with their function or with this process."""


def _runs_a_loop() -> bool:
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - the public one raises instead of answering


async def _finish(answer: Awaitable[Any]) -> Any:
    return await answer
