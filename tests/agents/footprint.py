"""What a test leaves behind in its process: open files and sockets, tasks, threads at work, child processes."""

import asyncio
import gc
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .scenes import PROC, children, until

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A thread of a pool that waits for work stands in one of these functions; it was left there on purpose.
IDLE = {("thread.py", "_worker"), ("_asyncio.py", "run")}
FRAMES_MAX = 6
READING_SECONDS, READINGS_ALIKE, READINGS_MAX = 0.01, 5, 500


@dataclass(frozen=True)
class Footprint:
    """How many there are of each."""

    files: int
    tasks: int
    threads: int
    processes: int

    @classmethod
    def taken(cls) -> "Footprint":
        """What is there now; the current task is not counted."""
        return cls(open_files(), len(asyncio.all_tasks()) - 1, len(threads_at_work()), len(children()))

    @classmethod
    async def settled(cls) -> "Footprint":
        """What is there once nothing changes any more."""
        gc.collect()
        readings = [cls.taken()]
        while readings[-READINGS_ALIKE:] != readings[-1:] * READINGS_ALIKE:
            assert len(readings) < READINGS_MAX, f"it never came to rest: {readings[-READINGS_ALIKE:]}"
            await asyncio.sleep(READING_SECONDS)
            readings.append(cls.taken())
        return readings[-1]

    def over(self, before: "Footprint") -> dict[str, int]:
        """By how much it exceeds an earlier one."""
        excess = {name: count - getattr(before, name) for name, count in vars(self).items()}
        return {name: count for name, count in excess.items() if count > 0}

    async def returns(self, within: float) -> None:
        """Wait until no more is there than this."""
        gc.collect()
        try:
            await until(lambda: not Footprint.taken().over(self), within)
        except TimeoutError:
            left = Footprint.taken().over(self)
            there = f"threads at work: {threads_at_work()}; tasks: {tasks_going_on()}"
            raise AssertionError(f"left behind {within:g} s later: {left}; {there}") from None


def open_files() -> int:
    return len(os.listdir("/proc/self/fd" if PROC.exists() else "/dev/fd"))  # noqa: PTH208 - a count, asked often


def threads_at_work() -> list[str]:
    """The threads that do something, by name."""
    frames = sys._current_frames()
    return sorted(thread.name for thread in threading.enumerate() if not _idle(frames.get(thread.ident or 0)))


def tasks_going_on() -> list[str]:
    """The tasks beside the current one, by what they run."""
    return sorted(repr(task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()})


def _idle(frame: Any) -> bool:
    """Whether a thread waits for work in its pool; the wait itself may take a few frames."""
    for _ in range(FRAMES_MAX):
        if frame is None:
            return False
        code = frame.f_code
        if (Path(code.co_filename).name, code.co_name) in IDLE:
            return True
        if Path(code.co_filename).name not in {"queue.py", "threading.py"}:
            return False
        frame = frame.f_back
    return False


def memory_of(pid: int) -> int:
    """The bytes of a process that are in memory; 0 where the system doesn't tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


def resident(pids: set[int]) -> int:
    """How many bytes this process and those have in memory."""
    return sum(map(memory_of, {os.getpid(), *pids}))
