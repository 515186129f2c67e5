"""500 no-op steps side by side and one that needs them all, in memory: microseconds an agent.

Timed is `Orchestrator.run` with default settings, which let 256 calls be in flight at once; the details tell the same
with room for all. The clock is the CPU time of the thread, as for chain_memory. The reference is an asyncio task: as
many of them, made at once and awaited together.
"""

from collections.abc import Callable

from bench.figures import Goal, Result, Settings, interleave
from bench.references import gathered_task_us
from bench.subjects import fan

from .chain_memory import step_us

WIDTH = 500
RATIO_MAX = 6


def measure(settings: Settings) -> Result:
    width = settings.size(WIDTH)
    team = fan(width)
    pairs = interleave(settings.repetitions, lambda: step_us(team), lambda: gathered_task_us(width))
    roomy = interleave(settings.repetitions, lambda: step_us(team, calls_max=width), lambda: gathered_task_us(width))
    figure = pairs.figure("agent", "us", "asyncio task", Goal("ratio", at_most=RATIO_MAX))
    details = {"width": width, "us_with_room_for_all": round(roomy.work, 1), "ratio_with_room_for_all": roomy.ratio}
    return Result("fan_out", [figure], {**details, **pairs.details()})


def prepare(settings: Settings) -> Callable[[], object]:
    team = fan(settings.size(WIDTH))
    return lambda: step_us(team)
