"""What is shown while runs go on, and the two that need no terminal: JSON lines and plain lines."""

import asyncio
import os
import select
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

from interlock.core import events as e
from interlock.engine import clock
from interlock.engine.run import Run

from . import exits
from .documents import json_line
from .tally import Tally
from .text import clock as at
from .text import duration, plural

LINE_SECONDS = 5.0


class Screen(AbstractContextManager[Any], Protocol):
    """Shows runs as they end. gone: nobody reads what it writes any more."""

    gone: bool

    async def ended(self, run: Run) -> None:
        """A run has ended, and is counted."""

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Something has become durable."""

    def say(self, text: str) -> None:
        """A line to the person, beside what is shown."""


class _Screen:
    gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Not shown."""

    def say(self, text: str) -> None:
        """A line on standard error."""
        exits.say(text)


class JsonLines(_Screen):
    """A line of JSON for each run, written as it ends."""

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()

    async def ended(self, run: Run) -> None:
        """Write the run. A reader that is slow must not hold up the event loop, so its wait is left to a thread."""
        data = json_line(run.to_dict())
        if self.gone:
            return
        try:
            if len(data) <= select.PIPE_BUF and self._ready():
                os.write(self._descriptor, data)
            else:
                await asyncio.to_thread(self._write, data)
        except BrokenPipeError:
            self.gone = True

    def _ready(self) -> bool:
        """Whether a write of PIPE_BUF bytes would go through at once."""
        return bool(select.select([], [self._descriptor], [], 0)[1])

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


class PlainLines(_Screen):
    """A line on standard error every few seconds."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._began = self._last = clock.monotonic()

    async def ended(self, run: Run) -> None:
        """Say how far it is, if that was a while ago."""
        self._tell()

    def _tell(self) -> None:
        now = clock.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            tally = self._tally
            others = ", ".join(f"{number:,} {status}" for status, number in sorted(tally.statuses.items()))
            until = f" until {at(tally.until_us, clock.now_us())}" if tally.until_us else ""
            held = f"{plural(tally.waiting, 'step')} waiting at gates{until}" if tally.waiting else ""
            said = ", ".join(part for part in (others, held) if part)
            self.say(f"{tally.done:,} of {tally.total:,} runs after {duration(now - self._began)}: {said}")

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Count the calls; where none is let through, no run ends, and that is to be said."""
        self._tally.happened(run_id, events)
        if any(isinstance(event, e.CallHeld) for event in events):
            self._tell()
