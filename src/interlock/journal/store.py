"""What is written to the SQLite file of a journal and read from it, from one thread.

Appends are checked against a cache of where each stream ends. It holds as long as no other connection has written,
which SQLite tells inside the transaction (`data_version`); the unique key on (run, seq) stands behind it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from copy import copy

import msgspec

from interlock.core.breaker import decode as decode_moved
from interlock.core.decision import BODY_BYTES_MAX
from interlock.core.gate import AtGate, Gate, Outcome, decode_outcome, encode
from interlock.core.gate import decode as decode_gate
from interlock.core.notice import decode as decode_notice
from interlock.core.notice import encode as encode_notice
from interlock.core.values import content_hash
from interlock.errors import JournalError, JournalUnavailable, RunNotFound, StaleDriver
from interlock.ports import (
    MOVES_KEPT_MAX,
    NOTHING_POSTED,
    PUT_OFF_US_MAX,
    REQUEST_CHARS_MAX,
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

from .failures import clear_errors
from .file import JournalFile, Place
from .projection import Buried, Change, Projection, Redriven
from .rows import BATCH, GATE_FIX, LETTER, QUESTION, REQUEST, RUN, readable, sound, sound_number

# Of a request so many characters of a text, and bytes of its body, are read: one more than is taken of each.
REQUEST_BOUNDS = (REQUEST_CHARS_MAX + 1, BODY_BYTES_MAX + 1)
PENDING_CHUNK = 200
# A driver whose number is held by somebody else takes the next one.
EPOCH_TRIES_MAX = 1_000


class Append(msgspec.Struct, gc=False):
    """One append on its way to disk: encoded events, and what they change in the projections."""

    run_id: str
    expected_seq: int
    events: list[bytes]
    shown: Projection
    opening: Opening | None
    at_us: int
    settles: Sequence[str]
    asks: Sequence[Request] = ()
    told: Told = ()
    posting: Posting = NOTHING_POSTED


class SqliteStore(JournalFile):
    """One connection to a journal file, and what is written and read by it."""

    def append(self, group: Sequence[Append]) -> list[Exception | None]:
        """Write many appends in one transaction. The outcome of each: None, or why it did not happen."""
        try:
            return self.carry_out(lambda: self._append(group))
        except JournalError as error:
            # One each: they will be raised in as many places.
            return [copy(error) for _ in group]
        except Exception as error:  # noqa: BLE001 - belongs to whoever waits for the append it is about
            if len(group) == 1:
                return [error]
            # Something is wrong with one of them, which must not keep the others from disk.
            return [outcome for item in group for outcome in self.append([item])]

    def _append(self, group: Sequence[Append]) -> list[Exception | None]:
        if self._identify() != self._identity:
            message = f"{self.path} was replaced by another file while it was in use"
            raise JournalUnavailable(message, fix="put it back")
        self._become_driver()
        outcomes: list[Exception | None] = []
        rows: list[tuple[int, int, bytes]] = []
        statuses: list[tuple[str, str, int, int]] = []
        ended: list[str] = []
        for item in group:
            place = self._place(item)
            if place is None or place.owner != self.epoch or place.next_seq != item.expected_seq:
                outcomes.append(StaleDriver.of(item.run_id))
                continue
            rows += [(place.number, seq, data) for seq, data in enumerate(item.events, place.next_seq)]
            place.next_seq += len(item.events)
            if item.shown.status is not None:
                statuses.append((*item.shown.status, place.number))
                ended.append(item.run_id)
            for change in item.shown.letters:
                self._change_letters(item.run_id, change)
            self._ask_people(place.number, item.shown.questions)
            for request_id in item.settles:
                self._run_query("settle", request_id)
            for request in item.asks:
                self._run_query("ask_beside", *msgspec.structs.astuple(request))
            for name, outcome in item.told:
                self._run_query("tell", name, encode(outcome))
            if item.posting.notices:
                self._post(item.posting)
            outcomes.append(None)
        self.db.executemany(self._sql["append"], rows)
        if statuses:
            self.db.executemany(self._sql["set_status"], statuses)
        # Only now: another append of this group may be for the same run.
        for run_id in ended:
            self._places.pop(run_id, None)
        return outcomes

    def _ask_people(self, run: int, questions: Sequence[Change]) -> None:
        for step, asked in questions:
            if isinstance(asked, WaitingStep):
                self._run_query("begin_wait", run, step, asked.event, asked.since_us, asked.due_us)
            elif asked is not None:
                self._run_query("ask_person", run, step, asked.attempt, asked.text, asked.asked_us, asked.due_us)
            else:
                self._run_query("question_over", run, step)
                self._run_query("wait_over", run, step)

    def _is_redriven(self, run_id: str, change: Buried | Redriven) -> bool:
        """Whether somebody else has redriven one of these letters before."""
        if isinstance(change, Buried) or change.at_will:
            return False
        return any(self._run_query("is_redriven", change.run_id or run_id, step) for step in change.steps)

    def _change_letters(self, run_id: str, change: Buried | Redriven) -> None:
        if isinstance(change, Buried):
            told = (change.step, change.agent, change.reason, change.attempts, change.at_us)
            self._run_query("add_letter", run_id, *told)
            return
        for step in change.steps:
            who_and_why = (change.at_us, change.by, change.reason)
            self._run_query("redrive_letter", change.run_id or run_id, step, run_id, *who_and_why)

    def _become_driver(self) -> None:
        if self.epoch:
            return
        process = f"{os.uname().nodename}:{os.getpid()}"
        for _ in range(EPOCH_TRIES_MAX):
            ((epoch,),) = self._run_query("register", process)
            if self.locks.take(epoch):
                self.epoch = epoch
                self.locks.sweep()
                return
        raise JournalError(f"other processes hold the locks of all new drivers of {self.path}", fix="stop them")

    def _place(self, item: Append) -> Place | None:
        """Where this append may go, as far as its run and its letters are concerned; None where it may go nowhere."""
        if any(self._is_redriven(item.run_id, change) for change in item.shown.letters):
            return None
        place = self._places.get(item.run_id) or self._stored_place(item.run_id)
        if item.opening is None:
            return place
        return self._open_run(item, item.opening) if place is None and not item.expected_seq else None

    def _stored_place(self, run_id: str) -> Place | None:
        found = self._run_query("place", run_id)
        if not found:
            return None
        number, owner, last_seq = found[0]
        owner, last_seq = sound_number(owner, "run.owner", run_id), sound_number(last_seq, "event.seq", run_id)
        place = self._places[run_id] = Place(number, owner, last_seq + 1)
        return place

    def _open_run(self, item: Append, opening: Opening) -> Place | None:
        if opening.parent and self._run_query("is_over", opening.parent):
            return None
        if opening.batch and not self._run_query("take_batch_row", opening.batch, opening.row, self.epoch):
            return None  # another driver has taken over the batch, or the row
        self._run_query(
            "open_run",
            item.run_id,
            opening.team,
            opening.plan,
            opening.source,
            opening.batch,
            opening.row,
            self.epoch,
            item.at_us,
        )
        place = self._places[item.run_id] = Place(self.db.last_insert_rowid(), self.epoch, 0)
        if opening.parent:
            self._run_query("set_parent", opening.parent, place.number)
        return place

    # --- gates ---

    def at_gates(
        self, names: Sequence[str], turn: Callable[[Sequence[AtGate]], Result], runs: Sequence[str] = ()
    ) -> Result:
        """Have a turn at some gates, inside carry_out; see ports.Journal."""
        for run_id in runs:
            place = self._places.get(run_id) or self._stored_place(run_id)
            if place is None or place.owner != self.epoch:
                raise StaleDriver.of(run_id)
        found = [AtGate(self._gate(name), self._told(name), name=name) for name in names]
        result = turn(found)
        for at in found:
            name = at.name
            if at.outcomes:
                self._run_query("fold", name)
            for moved in at.moved:
                self._run_query("move", name, encode(moved))
            if at.moved:
                self._run_query("forget_moves", name, MOVES_KEPT_MAX)
            if at.notices:
                self._post(Posting(at.team, at.notices))
            self._run_query("keep_gate", name, encode(at.gate))
        return result

    def gates(self) -> list[tuple[str, AtGate]]:
        """All gates, as they are at one moment; without those that can't be read."""
        found = []
        for (name,) in self._run_query("gates"):
            try:
                found.append((name, self._at(name)))
            except JournalError as error:
                self._warnings.warn(error.message, error.fix)
        return found

    def _at(self, name: str) -> AtGate:
        found, where = self._run_query("moves", name, MOVES_KEPT_MAX), f"moved.data of the gate {name}"
        return AtGate(self._gate(name), self._told(name), [*self._warnings.readable(decode_moved, found, where)])

    def _gate(self, name: str) -> Gate:
        found = self._run_query("gate", name)
        return readable(decode_gate, found[0][0], f"gate.state of the gate {name}", GATE_FIX) if found else Gate()

    def _told(self, name: str) -> list[Outcome]:
        """What it was told. An outcome that can't be read is that of a call that was lost."""
        where = f"told.data of the gate {name}"
        return [*self._warnings.readable(decode_outcome, self._run_query("told", name), where)]

    # --- notices; each is called inside carry_out ---

    def _post(self, posting: Posting) -> None:
        for recipient, notice in posting.notices:
            of_what = (notice.kind, notice.run_id, notice.step, notice.at_us)
            self._run_query("add_notice", posting.team, recipient, *of_what, encode_notice(notice))

    def take_notices(self, team: str, recipient: str, now_us: int, until_us: int, limit: int) -> list[Taken]:
        """Take notices that are due."""
        self._run_query("drop_past_notices", team, recipient)
        found = self._run_query("take_notices", team, recipient, now_us, until_us, now_us + PUT_OFF_US_MAX, limit)
        return [
            Taken(number, recipient, notice)
            for number, recipient, data in sorted(found)
            for notice in self._warnings.readable(decode_notice, [(data,)], f"notice.data of notice {number}")
        ]

    def settle_notices(self, numbers: Sequence[int], again_us: int) -> None:
        """Drop notices, or put them off."""
        for number in numbers:
            if again_us:
                self._run_query("put_off_notice", again_us, number)
            else:
                self._run_query("drop_notice", number)

    def forget_notices(self, team: str, before_us: int) -> int:
        """Drop the old ones of a team."""
        return len(self._run_query("forget_notices", team, before_us))

    # --- reading and ownership; each is called inside carry_out, or inside read where it is one question ---

    def load(self, run_id: str) -> list[bytes]:
        """The events of a run, encoded: all of them."""
        found = self._run_query("load", run_id)
        if not found:
            raise _no_run(run_id)
        missing = next((place for place, (seq, _) in enumerate(found) if seq != place), None)
        if missing is not None:
            message = f"the journal is damaged: event {missing} of run {run_id} is missing"
            raise JournalError(message, fix="restore it from a copy")
        return [data for _, data in found]

    def run(self, run_id: str) -> RunRow:
        """One run."""
        found = self._run_query("run", run_id)
        if not found:
            raise _no_run(run_id)
        return sound(RUN, found[0])

    def runs(self, status: str, batch: str, limit: int, before: str = "", *, top: bool = False) -> list[RunRow]:
        """The newest runs first."""
        return [*self._warnings.listed(RUN, self._run_query("runs", status, batch, limit or -1, before, top))]

    def claim(self, run_id: str, team: str, source: str | None, *, ended: bool = False) -> list[RunRow]:
        """Take over what nobody alive owns: one run, which may be parked, or everything (of one team, of one file).

        ended: the one run may have ended.
        """
        self._become_driver()
        self._places.clear()
        if run_id:
            return self._claim_one(run_id, ended=ended)
        for name, owner in self._run_query("owned_by_nothing"):
            self._warnings.warn(f"the journal is damaged: run.owner of run {name} is {owner!r:.40}, which is nobody")
        for (owner,) in self._run_query("owners"):
            if self.locks.take(owner):
                self._run_query("take_runs", owner, self.epoch, team, source)
                self._run_query("take_batches", owner, self.epoch, team, source)
                self.locks.drop(owner)
        rows = self._warnings.listed(RUN, self._run_query("owned", self.epoch, team, source))
        return sorted(rows, key=lambda row: (row.started_us, row.run_id))

    def _claim_one(self, run_id: str, *, ended: bool) -> list[RunRow]:
        found = self._run_query("owner_of", run_id)
        if not found:
            raise _no_run(run_id)
        owner, status = sound_number(found[0][0], "run.owner", run_id), found[0][1]
        if status not in {"running", "parked"} and not ended:
            return []
        if status == "running" and owner != self.epoch:
            if not self.locks.take(owner):
                return []
            # Only this run is taken; the lock file stays away, so the owner's other runs are still nobody's.
            self.locks.drop(owner)
        self._run_query("take_run", run_id, self.epoch)
        return [self.run(run_id)]

    def letters(self, wanted: Letters, limit: int) -> list[LetterRow]:
        """The newest dead letters first."""
        given = msgspec.structs.astuple(wanted)
        found = self._run_query("letters", *given, limit or -1)
        return [sound(LETTER, row) for row in found] if wanted.run_id else [*self._warnings.listed(LETTER, found)]

    def purge(self, letters: Sequence[tuple[str, str]]) -> int:
        """Take dead letters off the list."""
        return sum(len(self._run_query("purge", *letter)) for letter in letters)

    def put_blob(self, data: bytes) -> str:
        """Keep content under its hash."""
        key = content_hash(data)
        self._run_query("put_blob", key, data)
        return key

    def blob(self, key: str) -> bytes:
        """Content by its hash."""
        found = self._run_query("blob", key)
        if not found:
            raise JournalError(f"{self.path} has no content with the hash {key[:16]}...")
        data: bytes = found[0][0]
        return data

    def open_batch(self, batch: Batch, requests: Iterable[bytes]) -> None:
        """Store a batch and its rows."""
        self._become_driver()
        self._run_query(
            "open_batch",
            batch.batch_id,
            batch.team,
            batch.source,
            batch.origin,
            batch.started_us,
            batch.rows,
            self.epoch,
        )
        rows = ((batch.batch_id, row, request) for row, request in enumerate(requests))
        self.db.executemany(self._sql["add_batch_row"], rows)

    def batch(self, batch_id: str) -> Batch:
        """One batch."""
        found = self._run_query("batch", batch_id)
        if not found:
            raise RunNotFound(f"there is no batch {batch_id} in {self.path}")
        return sound(BATCH, found[0])

    def batches(self) -> list[Batch]:
        """Own batches with rows left."""
        return [*self._warnings.listed(BATCH, self._run_query("batches", self.epoch))]

    def pending(self, batch_id: str, after: int) -> list[tuple[int, bytes]]:
        """The next rows of a batch without a run."""
        return self._run_query("pending", batch_id, after, PENDING_CHUNK)

    def ask(self, request: Request) -> None:
        """Leave a request for a run's driver."""
        self.run(request.run_id)
        asked = request.request_id, request.run_id, request.kind, request.by, request.reason, request.body
        self._run_query("ask", *asked)

    def requests(self, run_id: str) -> list[Request]:
        """The unanswered requests for a run."""
        return [*self._warnings.listed(REQUEST, self._run_query("requests_for", run_id, *REQUEST_BOUNDS))]

    def asked(self) -> list[str]:
        """The parked runs of which something is asked."""
        return [run_id for (run_id,) in self._run_query("asked")]

    def settle(self, requests: Sequence[str]) -> None:
        """Requests are answered."""
        for request_id in requests:
            self._run_query("settle", request_id)

    def questions(self, run_id: str) -> list[WaitingQuestion]:
        """What waits for a person."""
        found = self._run_query("questions", run_id)
        return [sound(QUESTION, row) for row in found] if run_id else [*self._warnings.listed(QUESTION, found)]

    def waits(self, run_id: str) -> list[WaitingStep]:
        """What waits for a time or an event."""
        return [WaitingStep(*row) for row in self._run_query("waits", run_id)]

    def news(self) -> list[Request]:
        """The unanswered requests for all runs this handle owns, if anything was written elsewhere since the last look.

        Called outside of transactions.
        """
        with clear_errors(self.path, self.db):
            self._notice_others()
            if not self._unheard or not self.epoch:
                return []
            found = [*self._warnings.listed(REQUEST, self._run_query("requests_to", self.epoch, *REQUEST_BOUNDS))]
        self._unheard = False
        return found


def _no_run(run_id: str) -> RunNotFound:
    return RunNotFound(f"there is no run {run_id} in this journal", fix="list the runs with: interlock runs")
