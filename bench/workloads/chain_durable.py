"""The chain of 200 no-op steps with each step durable on disk before the next one starts: microseconds a step.

Timed is `Orchestrator.run` on a journal file with default settings. The reference is one durable SQLite commit in the
same folder: each step needs one, so a ratio of 1 can't be beaten.
"""

from collections.abc import Callable
from time import perf_counter

from bench.figures import Goal, Result, Settings, interleave
from bench.folders import fresh_folder
from bench.references import commit_us
from bench.subjects import chain

from .chain_memory import STEPS, step_us

RATIO_MAX = 2.5


def measure(settings: Settings) -> Result:
    steps = settings.size(STEPS)
    pairs = interleave(settings.repetitions, prepare(settings), lambda: commit_us(settings.folder, steps))
    figure = pairs.figure("step", "us", "durable commit", Goal("ratio", at_most=RATIO_MAX))
    return Result("chain_durable", [figure], {"steps": steps, **pairs.details()})


def prepare(settings: Settings) -> Callable[[], float]:
    team = chain(settings.size(STEPS))

    def durable_step_us() -> float:
        with fresh_folder(settings.folder) as folder:
            return step_us(team, str(folder / "journal.db"), perf_counter)

    return durable_step_us
