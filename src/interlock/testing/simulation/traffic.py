"""What must hold across the runs of a world: which calls are in flight, and which process drives which run."""

from collections.abc import Mapping, Sequence

from interlock.core import events as e
from interlock.core.job import Job
from interlock.team import Team

from .account import Account
from .account.approvals import is_about_own_plan
from .checks import Outcome, check_outcome
from .loop import Timeline
from .process import Call, Process

# Who is asked to cancel a run has this long for it, while it is alive: time for some appends on a busy disk.
CANCEL_SECONDS = 1.0


class Traffic:
    """The calls of a world and the drivers of its runs. accounts: of all runs that there are by now.

    calls_max, runs_max: how many of them one process may have at once. Its checks raise Broken.
    """

    def __init__(
        self,
        teams: Mapping[str, Team],
        timeline: Timeline,
        accounts: Mapping[str, Account],
        *,
        calls_max: int,
        runs_max: int,
    ) -> None:
        self._teams, self._timeline, self._accounts = teams, timeline, accounts
        self._calls_max, self._runs_max = calls_max, runs_max
        self._calls: dict[tuple[str, str, int], Call] = {}
        self._keys: dict[str, tuple[str, str, int]] = {}
        self._open: dict[tuple[int, str], list[Call]] = {}
        self._asked: dict[str, float] = {}
        self._drivers: dict[str, Process] = {}
        # When a process had room for another run the last time.
        self._freed_us: dict[Process, int] = {}
        # Since when whoever drives a run could have gone on with it.
        self._taken_us: dict[str, int] = {}

    # --- calls ---

    def call_began(self, account: Account, job: Job) -> Call:
        """An agent is handed a job, in the task that asks."""
        call = Call(job, account.steps[job.step].duty.policy.timeout_ms / 1_000)
        self._calls[job.run_id, job.step, job.attempt] = call
        return call

    def check_call(self, process: Process, account: Account, call: Call) -> None:
        """That no other call has its idempotency key, and that there is room for it."""
        job = call.job
        mine = (job.run_id, job.step, job.attempt)
        owner = self._keys.setdefault(job.idempotency_key, mine)
        account.require("keys", owner == mine, "{} has the idempotency key of {}", mine, owner)
        self._check_room(process, account, call)

    def _check_room(self, process: Process, account: Account, call: Call) -> None:
        agent = call.job.agent
        mine = self._open.setdefault((process.number, f"{account.team}/{agent}"), [])
        mine[:] = [other for other in mine if other.goes_on]
        mine.append(call)
        bound = self._teams[account.team].agents[agent].concurrency
        fits = bound is None or len(mine) <= bound
        account.require("limits", fits, "{} calls of {} in flight, more than {}", len(mine), agent, bound)
        ours = [calls for (number, _), calls in self._open.items() if number == process.number]
        if sum(map(len, ours)) > self._calls_max:
            fits = sum(call.goes_on for calls in ours for call in calls) <= self._calls_max
            account.require("limits", fits, "more than {} calls in flight", self._calls_max)

    def check_outcome(self, account: Account, event: Outcome) -> None:
        """That an outcome belongs to a call, and is what became of it."""
        if type(event) is e.QuestionAsked and (event.effect or is_about_own_plan(account, event)):
            return  # it isn't an agent that asks
        duty = account.drew.get((event.step, event.attempt))
        if duty is not None and duty.nested is not None:
            return  # it was no call: see `kin`
        call = self._calls.get((account.run_id, event.step, event.attempt))
        has_been = "attempt {} of {} has an outcome, but was never made"
        account.require("durable", call, has_been, event.attempt, event.step)
        assert call is not None
        check_outcome(account, event, call)

    def check_effect(self, account: Account, event: e.EffectDone | e.EffectFailed) -> None:
        """That an effect is told to be done, or not to be done, where that is known out there."""
        one = account.effects.known[event.step, event.key]
        told = f"{event.key} of {event.step} is told"
        account.require("effects", one.completed or not one.done, f"{told} to be done, and wasn't")
        account.require("effects", one.failed <= one.refused, f"{told} not to be done, which nobody knows")

    def check_stopped(self, process: Process, account: Account) -> None:
        """That nothing goes on for a run that is over, unless it doesn't obey."""
        for (run_id, step, attempt), call in self._calls.items():
            if run_id == account.run_id and call.began_in(process.loop):
                message = f"attempt {attempt} of {step} goes on although the run is over"
                account.require("stopped", not call.goes_on, message)

    # --- drivers ---

    def cancel_asked(self, run_id: str) -> None:
        """Somebody asks to cancel a run."""
        self._asked[run_id] = self._timeline.now

    def check_driver(self, account: Account, process: Process | None, events: Sequence[e.AnyEvent]) -> None:
        """That who goes on with a run has heard that it shall be cancelled, and drives no more runs than it may."""
        now = self._timeline.now
        kinds = {*map(type, events)}
        if e.RunReopened in kinds:
            self._asked.pop(account.run_id, None)  # whoever asked before, asked of a run that has ended
        asked = self._asked.get(account.run_id, now)
        in_time = now <= asked + CANCEL_SECONDS or not kinds - _DECIDED - {e.AnswerRefused}
        obeyed = in_time or e.RunCancelled in kinds  # what is decided about a run doesn't make it go on
        account.require("cancels", obeyed, "the run goes on, although somebody has asked to cancel it")
        if _is_only_decided_by(events) and (account.status == "parked" or type(events[-1]) not in _OUTSIDE):
            return  # nobody drives it yet: who goes on with it needs room
        if process is not None:
            # Where there is room for few, it may have waited until another one was over; and who has just taken it
            # over from another could not be in time before.
            is_new = self._drivers.get(account.run_id) is not process
            if is_new:
                late = account.events and account.events[-1].at_us > process.began_us
                self._taken_us[account.run_id] = events[0].at_us if late else process.began_us
            freed_us = self._freed_us.get(process, 0)
            # What could not be written is left for a moment, and gone on with then.
            again_us = events[0].at_us if process.excused else 0
            account.driven_since_us = max(self._taken_us[account.run_id], freed_us, again_us)
            few = self._runs_max < len(self._accounts)
            if few and type(events[-1]) in _STOPPED:
                self._freed_us[process] = events[-1].at_us
            if is_new:
                self._drivers[account.run_id] = process
                self._check_runs(account, process)

    def _check_runs(self, account: Account, process: Process) -> None:
        if process.fenced or process.excused:
            return  # others drive what it has lost, or nobody, where it could not write
        others = [self._accounts[run] for run, driver in self._drivers.items() if driver is process]
        driven = (other for other in others if not _is_only_decided_by(other.events))
        if account.parent is not None:
            return  # it has the room of the run above
        alone = (other for other in driven if other is not account and other.parent is None)
        running = 1 + sum(other.status == "running" for other in alone)
        account.require("limits", running <= self._runs_max, f"{running} runs at once, more than {self._runs_max}")


_OUTSIDE = frozenset({e.WaitEnded, e.EventReceived, e.EventRefused})
_TOLD = frozenset({e.ChildParked, e.ChildEnded, e.ChildAbandoned})
_DECIDED = _OUTSIDE | _TOLD | {e.QuestionAnswered, e.BudgetRaised, e.ShareRaised, e.QuestionExpired}
_STOPPED = frozenset({e.RunParked, e.RunFinished, e.RunCancelled})


def _is_only_decided_by(events: Sequence[e.AnyEvent]) -> bool:
    """Whether these end with a person's decision, or a missed deadline, and nobody has gone on with it."""
    return bool(events) and type(events[-1]) in _DECIDED
