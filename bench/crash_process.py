"""The process that `crash_recovery` kills and starts again: python -m bench.crash_process FOLDER RUNS STEPS KILL_AT.

Where there is no journal yet, it opens a batch of RUNS requests and runs it; otherwise it resumes. The KILL_AT-th call
of an agent kills the process; 0 is never.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import interlock as il
from bench.subjects import chain


class Worker:
    """An agent that writes down the key of each call, then answers with it; at one of them it kills its process."""

    def __init__(self, log: Path, kill_at: int) -> None:
        self._log = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._kill_at = kill_at
        self._calls = 0

    async def __call__(self, job: il.Job) -> dict[str, Any]:
        self._calls += 1
        os.write(self._log, f"{job.idempotency_key}\n".encode())
        if self._calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0)
        return {f"out.{job.step}": job.idempotency_key}


async def main(folder: Path, runs: int, steps: int, kill_at: int) -> None:
    """Run the batch, or what is left of it."""
    journal = folder / "journal.db"
    known = journal.exists()
    team = chain(steps, Worker(folder / "calls", kill_at))
    async with il.Orchestrator(team, journal) as orchestrator:
        async for run in orchestrator.resume() if known else _from_the_start(orchestrator, runs):
            assert run.status == "succeeded", run.reason


async def _from_the_start(orchestrator: il.Orchestrator, runs: int) -> AsyncIterator[il.Run]:
    requests = [orchestrator.request({"seed": number}) for number in range(runs)]
    batch = await orchestrator.open_batch(requests, "bench")
    async for run in orchestrator.run_batch(batch):
        yield run


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
