"""`interlock resume` where the team has changed, in processes of its own."""

import signal

import pytest


@pytest.fixture
def killed(desk):
    """A run whose process was killed while `close`, its second step, was at work."""
    process = desk.start("run", ".", "-i", desk.write("in.jsonl", "hold"))
    desk.until("waiting", process)
    process.send_signal(signal.SIGKILL)
    desk.finish(process)
    desk.go()
    return desk


@pytest.fixture
def many(desk):
    """The same for two runs."""
    process = desk.start("run", ".", "-i", desk.write("in.jsonl", "hold", "hold"))
    desk.until("waiting", process)
    process.send_signal(signal.SIGKILL)
    desk.finish(process)
    desk.go()
    return desk


def change(desk, old, new):
    team = desk.folder / "team.yaml"
    assert old in team.read_text()
    team.write_text(team.read_text().replace(old, new, 1))


def said(ended):
    return " ".join(ended.err.split())


RETRIES = ("retries: 1", "retries: 3")
CLOSED = ("timeout: 60s\nplan:", "timeout: 50s\nplan:")


def test_where_it_matters_for_no_step_that_remains_a_run_goes_on_as_it_was(killed):
    change(killed, *RETRIES)
    ended = killed.run("resume", "last", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (0, "succeeded"), ended.err
    assert "goes on with the team as it was: agents.worker.retries: 1 -> 3 (matters for no step that remains)" in said(
        ended
    )
    assert killed.run("replay", "last").code == 0


def test_where_it_matters_it_is_left_alone_and_says_what_differs_and_why(killed):
    change(killed, *CLOSED)
    change(killed, *RETRIES)
    ended = killed.run("resume", "last")
    assert ended.code == 2
    assert "was started under another version of this team, and that matters for what remains:" in said(ended)
    assert "agents.closer.timeout: 60s -> 50s (closer works at close); agents.worker.retries" in said(ended)
    assert "fix: go on with the team as it was (--as-pinned) or under the team as it is now (--migrate)" in said(ended)
    assert killed.json("runs")["runs"][0]["status"] == "running"


def test_it_goes_on_as_pinned(killed):
    change(killed, *CLOSED)
    ended = killed.run("resume", "last", "--as-pinned", "--json")
    assert (ended.code, ended.runs[0]["context"]["second"]) == (0, "HOLD"), ended.err
    assert [call[1] for call in killed.calls] == ["work", "close", "close"]


def test_it_is_migrated(killed):
    change(killed, "use: agents:close", "use: better:close")
    (killed.folder / "better.py").write_text('async def close(job):\n    return {"second": "better"}\n')
    [before] = killed.json("runs")["runs"]
    ended = killed.run("resume", "last", "--migrate", "--reason", "it is better", "--json")
    [run] = ended.runs
    assert (ended.code, run["status"], run["context"]["second"]) == (0, "succeeded", "better"), ended.err
    assert f"run {before['run_id']} goes on as run {run['run_id']}" in ended.err
    told = killed.json("show", run["run_id"])["origin"]
    assert (told["run_id"], told["replaces"], told["reason"]) == (before["run_id"], True, "it is better")
    assert killed.json("show", before["run_id"])["status"] == "cancelled"
    assert f"it goes on as run {run['run_id']}" in " ".join(killed.run("show", before["run_id"]).out.split())
    assert ", in its place: it is better" in " ".join(killed.run("show", run["run_id"]).out.split())
    ended = killed.run("resume", run["run_id"], "--migrate")
    assert ended.code == 0


def test_it_is_not_migrated_where_what_was_committed_could_not_be_so(killed):
    change(killed, "write_permissions: [first]", "write_permissions: [third]")
    ended = killed.run("resume", "last", "--migrate")
    assert ended.code == 2
    assert "step work could not have committed what it has: worker may not write first" in said(ended)
    assert [run["status"] for run in killed.json("runs")["runs"]] == ["running"]


def test_both_at_once_is_a_mistake(killed):
    ended = killed.run("resume", "--as-pinned", "--migrate")
    assert (ended.code, "both as pinned and migrated" in said(ended)) == (2, True)


@pytest.mark.parametrize("way", ["--as-pinned", "--migrate"])
def test_many_go_on(many, way):
    change(many, *CLOSED)
    ended = many.run("resume")
    assert (ended.code, "2 runs left alone: started under another version of" in said(ended)) == (2, True)
    assert "(--as-pinned) or under the team as it is now (--migrate)" in said(ended)
    ended = many.run("resume", way, "--json")
    assert (ended.code, [run["status"] for run in ended.runs]) == (0, ["succeeded"] * 2), ended.err
    statuses = sorted(run["status"] for run in many.json("runs")["runs"])
    assert statuses == (["succeeded"] * 2 if way == "--as-pinned" else ["cancelled"] * 2 + ["succeeded"] * 2)
    assert many.run("resume").err == "nothing to resume\n"


def test_many_that_it_does_not_matter_for_go_on_as_they_were(many):
    change(many, *RETRIES)
    ended = many.run("resume", "--json")
    assert (ended.code, len(ended.runs), "2 runs of" in ended.err) == (0, 2, True), ended.err


def test_those_that_can_not_be_migrated_are_told(many):
    change(many, "write_permissions: [first]", "write_permissions: [third]")
    ended = many.run("resume", "--migrate")
    assert (ended.code, said(ended).count("can't be migrated: the run can't go on under this team")) == (2, 2)


def test_a_parked_run_is_decided_about_where_what_has_changed_does_not_matter(desk):
    assert desk.run("run", ".", "-i", desk.write("in.jsonl", "ask")).code == 3
    change(desk, "plan:", "name: desk\nplan:")
    ended = desk.run("inbox", "answer", "last", "--set", "first=x")
    assert (ended.code, "--as-pinned" in said(ended)) == (2, True)
