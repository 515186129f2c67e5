"""One journal file and several processes, which are killed, race, and hold locks."""

import random
from contextlib import ExitStack

import pytest

import interlock.core.events as e
from interlock.errors import JournalError
from interlock.journal import failures

from .conftest import opened
from .contract import CANCEL, ENDED, OPENING, STARTED, attempt, ids, in_loop, open_run
from .processes import Process

EVENTS_A_RUN = 8

# Opens runs one after another; says "RUN COUNT" whenever COUNT events are durable. Every other run ends.
WRITER = f"""
async def main():
    journal = SqliteJournal(path)
    sys.stdin.readline()
    for k in itertools.count() if len(sys.argv) < 4 else range(int(sys.argv[3])):
        run_id = f"{{sys.argv[2]}}-{{k}}"
        await journal.append(run_id, 0, [STARTED], opening=OPENING)
        say(run_id, 1)
        for number in range(1, {EVENTS_A_RUN}):
            await journal.append(run_id, number, [attempt(number)])
            say(run_id, number + 1)
        if k % 2:
            await journal.append(run_id, {EVENTS_A_RUN}, [ENDED])
            say(run_id, {EVENTS_A_RUN + 1})
    await journal.close()
asyncio.run(main())
"""

# Takes the write lock, and gives it back when told to.
HOLDER = """
db = apsw.Connection(path)
db.execute("BEGIN IMMEDIATE")
say("held")
sys.stdin.readline()
db.execute("COMMIT")
"""


def stream(run_id, count):
    """What WRITER puts into a run, as far as its first `count` events."""
    return [STARTED, *[attempt(number) for number in range(1, EVENTS_A_RUN)], ENDED][:count]


def acknowledged(said):
    """How many events of each run were said to be durable."""
    return {run_id: int(count) for run_id, count in (line.split() for line in said)}


def gaps(journal):
    query = "SELECT run, count(*), min(seq), max(seq) FROM event GROUP BY run HAVING count(*) != max(seq) + 1"
    return journal._store.db.execute(query).fetchall()


@in_loop
async def test_processes_that_open_one_new_journal_at_once(path):
    with ExitStack() as stack:
        script = "sys.stdin.readline()\n" + WRITER.replace("    sys.stdin.readline()\n", "")
        processes = [stack.enter_context(Process(script, path, f"p{k}", "4")) for k in range(6)]
        for process in processes:
            process.go()
        said = [line for process in processes for line in process.finish()]
    async with opened(path) as journal:
        counts = acknowledged(said)
        assert len(counts) == 24
        for run_id, count in counts.items():
            assert await journal.load(run_id) == stream(run_id, count)


@in_loop
async def test_two_processes_append_at_once(path):
    async with opened(path) as journal:
        with Process(WRITER, path, "one", "15") as one, Process(WRITER, path, "two", "15") as two:
            one.go()
            two.go()
            counts = acknowledged(one.finish() + two.finish())
        assert sorted(counts) == sorted(f"{name}-{k}" for name in ("one", "two") for k in range(15))
        for run_id, count in counts.items():
            assert await journal.load(run_id) == stream(run_id, count)
        assert gaps(journal) == []


@pytest.mark.slow
@in_loop
async def test_20_processes_killed_while_they_append(path):
    chance = random.Random(20)
    async with opened(path) as owner, opened(path) as heir:
        await open_run(owner, "alive")
        inherited = set()
        for round_number in range(20):
            with Process(WRITER, path, f"p{round_number}") as process:
                process.go()
                said = [process.hear() for _ in range(chance.randrange(1, 80))]
                process.kill()
                said += process.rest()
            await owner.append("alive", round_number + 1, [attempt(round_number)])

            claimed = set(ids(await heir.claim()))

            counts = acknowledged(said)
            left = {row.run_id for row in await heir.runs(limit=0)} - inherited - {"alive"}
            left = {run_id for run_id in left if run_id.startswith(f"p{round_number}-")}
            assert set(counts) <= left
            unacknowledged = 0
            for run_id in left:
                events, count = await heir.load(run_id), counts.get(run_id, 0)
                assert events == stream(run_id, len(events))
                assert len(events) >= count
                unacknowledged += len(events) - count
                ended = events[-1] == ENDED
                assert (run_id in claimed) == (not ended)
                assert (await heir.run(run_id)).status == ("succeeded" if ended else "running")
                if not ended:
                    await heir.append(run_id, len(events), [attempt(99)])
            # Only what was in flight at the kill may be there without having been acknowledged.
            assert unacknowledged <= 1
            assert "alive" not in claimed
            assert inherited <= claimed
            inherited = claimed
        assert gaps(heir) == []
        assert heir._store.db.pragma("integrity_check") == "ok"
        assert await heir.claim("alive") == []


@in_loop
async def test_an_append_waits_for_a_lock_held_briefly(path):
    async with opened(path) as journal:
        await open_run(journal)
        with Process(HOLDER, path) as holder:
            assert holder.hear() == "held"
            waited = []

            def release_and_try_again(tries):
                if not waited:
                    holder.go()
                    holder.process.wait()
                waited.append(tries)
                return True

            journal._store.db.set_busy_handler(release_and_try_again)
            await journal.append("r", 1, [attempt(1)])
            assert waited
        assert await journal.load("r") == [STARTED, attempt(1)]


@in_loop
async def test_reading_waits_for_nobody(path, monkeypatch):
    async with opened(path) as journal:
        await open_run(journal)
        key = await journal.put_blob(b"team")
    with Process(HOLDER, path) as holder:
        assert holder.hear() == "held"
        monkeypatch.setattr(failures, "BUSY_MS_MAX", 1)
        async with opened(path) as reader:
            assert await reader.load("r") == [STARTED]
            assert ids(await reader.runs()) == ["r"]
            assert (await reader.run("r")).status == "running"
            assert await reader.blob(key) == b"team"
            assert await reader.requests("r") == []
            assert await reader.batches() == []
            for write in (lambda: reader.append("s", 0, [STARTED], opening=OPENING), lambda: reader.ask(CANCEL)):
                with pytest.raises(JournalError, match=r"another process has held the journal .* for 0\.001 s"):
                    await write()


@in_loop
async def test_reading_while_another_process_writes(path):
    async with opened(path) as reader:
        with Process(WRITER, path, "w") as writer:
            writer.go()
            counts = {}
            while len(counts) < 20:
                counts |= acknowledged([writer.hear()])
                for run_id, count in list(counts.items())[-2:]:
                    events = await reader.load(run_id)
                    assert len(events) >= count
                    assert events == stream(run_id, len(events))
                assert len(await reader.runs(limit=0)) >= len(counts)


@in_loop
async def test_a_driver_in_another_process_is_heard_from_here(path):
    script = """
async def main():
    journal = SqliteJournal(path)
    await journal.append("r", 0, [STARTED], opening=OPENING)
    asked = asyncio.Event()
    heard = []
    journal.listen(lambda request: (heard.append(request), asked.set()))
    say("listening")
    await asked.wait()
    say(heard[0].kind, heard[0].by, heard[0].reason)
    await journal.append("r", 1, [e.RunCancelled(9_000, heard[0].by)], settles=[heard[0].request_id])
    await journal.close()
asyncio.run(main())
"""
    async with opened(path) as journal:
        with Process(script, path) as driver:
            assert driver.hear() == "listening"
            await journal.ask(CANCEL)
            assert driver.finish() == ["cancel ann wrong customer"]
        assert await journal.requests("r") == []
        assert await journal.load("r") == [STARTED, e.RunCancelled(9_000, "ann")]
        assert (await journal.run("r")).status == "cancelled"
