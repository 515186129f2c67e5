"""The only place that creates tasks."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextvars import Context
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from interlock.errors import UsageError, describe

log = logging.getLogger("interlock")

# How long a task may go on after its cancellation before it is cancelled once more, or left alone.
STUBBORN_SECONDS = 1.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def spawn(work: Coroutine[Any, Any, Result], context: Context | None = None) -> asyncio.Task[Result]:
    """Run a coroutine in a task of its own; whoever spawns it keeps it and waits for it."""
    return asyncio.get_running_loop().create_task(work, context=context)


def refuse_inside_a_loop(message: str = "", *, fix: str) -> None:
    """Raise UsageError where an event loop runs already: run_main could make no other."""
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises instead of answering
        raise UsageError(message, fix=fix)


def run_main(main: Coroutine[Any, Any, Result]) -> Result:
    """asyncio.run, which no agent ends: neither by what it leaves in the loop nor by never ending itself.

    Nothing waits for ever for what ignores its cancellation, or for threads that agents started.
    """
    runner = asyncio.Runner()
    loop = runner.get_loop()
    try:
        return _drive(loop, main)
    finally:
        left = _drive(loop, _end_the_rest())
        executor = getattr(loop, "_default_executor", None)  # asyncio would wait for its threads, however long
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
            loop._default_executor = None  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way
        if left:
            leave_behind(left)
        else:
            runner.close()


def _drive(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Result]) -> Result:
    """Run a loop until this is done. A SystemExit in any other task comes out of the loop, which then goes on."""
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    with _CtrlC(task) as ctrl_c:
        while not task.done():
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                if task.done():
                    break
                if ctrl_c.has_raised(error):
                    raise
                log.error("a task that an agent has left tried to end the program: %s", describe(error))  # noqa: TRY400 - where it was raised is told
    if ctrl_c.presses and task.cancelled():
        raise KeyboardInterrupt
    return task.result()


class _CtrlC:
    """SIGINT as asyncio.run has it: the first cancels the task, the second is raised wherever the program is."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.presses = 0
        self._task = task
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._is_ours = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._is_raised_at_once = in_main_thread and not self._is_ours

    def __enter__(self) -> Self:
        if self._is_ours:
            signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours and signal.getsignal(signal.SIGINT) == self._pressed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _pressed(self, _number: int, _frame: FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1 or self._task.done():
            raise KeyboardInterrupt
        self._task.cancel()
        self._task.get_loop().call_soon_threadsafe(lambda: None)  # it may wait for its next event

    def has_raised(self, error: BaseException) -> bool:
        """Whether a person at the keyboard is behind this error, as far as that can be told from an agent's."""
        return isinstance(error, KeyboardInterrupt) and (self.presses > 1 or self._is_raised_at_once)


# Tasks that outlived their loop.
LEFT_BEHIND: set[asyncio.Task[Any]] = set()
_HOLDER = "interlock-left-behind"


def leave_behind(tasks: set[asyncio.Task[Any]]) -> None:
    """Keep tasks that don't end, for ever: to collect one is to run it once more, and it may never return from that.

    A thread that waits for nothing holds them, since the end of the interpreter would collect them, too.
    """
    if tasks and not any(thread.name == _HOLDER for thread in threading.enumerate()):
        threading.Thread(target=_hold, args=(LEFT_BEHIND,), name=_HOLDER, daemon=True).start()
    LEFT_BEHIND.update(tasks)


async def end_or_leave(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Give tasks that were cancelled a moment to end. What goes on is left behind, lest asyncio.run wait for it.

    It is taken off the list of the loop, which closes without it. What ends later is forgotten then.
    """
    left = (await asyncio.wait(tasks, timeout=STUBBORN_SECONDS))[1] if tasks else set()
    for task in left:
        asyncio._unregister_task(task)  # noqa: SLF001 - documented, for those who extend asyncio
        task.add_done_callback(LEFT_BEHIND.discard)
    leave_behind(left)


def _hold(_tasks: set[asyncio.Task[Any]]) -> None:
    threading.Event().wait()


async def _end_the_rest() -> set[asyncio.Task[Any]]:
    """Cancel every other task of this loop; returns those that go on all the same."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    return set((await asyncio.wait(rest, timeout=STUBBORN_SECONDS))[1]) if rest else set()


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
