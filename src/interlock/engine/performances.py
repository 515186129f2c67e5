"""Performs the effects of one run, each in a task of its own, and says what became of them.

What ends without saying that nothing was done is unknown: it may have been.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Any, Protocol

import msgspec

from interlock.core import events as e
from interlock.core.commands import PerformEffect
from interlock.core.values import Limits, encode
from interlock.errors import AgentRefused, NotPerformed, ReplyRefused, ValueRefused, describe
from interlock.ports import Performer

from . import tasks
from .slots import Slots


class Room(Protocol):
    """What performances need of the shell."""

    @property
    def performers(self) -> Mapping[str, Performer]:
        """What performs the team's effects, by name."""

    @property
    def slots(self) -> Slots:
        """Room for performances."""

    @property
    def now_us(self) -> Callable[[], int]:
        """The time."""

    @property
    def ending(self) -> set[asyncio.Task[None]]:
        """Tasks that were cancelled and have not ended yet."""


def slot_of(effect: str) -> str:
    """Under which name the performances of an effect share room; no agent has such a name."""
    return f"effect:{effect}"


class _Performance:
    __slots__ = ("alarm", "command", "over", "task")

    def __init__(self, command: PerformEffect) -> None:
        self.command, self.over = command, False
        self.alarm: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None]


class Performances:
    """The effects of one run that are being performed. tell: takes the fact that becomes of each."""

    def __init__(self, room: Room, limits: Limits, tell: Callable[[e.AnyEvent], None]) -> None:
        self._room, self._limits, self._tell = room, limits, tell
        self._loop = asyncio.get_running_loop()
        self._in_flight: dict[tuple[int, str], _Performance] = {}

    def __bool__(self) -> bool:
        return bool(self._in_flight)

    def begin(
        self, command: PerformEffect, by: Performer | None, payload: Any, idempotency_key: str, context: Context
    ) -> None:
        """Perform an effect that is announced. by: what performs it, where that isn't one of the team's."""
        one = _Performance(command)
        self._in_flight[command.number, command.key] = one
        one.task = tasks.spawn(self._perform(one, by, payload, idempotency_key), context)

    async def _perform(self, one: _Performance, by: Performer | None, payload: Any, idempotency_key: str) -> None:
        command, now_us = one.command, self._room.now_us
        step, key = command.step, command.key
        fact: e.AnyEvent
        try:
            result = await self._performer(command, by).perform(payload, idempotency_key, partial(self._began, one))
            fact = self._done(command, result)
        except ReplyRefused as refused:
            fact = e.EffectDone(now_us(), step, key, flaw=describe(refused))
        except (NotPerformed, AgentRefused, ConnectionRefusedError) as error:
            fact = e.EffectFailed(now_us(), step, key, describe(error), bool(getattr(error, "retryable", True)))
        except BaseException as error:
            if isinstance(error, GeneratorExit) and asyncio.current_task(self._loop) is not one.task:
                raise  # the loop was closed over this task
            fact = e.EffectBecameUnknown(now_us(), step, key, describe(error))
        self._end(one, fact)

    def _performer(self, command: PerformEffect, by: Performer | None) -> Performer:
        performer = by or self._room.performers.get(command.effect)
        if performer is None:
            raise NotPerformed("whoever had it performed is gone", again=False)
        return performer

    def _done(self, command: PerformEffect, result: Any) -> e.EffectDone:
        now = self._room.now_us()
        try:
            return e.EffectDone(now, command.step, command.key, msgspec.Raw(encode(result, self._limits)))
        except ValueRefused as error:
            return e.EffectDone(now, command.step, command.key, flaw=error.message)

    def _began(self, one: _Performance, *, fault: str = "") -> None:
        del fault
        if one.alarm is None and not one.over:
            one.alarm = self._loop.call_later(one.command.timeout_ms / 1_000, self._time_out, one)

    def _time_out(self, one: _Performance) -> None:
        if not one.over:
            command = one.command
            reason = f"it took longer than {command.timeout_ms / 1_000:g} s"
            self._stop(one)
            self._end(one, e.EffectBecameUnknown(self._room.now_us(), command.step, command.key, reason))

    def _end(self, one: _Performance, fact: e.AnyEvent) -> None:
        if one.over:
            return
        self._leave(one)
        self._tell(fact)

    def _leave(self, one: _Performance) -> None:
        one.over = True
        if one.alarm is not None:
            one.alarm.cancel()
        del self._in_flight[one.command.number, one.command.key]
        if not one.command.immediate:
            self._room.slots.give_back(slot_of(one.command.effect))

    def _stop(self, one: _Performance) -> None:
        one.task.cancel()
        self._room.ending.add(one.task)
        one.task.add_done_callback(self._room.ending.discard)

    def abandon(self) -> None:
        """Stop them all: nobody will hear what becomes of them."""
        for one in [*self._in_flight.values()]:
            self._leave(one)
            self._stop(one)
