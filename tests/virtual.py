"""Virtual time for tests: nothing ever waits. What the tests of the engine add to the simulator's own loop."""

import asyncio
from collections.abc import Callable

from interlock.testing.simulation.loop import START_US, now_us, run

__all__ = ["START_US", "now_us", "run", "seconds", "settle", "until"]


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
