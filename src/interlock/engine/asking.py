"""Effects that agents wait for: each is asked for in the journal, and its result told once that is durable.

An agent that asks again, in another attempt or after a crash, gets what was recorded.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from interlock.core import events as e
from interlock.core.assess import EFFECTS_MAX, wanted_effect
from interlock.core.commands import CallAgent
from interlock.core.effects import Entry
from interlock.core.events import EffectWanted
from interlock.core.job import Effect, Job, connect
from interlock.core.machine import Machine
from interlock.core.values import decode
from interlock.errors import AgentRefused, ReplyRefused, ValueRefused
from interlock.ports import Performer, Secrets

_OUTCOMES = (e.EffectDone, e.EffectFailed, e.EffectBecameUnknown)


class Asker(Protocol):
    """A call whose agent asks."""

    command: CallAgent
    job: Job
    over: bool
    timed_out: bool


class _Asked(msgspec.Struct):
    wanted: EffectWanted
    waiting: list[asyncio.Future[Any]]


class Asking:
    """The effects that agents of one run wait for. tell: takes the fact that one is asked for.

    wait_for_person: ends a call that asks for an effect, by its key, which a person must approve first.
    """

    def __init__(
        self,
        machine: Machine,
        tell: Callable[[e.AnyEvent], None],
        now_us: Callable[[], int],
        secrets: Secrets | None = None,
        wait_for_person: Callable[[Any, str], None] = lambda _call, _key: None,
    ) -> None:
        self._machine, self._tell, self._now_us, self._secrets = machine, tell, now_us, secrets
        self._wait_for_person = wait_for_person
        self._asked: dict[tuple[int, str], _Asked] = {}
        self._by: dict[tuple[int, str], Performer] = {}

    def let(self, call: Asker) -> None:
        """Let the agent of a call ask."""
        connect(call.job, partial(self._perform, call))

    async def _perform(self, call: Asker, effect: str, payload: Any, key: str, *, by: Performer | None = None) -> Any:
        """The result of an effect. Raises AgentRefused where there is none, ReplyRefused for one that can't be had.

        by: what performs it, where it is a tool of the agent and not an effect of the team.
        """
        n, wanted = call.command.number, self._wanted(call, Effect(effect, payload, key), is_tool=by is not None)
        entry = self._machine.ledger.find(n, wanted.key)
        asked = self._asked.get((n, wanted.key))
        waiting = [future for future in asked.waiting if not future.done()] if asked else []
        if asked and waiting and asked.wanted != wanted:
            raise ReplyRefused(_in_use(wanted))
        if entry is not None and entry.is_same(wanted.effect, wanted.payload):
            if entry.standing == "done" or (entry.standing != "started" and self._is_settled(entry)):
                return _outcome(entry)
        elif entry is not None and entry.standing == "started":
            raise ReplyRefused(_in_use(wanted))
        future = asyncio.get_running_loop().create_future()
        self._asked[n, wanted.key] = _Asked(wanted, [*waiting, future])
        if by is not None:
            self._by[n, wanted.key] = by
        if entry is None or entry.standing != "started":
            step, attempt = call.command.step, call.command.attempt
            self._tell(e.EffectRequested(self._now_us(), step, attempt, wanted.effect, wanted.key, wanted.payload))
            if self._machine.ledger.needs_approval(wanted, entry):
                self._wait_for_person(call, wanted.key)
        return await future

    def performer(self, n: int, key: str) -> Performer | None:
        """What performs this effect, where it is a tool that an agent calls."""
        return self._by.get((n, key))

    def _wanted(self, call: Asker, effect: Effect, *, is_tool: bool) -> EffectWanted:
        duty = self._machine.duty(call.command.number)
        if not duty.immediate and not is_tool:
            message = f"{duty.agent} may not have effects performed while it works"
            raise AgentRefused(message, fix="declare effects: immediate for it, or put them into its reply")
        if call.over or call.timed_out:
            raise AgentRefused(f"attempt {call.command.attempt} of {call.command.step} is over")
        try:
            among = duty.tools if is_tool else duty.effects
            wanted = wanted_effect(effect, duty, self._machine.rules.limits, among)
        except ValueRefused as error:
            raise ReplyRefused(error.message) from None
        n = call.command.number
        if (
            self._machine.ledger.find(n, wanted.key) is None
            and sum(1 for _ in self._machine.ledger.of(n)) >= EFFECTS_MAX
        ):
            raise ReplyRefused(f"{call.command.step} has asked for {EFFECTS_MAX} effects, and may ask for no more")
        if self._secrets and (name := self._secrets.among(bytes(wanted.payload) + wanted.key.encode())):
            raise ReplyRefused(f"the effect {wanted.effect} holds the value of {name}, which is secret; leave it out")
        return wanted

    def _is_settled(self, entry: Entry) -> bool:
        """Whether nothing more comes of an effect, whoever asks for it."""
        return self._machine.ledger.following(entry) in {"ask", "bury"}

    def heard(self, facts: Sequence[e.AnyEvent]) -> None:
        """These have become durable: tell those who wait."""
        if not self._asked:
            return
        for fact in facts:
            if isinstance(fact, _OUTCOMES):
                self._answer(self._machine.number[fact.step], fact.key)

    def _answer(self, n: int, key: str) -> None:
        entry = self._machine.ledger.entry(n, key)
        if entry.standing != "done" and not self._is_settled(entry):
            return
        asked = self._asked.pop((n, key), None)
        self._by.pop((n, key), None)
        for future in asked.waiting if asked else ():
            if not future.done():
                try:
                    future.set_result(_outcome(entry))
                except AgentRefused as error:
                    future.set_exception(error)

    def abandon(self) -> None:
        """Nobody is told any more."""
        for asked in self._asked.values():
            for future in asked.waiting:
                future.cancel()
        self._asked.clear()


def _in_use(wanted: EffectWanted) -> str:
    return f"an effect with the key {wanted.key} is under way, with another payload; take another key"


def _outcome(entry: Entry) -> Any:
    if entry.standing != "done":
        raise AgentRefused(entry.fate)
    if entry.flaw:
        raise AgentRefused(f"the effect {entry.name} was performed, without a result: {entry.flaw}")
    return decode(entry.result)
