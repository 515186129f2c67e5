"""What an engine goes on with beside all else: parked runs that something is asked of, or whose time has come."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from interlock import errors
from interlock.errors import DecisionRefused, JournalError, RunInterrupted, RunNotFound
from interlock.ports import Request, WaitingQuestion, WaitingStep

from . import tasks
from .cancelling import cancel
from .children import CHILD
from .decisions import DECIDED, OPEN, folded, settle
from .nesting import ASKED, Nesting

log = logging.getLogger("interlock")

# How soon deadlines are looked after, and how often, since other processes park runs, too.
DEADLINE_FIRST_SECONDS = 1.0
DEADLINE_POLL_SECONDS = 30.0


class Beside(Nesting):
    """The part of an engine that goes on with runs for whose end nobody waits here."""

    _expiring: set[str]
    _parked: asyncio.Event
    _woken: set[asyncio.Task[None]]

    def _wake(self, request: Request) -> None:
        """Something is asked of a run that is parked, and goes on beside all else, or that waits here for room."""
        if request.request_id in self._deciding or self._shell.stopping:
            return
        self._deciding.add(request.request_id)
        self._spawn(self._take_decision(request))

    async def _take_decision(self, request: Request) -> None:
        run_id, journal = request.run_id, self.journal
        try:
            row = await journal.run(run_id)
            engine = self._family.get(row.team)
            # Who is cancelled goes on nowhere: that takes no engine of its team, which may be another by now.
            if request.kind in ASKED and row.status == "parked" and (engine is not None or request.kind == CHILD):
                async with self._room:
                    await self._take_up(run_id)
                return
            if request.kind == CHILD:
                return  # whoever goes on with it here, when there is room, finds that in the journal
            if request.kind not in DECIDED:
                await cancel(journal, run_id, by=request.by, reason=request.reason, now_us=self._now_us)
                if row.parent:
                    await self._take_up(row.parent)
            elif engine is not None and row.status in OPEN and await journal.claim(run_id):
                machine = await folded(journal, engine._rules, run_id)
                await settle(journal, machine, request, self._shell.secrets, self._now_us)
                if row.status == "parked":  # else somebody here goes on with it when there is room
                    await engine._go_on_beside(run_id)
        except RunNotFound:
            pass  # it was to do a step of a run that was cancelled before it had begun, and never begins
        except (JournalError, DecisionRefused, RunInterrupted) as error:
            if isinstance(error, DecisionRefused):  # what was refused may be sent again under its id
                self._deciding.discard(request.request_id)
            if request.kind in ASKED and isinstance(error, errors.JournalFull | errors.JournalUnavailable):
                self._spawn(self._take_up_later(run_id))
            else:
                self._left_by(run_id, error)
            log.warning("run %s, after %s has decided: %s", run_id, request.by, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = tasks.spawn(work)
        self._woken.add(task)
        task.add_done_callback(self._woken.discard)

    async def _go_on_beside(self, run_id: str) -> None:
        """Go on with a run that an event may have moved, unless somebody does."""
        try:
            async with self._room:
                for row in await self.journal.claim(run_id) if run_id not in self._drivers else ():
                    await self._go_on(row, await folded(self.journal, self._rules, run_id))
        except (JournalError, RunInterrupted) as error:
            self._left_by(run_id, error)
            log.warning("run %s, after an event: %s", run_id, error)

    def _left_by(self, run_id: str, error: errors.InterlockError) -> None:
        """Nobody waits for a run that this engine goes on with beside: where the disk fails it, it must try again."""
        if isinstance(error, errors.JournalFull | errors.JournalUnavailable):
            self._spawn(self._go_on_later(run_id))

    async def _go_on_later(self, run_id: str) -> None:
        await asyncio.sleep(DEADLINE_POLL_SECONDS)
        await self._go_on_beside(run_id)

    # --- deadlines ---

    def _has_deadlines(self) -> bool:
        """Whether a run of this team may have to go on by itself because a time has come."""
        rules = self._rules
        return self._has_waits() or any(asked is not None and asked.deadline_ms for asked in rules.escalations)

    def _has_waits(self) -> bool:
        bounded = (role.nested is not None and role.policy.timeout_ms for role in self._rules.roles.values())
        return bool(self._rules.waits) or any(bounded)

    async def _overdue(self) -> list[WaitingQuestion | WaitingStep]:
        """What nobody has answered in time, and waits that are over, of parked runs of this team file, by deadline."""
        now_us = self._now_us()
        late = [one for one in await self._with_deadline() if one.due_us <= now_us]
        first = {one.run_id: one for one in reversed(late)}
        return [one for one in late if first[one.run_id] is one]

    async def _with_deadline(self) -> list[WaitingQuestion | WaitingStep]:
        open_: list[WaitingQuestion | WaitingStep] = [*await self.journal.questions()]
        open_ += await self.journal.waits() if any(one._has_waits() for one in self._family.values()) else ()
        found = [one for one in open_ if one.due_us and self._is_mine(one)]
        return sorted(found, key=lambda one: (one.due_us, one.run_id))

    def _is_mine(self, one: WaitingQuestion | WaitingStep) -> bool:
        here = one.run_id in self._drivers or one.run_id in self._expiring
        return one.team in self._family and one.source == self._source and not here

    async def _watch_deadlines(self) -> None:
        """Go on with parked runs whose questions are overdue, as long as this engine is open.

        It looks first after a moment, so that whoever opens an engine to resume runs gets them.
        """
        await asyncio.sleep(DEADLINE_FIRST_SECONDS)
        seconds = 0.0
        while True:
            self._parked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):  # wait_for may swallow the cancellation that ends this
                    await self._parked.wait()
            try:
                for one in await self._overdue():
                    self._expiring.add(one.run_id)
                    self._spawn(self._expire(one.run_id))
                left = [one.due_us - self._now_us() for one in await self._with_deadline()]
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end this for good
                log.warning("deadlines can't be looked after: %s", errors.describe(error))
                left = []
            seconds = max(DEADLINE_FIRST_SECONDS, min([DEADLINE_POLL_SECONDS, *(us / 1e6 for us in left)]))

    async def _expire(self, run_id: str) -> None:
        try:
            async with self._room:
                for row in await self.journal.claim(run_id):
                    if row.status != "parked":
                        continue
                    engine = self._family[row.team]
                    await engine._go_on(row, await folded(self.journal, engine._rules, run_id))
        except (JournalError, RunInterrupted) as error:
            self._left_by(run_id, error)
            log.warning("run %s, after a deadline: %s", run_id, error)
        finally:
            self._expiring.discard(run_id)
