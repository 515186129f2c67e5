"""What findings say of LangGraph is what LangGraph does."""

import asyncio
import operator
from typing import Annotated, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError, InvalidUpdateError
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt


class State(TypedDict, total=False):
    text: str
    log: Annotated[list[str], operator.add]


def writes(name):
    async def node(state: State):
        return {"text": name, "log": [name], "typo": name}

    return node


def built(*edges):
    builder = StateGraph(State)
    for name in sorted({end for edge in edges for end in edge} - {START, END}):
        builder.add_node(name, writes(name))
    for one, other in edges:
        builder.add_edge(one, other)
    return builder


def run(graph, **config):
    return asyncio.run(graph.ainvoke({}, config))


def test_parallel_writers_end_the_run():
    with pytest.raises(InvalidUpdateError):
        run(built((START, "a"), (START, "b")).compile())


def test_several_writers_write_over_each_other_and_a_key_without_a_place_is_dropped():
    assert run(built((START, "a"), ("a", "b")).compile()) == {"text": "b", "log": ["a", "b"]}


def test_a_node_whose_sources_end_in_different_rounds_runs_again():
    edges = [(START, "a"), ("a", "b"), ("b", "end"), ("a", "x"), ("x", "y"), ("y", "end")]
    builder = StateGraph(State)
    for name in ("a", "b", "x", "y", "end"):
        builder.add_node(name, lambda state, name=name: {"log": [name]})
    for one, other in edges:
        builder.add_edge(one, other)
    assert run(builder.compile())["log"].count("end") == 2


def test_a_loop_that_nothing_leads_out_of_ends_at_the_limit():
    with pytest.raises(GraphRecursionError):
        run(built((START, "a"), ("a", "b"), ("b", "a")).compile(), recursion_limit=10)


def test_a_question_can_not_be_answered_without_a_checkpointer():
    def asks(state: State):
        return {"text": interrupt("sure?")}

    builder = StateGraph(State).add_node("asks", asks).add_edge(START, "asks")
    lost, saved = builder.compile(), builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for graph in (lost, saved):
        assert "__interrupt__" in graph.invoke({}, config)
    with pytest.raises(RuntimeError, match="checkpointer"):
        lost.invoke(Command(resume="yes"), config)
    assert saved.invoke(Command(resume="yes"), config)["text"] == "yes"


def test_a_change_in_place_is_seen_by_a_node_beside_it():
    seen = []

    def changes(state: State):
        state["log"].append("changed")

    def sees(state: State):
        seen.extend(state["log"])

    builder = StateGraph(State).add_node("changes", changes).add_node("sees", sees)
    builder.add_edge(START, "changes").add_edge(START, "sees")
    builder.compile().invoke({"log": ["given"]}, {"max_concurrency": 1})
    assert seen == ["given", "changed"]
