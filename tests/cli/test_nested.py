"""Runs of nested teams on the command line: shown with the run they belong to, answered, gone on with, counted once."""

import signal

import msgspec
import pytest

from interlock.cli.bar import StepsLine
from interlock.cli.paint_lists import _below, _named
from interlock.core import events as e
from interlock.ports import RunRow

OUTER = """\
agents:
  inner:
    team: team.yaml
    inputs: {text: text}
    outputs: {result: second}
    allowed_actions: [nest]
    context_access: [text]
    write_permissions: [result]
  last:
    allowed_actions: [copy]
    context_access: [result]
    write_permissions: [copy]
    use: more:copy
plan:
  - {id: nest, agent: inner, action: nest}
  - {id: copy, agent: last, action: copy, needs: [nest]}
"""
MORE = """\
async def copy(job):
    return {"copy": job.view["result"] * 2}
"""
TERMINAL = {"COLUMNS": "80"}


@pytest.fixture
def outer(desk):
    (desk.folder / "outer.yaml").write_text(OUTER)
    (desk.folder / "more.py").write_text(MORE)
    return desk


def run(outer, text, *more, code=0):
    ended = outer.run("run", "outer.yaml", "--input", outer.write("in.jsonl", text), *more)
    assert ended.code == code, ended.err
    return ended


def words(text):
    return " ".join(text.replace("│", "").replace("├──", "").replace("└──", "").split())


def ids(outer):
    """The run at the top, and the one that does a step of it."""
    top, inner = outer.json("runs")["runs"][::-1]
    assert inner["parent"] == top["run_id"]
    return top["run_id"], inner["run_id"]


def test_a_run_is_shown_with_those_that_do_its_steps(outer):
    told = words(run(outer, "ab").out)
    top, inner = ids(outer)
    assert f"✓ nest inner.nest committed run {inner} ✓ succeeded" in told
    assert "✓ work worker.work" in told
    assert '"result": "AB", "copy": "ABAB"' in told
    shown = outer.run("show", "last", env=TERMINAL).out
    assert max(map(len, shown.splitlines())) <= 80
    assert f"run {top}" in words(shown)
    document = outer.json("show", top)
    [child] = document["children"]
    assert {name: child[name] for name in ("step", "attempt", "agent", "run_id", "status", "steps", "cost")} == {
        "step": "nest",
        "attempt": 1,
        "agent": "inner",
        "run_id": inner,
        "status": "succeeded",
        "steps": {"committed": 2},
        "cost": {"usd": 0.25, "tokens": 15, "calls": 2},
    }
    assert document["cost"] == {"usd": 0.25, "tokens": 15, "calls": 3}
    assert "parent" not in document


def test_a_run_that_does_a_step_says_of_which(outer):
    run(outer, "ab")
    top, inner = ids(outer)
    assert f"does step nest of run {top}" in outer.run("show", inner).out
    assert outer.json("show", inner)["parent"] == {"run_id": top, "step": "nest", "attempt": 1}


def test_the_list_names_the_run_above_and_leaves_those_below_out_where_that_is_asked_for(outer):
    run(outer, "ab")
    top, inner = ids(outer)
    lines = outer.run("runs").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [top, inner]
    assert lines[2].endswith(f"(of {top})")
    assert [row["run_id"] for row in outer.json("runs", "--top")["runs"]] == [top]


def test_what_a_nested_team_asks_is_answered_and_the_whole_goes_on(outer):
    told = words(run(outer, "ask", code=3).out)
    top, inner = ids(outer)
    assert f"interlock inbox show {inner}/work" in told
    assert f"nest: run {inner} waits: work asks: may I?" in told
    assert f"◷ nest inner.nest awaiting run {inner} ? parked" in told
    [question] = outer.json("inbox", "list")["questions"]
    assert (question["run_id"], question["parent"]) == (inner, top)
    assert f"does step nest of run {top}" in outer.run("inbox", "show", inner).out
    assert outer.json("inbox", "show", inner)["parent"] == top
    assert top in outer.run("inbox", "list").out
    ended = outer.run("inbox", "answer", inner, "--set", "first=yes")
    assert ended.code == 0, ended.err
    assert f"run {top} ✓ succeeded" in words(ended.out)
    assert '"copy": "YESYES"' in words(ended.out)
    assert outer.run("inbox", "list").out.strip() == "nothing waits for a person"


def test_more_of_the_day_of_the_outer_team_is_approved_where_the_inner_one_asks_for_it(outer):
    team = outer.folder / "outer.yaml"
    team.write_text(f"name: whole\n{OUTER}budget: {{day: {{calls: 1, when_spent: ask}}}}\n")
    run(outer, "go", code=3)
    top, inner = ids(outer)
    shown = words(outer.run("inbox", "show", inner).out)
    assert "team whole: its budget is 1 call a day, of which 0 calls are left" in shown
    assert "the daily budget of team whole: 1 call" in shown
    assert f"interlock inbox approve {inner} --more calls=1" in shown
    refused = outer.run("inbox", "approve", inner, "--more", "usd=1")
    assert (refused.code, "the budget doesn't bound usd" in refused.err) == (2, True)
    ended = outer.run("inbox", "approve", inner, "--more", "calls=9", "--by", "eve")
    assert (ended.code, f"run {top} ✓ succeeded" in words(ended.out)) == (0, True)
    assert "person:eve approves 9 calls more of the daily budget of team whole" in outer.run("replay", inner).out
    [day] = outer.json("breakers")["gates"]
    assert (day["team"], day["budget"]["calls"]["spent"], day["budget"]["calls"]["raised"]) == ("whole", 3, 9)


def test_more_of_its_share_is_approved_as_far_as_the_run_above_has_room(outer):
    team = outer.folder / "outer.yaml"
    share = "budget: {calls: 1, when_spent: ask}"
    bounded = OUTER.replace("    team: team.yaml", f"    team: team.yaml\n    {share}")
    team.write_text(f"{bounded}budget: {{calls: 4}}\n")
    run(outer, "go", code=3)
    top, inner = ids(outer)
    shown = words(outer.run("inbox", "show", inner).out)
    assert "budget its share of what the run above may consume: 1 call" in shown
    assert f"interlock inbox approve {inner} --more calls=1" in shown
    refused = outer.run("inbox", "approve", inner, "--more", "calls=4")
    lacks = "the run above: its budget is 4 calls, of which 3 calls are left"
    assert (refused.code, f"4 calls more can't be set aside for run {inner}: {lacks}" in words(refused.err)) == (
        2,
        True,
    )
    assert f"see what else may be done: interlock inbox show {inner}" in words(refused.err)
    ended = outer.run("inbox", "approve", inner, "--more", "calls=2", "--by", "eve", "--reason", "busy")
    assert (ended.code, f"run {top} ✓ succeeded" in words(ended.out)) == (0, True)
    assert f"person:eve approves 2 calls more for run {inner} (busy)" in words(outer.run("replay", top).out)
    told = "person:eve approves 2 calls more of its share of what the run above may consume (busy)"
    assert told in words(outer.run("replay", inner).out)


def test_a_failed_run_names_the_dead_letter_of_the_run_that_did_its_step(outer):
    told = run(outer, "fail", code=1).out
    top, inner = ids(outer)
    assert told.endswith(f"next\n  interlock dlq show {inner}/work\n  interlock retry {top} nest\n")


def test_a_step_that_another_run_does_waits_for_that_one(outer):
    (outer.folder / "outer.yaml").write_text(
        OUTER.replace("    team: team.yaml", "    team: team.yaml\n    timeout: 5d")
    )
    run(outer, "ask", code=3)
    top, inner = ids(outer)
    told = outer.run("inbox", "list").out
    assert "1 step waits for a time, an event or another run" in told
    assert f"  {top}/nest  run {inner} does it until 20" in told
    [wait] = outer.json("inbox", "list")["waits"]
    assert (wait["run_id"], wait["child"]) == (top, inner)


def test_what_is_done_by_a_run_that_waits_is_decided_there(outer):
    run(outer, "ask", code=3)
    top, inner = ids(outer)
    for verb in ("skip", "retry"):
        refused = outer.run(verb, top, "nest")
        assert (refused.code, f"run {inner} does it, and waits" in refused.err) == (2, True), refused.err
        assert f"interlock inbox show {inner}" in refused.err
        assert "it has not begun" in outer.run(verb, top, "copy").err


def test_an_answer_that_was_only_recorded_is_gone_on_with_later(outer):
    run(outer, "ask", code=3)
    top, inner = ids(outer)
    assert outer.run("inbox", "answer", inner, "--set", "first=yes", "--no-resume").code == 0
    assert outer.run("resume").code == 0
    assert outer.json("show", top)["status"] == "succeeded"
    assert "nothing to resume" in outer.run("resume").err


def test_nothing_to_resume_counts_those_at_the_top(outer):
    run(outer, "ask", code=3)
    assert "nothing to resume: 1 run parked" in outer.run("resume").err


@pytest.mark.parametrize("named", [(), ("top",), ("inner",)])
def test_a_killed_process_is_gone_on_with_and_nothing_done_is_done_again(outer, named):
    process = outer.start("run", "outer.yaml", "--input", outer.write("in.jsonl", "hold"))
    outer.until("waiting", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    outer.go()
    top, inner = ids(outer)
    ended = outer.run("resume", *({"top": top, "inner": inner}[name] for name in named))
    assert ended.code == 0, ended.err
    assert outer.json("show", top)["context"]["copy"] == "HOLDHOLD"
    assert [(run_id, step) for run_id, step, _ in outer.calls] == [(inner, "work"), (inner, "close"), (inner, "close")]


def test_a_team_that_changed_is_told_of_the_run_at_the_top(outer):
    run(outer, "ask", code=3)
    top, inner = ids(outer)
    (outer.folder / "outer.yaml").write_text(OUTER.replace("id: copy", "id: paste"))
    ended = outer.run("inbox", "answer", inner, "--set", "first=yes")
    assert ended.code == 2
    assert f"run {top} was started under another version of this team" in ended.err
    ended = outer.run("resume", inner, "--as-pinned")
    assert ended.code == 0, ended.err
    assert outer.json("show", top)["status"] == "succeeded"


def test_a_nested_team_that_fails_fails_its_step(outer):
    told = words(run(outer, "fail", code=1).out)
    _, inner = ids(outer)
    assert f"run {inner} ✗ failed" in told
    assert "✗ nest inner.nest dead run" in told
    assert told.count(f"run {inner} has failed") == 1


def mend(outer):
    agents = outer.folder / "agents.py"
    agents.write_text(agents.read_text().replace('if text == "fail":', 'if text == "never":'))


def letters(outer, *filters):
    return {one["run_id"]: one for one in outer.json("dlq", "list", *filters)["letters"]}


def test_a_letter_of_a_nested_team_says_of_which_other_it_is(outer):
    run(outer, "fail", code=1)
    top, inner = ids(outer)
    found = letters(outer)
    assert {run_id: one["above"] for run_id, one in found.items()} == {top: None, inner: f"{top}/nest"}
    of_step, of_nested = outer.run("dlq", "list").out.splitlines()
    assert of_step.startswith(f"{top}/nest  ✗ waits  inner  1 attempt  run {inner} has failed: work: ")
    assert of_nested.startswith(f"{inner}/work  ✗ waits  worker  2 attempts  (of {top}/nest) ")
    shown = outer.run("dlq", "show", inner).out
    assert f"so {top}/nest was given up as well: to redrive that tries this again, too" in shown
    assert f"interlock dlq redrive {top}/nest" in shown


@pytest.mark.parametrize("chosen", ["--all", "--agent=worker", "--agent=inner"])
def test_a_failure_in_a_nested_team_is_redriven_once_whichever_of_its_letters_is_meant(outer, chosen):
    run(outer, "fail", code=1)
    top, inner = ids(outer)
    mend(outer)
    ended = outer.run("dlq", "redrive", chosen)
    assert (ended.code, outer.json("show", top)["status"]) == (0, "succeeded"), ended.err
    assert {run_id: one["redriven"]["outcome"] for run_id, one in letters(outer).items()} == {
        top: "succeeded",
        inner: "succeeded",
    }
    assert len(outer.json("runs")["runs"]) == 2
    assert outer.json("show", top)["cost"]["calls"] == 5  # two that failed, and what a run takes that goes well
    assert "no dead letters wait" in outer.run("dlq", "redrive", "--all").err


def test_what_is_left_of_a_nested_run_whose_step_was_redriven_is_not_tried_for_nobody(outer):
    run(outer, "fail", code=1)
    top, inner = ids(outer)
    outer.run("dlq", "redrive", f"{inner}/work")  # in vain, and the letter of the step waits on
    mend(outer)
    assert outer.run("dlq", "redrive", f"{top}/nest").code == 0
    ended = outer.run("dlq", "redrive", "--all")
    assert (ended.code, "no dead letters wait" in ended.err) == (0, True), ended.err


def test_stats_count_what_a_nested_team_does_once(outer):
    run(outer, "ab")
    top, _ = ids(outer)
    for chosen in ((), (top,)):
        found = outer.json("stats", *chosen)
        assert found["runs"] == {"read": 1, "succeeded": 1, "nested": 1}
        assert {name: agent["attempts"] for name, agent in found["agents"].items()} == {
            "closer": 1,
            "last": 1,
            "worker": 1,
        }
        assert found["total"]["usd"] == 0.25
        assert found["total"]["per_run"]["usd"]["max"] == 0.25
        assert found["total"]["per_run"]["usd"]["count"] == 1
    assert "1 run ✓ 1 succeeded with 1 run of nested teams" in words(outer.run("stats").out)


def test_a_batch_has_those_that_do_its_steps_counted_with_it(outer):
    ended = outer.run("run", "outer.yaml", "--input", outer.write("in.jsonl", "ab", "cd"), "--json")
    assert [line["steps"] for line in ended.runs] == [{"committed": 2}] * 2
    batch = outer.json("runs", "--top")["runs"][0]["batch"]
    found = outer.json("stats", "--batch", batch)
    assert (found["runs"]["read"], found["runs"]["nested"], found["agents"]["worker"]["attempts"]) == (2, 2, 2)


# --- lists, and what moves ---------------------------------------------------------------------------------------


def row(run_id, parent=""):
    return RunRow(run_id, "running", "", "t", "p", "", "", 0, 1, 0, parent=parent)


def test_runs_stand_below_those_that_they_do_steps_of():
    rows = [row("b2", "b"), row("deep", "a1"), row("b1", "b"), row("b"), row("lost", "gone"), row("a1", "a"), row("a")]
    ordered, depths = _below(rows)
    assert [(one.run_id, depth) for one, depth in zip(ordered, depths, strict=True)] == [
        ("b", 0),
        ("b1", 1),
        ("b2", 1),
        ("lost", 1),
        ("a", 0),
        ("a1", 1),
        ("deep", 2),
    ]
    assert [_named(row("x"), depth) for depth in range(3)] == ["x", "└ x", "  └ x"]


def test_runs_that_stand_above_each_other_in_a_damaged_journal_are_listed_once():
    ordered, _ = _below([row("a", "b"), row("b", "a"), row("c")])
    assert sorted(one.run_id for one in ordered) == ["a", "b", "c"]


def test_what_moves_names_the_steps_of_nested_teams_after_the_step_they_do():
    line = StepsLine()
    start = e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p", parent=e.Parent("r", "nest", 1))
    line.happened("c", [start, e.AttemptStarted(1, "work", 1, "worker", "v")])
    line.happened("d", [msgspec.structs.replace(start, parent=e.Parent("c", "deep", 1))])
    line.happened("d", [e.AttemptStarted(1, "work", 1, "worker", "v")])
    assert str(line._status.status) == "0 steps done, running: nest > work, nest > deep > work"
