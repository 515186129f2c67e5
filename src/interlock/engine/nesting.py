"""What an engine does about runs that do steps of others: it begins them, and goes on with those they are done for.

All teams that are nested in each other have engines of their own, which share their drivers, their room and their
journal. A run that does a step takes no room beside that of the run above it: else runs could wait for each other.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from interlock.core import events as e
from interlock.core.children import parent_of, request_of, told_by
from interlock.core.machine import Machine
from interlock.errors import InputError, JournalError, RunInterrupted, RunNotFound, StaleDriver
from interlock.ports import Opening, Request, RunRow

from .children import CANCEL, CHILD, FromChild, asks_of
from .decisions import OPEN, cancelled, folded
from .family import member
from .redriving import Redriving
from .secrecy import without_secrets

if TYPE_CHECKING:
    from .engine import Engine  # the whole of which this is a part

log = logging.getLogger("interlock")

# What a parked run is moved by that other runs ask of it.
ASKED = frozenset({CANCEL, CHILD})


class Nesting(Redriving):
    """The part of an engine that knows of other teams. family: the engines of all of them, by the hash of the team."""

    _family: "dict[str, Engine]"
    _deciding: set[str]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        raise NotImplementedError

    def _wake(self, request: Request) -> None:
        raise NotImplementedError

    async def _of(self, run_id: str) -> "Engine":
        found: Engine = await member(self._family, run_id, self)
        return found

    # --- the runs that do steps; see Nest ---

    def begin(self, run_id: str, machine: Machine, started: e.ChildStarted) -> None:
        """Have the run driven that is to do a step of this one; it may be there already."""
        self._spawn(self._do_step(run_id, machine, started))

    async def folded(self, run_id: str) -> Machine:
        """A run as it is in the journal."""
        engine = await self._of(run_id)
        return await folded(self.journal, engine._rules, run_id)

    def hear(self, request: Request) -> None:
        """Something was asked of a run in an append of another, which is durable."""
        driver = self._drivers.get(request.run_id)
        if (driver is None or not driver.deliver(request)) and request.kind == CANCEL:
            self._wake(request)

    async def _do_step(self, run_id: str, machine: Machine, started: e.ChildStarted) -> None:
        nested = machine.rules.roles[started.agent].nested
        assert nested is not None, f"{started.agent} is no team"
        try:
            await self._begin_or_go_on(self._family[nested.hash], run_id, machine, started)
        except InputError as error:
            self._arrive_at(run_id, FromChild(started.run_id, None, (), error.message))
        except RunInterrupted:
            pass  # this engine stops, and the run above with it
        except StaleDriver:
            pass  # another process drives it, and tells when it ends
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - nobody else would ever tell the run above
            if (driver := self._drivers.get(run_id)) is not None:
                driver.fail(error)

    def _arrive_at(self, run_id: str, told: FromChild) -> None:
        if (driver := self._drivers.get(run_id)) is not None:
            driver.hear_child(told)

    async def _begin_or_go_on(self, engine: "Engine", run_id: str, machine: Machine, started: e.ChildStarted) -> None:
        name = started.run_id
        if name in self._drivers:
            return
        try:
            row = await self.journal.run(name)
        except RunNotFound:
            await engine._open_child(run_id, machine, started)
            return
        if row.status == "running":
            if await self.journal.claim(name) and name not in self._drivers:
                await engine._go_on(row, await folded(self.journal, engine._rules, name))
            return
        if (driver := self._drivers.get(run_id)) is not None:
            driver.deliver(Request(f"{CHILD}/{name}", run_id, CHILD, name))

    async def _open_child(self, run_id: str, machine: Machine, started: e.ChildStarted) -> None:
        rules = self._rules
        raw, parent = request_of(machine, run_id, started, rules), parent_of(machine, run_id, started)
        given = self._team_hash, rules.plan.hash
        first = e.RunStarted(
            max(self._now_us(), started.at_us),
            Raw(raw),
            *given,
            e.FORMAT_VERSION,
            self._faults_hash,
            parent=parent,
        )
        opening = Opening(*given, self._source, parent=run_id)
        await self._drive(started.run_id, Machine(rules), [first], opening, 0)

    # --- the runs above them ---

    async def _tell_above(self, machine: Machine) -> None:
        """A run that does a step has ended, or is parked: where nobody drives the run above it, that goes on here."""
        above = machine.parent
        if above is None or machine.status == "running" or above.run_id in self._drivers or self._shell.stopping:
            return
        try:
            await self._take_up(above.run_id)
        except (JournalError, RunInterrupted) as error:
            log.warning("run %s, whose step another run has done: %s", above.run_id, error)

    async def _take_up(self, run_id: str) -> None:
        """Go on with a parked run that others ask something of, if it is one of these teams'."""
        try:
            row = await self.journal.run(run_id)
        except RunNotFound:
            return
        engine = self._family.get(row.team)
        if engine is None or row.status != "parked" or not await self.journal.claim(run_id):
            return
        machine = await folded(self.journal, engine._rules, run_id)
        await engine._take_asked(row, machine)
        if machine.status == "running":
            await engine._go_on(row, machine)

    async def _take_asked(self, row: RunRow, machine: Machine) -> None:
        """Journal what follows from what is asked of a parked run that this handle owns and nobody drives."""
        run_id, seq, at_us = row.run_id, machine.seq, max(self._now_us(), machine.at_us)
        requests = [one for one in await self.journal.requests(run_id) if one.kind in ASKED]
        facts: list[e.AnyEvent] = []
        for request in requests:
            if machine.status not in OPEN:
                break
            for fact in await self._follows(request, machine, at_us):
                machine.apply(fact)
                facts.append(fact)
        if not facts:
            return
        asks, settles = asks_of(run_id, machine, facts), [one.request_id for one in requests]
        await self.journal.append(run_id, seq, facts, settles=settles, asks=asks)
        self._tell(run_id, facts)
        for ask in asks:
            self.hear(ask)

    async def _follows(self, request: Request, machine: Machine, at_us: int) -> Sequence[e.AnyEvent]:
        if request.kind == CANCEL:
            return [cancelled(request, at_us)]
        try:
            child = await self.folded(request.by)
        except RunNotFound:
            return ()  # whoever has written that is no run
        facts = told_by(machine, request.run_id, request.by, child, at_us)
        secrets = self._shell.secrets
        return [without_secrets(fact, secrets) for fact in facts] if secrets else facts
