"""The teams that are run: their agents do next to nothing, so what is measured is what is around them."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

import interlock as il

GROWTH_BYTES = 5 * 1_024

_chance = random.Random(7)


async def work(job: il.Job) -> dict[str, Any]:
    """Read one field, write one field."""
    return {f"out.{job.step}": job.view["seed"] + 1}


async def grow(job: il.Job) -> dict[str, Any]:
    """Write 5 KB that no compression and no shared content makes smaller."""
    return {f"out.{job.step}": _chance.randbytes(GROWTH_BYTES // 2).hex()}


def chain(steps: int, use: Callable[[il.Job], Awaitable[Any]] = work, **declared: Any) -> il.Team:
    """Steps one after another. declared: more of their agent."""
    return _team(use, [_step(f"s{n}", [f"s{n - 1}"] if n else []) for n in range(steps)], **declared)


def guarded_chain(steps: int, *, guarded: bool, **declared: Any) -> il.Team:
    """Steps one after another, each with a schema, bounds and a choice, or each with none.

    declared: more of their agent.
    """
    chained = [_step(f"s{n}", [f"s{n - 1}"] if n else []) for n in range(steps)]
    if guarded:
        chained = [msgspec.structs.replace(step, guardrails=_guardrails(f"out.{step.id}")) for step in chained]
    return _team(work, chained, **declared)


def _guardrails(path: str) -> list[dict[str, Any]]:
    return [
        {"schema": {"json": {"required": [path], "properties": {path: {"type": "integer"}}}}},
        {"bounds": {"path": path, "min": 0, "max": 100}},
        {"choice": {"path": path, "among": "seeds"}},
    ]


def fan(width: int) -> il.Team:
    """Steps side by side, and one that needs them all."""
    wide = [_step(f"s{n}", []) for n in range(width)]
    return _team(work, [*wide, _step("join", [step.id for step in wide])])


def random_graph(steps: int) -> il.Team:
    """Steps that each need up to three of those before them."""
    chance = random.Random(steps)
    needs = [sorted({chance.randrange(n) for _ in range(3)}) if n else [] for n in range(steps)]
    return graph({f"s{n}": [f"s{need}" for need in mine] for n, mine in enumerate(needs)})


def graph(needs: Mapping[str, Sequence[str]], use: Callable[[il.Job], Awaitable[Any]] = work) -> il.Team:
    """Steps, and what each of them needs."""
    return _team(use, [_step(name, mine) for name, mine in needs.items()])


def _step(name: str, needs: Sequence[str]) -> il.Step:
    return il.Step(name, agent="worker", action="work", needs=needs, writes=[f"out.{name}"])


def _team(use: Callable[[il.Job], Awaitable[Any]], steps: list[il.Step], **declared: Any) -> il.Team:
    scope = il.Scope(allowed_actions=["work"], context_access=["seed", "seeds", "out.*"], write_permissions=["out.*"])
    team = il.Team([il.Agent("worker", use=use, scope=scope, **declared)], il.Plan(steps, steps_max=len(steps)))
    assert team.rules.plan is team.plan  # proved here, once for all runs, and not while the clock runs
    return team
