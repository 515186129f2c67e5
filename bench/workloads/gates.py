"""What breaker, rate and budgets add to an attempt of a no-op agent, with the journal in memory: microseconds.

Timed is a chain of 200 no-op steps in one run, in CPU time of its thread, each in turn with the same chain without
gates; then once more with the guardrails of `guardrails` as well, for which the goal holds. The quickest of each is
compared: whatever else a machine does only adds to it. Nothing is held: what is measured is what everybody pays, not
what waiting costs.
"""

from collections.abc import Callable

import interlock as il
from bench.figures import Figure, Goal, Result, Settings, interleave
from bench.subjects import guarded_chain

from .chain_memory import step_us

STEPS = 200
ADDED_US_MAX = 30
GATES = {
    "breaker": {"trip_after": 5},
    "rate": {"requests": "1000000/min", "tokens": "1000000000/min"},
    "budget": {"calls": 100_000, "day": {"calls": 10_000_000}},
}


def measure(settings: Settings) -> Result:
    steps = settings.size(STEPS)
    bare = guarded_chain(steps, guarded=False)
    gated, details = _added("gates", guarded_chain(steps, guarded=False, **GATES), bare, settings)
    both, more = _added("gates and guardrails", guarded_chain(steps, guarded=True, **GATES), bare, settings)
    both.goal = Goal("value", at_most=ADDED_US_MAX)
    return Result("gates", [gated, both], {"steps": steps, "gates": details, "gates and guardrails": more})


def _added(by: str, team: il.Team, bare: il.Team, settings: Settings) -> tuple[Figure, dict[str, object]]:
    pairs = interleave(settings.repetitions, lambda: step_us(team), lambda: step_us(bare))
    figure = Figure(
        name=f"added by {by}",
        value=min(pairs.works) - min(pairs.references),
        unit="us",
        reference=pairs.reference,
        reference_name="step without",
        ratio=pairs.ratio,
    )
    return figure, pairs.details()


def prepare(settings: Settings) -> Callable[[], object]:
    team = guarded_chain(settings.size(STEPS), guarded=True, **GATES)
    return lambda: step_us(team)
