"""What breaker, rate and budgets add to an attempt of a no-op agent, with the journal in memory: microseconds.

Timed is a chain of 200 no-op steps in one run, in CPU time of its thread, each in turn with the same chain without
gates. Nothing is held: what is measured is what everybody pays, not what waiting costs.
"""

from collections.abc import Callable

import interlock as il
from bench.figures import Figure, Goal, Result, Settings, interleave
from bench.subjects import chain

from .chain_memory import step_us

STEPS = 200
ADDED_US_MAX = 15
GATES = {
    "breaker": {"trip_after": 5},
    "rate": {"requests": "1000000/min", "tokens": "1000000000/min"},
    "budget": {"calls": 100_000, "day": {"calls": 10_000_000}},
}


def measure(settings: Settings) -> Result:
    steps = settings.size(STEPS)
    gated, bare = chain(steps, **GATES), chain(steps)
    pairs = interleave(settings.repetitions, lambda: step_us(gated), lambda: step_us(bare))
    added = sorted(work - reference for work, reference in zip(pairs.works, pairs.references, strict=True))
    figure = Figure(
        name="added by gates",
        value=added[len(added) // 2],
        unit="us",
        reference=pairs.reference,
        reference_name="step without",
        ratio=pairs.ratio,
        goal=Goal("value", at_most=ADDED_US_MAX),
    )
    return Result("gates", [figure], {"steps": steps, **pairs.details()})


def prepare(settings: Settings) -> Callable[[], object]:
    team: il.Team = chain(settings.size(STEPS), **GATES)
    return lambda: step_us(team)
