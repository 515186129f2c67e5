"""Graphs and runnables are called: threads, interrupts, limits, what they use and what they fail by."""

import asyncio
import logging
import os
import sys
from functools import partial

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Interrupt, interrupt
from openai import DefaultAsyncHttpxClient
from typing_extensions import TypedDict

import interlock as il
from interlock.agents.langgraph import STEPS_MAX, from_langgraph, tally
from interlock.agents.langgraph.invoked import thread_of
from interlock.agents.langgraph.state import question_of
from interlock.core.assess import QUESTION_CHARS_MAX
from interlock.errors import AgentError, AgentRefused, MissingExtra, ReplyRefused, TeamError
from tests.agents.model_server import ModelServer
from tests.agents.scenes import in_loop, job

FIELDS = ("ticket.category",)


class State(TypedDict, total=False):
    text: str
    category: str


def graph_of(node, state=State, **compiled):
    built = StateGraph(state)
    built.add_node("node", node)
    built.add_edge(START, "node")
    return built.compile(**compiled)


def a_job(**given):
    return job(view={"ticket": {"text": "My card is lost."}}, writes=FIELDS, **given)


def says(*texts, **more):
    """A model that says this, one after the other."""
    used = {"input_tokens": 100, "output_tokens": 7, "total_tokens": 107, "input_token_details": {"cache_read": 64}}
    more = {"usage_metadata": used, "response_metadata": {"model_name": "made-up"}} | more
    return GenericFakeChatModel(messages=iter([AIMessage(text, **more) for text in texts]))


# --- what is taken ---


def test_a_graph_that_is_not_compiled_is_told_so():
    with pytest.raises(TeamError, match=r"this graph is not compiled; add \.compile\(\)"):
        from_langgraph(StateGraph(State))


@pytest.mark.parametrize(("thing", "told"), [(lambda: None, "a function"), (State, "the class State"), (3, "a int")])
def test_what_is_neither_a_graph_nor_a_runnable_is_refused(thing, told):
    with pytest.raises(TeamError, match=f"{told} is no graph and no runnable"):
        from_langgraph(thing)


@pytest.mark.parametrize("stops", [{"interrupt_before": ["node"]}, {"interrupt_after": "*"}])
def test_a_graph_that_stops_halfway_would_be_taken_for_done(stops):
    with pytest.raises(TeamError, match="the graph stops at"):
        from_langgraph(graph_of(lambda state: {}, **stops))


def test_without_langgraph_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "langgraph.pregel", None)
    with pytest.raises(MissingExtra, match=r"langgraph is not installed; pip install 'interlock\[langgraph\]'"):
        from_langgraph(object())


@in_loop
async def test_a_model_that_would_try_again_by_itself_is_told_of_once(monkeypatch, caplog):
    monkeypatch.setattr(tally, "_warned", set())
    told = []
    with ModelServer() as server:
        server.answers("cards")
        async with DefaultAsyncHttpxClient() as client:
            asked = partial(ChatOpenAI, model="normal", base_url=server.url, api_key="k", http_async_client=client)
            for model in (asked(max_retries=0), asked(), asked(max_retries=2)):
                await from_langgraph(model)(a_job())
                told.append([record.getMessage() for record in caplog.records])
    warning = "langgraph: ChatOpenAI tries again by itself, unseen: make it with max_retries=0"
    assert told == [[], [warning], [warning]]


def test_what_works_in_threads_is_told(caplog):
    from_langgraph(graph_of(lambda state: {"category": "cards"}))
    assert [record.getMessage() for record in caplog.records] == [
        "langgraph: node works in threads, where no timeout stops what goes on"
    ]


# --- threads of a checkpointer ---


async def sort(state):
    return {"category": state["text"].split()[1]}


@in_loop
async def test_no_job_sees_the_state_of_another():
    async def remembers(state):
        return {"messages": [AIMessage(f"{len(state['messages'])}")]}

    adapter = from_langgraph(graph_of(remembers, MessagesState, checkpointer=InMemorySaver()))
    replies = [await adapter(a_job(idempotency_key=f"run/s{n}/1")) for n in range(3)]
    assert [reply.writes for reply in replies] == [{"ticket.category": "2"}] * 3


@in_loop
async def test_a_call_that_was_lost_goes_on_where_its_thread_stands():
    calls, decides = [], asyncio.Event()

    class Steps(TypedDict, total=False):
        text: str
        found: str
        category: str

    async def find(state):
        calls.append("find")
        return {"found": "cards"}

    async def decide(state):
        calls.append("decide")
        decides.set()
        if len(calls) == 2:
            await asyncio.Event().wait()
        return {"category": state["found"]}

    built = StateGraph(Steps)
    built.add_node("find", find)
    built.add_node("decide", decide)
    built.add_edge(START, "find")
    built.add_edge("find", "decide")
    adapter = from_langgraph(built.compile(checkpointer=InMemorySaver()))
    lost = asyncio.get_running_loop().create_task(adapter(a_job()))
    await decides.wait()
    lost.cancel()
    await asyncio.wait({lost})

    assert (await adapter(a_job())).writes == {"ticket.category": "cards"}
    assert calls == ["find", "decide", "decide"]


def test_a_thread_is_of_one_attempt_and_of_what_it_was_shown():
    ours = thread_of(a_job())
    assert ours.startswith("run/s0/1/")
    assert thread_of(a_job()) == ours
    others = [
        thread_of(job(view={"ticket": {"text": "Another."}}, writes=FIELDS)),
        thread_of(a_job(idempotency_key="run/s0/2")),
        thread_of(a_job(feedback=("too long",))),
        thread_of(a_job(item={"id": 1})),
    ]
    assert len({ours, *others}) == 5


# --- interrupts ---


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ("Refund 80 EUR?", il.Question("Refund 80 EUR?")),
        ({"question": "Refund?", "choices": ["yes", "no"]}, il.Question("Refund?", ("yes", "no"))),
        ({"question": "Refund?", "options": [1, 2]}, il.Question("Refund?")),
        ({"action": "refund", "usd": 80}, il.Question('{"action":"refund","usd":80}')),
        ("x" * 10_000, il.Question("x" * 7_997 + "...")),
        ("", il.Question("The graph was interrupted, and doesn't say why.")),
    ],
)
def test_an_interrupt_is_a_question_to_a_person(asked, question):
    async def ask(state):
        await says("hm").ainvoke("?")
        return {"category": interrupt(asked)}

    for compiled in ({}, {"checkpointer": InMemorySaver()}):
        reply = asyncio.run(from_langgraph(graph_of(ask, **compiled))(a_job()))
        assert reply.ask == question
        assert reply.usage.input_tokens == 100


def test_a_question_that_is_cut_holds_no_piece_of_a_secret(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-1234567890")
    asked = [Interrupt("x" * (QUESTION_CHARS_MAX - 13) + "tok-1234567890")]
    text = question_of(asked).ask.text
    assert "tok-1234" not in text
    assert len(text) <= QUESTION_CHARS_MAX


@in_loop
async def test_interrupts_side_by_side_are_one_question():
    async def ask(state):
        interrupt({"question": "Refund?", "choices": ["yes", "no"]})

    built = StateGraph(State)
    for name in ("one", "other"):
        built.add_node(name, ask)
        built.add_edge(START, name)
    assert (await from_langgraph(built.compile())(a_job())).ask == il.Question("Refund?\nRefund?")


# --- limits and failures ---


def endless():
    async def again(state):
        return {"category": "?"}

    built = StateGraph(State)
    built.add_node("again", again)
    built.add_edge(START, "again")
    built.add_edge("again", "again")
    return built.compile()


@pytest.mark.parametrize(("given", "steps"), [({}, STEPS_MAX), ({"steps_max": 3}, 3)])
def test_a_graph_that_goes_round_is_stopped(given, steps):
    with pytest.raises(AgentError, match=f"the graph didn't end within {steps} steps") as raised:
        asyncio.run(from_langgraph(endless(), **given)(a_job()))
    assert raised.value.retryable


@in_loop
async def test_what_a_failed_graph_has_used_is_charged():
    model = says("first", "second")

    async def fail(state):
        await model.ainvoke("?")
        await model.ainvoke("?")
        raise OSError("the wire is cut")

    with pytest.raises(AgentError, match="the wire is cut") as raised:
        await from_langgraph(graph_of(fail), price={"input": 1.0, "output": 10.0})(a_job())
    used = raised.value.usage
    assert (used.input_tokens, used.output_tokens, used.cached_tokens, used.requests) == (200, 14, 128, 2)
    assert (used.model, used.usd) == ("made-up", pytest.approx((200 + 140) / 1e6))


@in_loop
async def test_what_comes_out_of_langchains_cache_costs_nothing():
    cached = {"input_tokens": 100, "output_tokens": 7, "total_tokens": 107, "total_cost": 0}
    assert (await from_langgraph(says("cards", usage_metadata=cached))(a_job())).usage is None


@in_loop
async def test_a_model_that_refuses_is_not_asked_again():
    refusal = {"additional_kwargs": {"refusal": "I won't."}}
    for made in (says("", **refusal), says("", **refusal) | RunnableLambda(unparsed), says("", **refusal) | nothing()):
        with pytest.raises(AgentRefused, match="the model refused: I won't"):
            await from_langgraph(made)(a_job())


async def unparsed(message):
    raise OutputParserException("no JSON", llm_output=message.text)


def nothing():
    async def parsed(message):
        return None

    return RunnableLambda(parsed)


@in_loop
async def test_what_a_parser_cannot_read_is_fed_back():
    with pytest.raises(ReplyRefused, match="doesn't fit the form") as raised:
        await from_langgraph(says("Sure!") | RunnableLambda(unparsed))(a_job())
    assert (raised.value.said, raised.value.usage.requests) == ("Sure!", 1)


# --- in a team ---


TEAM = """
agents:
  clerk:
    allowed_actions: [sort]
    context_access: [ticket.text]
    write_permissions: [ticket.category]
    {declared}
plan:
  - {{id: only, agent: clerk, action: sort}}
"""
MODULE = """
import os
from interlock.agents.langgraph import from_langgraph
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    text: str
    category: str

def sort(state):
    return {"category": f"cards, said {os.getpid()}"}

built = StateGraph(State)
built.add_node("sort", sort)
built.add_edge(START, "sort")
graph = built.compile()

def text(job):
    return {"text": job.view["ticket.text"]}

def shout(result, job):
    return {"ticket.category": result["category"].upper()}

clerk = from_langgraph(graph)
"""


@pytest.fixture
def team(tmp_path):
    def made(declared):
        (tmp_path / "sorters.py").write_text(MODULE)
        (tmp_path / "team.yaml").write_text(TEAM.format(declared=declared))
        return il.Team.load(tmp_path / "team.yaml")

    return made


def category(team):
    run = il.run(team, {"ticket": {"text": "My card is lost."}})
    assert run.status == "succeeded", run.reason
    return run.context["ticket.category"]


def test_a_team_file_names_a_graph(team):
    assert category(team("langgraph: sorters:graph")).startswith("cards, said")
    declared = (
        "langgraph: {use: sorters:graph, input: sorters:text, output: sorters:shout, price: {input: 1, output: 2}}"
    )
    assert category(team(declared)).startswith("CARDS, SAID")


def test_a_team_file_that_names_no_graph_is_told_where(team):
    with pytest.raises(TeamError, match=r"team.yaml:7: agent clerk: this graph is not compiled"):
        il.Orchestrator(team("langgraph: sorters:built"))


def test_a_graph_can_work_in_a_process_that_can_be_killed(team, caplog):
    with caplog.at_level(logging.ERROR):
        said = category(team("use: sorters:clerk\n    isolation: process"))
    assert said.startswith("cards, said ")
    assert said != f"cards, said {os.getpid()}"
