"""A damaged row of the journal stops its own run at most: the engine and all other runs go on."""

import asyncio
from contextlib import closing

import apsw
import pytest

import interlock as il
from interlock.errors import JournalError, RunInterrupted
from interlock.testing.simulation.disks import SlowSqliteJournal
from tests import virtual

from .stage import Ann, chain, engine, step, team

NO_TEXT = "CAST(x'ff41' AS TEXT)"
WAIT = {"deadline": "1h", "then": "default", "default": {"out.s0": "none"}}


def edit(path, statement):
    with closing(apsw.Connection(str(path))) as db:
        db.execute(statement)


def stored(path):
    """A journal in a file, in virtual time."""
    return SlowSqliteJournal(path, None, lambda *_: None, [])


async def asking(job):
    return il.Reply(ask=il.Question("may I?"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.mark.parametrize("column", ["due_us", "asked_us", "question"])
def test_a_damaged_question_leaves_the_deadlines_of_others(path, column):
    async def main():
        async with engine(team(step("s0", escalate=WAIT)), asking, journal=stored(path)) as running:
            await running.run({}, run_id="bad")
            await running.run({}, run_id="good")
            edit(path, f"UPDATE question SET {column} = {NO_TEXT} WHERE run = 1")
            await asyncio.sleep(3_700)
            await virtual.until(lambda: running.in_flight == 0)
            return [(row.run_id, row.status) for row in await running.journal.runs()]

    statuses = dict(virtual.run(main()))
    assert statuses["good"] == "succeeded"
    # Where only its deadline can be read, that is kept.
    assert statuses["bad"] == ("parked" if column == "due_us" else "succeeded")


@pytest.mark.parametrize("column", ["started_us", "batch_row", "reason"])
def test_a_damaged_run_is_told_when_all_others_are_resumed(path, column):
    async def main():
        async with engine(chain(1), Ann(s0=60), journal=stored(path)) as running:
            begun = [asyncio.create_task(running.run({}, run_id=run_id)) for run_id in ("bad", "good")]
            await asyncio.sleep(1)
        await asyncio.wait(begun)
        assert all(isinstance(task.exception(), RunInterrupted) for task in begun)
        edit(path, f"UPDATE run SET {column} = {NO_TEXT} WHERE run_id = 'bad'")
        ended = []
        async with engine(chain(1), journal=stored(path)) as running:
            with pytest.raises(JournalError, match=rf"the journal is damaged: run\.{column} of run bad is") as raised:
                ended += [run.run_id async for run in running.resume()]
            again = await running.run({}, run_id="new")
        return raised.value.fix, again.status

    fix, status = virtual.run(main())
    assert fix.startswith("restore it from a copy")
    assert status == "succeeded"


def test_a_damaged_gate_stops_the_runs_that_need_it_and_no_other(path):
    async def main():
        ann = il.Agent("ann", scope=il.Scope(["act"], ["q"], ["out.s0"]), rate={"requests": "60/min"})
        bob = il.Agent("bob", scope=il.Scope(["act"], ["q"], ["out.s1"]))
        steps = [step("s0", when={"path": "q", "op": "exists"}), step("s1", agent="bob")]
        of = il.Team([ann, bob], il.Plan(steps))
        async with engine(of, journal=stored(path)) as running:
            first = await running.run({"q": 1})
            edit(path, "UPDATE gate SET state = 'closed'")
            with pytest.raises(JournalError, match=r"gate\.state of the gate /ann can't be read"):
                await running.run({"q": 1}, run_id="held")
            other = await running.run({})
            edit(path, "DELETE FROM gate")
            mended = await running.resume_run("held")
            return first.status, other.status, mended.status

    assert virtual.run(main()) == ("succeeded", "succeeded", "succeeded")


@pytest.mark.parametrize("column", ["by", "reason", "body"])
def test_a_damaged_request_leaves_its_run_and_others_alone(path, column):
    async def main():
        journal = stored(path)
        async with engine(team(step("s0")), asking, journal=journal) as running:
            await running.run({}, run_id="bad")
            await running.run({}, run_id="good")
            insert = "INSERT INTO request (request_id, run_id, kind, by, reason, body) VALUES"
            edit(path, f"{insert} ('1', 'bad', 'decide', 'eve', '', x''), ('2', 'good', 'decide', 'eve', '', x'')")
            edit(path, f"UPDATE request SET {column} = {NO_TEXT} WHERE run_id = 'bad'")
            for run_id in ("bad", "good"):
                await running.decide(run_id, "s0", "write", writes={"out.s0": 1}, by="ann")
            return [row.status for row in await running.journal.runs()]

    assert virtual.run(main()) == ["succeeded", "succeeded"]
