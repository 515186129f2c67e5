"""`replay`, `explain` and `diff`: as processes on a journal of SQLite, and what they draw."""

import asyncio
import json
import re
import sqlite3
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from interlock import history
from interlock.cli import paint_call, paint_difference, paint_lineage, paint_replay, paint_run, replaying
from interlock.cli.config import Settings
from interlock.cli.journals import _row_and_events
from interlock.core import events as e
from interlock.ports import RunRow
from tests.history.runs import Noting, ran, step, tampered, team

SETTINGS = Settings("runs.db")
HOSTILE = "\x1b[2J\x9b31m\u202eevil"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def ask(desk):
    """A desk with one run for each of some texts, and their ids."""

    def asked(*texts):
        desk.run("run", ".", "--input", desk.write("in.jsonl", *texts), "--json")
        rows = desk.json("runs", "--limit", "0")["runs"]
        return [row["run_id"] for row in sorted(rows, key=lambda row: row["input"])]

    return asked


def tamper(desk, seq, change):
    """Change an event of the newest run in the journal's file."""
    with sqlite3.connect(desk.folder / ".interlock/journal.db") as db:
        [(data,)] = db.execute("SELECT data FROM event WHERE seq = ? ORDER BY run DESC LIMIT 1", (seq,)).fetchall()
        db.execute("UPDATE event SET data = ? WHERE seq = ? AND data = ?", (change(bytes(data)), seq, data))
    db.close()


# --- replay RUN ---


def test_a_run_is_listed_event_by_event(desk, ask):
    [run_id] = ask("hi")
    ended = desk.run("replay", run_id[:-1])
    assert ended.code == 0, ended.err
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert lines[0].startswith(f"run {run_id} ✓ succeeded 6 events · ")
    assert lines[1] == "✓ verified: 2 views, and every event follows from those before it"
    assert re.fullmatch(r"0 0\.000 s ▸ run started ▹ ready work", lines[3])
    assert re.fullmatch(r"2 \d\.\d{3} s ✓ work committed: wrote first ▹ ready close", lines[5])
    assert re.fullmatch(r"5 \d\.\d{3} s ✓ run succeeded", lines[8])


def test_the_events_of_a_run_as_json(desk, ask):
    [run_id] = ask("hi")
    told = desk.json("replay", "last")
    assert (told["run_id"], told["verified"], len(told["events"])) == (run_id, True, 6)
    assert told["events"][2] == {
        "seq": 2,
        "at": told["events"][2]["at"],
        "event": "attempt_committed",
        "step": "work",
        "attempt": 1,
        "writes": {"first": "hi"},
        "reads": ["text"],
        "usage": {"input_tokens": 10, "output_tokens": 5, "usd": 0.25},
        "moves": [
            {"step": "work", "from": "running", "to": "committed"},
            {"step": "close", "from": "waiting", "to": "ready"},
        ],
    }


def test_the_whole_state_after_an_event(desk, ask):
    ask("hi")
    ended = desk.run("replay", "last", "--at", "2")
    assert ended.code == 0, ended.err
    assert "▸ running  after event 2" in ended.out
    assert "▹ close" in ended.out
    assert '{"text": "hi", "first": "hi"}' in ended.out
    assert "15 tokens · $0.2500" in ended.out
    told = desk.json("replay", "last", "--at", "2")
    assert len(told["events"]) == 3
    assert told["state"]["context"] == {"text": "hi", "first": "hi"}
    assert {step["id"]: step["state"] for step in told["state"]["plan"]} == {"work": "committed", "close": "ready"}


NOT_THERE = [
    (["last", "--at", "6"], "has no event 6"),
    (["last", "--at", "-1"], "has no event -1"),
    (["last/work", "--at", "1"], "--at belongs to a whole run"),
    (["last/work/one"], "names neither a run nor a call"),
    (["last/work/1/2"], "names neither a run nor a call"),
    (["last//1"], "names neither a run nor a call"),
    (["/work"], "names neither a run nor a call"),
    (["nope"], "there is no run nope"),
    (["last/wrok"], "has no step wrok; did you mean work?"),
    (["last/work/2"], "has no attempt 2"),
]


def test_what_is_not_there_is_refused(desk, ask):
    ask("hi")
    for words, message in NOT_THERE:
        ended = desk.run("replay", *words)
        assert (ended.code, ended.out) == (2, ""), words
        assert message in ended.err
        assert "fix: " in ended.err
        assert "Traceback" not in ended.err


# --- a journal that was tampered with ---


def test_a_changed_view_hash_is_told_loudly_and_the_listing_goes_on(desk, ask):
    ask("hi")
    told = desk.json("replay", "last")["events"][3]
    tamper(desk, 3, lambda data: data.replace(told["view"].encode(), b"0" * 64))
    ended = desk.run("replay", "last")
    assert ended.code == 1
    message = f"event 3, step close: the view in the journal is {'0' * 64}, but its events give {told['view']}"
    assert message in ended.out
    assert ended.err.startswith("error: run ")
    assert message in ended.err
    assert "✓ run" in ended.out
    assert "verified" not in ended.out
    told = desk.json("replay", "last", code=1)
    assert not told["verified"]
    assert [event["seq"] for event in told["events"] if "mismatches" in event] == [3]


def test_a_journal_whose_last_event_was_deleted_is_not_verified(desk, ask):
    ask("hi")
    with sqlite3.connect(desk.folder / ".interlock/journal.db") as db:
        db.execute("DELETE FROM event WHERE seq = 5")
    db.close()
    ended = desk.run("replay", "last")
    assert ended.code == 1
    assert "verified" not in ended.out
    assert "1 event at odds with the rest of the journal, the first event 4" in ended.out
    assert "event 4: the listed status in the journal is succeeded, but its events give running" in ended.err
    assert not desk.json("replay", "last", code=1)["verified"]
    assert desk.run("replay", "last", "--at", "3").code == 0


def test_an_event_that_was_deleted_is_one_clear_error(desk, ask):
    ask("hi")
    with sqlite3.connect(desk.folder / ".interlock/journal.db") as db:
        db.execute("DELETE FROM event WHERE seq = 2")
    db.close()
    for words in (["replay", "last"], ["replay", "last/work"], ["show", "last"]):
        ended = desk.run(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "the journal is damaged: event 2 of run " in ended.err
        assert " is missing" in ended.err


def test_a_run_that_ends_while_it_is_read_is_read_of_one_moment():
    class Ending:
        """A journal in which the run ends between two questions."""

        def __init__(self):
            self.asked = []

        async def load(self, run_id):
            self.asked.append("load")
            return ["started", "finished"][: 1 + ("run" in self.asked)]

        async def run(self, run_id):
            self.asked.append("run")
            return row("succeeded")

    def row(status):
        return RunRow("r", status, "", "t", "p", "", "", 0, 1, 0)

    read = asyncio.run(_row_and_events(Ending(), row("running")))
    assert read == (row("succeeded"), ["started", "finished"])


def test_a_changed_write_is_found_in_the_call_that_saw_it(desk, ask):
    ask("hi")
    tamper(desk, 2, lambda data: data.replace(b'"first":"hi"', b'"first":"ho"'))
    ended = desk.run("replay", "last/close/1")
    assert ended.code == 1
    assert "✗ not what its agent was shown" in ended.out
    assert '"first": "ho"' in ended.out
    assert "but its events give" in ended.err
    told = desk.json("replay", "last/close", code=1)
    assert (told["verified"], told["mismatches"][0]["what"]) == (False, "view")
    assert desk.run("replay", "last/work").code == 0


def test_an_event_that_fits_nothing_is_one_clear_error(desk, ask):
    ask("hi")
    tamper(desk, 2, lambda data: data.replace(b'"step":"work"', b'"step":"else"'))
    for words in (["show", "last"], ["explain", "last", "text"], ["diff", "last", "last"], ["replay", "last/close"]):
        ended = desk.run(*words)
        assert ended.code == 1
        assert "event 2 can't follow from those before it" in ended.err
        assert "Traceback" not in ended.err
    listing = desk.run("replay", "last")
    assert (listing.code, "✓ run" in listing.out) == (1, True)


def test_an_event_that_is_no_json_is_one_clear_error(desk, ask):
    ask("hi")
    tamper(desk, 2, lambda data: data[:-1])
    for words in (["replay", "last"], ["show", "last"]):
        ended = desk.run(*words)
        assert ended.code == 2
        assert "the journal is damaged" in ended.err
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("at_us", [b"-1", b"9223372036854775807", b"1" + b"0" * 400])
def test_an_event_of_a_time_that_no_clock_says_is_one_clear_error(desk, ask, at_us):
    ask("hi")
    tamper(desk, 2, lambda data: re.sub(rb'"at_us":\d+', b'"at_us":' + at_us, data))
    for words in (["replay", "last"], ["replay", "last", "--json"], ["show", "last"]):
        ended = desk.run(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "the journal is damaged" in ended.err
        assert "`$.at_us`" in ended.err
        assert "Traceback" not in ended.err


def test_a_run_of_an_unknown_status_can_be_looked_at(desk, ask):
    ask("hi")
    with sqlite3.connect(desk.folder / ".interlock/journal.db") as db:
        db.execute("UPDATE run SET status = 'redriven'")
    db.close()
    for words, code in ((["runs"], 0), (["runs", "--json"], 0), (["replay", "last"], 1), (["replay", "last/work"], 0)):
        ended = desk.run(*words)
        assert ended.code == code, ended.err
        assert "Traceback" not in ended.err
    assert "! redriven" in desk.run("replay", "last").out


# --- replay RUN/STEP/ATTEMPT ---


def test_one_call_as_its_agent_saw_it(desk, ask):
    [run_id] = ask("overreach")
    first = desk.run("replay", f"{run_id}/work/1")
    assert first.code == 0, first.err
    out = " ".join(first.out.split())
    for part in (
        f"run {run_id} step work attempt 1 worker · event 1",
        f"job action work idempotency key {run_id}/work/1",
        "view ✓ view verified",
        '{"text": "overreach"}',
        "verdict ✗ refused after",
        "finding 1 worker may not write second",
        "had read text",
    ):
        assert part in out
    again = " ".join(desk.run("replay", "last/work").out.split())
    assert "feedback worker may not write second" in again
    assert "usage 15 tokens · $0.2500" in again


def test_one_call_as_json(desk, ask):
    [run_id] = ask("hi")
    told = desk.json("replay", "last/close")
    assert told == {
        "run_id": run_id,
        "step": "close",
        "attempt": 1,
        "agent": "closer",
        "at": told["at"],
        "duration_ms": told["duration_ms"],
        "seq": 3,
        "view": {"text": "hi", "first": "hi"},
        "view_hash": desk.json("replay", "last")["events"][3]["view"],
        "verified": True,
        "job": {
            "action": "close",
            "instructions": "",
            "feedback": [],
            "item": None,
            "index": None,
            "idempotency_key": f"{run_id}/close/1",
            "answer": "",
        },
        "reply": {"writes": {"second": "HI"}},
        "verdict": {"outcome": "committed"},
        "calls": 1,
        "reads": ["text", "first"],
    }


def test_a_call_that_was_lost_in_a_crash(desk):
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", "wait"))
    desk.until("waiting", process)
    process.kill()
    process.wait()
    desk.go()
    assert desk.run("resume").code == 0
    ended = desk.run("replay", "last/work/1")
    assert "called 2 times, because its driver was lost: this is the last call" in ended.out
    assert desk.json("replay", "last/work/1")["calls"] == 2
    assert "interrupted: the call was lost with its driver" in desk.run("replay", "last").out


# --- explain ---


def test_a_value_is_explained_back_to_the_request(desk, ask):
    [run_id] = ask("hi")
    ended = desk.run("explain", "last", "second")
    assert ended.code == 0, ended.err
    lines = [" ".join(line.strip("│└├─ ").split()) for line in ended.out.splitlines()]
    assert lines[:2] == [f"run {run_id} second", '"HI"']
    tree = [re.sub(r"\d+ ms", "T", line) for line in lines[lines.index("written by") + 1 :]]
    assert tree == [
        "close closer · attempt 1 · T",
        'second "HI"',
        "work worker · attempt 1 · T",
        'first "hi"',
        "request",
        'text "hi"',
        "request",
        'text "hi"',
    ]
    told = desk.json("explain", "last", "second")
    assert (told["run_id"], told["path"], told["value"]) == (run_id, "second", "HI")
    assert [origin["writer"] for origin in told["origins"]] == ["close", "request", "work"]
    assert told["origins"][0]["reads"] == ["text", "first"]


def test_a_path_that_is_not_there_is_refused(desk, ask):
    ask("hi")
    for path, message in (("secnod", "second"), ("a..b", "empty segment"), (HOSTILE, "near it")):
        ended = desk.run("explain", "last", path)
        assert (ended.code, ended.out) == (2, "")
        assert message in ended.err
        assert not UNSAFE.search(ended.err)


def test_paths_are_completed_and_nothing_fails(desk, ask, monkeypatch):
    from interlock.cli.replaying import paths_of

    monkeypatch.chdir(desk.folder)
    assert paths_of("last", "") == []
    ask("hi")
    assert paths_of("last", "se") == ["second"]
    assert paths_of("nope", "") == []


# --- diff ---


def test_equal_runs_and_different_ones(desk, ask):
    one, same, other = ask("hi", "hi", "ho")
    equal = desk.run("diff", one, same)
    assert equal.code == 0, equal.err
    assert "✓ no difference" in equal.out
    ended = desk.run("diff", one, other)
    assert ended.code == 1
    assert ended.err == ""
    out = " ".join(ended.out.split())
    assert '✗ the request they were asked for different things text a "hi" b "ho"' in out
    assert "· work it was shown something else text" in out
    told = desk.json("diff", one, other, code=1)
    assert told["root"] == {"kind": "request", "in": "request", "path": "text", "a": "hi", "b": "ho"}
    assert (told["equal"], told["same_team"], told["team"]) == (False, True, [])


def test_the_step_that_answered_otherwise_is_the_root(desk, ask):
    ask("hi")
    agents = desk.folder / "agents.py"
    agents.write_text(agents.read_text().replace('writes={"first": text}', 'writes={"first": "changed"}'))
    ask("hi")
    one, two = (row["run_id"] for row in desk.json("runs")["runs"])
    ended = desk.run("diff", two, one)
    assert ended.code == 1
    assert "✗ step work, attempt 1  same input, different answer" in ended.out
    assert desk.json("diff", two, one, code=1)["root"]["contrasts"] == [
        {"in": "writes", "path": "first", "a": "hi", "b": "changed"}
    ]


def test_two_versions_of_a_team_are_told_apart(desk, ask):
    ask("hi")
    team_file = desk.folder / "team.yaml"
    team_file.write_text(team_file.read_text().replace("retries: 1", "retries: 2"))
    ask("hi")
    one, two = (row["run_id"] for row in desk.json("runs")["runs"])
    ended = desk.run("diff", two, one)
    assert ended.code == 0
    assert "two versions of the team" in ended.out
    assert "agents.worker.retries: 1 -> 2" in ended.out


def test_bad_usage_is_refused(desk, ask):
    ask("hi")
    for words in (["diff", "last", "nope"], ["explain", "nope", "x"], ["explain", "last"], ["diff"]):
        assert desk.run(*words).code == 2, words


# --- what is drawn ---


class Drawn:
    """What the painters print, on a terminal of some width."""

    def __init__(self, monkeypatch, width, *, terminal=True):
        self.out = Console(width=width, force_terminal=terminal, no_color=True, highlight=False, file=StringIO())
        for module in (paint_replay, paint_call, paint_lineage, paint_difference, paint_run):
            monkeypatch.setattr(module, "console", lambda: self.out)

    @property
    def lines(self):
        return re.sub(r"\x1b\[[0-9;]*m", "", self.out.file.getvalue()).splitlines()

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture(params=[60, 80, 120])
def drawn(request, monkeypatch):
    return Drawn(monkeypatch, request.param)


def test_hostile_texts_move_no_cursor(drawn):
    import interlock as il

    agent = Noting(
        a=[{HOSTILE: HOSTILE}, il.Reply(writes={"out.a": {HOSTILE: HOSTILE}}, output=HOSTILE)],
        b=[RuntimeError(HOSTILE)],
        c=[il.Reply(ask=il.Question(HOSTILE, (HOSTILE,)))],
    )
    of = team(step("a", instructions=HOSTILE), step("b", "a", retries=0), step("c", "a"), retries=1)
    told = ran(of, agent, {"q": HOSTILE})
    other = ran(of, Noting(), {"q": "a"})
    paint_replay.show_moments(told, history.replay(told), SETTINGS)
    paint_replay.show_state(history.story(told), history.replay(told)[-1])
    for attempt in ("a", 1), ("a", 2), ("b", 1), ("c", 1):
        paint_call.show_call(told, history.handed(told, *attempt))
    paint_lineage.show_lineage(told, history.lineage(told, "out.a"))
    paint_difference.show_difference(history.compare(told, other), [HOSTILE])
    assert "evil" in drawn.text
    assert not UNSAFE.search(drawn.text)
    assert all(len(line) <= drawn.out.width for line in drawn.lines)


def test_injected_faults_are_shown(drawn):
    of = team(step("a"), retries=1, backoff="1ms")
    told = ran(of, Noting(a=[ValueError("no"), {"out.a": 1}]))
    told, _ = tampered(told, e.RunStarted, {"faults": "f" * 64})
    events = [*told.events[:2], e.FaultInjected(told.events[1].at_us, "a", 1, "timeout"), *told.events[2:]]
    told = msgspec.structs.replace(told, events=events)
    paint_run.show_story(history.story(told), SETTINGS)
    paint_replay.show_moments(told, history.replay(told), SETTINGS)
    paint_call.show_call(told, history.handed(told, "a", 1))
    assert "! faults were injected on purpose (ffffffffffff)" in drawn.text
    assert "ann  injected: timeout" in drawn.text
    assert "! a    injected: timeout" in drawn.text
    assert "started, with faults injected on purpose" in drawn.text
    assert "verified: 2 views" in drawn.text


def test_a_call_with_all_there_is_to_tell(drawn):
    import interlock as il

    reply = il.Reply(
        writes={"out.each-0": 1, "gone.0": il.DELETE},
        output={"why": "so"},
        confidence=0.25,
        usage=il.Usage(input_tokens=1, usd=0.5),
    )
    of = team(step("each", for_each="list", writes=["out.{step}", "gone.{index}"]), retries=1)
    told = ran(of, Noting(each=[{"": 1}, reply]), {"list": [{"name": "x"}], "gone": {"0": 1}})
    late = e.ReplyArrivedLate(told.events[-1].at_us, "each-0", 2)
    told = msgspec.structs.replace(told, events=[*told.events, late])
    paint_call.show_call(told, history.handed(told, "each-0"))
    out = " ".join(drawn.text.split())
    for part in (
        "feedback '' is not a dotted path",
        "index 0",
        'item {"name":"x"}',
        'reply {"out.each-0": 1}',
        'output {"why": "so"}',
        "deletes gone.0",
        "verdict ✓ committed after 0 ms",
        "late its reply came after that: charged, not used",
        "confidence 0.25",
    ):
        assert part in out
    paint_replay.show_moments(told, history.replay(told), SETTINGS)
    assert "became 1 item  ▹ ready each-0" in drawn.text
    assert "replied too late: charged, not used" in " ".join(drawn.text.split())


def test_what_guardrails_said_is_told_everywhere(drawn):
    def taste(draft):
        return 0.75 if "out.a" in draft.writes else "too dull"

    of = team(step("a", guardrails=[taste, "confidence"], threshold=0.4), retries=1)
    told = ran(of, Noting(a=[{}, {"out.a": 1}]))
    paint_call.show_call(told, history.handed(told, "a", 1))
    paint_call.show_call(told, history.handed(told, "a", 2))
    paint_replay.show_moments(told, history.replay(told), SETTINGS)
    paint_run.show_story(history.story(told), SETTINGS)
    out = " ".join(drawn.text.split())
    for part in (
        "feedback the reply has no confidence: give one, from 0 to 1 too dull",
        "score 0 (confidence 0 · taste 0)",
        "score 0.375 (confidence 0 · taste 0.75)",
        "refused with a score of 0: the reply has no confidence",
    ):
        assert part in out
    document = replaying.call_document("r", history.handed(told, "a", 1))
    assert document["verdict"]["scores"] == {"confidence": 0, "taste": 0}


def test_what_is_piped_is_not_padded_to_an_endless_width(monkeypatch):
    told = ran(team(step("a"), step("b", "a")))
    other = ran(team(step("a"), step("b", "a")), Noting(a=[{"out.a": "x" * 300}]))
    changed, _ = tampered(told, e.AttemptStarted, {"view": "0" * 64})
    piped = Drawn(monkeypatch, 10_000, terminal=False)
    paint_difference.show_difference(history.compare(told, other), ["retries: 1 -> 2"])
    paint_call.show_call(changed, history.handed(changed, "a"))
    paint_replay.show_moments(changed, history.replay(changed), SETTINGS)
    assert max(map(len, piped.lines)) < 400


def test_a_call_by_another_agent_than_was_due_is_told_beside_its_view(drawn):
    told, _ = tampered(ran(team(step("a"))), e.AttemptStarted, {"agent": "bob"})
    paint_call.show_call(told, history.handed(told, "a"))
    out = " ".join(drawn.text.split())
    assert "✓ view verified" in out
    assert "the call in the journal is of bob, attempt 1, but its events give of ann, attempt 1" in out


def test_the_middle_of_a_long_run_is_left_out_but_never_a_mismatch(monkeypatch):
    told, place = tampered(
        ran(team(*(step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(60)))),
        e.AttemptStarted,
        {"view": "0" * 64},
        nth=30,
    )
    monkeypatch.setattr(paint_replay, "EVENTS_SHOWN", 20)
    on_terminal = Drawn(monkeypatch, 100)
    paint_replay.show_moments(told, history.replay(told), SETTINGS)
    assert "101 events in the middle left out: pipe this to see all" in on_terminal.text
    assert f"event {place}, step s30: the view" in on_terminal.text
    piped = Drawn(monkeypatch, 100, terminal=False)
    paint_replay.show_moments(told, history.replay(told), SETTINGS)
    assert "left out" not in piped.text
    assert len(piped.lines) > 120


def test_a_large_lineage_is_bounded_and_says_how_much_is_left_out(monkeypatch):
    async def all_of_it(job):
        return {f"out.{job.step}": len(job.view.to_dict())}

    names = [f"s{n}" for n in range(40)]
    of = team(*(step(name, *names[:n]) for n, name in enumerate(names)))
    told = ran(of, Noting(**{name: [all_of_it] for name in names}), {"q": 1})
    monkeypatch.setattr(paint_lineage, "WRITERS_SHOWN", 10)
    drawn = Drawn(monkeypatch, 100)
    paint_lineage.show_lineage(told, history.lineage(told, "out.s39"))
    assert "31 writers further back left out: add --json for all of them" in drawn.text
    assert len(drawn.lines) < 200


def test_a_deep_lineage_ends_where_a_terminal_has_no_room(monkeypatch):
    def passing_on(n):
        async def answer(job):
            return {f"out.s{n}": job.view.get(f"out.s{n - 1}", 0)}

        return answer

    of = team(*(step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(30)))
    told = ran(of, Noting(**{f"s{n}": [passing_on(n)] for n in range(30)}))
    drawn = Drawn(monkeypatch, 80)
    paint_lineage.show_lineage(told, history.lineage(told, "out.s29"))
    assert "18 writers further back left out" in drawn.text


def test_a_long_difference_is_bounded(monkeypatch):
    of = team(*(step(f"s{n}") for n in range(60)))
    one, two = ran(of), ran(of, Noting(**{f"s{n}": [{f"out.s{n}": "x" * 500}] for n in range(60)}))
    drawn = Drawn(monkeypatch, 80)
    paint_difference.show_difference(history.compare(one, two), [f"change {n}" for n in range(20)])
    assert "and 19 more: add --json for all of them" in drawn.text
    assert "and 10 more changes" in drawn.text
    assert all(len(line) <= 80 for line in drawn.lines)


def test_a_difference_in_the_end_alone(monkeypatch):
    told = ran(team(step("a")))
    begun = msgspec.structs.replace(told, events=told.events[:-1])
    drawn = Drawn(monkeypatch, 80)
    found = history.compare(told, begun)
    paint_difference.show_difference(found, [])
    assert "only in how they ended" in drawn.text
    assert json.loads(msgspec.json.encode(found.to_dict()))["root"] is None
