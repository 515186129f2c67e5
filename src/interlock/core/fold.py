"""What each event makes of a run: one handler for each."""

from typing import assert_never

import msgspec
from msgspec import Raw

from . import events as e
from .answering import Answering
from .delegating import share_of
from .rules import Rules
from .states import RECONCILED, SHARED, TERMINAL, Status


class Fold(Answering):
    """The state of a run as its events tell it.

    seq: how many there were. status, reason: how it stands, and why. faults: those that were injected, by their hash.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.seq = 0
        self.started_us = 0
        self.status: Status = "running"
        self.reason = ""
        self.faults = ""
        self.started = False

    def apply(self, event: e.AnyEvent) -> None:  # noqa: C901, PLR0912, PLR0915 - the dispatcher: one case per event
        """Fold one fact into the state."""
        self.seq += 1
        self.at_us = event.at_us
        match event:  # what comes most often stands first: each case that doesn't fit costs time
            case e.AttemptStarted():
                self._attempt_started(event)
            case e.AttemptCommitted():
                self._attempt_committed(event)
            case e.RunStarted():
                self._run_started(event)
            case e.RunFinished():
                self.status, self.reason = ("failed" if event.status == "failed" else "succeeded"), event.reason
            case e.StepSkipped():
                self._step_skipped(event)
            case e.FaultInjected():
                pass  # a mark for people; what it leads to is told by events of its own
            case e.AttemptRefused():
                self._attempt_refused(event)
            case e.AttemptFailed():
                self._attempt_failed(event)
            case e.BackoffEnded():
                self._backoff_ended(event)
            case e.AttemptInterrupted():
                self._attempt_interrupted(event)
            case e.ReplyDrafted():
                self._reply_drafted(event)
            case e.ReplyJudged():
                self._reply_judged(event)
            case e.WaitBegun() | e.WaitEnded() | e.EventReceived() | e.EventRefused():
                self._wait_told(event)
                if type(event) is e.WaitEnded and event.by and not event.event_id:
                    self.decided_by[self.number[event.step]] = event.by
            case e.ChildStarted():
                self._attempt_started(event)
                self._delegate(self.number[event.step], event)
            case e.ChildParked() | e.ChildEnded() | e.ChildAbandoned():
                self._child_told(event)
            case e.ConflictsResolved():
                self._conflicts_resolved(event)
            case e.StepExpanded():
                self._step_expanded(event)
            case e.DecisionCalled():
                self._decision_called(event)
            case e.PlanRevised():
                self._plan_revised(event)
            case e.StepShared():
                self._step_shared(event)
            case e.EffectShared():
                self._effect_shared(event)
            case e.StepBuried():
                self._end(self.number[event.step], "dead", event.reason)
            case e.QuestionAsked():
                self._question_asked(event)
            case e.StepEscalated():
                self._step_escalated(event)
            case e.QuestionAnswered():
                self._question_answered(event)
            case e.QuestionExpired():
                self._question_expired(event)
            case e.BudgetRaised():
                self._budget_raised(event)
            case e.ShareRaised():
                self._share_raised(event)
            case e.AnswerRefused():
                pass  # a mark for people: nothing has changed
            case e.EffectRequested() | e.EffectStarted() | e.EffectDone() | e.EffectFailed() | e.EffectBecameUnknown():
                self._effect_told(event)
            case e.ReplyArrivedLate():
                self._reply_arrived_late(event)
            case e.CallHeld():
                self._call_held(event)
            case e.RunParked():
                self.status, self.reason = "parked", event.reason
            case e.RunCancelled():
                self._run_cancelled(event)
            case e.RunReopened():
                self._run_reopened(event)
            case _:
                assert_never(event)
        if self._held.waiting and type(event) is not e.BackoffEnded:
            self._held.changed = True

    def _run_started(self, event: e.RunStarted) -> None:
        self.started, self.started_us, self.faults = True, event.at_us, event.faults
        self.bank.commit_request(event.request)
        self.parent = event.parent
        if event.parent is not None and event.parent.is_bounded:
            self.share = share_of(event.parent, self.rules.budget)
        self._begin(event.approval)

    def _step_skipped(self, event: e.StepSkipped) -> None:
        n = self.number[event.step]
        if n in self.items and self.state[n] == "waiting":  # taken over into a fork, before it is its turn
            self._takes_room(n, needed=False)
        self._end(n, "skipped", event.reason)

    def _conflicts_resolved(self, event: e.ConflictsResolved) -> None:
        n = self.number[event.step]
        if n in self._ruled:
            del self._ruled[n]
            return
        self.bank.commit(n, event.writes, (), reads=event.reads)
        self._end(n, "committed", "", RECONCILED)

    def _step_shared(self, event: e.StepShared) -> None:
        n = self.number[event.step]
        self._commit(n, event)
        if event.event_id:
            self.event_ids.add(event.event_id)
        if self._scores is not None:
            self._scores[n] = event.score
        if event.request is not None:
            self._requested.update(self.plan.groups[event.request.step])
        if n in self.items and self.state[n] == "waiting":
            self._takes_room(n, needed=False)
        self._end(n, "committed", "", SHARED)

    def _step_expanded(self, event: e.StepExpanded) -> None:
        group = self.number[event.step]
        items = msgspec.json.decode(event.items, type=list[Raw])
        self._move(group, "running")
        self._busy -= 1  # its items are busy, not the group
        self._items_of[group] = range(len(self.state), len(self.state) + len(items))
        self._items_left[group] = len(items)
        if self.number is self.plan.number:
            self.number = dict(self.number)
        for index, item in enumerate(items):
            self._add_item(group, index, item)
        if not items:
            self._end_group(group)

    def _add_item(self, group: int, index: int, item: Raw) -> None:
        n = len(self.state)
        item_id = f"{self.plan.steps[group].id}-{index}"
        self.items[n] = (item_id, index, item)
        self.number[item_id] = n
        self.label.append(group)
        self.state.append("waiting")
        for counters in (self.attempts, self._tries, self._failures, self._link):
            counters.append(0)
        self._duty.append(self.rules.duties[group][0])
        self._open += 1
        for event in self.shared_effects.pop(item_id, ()):
            self.ledger.take_over(n, event)
        if self._takes_room(n):
            self._move(n, "ready")

    def _run_cancelled(self, event: e.RunCancelled) -> None:
        self.status = "cancelled"
        self.reason = event.sentence
        for n in range(1, len(self.state)):
            if self.state[n] not in TERMINAL:
                self._move(n, "cancelled")
        self.questions.clear()
        self.waits.clear()
        self.ledger.lose_all("the run was cancelled meanwhile", event.at_us)

    # --- dead letters that are tried again ---

    def _run_reopened(self, event: e.RunReopened) -> None:
        self.status, self.reason = "running", ""
        open_again: list[int] = []
        for step in event.steps:
            open_again += self._try_again(self.number[step], to_skip=event.skip)
        for n in open_again:
            for dependent in self.plan.dependents[n]:
                self._lacking[dependent] += 1
                if self.state[dependent] != "waiting":
                    self._reopen(dependent, "waiting")
                    self._blocked.discard(dependent)
                    open_again.append(dependent)
        if event.skip:
            for step in event.steps:
                self._end(self.number[step], "skipped", e.skipped_by(event.by, event.reason))

    def _try_again(self, n: int, *, to_skip: bool) -> list[int]:
        """Make a dead step as if it had never been tried; returns what its dependents must wait for again.

        One that has committed goes on with those of its effects that are not done. to_skip: it ends at once, and gives
        back the room that it takes here, be there any or not.
        """
        group = self.label[n]
        self._begin_anew(n)
        self._given_up.discard(n)
        self.rulings.pop(n, None)
        self.ledger.renew(n)
        if n in self._performed:
            self._takes_room(n, needed=False)
            self._reopen(n, "performing")
            self._perform(n)
        else:
            self._reopen(n, "ready" if self._takes_room(n, needed=not to_skip) else "waiting")
        if group == n:
            return [n]
        if group in self._items_left:
            self._items_left[group] += 1
            return []
        self._items_left[group] = 1
        self._reopen(group, "running")
        self._busy -= 1  # its items are busy, not the group
        return [group]
