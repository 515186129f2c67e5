"""Journals for tests: one that takes its time like a disk, and one that breaks what is written through it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any

from interlock.core.events import AnyEvent
from interlock.core.gate import AtGate
from interlock.errors import JournalError, JournalFull, JournalUnavailable
from interlock.journal.memory import MemoryJournal, MemoryStore
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
from interlock.testing.chance import Chance

from .faults import Faults

# Seconds that a write may take: most find a quick disk, some a busy one.
DELAYS = (0.0, 0.0, 0.0, 0.0005, 0.001, 0.005, 0.05)

Durable = Callable[[str, Sequence[AnyEvent], Opening | None], None]


class SlowJournal(MemoryJournal):
    """A memory journal that is durable only after a while. What waits is written together, as in a group commit.

    random: draws the delays; None for none. durable: is told what has become durable, in order.
    """

    def __init__(self, store: MemoryStore, random: Random | None, durable: Durable) -> None:
        super().__init__(store)
        self._random, self._durable = random, durable
        self._waiting: list[tuple[asyncio.Future[None], tuple[Any, ...]]] = []

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
        delay = self._random.choice(DELAYS) if self._random is not None else 0.0
        if not delay and not self._waiting:
            return super().append(
                run_id,
                expected_seq,
                events,
                opening=opening,
                settles=settles,
                asks=asks,
                told=told,
                posting=posting,
                also=also,
            )
        self._check_open()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((done, (run_id, expected_seq, list(events), opening, settles, asks, told, posting)))
        if len(self._waiting) == 1:
            loop.call_later(delay, self._write)
        return done

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done, append in waiting:
            try:
                self._append(*append)
            except Exception as error:  # noqa: BLE001 - an append that can't be made harms none that waits with it
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(None)

    def _append(  # noqa: PLR0913, PLR0917 - what is durable together
        self,
        run_id: str,
        expected_seq: int,
        events: Sequence[AnyEvent],
        opening: Opening | None,
        settles: Sequence[str],
        asks: Sequence[Request],
        told: Told,
        posting: Posting = NOTHING_POSTED,
        also: Also | None = None,
    ) -> Sequence[AnyEvent]:
        events = list(events)  # whoever adds to them may do so in place, too
        added = super()._append(run_id, expected_seq, events, opening, settles, asks, told, posting, also)
        self._durable(run_id, [*events, *added], opening)
        return added

    def die(self) -> None:
        """See Handle."""
        self.alive, self.closed, self.tell = False, True, None

    def lose(self) -> None:
        """See Handle."""
        self.alive = False

    async def close(self) -> None:
        """See ports.Journal."""
        if self._waiting:
            self._write()
        await super().close()


class FaultyJournal:
    """A journal in front of another, some of whose writes fail, or kill the process before or after.

    name: of the process, for the draws. die: kills this process. lose: makes others believe that it is dead. note: is
    told the name and the kind of each fault.
    """

    def __init__(
        self,
        inner: Journal,
        faults: Faults,
        chance: Chance,
        *,
        name: str,
        die: Callable[[], None],
        lose: Callable[[], None],
        note: Callable[[str, str], None],
    ) -> None:
        self.inner = inner
        self._faults, self._chance, self._name = faults, chance, name
        self._die, self._lose, self._note = die, lose, note
        self.writes = self.loaded = 0

    def _fate(self) -> str:
        """What becomes of the next write; "" if nothing does."""
        self.writes += 1
        injection = self._faults.of_write(self._chance, self._name, self.writes)
        if injection is None:
            return ""
        self._note(injection.name, injection.kind)
        return injection.kind

    # --- writes ---

    def append(self, run_id: str, expected_seq: int, events: Sequence[AnyEvent], **beside: Any) -> asyncio.Future[None]:
        """See ports.Journal."""
        fate = self._fate()
        if not fate or self._before(fate):
            written = self.inner.append(run_id, expected_seq, events, **beside)
            return self._after(written) if fate == "crash_after_write" else written
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        error = _error(fate)
        if error is not None:
            answer.set_exception(error)
        return answer

    def at_gates(
        self, names: Sequence[str], turn: Callable[[Sequence[AtGate]], Result], runs: Sequence[str] = ()
    ) -> asyncio.Future[Result]:
        """See ports.Journal."""
        fate = self._fate()
        if not fate or self._before(fate):
            taken = self.inner.at_gates(names, turn, runs)
            return self._after(taken) if fate == "crash_after_write" else taken
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        error = _error(fate)
        if error is not None:
            answer.set_exception(error)
        return answer

    def _before(self, fate: str) -> bool:
        """What happens before a write; whether it is still made."""
        if fate == "crash_before_write":
            self._die()
        elif fate == "stale_driver":
            self._lose()
        return fate in {"stale_driver", "crash_after_write"}

    def _after(self, written: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Die as soon as it is written; nobody is told any more."""
        if written.done():
            self._die()
        else:
            written.add_done_callback(lambda _: self._die())
        return asyncio.get_running_loop().create_future()

    async def _write(self, write: Callable[[], Any]) -> Any:
        fate = self._fate()
        if fate and not self._before(fate):
            error = _error(fate)
            if error is not None:
                raise error
            await asyncio.get_running_loop().create_future()
        result = await write()
        if fate == "crash_after_write":
            self._die()
            await asyncio.get_running_loop().create_future()
        return result

    async def claim(
        self, run_id: str = "", *, team: str = "", source: str | None = None, ended: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        claim = partial(self.inner.claim, run_id, team=team, source=source, ended=ended)
        claimed: list[RunRow] = await self._write(claim)
        return claimed

    async def put_blob(self, data: bytes) -> str:
        """See ports.Journal."""
        key: str = await self._write(lambda: self.inner.put_blob(data))
        return key

    async def open_batch(self, batch: Batch, requests: Iterable[bytes]) -> None:
        """See ports.Journal."""
        await self._write(lambda: self.inner.open_batch(batch, requests))

    async def ask(self, request: Request) -> None:
        """See ports.Journal."""
        await self._write(lambda: self.inner.ask(request))

    async def settle(self, requests: Sequence[str]) -> None:
        """See ports.Journal."""
        await self._write(lambda: self.inner.settle(requests))

    async def take_notices(self, team: str, recipient: str, now_us: int, until_us: int, limit: int) -> list[Taken]:
        """See ports.Journal."""
        taken: list[Taken] = await self._write(
            lambda: self.inner.take_notices(team, recipient, now_us, until_us, limit)
        )
        return taken

    async def settle_notices(self, numbers: Sequence[int], again_us: int = 0) -> None:
        """See ports.Journal."""
        await self._write(lambda: self.inner.settle_notices(numbers, again_us))

    async def forget_notices(self, team: str, before_us: int) -> int:
        """See ports.Journal."""
        count: int = await self._write(lambda: self.inner.forget_notices(team, before_us))
        return count

    async def purge(self, letters: Sequence[tuple[str, str]]) -> int:
        """See ports.Journal."""
        count: int = await self._write(lambda: self.inner.purge(letters))
        return count

    # --- reads ---

    async def gates(self) -> list[tuple[str, AtGate]]:
        """See ports.Journal."""
        return await self.inner.gates()

    async def load(self, run_id: str) -> list[AnyEvent]:
        """See ports.Journal."""
        events = await self.inner.load(run_id)
        self.loaded += len(events)
        return events

    async def run(self, run_id: str) -> RunRow:
        """See ports.Journal."""
        return await self.inner.run(run_id)

    async def runs(
        self, *, status: str = "", batch: str = "", limit: int = 50, before: str = "", top: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        return await self.inner.runs(status=status, batch=batch, limit=limit, before=before, top=top)

    async def letters(self, wanted: Letters, limit: int = 50) -> list[LetterRow]:
        """See ports.Journal."""
        return await self.inner.letters(wanted, limit)

    async def blob(self, key: str) -> bytes:
        """See ports.Journal."""
        return await self.inner.blob(key)

    async def batch(self, batch_id: str) -> Batch:
        """See ports.Journal."""
        return await self.inner.batch(batch_id)

    async def batches(self) -> list[Batch]:
        """See ports.Journal."""
        return await self.inner.batches()

    def pending(self, batch_id: str) -> AsyncIterator[tuple[int, bytes]]:
        """See ports.Journal."""
        return self.inner.pending(batch_id)

    async def requests(self, run_id: str) -> list[Request]:
        """See ports.Journal."""
        return await self.inner.requests(run_id)

    async def asked(self) -> list[str]:
        """See ports.Journal."""
        return await self.inner.asked()

    async def questions(self, run_id: str = "") -> list[WaitingQuestion]:
        """See ports.Journal."""
        return await self.inner.questions(run_id)

    async def waits(self, run_id: str = "") -> list[WaitingStep]:
        """See ports.Journal."""
        return await self.inner.waits(run_id)

    def listen(self, hear: Callable[[Request], None]) -> None:
        """See ports.Journal."""
        self.inner.listen(hear)

    async def close(self) -> None:
        """See ports.Journal."""
        await self.inner.close()


def _error(fate: str) -> JournalError | None:
    if fate == "disk_full":
        return JournalFull("no space left for the journal (injected)", fix="free some, then: interlock resume")
    return JournalUnavailable("the journal can't be written (injected)") if fate == "write_error" else None
