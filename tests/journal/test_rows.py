"""Rows that somebody has edited, or a disk has damaged: each is named, and hides no other."""

import logging
from contextlib import closing

import apsw
import pytest

import interlock.core.events as e
from interlock.core.gate import Gate
from interlock.core.job import Question
from interlock.errors import JournalError
from interlock.journal.rows import WARNINGS_MAX, Warnings
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Letters, Request

from .conftest import opened
from .contract import BAD, GOOD, STARTED, TRIPPED, WAITS, buried, counted, ids, in_loop, open_batch, open_run, posting
from .contract import outcomes as told_to

NO_TEXT = "CAST(x'ff41' AS TEXT)"  # SQLite takes anything for text


def sql(path, statement):
    with closing(apsw.Connection(str(path))) as db:
        return db.execute(statement).fetchall()


async def two_runs(journal):
    """Runs `a` and `b`, each with a question, a dead letter and a request."""
    for run_id in ("a", "b"):
        await open_run(journal, run_id, e.QuestionAsked(2_000, "s", 1, Question("Refund?"), due_us=9_000), buried("d"))
        await journal.ask(Request(f"cancel-{run_id}", run_id, "cancel", "ann", "why"))


# --- runs, questions, dead letters, requests, batches ---

RUNS = [
    ("started_us", "'soon'", "run.started_us", "a text, not a whole number"),
    ("started_us", "1.5", "run.started_us", "a number with a fraction, not a whole number"),
    ("ended_us", "-1", "run.ended_us", "no time"),
    ("started_us", "9000000000000000000", "run.started_us", "no time"),
    ("batch_row", "x'00'", "run.batch_row", "bytes, not a whole number"),
    ("batch_row", "-1", "run.batch_row", "out of bounds"),
    ("reason", "x'00'", "run.reason", "bytes, not a text"),
    ("team", NO_TEXT, "run.team", "bytes, not a text"),
]


@pytest.mark.parametrize(("column", "value", "named", "is_what"), RUNS)
@in_loop
async def test_a_damaged_run_is_named_and_hides_no_other(path, caplog, column, value, named, is_what):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, f"UPDATE run SET {column} = {value} WHERE run_id = 'a'")
        message = f"the journal is damaged: {named} of run a is {is_what}"
        for ask in (journal.run, journal.claim):
            with pytest.raises(JournalError) as raised:
                await ask("a")
            assert raised.value.message == message
            assert raised.value.fix.startswith("restore it from a copy")
        for found in (await journal.runs(), await journal.claim()):
            assert sorted(ids(found)) == ["a", "b"]
            [damaged] = [row for row in found if row.damage]
            assert (damaged.run_id, damaged.reason, damaged.damage) == ("a", message, message)
        assert (await journal.run("b")).status == "running"
        assert len(await journal.load("a")) == 3
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [message]


@in_loop
async def test_a_run_without_a_name_is_left_out_of_lists(path, caplog):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, "UPDATE run SET run_id = x'ff' WHERE run_id = 'a'")
        assert ids(await journal.runs()) == ids(await journal.claim()) == ["b"]
    assert "run.run_id is bytes, not a text" in caplog.text


@pytest.mark.parametrize("owner", ["'nobody'", "1.5", "x'00'"])
@in_loop
async def test_a_run_whose_owner_is_nobody_holds_no_other_up(path, caplog, owner):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, f"UPDATE run SET owner = {owner} WHERE run_id = 'a'")
    async with opened(path) as journal:
        assert ids(await journal.claim()) == ["b"]
        with pytest.raises(JournalError, match=r"run\.owner of run a is .*, not a whole number"):
            await journal.claim("a")
        with pytest.raises(JournalError, match=r"run\.owner of run a is .*, not a whole number"):
            await journal.append("a", 3, [buried("e")])
        await journal.append("b", 3, [buried("e")])
    assert "run.owner of run a is" in caplog.text


@in_loop
async def test_a_run_whose_events_are_gone_takes_no_other(path):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, "DELETE FROM event WHERE run = 1")
        with pytest.raises(JournalError, match=r"event\.seq of run a is empty, not a whole number"):
            await journal.append("a", 3, [buried("e")])


@pytest.mark.parametrize(
    ("column", "value", "is_what"),
    [
        ("due_us", "'soon'", "a text, not a whole number"),
        ("asked_us", "x'00'", "bytes, not a whole number"),
        ("attempt", "1.5", "a number with a fraction, not a whole number"),
        ("question", "x'00'", "bytes, not a text"),
        ("question", NO_TEXT, "bytes, not a text"),
    ],
)
@in_loop
async def test_a_damaged_question_is_named_and_hides_no_other(path, column, value, is_what):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, f"UPDATE question SET {column} = {value} WHERE run = 1")
        message = f"the journal is damaged: question.{column} of run a, step s, is {is_what}"
        with pytest.raises(JournalError) as raised:
            await journal.questions("a")
        assert raised.value.message == message
        assert [one.run_id for one in await journal.questions("b")] == ["b"]
        found = {one.run_id: one for one in await journal.questions()}
        assert (found["a"].text, found["b"].text, found["b"].due_us) == (message, "Refund?", 9_000)


@pytest.mark.parametrize(
    ("column", "value", "is_what"),
    [
        ("reason", "x'00'", "bytes, not a text"),
        ("reason", NO_TEXT, "bytes, not a text"),
        ("at_us", "'then'", "a text, not a whole number"),
        ("attempts", "1.5", "a number with a fraction, not a whole number"),
        ("agent", "x'00'", "bytes, not a text"),
    ],
)
@in_loop
async def test_a_damaged_letter_is_named_and_hides_no_other(path, column, value, is_what):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, f"UPDATE letter SET {column} = {value} WHERE run = 1")
        message = f"the journal is damaged: letter.{column} of run a, step d, is {is_what}"
        with pytest.raises(JournalError) as raised:
            await journal.letters(Letters(run_id="a"))
        assert raised.value.message == message
        found = {one.run_id: one.reason for one in await journal.letters(Letters())}
        assert found == {"a": message, "b": "d is no good"}


@pytest.mark.parametrize("value", ["x'00'", NO_TEXT])
@pytest.mark.parametrize("column", ["by", "reason", "kind"])
@in_loop
async def test_a_damaged_request_is_not_taken_and_holds_no_other_up(path, caplog, column, value):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, f"UPDATE request SET {column} = {value} WHERE run_id = 'a'")
        assert [one.run_id for one in await journal._read(journal._store.news)] == ["b"]
        assert await journal.requests("a") == []
        assert [one.by for one in await journal.requests("b")] == ["ann"]
    assert f"request.{column} of run a is bytes, not a text" in caplog.text


@in_loop
async def test_a_damaged_batch_is_named_and_hides_no_other(path, caplog):
    async with opened(path) as journal:
        for batch_id in ("a", "b"):
            await open_batch(journal, 2, batch_id)
        sql(path, "UPDATE batch SET row_count = 'two' WHERE batch_id = 'a'")
        with pytest.raises(JournalError, match=r"batch\.row_count is a text, not a whole number"):
            await journal.batch("a")
        assert [batch.batch_id for batch in await journal.batches()] == ["b"]
    assert "batch.row_count is a text" in caplog.text


@pytest.mark.parametrize("data", ["5", "1.5", "'x'", NO_TEXT])
@in_loop
async def test_an_event_of_whatever_type_is_named_and_hides_no_run(path, data):
    async with opened(path) as journal:
        await two_runs(journal)
        sql(path, f"UPDATE event SET data = {data} WHERE run = 1 AND seq = 0")
        with pytest.raises(JournalError, match="event 0 of run a"):
            await journal.load("a")
        assert [(row.run_id, row.faults, row.damage) for row in await journal.runs()] == [("b", "", ""), ("a", "", "")]
        assert (await journal.load("b"))[0] == STARTED


# --- gates and notices ---


async def with_gates(journal):
    """Gates `a` and `b`: each has had a turn in which its breaker moved, and was told something since."""
    await open_run(journal)

    def turn(found):
        found[0].gate.ended, found[0].moved = 1, [TRIPPED]

    for number, name in enumerate(("a", "b")):
        await journal.at_gates([name], turn)
        await journal.append("r", 1 + number, [buried(name)], told=[(name, BAD), (name, GOOD)])


@pytest.mark.parametrize("state", ["x'00'", "'closed'", "5", NO_TEXT, """'{"ended":"many"}'"""])
@in_loop
async def test_a_damaged_gate_is_named_and_closes_no_other(path, caplog, state):
    async with opened(path) as journal:
        await with_gates(journal)
        sql(path, f"UPDATE gate SET state = {state} WHERE name = 'a'")
        with pytest.raises(JournalError, match=r"gate\.state of the gate a can't be read") as raised:
            await journal.at_gates(["a"], counted)
        assert "delete that row" in raised.value.fix
        assert await journal.at_gates(["b"], counted) == 1
        assert [name for name, _ in await journal.gates()] == ["b"]
        assert sql(path, "SELECT count(*) FROM told WHERE gate = 'a'") == [(2,)]  # nothing was folded
    assert "gate.state of the gate a can't be read" in caplog.text


@pytest.mark.parametrize("data", ["x'00'", "5", NO_TEXT, """'{"key":5}'"""])
@in_loop
async def test_an_outcome_that_cannot_be_read_is_that_of_a_lost_call(path, caplog, data):
    async with opened(path) as journal:
        await with_gates(journal)
        sql(path, f"UPDATE told SET data = {data} WHERE number = 1")
        assert await journal.at_gates(["a"], told_to) == [GOOD]
    assert "told.data of the gate a can't be read" in caplog.text
    assert "it is left out" in caplog.text


@in_loop
async def test_a_move_that_cannot_be_read_is_left_out(path, caplog):
    async with opened(path) as journal:
        await with_gates(journal)
        sql(path, "UPDATE moved SET data = 5 WHERE number = 1")
        found = dict(await journal.gates())
        assert (found["a"].moved, found["b"].moved, found["a"].gate) == ([], [TRIPPED], Gate(ended=1))
    assert "moved.data of the gate a can't be read" in caplog.text


@pytest.mark.parametrize("data", ["x'00'", "5", NO_TEXT, """'{"kind":"gossip"}'"""])
@in_loop
async def test_a_notice_that_cannot_be_read_holds_no_other_up(path, caplog, data):
    async with opened(path) as journal:
        asks = [e.QuestionAsked(2_000, "s", 1, Question("Refund?"))]
        await open_run(journal)
        await journal.append("r", 1, asks, posting=posting(WAITS, WAITS))
        sql(path, f"UPDATE notice SET data = {data} WHERE number = 1")
        assert [one.number for one in await journal.take_notices("t", "slack", 0, 1_000_000, 9)] == [2]
    assert "notice.data of notice 1 can't be read" in caplog.text


# --- what is logged ---


def test_what_is_left_out_is_logged_once_and_not_without_end(caplog):
    caplog.set_level(logging.WARNING)
    warnings = Warnings()
    for number in (1, 1, *range(2, WARNINGS_MAX + 100)):
        warnings.warn(f"row {number}")
    assert len(caplog.records) == WARNINGS_MAX


def test_a_journal_of_this_version_reads_what_it_wrote(path):
    """Nothing here is taken for damaged that isn't."""

    @in_loop
    async def main():
        journal = SqliteJournal(path)
        await two_runs(journal)
        found = (await journal.runs(), await journal.questions(), await journal.letters(Letters()))
        await journal.close()
        assert [len(rows) for rows in found] == [2, 2, 2]
        assert not any(row.damage for row in found[0])

    main()
