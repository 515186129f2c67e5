"""What guardrails add to an attempt: microseconds, for `schema`, `bounds` and `choice` together.

Timed is a chain of 200 no-op steps in one run, with the journal in memory, as in chain_memory: with these guardrails on
each step, and without, in turn; the difference counts. The choice is among three candidates that stand in the view. The
goal is one for them and for gates together: that of `gates`.
"""

from collections.abc import Callable
from statistics import median

from bench.figures import Figure, Result, Settings, interleave
from bench.subjects import guarded_chain

from .chain_memory import step_us

STEPS = 200


def measure(settings: Settings) -> Result:
    steps = settings.size(STEPS)
    guarded, plain = guarded_chain(steps, guarded=True), guarded_chain(steps, guarded=False)
    pairs = interleave(settings.repetitions, lambda: step_us(guarded), lambda: step_us(plain))
    added = median(work - without for work, without in zip(pairs.works, pairs.references, strict=True))
    figure = Figure(
        name="added to an attempt",
        value=added,
        unit="us",
        reference=pairs.reference,
        reference_name="a step without",
        ratio=pairs.ratio,
    )
    return Result("guardrails", [figure], {"steps": steps, **pairs.details()})


def prepare(settings: Settings) -> Callable[[], object]:
    team = guarded_chain(settings.size(STEPS), guarded=True)
    return lambda: step_us(team)
