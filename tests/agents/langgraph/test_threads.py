"""What works in threads is found, and what doesn't isn't named."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from interlock.agents.langgraph.threads import in_threads


class Sync(BaseChatModel):
    _llm_type = "sync"

    def _generate(self, messages, stop=None, run_manager=None, **given):
        raise NotImplementedError


class Form(BaseModel):
    category: str


def slow(given):
    return given


async def quick(given):
    return given


PROMPT = ChatPromptTemplate.from_template("{text}")
ASYNC = ChatOpenAI(model="m", api_key="k")


@pytest.mark.parametrize(
    ("runnable", "names"),
    [
        (ASYNC, []),
        (PROMPT | ASYNC | StrOutputParser(), []),
        (ASYNC.with_structured_output(Form), []),
        (RunnableLambda(quick), []),
        (Sync(), ["Sync"]),
        (PROMPT | Sync().bind(stop=["x"]) | StrOutputParser(), ["Sync"]),
        (RunnableLambda(slow), ["slow"]),
        (RunnableLambda(slow, afunc=quick), []),
        (RunnableParallel(one=RunnableLambda(quick), other=RunnableLambda(slow)), ["slow"]),
    ],
)
def test_the_parts_of_a_runnable(runnable, names):
    assert in_threads(runnable) == names


def test_the_nodes_of_a_graph():
    inner = StateGraph(MessagesState)
    inner.add_node("deep", slow)
    inner.add_edge(START, "deep")
    built = StateGraph(MessagesState)
    for name, node in {"slow": slow, "quick": quick, "model": ASYNC, "inner": inner.compile()}.items():
        built.add_node(name, node)
        built.add_edge(START, name)
    assert in_threads(built.compile()) == ["slow", "inner"]
