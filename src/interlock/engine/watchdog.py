"""Names the agent that blocks the event loop, while it does.

A blocked loop can't tell anything itself, so a thread watches its heartbeat, and looks at the stack of the thread
that the loop runs in.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType

from . import clock
from .calling import Calling
from .calls import Call

BEAT_SECONDS = 0.2
BLOCKED_SECONDS = 0.5

log = logging.getLogger("interlock")
_ATTEMPT: CodeType = Calling._attempt.__code__  # noqa: SLF001 - the frame that every call of an agent has on its stack


class Watchdog:
    """Watches one running loop, from start to stop. blocked: agent -> how often it was caught."""

    def __init__(self, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self.blocked: dict[str, int] = {}
        self._monotonic = monotonic
        self._beat_at = 0.0
        self._end = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._loop_thread = 0
        self._handle: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="interlock-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._end.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        self._beat_at = self._monotonic()
        self._handle = self._loop.call_later(BEAT_SECONDS, self._beat)

    def _watch(self) -> None:
        named_beat = 0.0
        while not self._end.wait(BEAT_SECONDS):
            silent = self._monotonic() - self._beat_at
            if silent > BLOCKED_SECONDS and self._beat_at != named_beat:
                named_beat = self._beat_at
                self._name(silent)

    def _name(self, silent: float) -> None:
        call = call_on_stack(sys._current_frames().get(self._loop_thread))  # noqa: SLF001 - the documented way
        if call is None:
            log.warning("the event loop has been blocked for %.1f s, not by an agent's own code", silent)
            return
        agent = call.command.agent
        self.blocked[agent] = self.blocked.get(agent, 0) + 1
        log.warning(
            "agent %s has blocked the event loop for %.1f s (step %s): nothing else can run meanwhile. "
            "Make it await, or declare isolation: process",
            agent,
            silent,
            call.command.step,
        )


def call_on_stack(frame: FrameType | None) -> Call | None:
    """The call of an agent that is being executed in this stack."""
    while frame is not None:
        if frame.f_code is _ATTEMPT:
            call: Call = frame.f_locals["call"]
            # With its outcome the agent's part is over: what runs now is the engine or an observer.
            return None if "outcome" in frame.f_locals else call
        frame = frame.f_back
    return None
