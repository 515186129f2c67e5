"""The inbox: what waits is listed and shown, and what a person decides is taken, recorded and gone on with."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from interlock.cli.app import app
from interlock.cli.inbox import completions

ASKING = """

async def ask(job):
    note(job)
    if job.answer:
        return {"first": job.answer}
    return il.Reply(ask=il.Question(text=f"{job.step}: may I?", choices=("yes", "no") if job.step == "pick" else ()))
"""


def replace(desk, before, after):
    """Change what the agents do."""
    agents = desk.folder / "agents.py"
    text = agents.read_text()
    assert before in text
    agents.write_text(text.replace(before, after))


def asked(desk):
    """A run that waits; its id."""
    replace(desk, '    text = job.view["text"]\n', '    text = job.answer or job.view["text"]\n')
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "ask"), "--json")
    assert ended.code == 3, ended.err
    return ended.runs[0]["run_id"]


def two_questions(desk):
    """A run with two steps that ask."""
    team = """\
agents:
  one: {allowed_actions: [ask], context_access: [text], write_permissions: [first], use: "agents:ask"}
  two: {allowed_actions: [ask], context_access: [text], write_permissions: [second], use: "agents:ask"}
plan:
  - phase: both
    steps: [{id: free, agent: one, action: ask}, {id: pick, agent: two, action: ask}]
"""
    return desk.parked(team, ASKING)


def test_an_empty_inbox_says_so(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a"))
    assert desk.run("inbox", "list").out == "nothing waits for a person\n"
    assert desk.json("inbox", "list") == {"questions": [], "total": 0}
    assert desk.run("inbox", "list", "--journal", "none.db").code == 2


def test_what_waits_is_listed(desk):
    run_id = asked(desk)
    listed = desk.json("inbox", "list")
    [question] = listed["questions"]
    assert (question["run_id"], question["step"], question["question"]) == (run_id, "work", "may I?")
    assert (question["due"], question["source"]) == (None, str(desk.folder / "team.yaml"))
    out = desk.run("inbox", "list").out
    assert f"{run_id} " in out
    assert "may I?" in out


def test_a_question_is_shown_with_what_its_agent_saw_and_what_may_be_done(desk):
    run_id = asked(desk)
    out = desk.run("inbox", "show", "last").out
    for text in (
        "may I?",
        '"text": "ask"',
        "view verified",
        "answer, retry, reject",
        f"inbox answer {run_id} 'TEXT' --attempt 1\n",
    ):
        assert text in out
    document = desk.json("inbox", "show", run_id[:20])
    assert document["allowed"] == ["answer", "write", "retry", "reject"]
    assert document["writes"] == ["first"]
    assert document["call"]["view"] == {"text": "ask"}
    assert document["call"]["verified"]


def test_an_answer_goes_to_the_agent_and_the_run_goes_on_to_its_end(desk):
    run_id = asked(desk)
    ended = desk.run("inbox", "answer", run_id, "yes", "--by", "eve", "--reason", "why not", "--json")
    assert ended.code == 0, ended.err
    assert f"person:eve has decided about work of run {run_id}" in ended.err
    [run] = ended.runs
    assert (run["status"], run["context"]["second"]) == ("succeeded", "YES")
    assert [call[1:] for call in desk.calls] == [("work", "1"), ("work", "2"), ("close", "1")]
    assert desk.json("explain", run_id, "first")["origins"][0]["told_by"] == ["person:eve"]
    assert "worker · attempt 2 · " in desk.run("explain", run_id, "first").out
    [first, *_] = desk.json("show", run_id)["attempts"]
    decided = first["decided"]
    del decided["at"]
    assert decided == {"by": "person:eve", "decision": "answer", "text": "yes", "reason": "why not"}
    assert "person:eve: answer: yes (why not)" in desk.run("show", run_id).out
    assert "person:eve answers: yes (why not)" in desk.run("replay", run_id).out
    assert desk.json("replay", f"{run_id}/work/2")["job"]["answer"] == "yes"


STALE = [
    ["answer", "last", "no"],
    ["answer", "last", "--set", "first=1"],
    ["retry", "last"],
    ["approve", "last"],
    ["edit", "last", "--set", "first=1"],
    ["reject", "last"],
]


def test_who_has_read_another_question_decides_nothing(desk):
    run_id = asked(desk)
    assert desk.run("inbox", "answer", run_id, "ask", "--attempt", "1", "--by", "eve").code == 3
    for words in STALE:
        ended = desk.run("inbox", *words, "--attempt", "1", "--by", "bob")
        assert ended.code == 2
        assert "person:eve has decided about that, and it has asked anew" in ended.err
    assert desk.run("inbox", "answer", run_id, "yes", "--attempt", "2").code == 0


def test_what_a_person_writes_is_explained_as_theirs(desk):
    run_id = asked(desk)
    ended = desk.run("inbox", "answer", run_id, "--set", "first=by hand", "--by", "eve", "--json")
    assert ended.code == 0, ended.err
    assert ended.runs[0]["context"] == {"text": "ask", "first": "by hand", "second": "BY HAND"}
    assert desk.json("explain", run_id, "first")["origins"][0]["agent"] == "person:eve"
    assert "person:eve" in desk.run("explain", run_id, "first").out


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["--set", 'first={"a": [1]}'], {"a": [1]}),
        (["--set", "first=a=b"], "a=b"),
        (["--writes", "writes.json"], {"from": "a file"}),
        (["--writes", "-"], "piped"),
    ],
)
def test_writes_are_given_in_many_ways(desk, words, first):
    run_id = asked(desk)
    (desk.folder / "writes.json").write_text('{"first": {"from": "a file"}}')
    ended = desk.run("inbox", "answer", run_id, *words, "--no-resume", "--json", stdin='{"first": "piped"}')
    assert ended.code == 0, ended.err
    assert desk.json("show", run_id)["context"]["first"] == first


REFUSED = [
    (["answer", "last"], "an answer is a text"),
    (["answer", "last", "--set", "second=1"], "worker may not write second; it may write first"),
    (["answer", "last", "--set", "first"], "--set 'first' is no PATH=VALUE"),
    (["answer", "last", "hm", "--set", "first=1"], "a text goes to the agent"),
    (["answer", "last", "--writes", "none.json"], "can't be read"),
    (["answer", "last", "--writes", "list.json"], "list.json holds no writes"),
    (["answer", "last", "--writes", "bad.json"], "bad.json:1: this is not JSON"),
    (["answer", "last", "yes", "--by", "\n"], "can't be recorded as who decides"),
    (["approve", "last"], "there is no refused reply to approve"),
    (["edit", "last", "--set", "first=1"], "there is no refused reply to edit"),
    (["retry", "last/close"], "asks nothing"),
    (["retry", "nobody"], "there is no run nobody"),
]


def test_what_can_not_be_done_is_told_and_the_question_stays_open(desk, monkeypatch, capsys):
    asked(desk)
    (desk.folder / "list.json").write_text("[1, 2]")
    (desk.folder / "bad.json").write_text("{")
    monkeypatch.chdir(desk.folder)
    for words, said in REFUSED:
        with pytest.raises(SystemExit) as ended:
            app(["inbox", *words])
        err = capsys.readouterr().err
        assert (ended.value.code, said in err) == (2, True), err
    assert desk.json("inbox", "list")["total"] == 1


def test_a_run_that_was_cancelled_has_no_question(desk):
    run = asked(desk)
    assert desk.run("cancel", run).code == 0
    ended = desk.run("inbox", "show", run)
    assert (ended.code, f"run {run} has no question to a person: it was cancelled" in ended.err) == (2, True), ended.err


def test_the_second_decision_is_told_who_was_first(desk):
    run_id = asked(desk)
    assert desk.run("inbox", "reject", run_id, "--reason", "fraud", "--by", "eve").code == 0
    ended = desk.run("inbox", "answer", run_id, "yes", "--by", "bob")
    assert ended.code == 2
    assert f"run {run_id} has no question to a person: it has failed" in ended.err
    assert desk.json("show", run_id)["reason"] == "work: rejected by person:eve: fraud"


def test_last_decides_nothing_where_it_may_be_another_than_was_seen(desk):
    desk.run("run", ".", "-i", desk.write("in.jsonl", "ask", "ask"))
    names = [one["run_id"] for one in desk.json("inbox", "list")["questions"]]
    assert desk.run("inbox", "show", "last").code == 0
    ended = desk.run("inbox", "answer", "last", "yes")
    assert ended.code == 2
    said = "'last' may be another question than the one you have seen: 2 questions wait: "
    assert said in ended.err
    assert all(name in ended.err for name in names)
    assert desk.json("inbox", "list")["total"] == 2


def test_several_questions_of_one_run_are_named_with_their_step(desk):
    run_id = two_questions(desk)
    assert f"inbox show {run_id}/pick" not in desk.run("inbox", "show", f"{run_id}/free").out
    ended = desk.run("inbox", "answer", run_id, "yes")
    assert ended.code == 2
    assert f"2 questions of run {run_id} wait: free, pick" in ended.err
    assert f"fix: say which: {run_id}/free" in ended.err
    ended = desk.run("inbox", "answer", f"{run_id}/pick", "maybe")
    assert (ended.code, "is none of the choices: yes, no" in ended.err) == (2, True)
    ended = desk.run("inbox", "answer", f"{run_id}/pick", "--set", "second=1")
    assert ended.code == 3
    assert [one["step"] for one in desk.json("inbox", "list")["questions"]] == ["free"]
    assert desk.run("inbox", "retry", run_id, "just do it").code == 3  # advice answers nothing: it asks again
    assert desk.run("inbox", "answer", run_id, "just do it").code == 0


def test_without_resuming_the_decision_is_recorded_and_resume_goes_on(desk):
    run_id = asked(desk)
    ended = desk.run("inbox", "answer", run_id, "yes", "--no-resume")
    assert (ended.code, ended.err) == (0, "")
    assert f"it is running; go on with it: interlock resume {run_id}" in ended.out
    assert desk.json("inbox", "list")["total"] == 0
    assert len(desk.calls) == 1
    assert desk.run("resume").code == 0
    assert desk.json("show", run_id)["status"] == "succeeded"


SERVICE = """
import asyncio, interlock as il

async def main():
    async with il.Orchestrator(il.Team.load("team.yaml"), journal="runs.db") as orchestrator:
        run = await orchestrator.run({"text": "ask"}, run_id="served")
        print(run.status, flush=True)
        while (await orchestrator.journal.run("served")).status != "succeeded":
            await asyncio.sleep(0.05)

asyncio.run(main())
"""


def test_a_living_engine_that_owns_the_run_goes_on_with_it(desk):
    asked(desk)
    (desk.folder / "service.py").write_text(SERVICE)
    command = [sys.executable, "service.py"]
    with subprocess.Popen(command, cwd=desk.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "parked\n"
        row = desk.json("inbox", "answer", "served", "yes", "--no-resume", "--journal", "runs.db")
        assert row["status"] in {"running", "succeeded"}
        assert process.wait(30) == 0


def test_a_run_whose_team_has_moved_is_decided_about_and_the_mend_is_named(desk):
    run_id = asked(desk)
    (desk.folder / "team.yaml").rename(desk.folder / "moved.yaml")
    ended = desk.run("inbox", "answer", run_id, "yes")
    assert ended.code == 2
    assert (
        f"the decision is recorded, but the run can't go on here; when it can: interlock resume {run_id}" in ended.err
    )
    assert desk.run("resume", run_id, "--team", "moved.yaml").code == 0


def test_a_kill_after_the_decision_loses_nothing(desk):
    run_id = asked(desk)
    closing = "async def close(job):\n    note(job)\n"
    replace(desk, closing, closing + "    (HERE / 'waiting').touch()\n    await reached('go')\n")
    process = desk.start("inbox", "answer", run_id, "yes")
    desk.until("waiting", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    desk.go()
    assert desk.run("resume").code == 0
    assert [call[1:] for call in desk.calls] == [("work", "1"), ("work", "2"), ("close", "1"), ("close", "1")]


def test_a_batch_names_the_inbox(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a"))
    controller, terminal = pty.openpty()
    process = desk.start("run", ".", "--input", desk.write("two.jsonl", "ask", "a"), stdout=terminal)
    os.close(terminal)
    said = b""
    while b"inbox list" not in said:
        part = os.read(controller, 4_096)
        assert part
        said += part
    assert desk.finish(process).code == 3
    os.close(controller)


def test_completion_offers_what_waits(desk, monkeypatch):
    run_id = asked(desk)
    monkeypatch.chdir(desk.folder)
    assert completions(run_id[:5]) == [(run_id, "may I?")]
    assert completions("zzz") == []
    monkeypatch.chdir(desk.folder.parent)
    assert completions("") == []


def test_what_agents_ask_can_not_control_the_terminal(desk):
    replace(desk, 'text="may I?"', 'text="may \\x1b[2J I?"')
    asked(desk)
    for words in (["list"], ["show", "last"]):
        assert "\x1b" not in desk.run("inbox", *words).out
    assert json.loads(desk.run("inbox", "list", "--json").out)["questions"][0]["question"] == "may \x1b[2J I?"


def test_what_agents_ask_is_no_markup(desk):
    replace(desk, 'text="may I?"', 'text="[bold]may[/red] I?"')
    asked(desk)
    for words in (["list"], ["show", "last"]):
        assert "[bold]may[/red] I?" in desk.run("inbox", *words).out


ESCALATED = """\
agents:
  worker:
    allowed_actions: [work]
    context_access: [text]
    write_permissions: [first]
    use: agents:work
    retries: 0
    schema: {properties: {first: {type: integer}}}
    escalate: {deadline: DEADLINE, then: default, default: {first: 0}}
plan:
  - {id: work, agent: worker, action: work}
"""


def escalated(desk, deadline="9d"):
    (desk.folder / "team.yaml").write_text(ESCALATED.replace("DEADLINE", deadline))
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "five"), "--json")
    assert ended.code == 3, ended.err
    return ended.runs[0]["run_id"]


def test_a_refused_reply_is_shown_with_its_findings_and_edited(desk):
    run_id = escalated(desk)
    out = desk.run("inbox", "show", run_id).out
    for text in ("why a person is needed", "until ", " d ", '"first": "five"', "Expected `int`, got `str`"):
        assert text in out
    document = desk.json("inbox", "show", run_id)
    assert document["allowed"] == ["approve", "edit", "write", "retry", "reject"]
    assert document["reply_to_approve"] == {"first": "five"}
    assert document["due"] is not None
    assert "Expected `int`" in desk.run("inbox", "approve", run_id).err
    ended = desk.run("inbox", "edit", run_id, "--set", "first=5", "--json")
    assert (ended.code, ended.runs[0]["context"]["first"]) == (0, 5)


def test_what_is_overdue_takes_the_declared_way_at_resume(desk):
    run_id = escalated(desk, "10ms")
    assert "overdue" in desk.run("inbox", "show", run_id).out
    ended = desk.run("resume", "--json")
    assert (ended.code, ended.runs[0]["context"]["first"]) == (0, 0)
    assert desk.json("explain", run_id, "first")["origins"][0]["agent"] == "default"
    assert "nobody has answered in time; the default is taken" in desk.run("replay", run_id).out


PAYING = """

def pay(payload, idempotency_key):
    raise OSError("the line broke")

async def buy(job):
    return il.Reply(writes={"first": 1}, effects=[il.Effect("pay", {"usd": 5})])
"""


def unsure(desk, on_unknown="ask"):
    """A run of which nobody knows whether it has paid; its id."""
    (desk.folder / "team.yaml").write_text(f"""\
effects:
  pay: {{use: "agents:pay", on_unknown: {on_unknown}}}
agents:
  one: {{allowed_actions: [buy, pay], context_access: [text], write_permissions: [first], use: "agents:buy"}}
plan:
  - {{id: work, agent: one, action: buy}}
""")
    agents = desk.folder / "agents.py"
    agents.write_text(agents.read_text() + PAYING)
    return desk.run("run", ".", "--input", desk.write("in.jsonl", "x"), "--json").runs[0]["run_id"]


def test_what_became_of_an_effect_is_shown_with_its_choices_and_answered(desk):
    unsure(desk)
    shown = desk.json("inbox", "show", "last")
    assert (shown["allowed"], shown["choices"][0]) == (["answer", "reject"], "it was performed")
    assert shown["call"]["attempt"] == 1
    out = desk.run("inbox", "show", "last").out
    assert "nobody knows whether its effect pay was performed" in out
    assert "--set" not in out
    assert desk.run("inbox", "answer", "last", "--set", "first=2").code == 2

    ended = desk.run("inbox", "answer", "last", "it was performed", "--json")
    assert ended.code == 0, ended.err


def test_a_fork_that_asks_before_it_calls_anybody_is_shown(desk):
    unsure(desk, on_unknown="fail")
    forked = desk.run("dlq", "redrive", "last", "--set", "text=other", "--json")
    assert forked.code == 3, forked.err
    shown = desk.json("inbox", "show", "last")
    assert (shown["step"], shown["attempt"], shown["allowed"]) == ("work", 0, ["answer", "reject"])
    assert desk.run("inbox", "show", "last").code == 0


def spent(desk, budget):
    """A run whose second step needs more of the budget of all; its id."""
    team = desk.folder / "team.yaml"
    team.write_text(f"{team.read_text()}budget: {budget}\n")
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "five"), "--json")
    assert ended.code == 3, ended.err
    return ended.runs[0]["run_id"]


def test_a_spent_budget_is_shown_and_raised(desk):
    run_id = spent(desk, "{calls: 1, when_spent: ask}")
    out = desk.run("inbox", "show", run_id).out
    for text in ("more of a budget is needed", "the budget of the run: 1 call\n", "consumed by", "work · worker"):
        assert text in out
    assert f"inbox approve {run_id} --more calls=1" in out
    document = desk.json("inbox", "show", run_id)
    assert document["allowed"] == ["approve", "write", "retry", "reject"]
    assert document["budget"]["spent"] == {"usd": 0.25, "tokens": 15, "calls": 1}
    for words, said in (
        ((), "it isn't said how much more of the budget is approved"),
        (("--more", "usd=1"), "the budget doesn't bound usd"),
        (("--more", "calls=many"), "--more 'calls=many' is no amount"),
        (("--more", "calls=-1"), "calls is not a whole number of more than 0"),
        (("--more", "calls=100", "--more", "calls=1"), "--more says twice how much more calls"),
    ):
        refused = desk.run("inbox", "approve", run_id, *words)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    assert "approve --more, answer --set, retry, reject" in out
    for words in (("answer", run_id, "yes"), ("approve", run_id)):
        refused = desk.run("inbox", *words)
        assert f"approve more of it: interlock inbox approve {run_id} --more calls=1\n" in refused.err
    ended = desk.run("inbox", "approve", run_id, "--more", "calls=1", "--by", "eve", "--json")
    assert (ended.code, ended.runs[0]["context"]["second"]) == (0, "FIVE")
    assert "person:eve approves 1 call more of the budget of the run" in desk.run("replay", run_id).out


def test_a_daily_budget_is_raised_for_today(desk):
    run_id = spent(desk, "{day: {calls: 1, when_spent: ask}}")
    assert "consumed in this run by" in desk.run("inbox", "show", run_id).out
    assert desk.run("inbox", "approve", run_id, "--more", "calls=3").code == 0
    [gate] = desk.json("breakers")["gates"]
    assert gate["budget"]["calls"] == {"limit": 1, "spent": 2, "reserved": 0, "left": 2, "raised": 3}
    assert "1 + 3 calls" in desk.run("breakers").out
    desk.run("run", ".", "--input", "in.jsonl")
    ended = desk.run("run", ".", "--input", "in.jsonl", "--json")
    shown = desk.run("inbox", "show", ended.runs[0]["run_id"]).out
    assert "the team's daily budget: 4 calls" in shown
    budget = desk.json("inbox", "show", ended.runs[0]["run_id"])["budget"]
    assert (budget["limits"], budget["spent"]["calls"]) == ({"calls": 4}, 4)
