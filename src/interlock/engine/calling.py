"""The calls of one run that are in flight: each in a task of its own, all of them under one alarm."""

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import Any, final

import msgspec

from interlock.core import events as e
from interlock.core.assess import usage_of
from interlock.core.commands import CallAgent
from interlock.core.job import Usage
from interlock.errors import ReplyRefused, describe
from interlock.ports import listen

from . import tasks
from .calls import Call, failed
from .partials import Telling
from .shell import Shell

# How long a call that has timed out may take to tell what it has consumed.
BILL_SECONDS = 0.1


@final
class Answer(msgspec.Struct, frozen=True):
    """What an agent answered; judged only when its turn to be folded has come."""

    call: Call
    answer: Any


@final
class Awaiting(msgspec.Struct, frozen=True):
    """A call has ended since it waits for a person's approval; asked for when its turn to be folded has come."""

    call: Call
    usage: Usage | None


Ending = e.AnyEvent | Answer | Awaiting


class Calling:
    """Calls the agents of one run.

    ended: done when nothing of the run counts any more. context: from which each call starts. tell: takes how it ends.
    in_flight: by the number of the step.
    """

    def __init__(
        self,
        shell: Shell,
        run_id: str,
        ended: "asyncio.Future[None]",
        context: contextvars.Context,
        tell: Callable[[Ending], None],
    ) -> None:
        self._shell, self._run_id, self._ended, self._context, self._tell = shell, run_id, ended, context, tell
        self._loop = asyncio.get_running_loop()
        self._alarm: asyncio.TimerHandle | None = None
        self.in_flight: dict[int, Call] = {}

    def begin(self, call: Call) -> None:
        """Start a call in a task of its own: contextvars, cancellation and a hang of one agent stay its own."""
        self.in_flight[call.command.number] = call
        call.task = tasks.spawn(self._attempt(call), self._context.copy())

    async def _attempt(self, call: Call) -> None:
        command = call.command
        outcome: e.AnyEvent | Answer
        telling = self._telling(call)
        try:
            answer = await self._shell.adapters[command.agent].call(call.job, partial(self._began, call))
            outcome = Answer(call, answer)
        except ReplyRefused as refused:
            outcome = Answer(call, ReplyRefused(describe(refused), usage=refused.usage, said=refused.said))
        except BaseException as error:
            if isinstance(error, GeneratorExit) and asyncio.current_task(self._loop) is not call.task:
                raise  # not the agent's: the loop was closed over this task
            outcome = failed(error, command, self._shell.now_us())
        finally:
            if telling is not None:
                telling.end()
        call.leave(self._shell.slots)
        if call.over:
            self._late(command, outcome)
        elif call.timed_out:
            self._end_timed_out(call, _consumed(outcome))
        else:
            self._end(call, outcome)

    def _end(self, call: Call, outcome: e.AnyEvent | Answer | Awaiting) -> None:
        call.over = True
        del self.in_flight[call.command.number]
        self._tell(outcome)

    def _telling(self, call: Call) -> Telling | None:
        """What passes on the text of this call while it comes, if anybody wants it."""
        if self._shell.hearer is None or call.job.draft is not None:
            return None
        job = call.job
        telling = Telling(self._shell.hearer, job, lambda: call.over or call.timed_out, self._shell.secrets)
        listen(telling)
        return telling

    def _began(self, call: Call, *, fault: str = "") -> None:
        """The timeout of a call runs from here. One alarm serves all calls: most end long before it rings."""
        if fault and not call.over:
            self._tell(e.FaultInjected(self._shell.now_us(), call.command.step, call.command.attempt, fault))
        call.deadline = self._loop.time() + call.command.timeout_ms / 1_000
        if self._alarm is None or self._alarm.when() > call.deadline:
            self._set_alarm(call.deadline)

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(when, self._alarm_rang)

    def _alarm_rang(self) -> None:
        self._alarm = None
        now = self._loop.time()
        for call in list(self.in_flight.values()):
            if call.deadline is not None and call.deadline <= now:
                self._time_out(call)
        deadlines = [call.deadline for call in self.in_flight.values() if call.deadline is not None]
        if deadlines:
            self._set_alarm(min(deadlines))

    def _time_out(self, call: Call) -> None:
        """The attempt fails, whatever its agent answers now; but what it has consumed is told as it is cancelled."""
        call.timed_out, call.deadline = True, None
        call.stop(self._shell, self._run_id)
        self._loop.call_later(BILL_SECONDS, self._end_timed_out, call)

    def wait_for_person(self, call: Call, key: str) -> None:
        """The attempt ends: an effect that its agent waits for needs a person's approval, which may take months."""
        call.approval = key
        self._time_out(call)

    def _end_timed_out(self, call: Call, usage: Usage | None = None) -> None:
        if call.approval and not call.over:
            self._end(call, Awaiting(call, usage))
        elif not call.over:
            now, command = self._shell.now_us(), call.command
            error = f"timed out after {command.timeout_ms / 1_000:g} s"
            self._end(call, e.AttemptFailed(now, command.step, command.attempt, "timeout", error, usage=usage))

    def _give_up(self, call: Call) -> None:
        """Stop a call whose outcome doesn't count any more. One that has timed out is being stopped already."""
        call.over = True
        if not call.timed_out:
            call.stop(self._shell, self._run_id)

    def _late(self, command: CallAgent, outcome: e.AnyEvent | Answer) -> None:
        answered, usage = isinstance(outcome, Answer), _consumed(outcome)
        if (answered or usage is not None) and not self._ended.done():
            self._tell(e.ReplyArrivedLate(self._shell.now_us(), command.step, command.attempt, usage))

    def abandon(self) -> None:
        """Nobody waits for them any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        for call in self.in_flight.values():
            self._give_up(call)
        self.in_flight.clear()


def _consumed(outcome: e.AnyEvent | Answer) -> Usage | None:
    return usage_of(outcome.answer) if isinstance(outcome, Answer) else getattr(outcome, "usage", None)
