"""A chain of 200 no-op steps in one run, with the journal in memory: microseconds a step.

Timed is `Orchestrator.run`, from the request to the finished run, in CPU time of the one thread that all of it happens
in: nothing is ever waited for, so on an idle machine that is the time by the clock, and on a busy one it still is. The
reference is an asyncio task: as many of them, each made and awaited after the other, by the same clock.
"""

import asyncio
from collections.abc import Callable
from time import thread_time

import interlock as il
from bench.figures import Goal, Result, Settings, interleave
from bench.references import task_us
from bench.subjects import chain

STEPS = 200
RATIO_MAX = 6


def measure(settings: Settings) -> Result:
    steps = settings.size(STEPS)
    team = chain(steps)
    pairs = interleave(settings.repetitions, lambda: step_us(team), lambda: task_us(steps))
    figure = pairs.figure("step", "us", "asyncio task", Goal("ratio", at_most=RATIO_MAX))
    return Result("chain_memory", [figure], {"steps": steps, **pairs.details()})


def prepare(settings: Settings) -> Callable[[], object]:
    team = chain(settings.size(STEPS))
    return lambda: step_us(team)


def step_us(team: il.Team, journal: str = ":memory:", clock: Callable[[], float] = thread_time, **bounds: int) -> float:
    """Microseconds a step of one run; `bounds` are the orchestrator's."""

    async def one_run() -> float:
        async with il.Orchestrator(team, journal, **bounds) as orchestrator:
            started = clock()
            run = await orchestrator.run({"seed": 1, "seeds": [1, 2, 3]})
            took = clock() - started
        assert run.status == "succeeded", run.reason
        return took / len(run.steps) * 1e6

    return asyncio.run(one_run())
