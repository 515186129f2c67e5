"""Places for what one run is to do: its calls and effects get one where there is room, or wait until there is."""

import asyncio
from collections.abc import Callable
from functools import partial

from interlock.core.commands import CallAgent, ForTheShell, PerformEffect, StartChild, StartTimer
from interlock.core.machine import Machine

from .performances import slot_of
from .shell import Shell

Granted = CallAgent | PerformEffect | StartChild


class Seating:
    """Finds places for what one run is to do.

    granted: what has its place since the last turn. ended: done when nothing of the run counts any more. turn_soon: has
    what was granted looked at.
    """

    def __init__(
        self, shell: Shell, machine: Machine, ended: "asyncio.Future[None]", turn_soon: Callable[[], None]
    ) -> None:
        self._shell, self._machine, self._ended, self._turn_soon = shell, machine, ended, turn_soon
        self._loop = asyncio.get_running_loop()
        self.granted: list[Granted] = []
        # By (step, key), the tries of effects that must wait.
        self._timers: dict[tuple[int, str], asyncio.TimerHandle] = {}

    def seat(self, commands: list[ForTheShell], at_us: int) -> tuple[list[ForTheShell], list[Granted]]:
        """The timers, and all that has been given a place so far; the rest waits for one."""
        shell = self._shell
        granted, self.granted = self.granted, []
        timers: list[ForTheShell] = []
        for command in commands:
            if type(command) is StartTimer:
                timers.append(command)
            elif type(command) is PerformEffect and command.due_us > at_us:
                self._perform_later(command)
            elif (slot := _slot(command)) is None or shell.slots.take(slot):
                granted.append(command)
            else:
                shell.slots.wait(slot, partial(self.grant, command))
        return timers, granted

    def grant(self, command: Granted) -> bool:
        """It has its place, and what it is for begins in the next turn; False where it is not wanted any more."""
        if self._ended.done() or self._shell.stopping or self._machine.status != "running":
            return False
        self.granted.append(command)
        self._turn_soon()
        return True

    def give_back(self, command: Granted) -> None:
        """It needs its place no more."""
        slot = _slot(command)
        if slot is not None:
            self._shell.slots.give_back(slot)

    def _perform_later(self, command: PerformEffect) -> None:
        """A try that must wait. It is announced when its time has come, if somebody still waits for it."""
        name = (command.number, command.key)
        before = self._timers.pop(name, None)
        if before is not None:
            before.cancel()
        delay = min(max(0, command.due_us - self._shell.now_us()), 1_000 * command.wait_ms) / 1e6
        self._timers[name] = self._loop.call_later(delay, self._wait_is_over, name, command)

    def _wait_is_over(self, name: tuple[int, str], command: PerformEffect) -> None:
        del self._timers[name]
        slot = _slot(command)
        if slot is None or self._shell.slots.take(slot):
            if not self.grant(command):
                self.give_back(command)
        else:
            self._shell.slots.wait(slot, partial(self.grant, command))

    def abandon(self) -> None:
        """Nothing more begins here."""
        for timer in self._timers.values():
            timer.cancel()
        for command in self.granted:
            self.give_back(command)
        self.granted.clear()


def _slot(command: Granted) -> str | None:
    """The room that a command takes; None for a run, and where an agent waits for its effect, and has room already."""
    if isinstance(command, CallAgent):
        return command.agent
    return None if isinstance(command, StartChild) or command.immediate else slot_of(command.effect)
