"""A plan whose longest path takes 1.0 s: how long its run takes.

Five branches of different lengths, whose steps take different times, meet at different depths: the first two early, the
next with what came of them, and so on. Steps do nothing but sleep. A step that began only once all others of its depth
are done would wait for the slowest of them; the details tell how long that would take. The references sleep the same:
plain asyncio, in which each step awaits those it needs; and LangGraph, where it is installed, whose steps go by depth.

Timed by the clock, from the request to the finished run, with the journal in memory.
"""

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from operator import add
from statistics import median
from time import perf_counter
from typing import Annotated, Any, TypedDict

import interlock as il
from bench.figures import Figure, Goal, Result, Settings
from bench.subjects import graph

# Step -> seconds, and what it needs. The longest path is d1, d2, d3, d4, j3, j4.
STEPS: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "a1": (0.30, ()),
    "b1": (0.05, ()),
    "b2": (0.10, ("b1",)),
    "j1": (0.05, ("a1", "b2")),
    "c1": (0.05, ()),
    "c2": (0.25, ("c1",)),
    "c3": (0.05, ("c2",)),
    "j2": (0.10, ("j1", "c3")),
    "d1": (0.05, ()),
    "d2": (0.10, ("d1",)),
    "d3": (0.40, ("d2",)),
    "d4": (0.20, ("d3",)),
    "j3": (0.15, ("j2", "d4")),
    "e1": (0.40, ()),
    "e2": (0.30, ("e1",)),
    "j4": (0.10, ("j3", "e2")),
}
MOST = Goal("value", at_most=1.05)
ROUNDS_MAX = 5


class State(TypedDict):
    """What LangGraph holds: the steps that are done."""

    done: Annotated[list[str], add]


def measure(settings: Settings) -> Result:
    ways = {"run": _run, "asyncio": _plainly, **_langgraph()}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(min(settings.repetitions, ROUNDS_MAX)):
        for name, way in ways.items():
            took[name].append(way(settings.scale))
    figures = [Figure(name=name, value=median(mine), unit="s") for name, mine in took.items()]
    figures[0].goal = MOST
    rounded = {name: [round(one, 4) for one in mine] for name, mine in took.items()}
    return Result("critical_path", figures, {"by depth": round(_by_depth(), 3), **rounded})


def _by_depth() -> float:
    """Seconds, where each depth waits for all of the one before."""
    depth: dict[str, int] = {}
    slowest: dict[int, float] = {}
    for name, (seconds, needs) in STEPS.items():
        mine = depth[name] = 1 + max((depth[need] for need in needs), default=0)
        slowest[mine] = max(slowest.get(mine, 0), seconds)
    return sum(slowest.values())


def _run(scale: float) -> float:
    async def sleep(job: il.Job) -> dict[str, Any]:
        await asyncio.sleep(STEPS[job.step][0] * scale)
        return {f"out.{job.step}": 1}

    team = graph({name: needs for name, (_, needs) in STEPS.items()}, sleep)

    async def one_run() -> float:
        async with il.Orchestrator(team, ":memory:") as orchestrator:
            began = perf_counter()
            run = await orchestrator.run({"seed": 1})
            took = perf_counter() - began
        assert run.status == "succeeded", run.reason
        return took

    return asyncio.run(one_run())


def _plainly(scale: float) -> float:
    async def step(name: str) -> None:
        seconds, needs = STEPS[name]
        await asyncio.gather(*(tasks[need] for need in needs))
        await asyncio.sleep(seconds * scale)

    tasks: dict[str, asyncio.Task[None]] = {}

    async def all_steps() -> float:
        began = perf_counter()
        tasks.update({name: asyncio.create_task(step(name)) for name in STEPS})
        await asyncio.gather(*tasks.values())
        return perf_counter() - began

    return asyncio.run(all_steps())


def _langgraph() -> dict[str, Callable[[float], float]]:
    try:
        langgraph = import_module("langgraph.graph")
    except ModuleNotFoundError:
        return {}

    def took(scale: float) -> float:
        def sleeping(name: str) -> Callable[[Any], Any]:
            async def sleep(_state: Any) -> dict[str, Any]:
                await asyncio.sleep(STEPS[name][0] * scale)
                return {"done": [name]}

            return sleep

        built = langgraph.StateGraph(State)
        for name, (_, needs) in STEPS.items():
            built.add_node(name, sleeping(name))
            built.add_edge([*needs] if needs else langgraph.START, name)
        compiled = built.compile()

        async def invoked() -> float:
            began = perf_counter()
            state = await compiled.ainvoke({})
            took = perf_counter() - began
            assert sorted(state["done"]) == sorted(STEPS)
            return took

        return asyncio.run(invoked())

    return {"langgraph": took}
