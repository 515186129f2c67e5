"""`interlock dlq ...`, in processes of its own."""

import json
import os
import signal

import pytest


@pytest.fixture
def dead(desk):
    """Four runs, two of which die of `work`, one by each kind of setback."""
    desk.agents = (desk.folder / "agents.py").read_text()
    broken = desk.agents.replace('if text == "overreach" and job.attempt == 1:', 'if text == "overreach":')
    (desk.folder / "agents.py").write_text(broken)
    desk.run("run", ".", "-i", desk.write("in.jsonl", "good", "fail", "overreach", "good"))
    return desk


def mend(desk):
    healed = desk.agents.replace('if text == "fail":', 'if text == "never":')
    (desk.folder / "agents.py").write_text(healed)


def letters(desk, *filters):
    return desk.json("dlq", "list", *filters)["letters"]


def test_the_list_says_what_is_dead_and_why(dead):
    found = {letter["reason"]: letter for letter in letters(dead)}
    refused = found["worker may not write second; it may write first"]
    assert (refused["step"], refused["agent"], refused["attempts"], refused["redriven"]) == ("work", "worker", 2, None)
    assert refused["team_file"] == str(dead.folder / "team.yaml")
    ended = dead.run("dlq", "list")
    assert (ended.code, len(ended.out.splitlines())) == (0, 2)
    assert f"{refused['run_id']}/work  ✗ waits  worker  2 attempts  worker may not write second" in ended.out


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--matching", "may not"], 1),
        (["--agent", "worker"], 2),
        (["--agent", "closer"], 0),
        (["--step", "work", "--team", "."], 2),
        (["--since", "1h"], 2),
        (["--since", "2999-01-01"], 0),
        (["--batch", "none"], 0),
        (["--limit", "1"], 1),
        (["--waiting"], 2),
    ],
)
def test_filters(dead, filters, count):
    assert len(letters(dead, *filters)) == count


def test_a_name_that_no_letter_has_is_told_with_the_one_that_was_meant(dead):
    for words in (["redrive", "--from"], ["list", "--team"], ["export", "--team"]):
        ended = dead.run("dlq", *words, "taem.yaml")
        assert ended.code == 2, words
        assert "there is no team file taem.yaml, and no dead letter is of it; did you mean team.yaml?" in ended.err

    (dead.folder / "taem.yaml").write_text((dead.folder / "team.yaml").read_text())
    for words, said in (
        (["--from", "taem.yaml"], "none is of the team file taem.yaml; did you mean team.yaml?"),
        (["--agent", "workre"], "none is of agent workre; did you mean worker?"),
        (["--agent", "closer"], "none is of agent closer"),
        (["--step", "wrok"], "none is of step wrok; did you mean work?"),
    ):
        ended = dead.run("dlq", "redrive", *words)
        assert (ended.code, f"no dead letters wait that are meant so: {said}\n" in ended.err) == (0, True), ended.err
    assert "no dead letters: none is of agent workre" in dead.run("dlq", "list", "--agent", "workre").out
    for words in (["export"], ["purge", "--yes"]):
        assert "no dead letters: none is of agent workre" in dead.run("dlq", *words, "--agent", "workre").err
    assert len(letters(dead, "--waiting")) == 2


def test_one_is_shown_whole(dead):
    [letter] = letters(dead, "--matching", "may not")
    told = dead.json("dlq", "show", letter["run_id"])
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["refused", "refused"]
    assert told["attempts"][0]["reply"] == '{"second":1}'
    assert (told["view"], told["verified"]) == ({"text": "overreach"}, True)
    assert told["job"]["feedback"] == ["worker may not write second; it may write first"]
    shown = dead.run("dlq", "show", f"{letter['run_id']}/work").out
    assert "attempt 2  worker  refused" in shown
    assert f"interlock dlq redrive {letter['run_id']}/work" in shown


def test_one_is_redriven_in_its_run(dead):
    mend(dead)
    [letter] = letters(dead, "--matching", "luck")
    [run] = dead.run("dlq", "redrive", letter["run_id"], "--reason", "mended", "--json").runs
    assert (run["run_id"], run["status"], run["context"]["second"]) == (letter["run_id"], "succeeded", "FAIL")
    [after] = letters(dead, "--matching", "luck")
    assert after["redriven"]["run_id"] == letter["run_id"]
    assert (after["redriven"]["reason"], after["redriven"]["outcome"]) == ("mended", "succeeded")
    assert after["redriven"]["by"].startswith("person:")
    again = dead.run("dlq", "redrive", letter["run_id"])
    assert again.code == 2
    assert f"{letter['run_id']}/work was redriven already, in run {letter['run_id']}, which is succeeded" in again.err
    assert dead.run("replay", letter["run_id"]).code == 0


def test_all_that_wait_are_redriven_once(dead):
    mend(dead)
    ended = dead.run("dlq", "redrive", "--all", "--json")
    assert (ended.code, [run["status"] for run in ended.runs]) == (0, ["succeeded", "succeeded"])
    before = len(dead.calls)
    ended = dead.run("dlq", "redrive", "--all")
    assert (ended.code, "no dead letters wait" in ended.err) == (0, True)
    assert len(dead.calls) == before


def test_one_that_dies_again_waits_again(dead):
    ended = dead.run("dlq", "redrive", "--matching", "luck", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (1, "failed")
    [letter] = letters(dead, "--matching", "luck")
    assert (letter["attempts"], letter["redriven"]) == (4, None)


def test_killed_in_the_middle_nothing_is_repeated(desk):
    desk.run("run", ".", "-i", desk.write("in.jsonl", "fail", "fail", "fail"))
    agents = (desk.folder / "agents.py").read_text()
    slow = agents.replace('if text == "fail":\n        raise RuntimeError("no \\x1b[31mluck")', "")
    slow = slow.replace('if job.view["text"] == "hold":', 'if job.view["text"] == "fail":')
    (desk.folder / "agents.py").write_text(slow)
    process = desk.start("dlq", "redrive", "--all", "--concurrency", "1")
    desk.until("waiting", process)
    process.send_signal(signal.SIGKILL)
    desk.finish(process)
    assert len(letters(desk, "--waiting")) == 2
    desk.go()
    assert desk.run("resume").code == 0
    assert desk.run("dlq", "redrive", "--all").code == 0
    assert letters(desk, "--waiting") == []
    tries = [call for call in desk.calls if call[1] == "work"]
    assert len(tries) == len(set(tries)) == 9
    assert {run["status"] for run in desk.json("runs")["runs"]} == {"succeeded"}


def test_an_export_has_all_that_is_needed_elsewhere(dead):
    lines = [json.loads(line) for line in dead.run("dlq", "export", "--step", "work").out.splitlines()]
    assert len(lines) == 2
    for letter in lines:
        assert letter["run"]["request"]["text"] in {"fail", "overreach"}
        assert letter["run"]["team"]["agents"]["worker"]["use"] == "agents:work"
        assert letter["run"]["committed"] == []


def test_a_purge_wants_to_be_sure_and_leaves_the_run(dead):
    [letter] = letters(dead, "--matching", "luck")
    for words, said in (
        (["--step", "work"], "2 dead letters would be purged, and nobody is here to ask"),
        ([], "nothing says which dead letters are meant"),
    ):
        ended = dead.run("dlq", "purge", *words)
        assert (ended.code, said in ended.err) == (2, True)
    assert len(letters(dead)) == 2
    assert dead.json("dlq", "purge", letter["run_id"], "--yes") == {"purged": 1}
    assert len(letters(dead)) == 1
    assert dead.json("show", letter["run_id"])["status"] == "failed"
    assert dead.run("dlq", "purge", "--step", "work", "--yes").out == "1 dead letter purged\n"


def test_what_was_redriven_is_not_purged(dead):
    """The letter is all that keeps it from being redriven again, and its effects from being done twice."""
    mend(dead)
    [letter] = letters(dead, "--matching", "luck")
    name = f"{letter['run_id']}/{letter['step']}"
    dead.run("dlq", "redrive", name)
    assert dead.json("dlq", "purge", name, "--yes") == {"purged": 0}
    assert letters(dead, "--matching", "luck")[0]["redriven"]["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--since", "soon"], "--since is 'soon', which is no time"),
        (["show", "nope"], "there is no run nope in this journal"),
        (["show", "last/nope"], "has no such dead letter: step nope"),
        (["show", "last/"], "'last/' names no dead letter"),
        (["redrive"], "nothing says which dead letters are meant"),
        (["redrive", "--reason", "luck"], "nothing says which dead letters are meant"),
    ],
)
def test_what_is_meant_wrongly_is_told(dead, words, said):
    ended = dead.run("dlq", *words)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_a_run_with_several_is_named_with_its_step(desk):
    plan = (desk.folder / "team.yaml").read_text().replace("needs: [work]", "needs: []")
    (desk.folder / "team.yaml").write_text(plan)
    desk.run("run", ".", "-i", desk.write("in.jsonl", "fail"))
    ended = desk.run("dlq", "show", "last")
    assert ended.code == 0
    run_id = letters(desk)[0]["run_id"]
    ended = desk.run("dlq", "show", run_id)
    assert (ended.code, f"run {run_id} has 2 dead letters: " in ended.err) == (2, True)


def test_a_change_forks_the_run_and_both_name_each_other(dead):
    [letter] = letters(dead, "--matching", "luck")
    ended = dead.run("dlq", "redrive", letter["run_id"], "--set", "text=mended", "--reason", "wrong text", "--json")
    [run] = ended.runs
    assert (ended.code, run["status"], run["context"]["second"]) == (0, "succeeded", "MENDED")
    assert f"run {letter['run_id']} was forked: the steps are tried again in run {run['run_id']}" in ended.err
    [after] = letters(dead, "--matching", "luck")
    assert (after["redriven"]["run_id"], after["redriven"]["outcome"]) == (run["run_id"], "succeeded")
    fork = dead.json("show", run["run_id"])
    assert (fork["origin"]["run_id"], fork["origin"]["changed"]) == (letter["run_id"], ["text"])
    assert f"a fork of {letter['run_id']} by person:" in dead.run("show", run["run_id"]).out
    assert dead.json("show", letter["run_id"])["status"] == "failed"
    assert dead.run("replay", run["run_id"]).code == 0
    by = fork["origin"]["by"]
    shown = dead.run("explain", run["run_id"], "text").out
    assert f"request  set by {by}, when {letter['run_id']} was forked into this run" in shown


def test_a_change_is_of_one_run_and_of_what_its_step_is_shown(dead):
    for words, said in (
        (["--all", "--set", "text=x"], "--set changes what one run is shown, and these are 2 runs"),
        (["last", "--set", "second=x"], "second can't be changed: step work is not shown it"),
        (["last", "--set", "text"], "--set 'text' is no PATH=VALUE"),
    ):
        ended = dead.run("dlq", "redrive", *words)
        assert (ended.code, said in ended.err) == (2, True), ended.err
    assert len(letters(dead, "--waiting")) == 2


def another_team(desk, step="work"):
    """A team file beside the first, in which another function does what died."""
    told = (desk.folder / "team.yaml").read_text().replace("use: agents:work", "use: better:work")
    (desk.folder / "other.yaml").write_text(told.replace("id: work", f"id: {step}").replace("[work]}", f"[{step}]}}"))
    (desk.folder / "better.py").write_text('async def work(job):\n    return {"first": "better"}\n')


def test_another_team_tries_them_in_forks(dead):
    another_team(dead)
    [letter] = letters(dead, "--matching", "luck")
    (dead.folder / "team.yaml").write_text((dead.folder / "other.yaml").read_text())
    ended = dead.run("dlq", "redrive", letter["run_id"])
    assert ended.code == 2
    assert "agents.worker.use: agents:work -> better:work fix: add --team TEAM" in " ".join(ended.err.split())
    ended = dead.run("dlq", "redrive", letter["run_id"], "--team", "other.yaml", "--json")
    [run] = ended.runs
    assert (ended.code, run["status"], run["context"]["second"]) == (0, "succeeded", "BETTER")
    assert f"run {letter['run_id']} was forked: the steps are tried again in run {run['run_id']}" in ended.err
    [after] = letters(dead, "--matching", "luck")
    assert (after["redriven"]["run_id"], after["redriven"]["outcome"]) == (run["run_id"], "succeeded")
    shown = dead.run("show", run["run_id"]).out
    assert f"a fork of {letter['run_id']} by person:" in shown
    assert ", under another team" in shown
    assert dead.run("replay", run["run_id"]).code == 0


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--all", "--team", "other.yaml"], 2),
        (["--team", "other.yaml"], 0),
        (["--team", "other.yaml", "--since", "1h"], 0),
        (["--team", "other.yaml", "--from", ".", "--matching", "luck"], 1),
    ],
)
def test_many_are_tried_under_another_team(dead, filters, count):
    another_team(dead)
    ended = dead.run("dlq", "redrive", *filters, "--json")
    assert (ended.code, [run["status"] for run in ended.runs]) == (0, ["succeeded"] * count)
    assert len(letters(dead, "--waiting")) == 2 - count


def test_one_that_does_not_fit_the_other_team_is_told(dead):
    another_team(dead, "works")
    ended = dead.run("dlq", "redrive", "--all", "--team", "other.yaml")
    assert ended.code == 2, ended.err
    said = "the run can't go on under this team: there is no step work; did you mean works?"
    assert ended.err.count(f"can't be redriven: {said}") == 2
    assert len(letters(dead, "--waiting")) == 2


def test_a_team_whose_agents_can_not_be_found_interrupts_nothing(dead):
    another_team(dead)
    (dead.folder / "better.py").unlink()
    ended = dead.run("dlq", "redrive", "--all", "--team", "other.yaml")
    assert (ended.code, "2 runs of other.yaml can't be redriven" in ended.err) == (2, True), ended.err


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("s/fail/mended/", 0, "was forked"),
        ("s/nothing/else/", 1, "nothing was changed"),
        ("s/.*text.*//", 2, "text can't be removed"),
        ("s/{/[/", 2, "what you wrote is no JSON object"),
    ],
)
def test_what_it_was_shown_is_edited(dead, script, code, said):
    editor = dead.folder / "editor.sh"
    editor.write_text(f"#!/bin/sh\nsed -i '{script}' \"$1\"\n")
    editor.chmod(0o755)
    [letter] = letters(dead, "--matching", "luck")
    ended = dead.run("dlq", "edit", letter["run_id"], env={**os.environ, "EDITOR": str(editor), "VISUAL": ""})
    assert (ended.code, said in ended.err) == (code, True), ended.err
