"""What the tests of the adapters play with: jobs, and modules of agents written to a folder."""

import asyncio
import functools
import os
import subprocess
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import interlock as il
from interlock.agents.process import ProcessAdapter, ProcessPool
from interlock.core.context import View

PROC = Path("/proc/self")


def job(**given: Any) -> il.Job:
    view = View.of(given.pop("view", {}))
    told = {"run_id": "run", "step": "s0", "agent": "ann", "action": "act", "attempt": 1, "idempotency_key": "run/s0/1"}
    return il.Job(view=view, **told | given)


def in_loop(test: Any) -> Any:
    """A test that is a coroutine, run in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def nothing() -> None:
    """A call that begins."""


class Module:
    """A module of agents in a folder; `call` calls one of them in a worker."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        (folder / "agents_under_test.py").write_text(
            "import os, sys, time\nimport interlock as il\n" + textwrap.dedent(source)
        )

    @asynccontextmanager
    async def pool(self, **given: Any) -> AsyncIterator[ProcessPool]:
        pool = ProcessPool(str(self.folder), **given)
        try:
            yield pool
        finally:
            await pool.close()

    def adapter(self, pool: ProcessPool, name: str = "agent") -> ProcessAdapter:
        return ProcessAdapter(pool, f"agents_under_test:{name}")

    def call(self, name: str = "agent", given: il.Job | None = None, **options: Any) -> Any:
        async def main() -> Any:
            async with self.pool(**options) as pool:
                return await self.adapter(pool, name).call(given or job(), nothing)

        return asyncio.run(main())


async def until(true: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for something that another process does."""
    async with asyncio.timeout(seconds):
        while not (found := true()):  # noqa: ASYNC110 - another process can set no event
            await asyncio.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    return pid in {pid for pid, _ in _processes()}


def pid_in(marker: Path) -> int:
    """The process id that a process has written to a file, once it has."""
    text = marker.read_text() if marker.exists() else ""
    return int(text) if text.endswith("\n") else 0


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    return {pid for pid, parent in _processes() if parent == os.getpid()}


def _processes() -> list[tuple[int, int]]:
    """(process id, parent's) of all that run."""
    if PROC.exists():
        rows = [_row(folder) for folder in PROC.parent.iterdir() if folder.name.isdigit()]
    else:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,stat=,ppid="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listed.stdout.splitlines()]
    return [(int(pid), int(parent)) for pid, state, parent in rows if not state.startswith("Z")]


def _row(folder: Path) -> list[str]:
    try:
        return [folder.name, *(folder / "stat").read_text().rpartition(")")[2].split()[:2]]
    except (FileNotFoundError, ProcessLookupError):
        return [folder.name, "Z", "0"]
