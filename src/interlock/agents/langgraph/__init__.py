"""Agents of LangGraph and LangChain: compiled graphs, `create_agent` agents, and anything else that is a Runnable.

invoked   the call of a graph or runnable: its config, its interrupts, its errors
state     what a job puts into a graph's state, and where the answer lies in the state or result
tally     the callback that counts tokens, request by request
threads   what of a graph or runnable works in threads, which nothing can stop
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from interlock.agents.extras import load
from interlock.agents.foreign import ForeignAdapter, Translation
from interlock.agents.setting import Setting
from interlock.core.job import Job
from interlock.ports import Adapter

log = logging.getLogger("interlock")

# LangChain's own. LangGraph's is 10,007, and a model that won't answer in the form that an agent wants is asked again
# and again.
STEPS_MAX = 25


def from_langgraph(
    graph: Any,
    *,
    instructions: str = "",
    input: Callable[[Job], Any] | None = None,  # noqa: A002 - the word of the team file
    output: Callable[[Any, Job], Any] | None = None,
    price: Mapping[str, float] | None = None,
    steps_max: int = STEPS_MAX,
) -> ForeignAdapter:
    """An agent that is a compiled graph or a runnable, for `Agent(use=...)`.

    instructions: a template of the prompt. input: makes the graph's input from a job; output: the answer from its
    result and the job. price: US dollars per million tokens of `input`, `output` and `cached`. steps_max: how many
    steps of the graph one call may take. Raises TeamError for what is neither, MissingExtra.
    """
    load("langgraph.pregel", "langgraph")
    from .invoked import Invoked
    from .threads import in_threads

    invoked = Invoked(graph, Translation(instructions, input, output), steps_max)
    if blocking := in_threads(graph):
        log.warning("langgraph: %s in threads, where no timeout stops what goes on", _works(blocking))
    return ForeignAdapter(invoked, price)


def declared(setting: Setting) -> Adapter:
    """The adapter of an agent that a team file declares by `langgraph`."""
    translation = setting.translation
    return from_langgraph(
        setting.target,
        instructions=translation.instructions,
        input=translation.input,
        output=translation.output,
        price=setting.declared.get("price"),
    )


def _works(names: list[str]) -> str:
    return f"{', '.join(names)} {'works' if len(names) == 1 else 'work'}"
