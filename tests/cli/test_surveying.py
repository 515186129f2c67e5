"""`audit --from`, as a process of its own."""

import json

import pytest

import interlock as il

SHOP = """\
from typing import TypedDict
from langgraph.graph import END, START, StateGraph

print("a module prints")

class State(TypedDict, total=False):
    text: str
    draft: str

async def formal(state: State): return {"draft": "Dear " + state["text"]}
async def casual(state: State): return {"draft": "Hi " + state["text"]}

line = StateGraph(State).add_node(formal).add_edge(START, "formal").add_edge("formal", END).compile()
wide = StateGraph(State).add_node(formal).add_node(casual).add_edge(START, "formal").add_edge(START, "casual").compile()
"""


@pytest.fixture
def shop(desk):
    (desk.folder / "team.yaml").unlink()
    (desk.folder / "shop.py").write_text(SHOP)
    return desk


def test_a_team_file_is_written_that_the_audit_takes(shop):
    ended = shop.run("audit", "--from", "langgraph:shop:line", "--out", "team.yaml")
    assert ended.code == 0, ended.err
    assert "the graph has no checkpointer" in ended.out
    assert "✓ langgraph:shop:line: no errors (2 warnings)" in ended.out
    assert "team.yaml: 1 agent, 1 step" in ended.out
    assert "interlock audit team.yaml" in ended.out
    assert ended.err == "a module prints\n"
    assert shop.json("audit", ".")["ok"] is True
    assert [*il.Team.load(shop.folder).agents] == ["formal"]


def test_without_out_the_team_file_is_all_of_standard_output(shop):
    ended = shop.run("audit", "--from", "langgraph:shop:line")
    assert ended.code == 0
    assert ended.err == "a module prints\n3 findings, told at its beginning\n"
    (shop.folder / "team.yaml").write_text(ended.out)
    assert shop.run("audit", ".").code == 0


def test_json_is_one_document_and_what_breaks_has_the_code_of_an_invalid_team(shop):
    ended = shop.run("audit", "--from", "langgraph:shop:wide", "--json", "--out", "team.yaml")
    assert ended.code == 2
    found = json.loads(ended.out)
    assert (found["ok"], found["source"]) == (False, "langgraph:shop:wide")
    assert found["findings"][0] == {
        "code": "parallel_writers",
        "severity": "error",
        "where": "shop.py:10, shop.py:11",
        "agents": ["formal", "casual"],
        "paths": ["draft"],
        "message": "formal, casual write draft in the same round, and it has no reducer: that ends the run",
        "fix": "give each a field of its own, as in the team file: draft.formal, ...",
    }
    assert found["skeleton"] == (shop.folder / "team.yaml").read_text()


def test_a_file_that_exists_is_never_written_over(shop):
    (shop.folder / "mine.yaml").write_text("mine")
    ended = shop.run("audit", "--from", "langgraph:shop:line", "--out", "mine.yaml")
    assert ended.code == 2
    assert "mine.yaml exists already" in ended.err
    assert (shop.folder / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "langgraph:shop:lin"], "the module shop has no function lin"),
        (["--from", "langgraph:shop:State"], "shop:State can't be called without arguments"),
        (["--from", "langgraph:shop:line", "--out", "no/such/team.yaml"], "no/such/team.yaml can't be written"),
        (["--from", "nothing:shop:line"], "nothing:shop:line doesn't name a system"),
        (["--from", "langgraph:shop:line", "."], "both a team and --from are named"),
        ([".", "--out", "x.yaml"], "--out is where --from writes a team file"),
        ([], "no team is named"),
    ],
)
def test_what_can_not_be_done_is_one_message(shop, words, told):
    ended = shop.run("audit", *words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert "Traceback" not in ended.err
