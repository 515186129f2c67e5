"""What every journal promises. A journal passes by a subclass of `JournalContract` that says how to open it.

Handles opened on one store stand for processes on one journal: what one may do, and what another then may not.
"""

import asyncio
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.breaker import Moved
from interlock.core.gate import AtGate, Gate, Grant, Outcome
from interlock.core.job import Question, Usage
from interlock.core.notice import Notice
from interlock.errors import JournalError, JournalTooNew, RunNotFound, StaleDriver
from interlock.ports import (
    MOVES_KEPT_MAX,
    PUT_OFF_US_MAX,
    Batch,
    Journal,
    LetterRow,
    Letters,
    Opening,
    Posting,
    Request,
    WaitingQuestion,
)

TEAM, PLAN = "t" * 64, "p" * 64
OPENING = Opening(TEAM, PLAN, "team.yaml")
STARTED = e.RunStarted(1_000, Raw(b'{"q":1}'), TEAM, PLAN)
ENDED = e.RunFinished(9_000, "succeeded")
PARKED = e.RunParked(5_000, "a person is asked")
REOPENED = e.RunReopened(7_000, ("a",), "person:ann", "the model is back")
CANCEL = Request("cancel-r", "r", "cancel", "ann", "wrong customer")


def in_loop(test):
    """A test that is a coroutine, run in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def attempt(number: int, step: str = "s") -> e.AttemptStarted:
    """An event that can be told from the others."""
    return e.AttemptStarted(1_000 + number, step, number, "worker", "a" * 64)


def buried(step: str, at_us: int = 2_000, agent: str = "ann") -> e.StepBuried:
    """A step that is given up after three attempts."""
    return e.StepBuried(at_us, step, f"{step} is no good", agent, 3)


async def open_run(journal: Journal, run_id: str = "r", *more: e.AnyEvent, opening: Opening = OPENING) -> None:
    """A run with its first event, and more."""
    await journal.append(run_id, 0, [STARTED, *more], opening=opening)


async def open_batch(journal: Journal, rows: int, batch_id: str = "b", team: str = TEAM) -> Batch:
    """A batch whose requests are 0, 1, 2, ..."""
    batch = Batch(batch_id, team, "team.yaml", "rows.jsonl", 1_000, rows)
    await journal.open_batch(batch, [b"%d" % row for row in range(rows)])
    return batch


def row_of(batch_id: str, row: int, team: str = TEAM) -> Opening:
    return Opening(team, PLAN, "team.yaml", batch_id, row)


async def pending(journal: Journal, batch_id: str = "b") -> list[tuple[int, bytes]]:
    return [item async for item in journal.pending(batch_id)]


def ids(rows: Sequence[Any]) -> list[str]:
    return [row.run_id for row in rows]


async def refused(error: type[Exception], journal: Journal, *append: Any, **options: Any) -> None:
    """An append is refused, and nothing of it is written."""
    run_id = append[0]
    before = await journal.load(run_id) if run_id in ids(await journal.runs(limit=0)) else None
    with pytest.raises(error):
        await journal.append(*append, **options)
    if before is None:
        with pytest.raises(RunNotFound):
            await journal.run(run_id)
    else:
        assert await journal.load(run_id) == before


TRIPPED = Moved(5, "open", "2 bad outputs in a row", "ann")
BAD, GOOD = Outcome("k", 5, "refused", None, Usage(1, 2, 0.5), "no sum"), Outcome("l", 6, "committed", 0.5, Usage())


WAITS = Notice("question", 2_000, "ann", "r", "s", 1, "Refund?", "", ("answer",), ("yes", "no"), 9_000, "dead")
GIVEN_UP = Notice("dead", 3_000, "ann", "r", "s", 3)
OPENED = Notice("breaker", 4_000, "ann", reason="bad")


ASKS = e.QuestionAsked(2_000, "s", 1, Question("Refund?"))
DIES = buried("s", 3_000)
CAUSES = {"question": ASKS, "dead": DIES}


async def post(journal: Journal, seq: int, *notices: Notice, **given: str) -> None:
    """Append what some notices are about, and the notices."""
    causes = [CAUSES[notice.kind] for notice in notices]
    await journal.append("r", seq, causes, posting=posting(*notices, **given))


def posting(*notices: Notice, team: str = "t", recipient: str = "slack") -> Posting:
    return Posting(team, [(recipient, notice) for notice in notices])


async def take(journal: Journal, now_us: int = 0, *, team: str = "t", recipient: str = "slack", limit: int = 9) -> Any:
    """The notices that a handle gets, for a second."""
    found = await journal.take_notices(team, recipient, now_us, now_us + 1_000_000, limit)
    return [one.notice for one in found]


def counted(found: Sequence[AtGate]) -> int:
    """A turn that tells how many there were before it."""
    found[0].gate.ended += 1
    return found[0].gate.ended - 1


def outcomes(found: Sequence[AtGate]) -> list[Outcome]:
    """A turn that tells what it was told."""
    return list(found[0].outcomes)


class Opened:
    """The handles that a test opens on one store. `lose` makes one look dead to the others while it goes on."""

    def __init__(self) -> None:
        self.handles: list[Any] = []

    def open(self) -> Any:
        """Another handle on the same store, as another process would have it."""
        handle = self.new_handle()
        self.handles.append(handle)
        return handle

    def new_handle(self) -> Any:
        raise NotImplementedError

    def lose(self, handle: Any) -> None:
        raise NotImplementedError

    def damage(self, run_id: str, seq: int, data: bytes) -> None:
        """Put something else in the place of an event, behind the back of every handle."""
        raise NotImplementedError

    async def close_all(self) -> None:
        for handle in self.handles:
            await handle.close()


class JournalContract:
    """Subclasses give the fixture `opened`: an `Opened` of their kind."""

    # --- appending and loading ---

    @in_loop
    async def test_events_come_back_in_order_and_as_they_were(self, opened):
        journal = opened.open()
        committed = e.AttemptCommitted(
            3_000,
            "s",
            1,
            {"a.b": Raw(b'{"z":1,"a":[1.0,-0.0,"\xc3\xa9"]}')},
            ("c",),
            ("q",),
            usage=None,
            confidence=0.5,
        )
        await open_run(journal, "r", attempt(1))
        await journal.append("r", 2, [committed])
        await journal.append("r", 3, [attempt(2), ENDED])

        loaded = await journal.load("r")

        assert loaded == [STARTED, attempt(1), committed, attempt(2), ENDED]
        assert bytes(loaded[2].writes["a.b"]) == bytes(committed.writes["a.b"])

    @in_loop
    async def test_streams_of_several_runs_are_kept_apart(self, opened):
        journal = opened.open()
        await open_run(journal, "one")
        await open_run(journal, "two")
        await journal.append("one", 1, [attempt(1)])
        await journal.append("two", 1, [attempt(2)])

        assert await journal.load("one") == [STARTED, attempt(1)]
        assert await journal.load("two") == [STARTED, attempt(2)]

    @in_loop
    async def test_another_handle_sees_what_was_appended(self, opened):
        writer, reader = opened.open(), opened.open()
        await open_run(writer)
        assert await reader.load("r") == [STARTED]
        await writer.append("r", 1, [ENDED])
        assert await reader.load("r") == [STARTED, ENDED]
        assert await reader.run("r") == await writer.run("r")

    @in_loop
    async def test_appends_made_without_waiting_keep_their_order(self, opened):
        journal = opened.open()
        appends = [journal.append("r", 0, [STARTED], opening=OPENING)]
        appends += [journal.append("r", number, [attempt(number)]) for number in range(1, 20)]
        await asyncio.gather(*appends)
        assert await journal.load("r") == [STARTED, *[attempt(number) for number in range(1, 20)]]

    @pytest.mark.parametrize("seq", [0, 1, 3, 100, -1])
    @in_loop
    async def test_an_append_to_another_place_than_the_end_is_refused(self, opened, seq):
        journal = opened.open()
        await open_run(journal, "r", attempt(1))
        await refused(StaleDriver, journal, "r", seq, [attempt(9), ENDED])
        assert (await journal.run("r")).status == "running"
        await journal.append("r", 2, [attempt(2)])
        assert await journal.load("r") == [STARTED, attempt(1), attempt(2)]

    @in_loop
    async def test_a_refused_append_settles_nothing(self, opened):
        journal = opened.open()
        await open_run(journal)
        await journal.ask(CANCEL)
        await refused(StaleDriver, journal, "r", 2, [attempt(9)], settles=[CANCEL.request_id])
        assert await journal.requests("r") == [CANCEL]

    @pytest.mark.parametrize("seq", [0, 1])
    @in_loop
    async def test_a_run_is_opened_once(self, opened, seq):
        one, other = opened.open(), opened.open()
        await open_run(one)
        await refused(StaleDriver, one, "r", seq, [STARTED], opening=OPENING)
        await refused(StaleDriver, other, "r", seq, [STARTED], opening=OPENING)
        # The end of the stream has to be looked up again after another handle wrote; that must not let it in.
        await open_run(other, "s")
        await refused(StaleDriver, one, "r", seq, [STARTED], opening=OPENING)

    @in_loop
    async def test_of_two_openings_at_once_one_wins(self, opened):
        journal = opened.open()
        outcomes = await asyncio.gather(
            *[journal.append("r", 0, [STARTED], opening=OPENING) for _ in range(2)], return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), StaleDriver]
        assert await journal.load("r") == [STARTED]

    @in_loop
    async def test_a_run_begins_with_an_opening(self, opened):
        await refused(StaleDriver, opened.open(), "r", 0, [STARTED])

    @in_loop
    async def test_a_run_begins_at_seq_0(self, opened):
        await refused(StaleDriver, opened.open(), "r", 1, [STARTED], opening=OPENING)

    @in_loop
    async def test_an_append_has_events(self, opened):
        journal = opened.open()
        await refused(AssertionError, journal, "r", 0, [], opening=OPENING)
        await open_run(journal)
        await refused(AssertionError, journal, "r", 1, [])

    @in_loop
    async def test_an_event_that_cannot_be_encoded_leaves_nothing_behind(self, opened):
        journal = opened.open()
        bad = e.RunCancelled(2_000, "\ud800")
        await refused(UnicodeEncodeError, journal, "r", 0, [STARTED, bad], opening=OPENING)
        await open_run(journal)
        await refused(UnicodeEncodeError, journal, "r", 1, [attempt(1), bad])
        await journal.append("r", 1, [attempt(1)])

    @in_loop
    async def test_two_ends_at_once_hurt_nobody_else(self, opened):
        journal = opened.open()
        await open_run(journal)
        await open_run(journal, "bystander")
        outcomes = await asyncio.gather(
            journal.append("r", 1, [ENDED]),
            journal.append("r", 1, [e.RunCancelled(9_000, "ann")]),
            journal.append("bystander", 1, [attempt(1)]),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), StaleDriver, type(None)]
        assert (await journal.run("r")).status == "succeeded"

    @in_loop
    async def test_200_runs_at_once_keep_their_streams(self, opened):
        journal = opened.open()

        async def drive(run_id: str) -> None:
            await open_run(journal, run_id)
            for number in range(1, 11):
                await journal.append(run_id, number, [attempt(number, run_id)])
            await journal.append(run_id, 11, [ENDED])

        await asyncio.gather(*[drive(f"r{k}") for k in range(200)])

        rows = await journal.runs(limit=0)
        assert sorted(ids(rows)) == sorted(f"r{k}" for k in range(200))
        assert {row.status for row in rows} == {"succeeded"}
        for row in rows:
            expected = [STARTED, *[attempt(number, row.run_id) for number in range(1, 11)], ENDED]
            assert await journal.load(row.run_id) == expected

    @in_loop
    async def test_a_waiter_that_gives_up_disturbs_nobody(self, opened):
        journal = opened.open()
        await open_run(journal)
        given_up = journal.append("r", 1, [attempt(1)])
        given_up.cancel()
        await journal.append("r", 2, [attempt(2)])
        assert await journal.load("r") == [STARTED, attempt(1), attempt(2)]

    @in_loop
    async def test_what_is_unknown_is_not_found(self, opened):
        journal = opened.open()
        for asked in (journal.load("r"), journal.run("r"), journal.batch("b"), journal.claim("r")):
            with pytest.raises(RunNotFound):
                await asked
        with pytest.raises(JournalError):
            await journal.blob("0" * 64)
        assert await journal.requests("r") == []
        assert await pending(journal) == []

    @in_loop
    async def test_a_run_with_faults_is_listed_as_one(self, opened):
        journal = opened.open()
        await open_run(journal, "ordinary")
        faulty = msgspec.structs.replace(STARTED, faults="f" * 64)
        await journal.append("faulty", 0, [faulty, attempt(1)], opening=OPENING)
        assert {row.run_id: row.faults for row in await journal.runs()} == {"ordinary": "", "faulty": "f" * 64}
        assert (await journal.run("faulty")).faults == "f" * 64
        assert {row.run_id: row.faults for row in await journal.claim()} == {"ordinary": "", "faulty": "f" * 64}
        [claimed] = await journal.claim("faulty")
        assert claimed.faults == "f" * 64

    # --- dead letters ---

    @in_loop
    async def test_a_step_that_is_given_up_is_a_letter_as_soon_as_that_is_durable(self, opened):
        journal = opened.open()
        assert await journal.letters(Letters()) == []
        row_0 = row_of((await open_batch(journal, 1)).batch_id, 0)
        await open_run(journal, "r", attempt(1), buried("a", 2_000), attempt(2), opening=row_0)
        await open_run(journal, "s")
        await journal.append("s", 1, [buried("b", 3_000), buried("c", 3_000), ENDED])
        await refused(StaleDriver, journal, "s", 1, [buried("d", 9_000)])
        found = await opened.open().letters(Letters())
        assert found == [
            LetterRow("s", "b", "ann", "b is no good", 3, 3_000, "team.yaml", ""),
            LetterRow("s", "c", "ann", "c is no good", 3, 3_000, "team.yaml", ""),
            LetterRow("r", "a", "ann", "a is no good", 3, 2_000, "team.yaml", "b"),
        ]
        assert [letter.name for letter in found] == ["s/b", "s/c", "r/a"]

    @pytest.mark.parametrize(
        ("wanted", "names"),
        [
            (Letters(run_id="r1"), ["r1/a"]),
            (Letters(step="b"), ["r3/b", "r2/b"]),
            (Letters(agent="bob"), ["r2/b"]),
            (Letters(source="other.yaml"), ["r3/b"]),
            (Letters(batch="b"), ["r1/a"]),
            (Letters(reason="no good"), ["r3/b", "r2/b", "r1/a"]),
            (Letters(reason="a is"), ["r1/a"]),
            (Letters(reason="%"), []),
            (Letters(since_us=2_000), ["r3/b", "r2/b"]),
            (Letters(waiting=True), ["r3/b", "r2/b", "r1/a"]),
            (Letters(step="b", agent="ann"), ["r3/b"]),
        ],
    )
    @in_loop
    async def test_letters_are_found_by_what_is_known_of_them(self, opened, wanted, names):
        journal = opened.open()
        row_0 = row_of((await open_batch(journal, 1)).batch_id, 0)
        await open_run(journal, "r1", buried("a", 1_000), opening=row_0)
        await open_run(journal, "r2", buried("b", 2_000, "bob"))
        await open_run(journal, "r3", buried("b", 3_000), opening=Opening(TEAM, PLAN, "other.yaml"))
        assert [letter.name for letter in await journal.letters(wanted)] == names
        assert [letter.name for letter in await journal.letters(wanted, limit=1)] == names[:1]
        assert [letter.name for letter in await journal.letters(wanted, limit=0)] == names

    @in_loop
    async def test_a_letter_that_is_redriven_says_where_by_whom_and_why(self, opened):
        journal = opened.open()
        await open_run(journal, "r", buried("a"), buried("b"), msgspec.structs.replace(ENDED, status="failed"))
        assert await journal.claim("r") == []
        [claimed] = await journal.claim("r", ended=True)
        assert claimed.status == "failed"
        await journal.append("r", 4, [REOPENED, attempt(2)])
        assert (await journal.run("r")).status == "running"
        assert (await journal.run("r")).ended_us == 0
        later = await opened.open().letters(Letters())
        redriven = ("r", REOPENED.at_us, "person:ann", "the model is back", "running")
        assert [(letter.name, *msgspec.structs.astuple(letter)[8:13]) for letter in later] == [
            ("r/a", *redriven),
            ("r/b", "", 0, "", "", ""),
        ]
        assert [letter.name for letter in await journal.letters(Letters(waiting=True))] == ["r/b"]
        await journal.append("r", 6, [ENDED])
        assert [letter.outcome for letter in await journal.letters(Letters(step="a"))] == ["succeeded"]

    @in_loop
    async def test_one_that_is_given_up_again_waits_again(self, opened):
        journal = opened.open()
        await open_run(journal, "r", buried("a"), REOPENED, buried("a", 8_000))
        [letter] = await journal.letters(Letters())
        assert (letter.at_us, letter.redriven_run, letter.redriven_by) == (8_000, "", "")

    @in_loop
    async def test_a_letter_is_redriven_once(self, opened):
        journal = opened.open()
        await open_run(journal, "r", buried("a"), REOPENED)
        await refused(StaleDriver, journal, "r", 3, [REOPENED])
        assert await journal.purge([("r", "a")]) == 0  # else it could be redriven again
        await refused(StaleDriver, journal, "r", 3, [REOPENED])

    @in_loop
    async def test_a_fork_at_a_step_takes_the_letters_along_that_wait_and_may_be_made_as_often_as_anybody_likes(
        self, opened
    ):
        journal = opened.open()
        await open_run(journal, "r", buried("a"))
        for name in ("one", "two"):
            origin = e.Origin("r", ("b", "a"), "person:ann", at="b")
            await journal.append(name, 0, [e.RunStarted(9_000, Raw(b"{}"), "t", "p", origin=origin)], opening=OPENING)
        [letter] = await journal.letters(Letters())
        assert letter.redriven_run == "one"

    @in_loop
    async def test_a_run_that_has_ended_can_be_claimed_by_whoever_reopens_it(self, opened):
        mine, other = opened.open(), opened.open()
        await open_run(mine, "r", buried("a"), ENDED)
        assert ids(await other.claim("r", ended=True)) == ["r"]
        await refused(StaleDriver, mine, "r", 3, [REOPENED])
        await other.append("r", 3, [REOPENED])
        assert await mine.claim("r", ended=True) == []

    @in_loop
    async def test_a_letter_of_a_run_that_does_a_step_names_that_of_the_step(self, opened):
        journal = opened.open()
        await open_run(journal, "top", buried("nest", 5_000), buried("other", 5_000))
        for name, parent in (("of-nest", "nest"), ("of-done", "done"), ("of-gone", "nest")):
            first = msgspec.structs.replace(STARTED, parent=e.Parent("top", parent, 1))
            opening = msgspec.structs.replace(OPENING, parent="gone" if name == "of-gone" else "top")
            await journal.append(name, 0, [first, buried("a")], opening=opening)
        found = {letter.name: letter.above for letter in await opened.open().letters(Letters())}
        nobody = dict.fromkeys(("top/nest", "top/other", "of-done/a", "of-gone/a"), "")
        assert found == {**nobody, "of-nest/a": "top/nest"}

    @in_loop
    async def test_of_a_long_reason_the_list_has_the_beginning(self, opened):
        journal = opened.open()
        await open_run(journal, "r", e.StepBuried(2_000, "a", "ä" * 2_000))
        [letter] = await journal.letters(Letters())
        assert letter.reason == "ä" * 1_000

    @in_loop
    async def test_a_purged_letter_is_off_the_list_and_its_events_stay(self, opened):
        journal = opened.open()
        await open_run(journal, "r", buried("a"), buried("b"))
        assert await journal.purge([("r", "a"), ("r", "z"), ("z", "a")]) == 1
        assert [letter.name for letter in await opened.open().letters(Letters())] == ["r/b"]
        assert await journal.load("r") == [STARTED, buried("a"), buried("b")]
        assert await journal.purge([("r", "a")]) == 0

    # --- what can't be read ---

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b'{"t":"run_parked"', "the journal is damaged: event 1 of run r can't be read"),
            (b"[]", "the journal is damaged: event 1 of run r can't be read"),
            (b"\xff\x00", "the journal is damaged: event 1 of run r can't be read"),
            (
                b'{"t":"run_parked","at_us":-1,"reason":""}',
                "event 1 of run r, run_parked, can't be read (Expected",
            ),
            (b'{"t":"run_parked","at_us":2}', "event 1 of run r, run_parked, can't be read (Object missing"),
            (b'{"t":"run_parked","at_us":2,"reason":"\xff"}', "event 1 of run r, run_parked, can't be read"),
        ],
    )
    @in_loop
    async def test_a_damaged_event_is_named(self, opened, data, said):
        journal = opened.open()
        await open_run(journal, "r", attempt(1), attempt(2))
        await open_run(journal, "whole")
        opened.damage("r", 1, data)
        with pytest.raises(JournalError) as raised:
            await journal.load("r")
        assert said in raised.value.message
        assert "restore it from a copy" in raised.value.fix
        assert await journal.load("whole") == [STARTED]

    @in_loop
    async def test_a_kind_of_event_that_is_not_known_comes_from_a_newer_version(self, opened):
        journal = opened.open()
        await open_run(journal, "r", attempt(1))
        opened.damage("r", 1, b'{"t":"step_moved","at_us":2,"step":"s"}')
        with pytest.raises(JournalTooNew) as raised:
            await journal.load("r")
        assert "event 1 of run r is of a kind that this Interlock doesn't know: step_moved" in raised.value.message
        assert raised.value.fix == "update Interlock"

    @pytest.mark.parametrize(
        "data",
        [
            b'{"t":"run_started","at_us":1,"request":{},"team":"t","plan":"p","version":2}',
            b'{"t":"run_started","at_us":1,"version":2,"team":{"hash":"t"}}',
        ],
    )
    @in_loop
    async def test_a_run_of_a_newer_version_is_not_read(self, opened, data):
        journal = opened.open()
        await open_run(journal, "r", attempt(1))
        opened.damage("r", 0, data)
        with pytest.raises(JournalTooNew) as raised:
            await journal.load("r")
        assert raised.value.message == "the events of run r have version 2, and this Interlock knows versions up to 1"
        assert raised.value.fix == "update Interlock"

    # --- what lists show ---

    @in_loop
    async def test_a_new_run_is_running(self, opened):
        journal = opened.open()
        await open_batch(journal, 8)
        await journal.append("r", 0, [STARTED], opening=Opening(TEAM, PLAN, "x/team.yaml", "b", 7))
        row = await journal.run("r")
        shown = ("r", "running", "", TEAM, PLAN, "x/team.yaml", "b", 7, 1_000, 0, "", "", "")
        assert msgspec.structs.astuple(row) == shown

    @pytest.mark.parametrize(
        ("event", "status", "reason", "ended_us"),
        [
            (e.RunFinished(9_000, "succeeded"), "succeeded", "", 9_000),
            (e.RunFinished(9_000, "failed", "s is dead"), "failed", "s is dead", 9_000),
            (e.RunCancelled(9_000, "ann"), "cancelled", "cancelled by ann", 9_000),
            (e.RunCancelled(9_000, "ann", "wrong"), "cancelled", "cancelled by ann: wrong", 9_000),
            (e.RunParked(9_000, "a person is asked"), "parked", "a person is asked", 0),
        ],
    )
    @pytest.mark.parametrize("more", [[], [e.ReplyArrivedLate(9_500, "s", 1)]], ids=["last", "not last"])
    @in_loop
    async def test_lists_follow_the_events(self, opened, event, status, reason, ended_us, more):
        journal = opened.open()
        await open_run(journal)
        await journal.append("r", 1, [attempt(1), event, *more])
        row = await journal.run("r")
        assert (row.status, row.reason, row.started_us, row.ended_us) == (status, reason, 1_000, ended_us)
        assert await journal.runs() == [row]

    @in_loop
    async def test_a_run_may_end_as_it_begins(self, opened):
        journal = opened.open()
        await open_run(journal, "r", ENDED)
        row = await journal.run("r")
        assert (row.status, row.ended_us) == ("succeeded", 9_000)

    @in_loop
    async def test_a_parked_run_may_be_cancelled(self, opened):
        journal = opened.open()
        await open_run(journal, "r", PARKED)
        await journal.append("r", 2, [e.RunCancelled(9_000, "ann")])
        row = await journal.run("r")
        assert (row.status, row.ended_us) == ("cancelled", 9_000)

    @in_loop
    async def test_runs_are_listed_newest_first_by_status_and_batch(self, opened):
        journal = opened.open()
        await open_batch(journal, 3)
        for row in range(3):
            await open_run(journal, f"b-{row}", opening=row_of("b", row))
        await open_run(journal, "alone")
        await journal.append("b-1", 1, [ENDED])

        assert ids(await journal.runs()) == ["alone", "b-2", "b-1", "b-0"]
        assert ids(await journal.runs(limit=2)) == ["alone", "b-2"]
        assert ids(await journal.runs(status="running")) == ["alone", "b-2", "b-0"]
        assert ids(await journal.runs(batch="b")) == ["b-2", "b-1", "b-0"]
        assert ids(await journal.runs(status="succeeded", batch="b")) == ["b-1"]
        assert ids(await journal.runs(status="running", batch="b", limit=1)) == ["b-2"]
        assert await journal.runs(status="parked") == []

    @in_loop
    async def test_a_list_is_bounded_unless_asked_for_whole(self, opened):
        journal = opened.open()
        await asyncio.gather(*[open_run(journal, f"r{k}") for k in range(60)])
        assert len(await journal.runs()) == 50
        assert len(await journal.runs(limit=0)) == 60

    @in_loop
    async def test_a_list_goes_on_before_a_run(self, opened):
        journal = opened.open()
        await open_batch(journal, 2)
        for row in range(2):
            await open_run(journal, f"b-{row}", opening=row_of("b", row))
            await open_run(journal, f"alone-{row}")

        assert ids(await journal.runs(before="alone-1")) == ["b-1", "alone-0", "b-0"]
        assert ids(await journal.runs(before="alone-1", limit=2)) == ["b-1", "alone-0"]
        assert ids(await journal.runs(before="alone-1", batch="b")) == ["b-1", "b-0"]
        assert await journal.runs(before="b-0") == []
        assert await journal.runs(before="nobody") == []

    @in_loop
    async def test_a_list_leaves_out_runs_that_do_steps_of_others(self, opened):
        journal = opened.open()
        for name, parent in (("a", ""), ("a-child", "a"), ("b", ""), ("b-child", "b")):
            await open_run(journal, name, opening=msgspec.structs.replace(OPENING, parent=parent))
        assert ids(await journal.runs(top=True)) == ["b", "a"]
        assert ids(await journal.runs(top=True, limit=1)) == ["b"]
        assert ids(await journal.runs(top=True, before="b")) == ["a"]
        assert ids(await journal.runs()) == ["b-child", "b", "a-child", "a"]

    # --- ownership ---

    @in_loop
    async def test_a_live_owner_keeps_its_runs_and_batches(self, opened):
        owner, other = opened.open(), opened.open()
        await open_run(owner)
        await open_batch(owner, 1)
        assert await other.claim() == []
        assert await other.claim("r") == []
        assert await other.batches() == []
        await refused(StaleDriver, other, "r", 1, [attempt(1)])
        await owner.append("r", 1, [attempt(1)])

    @in_loop
    async def test_what_a_dead_owner_left_can_be_claimed(self, opened):
        owner, heir = opened.open(), opened.open()
        for run_id, *more in (["r"], ["s"], ["done", ENDED], ["parked", PARKED]):
            await open_run(owner, run_id, *more)
        batch = await open_batch(owner, 2)
        await owner.close()

        claimed = await heir.claim()

        assert ids(claimed) == ["r", "s"]
        assert claimed[0] == await heir.run("r")
        assert await heir.batches() == [batch]
        await heir.append("r", 1, [attempt(1)])

    @in_loop
    async def test_a_driver_that_lost_its_batch_opens_no_more_rows_of_it(self, opened):
        first, second = opened.open(), opened.open()
        await open_batch(first, 2)
        await open_run(first, "b-0", opening=row_of("b", 0))
        opened.lose(first)
        await second.claim()

        await refused(StaleDriver, first, "b-1", 0, [STARTED], opening=row_of("b", 1))

        assert await pending(second) == [(1, b"1")]
        await open_run(second, "b-1", opening=row_of("b", 1))
        assert await pending(second) == []

    @in_loop
    async def test_a_row_of_a_batch_becomes_a_run_once(self, opened):
        journal = opened.open()
        await open_batch(journal, 1)
        await open_run(journal, "b-0", opening=row_of("b", 0))
        await refused(StaleDriver, journal, "again", 0, [STARTED], opening=row_of("b", 0))
        await refused(StaleDriver, journal, "none", 0, [STARTED], opening=row_of("b", 7))

    @in_loop
    async def test_a_stale_writer_is_fenced_out(self, opened):
        first, second = opened.open(), opened.open()
        await open_run(first, "r", attempt(1))
        opened.lose(first)
        assert ids(await second.claim()) == ["r"]

        await refused(StaleDriver, first, "r", 2, [attempt(2)])
        await second.append("r", 2, [attempt(3)])
        await refused(StaleDriver, first, "r", 2, [attempt(2)])
        await refused(StaleDriver, first, "r", 3, [attempt(2)])
        assert await second.load("r") == [STARTED, attempt(1), attempt(3)]

    @in_loop
    async def test_own_runs_are_claimed_too(self, opened):
        journal, dead = opened.open(), opened.open()
        await open_run(journal, "mine")
        await open_run(dead, "left")
        await dead.close()
        assert sorted(ids(await journal.claim())) == ["left", "mine"]
        assert sorted(ids(await journal.claim())) == ["left", "mine"]
        assert ids(await journal.claim("mine")) == ["mine"]
        await journal.append("mine", 1, [attempt(1)])

    @in_loop
    async def test_one_run_can_be_claimed_by_itself(self, opened):
        owner, heir, other = opened.open(), opened.open(), opened.open()
        await open_run(owner, "r")
        await open_run(owner, "s")
        await open_batch(owner, 1)
        await owner.close()

        assert ids(await heir.claim("r")) == ["r"]
        assert await heir.batches() == []
        assert await other.claim("r") == []
        assert ids(await other.claim()) == ["s"]

    @in_loop
    async def test_a_parked_run_is_claimed_by_id_even_from_the_living(self, opened):
        owner, heir = opened.open(), opened.open()
        await open_run(owner, "r", PARKED)
        assert await heir.claim() == []
        (row,) = await heir.claim("r")
        assert row.status == "parked"
        await refused(StaleDriver, owner, "r", 2, [attempt(1)])
        await heir.append("r", 2, [attempt(1)])

    @in_loop
    async def test_a_run_that_ended_is_not_claimed(self, opened):
        owner, heir = opened.open(), opened.open()
        await open_run(owner, "r", ENDED)
        await owner.close()
        assert await heir.claim("r") == []
        assert await heir.claim() == []
        await refused(StaleDriver, heir, "r", 2, [attempt(1)])

    @in_loop
    async def test_claims_can_be_for_one_team(self, opened):
        owner, heir, other = opened.open(), opened.open(), opened.open()
        await open_run(owner, "r")
        await open_run(owner, "s", opening=Opening("u" * 64, PLAN))
        await open_batch(owner, 1, "of-t")
        await open_batch(owner, 1, "of-u", team="u" * 64)
        await owner.close()

        assert ids(await heir.claim(team="u" * 64)) == ["s"]
        assert [batch.batch_id for batch in await heir.batches()] == ["of-u"]
        assert ids(await heir.claim(team="u" * 64)) == ["s"]
        assert await heir.claim(team="u" * 64, source="elsewhere.yaml") == []
        assert ids(await heir.claim(team="u" * 64, source="")) == ["s"]
        assert await heir.claim(team="x" * 64) == []
        assert ids(await other.claim()) == ["r"]
        assert [batch.batch_id for batch in await other.batches()] == ["of-t"]

    @in_loop
    async def test_a_claimed_run_is_the_heirs_until_it_dies_too(self, opened):
        handles = [opened.open() for _ in range(3)]
        await open_run(handles[0])
        for dead, heir in itertools.pairwise(handles):
            assert await heir.claim() == []
            await dead.close()
            assert ids(await heir.claim()) == ["r"]

    # --- batches ---

    @in_loop
    async def test_a_batch_is_kept_with_its_rows(self, opened):
        journal = opened.open()
        batch = await open_batch(journal, 3)
        assert await journal.batch("b") == batch
        assert await journal.batches() == [batch]
        assert await pending(journal) == [(0, b"0"), (1, b"1"), (2, b"2")]

    @in_loop
    async def test_a_batch_is_opened_once(self, opened):
        journal = opened.open()
        await open_batch(journal, 2)
        with pytest.raises(JournalError):
            await open_batch(journal, 3)
        assert await pending(journal) == [(0, b"0"), (1, b"1")]

    @in_loop
    async def test_a_batch_whose_rows_cannot_be_read_is_not_opened(self, opened):
        journal = opened.open()

        def rows():
            yield b"0"
            raise ValueError("line 2")

        with pytest.raises(ValueError, match="line 2"):
            await journal.open_batch(Batch("b", TEAM, "", "", 1_000, 2), rows())
        with pytest.raises(RunNotFound):
            await journal.batch("b")
        assert await pending(journal) == []

    @in_loop
    async def test_a_row_leaves_with_the_opening_of_its_run(self, opened):
        journal = opened.open()
        await open_batch(journal, 3)
        await refused(StaleDriver, journal, "b-1", 1, [STARTED], opening=row_of("b", 1))
        assert len(await pending(journal)) == 3
        await open_run(journal, "b-1", opening=row_of("b", 1))
        assert await pending(journal) == [(0, b"0"), (2, b"2")]

    @in_loop
    async def test_a_batch_without_rows_left_is_nothing_to_resume(self, opened):
        journal = opened.open()
        batch = await open_batch(journal, 1)
        await open_run(journal, "b-0", opening=row_of("b", 0))
        assert await journal.batches() == []
        assert await pending(journal) == []
        assert await journal.batch("b") == batch

    @in_loop
    async def test_rows_can_leave_while_they_are_iterated(self, opened):
        journal = opened.open()
        await open_batch(journal, 250)
        seen = []
        async for row, request in journal.pending("b"):
            seen.append(row)
            assert request == b"%d" % row
            await open_run(journal, f"b-{row}", opening=row_of("b", row))
            if row == 10:
                # Another task is ahead: what it took must not come up again.
                await open_run(journal, "b-230", opening=row_of("b", 230))
        assert seen == [row for row in range(250) if row != 230]
        assert await pending(journal) == []

    # --- requests ---

    @in_loop
    async def test_asking_twice_is_asking_once(self, opened):
        driver, other = opened.open(), opened.open()
        await open_run(driver)
        await other.ask(CANCEL)
        await other.ask(CANCEL)
        await other.ask(msgspec.structs.replace(CANCEL, by="bob"))
        assert await driver.requests("r") == [CANCEL]
        assert await driver.requests("s") == []

    @in_loop
    async def test_an_answered_request_is_gone(self, opened):
        driver, other = opened.open(), opened.open()
        await open_run(driver)
        second = msgspec.structs.replace(CANCEL, request_id="again")
        await other.ask(CANCEL)
        await other.ask(second)
        await driver.append("r", 1, [attempt(1)], settles=[CANCEL.request_id])
        assert await driver.requests("r") == [second]
        await driver.append("r", 2, [attempt(2)], settles=[CANCEL.request_id, "unheard of"])
        assert await other.requests("r") == [second]

    @in_loop
    async def test_a_request_may_carry_something(self, opened):
        journal = opened.open()
        await open_run(journal)
        request = Request("decide-1", "r", "decide", "person:eve", "why", b'{"step":"s","verb":"retry"}')
        await journal.ask(request)
        assert await journal.requests("r") == [request]

    # --- runs that do a step of another ---

    @in_loop
    async def test_a_run_says_whose_step_it_does(self, opened):
        journal = opened.open()
        await open_run(journal, "p")
        await open_run(journal, "c", opening=msgspec.structs.replace(OPENING, parent="p"))
        assert [row.parent for row in await opened.open().runs()] == ["p", ""]
        assert (await journal.run("c")).parent == "p"

    @in_loop
    async def test_no_step_is_begun_of_a_run_that_has_ended(self, opened):
        """Another process may have cancelled it, and with it the runs that it knew of."""
        journal, other = opened.open(), opened.open()
        await open_run(other, "p")
        await open_run(journal, "c", opening=msgspec.structs.replace(OPENING, parent="p"))
        await other.append("p", 1, [e.RunCancelled(9, "person:eve", "never mind")])
        with pytest.raises(StaleDriver):
            await open_run(journal, "d", opening=msgspec.structs.replace(OPENING, parent="p"))
        assert [row.run_id for row in await journal.runs()] == ["c", "p"]

    @in_loop
    async def test_an_append_asks_something_of_another_run_once(self, opened):
        journal, other = opened.open(), opened.open()
        await open_run(journal)
        await open_run(other, "p")
        asked = Request("child/r/2", "p", "child", "r", "why", b"{}")
        await journal.append("r", 1, [PARKED], asks=[asked])
        assert await opened.open().requests("p") == [asked]
        await journal.append("r", 2, [attempt(1)], asks=[msgspec.structs.replace(asked, reason="again")])
        assert await opened.open().requests("p") == [asked]

    @in_loop
    async def test_an_append_that_is_refused_asks_nothing(self, opened):
        journal = opened.open()
        await open_run(journal)
        await open_run(journal, "p")
        await refused(StaleDriver, journal, "r", 5, [PARKED], asks=[Request("child/r/2", "p", "child", "r")])
        assert await journal.requests("p") == []

    @in_loop
    async def test_of_a_run_that_is_over_or_not_there_an_append_asks_nothing(self, opened):
        journal = opened.open()
        await open_run(journal)
        await open_run(journal, "p", ENDED)
        asks = [Request("1", "p", "child", "r"), Request("2", "unheard-of", "child", "r")]
        await journal.append("r", 1, [PARKED], asks=asks)
        assert [await journal.requests(run_id) for run_id in ("p", "unheard-of")] == [[], []]

    @in_loop
    async def test_the_owner_hears_what_an_append_of_another_asks(self, opened):
        driver, other = opened.open(), opened.open()
        await open_run(driver, "p")
        await open_run(other)
        heard: asyncio.Queue[Request] = asyncio.Queue()
        driver.listen(heard.put_nowait)
        asked = Request("child/r/2", "p", "child", "r")
        await other.append("r", 1, [PARKED], asks=[asked])
        assert await heard.get() == asked

    @in_loop
    async def test_parked_runs_of_which_something_is_asked_are_known(self, opened):
        journal = opened.open()
        for name in ("r", "q", "p"):
            await open_run(journal, name, *([PARKED] if name != "r" else []))
        assert await journal.asked() == []
        for name in ("r", "q"):
            await journal.ask(Request(f"cancel-{name}", name, "cancel", "ann"))
        assert await journal.asked() == ["q"]
        await journal.append("q", 2, [attempt(1)], settles=["cancel-q"])
        assert await opened.open().asked() == []

    @in_loop
    async def test_a_request_from_which_nothing_follows_may_be_settled(self, opened):
        journal = opened.open()
        await open_run(journal)
        await journal.ask(CANCEL)
        await journal.settle([CANCEL.request_id, "unheard of"])
        assert await opened.open().requests("r") == []

    # --- what waits for a person ---

    @in_loop
    async def test_what_waits_for_a_person_is_listed_until_it_is_decided(self, opened):
        journal = opened.open()
        asked = [e.QuestionAsked(2_000 + n, f"s{n}", 1, Question(f"May I {n}?")) for n in range(2)]
        await open_run(journal, "r", *reversed(asked), PARKED)
        await open_run(journal, "q", asked[0])
        first, second = (
            WaitingQuestion("r", f"s{n}", 1, f"May I {n}?", 2_000 + n, 0, TEAM, "team.yaml") for n in range(2)
        )
        assert await journal.questions("r") == [first, second]
        assert [(one.run_id, one.step) for one in await opened.open().questions()] == [
            ("q", "s0"),
            ("r", "s0"),
            ("r", "s1"),
        ]
        assert (await journal.run("r")).status == "parked"
        await journal.append("r", 4, [e.QuestionAnswered(6_000, "s0", 1, "person:eve", "answer", "yes")])
        assert await journal.questions("r") == [second]
        row = await journal.run("r")
        assert (row.status, row.reason, row.ended_us) == ("running", "", 0)
        await journal.append("r", 5, [e.AnswerRefused(6_000, "s0", "person:bob", "retry", ()), PARKED])
        assert (await journal.run("r")).status == "parked"
        again = e.QuestionAsked(7_000, "s0", 2, Question("Sure?"))
        await journal.append("r", 7, [again])
        assert [one.attempt for one in await journal.questions("r")] == [1, 2]
        assert await journal.questions("nobody") == []

    @in_loop
    async def test_who_asked_for_more_of_a_budget_that_is_raised_asks_no_more(self, opened):
        journal = opened.open()
        asked = [e.StepEscalated(2_000, f"s{n}", 0, "it is spent", budget="run_budget") for n in range(3)]
        await open_run(journal, "r", *asked, PARKED)
        assert len(await journal.questions("r")) == 3
        await journal.append(
            "r", 5, [e.BudgetRaised(3_000, "s0", 0, "person:eve", "run_budget", calls=1, others=("s2",))]
        )
        assert [one.step for one in await journal.questions("r")] == ["s1"]
        assert (await journal.run("r")).status == "running"

    @in_loop
    async def test_a_run_that_is_cancelled_asks_nobody_any_more(self, opened):
        journal = opened.open()
        asked = e.QuestionAsked(2_000, "s", 1, Question("May I?"))
        await open_run(journal, "r", asked, PARKED)
        await open_run(journal, "q", asked, PARKED)
        await journal.append("r", 3, [e.RunCancelled(9_000, "ann")])
        assert [one.run_id for one in await journal.questions()] == ["q"]

    @in_loop
    async def test_a_request_needs_a_run(self, opened):
        journal = opened.open()
        with pytest.raises(RunNotFound):
            await journal.ask(CANCEL)
        assert await journal.requests("r") == []

    @in_loop
    async def test_a_driver_hears_requests_for_its_runs_only(self, opened):
        driver, other, asker = opened.open(), opened.open(), opened.open()
        await open_run(driver)
        await open_run(other, "s")
        heard: asyncio.Queue[Request] = asyncio.Queue()
        other_heard: asyncio.Queue[Request] = asyncio.Queue()
        driver.listen(heard.put_nowait)
        other.listen(other_heard.put_nowait)

        await asker.ask(CANCEL)
        assert await heard.get() == CANCEL

        # Had the other one heard that too, it would have been before this.
        cancel_other = Request("cancel-s", "s", "cancel", "ann")
        await asker.ask(cancel_other)
        assert await other_heard.get() == cancel_other

    @in_loop
    async def test_a_busy_driver_hears_too(self, opened):
        driver, asker = opened.open(), opened.open()
        await open_run(driver)
        heard = asyncio.Event()
        driver.listen(lambda request: heard.set())
        asked = asyncio.gather(asker.ask(CANCEL))
        number = 0
        async with asyncio.timeout(10):
            while not heard.is_set():
                number += 1
                await driver.append("r", number, [attempt(number)])
                await asyncio.sleep(0)
        await asked

    # --- blobs ---

    @in_loop
    async def test_content_is_kept_once_under_its_hash(self, opened):
        one, other = opened.open(), opened.open()
        key = await one.put_blob(b"team \x00\xff")
        assert await other.put_blob(b"team \x00\xff") == key
        assert await one.put_blob(b"") != key
        assert await other.blob(key) == b"team \x00\xff"
        assert await other.blob(await one.put_blob(b"")) == b""
        # Compatibility data: BLAKE2b-256 of the content, in hex.
        assert await one.put_blob(b"abcdef") == "755b8c020bf6b81a3e1d069e177e19e3892c256595c1a94ddb5a902b9e3c6212"

    # --- closing ---

    @in_loop
    async def test_a_closed_journal_says_so(self, opened):
        journal = opened.open()
        await open_run(journal)
        await journal.close()
        await journal.close()
        for use in (
            lambda: journal.append("r", 1, [attempt(1)]),
            lambda: journal.load("r"),
            lambda: journal.run("r"),
            journal.runs,
            journal.claim,
            lambda: journal.claim("r"),
            lambda: journal.put_blob(b""),
            lambda: journal.blob("0" * 64),
            lambda: open_batch(journal, 1),
            lambda: journal.batch("b"),
            journal.batches,
            lambda: pending(journal),
            lambda: journal.ask(CANCEL),
            lambda: journal.requests("r"),
        ):
            with pytest.raises(JournalError, match="the journal is closed"):
                await use()
        with pytest.raises(JournalError, match="the journal is closed"):
            journal.listen(print)

    @in_loop
    async def test_closing_finishes_what_is_pending(self, opened):
        journal, other = opened.open(), opened.open()
        appends = [journal.append("r", 0, [STARTED], opening=OPENING)]
        appends += [journal.append("r", number, [attempt(number)]) for number in range(1, 50)]
        await asyncio.gather(journal.close(), journal.close())
        await asyncio.gather(*appends)
        assert len(await other.load("r")) == 50

    # --- gates ---

    @in_loop
    async def test_a_turn_changes_gates_and_returns_what_it_says(self, opened):
        journal = opened.open()

        def turn(found):
            assert [(at.gate, list(at.outcomes), at.moved) for at in found] == [(Gate(), [], []), (Gate(), [], [])]
            found[0].gate.ended = 7
            found[1].gate.grants["k"] = Grant(5, 6, 1)
            found[1].moved.append(TRIPPED)
            return "said"

        assert await journal.at_gates(["t/a", "t/"], turn) == "said"
        assert [(name, at.gate, list(at.outcomes), list(at.moved)) for name, at in await journal.gates()] == [
            ("t/", Gate(grants={"k": Grant(5, 6, 1)}), [], [TRIPPED]),
            ("t/a", Gate(ended=7), [], []),
        ]

    @in_loop
    async def test_handles_see_what_each_other_do_at_gates(self, opened):
        one, other = opened.open(), opened.open()
        for number, journal in enumerate((one, other, other, one)):
            assert await journal.at_gates(["t/a"], counted) == number

    @in_loop
    async def test_turns_at_the_same_time_come_one_after_the_other(self, opened):
        handles = [opened.open() for _ in range(3)]
        turns = [journal.at_gates(["t/a"], counted) for _ in range(20) for journal in handles]
        assert sorted(await asyncio.gather(*turns)) == list(range(60))

    @in_loop
    async def test_a_turn_that_raises_changes_nothing(self, opened):
        journal = opened.open()
        await open_run(journal)
        await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD)])
        await journal.at_gates(["t/b"], counted)

        def fails(found):
            assert list(found[0].outcomes) == [BAD]
            for at in found:
                counted([at])
                at.gate.grants["k"] = Grant(5)
                at.gate.requests.slots.append((1, 1))
                at.gate.ledger.spent.calls += 1
                at.gate.breaker.state = "open"
                at.moved.append(TRIPPED)
            raise ZeroDivisionError

        before = await journal.gates()
        with pytest.raises(ZeroDivisionError):
            await journal.at_gates(["t/a", "t/b"], fails)
        assert await journal.gates() == before
        assert await journal.at_gates(["t/a"], outcomes) == [BAD]

    @in_loop
    async def test_what_is_told_comes_in_order_and_once(self, opened):
        journal, other = opened.open(), opened.open()
        await open_run(journal)
        await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD), ("t/", BAD), ("t/a", GOOD)])
        await journal.append("r", 2, [attempt(2)], told=[("t/a", BAD)])

        assert await other.at_gates(["t/a"], outcomes) == [BAD, GOOD, BAD]
        assert await journal.at_gates(["t/a"], outcomes) == []
        assert await journal.at_gates(["t/"], outcomes) == [BAD]

    @in_loop
    async def test_gates_that_were_only_told_something_are_listed(self, opened):
        journal = opened.open()
        await open_run(journal)
        await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD)])
        assert [(name, at.gate, list(at.outcomes)) for name, at in await journal.gates()] == [("t/a", Gate(), [BAD])]

    @in_loop
    async def test_whoever_drives_a_run_no_more_has_no_turn_for_it(self, opened):
        one, other = opened.open(), opened.open()
        await open_run(one, "r")
        await open_run(other, "s")
        assert await one.at_gates(["t/a"], counted, ["r"]) == 0
        for runs in (["s"], ["r", "s"], ["unknown"]):
            with pytest.raises(StaleDriver, match=f"run {runs[-1]} is driven by another process now"):
                await one.at_gates(["t/a"], counted, runs)
        assert await other.at_gates(["t/a"], counted, ["s"]) == 1

    @in_loop
    async def test_looking_at_gates_changes_nothing(self, opened):
        journal = opened.open()
        await journal.at_gates(["t/a"], counted)
        ((_, at),) = await journal.gates()
        at.gate.ended = 99
        assert await journal.at_gates(["t/a"], counted) == 1

    @in_loop
    async def test_an_append_that_is_refused_tells_nothing(self, opened):
        journal, other = opened.open(), opened.open()
        await open_run(journal)
        for handle, seq in ((journal, 0), (journal, 2), (other, 1)):
            with pytest.raises(StaleDriver):
                await handle.append("r", seq, [attempt(1)], told=[("t/a", BAD)])
        with pytest.raises(StaleDriver):
            await other.append("r", 0, [STARTED], opening=OPENING, told=[("t/a", BAD)])
        assert await journal.at_gates(["t/a"], outcomes) == []

    @in_loop
    async def test_what_is_asked_within_an_append_knows_what_it_tells_and_adds_to_it(self, opened):
        """A journal that can't have turns at once has none there, and whoever appends asks later."""
        journal, found = opened.open(), []

        def also(at_gates):
            found.append(at_gates(["t/a"], outcomes))
            return [attempt(2)]

        await open_run(journal)
        await journal.append("r", 1, [attempt(1)], told=[("t/a", BAD)], also=also)
        assert (found, len(await journal.load("r"))) in [([[BAD]], 3), ([], 2)]

    @in_loop
    async def test_nothing_is_asked_within_an_append_that_is_refused(self, opened):
        journal, asked = opened.open(), []
        await open_run(journal)
        with pytest.raises(StaleDriver):
            await journal.append("r", 2, [attempt(1)], also=asked.append)
        assert not asked

    @in_loop
    async def test_of_what_a_breaker_did_the_newest_is_kept(self, opened):
        journal = opened.open()
        moves = [Moved(number, "open", "bad") for number in range(MOVES_KEPT_MAX + 7)]
        await journal.at_gates(["t/b"], lambda found: found[0].moved.append(TRIPPED))
        for some in (moves[:50], moves[50:60], moves[60:]):
            await journal.at_gates(["t/a"], lambda found, some=some: found[0].moved.extend(some))

        (_, at), (_, beside) = await journal.gates()
        assert list(at.moved) == moves[: -MOVES_KEPT_MAX - 1 : -1]
        assert list(beside.moved) == [TRIPPED]

    @in_loop
    async def test_a_closed_journal_has_no_gates(self, opened):
        journal = opened.open()
        await journal.close()
        for use in (journal.gates, lambda: journal.at_gates(["t/a"], counted)):
            with pytest.raises(JournalError, match="the journal is closed"):
                await use()

    # --- notices ---

    @in_loop
    async def test_a_notice_is_durable_with_what_it_is_about(self, opened):
        journal, other = opened.open(), opened.open()
        facts = [STARTED, ASKS, DIES]
        await journal.append("r", 0, facts, opening=OPENING, posting=posting(WAITS, GIVEN_UP))
        [one, two] = await other.take_notices("t", "slack", 0, 1, 9)
        assert ((one.recipient, one.notice), (two.recipient, two.notice)) == (("slack", WAITS), ("slack", GIVEN_UP))
        assert one.number < two.number

    @in_loop
    async def test_an_append_that_is_refused_posts_nothing(self, opened):
        journal, other = opened.open(), opened.open()
        await open_run(journal)
        for handle, seq in ((journal, 0), (journal, 2), (other, 1)):
            with pytest.raises(StaleDriver):
                await handle.append("r", seq, [attempt(1)], posting=posting(WAITS))
        assert await take(journal) == []

    @in_loop
    async def test_a_notice_is_had_by_one_at_a_time(self, opened):
        one, other = opened.open(), opened.open()
        await open_run(one)
        await post(one, 1, WAITS)
        assert await take(one, 0) == [WAITS]
        assert await take(other, 0) == await take(other, 999_999) == []

    @in_loop
    async def test_what_a_dead_taker_had_is_due_again(self, opened):
        one, other = opened.open(), opened.open()
        await open_run(one)
        await post(one, 1, WAITS)
        await take(one, 0)
        opened.lose(one)
        assert await take(other, 1_000_000) == [WAITS]

    @in_loop
    async def test_what_is_settled_is_over_and_what_is_put_off_comes_again(self, opened):
        journal = opened.open()
        await open_run(journal)
        await post(journal, 1, WAITS, GIVEN_UP)
        [one, two] = await journal.take_notices("t", "slack", 0, 1_000, 9)
        await journal.settle_notices([one.number])
        await journal.settle_notices([two.number, 99], 5_000)
        assert await take(journal, 4_999) == []
        assert await take(journal, 5_000) == [GIVEN_UP]

    @in_loop
    async def test_notices_that_a_wrong_clock_put_off_are_due(self, opened):
        journal = opened.open()
        await open_run(journal)
        await post(journal, 1, WAITS)
        [one] = await journal.take_notices("t", "slack", 0, 1, 9)
        await journal.settle_notices([one.number], 7_000 + PUT_OFF_US_MAX)
        assert await take(journal, 7_000) == []
        assert await take(journal, 6_999) == [WAITS]

    @in_loop
    async def test_notices_are_of_a_team_and_for_a_target_the_oldest_first(self, opened):
        journal = opened.open()
        await open_run(journal)
        await post(journal, 1, WAITS, GIVEN_UP)
        await post(journal, 3, WAITS, recipient="mail")
        await post(journal, 4, GIVEN_UP, team="u")
        assert await take(journal, limit=1) == [WAITS]
        assert await take(journal) == [GIVEN_UP]
        assert await take(journal, recipient="mail") == [WAITS]
        assert await take(journal, team="u") == [GIVEN_UP]
        assert await take(journal, team="v") == await take(journal, recipient="fax") == []

    @in_loop
    async def test_a_turn_at_a_gate_posts_what_it_tells(self, opened):
        journal = opened.open()

        def turn(found):
            found[0].team, found[0].notices = "t", [("slack", OPENED)]

        def fails(found):
            turn(found)
            raise ValueError

        with pytest.raises(ValueError):
            await journal.at_gates(["t/a"], fails)
        assert await take(journal) == []
        await journal.at_gates(["t/a"], turn)
        assert await take(journal) == [OPENED]

    @pytest.mark.parametrize(
        "over",
        [
            e.QuestionAnswered(5_000, "s", 1, "person:eve", "answer", "yes"),
            e.QuestionExpired(5_000, "s", 1, "dead"),
            e.RunCancelled(5_000, "ann"),
            msgspec.structs.replace(ASKS, at_us=5_000),
        ],
        ids=lambda event: event.__struct_config__.tag,
    )
    @in_loop
    async def test_a_question_that_waits_no_more_is_not_told_of(self, opened, over):
        journal = opened.open()
        await open_run(journal)
        await post(journal, 1, WAITS)
        await journal.append("r", 2, [over])
        assert await take(journal) == []
        if isinstance(over, e.QuestionAsked):  # the next one waits, and was not posted
            await journal.append("r", 3, [ASKS])
            assert await take(journal) == []

    @pytest.mark.parametrize("how", ["redriven", "purged", "given up again"])
    @in_loop
    async def test_a_letter_that_is_off_the_list_is_not_told_of(self, opened, how):
        journal = opened.open()
        await open_run(journal)
        await post(journal, 1, GIVEN_UP)
        if how == "purged":
            await journal.purge([("r", "s")])
        else:
            await journal.append("r", 2, [msgspec.structs.replace(REOPENED, steps=("s",))])
        if how == "given up again":
            again = msgspec.structs.replace(GIVEN_UP, at_us=8_000)
            await journal.append("r", 3, [buried("s", 8_000)], posting=posting(again))
            assert await take(journal) == [again]
        assert await take(journal) == []

    @in_loop
    async def test_old_notices_of_a_team_are_forgotten(self, opened):
        journal = opened.open()
        await open_run(journal)
        await post(journal, 1, WAITS, GIVEN_UP)
        await post(journal, 3, WAITS, recipient="mail")
        await post(journal, 4, WAITS, team="u")
        assert await journal.forget_notices("t", WAITS.at_us) == 0
        assert await journal.forget_notices("t", WAITS.at_us + 1) == 2
        assert await take(journal, recipient="mail") == []
        assert (await take(journal), await take(journal, team="u")) == ([GIVEN_UP], [WAITS])

    @in_loop
    async def test_a_closed_journal_has_no_notices(self, opened):
        journal = opened.open()
        await journal.close()
        for use in (
            lambda: journal.take_notices("t", "slack", 0, 1, 9),
            lambda: journal.settle_notices([1]),
            lambda: journal.forget_notices("t", 1),
        ):
            with pytest.raises(JournalError, match="the journal is closed"):
                await use()
