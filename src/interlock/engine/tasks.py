"""The only place that creates tasks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def spawn(work: Coroutine[Any, Any, Result], context: Context | None = None) -> asyncio.Task[Result]:
    """Run a coroutine in a task of its own; whoever spawns it keeps it and waits for it."""
    return asyncio.get_running_loop().create_task(work, context=context)


async def each(
    items: AsyncIterator[Item], do: Callable[[Item], Awaitable[Result]], width: int
) -> AsyncIterator[Result]:
    """Do something with each item, at most `width` at once; yields results as they come.

    The first error cancels the rest and is raised; so does closing the iterator.
    """
    done: asyncio.Queue[asyncio.Task[Result]] = asyncio.Queue()
    tasks: set[asyncio.Task[Result]] = set()
    try:
        async for item in items:
            task = spawn(_run(do, item))
            tasks.add(task)
            task.add_done_callback(done.put_nowait)
            while len(tasks) >= width or not done.empty():
                yield _take(await done.get(), tasks)
        while tasks:
            yield _take(await done.get(), tasks)
    finally:
        await cancel_all(tasks)


async def _run(do: Callable[[Item], Awaitable[Result]], item: Item) -> Result:
    return await do(item)


def _take(task: asyncio.Task[Result], tasks: set[asyncio.Task[Result]]) -> Result:
    tasks.discard(task)
    return task.result()


async def cancel_all(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)
