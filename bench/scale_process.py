"""The process that `scale` measures a plan in: python -m bench.scale_process SHAPE STEPS REPETITIONS.

Prints what a step takes, as JSON: microseconds to make and prove the plan, to run it, and of that what the machine
alone takes and what it takes to decide; and the bytes that the process has taken for its first run.
"""

import asyncio
import gc
import resource
import sys
from collections import deque
from pathlib import Path
from statistics import median
from time import thread_time

import msgspec
from msgspec import Raw

import interlock as il
from bench.subjects import chain, fan, random_graph
from interlock.core import commands as c
from interlock.core import events as e
from interlock.core.machine import Machine

SHAPES = {"wide": lambda steps: fan(steps - 1), "deep": chain, "random": random_graph}
WARM_STEPS = 100
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1_024
STATUS = Path("/proc/self/status")


class Took(msgspec.Struct):
    """What one plan has taken, a step."""

    made_us: float
    run_us: float
    machine_us: float
    decide_us: float
    bytes: float


def main(shape: str, steps: int, repetitions: int) -> Took:
    """Make and run one plan, so many times."""
    _ran(SHAPES[shape](WARM_STEPS))
    before = _taken()
    began = thread_time()
    team = SHAPES[shape](steps)
    made = thread_time() - began
    runs = [_ran(team)]
    taken = _taken() - before
    for _ in range(1, repetitions):
        gc.collect()
        runs.append(_ran(team))
    machines = []
    for _ in range(repetitions):
        gc.collect()
        machines.append(_decided(team))
    machine, decide = (median(one) for one in zip(*machines, strict=True))
    return Took(*(seconds / steps * 1e6 for seconds in (made, median(runs), machine, decide)), taken / steps)


def _taken() -> int:
    """The most memory that this process has held. On Linux, what getrusage says begins with that of its parent."""
    gc.collect()
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES
    (most,) = (line.split()[1] for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
    return int(most) * 1_024


def _ran(team: il.Team) -> float:
    """Seconds for one run."""

    async def one_run() -> float:
        async with il.Orchestrator(team, ":memory:") as orchestrator:
            began = thread_time()
            run = await orchestrator.run({"seed": 1})
            took = thread_time() - began
        assert run.status == "succeeded", run.reason
        return took

    return asyncio.run(one_run())


def _decided(team: il.Team) -> tuple[float, float]:
    """Seconds for one run of the machine alone, whose calls are answered at once; and of these for its decisions."""
    machine, calls, deciding = Machine(team.rules), deque[c.AnyCommand](), 0.0
    began = thread_time()
    machine.apply(e.RunStarted(0, Raw(b'{"seed":1}'), "", ""))
    while True:
        since = thread_time()
        calls += machine.decide()
        deciding += thread_time() - since
        call = calls.popleft()
        if isinstance(call, c.FinishRun):
            break
        assert isinstance(call, c.CallAgent)
        machine.start(call, 0)
        machine.apply(e.AttemptCommitted(0, call.step, call.attempt, {f"out.{call.step}": Raw(b"2")}))
    return thread_time() - began, deciding


if __name__ == "__main__":
    print(msgspec.json.encode(main(sys.argv[1], *map(int, sys.argv[2:]))).decode())
