"""A process that test_crash kills: python crash_process.py FOLDER KILL_AT.

It opens a batch and runs it, or, where there is a journal, resumes it. Each call of an agent is written to `calls`
before it does anything, each event to `told` once it is durable. KILL_AT is `call:N`, `event:N` or `never`.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import interlock as il

RUNS, CALLS_MAX = 12, 5


class Log:
    """Lines that are there as soon as they are written, whatever happens to the process; at one of them it does."""

    def __init__(self, path: Path, kill_at: int) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._kill_at = kill_at

    def write(self, line: str) -> None:
        os.write(self._descriptor, f"{line}\n".encode())
        self._kill_at -= 1
        if not self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def team(calls: Log) -> il.Team:
    """A small diamond with a for_each in it, and a flaky step: its first attempt fails."""

    async def work(job: il.Job) -> il.Reply:
        calls.write(job.idempotency_key)
        await asyncio.sleep(0.001)
        if job.step == "flaky" and job.attempt == 1:
            raise OSError("the first time")
        return il.Reply(writes={f"out.{job.step}": [job.item, len(list(job.view))]}, usage=il.Usage(usd=0.25))

    def step(id_: str, *needs: str, **given: object) -> il.Step:
        return il.Step(id_, agent="ann", action="act", needs=list(needs), **{"writes": [f"out.{id_}"]} | given)  # type: ignore[arg-type]

    steps = [
        step("first"),
        step("left", "first"),
        step("flaky", "first"),
        step("each", "first", for_each="list", writes=["out.{step}"]),
        step("join", "left", "flaky", "each"),
        step("last", "join"),
    ]
    ann = il.Agent("ann", use=work, scope=il.Scope(["act"], ["*"], ["out.*"]), backoff="10ms", timeout="20s")
    return il.Team([ann], il.Plan(steps))


async def main(folder: Path, kill_at: str) -> None:
    where, _, number = kill_at.partition(":")
    calls = Log(folder / "calls", int(number) if where == "call" else 0)
    told = Log(folder / "told", int(number) if where == "event" else 0)

    def observe(run_id: str, events: object) -> None:
        for event in events:  # type: ignore[attr-defined]
            told.write(f"{run_id} {type(event).__name__} {getattr(event, 'step', '')}")

    journal = folder / "journal.db"
    known = journal.exists()
    async with il.Orchestrator(team(calls), journal, calls_max=CALLS_MAX, on_event=observe) as orchestrator:
        if known:
            async for _ in orchestrator.resume():
                pass
        else:
            requests = [orchestrator.request({"list": ["a", "b"], "n": n}) for n in range(RUNS)]
            async for _ in orchestrator.run_batch(await orchestrator.open_batch(requests, "test")):
                pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
