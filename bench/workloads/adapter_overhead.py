"""What an adapter adds to a call of its framework whose model takes 20 ms: milliseconds a call.

Each agent asks a model that is one sleep of 20 ms, with the framework's own machinery around it. Timed are calls one
after another through the adapter, from the job to the Reply, each in turn with a call of the framework itself that is
given the same prompt; of each kind, the median counts. Frameworks that are not installed are left out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from statistics import median
from time import perf_counter
from typing import Any

import interlock as il
from bench.figures import Goal, NotMeasured, Pairs, Result, Settings
from bench.frameworks import FRAMEWORKS
from interlock.core.context import View

CALLS = 20
RATIO_MAX = 1.05
TEXT = "I was charged twice for my new card, and it has not arrived yet. " * 10

Call = Callable[[], Awaitable[Any]]


def measure(settings: Settings) -> Result:
    result = Result("adapter_overhead", [])
    for name in FRAMEWORKS:
        try:
            framework = import_module(f"bench.frameworks.{name}")
        except ModuleNotFoundError:
            continue
        pairs = asyncio.run(in_turn(*framework.calls(a_job()), settings))
        result.figures.append(pairs.figure(name, "ms", "without it", Goal("ratio", at_most=RATIO_MAX)))
        result.details[name] = pairs.details()
    if not result.figures:
        raise NotMeasured(f"none of {', '.join(FRAMEWORKS)} is installed")
    return result


async def in_turn(through: Call, itself: Call, settings: Settings) -> Pairs:
    """Call both in turn; the first round, in which much is imported and prepared, doesn't count."""
    pairs = Pairs([], [])
    for repetition in range(settings.repetitions + 1):
        rounds = [(await ms(itself), await ms(through)) for _ in range(settings.size(CALLS))]
        if repetition:
            pairs.references.append(median(limit for limit, _ in rounds))
            pairs.works.append(median(took for _, took in rounds))
    return pairs


async def ms(call: Call) -> float:
    """The milliseconds that a call takes."""
    started = perf_counter()
    await call()
    return (perf_counter() - started) * 1e3


def a_job() -> il.Job:
    return il.Job(
        view=View.of({"ticket": {"text": TEXT, "metadata": {"lang": "en", "tags": ["vip"]}}}),
        run_id="run",
        step="sort",
        agent="clerk",
        action="sort",
        attempt=1,
        idempotency_key="run/sort/1",
        instructions="Sort the ticket: name its category and its priority.",
        writes=("ticket.category", "ticket.priority"),
    )
