"""Virtual time: event loops whose clock jumps to the next timer when nothing is ready.

A Timeline is the one clock of a simulated world, and each simulated process has a loop of its own on it, so that it
can die without taking the others along. Whatever is due at the same moment goes in an order drawn by chance, as the
outcomes of real I/O do; within one loop, callbacks keep asyncio's order.

Nothing here waits: no sockets, no threads, no executors.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from heapq import heappop, heappush
from math import inf
from operator import attrgetter
from random import Random
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

from interlock.engine.tasks import leave_behind
from interlock.errors import AgentRefused, BrokenPromise

START_US = 1_700_000_000_000_000
# So many rounds without any time passing are a circle.
ROUNDS_AT_ONCE_MAX = 20_000
# After so many rounds at one moment, each further one takes a little time, so that timeouts come.
PATIENCE_ROUNDS = 2_000
SPIN_SECONDS = 0.01
# A loop has so many tasks before it looks which of them are done.
TASKS_ROOM = 64
# A process that is torn down gets so many rounds to unwind; whoever still goes on then is left behind.
BURIAL_ROUNDS_MAX = 1_000

_is_ready = attrgetter("ready")

Given = TypeVarTuple("Given")
Result = TypeVar("Result")


class Timeline:
    """The clock of a world, and the loops that live by it.

    now: seconds since the beginning. random: breaks ties; None keeps the order of creation.
    """

    def __init__(self, random: Random | None = None) -> None:
        self.now = 0.0
        self._random = random
        self._loops: list[VirtualLoop] = []

    def loop(self) -> "VirtualLoop":
        """A new loop on this clock."""
        made = VirtualLoop(self)  # type: ignore[abstract]  # what it doesn't have would leave virtual time
        self._loops.append(made)
        return made

    def run(self, done: Callable[[], bool], *, seconds_max: float = inf) -> bool:
        """Let things happen until `done`.

        False if nothing can happen any more, or not before `seconds_max`, or if it goes round in a circle at one
        moment.
        """
        rounds, before = 0, self.now
        # A loop may be buried by a callback of another one, which goes on afterwards.
        with _remembered_loop():
            while not done():
                ready = [*filter(_is_ready, self._loops)] or self._jump(seconds_max)
                rounds = rounds + 1 if self.now == before else 0
                if not ready or rounds > ROUNDS_AT_ONCE_MAX:
                    return done()
                if rounds > PATIENCE_ROUNDS:
                    self._hurry()
                before = self.now
                if len(ready) > 1 and self._random is not None:
                    self._random.shuffle(ready)
                for loop in ready:
                    loop.round()
        return True

    def _hurry(self) -> None:
        """Somebody goes round without letting time pass, as by sleep(0): in life that would take time, too."""
        self.now += SPIN_SECONDS
        for loop in self._loops:
            if loop.next_timer() <= self.now:
                loop.wake(self._random)

    def _jump(self, seconds_max: float) -> "list[VirtualLoop]":
        """Go to the next timer; returns the loops that are ready then."""
        moments = [*map(VirtualLoop.next_timer, self._loops)]
        soonest = min(moments, default=inf)
        if soonest > seconds_max or soonest == inf:
            return []
        now = self.now = max(self.now, soonest)
        due = []
        for loop, moment in zip(self._loops, moments, strict=True):
            if moment <= now:
                loop.wake(self._random)
                due.append(loop)
        return due

    def drop(self, loop: "VirtualLoop") -> None:
        """From now on nothing happens in this loop."""
        if loop in self._loops:
            self._loops.remove(loop)


class _Handle(asyncio.TimerHandle):
    """What is to be called, and when. asyncio's own handles ask their loop each time whether it is being debugged.

    It is made for every callback of every world, so it keeps nothing but what is needed.
    """

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: Any, context: Context | None, when: float) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args, self._when = args, when
        self.context = copy_context() if context is None else context

    def __repr__(self) -> str:
        return f"<handle of {self.callback!r:.200}>"

    def cancel(self) -> None:
        """See asyncio.Handle."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """See asyncio.Handle."""
        return self.callback is None


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop for one simulated process.

    refused: why somebody who would have left virtual time was not let; "" so far.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._tasks_room = TASKS_ROOM
        self._closed = self._halted = False
        self._complaints: list[dict[str, Any]] = []
        self.refused = ""

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """What nobody caught in it."""
        self._forget_done_tasks()  # one that failed complains when nobody keeps it any more
        return self._complaints

    # --- driven by the timeline ---

    def round(self) -> None:
        """Run what is ready now; what becomes ready meanwhile has its turn in the next round."""
        if asyncio._get_running_loop() is not self:  # noqa: SLF001 - documented as being there for event loops
            asyncio._set_running_loop(self)  # noqa: SLF001 - see above
            sys.set_asyncgen_hooks(finalizer=self._finish_generator)
        ready = self.ready
        for _ in range(len(ready)):
            if self._halted:
                break
            handle = ready.popleft()
            callback = handle.callback
            if callback is not None:
                try:
                    handle.context.run(callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio's do: a callback ends no loop
                    self.call_exception_handler({"message": f"{handle!r} failed", "exception": error})

    def _finish_generator(self, generator: AsyncGenerator[Any, None]) -> None:
        """Nobody iterates over it any more."""
        if not self._closed:
            self.create_task(generator.aclose())

    def next_timer(self) -> float:
        """When the next timer is due; inf where there is none."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heappop(timers)
        return timers[0][0] if timers else inf

    def wake(self, random: Random | None) -> None:
        """Make ready what is due by now."""
        due: list[_Handle] = []
        timers, now = self._timers, self._timeline.now
        while timers and timers[0][0] <= now:
            due.append(heappop(timers)[2])
        if random is not None and len(due) > 1:
            random.shuffle(due)
        self.ready += due

    def halt(self) -> None:
        """The process dies now: nothing after the callback that runs at this moment happens any more."""
        self._halted = True
        self._timeline.drop(self)

    def bury(self) -> None:
        """End everything in this loop: its process has died. Nothing that it still does may reach anybody."""
        self._timeline.drop(self)
        self._halted = False
        private = self._timeline = Timeline()
        private._loops.append(self)  # noqa: SLF001 - its own afterlife, in which time goes on for it alone
        for _ in range(BURIAL_ROUNDS_MAX):
            self._forget_done_tasks()
            for task in self._tasks:
                task.cancel()
            if not self._tasks or not private.run(lambda: not self.ready):
                break
        leave_behind({task for task in self._tasks if not task.done()})
        self._end()

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        """Seconds since the world began."""
        return self._timeline.now

    def call_soon(
        self, callback: Callable[[Unpack[Given]], object], *args: *Given, context: Context | None = None
    ) -> asyncio.Handle:
        """In the next round."""
        handle = _Handle(callback, args, context, self._timeline.now)
        if not self._closed:
            self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Given]], object],
        *args: *Given,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """After so many seconds."""
        return self.call_at(self._timeline.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Given]], object],
        *args: *Given,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """At a moment of `time`."""
        if when != when:  # noqa: PLR0124 - only NaN is not itself
            raise ValueError("a timer can't be set to NaN")
        handle = _Handle(callback, args, context, when)
        self._count += 1
        heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        """A task of this loop."""
        task = asyncio.Task(coro, loop=self, name=name or "", context=context)
        if len(self._tasks) >= self._tasks_room:
            self._forget_done_tasks()
        self._tasks.append(task)
        return task

    def _forget_done_tasks(self) -> None:
        """Looked at now and then: to be told of the end of each would cost as much as its callbacks."""
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks_room = TASKS_ROOM + 2 * len(self._tasks)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep it for whoever looks."""
        self._complaints.append(context)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def get_task_factory(self) -> None:
        """None: libraries ask for it before they create a task."""

    def is_running(self) -> bool:
        """Always, until it is closed."""
        return not self._closed

    def is_closed(self) -> bool:
        """Whether its process is over."""
        return self._closed

    def close(self) -> None:
        """Forget all that is still to come. Raises RuntimeError where the loop is running, as asyncio's do."""
        if asyncio._get_running_loop() is self:  # noqa: SLF001 - see above
            raise RuntimeError("a running event loop can't be closed")
        self._end()

    def _end(self) -> None:
        self._timeline.drop(self)
        self._closed = True
        self.ready.clear()
        self._timers.clear()

    # --- what would leave virtual time ---

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a thread lives in real time."""
        raise self._real("a thread")

    async def create_connection(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: the network lives in real time."""
        raise self._real("the network")

    getaddrinfo = getnameinfo = sock_connect = create_server = create_datagram_endpoint = create_connection
    create_unix_connection = create_unix_server = create_connection

    async def subprocess_exec(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a process lives in real time."""
        raise self._real("another process")

    subprocess_shell = subprocess_exec

    def _real(self, what: str) -> AgentRefused:
        self.refused = f"an agent in simulated time can't use {what}: a simulation never waits for the real world"
        return AgentRefused(self.refused, fix="give it a fake in the simulation")


@contextmanager
def _remembered_loop() -> Iterator[None]:
    """Whatever loop was running before is the running one afterwards."""
    outer, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001 - see above
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)  # noqa: SLF001 - see above
        sys.set_asyncgen_hooks(*hooks)


def run(main: Coroutine[Any, Any, Result], random: Random | None = None) -> Result:
    """Run a coroutine on a timeline of its own, as asyncio.run does, without ever waiting.

    Raises BrokenPromise where it waits for something that can't come.
    """
    timeline = Timeline(random)
    loop = timeline.loop()
    task = loop.create_task(main)
    try:
        if not timeline.run(task.done):
            raise BrokenPromise("nothing is ready and no timer is set: this would wait for ever")
        result: Result = task.result()
        return result
    finally:
        loop.bury()


def now_us() -> int:
    """The wall clock that goes with the running virtual loop, in microseconds since 1970."""
    return START_US + round(asyncio.get_running_loop().time() * 1e6)
