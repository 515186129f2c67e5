"""Plans of 1,000, 10,000 and 100,000 no-op steps in one run, in memory: microseconds and bytes a step.

wide: all side by side, and one that needs them all. deep: one after another. random: each needs up to three of those
before it, of 10,000 at most. Each plan has a process of its own. Timed is `Orchestrator.run`, in CPU time of its
thread; in the details, what it took to make and prove the plan, and the machine alone. Memory is what the process has
taken at most, beyond what it needs to run a hundred steps: for the plan, the run, and all that its journal holds.

deciding: what it takes the machine to say what is next, a step. A growth is what a step takes in the largest plan, to
what it takes in the smallest: what is more than linear would show there tenfold, and what a cache can't hold a little.
Only the time of a random plan may grow: the more steps it has, the more of a step's ancestors are those of one need
alone, and its view's hash is the sum over them all.
"""

import subprocess
import sys
from collections.abc import Callable

import msgspec

from bench.figures import Figure, Goal, Result, Settings
from bench.folders import ROOT
from bench.scale_process import SHAPES, Took, _ran

SIZES = {"wide": (1_000, 10_000, 100_000), "deep": (1_000, 10_000, 100_000), "random": (1_000, 10_000)}
STEP_US = Goal("value", at_most=100)
GROWTH = Goal("value", at_most=2)
# So many steps a process runs about, in plans as small as they may be.
STEPS_AT_LEAST = 20_000


def measure(settings: Settings) -> Result:
    figures: list[Figure] = []
    details: dict[str, object] = {}
    for shape, full in SIZES.items():
        sizes = [settings.size(size) for size in full[: 2 if settings.quick else None]]
        took = {steps: _measured(shape, steps, settings.repetitions) for steps in sizes}
        figures += [
            Figure(name=f"{shape}, {n:,}", value=one.run_us, unit="us", goal=STEP_US) for n, one in took.items()
        ]
        first, last = took[sizes[0]], took[sizes[-1]]
        figures += [
            _growth(f"{shape}: growth", first.run_us, last.run_us, "us", GROWTH if shape != "random" else None),
            _growth(f"{shape}: growth, deciding", first.decide_us, last.decide_us, "us"),
            _growth(f"{shape}: growth, memory", first.bytes, last.bytes, "bytes"),
        ]
        details[shape] = {
            f"{n:,}": {k: round(v, 1) for k, v in msgspec.structs.asdict(one).items()} for n, one in took.items()
        }
    return Result("scale", figures, details)


def prepare(settings: Settings) -> Callable[[], object]:
    team = SHAPES["random"](settings.size(SIZES["random"][0]))
    return lambda: _ran(team)


def _growth(name: str, first: float, last: float, unit: str, goal: Goal | None = GROWTH) -> Figure:
    return Figure(
        name=name,
        value=last / max(first, 1e-9),
        unit="x",
        reference=first,
        reference_name=f"{unit}, smallest",
        goal=goal,
    )


def _measured(shape: str, steps: int, repetitions: int) -> Took:
    times = min(repetitions, max(1, STEPS_AT_LEAST // steps))
    command = [sys.executable, "-m", "bench.scale_process", shape, str(steps), str(times)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Took)
