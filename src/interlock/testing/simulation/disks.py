"""What the journals of a simulated world are kept on: memory, or a real SQLite file.

A file is the slower one, and the honest one: the statements, the transactions and the lock files are those of
production. The death of a process closes its connection and frees its locks, as the system would.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from interlock.core.events import AnyEvent, encode
from interlock.core.gate import AtGate
from interlock.errors import JournalError
from interlock.journal.decoding import decoded
from interlock.journal.memory import MemoryStore
from interlock.journal.projection import Projection
from interlock.journal.store import Append, SqliteStore
from interlock.ports import (
    NOTHING_POSTED,
    Also,
    Batch,
    Journal,
    LetterRow,
    Letters,
    Opening,
    Posting,
    Request,
    Result,
    RunRow,
    Taken,
    Told,
    WaitingQuestion,
    WaitingStep,
)
from interlock.testing.injection.journals import DELAYS, Durable, SlowJournal


class Handle(Journal, Protocol):
    """A journal of one simulated process."""

    def die(self) -> None:
        """The process is dead: nothing more can be done through this handle, and its locks are free."""

    def lose(self) -> None:
        """Others take the process for dead, and may have what it owns; it goes on."""


class Disk(Protocol):
    """Where all processes of a world have their journal."""

    def open(self, random: Random | None, durable: Durable) -> Handle:
        """A handle for another process. random: draws its delays; None for none."""

    def rows(self) -> list[RunRow]:
        """All runs."""

    def row(self, run_id: str) -> RunRow:
        """One run."""

    def stored(self, run_id: str) -> list[bytes]:
        """The events of a run, as they are stored."""

    def asked(self) -> Sequence[str]:
        """The parked runs of which something is asked."""

    def has_batch(self) -> bool:
        """Whether the batch of the world is stored."""

    def close(self) -> None:
        """Remove what is left."""


class MemoryDisk:
    """All in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def open(self, random: Random | None, durable: Durable) -> Handle:
        """See Disk."""
        return SlowJournal(self.store, random, durable)

    def rows(self) -> list[RunRow]:
        """See Disk."""
        return list(self.store.rows.values())

    def row(self, run_id: str) -> RunRow:
        """See Disk."""
        return self.store.rows[run_id]

    def stored(self, run_id: str) -> list[bytes]:
        """See Disk."""
        return self.store.events[run_id]

    def asked(self) -> Sequence[str]:
        """See Disk."""
        named = {request.run_id for request in self.store.requests.values()}
        return [run_id for run_id in named if self.store.rows[run_id].status == "parked"]

    def has_batch(self) -> bool:
        """See Disk."""
        return bool(self.store.batches)

    def close(self) -> None:
        """See Disk."""


class SqliteDisk:
    """A SQLite file in a folder of its own, which is removed at the end."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="interlock-simulation-")
        self._path = Path(self._folder.name) / "journal.db"
        self._handles: list[SlowSqliteJournal] = []
        self._onlooker = _opened(self._path)

    def open(self, random: Random | None, durable: Durable) -> Handle:
        """See Disk."""
        handle = SlowSqliteJournal(self._path, random, durable, self._handles)
        self._handles.append(handle)
        return handle

    def rows(self) -> list[RunRow]:
        """See Disk."""
        return self._onlooker.read(lambda: self._onlooker.runs("", "", 0))

    def row(self, run_id: str) -> RunRow:
        """See Disk."""
        return self._onlooker.read(lambda: self._onlooker.run(run_id))

    def stored(self, run_id: str) -> list[bytes]:
        """See Disk."""
        return self._onlooker.read(lambda: self._onlooker.load(run_id))

    def asked(self) -> Sequence[str]:
        """See Disk."""
        return self._onlooker.read(self._onlooker.asked)

    def has_batch(self) -> bool:
        """See Disk."""
        return bool(self._onlooker.read(lambda: self._onlooker.db.execute("SELECT count(*) FROM batch").get))

    def close(self) -> None:
        """See Disk."""
        for handle in self._handles:
            handle.die()
        self._onlooker.close()
        self._folder.cleanup()


def _opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.db.execute("PRAGMA synchronous=OFF")  # what a process wrote outlives its death; only a power cut would tell
    return store


class SlowSqliteJournal:
    """A journal in a SQLite file, in the loop's own thread, whose writes take virtual time.

    neighbours: the other handles on the file; whoever leaves a request there wakes them, where in life they poll.
    """

    def __init__(
        self, path: Path, random: Random | None, durable: Durable, neighbours: "list[SlowSqliteJournal]"
    ) -> None:
        self._store = _opened(path)
        self._random, self._durable, self._neighbours = random, durable, neighbours
        self._waiting: list[tuple[asyncio.Future[None], Append, Sequence[AnyEvent]]] = []
        self._wake: Callable[[], Any] | None = None
        self._closed = False

    # --- the process ---

    def die(self) -> None:
        """See Handle."""
        if not self._closed:
            self._closed, self._wake = True, None
            self._store.db.close()
            self._store.locks.give_up()

    def lose(self) -> None:
        """See Handle."""
        self._store.locks.give_up()

    def wake(self) -> None:
        """Somebody has left a request."""
        if self._wake is not None:
            self._wake()

    # --- the journal ---

    def append(  # noqa: PLR0913 - what is durable together, by name
        self,
        run_id: str,
        expected_seq: int,
        events: Sequence[AnyEvent],
        *,
        opening: Opening | None = None,
        settles: Sequence[str] = (),
        asks: Sequence[Request] = (),
        told: Told = (),
        posting: Posting = NOTHING_POSTED,
        also: Also | None = None,
    ) -> asyncio.Future[None]:
        """See ports.Journal."""
        self._check_open()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        data = [encode(event) for event in events]
        shown = Projection.of(run_id, events)
        item = Append(run_id, expected_seq, data, shown, opening, events[0].at_us, settles, asks, told, posting)
        self._waiting.append((done, item, list(events)))
        delay = self._random.choice(DELAYS) if self._random is not None else 0.0
        if len(self._waiting) > 1:
            return done
        if delay:
            loop.call_later(delay, self._write)
        else:
            self._write()
        return done

    def _write(self) -> None:
        """One group commit for all that waits."""
        if self._closed:
            return
        waiting, self._waiting = self._waiting, []
        errors = self._store.append([item for _, item, _ in waiting])
        for (done, item, events), error in zip(waiting, errors, strict=True):
            if error is None:
                self._durable(item.run_id, events, item.opening)
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def at_gates(
        self, names: Sequence[str], turn: Callable[[Sequence[AtGate]], Result], runs: Sequence[str] = ()
    ) -> asyncio.Future[Result]:
        """See ports.Journal."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        done.set_result(self._change(lambda: self._store.at_gates(names, turn, runs)))
        return done

    async def gates(self) -> list[tuple[str, AtGate]]:
        """See ports.Journal."""
        found: list[tuple[str, AtGate]] = self._read(self._store.gates)
        return found

    async def load(self, run_id: str) -> list[AnyEvent]:
        """See ports.Journal."""
        return decoded(run_id, self._read(lambda: self._store.load(run_id)))

    async def run(self, run_id: str) -> RunRow:
        """See ports.Journal."""
        row: RunRow = self._read(lambda: self._store.run(run_id))
        return row

    async def runs(
        self, *, status: str = "", batch: str = "", limit: int = 50, before: str = "", top: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        rows: list[RunRow] = self._read(lambda: self._store.runs(status, batch, limit, before, top=top))
        return rows

    async def claim(
        self, run_id: str = "", *, team: str = "", source: str | None = None, ended: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        rows: list[RunRow] = self._change(lambda: self._store.claim(run_id, team, source, ended=ended))
        return rows

    async def letters(self, wanted: Letters, limit: int = 50) -> list[LetterRow]:
        """See ports.Journal."""
        rows: list[LetterRow] = self._read(lambda: self._store.letters(wanted, limit))
        return rows

    async def purge(self, letters: Sequence[tuple[str, str]]) -> int:
        """See ports.Journal."""
        count: int = self._change(lambda: self._store.purge(letters))
        return count

    async def take_notices(self, team: str, recipient: str, now_us: int, until_us: int, limit: int) -> list[Taken]:
        """See ports.Journal."""
        taken: list[Taken] = self._change(lambda: self._store.take_notices(team, recipient, now_us, until_us, limit))
        return taken

    async def settle_notices(self, numbers: Sequence[int], again_us: int = 0) -> None:
        """See ports.Journal."""
        self._change(lambda: self._store.settle_notices(numbers, again_us))

    async def forget_notices(self, team: str, before_us: int) -> int:
        """See ports.Journal."""
        count: int = self._change(lambda: self._store.forget_notices(team, before_us))
        return count

    async def put_blob(self, data: bytes) -> str:
        """See ports.Journal."""
        key: str = self._change(lambda: self._store.put_blob(data))
        return key

    async def blob(self, key: str) -> bytes:
        """See ports.Journal."""
        data: bytes = self._read(lambda: self._store.blob(key))
        return data

    async def open_batch(self, batch: Batch, requests: Iterable[bytes]) -> None:
        """See ports.Journal."""
        self._change(lambda: self._store.open_batch(batch, requests))

    async def batch(self, batch_id: str) -> Batch:
        """See ports.Journal."""
        found: Batch = self._read(lambda: self._store.batch(batch_id))
        return found

    async def batches(self) -> list[Batch]:
        """See ports.Journal."""
        found: list[Batch] = self._read(self._store.batches)
        return found

    async def pending(self, batch_id: str) -> AsyncIterator[tuple[int, bytes]]:
        """See ports.Journal."""
        row = -1
        while chunk := self._read(partial(self._store.pending, batch_id, row)):
            for row, request in chunk:
                yield row, request

    async def ask(self, request: Request) -> None:
        """See ports.Journal."""
        self._change(lambda: self._store.ask(request))
        for neighbour in self._neighbours:
            neighbour.wake()

    async def requests(self, run_id: str) -> list[Request]:
        """See ports.Journal."""
        found: list[Request] = self._read(lambda: self._store.requests(run_id))
        return found

    async def asked(self) -> list[str]:
        """See ports.Journal."""
        found: list[str] = self._read(self._store.asked)
        return found

    async def settle(self, requests: Sequence[str]) -> None:
        """See ports.Journal."""
        self._change(lambda: self._store.settle(requests))

    async def questions(self, run_id: str = "") -> list[WaitingQuestion]:
        """See ports.Journal."""
        found: list[WaitingQuestion] = self._read(lambda: self._store.questions(run_id))
        return found

    async def waits(self, run_id: str = "") -> list[WaitingStep]:
        """See ports.Journal."""
        found: list[WaitingStep] = self._read(lambda: self._store.waits(run_id))
        return found

    def listen(self, hear: Callable[[Request], None]) -> None:
        """See ports.Journal."""
        self._check_open()
        loop = asyncio.get_running_loop()

        def look() -> None:
            for request in () if self._closed else self._store.news():
                hear(request)

        self._wake = lambda: loop.call_soon(look)

    async def close(self) -> None:
        """See ports.Journal."""
        if not self._closed:
            self._write()
            self._closed, self._wake = True, None
            self._store.close()

    def _read(self, work: Callable[[], Any]) -> Any:
        self._check_open()
        return self._store.read(work)

    def _change(self, work: Callable[[], Any]) -> Any:
        self._check_open()
        return self._store.carry_out(work)

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")
