"""The event loop of a worker process: one for its life, so that the connections which agents keep go on working.

All else ends with its call, as under asyncio.run: tasks, context variables, and work in threads.
"""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any


class WorkerLoop:
    """Awaits what agents return, one answer at a time."""

    def __init__(self) -> None:
        self._runner = _runner()

    def result(self, answer: Awaitable[Any]) -> Any:
        """What it comes to. Returns when nothing of the call goes on; if something never ends, the worker is killed."""
        if self._runner.get_loop().is_closed():  # by an agent
            self._runner = _runner()
        # A loop's own threads end with the loop, and only once.
        with ThreadPoolExecutor(thread_name_prefix="asyncio") as threads:
            self._runner.get_loop().set_default_executor(threads)
            try:
                return self._runner.run(_finish(answer), context=copy_context())
            finally:
                self._runner.run(_end_the_rest())


def _runner() -> asyncio.Runner:
    """A runner whose loop is current only while it runs: agents that aren't async must not come upon it."""
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)


async def _finish(answer: Awaitable[Any]) -> Any:
    return await answer


async def _end_the_rest() -> None:
    await asyncio.sleep(0)  # async generators that were left begin to close
    while rest := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
