"""Graphs of LangGraph as they are made, none of whose nodes is ever called."""

import sys
from pathlib import Path

import pytest

import interlock as il
from interlock.errors import InputError, MissingExtra
from interlock.survey import survey
from interlock.survey.system import START

HERE = Path(__file__).parent


def surveyed(name):
    return survey(f"langgraph:graphs:{name}", HERE)


def steps(found):
    return {step.id: step for step in found.system.steps}


def codes(found):
    return {finding.code for finding in found.findings}


def of(found, code):
    return next(finding for finding in found.findings if finding.code == code)


def team_of(found, folder):
    (folder / "team.yaml").write_text(found.skeleton)
    return il.Team.load(folder)


@pytest.mark.parametrize("name", ["desk", "wide", "make_line", "uncompiled", "report", "mail", "odd", "loose", "ready"])
def test_each_team_file_loads(name, tmp_path):
    found = surveyed(name)
    team = team_of(found, tmp_path)
    assert {*team.agents} == {worker.id for worker in found.system.workers}


def test_a_supervisors_loop(tmp_path):
    found = surveyed("desk")
    assert of(found, "loop").agents == ("supervisor", "billing", "orders")
    assert {edge.source: edge.target for edge in found.system.edges if edge.route is None} == {
        START: "supervisor",
        "billing": "supervisor",
        "orders": "supervisor",
    }
    assert of(found, "unasked_effect").agents == ("billing",)
    assert "tool refund" in of(found, "unasked_effect").message
    assert of(found, "shared_tool").agents == ("billing", "orders")
    assert of(found, "several_writers").paths == ("answer",)
    assert found.system.keys["messages"].merging == "append"
    team = team_of(found, tmp_path)
    assert {step.id: step.when and step.when.path for step in team.plan.declared} == {
        "supervisor": None,
        "billing": "route.supervisor",
        "orders": "route.supervisor",
    }
    assert team.agents["billing"].scope.allowed_actions == ("billing", "refund", "search")


def test_a_fan_out_with_a_shared_key(tmp_path):
    found = surveyed("wide")
    assert not found.ok
    shared = of(found, "parallel_writers")
    assert (shared.severity, shared.paths, shared.agents) == ("error", ("draft",), ("formal", "casual"))
    assert shared.where.startswith("graphs.py:")
    assert {finding.paths for finding in found.findings if finding.code == "silent_merge"} == {("best",), ("seen",)}
    merged = {path: key.merging for path, key in found.system.keys.items() if key.merging != "none"}
    assert merged == {"notes": "append", "best": "last", "score": "add", "seen": "merge"}
    assert "typo" in of(found, "dropped_write").message
    assert of(found, "changed_in_place").agents == ("join",)
    assert "in memory" in of(found, "no_checkpoint").message
    assert "no_timeout" not in codes(found)
    team = team_of(found, tmp_path)
    assert team.agents["formal"].scope.write_permissions == ("draft.formal", "notes", "best.formal", "score", "seen")
    assert dict(team.reducers) == {"notes": "append", "score": "add", "seen": "merge"}
    assert (team.agents["formal"].timeout, team.agents["formal"].retries) == ("20s", 3)
    assert team.agents["casual"].timeout == "1500ms"
    assert team.plan.declared[2].needs == ("formal", "casual")


def test_a_chain(tmp_path):
    found = surveyed("make_line")
    assert of(found, "renamed").agents == ("read_mail",)
    assert {"no_checkpoint", "no_timeout", "unstoppable", "no_person"} < codes(found)
    assert of(found, "unstoppable").agents == ("read_mail",)
    team = team_of(found, tmp_path)
    assert [(step.id, step.needs) for step in team.plan.declared] == [("read_mail", ()), ("cut", ("read_mail",))]
    assert team.agents["cut"].scope.context_access == ("text",)
    assert team.agents["cut"].scope.write_permissions == ("short",)
    assert "can work as one agent" not in found.skeleton


def test_a_graph_that_is_not_compiled_is_read_and_it_is_said():
    found = surveyed("uncompiled")
    assert "not_compiled" in codes(found)
    assert "no_checkpoint" not in codes(found)


def test_items_that_are_sent_to_workers(tmp_path):
    found = surveyed("report")
    assert "can work as one agent: langgraph: graphs:report" in found.skeleton
    team = team_of(found, tmp_path)
    _, write, synthesize = team.plan.declared
    assert (write.for_each, write.needs) == ("sections", ("orchestrate",))
    assert dict(team.reducers) == {"done": "append"}
    assert synthesize.needs == ("write",)
    assert team.agents["write"].scope.context_access == ()


def test_a_person_who_is_asked_without_a_checkpointer(tmp_path):
    found = surveyed("mail")
    assert of(found, "unsaved_question").severity == "error"
    assert {"unasked_effect", "no_person"}.isdisjoint(codes(found))
    assert steps(found)["send"].effects[0].what == "smtp.send_message()"
    team = team_of(found, tmp_path)
    _, draft, send = team.plan.declared
    assert (draft.when.path, draft.when.value) == ("kind", "urgent")
    assert send.when.path == "route.draft"


def test_a_model_and_the_node_that_performs_its_tools_are_not_two_who_have_them():
    found = surveyed("loose")
    ask, tools = found.system.workers
    assert (ask.tools, tools.tools) == (("refund", "search"), ())
    assert "whose tools are those of the agent before it" in tools.told
    assert "shared_tool" not in codes(found)
    assert of(found, "unasked_effect").agents == ("tools",)
    for name in ("watched", "later_watched"):
        assert "unasked_effect" not in codes(surveyed(name))


def test_what_the_framework_has_written_is_not_found_fault_with():
    found = surveyed("ready")
    model, tools = found.system.workers
    assert model.told.endswith("of langchain.agents.factory")
    assert (model.tools, tools.tools) == (("refund",), ())
    assert {"unasked_effect", "changed_in_place", "shared_tool"}.isdisjoint(codes(found))
    assert of(found, "unknown_writes").message == (
        "it isn't known of model what it reads and writes, as it is of the framework"
    )


def test_graphs_tools_and_channels_of_all_kinds():
    found = surveyed("odd")
    assert {path: key.merging for path, key in found.system.keys.items()} == {
        "messages": "append",
        "any": "last",
        "loose": "last",
        "topic": "append",
        "text": "unknown",
    }
    inner, more, _, late, nested = found.system.workers
    assert (inner.target, inner.tools) == (("langgraph", "graphs:inner"), ("refund", "search"))
    assert (more.told, more.tools) == ("a ToolNode", ("refund",))
    assert steps(found)["inner"].asks
    assert not steps(found)["more"].asks
    assert steps(found)["late"].asks
    assert steps(found)["late"].late
    assert steps(found)["made"].open
    assert of(found, "unknown_writes").agents == ("made",)
    assert {"open_route", "left_out", "unreached"} < codes(found)
    assert late.told == "rescue(state)"
    assert nested.tools == ("search", "refund")
    assert steps(found)["nested"].asks


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere", "graphs has no function nowhere"),
        ("broken", "graphs:broken fails: ValueError: no graph today"),
        ("wants", "graphs:wants can't be called without arguments"),
        ("later", "graphs:later is async"),
        ("number", "graphs:number is no graph of LangGraph: int"),
        ("refund", "graphs:refund is no graph of LangGraph: StructuredTool"),
        ("functional", "graphs:functional is an @entrypoint"),
        ("empty", "graphs:empty has no nodes"),
        ("huge", "graphs:huge has 1,001 nodes; 1,000 are read"),
        ("dense", "graphs:dense has 22,500 edges; 20,000 are read"),
        ("strange", "the key a??[31m of the state is no name"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_graph_is_refused_in_one_sentence(name, told):
    with pytest.raises(InputError) as caught:
        surveyed(name)
    assert told in caught.value.message
    assert caught.value.fix or name == "nowhere"


@pytest.mark.parametrize(
    ("source", "told"),
    [("raise ValueError('k')", "importing m failed in m.py:1: ValueError: k"), ("def f(:", "failed in m.py:1")],
)
def test_a_module_that_fails_is_told_by_its_line(source, told, tmp_path):
    (tmp_path / "m.py").write_text(source)
    with pytest.raises(InputError) as caught:
        survey("langgraph:m:graph", tmp_path)
    assert told in caught.value.message


@pytest.mark.parametrize(
    "named", ["graphs:desk", "langgraph", "autogen:m:x", "langgrpah:m:x", "langgraph:m", "langgraph:../m:x"]
)
def test_what_names_no_system_is_refused(named):
    with pytest.raises(InputError):
        survey(named, HERE)


def test_a_framework_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "langgraph", None)
    monkeypatch.setattr("interlock.agents.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"interlock\[langgraph\]"):
        surveyed("desk")


def test_what_the_module_prints_is_not_in_the_way(capsys, tmp_path):
    (tmp_path / "m.py").write_text("print('a module prints')\ngraph = 5\n")
    with pytest.raises(InputError, match="no graph"):
        survey("langgraph:m:graph", tmp_path)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "a module prints\n")


def test_defaults_of_all_nodes_count_and_the_timeout_of_a_step_bounds_those_without_one():
    workers = surveyed("defaulted").system.workers
    assert [(one.id, one.timeout_ms, one.retries) for one in workers] == [("cut", 7_000, 1), ("sort", 3_000, 1)]
    assert [one.timeout_ms for one in surveyed("wide").system.workers] == [20_000, 1_500, 60_000]
