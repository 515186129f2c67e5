"""500 no-op steps side by side and one that needs them all, in memory: microseconds an agent.

Timed is `Orchestrator.run` with default settings, which let 256 calls be in flight at once; the details tell the same
with room for all. The clock is the CPU time of the thread, as for chain_memory. The reference is an asyncio task: as
many of them, made at once and awaited together.
"""

import asyncio
from collections.abc import Callable
from time import thread_time

import interlock as il
from bench.figures import Figure, Goal, Result, Settings, interleave
from bench.references import gathered_task_us
from bench.subjects import fan

WIDTH = 500
RATIO_MAX = 6


def measure(settings: Settings) -> Result:
    width = settings.size(WIDTH)
    team = fan(width)
    pairs = interleave(settings.repetitions, lambda: agent_us(team), lambda: gathered_task_us(width))
    roomy = interleave(settings.repetitions, lambda: agent_us(team, width), lambda: gathered_task_us(width))
    figure = Figure(
        name="agent",
        value=pairs.work,
        unit="us",
        reference=pairs.reference,
        reference_name="asyncio task",
        ratio=pairs.ratio,
        goal=Goal("ratio", at_most=RATIO_MAX),
    )
    details = {"width": width, "us_with_room_for_all": round(roomy.work, 1), "ratio_with_room_for_all": roomy.ratio}
    return Result("fan_out", [figure], {**details, **pairs.details()})


def prepare(settings: Settings) -> Callable[[], object]:
    team = fan(settings.size(WIDTH))
    return lambda: agent_us(team)


def agent_us(team: il.Team, calls_max: int | None = None) -> float:
    """Microseconds an agent of one run."""
    bounds = {} if calls_max is None else {"calls_max": calls_max}

    async def one_run() -> float:
        async with il.Orchestrator(team, ":memory:", **bounds) as orchestrator:
            started = thread_time()
            run = await orchestrator.run({"seed": 1})
            took = thread_time() - started
        assert run.status == "succeeded", run.reason
        return took / len(run.steps) * 1e6

    return asyncio.run(one_run())
