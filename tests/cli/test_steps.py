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


# --- retry and skip ---


def heal(desk):
    told = (desk.folder / "agents.py").read_text()
    (desk.folder / "agents.py").write_text(told.replace('if text == "fail":', 'if text == "never":'))


@pytest.fixture
def failed(desk):
    """A run whose first step is dead."""
    assert desk.run("run", ".", "-i", desk.write("in.jsonl", "fail")).code == 1
    return desk


def test_a_dead_step_is_tried_again_in_its_run(failed):
    heal(failed)
    ended = failed.run("retry", "last", "work", "--by", "eve", "--reason", "mended", "--json")
    [run] = ended.runs
    assert (ended.code, run["status"], run["context"]["second"]) == (0, "succeeded", "FAIL")
    [letter] = failed.json("dlq", "list")["letters"]
    assert (letter["redriven"]["by"], letter["redriven"]["reason"]) == ("person:eve", "mended")
    assert "reopened by person:eve for work: mended" in failed.run("replay", "last").out
    ended = failed.run("retry", "last", "work")
    assert ended.code == 2
    said = f"step 'work' of run {run['run_id']} can't be tried again: it has committed"
    assert said in " ".join(ended.err.split())
    assert f"interlock fork {run['run_id']} --at work" in " ".join(ended.err.split())


def test_a_failed_run_says_what_helps(failed):
    [run] = failed.json("runs")["runs"]
    shown = failed.run("show", "last").out
    assert shown.endswith(f"next\n  interlock dlq show {run['run_id']}/work\n  interlock retry {run['run_id']} work\n")


def test_what_others_have_gone_on_from_is_done_again_in_a_fork(failed):
    team = failed.folder / "team.yaml"
    team.write_text(team.read_text().replace("needs: [work]}", "needs: [work], join: any_outcome}"))
    agents = failed.folder / "agents.py"
    agents.write_text(
        agents.read_text().replace('return {"second": job.view["first"].upper()}', 'return {"second": ""}')
    )
    ended = failed.run("run", ".", "-i", failed.write("in.jsonl", "fail"))
    run = failed.json("show", "last")
    assert {step["id"]: step["state"] for step in run["plan"]} == {"work": "dead", "close": "committed"}
    assert f"interlock fork {run['run_id']} --at work\n" in ended.out


def test_a_run_goes_on_without_a_dead_step(failed):
    ended = failed.run("skip", "last", "work", "--by", "eve", "--reason", "it will do", "--json")
    [run] = ended.runs
    assert (ended.code, run["status"], run["steps"]) == (0, "succeeded", {"skipped": 2})
    shown = failed.run("show", "last").out
    assert "skipped: person:eve has skipped it: it will do" in " ".join(shown.split())
    replayed = failed.run("replay", "last")
    assert (replayed.code, "reopened by person:eve, who skips work: it will do" in replayed.out) == (0, True)
    ended = failed.run("skip", "last", "close")
    assert (ended.code, "can't be skipped: it was skipped" in " ".join(ended.err.split())) == (2, True)


def test_a_step_that_asks_is_skipped_or_tried_again(desk):
    assert desk.run("run", ".", "-i", desk.write("in.jsonl", "ask")).code == 3
    assert desk.run("retry", "last", "work", "--reason", "once more").code == 3
    assert ("work", "2") in [(call[1], str(call[2])) for call in desk.calls]
    ended = desk.run("skip", "last", "work", "--by", "eve", "--reason", "enough", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (0, "succeeded")
    assert desk.json("inbox", "list")["total"] == 0
    assert "person:eve skips the step (enough)" in desk.run("replay", "last").out
    ended = desk.run("explain", "last", "text")
    assert ended.code == 0


@pytest.mark.parametrize("verb", ["retry", "skip"])
def test_a_step_must_be_named_rightly(failed, verb):
    ended = failed.run(verb, "last", "wrok")
    assert ended.code == 2
    assert "there is no such step; did you mean work?" in " ".join(ended.err.split())
    assert failed.run(verb, "last").code == 2
    assert failed.run(verb, "nope", "work").code == 2
