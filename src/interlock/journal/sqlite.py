"""The durable journal: one SQLite file, one writer thread, many runs' events in one transaction (group commit)."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from interlock.core.events import AnyEvent, encode
from interlock.core.gate import AtGate
from interlock.errors import JournalError, JournalUnavailable
from interlock.ports import (
    NOTHING_POSTED,
    Also,
    Batch,
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

from .decoding import decoded
from .projection import Projection
from .store import Append, SqliteStore

log = logging.getLogger("interlock")

GROUP_APPENDS_MAX = 2_000
LISTEN_SECONDS = 0.2


class _Work(msgspec.Struct, gc=False):
    """Something for the writer thread, and the future that waits for it."""

    do: Append | Callable[[], Any]
    done: asyncio.Future[Any]


class _Close:
    """The last thing the writer thread takes."""


class SqliteJournal:
    """A journal in a SQLite file, made where it is missing. Raises JournalError where it can't be used."""

    def __init__(self, path: str | Path) -> None:
        self._store = SqliteStore(Path(path))
        self._queue: SimpleQueue[_Work | _Close] = SimpleQueue()
        self._taken: list[_Work] = []
        self._listener: tuple[asyncio.AbstractEventLoop, Callable[[Request], None]] | None = None
        self._next_listen = 0.0
        self._closed = False
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=self._write, name="interlock-journal", daemon=True)
        self._thread.start()

    # --- the journal, called in event loops ---

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
        assert events, "an append has events"
        data, shown = [encode(event) for event in events], Projection.of(run_id, events)
        return self._submit(
            Append(run_id, expected_seq, data, shown, opening, events[0].at_us, settles, asks, told, posting)
        )

    def at_gates(
        self, names: Sequence[str], turn: Callable[[Sequence[AtGate]], Result], runs: Sequence[str] = ()
    ) -> asyncio.Future[Result]:
        """See ports.Journal."""
        return self._submit(lambda: self._store.carry_out(lambda: self._store.at_gates(names, turn, runs)))

    async def gates(self) -> list[tuple[str, AtGate]]:
        """See ports.Journal."""
        return await self._change(self._store.gates)

    async def load(self, run_id: str) -> list[AnyEvent]:
        """See ports.Journal."""
        return decoded(run_id, await self._read(lambda: self._store.load(run_id)))

    async def run(self, run_id: str) -> RunRow:
        """See ports.Journal."""
        return await self._read(lambda: self._store.run(run_id))

    async def runs(
        self, *, status: str = "", batch: str = "", limit: int = 50, before: str = "", top: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        return await self._read(lambda: self._store.runs(status, batch, limit, before, top=top))

    async def claim(
        self, run_id: str = "", *, team: str = "", source: str | None = None, ended: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        return await self._change(lambda: self._store.claim(run_id, team, source, ended=ended))

    async def letters(self, wanted: Letters, limit: int = 50) -> list[LetterRow]:
        """See ports.Journal."""
        return await self._read(lambda: self._store.letters(wanted, limit))

    async def purge(self, letters: Sequence[tuple[str, str]]) -> int:
        """See ports.Journal."""
        return await self._change(lambda: self._store.purge(letters))

    async def take_notices(self, team: str, recipient: str, now_us: int, until_us: int, limit: int) -> list[Taken]:
        """See ports.Journal."""
        return await self._change(lambda: self._store.take_notices(team, recipient, now_us, until_us, limit))

    async def settle_notices(self, numbers: Sequence[int], again_us: int = 0) -> None:
        """See ports.Journal."""
        await self._change(lambda: self._store.settle_notices(numbers, again_us))

    async def forget_notices(self, team: str, before_us: int) -> int:
        """See ports.Journal."""
        return await self._change(lambda: self._store.forget_notices(team, before_us))

    async def put_blob(self, data: bytes) -> str:
        """See ports.Journal."""
        return await self._change(lambda: self._store.put_blob(data))

    async def blob(self, key: str) -> bytes:
        """See ports.Journal."""
        return await self._read(lambda: self._store.blob(key))

    async def open_batch(self, batch: Batch, requests: Iterable[bytes]) -> None:
        """See ports.Journal."""
        await self._change(lambda: self._store.open_batch(batch, requests))

    async def batch(self, batch_id: str) -> Batch:
        """See ports.Journal."""
        return await self._read(lambda: self._store.batch(batch_id))

    async def batches(self) -> list[Batch]:
        """See ports.Journal."""
        return await self._read(self._store.batches)

    async def pending(self, batch_id: str) -> AsyncIterator[tuple[int, bytes]]:
        """See ports.Journal."""
        row = -1
        while chunk := await self._read(lambda after=row: self._store.pending(batch_id, after)):  # type: ignore[misc]
            for row, request in chunk:
                yield row, request

    async def ask(self, request: Request) -> None:
        """See ports.Journal."""
        await self._change(lambda: self._store.ask(request))

    async def requests(self, run_id: str) -> list[Request]:
        """See ports.Journal."""
        return await self._read(lambda: self._store.requests(run_id))

    async def asked(self) -> list[str]:
        """See ports.Journal."""
        return await self._read(self._store.asked)

    async def settle(self, requests: Sequence[str]) -> None:
        """See ports.Journal."""
        await self._change(lambda: self._store.settle(requests))

    async def questions(self, run_id: str = "") -> list[WaitingQuestion]:
        """See ports.Journal."""
        return await self._read(lambda: self._store.questions(run_id))

    async def waits(self, run_id: str = "") -> list[WaitingStep]:
        """See ports.Journal."""
        return await self._read(lambda: self._store.waits(run_id))

    def listen(self, hear: Callable[[Request], None]) -> None:
        """See ports.Journal."""
        self._check_open()
        self._listener = asyncio.get_running_loop(), hear

    async def close(self) -> None:
        """See ports.Journal."""
        if not self._closed:
            self._closed = True
            self._queue.put(_Close())
        # After a fork there is no thread to wait for.
        if self._thread.is_alive() or self._ended.done():
            await asyncio.wrap_future(self._ended)
            self._thread.join()

    async def _change(self, work: Callable[[], Result]) -> Result:
        """In a transaction of its own."""
        result: Result = await self._submit(lambda: self._store.carry_out(work))
        return result

    async def _read(self, work: Callable[[], Result]) -> Result:
        result: Result = await self._submit(lambda: self._store.read(work))
        return result

    def _submit(self, do: Append | Callable[[], Any]) -> asyncio.Future[Any]:
        self._check_open()
        done = asyncio.get_running_loop().create_future()
        self._queue.put(_Work(do, done))
        return done

    def _check_open(self) -> None:
        if self._closed:
            raise _closed()
        if not self._thread.is_alive():
            raise JournalError("this process is a fork of the one that opened the journal", fix="open it again here")

    # --- the writer thread ---

    def _write(self) -> None:
        """Take what is waiting, write all appends of it in one transaction, tell those who wait, and listen."""
        failure: JournalError | None = None
        try:
            while self._turn():
                self._listen()
        except BaseException as error:  # noqa: BLE001 - nobody may wait for ever for a thread that died
            failure = JournalUnavailable(f"the journal's writer failed: {error!r}")
            failure.__cause__ = error
        self._closed = True
        self._refuse_rest(failure or _closed())
        try:
            self._store.close()
        except JournalError as error:
            failure = failure or error
        if failure is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(failure)

    def _turn(self) -> bool:
        """Carry out what is waiting; False at the end."""
        other = self._take()
        appends = self._taken[:-1] if isinstance(other, _Work) else self._taken
        if appends:
            errors = self._store.append([work.do for work in appends])  # type: ignore[misc]
            _tell([(work.done, None, error) for work, error in zip(appends, errors, strict=True)])
        if isinstance(other, _Work):
            _tell([self._carry_out(other)])
        return not isinstance(other, _Close)

    def _take(self) -> _Work | _Close | None:
        """Take the appends at the head of the queue, and what comes after them: other work, the end, or nothing."""
        taken: list[_Work] = []
        self._taken = taken
        while len(taken) < GROUP_APPENDS_MAX:
            try:
                work = self._queue.get(block=not taken, timeout=LISTEN_SECONDS)
            except Empty:
                return None
            if isinstance(work, _Close):
                return work
            taken.append(work)
            if not isinstance(work.do, Append):
                return work
        return None

    def _carry_out(self, work: _Work) -> "_Outcome":
        assert not isinstance(work.do, Append)
        try:
            return work.done, work.do(), None
        except BaseException as error:  # noqa: BLE001 - belongs to whoever waits for this work, in another thread
            return work.done, None, error

    def _refuse_rest(self, error: JournalError) -> None:
        """Whoever still waits, and for whatever reason: it will not happen."""
        rest = self._taken
        with suppress(Empty):
            while True:
                work = self._queue.get_nowait()
                if isinstance(work, _Work):
                    rest.append(work)
        _tell([(work.done, None, copy(error)) for work in rest])

    def _listen(self) -> None:
        now = time.monotonic()
        if self._listener is None or now < self._next_listen:
            return
        self._next_listen = now + LISTEN_SECONDS
        loop, hear = self._listener
        try:
            for request in self._store.news():
                _wake(loop, hear, request)
        except JournalError:
            pass  # it will be told to whoever appends; here it only means: later
        except Exception:
            log.exception("a request in the journal can't be read; the journal goes on")


def _closed() -> JournalError:
    return JournalError("the journal is closed")


_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]


def _tell(outcomes: list[_Outcome]) -> None:
    """One wake-up of each loop for all that was done for it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, mine in by_loop.items():
        _wake(loop, _resolve, mine)


def _wake(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *values: Any) -> None:
    # In a loop that is closed nobody waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *values)


def _resolve(outcomes: list[_Outcome]) -> None:
    for done, result, error in outcomes:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
