"""One call of an agent in flight: how it is stopped, and what an error of it means."""

import asyncio
import logging
import math
from typing import Any

from interlock.core import events as e
from interlock.core.assess import usage_of
from interlock.core.commands import CallAgent
from interlock.core.job import Job
from interlock.core.policy import RETRY_AFTER_MS_MAX
from interlock.errors import AgentError, describe, failure_of

from . import tasks
from .shell import Shell
from .slots import Slots

log = logging.getLogger("interlock")


class Call:
    """One call in flight.

    deadline: loop time at which it times out; None until its work has begun, and once it has timed out. over: its
    outcome is known. timed_out: it is being stopped; approval: for an effect, by its key, that a person must approve.
    """

    __slots__ = ("approval", "command", "deadline", "has_slot", "job", "over", "task", "timed_out")

    def __init__(self, command: CallAgent, job: Job) -> None:
        self.command, self.job = command, job
        self.over = self.timed_out = False
        self.has_slot = True
        self.approval = ""
        self.deadline: float | None = None
        self.task: asyncio.Task[None]

    def leave(self, slots: Slots) -> None:
        """Give its room back, once."""
        if self.has_slot:
            self.has_slot = False
            slots.give_back(self.command.agent)

    def stop(self, shell: Shell, run_id: str) -> None:
        """Cancel it. It keeps its room until it has ended, but not for ever."""
        self.task.cancel()
        shell.ending.add(self.task)
        self.task.add_done_callback(shell.ending.discard)
        self.task.add_done_callback(lambda _: self.leave(shell.slots))  # it may end before it has begun
        self.task.get_loop().call_later(tasks.STUBBORN_SECONDS, self._insist, shell, run_id)

    def _insist(self, shell: Shell, run_id: str) -> None:
        """Cancel it once more: before Python 3.12, `asyncio.wait_for` loses a cancellation that meets its end."""
        if not self.task.done():
            self.task.cancel()
            self.task.get_loop().call_later(tasks.STUBBORN_SECONDS, self._name_stubborn, shell, run_id)

    def _name_stubborn(self, shell: Shell, run_id: str) -> None:
        """An agent that ignores its cancellations is named, and keeps no room that others could use."""
        if self.task.done():
            return
        agent, stubborn = self.command.agent, shell.stubborn
        stubborn[agent] = stubborn.get(agent, 0) + 1
        log.warning(
            "agent %s goes on after its cancellation (run %s, step %s); its reply will be ignored. "
            "Only isolation: process can stop it",
            agent,
            run_id,
            self.command.step,
        )
        self.leave(shell.slots)


def failed(error: BaseException, command: CallAgent, at_us: int) -> e.AttemptFailed:
    """What it means for an attempt that its call has raised an error."""
    if not isinstance(error, AgentError):
        # A call that is cancelled can't raise what it has consumed, so that is the cause it gives.
        spent = usage_of(error.__cause__) if isinstance(error, asyncio.CancelledError) else None
        return e.AttemptFailed(at_us, command.step, command.attempt, "error", describe(error), usage=spent)
    return e.AttemptFailed(
        at_us,
        command.step,
        command.attempt,
        failure_of(error).kind,
        describe(error),
        bool(error.retryable),
        usage_of(error),
        _milliseconds(error.retry_after),
    )


def _milliseconds(seconds: Any) -> int:
    """What an agent says about time, as far as it is a time."""
    said = seconds if type(seconds) in {int, float} and seconds > 0 else 0.0
    return math.ceil(1_000 * min(said, RETRY_AFTER_MS_MAX / 1_000))
