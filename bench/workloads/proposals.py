"""What it takes to hold a proposed plan against its team: milliseconds for 1,000 and for 10,000 steps, read and proved.

The reference is what any reader of it must pay: the same JSON, decoded by the standard library. Plans are random graphs
in which each step needs up to three earlier ones and writes a field of its own; `chain` is one step after another.

Beside it, adversarial proposals (bench/adversary.py) go through the validator: how many of them are accepted, how many
of those break a promise, and where the first flaw of the others is, in the details. Nothing may crash: this would.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from time import process_time

import interlock as il
from bench import adversary
from bench.figures import Figure, Goal, Result, Settings, interleave
from interlock.errors import ProposalRefused
from interlock.planning import Bounds, planned

SIZES = (1_000, 10_000)
ADVERSARIAL = 100_000
AGENTS = 5
_INDEX = re.compile(r"\[\d+\]")


def measure(settings: Settings) -> Result:
    team, figures, details = _team(), [], {}
    small, large = map(settings.size, SIZES)
    plans = {f"{small:,} steps": _random(small), f"{large:,} steps": _random(large), "chain": _chain(large)}
    for name, raw in plans.items():
        pairs = interleave(settings.repetitions, partial(_proved_ms, raw, team), partial(_decoded_ms, raw))
        figures.append(pairs.figure(name, "ms", "json.loads", Goal("value", at_most=100)))
        details[name] = pairs.details()
    counts, kept = _adversarial(settings.size(ADVERSARIAL // 10 if settings.quick else ADVERSARIAL))
    figures += [
        Figure(name="adversarial: accepted", value=counts["accepted"] / counts.total(), unit="of all"),
        Figure(name="adversarial: broken promises", value=kept, unit="plans", goal=Goal("value", at_most=0)),
    ]
    return Result("proposals", figures, {**details, "first flaws": dict(counts.most_common())})


def prepare(settings: Settings) -> Callable[[], object]:
    team, raw = _team(), _random(settings.size(SIZES[-1]))
    return lambda: _proved_ms(raw, team)


def _team() -> il.Team:
    scopes = {f"a{n}": il.Scope(["work"], ["in"], [f"out{n}"]) for n in range(AGENTS)}
    return il.Team([il.Agent(name, use=_work, scope=scope) for name, scope in scopes.items()])


async def _work(_job: il.Job) -> dict[str, int]:
    return {}


def _random(steps: int) -> bytes:
    chance = Random(steps)
    return _written([sorted({chance.randrange(n) for _ in range(3)}) if n else [] for n in range(steps)])


def _chain(steps: int) -> bytes:
    return _written([[n - 1] if n else [] for n in range(steps)])


def _written(needs: list[list[int]]) -> bytes:
    steps = [
        {
            "id": f"s{n}",
            "agent": f"a{n % AGENTS}",
            "action": "work",
            "needs": [f"s{need}" for need in mine],
            "writes": [f"out{n % AGENTS}.s{n}"],
        }
        for n, mine in enumerate(needs)
    ]
    return json.dumps({"steps": steps}).encode()


def _proved_ms(raw: bytes, team: il.Team) -> float:
    most = len(raw)
    bounds = Bounds(bytes_max=most, steps_max=most, depth_max=most, width_max=most, agent_calls_max=most)
    began = process_time()
    planned(raw, team, bounds)
    return (process_time() - began) * 1_000


def _decoded_ms(raw: bytes) -> float:
    began = process_time()
    json.loads(raw)
    return (process_time() - began) * 1_000


def _adversarial(proposals: int) -> tuple[Counter[str], int]:
    """Where the first flaws are, and how many accepted plans break a promise."""
    team, counts, broken = adversary.team(), Counter[str](), 0
    bounds = Bounds(bytes_max=adversary.BYTES_MAX, steps_max=adversary.STEPS_MAX)
    for seed in range(proposals):
        try:
            plan = planned(adversary.proposal(seed)[1], team, bounds).plan
        except ProposalRefused as refused:
            counts[_INDEX.sub("", refused.flaws[0].where)] += 1
        else:
            counts["accepted"] += 1
            assert plan is not None
            broken += any(adversary.broken(plan.declared))
    return counts, broken
