"""Journals for tests: they keep every promise of a journal, until a fault breaks just the one it names."""

import asyncio
from random import Random

import pytest

import interlock.core.events as e
from interlock.errors import JournalError, JournalFull, JournalUnavailable, StaleDriver
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Batch
from interlock.testing.chance import Chance
from interlock.testing.injection.faults import Fault, Faults
from interlock.testing.injection.journals import DELAYS, FaultyJournal, SlowJournal
from tests import virtual
from tests.journal.contract import CANCEL, ENDED, OPENING, STARTED, TEAM, JournalContract, Opened, attempt, open_run

SEED = 5


def ignore(*_):
    """Nobody listens."""


@pytest.fixture(autouse=True)
def in_virtual_time(monkeypatch):
    """The contract runs each of its tests by asyncio.run: here no delay of a disk takes any time."""
    monkeypatch.setattr(asyncio, "run", virtual.run)


# --- the contract ---


class Slow(Opened):
    """Handles on one store that take their time."""

    def __init__(self, random):
        super().__init__()
        self.store, self.random = MemoryStore(), random

    def new_handle(self):
        return SlowJournal(self.store, self.random, ignore)

    def lose(self, handle):
        handle.lose()

    def damage(self, run_id, seq, data):
        self.store.events[run_id][seq] = data


class InFront(Slow):
    """The same behind journals that break nothing."""

    def new_handle(self):
        return faulty(super().new_handle(), Faults())

    def lose(self, handle):
        super().lose(handle.inner)


def faulty(inner, faults, **told):
    given = {"name": "process-1", "die": ignore, "lose": ignore, "note": ignore, **told}
    return FaultyJournal(inner, faults, Chance(SEED), **given)


class TestSlowJournalWithoutChance(JournalContract):
    @pytest.fixture
    def opened(self):
        return Slow(None)


class TestSlowJournal(JournalContract):
    @pytest.fixture(params=range(3))
    def opened(self, request):
        return Slow(Random(request.param))


class TestFaultyJournalWithoutFaults(JournalContract):
    @pytest.fixture(params=[None, 1])
    def opened(self, request):
        return InFront(None if request.param is None else Random(request.param))


# --- slowness ---


class Delays:
    """A disk whose delays are told."""

    def __init__(self, *delays):
        self.delays = [*delays]

    def choice(self, known):
        assert known is DELAYS
        return self.delays.pop(0) if self.delays else 0.0


class Told:
    """A slow journal, and what it said of its writes: when, which run, how many events."""

    def __init__(self, *delays):
        self.store, self.said = MemoryStore(), []
        self.journal = SlowJournal(self.store, Delays(*delays), self.durable)

    def durable(self, run_id, events, opening):
        self.said.append((virtual.seconds(), run_id, len(events), opening is not None))


def in_virtual(test):
    def run():
        return virtual.run(test())

    run.__name__ = test.__name__
    return run


@in_virtual
async def test_a_write_takes_its_time():
    told = Told(0.05)
    written = told.journal.append("r", 0, [STARTED], opening=OPENING)
    await asyncio.sleep(0.049)
    assert not written.done()
    assert told.store.events == {}
    await written
    assert told.said == [(0.05, "r", 1, True)]


@in_virtual
async def test_a_write_without_delay_is_done_at_once():
    told = Told(0.0)
    assert told.journal.append("r", 0, [STARTED], opening=OPENING).done()
    assert told.said == [(0.0, "r", 1, True)]


@in_virtual
async def test_what_waits_is_written_together_and_in_order():
    told = Told(0.05, 0.0, 0.001)
    first = told.journal.append("r", 0, [STARTED], opening=OPENING)
    await asyncio.sleep(0.01)
    second = told.journal.append("r", 1, [attempt(1), attempt(2)])
    other = told.journal.append("s", 0, [STARTED], opening=OPENING)
    assert not second.done()
    await other
    assert first.done()
    assert second.done()
    assert told.said == [(0.05, "r", 1, True), (0.05, "r", 2, False), (0.05, "s", 1, True)]


@in_virtual
async def test_after_a_group_comes_the_next():
    told = Told(0.005, 0.001)
    await told.journal.append("r", 0, [STARTED], opening=OPENING)
    await told.journal.append("r", 1, [attempt(1)])
    assert [at for at, *_ in told.said] == [0.005, 0.006]


@in_virtual
async def test_of_a_group_only_what_can_be_written_is_said():
    told = Told(0.05)
    appends = [
        told.journal.append("r", 0, [STARTED], opening=OPENING),
        told.journal.append("r", 7, [attempt(1)]),
        told.journal.append("r", 1, [e.RunCancelled(2_000, "\ud800")]),
        told.journal.append("r", 1, []),
        told.journal.append("r", 1, [attempt(2)]),
    ]
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        StaleDriver,
        UnicodeEncodeError,
        AssertionError,
        type(None),
    ]
    assert [count for _, _, count, _ in told.said] == [1, 1]


@in_virtual
async def test_an_append_that_failed_tells_nobody_who_gave_up():
    told = Told(0.05)
    told.journal.append("nobody's", 1, [attempt(1)]).cancel()
    await told.journal.append("r", 0, [STARTED], opening=OPENING)
    assert told.said == [(0.05, "r", 1, True)]


@in_virtual
async def test_closing_writes_what_waits():
    told = Told(0.05)
    written = told.journal.append("r", 0, [STARTED], opening=OPENING)
    await told.journal.close()
    assert written.done()
    assert told.said == [(0.0, "r", 1, True)]
    await asyncio.sleep(1)
    assert len(told.said) == 1


@in_virtual
async def test_with_its_process_a_journal_dies_and_its_runs_are_free():
    told = Told(0.0, 0.05)
    await told.journal.append("r", 0, [STARTED], opening=OPENING)
    told.journal.listen(print)
    written = told.journal.append("r", 1, [attempt(1)])
    told.journal.die()
    with pytest.raises(JournalError, match="closed"):
        await written
    assert told.journal.tell is None
    assert len(told.store.events["r"]) == 1
    heir = SlowJournal(told.store, None, ignore)
    assert [row.run_id for row in await heir.claim()] == ["r"]


# --- faults of writes ---


class Broken:
    """A journal one of whose writes is struck: which, what it told, and what is stored."""

    def __init__(self, kind, *, delay=None):
        self.told = []
        self.store = MemoryStore()
        inner = MemoryJournal(self.store) if delay is None else SlowJournal(self.store, Delays(delay), ignore)
        self.journal = FaultyJournal(
            inner,
            Faults([Fault(fault=kind)]),
            Chance(SEED),
            name="process-1",
            die=lambda: self.told.append("die"),
            lose=lambda: self.told.append("lose"),
            note=lambda name, kind: self.told.append(f"{kind}: {name}"),
        )

    def open(self):
        return self.journal.append("r", 0, [STARTED], opening=OPENING)


async def answered(written):
    """What a write answers; None if it never does."""
    done, _ = await asyncio.wait([written], timeout=60)
    return written.exception() or "written" if done else None


@in_virtual
async def test_a_crash_before_a_write_stores_nothing_and_tells_nobody():
    broken = Broken("crash_before_write")
    assert await answered(broken.open()) is None
    assert broken.told == ["crash_before_write: 0:process-1/1:crash_before_write", "die"]
    assert broken.store.events == {}


@pytest.mark.parametrize("delay", [None, 0.0, 0.05])
def test_a_crash_after_a_write_stores_it_and_tells_nobody(delay):
    async def main():
        broken = Broken("crash_after_write", delay=delay)
        written = broken.open()
        assert ("die" in broken.told) == (not delay), "it dies when it is durable, not before"
        assert await answered(written) is None
        assert broken.told == ["crash_after_write: 0:process-1/1:crash_after_write", "die"]
        assert len(broken.store.events["r"]) == 1

    virtual.run(main())


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("write_error", JournalUnavailable, "the journal can't be written"),
        ("disk_full", JournalFull, "no space left for the journal"),
    ],
)
def test_a_write_that_fails_stores_nothing_and_says_so(kind, error, said):
    async def main():
        broken = Broken(kind)
        found = await answered(broken.open())
        assert type(found) is error
        assert said in found.message
        assert broken.told == [f"{kind}: 0:process-1/1:{kind}"]
        assert broken.store.events == {}

    virtual.run(main())


@in_virtual
async def test_a_stale_driver_is_believed_dead_and_still_writes():
    broken = Broken("stale_driver")
    assert await answered(broken.open()) == "written"
    assert broken.told == ["stale_driver: 0:process-1/1:stale_driver", "lose"]
    assert len(broken.store.events["r"]) == 1


@in_virtual
async def test_a_stale_driver_finds_that_another_has_taken_over():
    store = MemoryStore()
    inner, heir = MemoryJournal(store), MemoryJournal(store)
    await open_run(inner)

    def lose():
        inner.alive = False
        store.owners["r"] = heir

    journal = faulty(inner, Faults([Fault(fault="stale_driver")]), lose=lose)
    with pytest.raises(StaleDriver):
        await journal.append("r", 1, [attempt(1)])
    assert len(store.events["r"]) == 1


OTHER_WRITES = {
    "claim": lambda journal: journal.claim(),
    "put_blob": lambda journal: journal.put_blob(b"blob"),
    "open_batch": lambda journal: journal.open_batch(Batch("b", TEAM, "", "", 1_000, 1), [b"0"]),
    "ask": lambda journal: journal.ask(CANCEL),
}


def has_changed(store):
    """Whether any of these writes has left something, be it the claim of the run."""
    return bool(store.blobs or store.batches or store.requests or not store.owners["r"].closed)


@pytest.mark.parametrize("write", OTHER_WRITES)
@pytest.mark.parametrize(
    "kind", ["crash_before_write", "crash_after_write", "write_error", "disk_full", "stale_driver"]
)
def test_every_kind_of_write_can_be_struck(kind, write):
    async def main():
        broken = Broken(kind)
        first = MemoryJournal(broken.store)
        await open_run(first)
        await first.close()
        task = asyncio.get_running_loop().create_task(OTHER_WRITES[write](broken.journal))
        answer = await answered(task)
        says = {"crash_before_write": ["die"], "crash_after_write": ["die"], "stale_driver": ["lose"]}
        assert broken.told[1:] == says.get(kind, [])
        assert has_changed(broken.store) == (kind in {"crash_after_write", "stale_driver"})
        if kind in {"crash_before_write", "crash_after_write"}:
            assert answer is None
        elif kind == "stale_driver":
            assert answer == "written"
        else:
            assert type(answer) is (JournalFull if kind == "disk_full" else JournalUnavailable)

    virtual.run(main())


@in_virtual
async def test_writes_are_counted_and_drawn_by_their_number():
    told = []
    faults = Faults([Fault(fault="write_error", probability=0.3)])
    journal = faulty(MemoryJournal(), faults, note=lambda name, kind: told.append(name))
    written = []
    for number in range(1, 41):
        try:
            await journal.put_blob(b"%d" % number)
            written.append(number)
        except JournalError:
            assert told[-1] == f"0:process-1/{number}:write_error"
    assert journal.writes == 40
    assert len(told) == 40 - len(written)
    assert 4 <= len(told) <= 20


@in_virtual
async def test_what_only_reads_is_never_struck():
    store = MemoryStore()
    owner = MemoryJournal(store)
    await open_run(owner, "r", ENDED)
    key = await owner.put_blob(b"blob")
    batch = Batch("b", TEAM, "", "", 1_000, 1)
    await owner.open_batch(batch, [b"0"])
    told = []
    faults = Faults([Fault(fault="crash_before_write")])
    journal = faulty(owner, faults, note=lambda name, kind: told.append(name))
    assert await journal.load("r") == [STARTED, ENDED]
    assert (await journal.run("r")).status == "succeeded"
    assert [row.run_id for row in await journal.runs()] == ["r"]
    assert await journal.blob(key) == b"blob"
    assert await journal.batch("b") == batch
    assert await journal.batches() == [batch]
    assert [row async for row in journal.pending("b")] == [(0, b"0")]
    assert await journal.requests("r") == []
    journal.listen(print)
    assert owner.tell is not None
    await journal.close()
    assert owner.closed
    assert (journal.writes, told) == (0, [])
