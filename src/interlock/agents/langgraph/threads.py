"""What of a graph or runnable works in threads. LangChain calls what isn't async there, and nothing can stop it."""

from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableLambda, RunnableParallel, RunnableSequence
from langgraph.pregel import Pregel

DEPTH_MAX = 10


def in_threads(runnable: Any) -> list[str]:
    """The names of the nodes of a graph, or parts of a runnable, that work in threads; what they call isn't seen."""
    if isinstance(runnable, Pregel):
        nodes = {name: node for name, node in runnable.nodes.items() if not name.startswith("__")}
        return [name for name, node in nodes.items() if any(_blocking(node.bound))]
    return [*_blocking(runnable)]


def _blocking(runnable: Any, depth: int = 0) -> Iterator[str]:
    if depth > DEPTH_MAX:
        return
    if isinstance(runnable, Pregel):
        yield from in_threads(runnable)
    elif (inner := _parts(runnable)) is not None:
        for part in inner:
            yield from _blocking(part, depth + 1)
    elif not _is_async(runnable):
        yield runnable.get_name()


def _parts(runnable: Any) -> list[Any] | None:
    if isinstance(runnable, RunnableParallel):
        return list(runnable.steps__.values())
    if isinstance(runnable, RunnableBinding):
        return [runnable.bound]
    return list(runnable.steps) if isinstance(runnable, RunnableSequence) else None


def _is_async(runnable: Any) -> bool:
    if isinstance(runnable, BaseChatModel):
        kind: Any = type(runnable)
        return kind._agenerate is not BaseChatModel._agenerate or kind._astream is not BaseChatModel._astream  # noqa: SLF001 - that is where models say so
    if isinstance(runnable, RunnableLambda) or hasattr(runnable, "func_accepts"):  # the latter is a node's function
        return _is_frameworks(getattr(runnable, "func", None)) or _is_coroutine(getattr(runnable, "afunc", None))
    return type(runnable).ainvoke is not Runnable.ainvoke


def _is_coroutine(function: Any) -> bool:
    """Whether a function is async by itself; LangGraph makes a sync one async by `run_in_executor`."""
    return function is not None and getattr(getattr(function, "func", None), "__name__", "") != "run_in_executor"


def _is_frameworks(function: Any) -> bool:
    """Whether a function is LangChain's own: those parse what a model said, which takes no time."""
    return str(getattr(getattr(function, "func", function), "__module__", "")).startswith("langchain")
