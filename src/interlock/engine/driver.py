"""Drives one run: folds what arrives, makes it durable in one append, then carries out what the machine commands.

Nothing is carried out before the append is durable. If the append fails, the machine is ahead of the journal and is
thrown away with the driver. While an append is under way, outcomes of calls gather and share the next one.
"""

import asyncio
import contextvars
from collections.abc import Sequence
from functools import partial
from typing import Any, final

import msgspec

from interlock.core import events as e
from interlock.core.commands import CallAgent, ForTheShell, PerformEffect, StartChild, StartTimer
from interlock.core.gate import Verdict
from interlock.core.job import effect_key
from interlock.core.machine import Machine
from interlock.core.settlement import approval_asked, expired, overdue
from interlock.core.values import decode
from interlock.ports import NOTHING_POSTED, AtGates, Opening, Request

from .asking import Asking
from .calling import Answer, Awaiting, Calling
from .calls import Call
from .children import CHILD, Children, FromChild
from .decisions import DECIDED, cancelled, verdict_on
from .passes import Passes
from .performances import Performances
from .seating import Seating
from .secrecy import without_secrets
from .shell import Shell
from .verdicts import Verdicts

Commands = list[ForTheShell]


@final
class _Overdue(msgspec.Struct, frozen=True):
    """Nobody has answered in time, or a wait is over; looked at when its turn to be folded has come."""

    timer: StartTimer


@final
class _Decided(msgspec.Struct, frozen=True):
    """What a person has decided; settled only when its turn to be folded has come."""

    request: Request


class Driver:
    """Drives one run until it ends, is parked, or the shell stops.

    Each arrival is a turn: a transition, its append, what it commands. While other calls are in flight, a turn waits
    for the end of the loop's round, since they may end in it, too; otherwise it runs in whatever task brings the news,
    so that a chain costs no extra round. While an append is under way, news waits for it.
    """

    def __init__(self, shell: Shell, run_id: str, machine: Machine) -> None:
        self._shell, self._run_id, self.machine = shell, run_id, machine
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # Agents' tasks start from this context, not from that of the agent whose reply made them ready.
        self._context = contextvars.copy_context()
        self._calling = Calling(shell, run_id, self._ended, self._context, self._arrive)
        self._arrived: list[e.AnyEvent | Answer | Awaiting | _Decided | _Overdue | FromChild] = []
        self._seating = Seating(shell, machine, self._ended, self._turn_soon)
        # Calls that have room and must ask at a gate, or have passed it; and what the gates of all calls are told.
        self._at_gate: list[CallAgent] = []
        self._passed: list[CallAgent] = []
        # Of the turn that is appended: its facts and commands, and the time, by the clock and in the run.
        self._turned: tuple[list[e.AnyEvent], Commands, int, int]
        # Those of its own team, and of the teams above.
        self._gates = shell.gates
        self._passes = Passes(shell.gates, run_id, machine)
        self._has_gates = bool(shell.gates)
        # How many events the run had when it was looked last whether anything of it keeps them away.
        self._looked_seq = -1
        # Calls that have room and are announced, until that is durable and they are made.
        self._announced_calls: dict[int, CallAgent] = {}
        self._settles: list[str] = []
        self._verdicts = Verdicts()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._asking = Asking(machine, self._arrive, shell.now_us, shell.secrets, self._calling.wait_for_person)
        self._children = Children(shell.nest, run_id, machine, self._arrive, self.fail)
        self._asks: list[Request] = []
        self._performances = Performances(shell, machine.rules.limits, self._arrive)
        self._opening: Opening | None = None
        self._busy = True  # until it is driven
        self._turn_is_near = False

    async def drive(self, facts: list[e.AnyEvent], opening: Opening | None = None) -> Machine:
        """Append and fold `facts`, then go on until nothing more can be done here."""
        try:
            self._pass_those_above(facts)
            requests = await self._shell.journal.requests(self._run_id) if opening is None else ()
            # The facts first: they may open a run again, and before that nothing could come of what is asked of it.
            heard, self._arrived = self._arrived, [*facts]
            self._arrived += heard
            for request in requests:
                self.deliver(request)
            self._children.go_on()
            self._opening, self._busy = opening, False
            self._arrived += map(_Overdue, self._over_since())
            self._turn()
            await self._ended
        finally:
            self._ended.cancel()
            self._abandon()
        return self.machine

    def _pass_those_above(self, facts: Sequence[e.AnyEvent]) -> None:
        """The calls of a run that does a step of another pass the gates of the teams above, too.

        facts: the first of a run that begins, which says whose step it does.
        """
        begun = next((fact for fact in facts if isinstance(fact, e.RunStarted)), None)
        parent = self.machine.parent if begun is None else begun.parent
        if parent is not None and parent.above:
            self._gates = self._shell.gates.below(parent.above)
            self._passes, self._has_gates = Passes(self._gates, self._run_id, self.machine), True

    def _over_since(self) -> list[StartTimer]:
        """The waits that were over before anybody drove the run, in the order of their deadlines."""
        machine, waits = self.machine, self.machine.waits
        late = overdue(machine, self._shell.now_us()) if waits else ()
        return [StartTimer(n, machine.step_id(n), waits[n].due_us, 0) for n in late if n in waits]

    @property
    def _over(self) -> bool:
        return self._ended.done()

    @property
    def _is_news(self) -> bool:
        return bool(self._arrived or self._seating.granted or self._passed)

    # --- a turn ---

    def _turn(self) -> None:
        """Fold what arrived, append it, carry out what it commands; again, as long as there is news."""
        if self._busy or self._ended.done():
            return
        self._busy = True
        try:
            while True:
                facts, commands, durable = self._transition()
                if durable is not None and not durable.done():
                    durable.add_done_callback(partial(self._appended, facts, commands))
                    return
                if durable is not None:
                    durable.result()
                self._carry_out(facts, commands)
                if self._ended.done() or not self._is_news:
                    break
        except BaseException as error:  # noqa: BLE001 - a turn may run in an agent's task; the error belongs to the driver
            self.fail(error)
        self._busy = False

    def _appended(self, facts: list[e.AnyEvent], commands: Commands, durable: "asyncio.Future[None]") -> None:
        """The append that a turn had to wait for has ended."""
        self._busy = False
        if self._over and not durable.cancelled():
            durable.exception()  # nobody is left whom it concerns
            return
        try:
            durable.result()
            self._carry_out(facts, commands)
        except BaseException as failure:  # noqa: BLE001 - this runs in a callback; the error belongs to the driver
            self.fail(failure)
        if self._is_news:
            self._turn()

    def _carry_out(self, facts: list[e.AnyEvent], commands: Commands) -> None:
        """The facts are durable: tell the observers, and do what is commanded."""
        if facts:
            self._shell.tell(self._run_id, facts)
            self._verdicts.tell()
            self._asking.heard(facts)
        if self._asks:
            asks, self._asks = self._asks, []
            self._children.tell(asks)
        if self.machine.status != "running" or self._stopped(commands):
            self._ended.set_result(None)
            return
        for command in commands:
            if type(command) is StartTimer:
                self._start_timer(command)
            elif type(command) is PerformEffect:
                self._perform(command)
            elif type(command) is StartChild:
                self._begin_child(command)
            else:
                call = Call(command, self.machine.job(self._run_id, command))
                if self.machine.rules.effects:
                    self._asking.let(call)
                del self._announced_calls[command.number]
                self._calling.begin(call)
        self._ask_gates()

    def _begin_child(self, command: StartChild) -> None:
        child = self.machine.children.get(command.number)
        if child is None:
            return
        started = child.started
        if started.due_us:
            self._start_timer(StartTimer(command.number, command.step, started.due_us, command.timeout_ms))
        self._children.begin(started)

    def fail(self, error: BaseException) -> None:
        """End with an error; what is in flight is cancelled."""
        if not self._ended.done():
            self._ended.set_exception(error)

    def _stopped(self, commands: Commands) -> bool:
        """Whether the shell stops and everything in flight here has come in."""
        if not self._shell.stopping or self._calling.in_flight or self._arrived or self._performances:
            return False
        return all(isinstance(command, StartTimer) for command in commands)

    # --- one transition: fold what arrived, and announce the calls there is room for ---

    def _transition(self) -> "tuple[list[e.AnyEvent], Commands, asyncio.Future[None] | None]":
        """The facts, what to do once they are durable, and the append they are in (None without facts)."""
        machine, shell = self.machine, self._shell
        # A clock may be set back; the time in a run never is.
        now_us = shell.now_us()
        seq, at_us = machine.seq, max(now_us, machine.at_us)
        facts = self._folded(at_us)
        arrived = len(facts)
        at_us = max(at_us, machine.at_us)  # what arrived may be from before the clock was set back
        to_do = machine.follow_up(facts, at_us)
        if self._has_gates:
            for fact in facts[arrived:]:  # among them the verdict on a reply that has waited for a judge
                self._passes.hear(fact)
        commands = self._announced(to_do, facts, at_us)
        if not facts:
            return facts, commands, None
        settles, self._settles = self._settles, []
        opening, self._opening = self._opening, None
        told = self._passes.take()
        asks = self._asks = self._children.asks(facts)
        noticing = shell.noticing
        posting = NOTHING_POSTED if noticing is None else noticing.of_facts(self._run_id, machine, facts)
        also = None
        if self._at_gate:
            self._turned = facts, commands, now_us, at_us
            also = self._pass_gates
        durable = shell.journal.append(
            self._run_id, seq, facts, opening=opening, settles=settles, asks=asks, told=told, posting=posting, also=also
        )
        return facts, commands, durable

    def _folded(self, at_us: int) -> list[e.AnyEvent]:
        """What arrived, folded as facts. An answer is judged when its turn has come, not when it came in."""
        machine, secrets = self.machine, self._shell.secrets
        arrived, self._arrived = self._arrived, []
        facts: list[e.AnyEvent] = []
        for item in arrived:
            if machine.status != "running" and not isinstance(item, e.RunReopened):
                continue
            if type(item) is Answer:
                at_us = max(at_us, machine.at_us)
                fact: e.AnyEvent = machine.judge(item.call.command, item.call.job, item.answer, at_us)
            elif type(item) is Awaiting:
                fact = approval_asked(machine, item.call.command, item.call.approval, item.usage, at_us)
            elif type(item) is _Decided:
                fact = verdict_on(item.request, machine, at_us)
            elif type(item) is _Overdue:
                asked = self._waiting(item.timer.number)
                if asked is None or asked.due_us != item.timer.due_us:
                    continue  # somebody has answered, or the event has come
                fact = expired(machine, item.timer.number, at_us)
            elif isinstance(item, FromChild):
                facts += self._told_by(item, at_us)
                continue
            else:
                fact = item if item.at_us >= machine.at_us else msgspec.structs.replace(item, at_us=machine.at_us)
            if secrets:
                fact = without_secrets(fact, secrets)
            if self._has_gates:
                self._passes.hear(fact)
            if type(item) is _Decided:
                self._verdicts.note(item.request.request_id, fact)
            machine.apply(fact)
            facts.append(fact)
        return facts

    def _waiting(self, n: int) -> Any:
        """What a step waits for, with the time until which it does."""
        machine = self.machine
        child = machine.children.get(n)
        return machine.questions.get(n) or machine.waits.get(n) or (None if child is None else child.started)

    def _told_by(self, told: FromChild, at_us: int) -> list[e.AnyEvent]:
        """What follows from how a run stands that does a step, folded."""
        facts = self._children.facts(told, max(at_us, self.machine.at_us))
        self._settles += told.settles
        if self._shell.secrets:
            facts = [without_secrets(fact, self._shell.secrets) for fact in facts]
        for fact in facts:
            self.machine.apply(fact)
        return facts

    def _announced(self, commands: Commands, facts: list[e.AnyEvent], at_us: int) -> Commands:
        """The timers, and those calls and effects for which there is room; their announcement joins the facts."""
        self._looked_seq = self.machine.seq
        ready, granted = self._seating.seat(commands, at_us)
        for call in granted:
            if type(call) is PerformEffect:
                self._announce_effect(call, ready, facts, at_us)
            elif type(call) is StartChild:
                self._announce_child(call, ready, facts, at_us)
            elif not self._gates.guards(call.agent):
                self._passed.append(call)
            elif not self._is_kept_away(call, at_us):
                self._at_gate.append(call)
        if self._passed:
            self._announce_passed(ready, facts, at_us)
        return ready

    def _announce_passed(self, ready: Commands, facts: list[e.AnyEvent], at_us: int, looked_seq: int = -1) -> None:
        """looked_seq: after so many events of the run, and just now, nothing kept them away."""
        passed, self._passed = self._passed, []
        for call in passed:
            if self.machine.seq == looked_seq or not self._is_kept_away(call, at_us):
                self._announced_calls[call.number] = call
                facts.append(self.machine.start(call, at_us))
                ready.append(call)

    def _announce_child(self, command: StartChild, ready: Commands, facts: list[e.AnyEvent], at_us: int) -> None:
        """A run takes no room: the calls that it makes do."""
        if not self._makes_calls():
            return
        held = self.machine.held(command, at_us)
        if held is not None:
            self._arrived.append(held)
            return
        chosen = self._children.choice(command, partial(self._seating.grant, command))
        if chosen is not None:
            facts.append(self.machine.start_child(command, chosen[0], at_us, chosen[1]))
            ready.append(command)

    def _announce_effect(self, command: PerformEffect, ready: Commands, facts: list[e.AnyEvent], at_us: int) -> None:
        if self.machine.is_due(command) and not self._shell.stopping:
            facts.append(self.machine.start_effect(command, at_us))
            ready.append(command)
        else:
            self._seating.give_back(command)

    # --- gates ---

    def _makes_calls(self) -> bool:
        return self.machine.status == "running" and not self._shell.stopping and not self._over

    def _is_kept_away(self, call: CallAgent, at_us: int) -> bool:
        """Whether a call that has room must not be made after all; then it has none any more."""
        if self._makes_calls():
            held = self.machine.held(call, at_us)
            if held is None:
                return False
            self._arrived.append(held)
            self._passes.not_made(call, at_us)
        self._shell.slots.give_back(call.agent)
        return True

    def _ask_gates(self) -> None:
        """Only once they were told what has come to pass, such as that the same call was lost."""
        asking, self._at_gate = self._at_gate, []
        for call in asking:
            key = self._passes.key(call.step, call.attempt)
            self._gates.ask(call.agent, self._run_id, key, partial(self._answered, call, key), self.machine.at_us)

    def _pass_gates(self, at_gates: AtGates) -> Sequence[e.AnyEvent]:
        """Ask within the append that tells them: calls that pass are announced in it, too."""
        facts, commands, now_us, at_us = self._turned
        before = len(facts)
        asking, self._at_gate = self._at_gate, []
        for call in asking:
            key = self._passes.key(call.step, call.attempt)
            verdict = self._gates.ask_within(at_gates, call.agent, key, now_us, at_us)
            if verdict.by is None:
                self._passes.note(call, key)
                self._passed.append(call)
            else:
                self._answered(call, key, verdict)
        self._announce_passed(commands, facts, at_us, self._looked_seq)
        return facts[before:]

    def _answered(self, call: CallAgent, key: str, verdict: Verdict | BaseException) -> None:
        """A gate lets a call through, or holds it: then it needs no room meanwhile."""
        if isinstance(verdict, Verdict) and verdict.by is None and not self._over and self.machine.status == "running":
            self._passes.note(call, key)
            self._passed.append(call)
            self._turn_soon()
            return
        self._shell.slots.give_back(call.agent)
        if isinstance(verdict, BaseException):
            self.fail(verdict)
        elif self.machine.status == "cancelled":
            self._gates.take_back(call.agent, key)
        elif not self._over:
            until_us = verdict.until_us
            held = e.CallHeld(self._shell.now_us(), call.step, call.agent, str(verdict.by), verdict.reason, until_us)
            self._arrived.append(held)
            self._turn_soon()

    def _perform(self, command: PerformEffect) -> None:
        entry = self.machine.ledger.entry(command.number, command.key)
        key = effect_key(entry.run_id or self._run_id, command.step, command.key)
        by = self._asking.performer(command.number, command.key)
        self._performances.begin(command, by, decode(entry.payload), key, self._context.copy())

    def _start_timer(self, timer: StartTimer) -> None:
        # Never longer than the whole wait: the clock may have been set back since.
        delay = min(max(0, timer.due_us - self._shell.now_us()), 1_000 * timer.wait_ms) / 1e6
        if (before := self._timers.get(timer.number)) is not None:
            before.cancel()  # of a run that has ended before its time
        self._timers[timer.number] = self._loop.call_later(delay, self._timer_fired, timer)

    def _timer_fired(self, timer: StartTimer) -> None:
        self._timers.pop(timer.number, None)
        if self.machine.backs_off_until(timer.number) == timer.due_us:
            # Where the clock was set back, the time that was waited for has come all the same.
            self._arrive(e.BackoffEnded(max(self._shell.now_us(), timer.due_us), timer.step))
        else:
            self._arrive(_Overdue(timer))

    # --- news ---

    def deliver(self, request: Request) -> bool:
        """Something is asked of this run; whether it could be taken."""
        if self._over:
            return False
        if request.kind == "cancel" and request.request_id not in self._settles:
            self._settles.append(request.request_id)
            if self.machine.parent is not None:
                self._children.unheard[request.request_id] = request  # the run above asks once; it may be parked now
            self._arrive(cancelled(request, self._shell.now_us()))
        elif request.kind in DECIDED and self._verdicts.expect(request.request_id):
            self._settles.append(request.request_id)
            self._arrive(_Decided(request))
        elif request.kind == CHILD:
            self._children.hear(request)
        return True

    def hear_child(self, told: FromChild) -> None:
        """How a run stands that does a step."""
        if not self._over:
            self._arrive(told)

    async def verdict(self, request: Request) -> e.AnyEvent | None:
        """Deliver a decision; returns what becomes of it, None where the driver is done before it can be taken."""
        # Shared with the driver: whoever waits for it may be cancelled.
        return await asyncio.shield(self._verdicts.of(request.request_id)) if self.deliver(request) else None

    @property
    def undecided(self) -> list[Request]:
        """What was decided and delivered when the driver was done already."""
        decided = (item.request for item in self._arrived if isinstance(item, _Decided))
        return [*decided, *self._children.unheard.values()]

    async def ended(self) -> None:
        """Wait until the driver is done, however that comes about."""
        await asyncio.wait([self._ended])

    def look_up(self) -> None:
        """The shell has begun to stop: see what that means here."""
        self._turn()

    def _arrive(self, item: e.AnyEvent | Answer | Awaiting | _Decided | _Overdue | FromChild) -> None:
        self._arrived.append(item)
        if self._calling.in_flight:
            self._turn_soon()
        else:
            self._turn()

    def _turn_soon(self) -> None:
        """One turn for all that comes in during this round of the loop, so that it shares one append."""
        if not self._turn_is_near and not self._busy:
            self._turn_is_near = True
            self._loop.call_soon(self._near_turn, context=self._context)

    def _near_turn(self) -> None:
        self._turn_is_near = False
        if self._is_news:
            self._turn()

    def _abandon(self) -> None:
        """No driver, no calls and no timers: what is in flight is cancelled."""
        for timer in self._timers.values():
            timer.cancel()
        self._calling.abandon()
        self._performances.abandon()
        self._children.abandon()
        self._asking.abandon()
        self._seating.abandon()
        for call in (*self._at_gate, *self._passed, *self._announced_calls.values()):
            self._seating.give_back(call)
        self._at_gate.clear()
        self._passed.clear()
        self._announced_calls.clear()
        self._verdicts.abandon()
