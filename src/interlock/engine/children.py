"""The runs that do steps of one run, as its driver sees them: begun, looked at when they have told, and cancelled.

A run tells the one above it in the very append in which it ends or is parked, and only that it has: what has become of
it is read from its own events. So whoever dies between any two writes leaves nothing that is told twice, or never.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from interlock.core import events as e
from interlock.core.children import told_by
from interlock.core.commands import StartChild
from interlock.core.machine import Machine
from interlock.core.values import content_hash
from interlock.errors import JournalError, RunNotFound
from interlock.ports import Request

from . import tasks
from .shares import raising

CHILD = "child"
CANCEL = "cancel"
_ID_CHARS = 22


def child_id(run_id: str, step: str, attempt: int) -> str:
    """The id of the run that does a step: the same whenever it is begun, so that beginning it twice is once."""
    return f"n{content_hash(f'{run_id}/{step}/{attempt}'.encode())[:_ID_CHARS]}"


def cancelling(run_id: str, above: str) -> Request:
    """That a run is cancelled, since the one above it waits for it no longer."""
    why = f"run {above}, whose step it did, does not wait for it any more"
    return Request(f"{CANCEL}-{run_id}", run_id, CANCEL, f"run:{above}", why)


def asks_of(run_id: str, machine: Machine, facts: Iterable[e.AnyEvent]) -> list[Request]:
    """What facts of a run, which are folded, ask of the run above it and of those that do its steps."""
    asks: list[Request] = []
    for fact in facts:
        if isinstance(fact, e.ChildAbandoned):
            asks.append(cancelling(fact.run_id, run_id))
        elif isinstance(fact, e.ShareRaised):
            asks.append(raising(fact))
        elif isinstance(fact, e.RunCancelled):
            going = (child.started.run_id for child in machine.children.values() if not child.is_over)
            asks += [cancelling(name, run_id) for name in going]
        if isinstance(fact, e.RunParked | e.RunFinished | e.RunCancelled) and machine.parent is not None:
            asks.append(Request(f"{CHILD}/{run_id}/{machine.seq}", machine.parent.run_id, CHILD, run_id))
    return asks


class Nest(Protocol):
    """Who knows all teams that are nested in each other, and drives their runs."""

    def begin(self, run_id: str, machine: Machine, started: e.ChildStarted) -> None:
        """Have the run driven that is to do a step of this one; it may be there already."""

    async def folded(self, run_id: str) -> Machine:
        """A run as it is in the journal. Raises RunNotFound, JournalError."""

    async def again(self, run_id: str) -> int | None:
        """From how many events on a run that has failed does its step if that is tried again.

        0: it has succeeded meanwhile. None: another one must.
        """

    def hear(self, request: Request) -> None:
        """Something was asked of a run in an append of another, which is durable."""


class FromChild(msgspec.Struct, frozen=True):
    """How a run stands that does a step; what follows is known when its turn to be folded has come.

    child: None where it could not even begin, for this `error`. settles: the requests that had it looked at.
    """

    run_id: str
    child: Machine | None
    settles: Sequence[str] = ()
    error: str = ""

    def facts(self, machine: Machine, run_id: str, at_us: int) -> list[e.AnyEvent]:
        """What follows from it in the run whose step it does."""
        if self.child is not None:
            return told_by(machine, run_id, self.run_id, self.child, at_us)
        mine = (child.started for child in machine.children.values() if not child.is_over)
        return [
            e.ChildEnded(at_us, one.step, one.attempt, one.run_id, "failed", self.error)
            for one in mine
            if one.run_id == self.run_id and self.error
        ]


class Children:
    """The runs that do steps of the run of one driver."""

    def __init__(
        self,
        nest: Nest | None,
        run_id: str,
        machine: Machine,
        arrive: Callable[[FromChild], Any],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._nest, self._run_id, self._machine = nest, run_id, machine
        self._arrive, self._fail = arrive, fail
        self._looks: set[asyncio.Task[None]] = set()
        # Of a step that is tried again, by attempt: which run does it, and from how many events on.
        self._chosen: dict[tuple[str, int], tuple[str, int]] = {}
        # What was told and is not folded yet, by the id of the request.
        self.unheard: dict[str, Request] = {}

    def begin(self, started: e.ChildStarted) -> None:
        """The run that is to do a step may begin: its announcement is durable."""
        if self._nest is not None:
            self._nest.begin(self._run_id, self._machine, started)

    def choice(self, command: StartChild, again: Callable[[], Any]) -> tuple[str, int] | None:
        """The run that is to do a step, and how many events it has; None until that is known, and `again` called."""
        failed, name = self._machine.failed.get(command.number), (command.step, command.attempt)
        if failed is None or self._nest is None:
            return child_id(self._run_id, *name), 0
        if name not in self._chosen:
            self._spawn(self._choose(self._nest, command, failed, again))
            return None
        return self._chosen.pop(name)

    async def _choose(self, nest: Nest, command: StartChild, failed: str, again: Callable[[], Any]) -> None:
        try:
            seq = await nest.again(failed)
        except JournalError as error:
            self._fail(error)
            return
        new = child_id(self._run_id, command.step, command.attempt)
        self._chosen[command.step, command.attempt] = (new, 0) if seq is None else (failed, seq)
        again()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = tasks.spawn(work)
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    def go_on(self) -> None:
        """Whoever drove this run may have died before the others had begun, or were cancelled."""
        for child in self._machine.children.values():
            if not child.is_over:
                self.begin(child.started)
        for run_id in self._machine.abandoned:
            self.tell([cancelling(run_id, self._run_id)])
            self.hear(Request(f"{CHILD}/{run_id}", self._run_id, CHILD, run_id))

    def hear(self, request: Request) -> None:
        """A run has told that it is worth a look."""
        if self._nest is not None and request.request_id not in self.unheard:
            self.unheard[request.request_id] = request
            self._spawn(self._look(self._nest, request))

    async def _look(self, nest: Nest, request: Request) -> None:
        try:
            child = await nest.folded(request.by)
        except RunNotFound:
            child = None
        except JournalError as error:
            self._fail(error)
            return
        self._arrive(FromChild(request.by, child, (request.request_id,)))

    def facts(self, told: FromChild, at_us: int) -> list[e.AnyEvent]:
        """What follows from how another run stands."""
        for request_id in told.settles:
            self.unheard.pop(request_id, None)
        return told.facts(self._machine, self._run_id, at_us)

    def asks(self, facts: Sequence[e.AnyEvent]) -> list[Request]:
        """What is asked of other runs in the append of these facts."""
        machine = self._machine
        if machine.parent is None and not machine.children and not machine.abandoned:
            return []
        return asks_of(self._run_id, machine, facts)

    def tell(self, asks: Sequence[Request]) -> None:
        """What was asked of other runs is durable."""
        if self._nest is not None:
            for request in asks:
                self._nest.hear(request)

    def abandon(self) -> None:
        """No driver, no looks."""
        for task in self._looks:
            task.cancel()
