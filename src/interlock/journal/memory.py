"""A journal in memory: for tests, for simulation, and for runs that need not survive their process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import dropwhile, islice
from typing import Any

import msgspec

from interlock.core.breaker import Moved
from interlock.core.events import AnyEvent, RunStarted, encode
from interlock.core.gate import AtGate, Gate, Outcome, copied
from interlock.core.notice import Notice
from interlock.core.values import content_hash
from interlock.errors import JournalError, RunNotFound, StaleDriver
from interlock.ports import (
    MOVES_KEPT_MAX,
    NOTHING_POSTED,
    PUT_OFF_US_MAX,
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

from .decoding import decoded, step_above_in
from .projection import EVERY_STEP, Buried, Redriven, letters_in, questions_after, status_after

_OPEN = frozenset({"running", "parked"})


class PostedNotice(msgspec.Struct):
    """A notice that is not delivered yet; due_us: nobody takes it before."""

    team: str
    taken: Taken
    due_us: int = 0


class MemoryStore:
    """What a journal file would hold. Several MemoryJournals on one store are like several processes on one file."""

    def __init__(self) -> None:
        self.events: dict[str, list[bytes]] = {}
        self.rows: dict[str, RunRow] = {}
        self.owners: dict[str, MemoryJournal] = {}
        self.blobs: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.batch_owners: dict[str, MemoryJournal] = {}
        self.batch_rows: dict[str, dict[int, bytes]] = {}
        self.requests: dict[str, Request] = {}
        self.gates: dict[str, Gate] = {}
        self.told: dict[str, list[Outcome]] = {}
        self.moves: dict[str, list[Moved]] = {}
        self.letters: dict[tuple[str, str], LetterRow] = {}
        self.questions: dict[str, dict[str, WaitingQuestion]] = {}
        self.waits: dict[str, dict[str, WaitingStep]] = {}
        self.notices: dict[int, PostedNotice] = {}
        self.notices_posted = 0


class MemoryJournal:
    """A handle on a store of its own, or on a shared one."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.closed = False
        self.alive = True
        self.tell: Callable[[Request], Any] | None = None

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
        """See ports.Journal. What it returns is done already."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._append(run_id, expected_seq, events, opening, settles, asks, told, posting, also)
        except JournalError as error:
            done.set_exception(error)
        else:
            done.set_result(None)
        return done

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
        self._check_open()
        assert events, "an append has events"
        store = self.store
        data = [encode(event) for event in events]
        owner = store.owners.get(run_id)
        stored = store.events[run_id] if owner is not None else []
        letters = letters_in(events)
        mine = owner is (self if opening is None else None) and self._may_open(opening)
        if not mine or len(stored) != expected_seq or self._are_redriven(run_id, letters):
            raise StaleDriver.of(run_id)
        if opening is not None:
            self._open_run(run_id, opening, events[0], stored)
        stored += data
        status = status_after(events)
        if status is not None:
            row = store.rows[run_id]
            store.rows[run_id] = msgspec.structs.replace(row, status=status[0], reason=status[1], ended_us=status[2])
        for change in letters:
            self._change_letters(run_id, change)
        self._ask_people(run_id, events)
        for request_id in settles:
            store.requests.pop(request_id, None)
        for request in asks:
            self._ask_beside(request)
        for name, outcome in told:
            store.told.setdefault(name, []).append(outcome)
        self._post(posting)
        if also is None:
            return ()
        added = also(self._at_gates)
        stored += map(encode, added)
        return added

    def _ask_beside(self, request: Request) -> None:
        """Ask something of another run, unless it is over; its owner hears of it, whoever asks knows."""
        row = self.store.rows.get(request.run_id)
        if row is None or row.status not in _OPEN:
            return
        owner, is_new = self.store.owners[request.run_id], request.request_id not in self.store.requests
        self.store.requests.setdefault(request.request_id, request)
        if is_new and owner is not self and owner.tell is not None:
            owner.tell(request)

    def _post(self, posting: Posting) -> None:
        store = self.store
        for recipient, notice in posting.notices:
            store.notices_posted += 1
            number = store.notices_posted
            store.notices[number] = PostedNotice(posting.team, Taken(number, recipient, notice))

    def _ask_people(self, run_id: str, events: Sequence[AnyEvent]) -> None:
        for step, question in questions_after(run_id, events):
            row = self.store.rows[run_id]
            asked, begun = self.store.questions.setdefault(run_id, {}), self.store.waits.setdefault(run_id, {})
            if isinstance(question, WaitingStep):
                begun[step] = msgspec.structs.replace(question, team=row.team, source=row.source)
            elif question is not None:
                asked[step] = msgspec.structs.replace(question, team=row.team, source=row.source)
            else:
                for waiting in (asked, begun):
                    for name in [step] if step != EVERY_STEP else [*waiting]:
                        waiting.pop(name, None)

    def _are_redriven(self, run_id: str, changes: Sequence[Buried | Redriven]) -> bool:
        """Whether somebody else has redriven one of these letters before."""
        for change in changes:
            if isinstance(change, Buried) or change.at_will:
                continue
            found = (self.store.letters.get((change.run_id or run_id, step)) for step in change.steps)
            if any(letter is not None and letter.redriven_run for letter in found):
                return True
        return False

    def _change_letters(self, run_id: str, change: Buried | Redriven) -> None:
        letters, row = self.store.letters, self.store.rows[run_id]
        if isinstance(change, Buried):
            told = (change.step, change.agent, change.reason, change.attempts, change.at_us)
            letters[run_id, change.step] = LetterRow(run_id, *told, row.source, row.batch)
            return
        for key in ((change.run_id or run_id, step) for step in change.steps):
            if key in letters and not letters[key].redriven_run:
                letters[key] = msgspec.structs.replace(
                    letters[key],
                    redriven_run=run_id,
                    redriven_us=change.at_us,
                    redriven_by=change.by,
                    redriven_reason=change.reason,
                )

    def _may_open(self, opening: Opening | None) -> bool:
        """Whether a run may be opened so: for a run that goes on; the row of a batch by the batch's owner, once."""
        if opening is None:
            return True
        above = self.store.rows.get(opening.parent)
        if above is not None and above.status not in _OPEN:
            return False
        if not opening.batch:
            return True
        owner, rows = self.store.batch_owners.get(opening.batch), self.store.batch_rows.get(opening.batch, {})
        return owner is self and opening.row in rows

    def _open_run(self, run_id: str, opening: Opening, first: AnyEvent, stored: list[bytes]) -> None:
        store = self.store
        store.rows[run_id] = RunRow(
            run_id=run_id,
            status="running",
            reason="",
            team=opening.team,
            plan=opening.plan,
            source=opening.source,
            batch=opening.batch,
            row=opening.row,
            started_us=first.at_us,
            ended_us=0,
            faults=first.faults if isinstance(first, RunStarted) else "",
            parent=opening.parent,
        )
        store.owners[run_id] = self
        if opening.batch:
            store.batch_rows.get(opening.batch, {}).pop(opening.row, None)
        store.events[run_id] = stored

    async def load(self, run_id: str) -> list[AnyEvent]:
        """See ports.Journal."""
        await self.run(run_id)
        return decoded(run_id, self.store.events[run_id])

    async def run(self, run_id: str) -> RunRow:
        """See ports.Journal."""
        self._check_open()
        if run_id not in self.store.rows:
            raise RunNotFound(f"there is no run {run_id} in this journal")
        return self.store.rows[run_id]

    async def runs(
        self, *, status: str = "", batch: str = "", limit: int = 50, before: str = "", top: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        self._check_open()
        rows: Iterable[RunRow] = reversed(self.store.rows.values())
        if before:
            rows = islice(dropwhile(lambda row: row.run_id != before, rows), 1, None)
        found = [row for row in rows if status in {"", row.status} and batch in {"", row.batch}]
        if top:
            found = [row for row in found if not row.parent]
        return found[: limit or None]

    async def claim(
        self, run_id: str = "", *, team: str = "", source: str | None = None, ended: bool = False
    ) -> list[RunRow]:
        """See ports.Journal."""
        self._check_open()
        store = self.store
        if run_id:
            row = await self.run(run_id)
            wanted = [row] if row.status != "running" or self._is_free(store.owners[run_id]) else []
        else:
            running = [row for row in store.rows.values() if row.status == "running" and _is_of(row, team, source)]
            wanted = [row for row in running if self._is_free(store.owners[row.run_id])]
            for batch_id, owner in store.batch_owners.items():
                if self._is_free(owner) and _is_of(store.batches[batch_id], team, source):
                    store.batch_owners[batch_id] = self
        claimed = [row for row in wanted if ended or row.status in _OPEN]
        store.owners |= {row.run_id: self for row in claimed}
        return claimed

    def _is_free(self, owner: "MemoryJournal") -> bool:
        return owner is self or not owner.alive

    def at_gates(
        self, names: Sequence[str], turn: Callable[[Sequence[AtGate]], Result], runs: Sequence[str] = ()
    ) -> asyncio.Future[Result]:
        """See ports.Journal. What it returns is done already."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        gates = self.store.gates
        before = {name: copied(gates[name]) for name in names if name in gates}
        try:
            self._check_open()
            self._check_drives(runs)
            done.set_result(self._at_gates(names, turn))
        except Exception as error:  # noqa: BLE001 - belongs to whoever waits for the turn
            gates |= before
            done.set_exception(error)
        return done

    def _check_drives(self, runs: Sequence[str]) -> None:
        for run_id in runs:
            if self.store.owners.get(run_id) is not self:
                raise StaleDriver.of(run_id)

    def _at_gates(self, names: Sequence[str], turn: Callable[..., Result], *given: Any) -> Result:
        """Have a turn at the gates themselves: whoever goes on after one that has failed has kept copies of them.

        given: what `turn` takes before what it finds.
        """
        store, found = self.store, []
        for name in names:
            gate = store.gates.get(name) or Gate()
            found.append(AtGate(gate, store.told.get(name, ()), name=name))
        result = turn(*given, found)
        for at in found:
            name = at.name
            store.gates[name] = at.gate
            if at.outcomes:
                del store.told[name]
            if at.moved:
                store.moves[name] = [*at.moved[::-1], *store.moves.get(name, ())][:MOVES_KEPT_MAX]
            if at.notices:
                self._post(Posting(at.team, at.notices))
        return result

    async def gates(self) -> list[tuple[str, AtGate]]:
        """See ports.Journal."""
        self._check_open()
        store = self.store
        names = sorted({*store.gates, *store.told})
        return [
            (
                name,
                AtGate(copied(store.gates.get(name) or Gate()), [*store.told.get(name, ())], store.moves.get(name, [])),
            )
            for name in names
        ]

    async def letters(self, wanted: Letters, limit: int = 50) -> list[LetterRow]:
        """See ports.Journal."""
        self._check_open()
        rows, place = self.store.rows, {run_id: place for place, run_id in enumerate(self.store.rows)}
        found = [
            msgspec.structs.replace(
                row, outcome=rows[row.redriven_run].status if row.redriven_run else "", above=self._above(row)
            )
            for row in self.store.letters.values()
            if _is_wanted(row, wanted)
        ]
        found.sort(key=lambda row: (-row.at_us, -place[row.run_id], row.step))
        return found[: limit or None]

    def _above(self, row: LetterRow) -> str:
        """The letter of the step that the run of another does; "" where it does none, or one that has none."""
        parent = self.store.rows[row.run_id].parent
        step = step_above_in(self.store.events[row.run_id][0]) if parent else ""
        return f"{parent}/{step}" if (parent, step) in self.store.letters else ""

    async def purge(self, letters: Sequence[tuple[str, str]]) -> int:
        """See ports.Journal."""
        self._check_open()
        kept = self.store.letters
        gone = [key for key in letters if key in kept and not kept[key].redriven_run]
        for key in gone:
            kept.pop(key, None)
        return len(set(gone))

    async def take_notices(self, team: str, recipient: str, now_us: int, until_us: int, limit: int) -> list[Taken]:
        """See ports.Journal."""
        self._check_open()
        for number in [number for number, one in self.store.notices.items() if self._is_past(one.taken.notice)]:
            del self.store.notices[number]
        found = [
            one
            for one in self.store.notices.values()
            if (one.team, one.taken.recipient) == (team, recipient)
            and not now_us < one.due_us <= now_us + PUT_OFF_US_MAX
        ][:limit]
        for one in found:
            one.due_us = until_us
        return [one.taken for one in found]

    def _is_past(self, notice: Notice) -> bool:
        if notice.kind == "question":
            asked = self.store.questions.get(notice.run_id, {}).get(notice.step)
            return asked is None or asked.asked_us != notice.at_us
        letter = self.store.letters.get((notice.run_id, notice.step))
        waits = letter is not None and not letter.redriven_run and letter.at_us == notice.at_us
        return notice.kind == "dead" and not waits

    async def settle_notices(self, numbers: Sequence[int], again_us: int = 0) -> None:
        """See ports.Journal."""
        self._check_open()
        for number in numbers:
            if not again_us:
                self.store.notices.pop(number, None)
            elif number in self.store.notices:
                self.store.notices[number].due_us = again_us

    async def forget_notices(self, team: str, before_us: int) -> int:
        """See ports.Journal."""
        self._check_open()
        kept = self.store.notices
        old = [number for number, one in kept.items() if one.team == team and one.taken.notice.at_us < before_us]
        for number in old:
            del kept[number]
        return len(old)

    async def put_blob(self, data: bytes) -> str:
        """See ports.Journal."""
        self._check_open()
        key = content_hash(data)
        self.store.blobs[key] = data
        return key

    async def blob(self, key: str) -> bytes:
        """See ports.Journal."""
        self._check_open()
        if key not in self.store.blobs:
            raise JournalError(f"this journal has no content with the hash {key[:16]}...")
        return self.store.blobs[key]

    async def open_batch(self, batch: Batch, requests: Iterable[bytes]) -> None:
        """See ports.Journal."""
        self._check_open()
        if batch.batch_id in self.store.batches:
            raise JournalError(f"there is a batch {batch.batch_id} in this journal already")
        self.store.batch_rows[batch.batch_id] = dict(enumerate(requests))
        self.store.batches[batch.batch_id] = batch
        self.store.batch_owners[batch.batch_id] = self

    async def batch(self, batch_id: str) -> Batch:
        """See ports.Journal."""
        self._check_open()
        if batch_id not in self.store.batches:
            raise RunNotFound(f"there is no batch {batch_id} in this journal")
        return self.store.batches[batch_id]

    async def batches(self) -> list[Batch]:
        """See ports.Journal."""
        self._check_open()
        store = self.store
        return [b for key, b in store.batches.items() if store.batch_owners[key] is self and store.batch_rows[key]]

    async def pending(self, batch_id: str) -> AsyncIterator[tuple[int, bytes]]:
        """See ports.Journal."""
        self._check_open()
        rows = self.store.batch_rows.get(batch_id, {})
        for row in sorted(rows):
            if row in rows:
                yield row, rows[row]

    async def ask(self, request: Request) -> None:
        """See ports.Journal."""
        await self.run(request.run_id)
        if self.store.requests.setdefault(request.request_id, request) is request:
            owner = self.store.owners[request.run_id]
            if owner.tell is not None:
                owner.tell(request)

    async def requests(self, run_id: str) -> list[Request]:
        """See ports.Journal."""
        self._check_open()
        return [request for request in self.store.requests.values() if request.run_id == run_id]

    async def asked(self) -> list[str]:
        """See ports.Journal."""
        self._check_open()
        named = {request.run_id for request in self.store.requests.values()}
        return sorted(run_id for run_id in named if self.store.rows[run_id].status == "parked")

    async def settle(self, requests: Sequence[str]) -> None:
        """See ports.Journal."""
        self._check_open()
        for request_id in requests:
            self.store.requests.pop(request_id, None)

    async def questions(self, run_id: str = "") -> list[WaitingQuestion]:
        """See ports.Journal."""
        self._check_open()
        found = [one for asked in self.store.questions.values() for one in asked.values() if run_id in {"", one.run_id}]
        return sorted(found, key=lambda one: (one.asked_us, one.run_id, one.step))

    async def waits(self, run_id: str = "") -> list[WaitingStep]:
        """See ports.Journal."""
        self._check_open()
        found = [one for begun in self.store.waits.values() for one in begun.values() if run_id in {"", one.run_id}]
        return sorted(found, key=lambda one: (one.since_us, one.run_id, one.step))

    def listen(self, hear: Callable[[Request], None]) -> None:
        """See ports.Journal."""
        self._check_open()
        # The owner's loop, which need not be that of whoever asks.
        loop = asyncio.get_running_loop()
        self.tell = lambda request: loop.call_soon_threadsafe(hear, request)

    async def close(self) -> None:
        """See ports.Journal."""
        self.closed, self.alive, self.tell = True, False, None

    def _check_open(self) -> None:
        if self.closed:
            raise JournalError("the journal is closed")


def _is_wanted(row: LetterRow, wanted: Letters) -> bool:
    given = ((getattr(wanted, name), getattr(row, name)) for name in ("run_id", "step", "agent", "source", "batch"))
    named = all(meant in {"", found} for meant, found in given)
    return (
        named
        and wanted.reason in row.reason
        and row.at_us >= wanted.since_us
        and not (wanted.waiting and row.redriven_run)
    )


def _is_of(what: RunRow | Batch, team: str, source: str | None) -> bool:
    return team in {"", what.team} and source in {None, what.source}
