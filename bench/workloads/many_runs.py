"""500 runs of 10 no-op steps at the same time, each step durable on disk: steps a second.

Timed are 500 concurrent calls of `Orchestrator.run` on one journal file, with room for all of them at once; the details
tell the same with default settings. The reference is the rate of durable SQLite commits one after another in the same
folder: more than one step per commit is what writing many runs' events in one transaction gains.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter

import interlock as il
from bench.figures import Goal, Result, Settings, interleave
from bench.folders import fresh_folder
from bench.references import commit_us
from bench.subjects import chain

RUNS = 500
STEPS = 10
STEPS_PER_SECOND_MIN = 10_000


def measure(settings: Settings) -> Result:
    work = prepare(settings)

    def commits_per_second() -> float:
        return 1e6 / commit_us(settings.folder)

    pairs = interleave(settings.repetitions, work, commits_per_second)
    by_default = interleave(settings.repetitions, lambda: work({}), commits_per_second)
    figure = pairs.figure("steps a second", "1/s", "durable commits", Goal("value", at_least=STEPS_PER_SECOND_MIN))
    details = {"runs": settings.size(RUNS), "steps_per_run": STEPS, "by_default": round(by_default.work)}
    return Result("many_runs", [figure], {**details, **pairs.details()})


def prepare(settings: Settings) -> Callable[..., float]:
    runs = settings.size(RUNS)
    team = chain(STEPS)
    room = {"calls_max": runs, "runs_max": runs}

    def in_fresh_folder(bounds: Mapping[str, int] = room) -> float:
        with fresh_folder(settings.folder) as folder:
            return steps_per_second(team, runs, str(folder / "journal.db"), **bounds)

    return in_fresh_folder


def steps_per_second(team: il.Team, runs: int, journal: str, **bounds: int) -> float:
    """The rate of steps over concurrent runs on one journal."""

    async def all_runs() -> float:
        async with il.Orchestrator(team, journal, **bounds) as orchestrator:
            started = perf_counter()
            ended = await asyncio.gather(*[orchestrator.run({"seed": number}) for number in range(runs)])
            took = perf_counter() - started
        assert all(run.status == "succeeded" for run in ended)
        return sum(len(run.steps) for run in ended) / took

    return asyncio.run(all_runs())
