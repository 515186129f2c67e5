"""Virtual time: an event loop whose clock jumps to the next timer when nothing is ready, so that tests never wait."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

START_US = 1_700_000_000_000_000
# Nothing is ready and no timer is set: only another thread can move the loop, and none of ours takes this long.
STUCK_SECONDS = 10.0

Result = TypeVar("Result")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while something is ready. Threads are not waited for before a jump: keep them out."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class _Clock(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(STUCK_SECONDS if timeout is None else 0)
        if not ready:
            if timeout is None:
                raise AssertionError("nothing is ready and no timer is set: this would wait for ever")
            self.now += timeout
        return ready


def now_us() -> int:
    """The wall clock that belongs to the running virtual loop."""
    return START_US + round(asyncio.get_running_loop().time() * 1e6)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a virtual loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def seconds() -> float:
    """How far the clock of the running loop has come."""
    return asyncio.get_running_loop().time()


async def settle() -> None:
    """Let everything happen that needs no time."""
    await asyncio.sleep(1e-6)


async def until(true: Callable[[], bool], within: float = 60.0) -> None:
    """Let time pass until something has become true."""
    deadline = seconds() + within
    while not true():
        assert seconds() < deadline, "it never became true"
        await asyncio.sleep(0.001)
