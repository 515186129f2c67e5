"""`interlock fork`, in processes of its own."""

import json

import pytest


@pytest.fixture
def done(desk):
    """A run that has ended well."""
    desk.run("run", ".", "-i", desk.write("in.jsonl", "good"))
    return desk


def ran(desk, run_id):
    return [call[1] for call in desk.calls if call[0] == run_id]


def test_a_run_is_forked_at_a_step(done):
    [first] = done.json("runs")["runs"]
    ended = done.run("fork", "last", "--at", "close", "--by", "eve", "--reason", "what if", "--json")
    [run] = ended.runs
    assert (ended.code, run["status"]) == (0, "succeeded")
    assert run["context"] == {"text": "good", "first": "good", "second": "GOOD"}
    assert ran(done, run["run_id"]) == ["close"]
    assert f"run {first['run_id']} was forked at close: the new run is {run['run_id']}" in ended.err
    told = done.json("show", run["run_id"])
    assert told["origin"] == {
        "run_id": first["run_id"], "steps": ["close"], "by": "person:eve", "reason": "what if", "at": "close"
    }  # fmt: skip
    shown = done.run("show", run["run_id"]).out
    assert f"a fork of {first['run_id']} at close by person:eve: what if" in shown
    replayed = done.run("replay", run["run_id"])
    assert replayed.code == 0
    assert f"started as a fork of {first['run_id']} at close by person:eve: what if" in replayed.out
    assert done.run("explain", run["run_id"], "second").code == 0


def test_what_the_step_is_shown_can_be_set(done):
    ended = done.run("fork", "last", "--at", "close", "--set", "first=other", "--json")
    [run] = ended.runs
    assert run["context"]["second"] == "OTHER"
    ended = done.run("fork", "last", "--at", "close", "--set", "third=other")
    assert ended.code == 2
    assert "third can't be changed: step close is not shown it" in ended.err


def test_it_runs_under_another_team(done):
    other = (done.folder / "team.yaml").read_text().replace("use: agents:close", "use: better:close")
    (done.folder / "other.yaml").write_text(other)
    (done.folder / "better.py").write_text('async def close(job):\n    return {"second": "better"}\n')
    ended = done.run("fork", "last", "--at", "close", "--team", "other.yaml", "--json")
    assert ended.runs[0]["context"]["second"] == "better"
    (done.folder / "team.yaml").write_text(other)
    [first] = [run for run in done.json("runs")["runs"] if run["team"].endswith("team.yaml")]
    ended = done.run("fork", first["run_id"], "--at", "close")
    assert ended.code == 2
    assert "agents.worker.use" not in ended.err
    assert "agents.closer.use: agents:close -> better:close fix: add --team TEAM" in " ".join(ended.err.split())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["last", "--at", "clos"], 2, "there is no step 'clos' to fork at; did you mean close?"),
        (["last"], 2, "Missing option '--at'"),
        (["none", "--at", "close"], 2, "there is no run none in this journal"),
        (["last", "--at", "close", "--set", "first"], 2, "--set 'first' is no PATH=VALUE"),
        (["last", "--at", "close", "--by", "a\nb"], 2, "can't be recorded as who decides"),
    ],
)
def test_what_is_meant_wrongly_is_told(done, words, code, said):
    ended = done.run("fork", *words)
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert len(done.json("runs")["runs"]) == 1


def test_a_parked_run_is_forked_and_both_wait(desk):
    desk.run("run", ".", "-i", desk.write("in.jsonl", "ask"))
    ended = desk.run("fork", "last", "--at", "work")
    assert ended.code == 3
    assert len(desk.json("inbox", "list")["questions"]) == 2
    ended = desk.run("fork", "last", "--at", "work", "--set", "text=good", "--json")
    assert (ended.code, json.loads(ended.out)["status"]) == (0, "succeeded")
