"""A graph, an agent of `create_agent`, and a bare runnable keep the contract of adapters."""

import pytest
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from openai import DefaultAsyncHttpxClient
from pydantic import BaseModel

from interlock.agents.langgraph import from_langgraph
from tests.agents.bench import Lane
from tests.agents.contract import AdapterContract
from tests.agents.model_server import KEY


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """Where LangChain's models take their keys from, and where Interlock looks for what it must not tell."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


class Sorted(BaseModel):
    category: str
    priority: str


class Closing:
    """An adapter, and the client of its model: that is for its owner to close."""

    def __init__(self, of, server, model, stream):
        self._client = DefaultAsyncHttpxClient()
        asked = ChatOpenAI(
            model=model,
            base_url=server.url,
            max_retries=0,
            streaming=stream,
            stream_usage=True,
            http_async_client=self._client,
        )
        self._adapter = from_langgraph(of(asked))
        self.slots, self.call = self._adapter.slots, self._adapter.call

    async def close(self):
        await self._adapter.close()
        await self._client.aclose()


def lane(name, of):
    return Lane(name, lambda server, model, *, stream=False: Closing(of, server, model, stream), streams=True)


def graph(asked):

    async def sort(state: MessagesState) -> MessagesState:
        return {"messages": [await asked.ainvoke(state["messages"])]}

    made = StateGraph(MessagesState)
    made.add_node("sort", sort)
    made.add_edge(START, "sort")
    return made.compile()


class Chat(AdapterContract):
    """What all of these keep.

    LangChain drops the refusals of streamed chat completions, so that they are empty answers. Fields that nobody asked
    for are left to the assessment, which tells the model.
    """

    @pytest.mark.parametrize("model", ["garbage", "cut", "truncated", "filtered", "empty", "limited"])
    def test_the_same_goes_for_a_stream(self, model):
        super().test_the_same_goes_for_a_stream(model)

    @pytest.mark.parametrize("model", ["prose", "mistyped"])
    def test_what_the_model_makes_up_writes_nothing_else(self, model):
        super().test_what_the_model_makes_up_writes_nothing_else(model)


class TestOfAGraph(Chat):
    lane = lane("langgraph", graph)


class TestOfAnAgent(Chat):
    lane = lane("create_agent", lambda asked: create_agent(asked, tools=[], response_format=Sorted))


class TestOfARunnable(Chat):
    lane = lane("runnable", lambda asked: asked)


# Pydantic's, when OpenAI's client serializes what LangChain has parsed out of a stream.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
class TestOfAStructuredRunnable(Chat):
    lane = lane("with_structured_output", lambda asked: asked.with_structured_output(Sorted))
