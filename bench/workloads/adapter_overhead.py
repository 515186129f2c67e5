"""What an adapter adds to a call of its framework whose model takes 20 ms: milliseconds a call.

Each agent asks a model that is one sleep of 20 ms, with the framework's own machinery around it; a server and a program
sleep for as long. Timed are calls one after another through the adapter, from the job to the Reply, each in turn with a
call of the framework itself that is told the same; of each kind, the median counts. Frameworks that are not installed
are left out: CrewAI has an environment of its own, in which `.venv-crewai/bin/python -m bench adapter_overhead`
measures it.

On a machine that is busy with other things, what works in a process of its own (swarm, crewai, command) seems dearer
than it is: Linux gives each session its own share of the processors, and theirs waits for its turn.
"""

import asyncio
from importlib import import_module
from statistics import median
from time import perf_counter
from types import ModuleType

import interlock as il
from bench.figures import Goal, NotMeasured, Pairs, Result, Settings
from bench.frameworks import FRAMEWORKS, Call
from interlock.core.context import View

CALLS = 20
RATIO_MAX = 1.05
TEXT = "I was charged twice for my new card, and it has not arrived yet. " * 10


def measure(settings: Settings) -> Result:
    result = Result("adapter_overhead", [])
    for name in FRAMEWORKS:
        try:
            framework = import_module(f"bench.frameworks.{name}")
        except ModuleNotFoundError:
            continue
        pairs = asyncio.run(in_turn(framework, settings))
        result.figures.append(pairs.figure(name, "ms", "without it", Goal("ratio", at_most=RATIO_MAX)))
        result.details[name] = pairs.details()
    if not result.figures:
        raise NotMeasured(f"none of {', '.join(FRAMEWORKS)} is installed")
    return result


async def in_turn(framework: ModuleType, settings: Settings) -> Pairs:
    """Call both in turn; the first round, in which much is imported and prepared, doesn't count."""
    pairs = Pairs([], [])
    async with framework.calls(a_job()) as (through, itself):
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
