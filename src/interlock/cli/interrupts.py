"""Ctrl-C and SIGTERM while an engine works.

The first lets calls in flight finish, the second cancels them, the third leaves at once, even where an agent blocks
the event loop. Nothing is lost by any of them: the journal is durable.

Handlers are Python's own and not the loop's, because those never run in a loop that is blocked.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from interlock.engine import tasks
from interlock.engine.engine import Engine

from . import exits
from .text import plural

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h\n"

Result = TypeVar("Result")


class Cancelled(Exception):
    """The work was cancelled before its end, as the user wished."""


class Interrupts:
    """Watches over an engine while it works. stopped: somebody asked it to stop."""

    def __init__(self, engine: Engine, grace_seconds: float, say: Callable[[str], None]) -> None:
        self.stopped = False
        self._engine, self._grace_seconds, self._say = engine, grace_seconds, say
        self._loop = asyncio.get_running_loop()
        self._signals = 0
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def watch(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work. Raises Cancelled if it had to be cut short."""
        self._task = task = tasks.spawn(work)
        try:
            return await task
        except asyncio.CancelledError:
            if not self.stopped:
                raise
            raise Cancelled from None

    def stop(self) -> None:
        """Let calls in flight finish; cancel those that need more than the grace period."""
        if not self.stopped:
            self.stopped = True
            self._engine.stop()
            self._timer = self._loop.call_later(self._grace_seconds, self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        """Runs between any two bytecodes of the main thread, so it leaves the work to the loop."""
        self._signals += 1
        if self._signals > 2:  # noqa: PLR2004 - the third
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
            os._exit(exits.INTERRUPTED)
        self._loop.call_soon_threadsafe(self._ask_to_stop if self._signals == 1 else self._stop_at_once)

    def _ask_to_stop(self) -> None:
        if self.stopped:
            return
        runs = plural(self._engine.in_flight, "run")
        self._say(f"stopping: letting the calls in flight of {runs} finish (Ctrl-C again to stop at once)")
        self.stop()

    def _stop_at_once(self) -> None:
        self.stop()
        self._say("stopping at once")
        self._cancel()
