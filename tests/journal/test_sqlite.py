"""The journal in a SQLite file, as hostile surroundings meet it: other files, full disks, broken callers, forks."""

import asyncio
import gc
import hashlib
import os
import stat
import threading
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

import interlock.core.events as e
from interlock.core.decision import BODY_BYTES_MAX
from interlock.core.job import Question
from interlock.errors import JournalError, JournalFull, JournalTooNew, JournalUnavailable, StaleDriver
from interlock.journal import failures, store
from interlock.journal import file as journal_file
from interlock.journal.ownership import DriverLocks
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Batch, LetterRow, Letters, Opening, Request, WaitingQuestion

from .conftest import opened
from .contract import (
    BAD,
    CANCEL,
    ENDED,
    OPENING,
    PARKED,
    PLAN,
    STARTED,
    TEAM,
    TRIPPED,
    WAITS,
    attempt,
    buried,
    counted,
    ids,
    in_loop,
    open_run,
    outcomes,
    post,
    take,
)
from .processes import Process

FORMAT = len(journal_file.MIGRATIONS)
# The beginnings of the hashes of what brings a journal to each version.
VERSIONS = [
    "77b58537dbcdb1f2",
    "2581c3d65ac53d50",
    "8634c69c37e8d678",
    "801c8f340c7482a3",
    "ee37409b923875dc",
    "2cac593529114666",
    "0ef4f0df4ddf40c0",
]


def locks(path):
    return sorted(file.name for file in path.with_name(f"{path.name}-drivers").glob("*"))


def sql(path, statement, *values):
    """One statement from a connection that knows nothing of journals.

    Not of the standard library's sqlite3: two SQLites in one process don't see each other's locks.
    """
    with closing(apsw.Connection(str(path))) as db:
        return db.execute(statement, values).fetchall()


def big(number, size=20_000):
    return e.StepBuried(1_000 + number, "s", "x" * size)


# --- the file ---


@in_loop
async def test_a_closed_journal_is_one_file(path):
    async with opened(path) as journal:
        await open_run(journal)
        beside = sorted(file.name for file in path.parent.iterdir())
        assert beside == ["journal.db", "journal.db-drivers", "journal.db-shm", "journal.db-wal"]
    assert list(path.parent.iterdir()) == [path]


@in_loop
async def test_events_survive_closing(path):
    async with opened(path) as journal:
        await open_run(journal, "r", attempt(1))
    async with opened(path) as journal:
        assert await journal.load("r") == [STARTED, attempt(1)]


@pytest.mark.parametrize("gone", [0, 1, 2])
@in_loop
async def test_an_event_that_is_gone_is_missed_whatever_it_said(path, gone):
    late = e.ReplyArrivedLate(1_002, "s", 1)  # changes no state
    async with opened(path) as journal:
        await open_run(journal, "r", late, late, attempt(2))
        await open_run(journal, "whole", late)
    sql(path, "DELETE FROM event WHERE run = 1 AND seq = ?", gone)
    async with opened(path) as journal:
        with pytest.raises(JournalError, match=f"the journal is damaged: event {gone} of run r is missing"):
            await journal.load("r")
        assert await journal.load("whole") == [STARTED, late]


@in_loop
async def test_commits_wait_for_the_disk(path):
    async with opened(path) as journal:
        assert journal._store.db.pragma("synchronous") == 2
        assert journal._store.db.pragma("journal_mode") == "wal"


def test_every_version_is_what_it_was():
    # Compatibility data: journals of these versions exist. A change of the schema is a new entry in MIGRATIONS.
    assert [hashlib.sha256(step.encode()).hexdigest()[:16] for step in journal_file.MIGRATIONS] == VERSIONS
    assert journal_file.APPLICATION_ID == 0x494C4B31


@in_loop
async def test_a_file_says_its_version(path):
    async with opened(path):
        pass
    header = path.read_bytes()[:100]
    assert int.from_bytes(header[60:64], "big") == FORMAT
    assert header[68:72] == b"ILK1"


@in_loop
async def test_an_older_journal_is_brought_up_to_date(path, monkeypatch):
    async with opened(path) as journal:
        await open_run(journal)
    migrations = (
        *journal_file.MIGRATIONS,
        "ALTER TABLE run ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'; DROP TABLE driver;",
    )
    with monkeypatch.context() as later:
        later.setattr(journal_file, "MIGRATIONS", migrations)
        for file in (path, path.with_name("new.db")):
            async with opened(file):
                pass
            assert sql(file, "PRAGMA user_version") == [(FORMAT + 1,)]
            assert sql(file, "PRAGMA application_id") == [(journal_file.APPLICATION_ID,)]
        async with opened(path) as journal:
            assert await journal.load("r") == [STARTED]
        assert sql(path, "SELECT colour FROM run") == [("red",)]
    with pytest.raises(JournalTooNew):
        SqliteJournal(path)


def of_version_1(path):
    """A journal as the first version made it, with a run that is parked, one under way, and one that is cancelled."""
    asked = e.QuestionAsked(2_000, "s", 1, Question("May I? “Ja”"))
    told = {"parked": [STARTED, attempt(1), asked], "running": [STARTED, asked], "cancelled": [STARTED, asked]}
    with closing(apsw.Connection(str(path))) as db:
        db.execute(journal_file.MIGRATIONS[0])
        db.execute(f"PRAGMA application_id={journal_file.APPLICATION_ID}; PRAGMA user_version=1")
        for number, (status, events) in enumerate(told.items(), 1):
            row = (number, status, status, "", TEAM, PLAN, "team.yaml", "", 0, 1, 1_000, 0)
            db.execute(f"INSERT INTO run VALUES ({','.join('?' * 12)})", row)
            for seq, event in enumerate(events):
                db.execute("INSERT INTO event (run, seq, data) VALUES (?, ?, ?)", (number, seq, e.encode(event)))
        # What is damaged is passed over: it can't be answered, but all else can.
        damaged = b'{"t":"question_asked","at_us":null,"step":"s","attempt":1,"question":{"text":"?"}}'
        for seq, data in enumerate((damaged, damaged[:-1], b"question_asked \xff"), 3):
            db.execute("INSERT INTO event (run, seq, data) VALUES (1, ?, ?)", (seq, data))
        db.execute("INSERT INTO request VALUES ('cancel-running', 'running', 'cancel', 'eve', 'too dear')")


@in_loop
async def test_in_a_journal_of_version_1_what_was_asked_can_be_answered(path):
    of_version_1(path)
    async with opened(path) as journal:
        assert await journal.questions() == [
            WaitingQuestion(name, "s", 1, "May I? “Ja”", 2_000, 0, TEAM, "team.yaml") for name in ("parked", "running")
        ]
        assert await journal.requests("running") == [Request("cancel-running", "running", "cancel", "eve", "too dear")]
    assert sql(path, "PRAGMA user_version") == [(FORMAT,)]


@in_loop
async def test_what_was_given_up_before_there_was_a_list_is_on_it(path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(journal_file, "MIGRATIONS", journal_file.MIGRATIONS[:1])
        earlier.setattr(store.SqliteStore, "_append", without_letters(store.SqliteStore._append))
        async with opened(path) as journal:
            calls = [attempt(1, "a"), attempt(1, "b"), attempt(2, "a")]
            mended = msgspec.structs.replace(attempt(2, "a"), agent="fallback")
            await open_run(journal, "r", *calls, mended, e.StepBuried(5_000, "a", "no good"))
            await open_run(journal, "s", e.StepBuried(6_000, "a", "there is nothing at x"), buried("c"))
            await open_run(journal, "damaged", buried("a"))
    sql(path, "UPDATE event SET data = CAST(substr(data, 1, 30) AS BLOB) WHERE run = 3 AND seq = 1")
    async with opened(path) as journal:
        assert await journal.letters(Letters()) == [
            LetterRow("s", "a", "", "there is nothing at x", 0, 6_000, "team.yaml", ""),
            LetterRow("r", "a", "worker", "no good", 2, 5_000, "team.yaml", ""),
            LetterRow("s", "c", "ann", "c is no good", 3, 2_000, "team.yaml", ""),
        ]


def without_letters(append):
    def appended(self, group):
        unseen = [msgspec.structs.replace(item.shown, letters=()) for item in group]
        return append(self, [msgspec.structs.replace(item, shown=s) for item, s in zip(group, unseen, strict=True)])

    return appended


@in_loop
async def test_a_failed_migration_changes_nothing(path, monkeypatch):
    async with opened(path) as journal:
        await open_run(journal)
    with monkeypatch.context() as later:
        later.setattr(
            journal_file,
            "MIGRATIONS",
            (*journal_file.MIGRATIONS, "CREATE TABLE colour (name); CREATE TABLE run (name)"),
        )
        with pytest.raises(JournalError):
            SqliteJournal(path)
    assert sql(path, "PRAGMA user_version") == [(FORMAT,)]
    async with opened(path) as journal:
        assert await journal.load("r") == [STARTED]


@in_loop
async def test_a_newer_journal_is_refused(path):
    async with opened(path) as journal:
        await open_run(journal)
    sql(path, f"PRAGMA user_version={FORMAT + 1}")
    before = path.read_bytes()
    with pytest.raises(
        JournalTooNew, match=f"format {FORMAT + 1}, and this Interlock knows formats up to {FORMAT}; update"
    ):
        SqliteJournal(path)
    assert path.read_bytes() == before


@in_loop
async def test_a_journal_made_newer_by_another_process_is_not_written_any_more(path):
    async with opened(path) as journal:
        await open_run(journal)
        sql(path, f"PRAGMA user_version={FORMAT + 1}")
        for write in (
            lambda: journal.append("r", 1, [attempt(1)]),
            lambda: journal.append("s", 0, [STARTED], opening=OPENING),
            lambda: journal.ask(CANCEL),
            journal.claim,
        ):
            with pytest.raises(JournalTooNew):
                await write()
        assert await journal.load("r") == [STARTED]


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("tables", [0, 1])
def test_another_programs_database_is_refused_untouched(path, version, mode, tables):
    with closing(apsw.Connection(str(path))) as db:
        db.execute(f"PRAGMA journal_mode={mode}")
        db.execute(f"PRAGMA user_version={version}")
        db.execute("CREATE TABLE customer (name)")
        db.execute("INSERT INTO customer VALUES ('ann')")
        if not tables:
            db.execute("DROP TABLE customer")
            db.execute(f"PRAGMA user_version={version or 7}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="is a SQLite database, but no Interlock journal; name another file"):
        SqliteJournal(path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused_untouched(path):
    path.write_text("Dear diary, " * 100)
    with pytest.raises(JournalError, match="is not a SQLite database"):
        SqliteJournal(path)
    assert path.read_text() == "Dear diary, " * 100
    assert list(path.parent.iterdir()) == [path]


@in_loop
async def test_an_empty_file_becomes_a_journal(path):
    path.touch()
    async with opened(path) as journal:
        await open_run(journal)


@pytest.mark.parametrize("name", ["", "file/journal.db", "a\0b.db", "\udcff.db"], ids=repr)
def test_a_place_where_no_file_can_be_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(JournalError):
        SqliteJournal(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0, 0o555], ids=oct)
def test_a_folder_without_permission_is_refused(path, mode):
    folder = path.parent / "closed"
    folder.mkdir()
    folder.chmod(mode)
    script = """
if os.getuid() == 0:  # who may do anything
    os.setegid(65534)
    os.seteuid(65534)
try:
    SqliteJournal(path)
except InterlockError as error:
    say(error.code)
"""
    try:
        with Process(script, folder / "journal.db") as process:
            assert process.finish() == ["journal"]
    finally:
        folder.chmod(0o755)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["with space.db", "späße – 日本.db", "50%?x=#1.db", "no/such/folder/journal.db"])
@in_loop
async def test_odd_names(tmp_path, name):
    path = tmp_path / name
    async with opened(path) as journal, opened(str(path)) as other:
        await open_run(journal)
        assert await other.load("r") == [STARTED]
        assert await other.claim() == []
    assert list(path.parent.iterdir()) == [path]


@in_loop
async def test_a_relative_name_means_what_it_meant_when_opened(tmp_path, monkeypatch):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    async with opened("journal.db") as journal:
        monkeypatch.chdir(tmp_path / "there")
        await open_run(journal)
        assert locks(tmp_path / "here" / "journal.db") == ["1.lock"]
        async with opened(tmp_path / "here" / "journal.db") as other:
            assert await other.claim() == []
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["journal.db"]
    assert list((tmp_path / "there").iterdir()) == []


@in_loop
async def test_a_link_is_another_name_of_the_same_journal(tmp_path):
    path, link = tmp_path / "journal.db", tmp_path / "link.db"
    async with opened(path) as owner:
        await open_run(owner)
        link.symlink_to(path)
        async with opened(link) as other:
            assert await other.claim() == []
            await owner.append("r", 1, [attempt(1)])


# --- appending ---


@in_loop
async def test_concurrent_appends_share_commits(path):
    async with opened(path) as journal:
        commits = []
        await open_run(journal)
        journal._store.db.set_commit_hook(lambda: bool(commits.append(1)))
        await asyncio.gather(*[open_run(journal, f"r{k}") for k in range(500)])
        assert 1 <= len(commits) < 100
        assert len(await journal.runs(limit=0)) == 501


@in_loop
async def test_a_second_connection_invalidates_what_is_known_of_streams(path):
    async with opened(path) as journal:
        await open_run(journal)
        await journal.append("r", 1, [attempt(1)])
        sql(path, "INSERT INTO event (run, seq, data) SELECT run, 2, data FROM event WHERE seq = 1")
        with pytest.raises(StaleDriver):
            await journal.append("r", 2, [attempt(2)])
        await journal.append("r", 3, [attempt(3)])
        sql(path, "UPDATE run SET owner = 99")
        with pytest.raises(StaleDriver):
            await journal.append("r", 4, [attempt(4)])
        assert await journal.load("r") == [STARTED, attempt(1), attempt(1), attempt(3)]


@in_loop
async def test_one_bad_append_fails_alone(path):
    async with opened(path) as journal:
        bad = [
            journal.append("bad", 0, [STARTED], opening=Opening(object(), PLAN)),
            journal.append("\ud800", 0, [STARTED], opening=OPENING),
            journal.append("late", 0, [e.RunStarted(2**70, STARTED.request, TEAM, PLAN)], opening=OPENING),
        ]
        good = [open_run(journal, f"r{k}") for k in range(5)]
        outcomes = await asyncio.gather(*bad, *good, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[:3]] == [TypeError, UnicodeEncodeError, OverflowError]
        assert outcomes[3:] == [None] * 5
        assert sorted(ids(await journal.runs())) == [f"r{k}" for k in range(5)]


@in_loop
async def test_running_out_of_memory_reaches_the_caller(path, monkeypatch):
    async with opened(path) as journal:
        await open_run(journal)

        def fail(*values):
            raise MemoryError

        with monkeypatch.context() as scarce:
            scarce.setattr(journal._store, "_place", fail)
            outcomes = await asyncio.gather(
                *[journal.append("r", 1, [attempt(1)]) for _ in range(3)], return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [MemoryError] * 3
        await journal.append("r", 1, [attempt(1)])


@in_loop
async def test_nobody_waits_for_a_writer_that_died(path, monkeypatch):
    journal = SqliteJournal(path)

    def die(*values):
        raise SystemExit

    monkeypatch.setattr(journal._store, "append", die)
    waiting = [journal.append("r", 0, [STARTED], opening=OPENING) for _ in range(3)]
    outcomes = await asyncio.gather(*waiting, journal.close(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [JournalUnavailable] * 4
    assert "SystemExit" in str(outcomes[0])
    with pytest.raises(JournalError):
        await journal.load("r")
    assert list(path.parent.iterdir()) == [path]


@in_loop
async def test_whatever_a_callers_rows_raise_is_the_callers(path):
    async with opened(path) as journal:

        def rows():
            yield b"0"
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await journal.open_batch(Batch("b", TEAM, "", "", 1_000, 1), rows())
        await open_run(journal)


@in_loop
async def test_each_of_a_failed_group_gets_an_error_of_its_own(path, monkeypatch):
    monkeypatch.setattr(failures, "BUSY_MS_MAX", 1)
    async with opened(path) as journal:
        await open_run(journal)
        with closing(apsw.Connection(str(path))) as holder:
            holder.execute("BEGIN IMMEDIATE")
            outcomes = await asyncio.gather(*[open_run(journal, f"r{k}") for k in range(20)], return_exceptions=True)
        assert len({id(outcome) for outcome in outcomes}) == 20
        assert {str(outcome) for outcome in outcomes} == {f"another process has held the journal {path} for 0.001 s"}


# --- loops, threads, closing ---


def test_one_event_loop_after_another(path):
    journal = SqliteJournal(path)

    async def first():
        journal.listen(lambda request: pytest.fail("this loop is over"))
        await open_run(journal)
        journal.append("r", 1, [attempt(1)])  # nobody waits for it

    async def second():
        async with opened(path) as other:
            await other.ask(CANCEL)
        journal._next_listen = 0
        assert await journal.load("r") == [STARTED, attempt(1)]
        await journal.append("r", 2, [attempt(2)])
        heard = asyncio.get_running_loop().create_future()
        journal.listen(lambda request: heard.done() or heard.set_result(request))
        async with opened(path) as other:
            await other.ask(CANCEL.__class__("again", "r", "cancel", "ann"))
        await heard
        await journal.close()

    asyncio.run(first())
    asyncio.run(second())


def test_no_thread_is_left(path):
    before = set(threading.enumerate())

    async def main():
        for nth in range(3):
            async with opened(path) as journal:
                await open_run(journal, f"r{nth}")

    asyncio.run(main())
    assert set(threading.enumerate()) == before


def test_a_journal_that_cannot_be_opened_leaves_nothing_open(path):
    path.write_text("Dear diary, " * 100)
    threads, files = set(threading.enumerate()), len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(JournalError):
            SqliteJournal(path)
    gc.collect()
    assert set(threading.enumerate()) == threads
    assert len(list(Path("/dev/fd").iterdir())) == files


@in_loop
async def test_the_loop_goes_on_while_the_journal_closes(path):
    journal = SqliteJournal(path)
    await open_run(journal)
    with closing(apsw.Connection(str(path))) as holder:
        holder.execute("BEGIN IMMEDIATE")
        append = journal.append("r", 1, [attempt(1)])
        close = asyncio.gather(journal.close())
        await asyncio.sleep(0)
        holder.execute("COMMIT")
    await asyncio.gather(append, close)


@in_loop
async def test_closing_goes_on_when_its_caller_gives_up(path):
    journal = SqliteJournal(path)
    append = journal.append("r", 0, [STARTED], opening=OPENING)
    close = asyncio.gather(journal.close())
    await asyncio.sleep(0)
    close.cancel()
    await append
    await journal.close()
    assert list(path.parent.iterdir()) == [path]


# --- owners ---


@in_loop
async def test_a_lock_file_opens_for_whoever_may_write_the_journal(path):
    for mode in (0o600, 0o660):
        async with opened(path) as journal:
            path.chmod(mode)
            await open_run(journal, f"r{mode}")
            (lock,) = path.with_name("journal.db-drivers").iterdir()
            assert stat.S_IMODE(lock.stat().st_mode) == mode & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@in_loop
async def test_reading_leaves_no_trace(path):
    async with opened(path) as journal:
        await open_run(journal)
    async with opened(path) as journal:
        await journal.load("r")
        await journal.runs()
        await journal.put_blob(b"team")
        assert locks(path) == []
    assert sql(path, "SELECT epoch FROM driver") == [(1,)]


@in_loop
async def test_a_driver_that_could_not_be_registered_gives_up_its_number(path):
    async with opened(path) as journal:
        await open_run(journal)
    async with opened(path) as full, opened(path) as other:
        full._store.db.execute(f"PRAGMA max_page_count={path.stat().st_size // 4096}").fetchall()
        with pytest.raises(JournalFull):
            await open_run(full, "s", big(1))
        assert locks(path) == []
        await open_run(other, "t")
        full._store.db.execute("PRAGMA max_page_count=100000").fetchall()
        await open_run(full, "s", big(1))
        assert full._store.epoch != other._store.epoch
        assert locks(path) == ["2.lock", "3.lock"]
        assert await other.claim("s") == []


@in_loop
async def test_a_number_whose_lock_is_held_is_passed_over(path):
    async with opened(path) as journal:
        stranger = DriverLocks(path)
        assert stranger.take(1)
        await open_run(journal)
        assert journal._store.epoch == 2
        stranger.drop_all()
    assert list(path.parent.iterdir()) == [path]


@in_loop
async def test_the_locks_of_the_dead_are_swept_away(path):
    script = """
async def main():
    journal = SqliteJournal(path)
    await journal.append(sys.argv[2], 0, [STARTED, *([ENDED] if sys.argv[2] == "ended" else [])], opening=OPENING)
    say("done")
    await asyncio.sleep(3600)
asyncio.run(main())
"""
    with Process(script, path, "ended") as one, Process(script, path, "left") as other:
        assert one.hear() == other.hear() == "done"
        assert len(locks(path)) == 2
    assert len(locks(path)) == 2
    path.with_name("journal.db-drivers").joinpath("notes.lock").touch()
    async with opened(path) as journal:
        await open_run(journal)
        assert locks(path) == ["3.lock", "notes.lock"]
        assert sorted(ids(await journal.claim())) == ["left", "r"]


@in_loop
async def test_a_fork_neither_writes_nor_keeps_what_its_parent_owned(path):
    script = """
async def main():
    journal = SqliteJournal(path)
    await journal.append("r", 0, [STARTED], opening=OPENING)
    if not os.fork():
        for use in (lambda: journal.append("r", 1, [attempt(1)]), lambda: journal.load("r").send(None)):
            try:
                use()
            except InterlockError as error:
                say(error.message)
        try:
            journal.close().send(None)
        except StopIteration:
            say("closed")
        sys.stdin.readline()
        os._exit(0)
    say("forked")
    await asyncio.sleep(3600)
asyncio.run(main())
"""
    with Process(script, path) as process:
        said = sorted(process.hear() for _ in range(4))
        assert said == ["closed", "forked", *["this process is a fork of the one that opened the journal"] * 2]
        async with opened(path) as heir:
            assert await heir.claim() == []
            process.kill()  # the parent; its fork still reads
            assert ids(await heir.claim()) == ["r"]
            await heir.append("r", 1, [ENDED])
        process.go()
    assert list(path.parent.iterdir()) == [path]


# --- full disks ---


@in_loop
async def test_a_full_disk_loses_nothing_and_passes(path):
    async with opened(path) as journal:
        await open_run(journal)
        await open_run(journal, "parked", PARKED)
        pages = journal._store.db.pragma("page_count")
        journal._store.db.execute(f"PRAGMA max_page_count={pages + 10}").fetchall()
        seq, refusal = 1, None
        while refusal is None:
            try:
                await journal.append("r", seq, [big(seq)])
                seq += 1
            except JournalFull as error:
                refusal = error
        assert seq > 1
        assert str(refusal) == f"no space left for the journal {path}; free some, then: interlock resume"
        with pytest.raises(JournalFull):
            await journal.append("r", seq, [big(seq), ENDED])
        assert await journal.load("r") == [STARTED, *[big(number) for number in range(1, seq)]]
        assert (await journal.run("r")).status == "running"

        journal._store.db.execute("PRAGMA max_page_count=100000").fetchall()
        await journal.append("r", seq, [attempt(seq)])
        assert len(await journal.load("r")) == seq + 1


def test_a_write_that_the_system_refuses_is_a_full_disk(path):
    script = """
async def main():
    journal = SqliteJournal(path)
    await journal.append("r", 0, [STARTED], opening=OPENING)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    seq = 1
    try:
        while True:
            await journal.append("r", seq, [e.StepBuried(1_000, "s", "x" * 20_000)])
            seq += 1
    except JournalFull as error:
        say(error.code)
    assert seq > 1 and len(await journal.load("r")) == seq, seq
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await journal.append("r", seq, [ENDED])
    say((await journal.run("r")).status, len(await journal.load("r")) - seq)
    await journal.close()
asyncio.run(main())
"""
    with Process(script, path) as process:
        assert process.finish() == ["journal_full", "succeeded 1"]


@in_loop
async def test_a_journal_whose_file_is_gone_takes_nothing_more(path):
    async with opened(path) as journal:
        await open_run(journal)
        path.unlink()
        with pytest.raises(JournalError, match=r"can't be used: .*No such file"):
            await journal.append("r", 1, [attempt(1)])
        SqliteJournal(path)._store.close()
        with pytest.raises(JournalError, match="was replaced by another file while it was in use"):
            await journal.append("r", 1, [attempt(1)])


# --- gates ---


@in_loop
async def test_a_journal_of_the_first_format_has_gates_from_now_on(path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(journal_file, "MIGRATIONS", journal_file.MIGRATIONS[:1])
        store.SqliteStore(path).close()
        assert sql(path, "PRAGMA user_version") == [(1,)]
    async with opened(path) as journal:
        assert await journal.gates() == []
        await open_run(journal)
        await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD)])
        assert await journal.at_gates(["t/a"], outcomes) == [BAD]
    assert sql(path, "PRAGMA user_version") == [(FORMAT,)]


@pytest.mark.parametrize("broken", ["append", "tell"])
@in_loop
async def test_a_fact_and_what_it_tells_become_durable_together(path, broken):
    async with opened(path) as journal:
        await open_run(journal)
        queries = journal._store._sql
        kept, queries[broken] = queries[broken], "INSERT INTO nowhere VALUES (1)"
        with pytest.raises(JournalError):
            await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD)])
        queries[broken] = kept
    async with opened(path) as journal:
        assert await journal.load("r") == [STARTED]
        assert await journal.gates() == []


@pytest.mark.parametrize("broken", ["fold", "move", "keep_gate"])
@in_loop
async def test_a_turn_becomes_durable_as_a_whole(path, broken):
    async with opened(path) as journal:
        await open_run(journal)
        await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD)])
        queries = journal._store._sql
        kept, queries[broken] = queries[broken], "INSERT INTO nowhere VALUES (1)"

        def turn(found):
            found[0].moved.append(TRIPPED)
            return counted(found)

        with pytest.raises(JournalError):
            await journal.at_gates(["t/a"], turn)
        queries[broken] = kept
    async with opened(path) as journal:
        ((_, at),) = await journal.gates()
        assert (list(at.outcomes), at.gate.ended, at.moved) == ([BAD], 0, [])


@in_loop
async def test_of_requests_that_somebody_has_written_into_the_file_a_bounded_part_is_read(path):
    async with opened(path) as journal:
        await open_run(journal)
        write_requests(path)
        first, second = await journal.requests("r")
    assert (len(first.by), len(first.reason)) == (4_001, 4_001)
    assert (second.by, second.reason, len(second.body)) == ("5", "why", BODY_BYTES_MAX + 1)


def write_requests(path):
    with closing(apsw.Connection(str(path))) as db:
        rows = [
            ("1", "cancel", "x" * 1_000_000, "y" * 1_000_000, b""),
            ("2", "decide", 5, "why", b"{" * (BODY_BYTES_MAX + 1_000)),
            ("n" * 1_000_000, "cancel", "ann", "", b""),
        ]
        for request_id, kind, by, reason, body in rows:
            db.execute(
                "INSERT INTO request (request_id, run_id, kind, by, reason, body) VALUES (?, 'r', ?, ?, ?, ?)",
                (request_id, kind, by, reason, body),
            )


# --- runs that do a step of another ---


@in_loop
async def test_the_runs_of_a_journal_of_format_6_do_no_step_of_another(path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(journal_file, "MIGRATIONS", journal_file.MIGRATIONS[:6])
        store.SqliteStore(path).close()
    run = "'r', 'running', '', 't', 'p', '', '', 0, 0, 1000, 0"
    sql(path, f"INSERT INTO run VALUES (1, {run})")
    sql(path, "INSERT INTO event (run, seq, data) VALUES (1, 0, ?)", e.encode(STARTED))
    async with opened(path) as journal:
        assert (await journal.run("r")).parent == ""
        await open_run(journal, "c", opening=Opening(TEAM, PLAN, parent="r"))
        assert [row.parent for row in await journal.runs()] == ["r", ""]
    assert sql(path, "PRAGMA user_version") == [(FORMAT,)]


@pytest.mark.parametrize("broken", ["append", "ask_beside"])
@in_loop
async def test_a_fact_and_what_it_asks_of_another_run_become_durable_together(path, broken):
    async with opened(path) as journal:
        await open_run(journal)
        await open_run(journal, "p")
        queries = journal._store._sql
        kept, queries[broken] = queries[broken], "INSERT INTO nowhere VALUES (1)"
        with pytest.raises(JournalError):
            await journal.append("r", 1, [attempt(1)], asks=[Request("child/r/1", "p", "child", "r")])
        queries[broken] = kept
    async with opened(path) as journal:
        assert await journal.load("r") == [STARTED]
        assert await journal.requests("p") == []


# --- notices ---


@in_loop
async def test_a_journal_of_format_4_has_notices_from_now_on(path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(journal_file, "MIGRATIONS", journal_file.MIGRATIONS[:4])
        store.SqliteStore(path).close()
        assert sql(path, "PRAGMA user_version") == [(4,)]
    async with opened(path) as journal:
        await open_run(journal)
        await post(journal, 1, WAITS)
        assert await take(journal) == [WAITS]
    assert sql(path, "PRAGMA user_version") == [(FORMAT,)]


@pytest.mark.parametrize("broken", ["append", "add_notice"])
@in_loop
async def test_a_fact_and_its_notice_become_durable_together(path, broken):
    async with opened(path) as journal:
        await open_run(journal)
        queries = journal._store._sql
        kept, queries[broken] = queries[broken], "INSERT INTO nowhere VALUES (1)"
        with pytest.raises(JournalError):
            await post(journal, 1, WAITS)
        queries[broken] = kept
    async with opened(path) as journal:
        assert await journal.load("r") == [STARTED]
        assert await take(journal) == []
