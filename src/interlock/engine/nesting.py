"""What an engine does about runs that do steps of others: it begins them, and goes on with those they are done for.

All teams that are nested in each other have engines of their own, which share their drivers, their room and their
journal. A run that does a step takes no room beside that of the run above it: else runs could wait for each other.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from interlock.core import events as e
from interlock.core.children import parent_of, request_of, told_by
from interlock.core.machine import Machine
from interlock.core.redrive import dead_steps, obstacle
from interlock.errors import (
    InputError,
    JournalError,
    JournalFull,
    JournalUnavailable,
    RunInterrupted,
    RunNotFound,
    StaleDriver,
)
from interlock.ports import Letters, Opening, Request, RunRow

from .breakers import gate_name
from .children import CANCEL, CHILD, FromChild, asks_of
from .decisions import OPEN, accept, asked_above, cancelled, decide, folded, verdict_on
from .family import member
from .forks import rules_of
from .redriving import Redriving
from .secrecy import without_secrets
from .shares import SHARE_RAISED, told_below

if TYPE_CHECKING:
    from .engine import Engine  # the whole of which this is a part

log = logging.getLogger("interlock")

# What a parked run is moved by that other runs ask of it.
ASKED = frozenset({CANCEL, CHILD, SHARE_RAISED})
AGAIN_SECONDS = 30.0
# How often it is looked whether another process still drives a run that does a step of one which is driven here.
OTHERS_SECONDS = 5.0


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

    async def again(self, run_id: str) -> int | None:
        """From how many events on a run that has failed does its step if that is tried again; see Nest."""
        try:
            machine = await self.folded(run_id)
        except RunNotFound:
            return None
        if machine.status == "succeeded":
            return 0
        dead = dead_steps(machine)
        waiting = {letter.step for letter in await self.journal.letters(Letters(run_id=run_id, waiting=True), 0)}
        may = machine.status == "failed" and dead and not obstacle(machine, dead) and waiting.issuperset(dead)
        return machine.seq if may else None

    async def _try_again(self, engine: "Engine", row: RunRow, started: e.ChildStarted, above: str) -> bool:
        """Go on with a run that has failed, in its place, if it is the one that is to do the step now."""
        machine = await folded(self.journal, engine._rules, row.run_id)
        if row.status != "failed" or machine.seq != started.seq:
            return False
        if await self.journal.claim(row.run_id, ended=True):
            await engine._reopen(row, machine, dead_steps(machine), f"run:{above}", "its step is tried again")
        return True

    def hear(self, request: Request) -> None:
        """Something was asked of a run in an append of another, which is durable."""
        driver = self._drivers.get(request.run_id)
        if (driver is None or not driver.deliver(request)) and request.kind in {CANCEL, SHARE_RAISED}:
            self._wake(request)

    async def _do_step(self, run_id: str, machine: Machine, started: e.ChildStarted) -> None:
        nested = machine.rules.roles[started.agent].nested
        assert nested is not None, f"{started.agent} is no team"
        try:
            while not await self._begin_or_go_on(self._family[nested.hash], run_id, machine, started):  # noqa: ASYNC110 - another process tells nobody that it dies
                await asyncio.sleep(OTHERS_SECONDS)
        except InputError as error:
            self._arrive_at(run_id, FromChild(started.run_id, None, (), error.message))
        except RunInterrupted:
            pass  # this engine stops, and the run above with it
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - nobody else would ever tell the run above
            if (driver := self._drivers.get(run_id)) is not None:
                driver.fail(error)

    def _arrive_at(self, run_id: str, told: FromChild) -> None:
        if (driver := self._drivers.get(run_id)) is not None:
            driver.hear_child(told)

    async def _begin_or_go_on(self, engine: "Engine", run_id: str, machine: Machine, started: e.ChildStarted) -> bool:
        """False while another process drives it: that tells when it ends, and may die before."""
        name = started.run_id
        if name in self._drivers or not self._waits(run_id, machine, started):
            return True
        try:
            row = await self.journal.run(name)
        except RunNotFound:
            if not self._waits(run_id, machine, started):
                return True  # nobody would cancel it
            with suppress(StaleDriver):
                await engine._open_child(run_id, machine, started, gate_name(self._name, ""))
                return True
            return False
        if row.status == "running":
            if not await self.journal.claim(name):
                return False
            with suppress(StaleDriver):
                if name not in self._drivers:
                    await engine._go_on(row, await folded(self.journal, engine._rules, name))
                return True
            return False
        if started.seq and await self._try_again(engine, row, started, run_id):
            return True
        if (driver := self._drivers.get(run_id)) is not None:
            driver.deliver(Request(f"{CHILD}/{name}", run_id, CHILD, name))
        return True

    def _waits(self, run_id: str, machine: Machine, started: e.ChildStarted) -> bool:
        """Whether a step still waits for the run that does it, and the run above is driven."""
        mine = machine.children.get(machine.number[started.step])
        is_open = mine is not None and mine.started is started and not mine.is_over
        return is_open and machine.status == "running" and run_id in self._drivers

    async def _open_child(self, run_id: str, machine: Machine, started: e.ChildStarted, gate: str) -> None:
        rules = self._rules
        raw, parent = request_of(machine, run_id, started, rules), parent_of(machine, run_id, started, gate)
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

    async def _covered(self, request: Request) -> Request:
        """A decision as its run may take it: what it approves of a share is set aside in the run above first.

        Raises DecisionRefused where that can't be.
        """
        row = await self.journal.run(request.run_id)
        if not row.parent or row.team != self._team_hash:
            return request
        machine = await folded(self.journal, self._rules, row.run_id)
        asked = asked_above(request, machine, self._now_us())
        if asked is None:
            return request
        wanted, mine = asked
        self._deciding |= {wanted.request_id, mine.request_id}
        with told_below(row.run_id):
            while (driver := self._drivers.get(wanted.run_id)) is not None:
                verdict = await driver.verdict(wanted)
                accept(wanted.run_id, verdict)
                if verdict is not None:
                    return mine
                await asyncio.sleep(0)
            above = await rules_of(self.journal, await self.journal.run(wanted.run_id))
            await decide(self.journal, above, wanted, secrets=self._shell.secrets, now_us=self._now_us)
        return mine

    async def _tell_above(self, machine: Machine) -> None:
        """A run that does a step has ended, or is parked: where nobody drives the run above it, that goes on here."""
        above = machine.parent
        if above is None or machine.status == "running" or above.run_id in self._drivers or self._shell.stopping:
            return
        try:
            await self._take_up(above.run_id)
        except (JournalError, RunInterrupted) as error:
            if isinstance(error, JournalFull | JournalUnavailable):
                self._spawn(self._take_up_later(above.run_id))
            log.warning("run %s, whose step another run has done: %s", above.run_id, error)

    async def _take_up_later(self, run_id: str) -> None:
        """Nobody waits for it here: where the disk fails, it must be tried again."""
        await asyncio.sleep(AGAIN_SECONDS)
        async with self._room:
            if run_id not in self._drivers:
                with suppress(JournalError, RunInterrupted):
                    await self._take_up(run_id)

    async def _take_up(self, run_id: str) -> None:
        """Go on with a parked run that others ask something of, if it is one of these teams'."""
        try:
            row = await self.journal.run(run_id)
        except RunNotFound:
            return
        engine = self._family.get(row.team)
        goes_on = row.status == "running" and row.parent  # whoever drove it has died, and nobody waits for it
        if engine is None or not (row.status == "parked" or goes_on) or run_id in self._drivers:
            return
        if not await self.journal.claim(run_id):
            return
        machine = await folded(self.journal, engine._rules, run_id)
        if machine.status == "parked":
            await engine._take_asked(row, machine)
        if machine.status == "running" and run_id not in self._drivers:
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
            await self.journal.settle([one.request_id for one in requests])
            return
        asks, settles = asks_of(run_id, machine, facts), [one.request_id for one in requests]
        await self.journal.append(run_id, seq, facts, settles=settles, asks=asks)
        self._shell.tell(run_id, facts)
        for ask in asks:
            self.hear(ask)

    async def _follows(self, request: Request, machine: Machine, at_us: int) -> Sequence[e.AnyEvent]:
        if request.kind == CANCEL:
            return [cancelled(request, at_us)]
        if request.kind == SHARE_RAISED:
            return [verdict_on(request, machine, at_us)]
        try:
            child = await self.folded(request.by)
        except RunNotFound:
            return ()  # whoever has written that is no run
        facts = told_by(machine, request.run_id, request.by, child, at_us)
        secrets = self._shell.secrets
        return [without_secrets(fact, secrets) for fact in facts] if secrets else facts
