"""How an engine goes on with runs that nobody drives: one of them, or all of its team file."""

from collections.abc import AsyncIterator, Callable, Collection
from functools import partial

from interlock.core import given
from interlock.core.machine import Machine
from interlock.core.settlement import overdue
from interlock.errors import JournalError, StaleDriver
from interlock.ports import RunRow

from . import tasks
from .beside import Beside
from .decisions import expire, folded
from .family import by_its_team
from .lost import lost as _lost
from .nesting import ASKED
from .redriving import unless_stopped
from .run import Run


class Resuming(Beside):
    """The part of an engine that resumes."""

    run_batch: Callable[..., AsyncIterator[Run]]

    async def resume(self, width: int | None = None, *, ids: Collection[str] | None = None) -> AsyncIterator[Run]:
        """Go on with every run and batch of this team file in the journal that nobody drives; yields runs as they end.

        ids: with these runs and batches alone, whichever file with the same declarations they were started from.

        Raises at the end, when all others are done: JournalError if a run is damaged; TeamChanged if there are runs of
        this team file that were started under another version of it, unless ids are given; InputError.
        """
        if ids is not None:
            given.names("ids", ids)
        given.whole("width", width or self._runs_max, 1)
        damaged: list[JournalError] = []
        taken: set[str] = set()
        go_on = partial(self._resume_row, damaged, taken)
        try:
            async for run in tasks.each(self._until_stop(self._unfinished(ids, taken)), go_on, width or self._runs_max):
                if run is not None:
                    yield run
        finally:  # those that it has not come to, since it ends early
            self._expiring -= taken
        for batch in await self.journal.batches():
            if batch.team == self._team_hash and self._is_wanted(batch.batch_id, batch.source, ids):
                async for run in self.run_batch(batch, width):
                    yield run
        if damaged:
            raise damaged[0]
        if ids is None:
            await self._refuse_changed()

    async def _unfinished(self, ids: Collection[str] | None, taken: set[str]) -> AsyncIterator[RunRow]:
        for team in [*self._family]:
            for row in await self.journal.claim(team=team, source=self._source if ids is None else None):
                mine = row.run_id not in self._drivers and self._is_wanted(row.run_id, row.source, ids)
                if mine and not (row.parent and await self._is_resumed(row.parent, ids)):
                    yield row
        for run_id in await self.journal.asked() if len(self._family) > 1 else ():
            for row in await self._asked_of(run_id, ids):
                yield row
        for one in await self._overdue():
            if ids is None or one.run_id in ids:
                self._expiring.add(one.run_id)
                taken.add(one.run_id)
                rows = [row for row in await self.journal.claim(one.run_id) if row.status == "parked"]
                if not rows:  # somebody has been quicker; its next wait may be ours
                    self._expiring.discard(one.run_id)
                for row in rows:
                    yield row

    async def _is_resumed(self, run_id: str, ids: Collection[str] | None) -> bool:
        """Whether this run is gone on with, and with it those that do its steps."""
        row = await self.journal.run(run_id)
        return row.status == "running" and self._is_wanted(run_id, row.source, ids)

    async def _asked_of(self, run_id: str, ids: Collection[str] | None) -> list[RunRow]:
        """A parked run that others ask something of, if it is one of these teams', and this handle's now."""
        row = await self.journal.run(run_id)
        mine = row.team in self._family and self._is_wanted(run_id, row.source, ids) and run_id not in self._drivers
        if not mine or all(one.kind not in ASKED for one in await self.journal.requests(run_id)):
            return []
        return [row for row in await self.journal.claim(run_id) if row.status == "parked"]

    def _is_wanted(self, name: str, source: str, ids: Collection[str] | None) -> bool:
        return source == self._source if ids is None else name in ids

    async def _resume_row(self, damaged: list[JournalError], taken: set[str], row: RunRow) -> Run | None:
        """Go on with one run of many; one that can't be read must not hold up the others."""
        if row.damage:
            damaged.append(JournalError(row.damage, fix="restore it from a copy"))
            return None
        try:
            async with self._room:  # beside the width: woken runs go on, too
                engine = self._family.get(row.team, self)
                try:  # as it is when its turn has come
                    machine = await folded(self.journal, engine._rules, row.run_id)
                except JournalError as error:
                    damaged.append(error)
                    return None
                if (row.status, machine.status) == ("parked", "running") or row.run_id in self._drivers:
                    return None  # another process has been quicker, and goes on with it; or the run above it is here
                if row.status == "parked" and len(self._family) > 1:
                    await engine._take_asked(row, machine)
                return await unless_stopped(engine._go_on(row, machine))
        except StaleDriver:
            if row.status != "parked" and (await self.journal.run(row.run_id)).status == "running":
                raise
            return None  # a parked run is anybody's: an event or a decision has come by another process
        finally:
            self._expiring.discard(row.run_id)
            taken.discard(row.run_id)

    @by_its_team
    async def resume_run(self, run_id: str) -> Run:
        """Go on with one run that nobody drives. A run that has ended or waits for a person is returned as it is.

        Raises RunNotFound, TeamChanged, StaleDriver (another process drives it), RunInterrupted or InputError.
        """
        given.text("run_id", run_id)
        row = await self.journal.run(run_id)
        if row.team != self._team_hash:
            raise await self._changed(row)
        if row.status == "running":
            claimed = await self.journal.claim(run_id)
            if not claimed:
                raise StaleDriver(f"run {run_id} is driven by another process", fix="wait for it, or stop that process")
        run = await self._go_on(row, await folded(self.journal, self._rules, run_id))
        if run is None:
            raise StaleDriver(f"somebody has decided about run {run_id}, and goes on with it", fix="wait for it")
        return run

    async def _go_on(self, row: RunRow, machine: Machine) -> Run | None:
        """The run as it ends; None where somebody else has decided about it at this moment, and goes on with it."""
        if machine.status == "parked" and overdue(machine, self._now_us()) and await self.journal.claim(row.run_id):
            try:
                await expire(self.journal, machine, row.run_id, partial(self._shell.tell, row.run_id), self._now_us())
            except StaleDriver:
                return None
        if machine.status != "running":
            return Run.of(row.run_id, machine, row.row)
        lost = _lost(machine, max(self._now_us(), machine.at_us))
        return await self._drive(row.run_id, machine, lost, None, row.row)

    async def _refuse_changed(self) -> None:
        for row in await self.journal.runs(status="running", limit=0):
            if row.source == self._source and row.team not in self._family and self._source:
                raise await self._changed(row)
