"""What a graph of LangGraph is made of: the functions, tools and graphs in a node, and what bounds it."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from . import source
from .system import STEPS_MAX, Merging

DEPTH_MAX = 4
TOOLS_MAX = 100


def function_of(runnable: Any) -> Any:
    """The function that a runnable is made of; None where it is made of something else."""
    for attribute in ("func", "afunc"):
        function = getattr(runnable, attribute, None)
        if callable(function) and getattr(getattr(function, "func", None), "__name__", "") != "run_in_executor":
            return function
    return None


def tools_in(thing: Any, depth: int = 0) -> Iterator[str]:
    """The names of the tools that something is, holds, or gives to a model."""
    if depth > DEPTH_MAX:
        return
    if isinstance(thing, BaseTool):
        yield thing.name
    elif isinstance(thing, ToolNode):
        yield from thing.tools_by_name
    elif isinstance(thing, list | tuple):
        for part in thing[:TOOLS_MAX]:
            yield from tools_in(part, depth + 1)
    elif isinstance(thing, Pregel) and hasattr(thing, "builder"):
        for spec in list(thing.builder.nodes.values())[:STEPS_MAX]:
            yield from tools_in(spec.runnable, depth + 1)
    elif isinstance(thing, Runnable):
        for given in (getattr(thing, "kwargs", None) or {}).get("tools", ()):
            name = given.get("function", given).get("name") if isinstance(given, dict) else getattr(given, "name", None)
            yield from [name] if isinstance(name, str) else []


def asks(graph: Any, depth: int = 0) -> bool:
    """Whether a graph asks a person somewhere."""
    if graph.interrupt_before_nodes or graph.interrupt_after_nodes:
        return True
    specs = list(graph.builder.nodes.values())[:STEPS_MAX] if hasattr(graph, "builder") and depth < DEPTH_MAX else []
    inner = [spec.runnable for spec in specs]
    functions = [function_of(one) for one in inner if not isinstance(one, ToolNode | Pregel)]
    return any(source.read(one, Path()).asks for one in functions if one is not None) or any(
        asks(one, depth + 1) for one in inner if isinstance(one, Pregel)
    )


def plain(kind: Any) -> Any:
    """The class behind an annotation: list for Annotated[list[str], add]."""
    while get_origin(kind) is not None:
        kind = get_args(kind)[0] if get_origin(kind) is Annotated else get_origin(kind)
    return kind


def summed(kind: Any) -> Merging:
    """What adding values of a kind up means: numbers are added, lists joined."""
    if kind in (int, float):
        return "add"
    return "append" if isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str else "unknown"


def timeout_ms(spec: Any) -> int:
    """How long an attempt of a node may take, or go on without a sign; 0 for as long as it likes."""
    limits = [getattr(spec.timeout, name, None) for name in ("run_timeout", "idle_timeout")]
    known = [one.total_seconds() if isinstance(one, timedelta) else one for one in limits if one]
    return round(known[0] * 1_000) if known else 0


def retries(spec: Any) -> int | None:
    """How often a node is tried again, if that is declared."""
    policy = spec.retry_policy
    policy = (
        policy[0] if isinstance(policy, list | tuple) and policy and not hasattr(policy, "max_attempts") else policy
    )
    attempts = getattr(policy, "max_attempts", None)
    return attempts - 1 if isinstance(attempts, int) else None
