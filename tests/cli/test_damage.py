"""A damaged row of the journal is named by every command that meets it, and costs no other run anything."""

import signal

import apsw
import pytest

NO_TEXT = "CAST(x'ff41' AS TEXT)"


def edit(desk, statement):
    db = apsw.Connection(str(desk.folder / ".interlock" / "journal.db"))
    db.execute(statement)
    db.close()


def damaged(desk, text, statement):
    """Two runs of a team, both left behind by a process that was killed, or waiting; one of them damaged since."""
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", text, text), "--json")
    if text == "hang":
        desk.until("waiting", process)
        while len(desk.calls) < 2:  # both have begun
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    desk.finish(process)
    edit(desk, statement)
    rows = desk.json("runs")["runs"]
    return [row["run_id"] for row in sorted(rows, key=lambda row: row["run_id"])]


@pytest.mark.parametrize("column", ["started_us", "reason", "source"])
def test_what_is_damaged_is_left_alone_and_all_else_is_resumed(desk, column):
    ids = damaged(desk, "hang", f"UPDATE run SET {column} = {NO_TEXT} WHERE number = 1")
    (desk.folder / "agents.py").write_text((desk.folder / "agents.py").read_text().replace("sleep(600)", "sleep(0)"))
    ended = desk.run("resume", "--json")
    assert ended.code == 2, ended.err
    assert [run["status"] for run in ended.runs] == ["succeeded"]
    bad = next(run_id for run_id in ids if run_id != ended.runs[0]["run_id"])
    said = f"the journal is damaged: run.{column} of run {bad} is bytes, not a"
    assert said in ended.err
    assert "1 run left alone: damaged in the journal" in ended.err
    assert "Traceback" not in ended.err
    rows = {row["run_id"]: row.get("damage", "") for row in desk.json("runs")["runs"]}
    assert said in rows[bad]
    assert not rows[ended.runs[0]["run_id"]]
    listed = desk.run("runs")
    assert (listed.code, said in listed.out, "succeeded" in listed.out) == (0, True, True)
    for command in (["show", bad], ["resume", bad], ["cancel", bad], ["replay", bad]):
        one = desk.run(*command)
        assert (one.code, said in one.err, "restore it from a copy" in one.err) == (2, True, True), (command, one.err)
    assert desk.run("stats").code in {0, 1}


@pytest.mark.parametrize("column", ["due_us", "question", "attempt"])
def test_a_damaged_question_hides_no_other(desk, column):
    bad, good = damaged(desk, "ask", f"UPDATE question SET {column} = x'00' WHERE run = 1")
    said = f"the journal is damaged: question.{column} of run {bad}, step work, is bytes, not a"
    listed = desk.run("inbox", "list")
    assert (listed.code, said in listed.out, "may I?" in listed.out) == (0, True, True), listed.err
    shown = desk.run("inbox", "show", bad)
    assert (shown.code, said in shown.err, "Traceback" in shown.err) == (2, True, False)
    assert desk.run("inbox", "show", good).code == 0
    assert desk.run("resume").code == 0


@pytest.mark.parametrize("column", ["reason", "at_us", "attempts"])
def test_a_damaged_letter_hides_no_other(desk, column):
    bad, good = damaged(desk, "fail", f"UPDATE letter SET {column} = x'00' WHERE run = 1")
    said = f"the journal is damaged: letter.{column} of run {bad}, step work, is bytes, not a"
    listed = desk.run("dlq", "list")
    assert (listed.code, said in listed.out, good in listed.out) == (0, True, True), listed.err
    shown = desk.run("dlq", "show", bad)
    assert (shown.code, said in shown.err, "Traceback" in shown.err) == (2, True, False)
    assert desk.run("dlq", "show", good).code == 0
