"""An account of one run: what must be true of it, kept by other means than the machine's."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.job import Job
from interlock.core.states import TERMINAL

from .attempts import (
    attempt_committed,
    attempt_failed,
    attempt_interrupted,
    attempt_refused,
    attempt_started,
    backoff_ended,
    call_held,
    reply_arrived_late,
    step_buried,
)
from .calls import check_call
from .children import child_told, share_raised
from .conflicts import conflicts_resolved
from .growing import decision_called, gave_up, plan_revised
from .known import Known
from .naive import NaiveContext
from .performing import effect_shared, effect_told
from .progress import can_go_on, end, has_room, on_dead, step_expanded, step_shared, step_skipped
from .questions import budget_raised, question_answered, question_asked, question_expired, step_escalated
from .verdicts import reply_drafted, reply_judged
from .waits import event_received, event_refused, wait_begun, wait_ended

# What may happen to a run that is parked.
_WAKES = frozenset(
    {
        e.RunCancelled,
        e.QuestionAnswered,
        e.BudgetRaised,
        e.QuestionExpired,
        e.ShareRaised,
        e.AnswerRefused,
        e.WaitEnded,
        e.EventReceived,
        e.EventRefused,
        e.ChildParked,
        e.ChildEnded,
        e.ChildAbandoned,
    }
)


class Account(Known):
    """What is known of one run, which is told each event and each call, and raises Broken.

    What is no matter of the whole run is told to a function for each event, in a module for what it is about.
    """

    def see_call(self, job: Job) -> None:
        """An agent is handed a job. Raises Broken."""
        check_call(self, job)

    def hear(self, event: e.AnyEvent) -> None:  # noqa: C901, PLR0912, PLR0915 - the dispatcher: one case per event
        """An event has become durable. Raises Broken."""
        if event.at_us < self.at_us:
            raise self.broken("time", "time went back within a run")
        self.at_us = event.at_us
        if not self._may_still_happen(event):
            raise self.broken("final", "{.__name__} after the run was {}", type(event), self.status)
        self.events.append(event)
        self.encoded.append(e.encode(event))
        match event:  # what comes most often stands first: each case that doesn't fit costs time
            case e.AttemptStarted():
                attempt_started(self, event)
            case e.AttemptCommitted():
                attempt_committed(self, event)
            case e.RunStarted():
                self._run_started(event)
            case e.RunFinished():
                self._run_finished(event)
            case e.StepSkipped():
                step_skipped(self, event)
            case e.FaultInjected() | e.AnswerRefused():
                pass
            case e.AttemptRefused():
                attempt_refused(self, event)
            case e.AttemptFailed():
                attempt_failed(self, event)
            case e.BackoffEnded():
                backoff_ended(self, event)
            case e.AttemptInterrupted():
                attempt_interrupted(self, event)
            case e.ReplyDrafted():
                reply_drafted(self, event)
            case e.ReplyJudged():
                reply_judged(self, event)
            case e.ReplyArrivedLate():
                reply_arrived_late(self, event)
            case e.CallHeld():
                call_held(self, event)
            case e.QuestionAsked():
                question_asked(self, event)
            case e.StepEscalated():
                step_escalated(self, event)
            case e.QuestionExpired():
                question_expired(self, event)
            case e.QuestionAnswered():
                question_answered(self, event)
            case e.ShareRaised():
                share_raised(self, event)
            case e.BudgetRaised():
                budget_raised(self, event)
            case e.EffectRequested() | e.EffectStarted() | e.EffectDone() | e.EffectFailed() | e.EffectBecameUnknown():
                effect_told(self, event)
            case e.WaitBegun():
                wait_begun(self, event)
            case e.WaitEnded():
                wait_ended(self, event)
            case e.EventReceived():
                event_received(self, event)
            case e.EventRefused():
                event_refused(self, event)
            case e.ConflictsResolved():
                conflicts_resolved(self, event)
            case e.StepExpanded():
                step_expanded(self, event)
            case e.DecisionCalled():
                decision_called(self, event)
            case e.PlanRevised():
                plan_revised(self, event)
            case e.EffectShared():
                effect_shared(self, event)
            case e.StepShared():
                step_shared(self, event)
            case e.ChildStarted() | e.ChildParked() | e.ChildEnded() | e.ChildAbandoned():
                child_told(self, event)
            case e.StepBuried():
                step_buried(self, event)
            case e.RunParked():
                self._run_parked(event)
            case e.RunCancelled():
                self._run_cancelled()
            case e.RunReopened():
                self._run_reopened(event)
            case _:
                assert_never(event)

    def _may_still_happen(self, event: e.AnyEvent) -> bool:
        kind = type(event)
        if not self.events:
            return kind is e.RunStarted
        if kind is e.RunReopened:
            return self.status != "cancelled"
        if self.status == "parked":
            return kind in _WAKES
        return self.status == "running" and kind is not e.RunStarted

    def _run_started(self, event: e.RunStarted) -> None:
        self.status = "running"
        request = msgspec.json.decode(event.request)
        self.naive = NaiveContext(request, self.rules.sharing.reducers)
        self.written += map(paths.segment, request)
        self.approval = event.approval
        self.unapproved = event.approval is not None and len(self.steps) > 0
        self.takes_share(event.parent)

    def _run_parked(self, event: e.RunParked) -> None:
        states = set(self.states.values())
        waits = states & {"escalated", "awaiting"} or any(child.is_parked for child in self.children.values())
        self.require("parked", waits, "the run is parked, and no step asks anything or waits")
        moving = [name for name, one in self.steps.items() if can_go_on(self, name, one)]
        self.require("parked", not moving, f"the run is parked, but {moving[:1]} could go on")
        self.require("parked", not self.effects.in_flight, "the run is parked while an effect is under way")
        self.status, self.reason = "parked", event.reason
        self.waits.asleep.update(self.waits.waiting)

    def _run_cancelled(self) -> None:
        self.status = "cancelled"
        for one in self.steps.values():
            if one.state not in TERMINAL:
                one.state = "cancelled"

    def _run_finished(self, event: e.RunFinished) -> None:
        left = [name for name, state in self.states.items() if state not in TERMINAL]
        self.require("ends", not left, f"the run is over, but not {left[:3]}")
        self.require("ends", not self.effects.in_flight, "the run is over while an effect is under way")
        dead = [name for name, state in self.states.items() if state == "dead"]
        size, most = self.naive.size, self.rules.limits.context_bytes_max
        self.require("limits", size <= most, f"the context has {size:,} bytes, more than {most:,}")
        fails = any(on_dead(self, name) == "fail_run" for name in dead) or gave_up(self) or self.rejected
        self.require("ends", event.status == ("failed" if fails else "succeeded"), f"{event.status} with dead: {dead}")
        self.status, self.reason = event.status, event.reason

    def _run_reopened(self, event: e.RunReopened) -> None:
        self.status, self.reason, self.forks = "running", "", 0
        wrong = self.why_not_reopened(event.steps)
        self.require("redrive", not wrong, f"the run is reopened, but {wrong}")
        for tried in event.steps:
            one = self.step(tried)
            for name, other in self.steps.items():
                if self.ancestors[other.number] >> one.number & 1:
                    other.state = "waiting"
                    self.blocked.discard(name)
            self.steps[self.name_of[one.number]].state = "running"  # where it is an item
            one.state = "waiting"
            one.state = "performing" if tried in self.outbox else "ready" if has_room(self, one) else "waiting"
            self.effects.renew(tried)
            one.tries = one.failures = one.lost = one.link = one.not_before_us = 0
            one.first_us = -1
            one.given_up = one.reissue = False
        for tried in event.steps if event.skip else ():
            self.require("people", tried not in self.outbox, f"{tried} is skipped, and has committed")
            end(self, tried, "skipped")

    def why_not_reopened(self, steps: Sequence[str]) -> str:
        """Why these steps can't be tried again in this run; "" if they can."""
        if self.status == "cancelled":
            return "it was cancelled"
        for name in steps:
            one = self.step(name)
            if one.state != "dead" or name in self.items_of:
                return f"{name} was not given up: it is {one.state}"
            for other, after in self.steps.items():
                if after.state not in {"waiting", "skipped"} and self.comes_after(other, [name]):
                    return f"{other} came after {name}"
        return ""
