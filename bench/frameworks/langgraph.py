"""A graph with one node, which asks a chat model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, MessagesState, StateGraph

import interlock as il
from bench.frameworks import ANSWER, MODEL, MODEL_SECONDS, READ, WRITTEN, Call
from interlock.agents.foreign import Translation
from interlock.agents.langgraph import from_langgraph
from interlock.agents.langgraph.state import input_of

USED = {"input_tokens": READ, "output_tokens": WRITTEN, "total_tokens": READ + WRITTEN}


class Sleeps(BaseChatModel):
    _llm_type = "sleeps"

    def _generate(self, *given: Any, **named: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, *given: Any, **named: Any) -> ChatResult:
        await asyncio.sleep(MODEL_SECONDS)
        message = AIMessage(ANSWER, usage_metadata=USED, response_metadata={"model_name": MODEL})
        return ChatResult(generations=[ChatGeneration(message=message)])


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    model = Sleeps()

    async def sort(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    built = StateGraph(MessagesState)
    built.add_node("sort", sort)
    built.add_edge(START, "sort")
    graph = built.compile()
    adapter = from_langgraph(graph)
    given = input_of(job, Translation(), ["messages"])
    yield lambda: adapter(job), lambda: graph.ainvoke(dict(given))
