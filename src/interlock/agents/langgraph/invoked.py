"""The call of a graph or runnable."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import Runnable
from langgraph.errors import GraphRecursionError
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from interlock.agents.answer import SAID_CHARS_MAX
from interlock.agents.foreign import Meter, Translation
from interlock.agents.prompt import data_of
from interlock.agents.secret import excerpt
from interlock.core.job import Job
from interlock.errors import AgentError, AgentRefused, ReplyRefused, TeamError

from .state import INTERRUPTS, answer_in, input_keys, input_of, question_of
from .tally import Tally


class Invoked:
    """The Foreigner in front of a graph or runnable."""

    def __init__(self, runnable: Any, translation: Translation, steps_max: int) -> None:
        _check(runnable)
        self._runnable, self._translation, self._steps_max = runnable, translation, steps_max
        self._keys = input_keys(runnable)
        self._is_graph = isinstance(runnable, Pregel)
        self._is_stored = self._is_graph and bool(runnable.checkpointer)

    async def answer(self, job: Job, meter: Meter) -> Any:
        """What the runnable answers; a Reply with a question where the graph is interrupted."""
        given, tally = self._given(job), Tally(meter)
        config: dict[str, Any] = {"callbacks": [tally], "recursion_limit": self._steps_max}
        if self._is_stored or not self._is_graph:  # a chain may hold a graph that is
            config["configurable"] = {"thread_id": thread_of(job)}
        try:
            going_on = self._is_stored and (await self._runnable.aget_state(config)).created_at is not None
            result = await self._runnable.ainvoke(None if going_on else given, config)
        except Exception as error:  # noqa: BLE001 - frameworks raise anything; what is no other goes on
            raise self._told(error, tally) from None
        if isinstance(result, Mapping) and result.get(INTERRUPTS):
            return question_of(result[INTERRUPTS])
        if result is None and tally.refusal:
            raise AgentRefused(tally.refusal)
        return self._translation.answer(result, job, lambda found: answer_in(found, given, job))

    async def close(self) -> None:
        """Nothing is kept between calls: models and checkpointers are their owner's."""

    def _given(self, job: Job) -> Any:
        if self._translation.input is not None:
            return self._translation.input(job)
        return input_of(job, self._translation, self._keys)

    def _told(self, error: Exception, tally: Tally) -> Exception:
        """What an error means: a model that refuses fails in many ways, and a parser's failure is fed back."""
        if tally.refusal:
            return AgentRefused(tally.refusal)
        if isinstance(error, GraphRecursionError):
            message = f"the graph didn't end within {self._steps_max} steps"
            return AgentError(message, fix="give from_langgraph more steps_max, or mend the loop")
        if isinstance(error, OutputParserException):
            said = excerpt(error.llm_output, SAID_CHARS_MAX) if isinstance(error.llm_output, str) else ""
            return ReplyRefused("the answer doesn't fit the form that was asked for", said=said)
        return error


def thread_of(job: Job) -> str:
    """The thread in a graph's checkpointer: of this attempt, and of what it was shown.

    Where a call was lost in a crash and is made again, both are as they were, so it goes on where its thread stands. No
    other job has the same: a run of another journal may bear the same id, but it starts anew if it is shown anything
    else.
    """
    shown = msgspec.json.encode([data_of(job), job.action, job.instructions, job.feedback])
    return f"{job.idempotency_key}/{blake2b(shown, digest_size=8).hexdigest()}"


def _check(runnable: Any) -> None:
    if isinstance(runnable, StateGraph):
        raise TeamError("this graph is not compiled", fix="add .compile(), and name what it returns")
    if not isinstance(runnable, Runnable):
        what = f"the class {runnable.__name__}" if isinstance(runnable, type) else f"a {type(runnable).__name__}"
        raise TeamError(f"{what} is no graph and no runnable", fix="name a compiled graph, an agent or a runnable")
    stops = [*_names(runnable, "interrupt_before_nodes"), *_names(runnable, "interrupt_after_nodes")]
    if stops:
        message = f"the graph stops at {', '.join(stops)}, where it was compiled to be interrupted"
        raise TeamError(message, fix="call interrupt() in the node instead: that becomes a question")


def _names(runnable: Any, attribute: str) -> list[str]:
    names = getattr(runnable, attribute, None) or ()
    return ["every node"] if names == "*" else list(names)
