"""What each event makes of a run: one handler for each."""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from msgspec import Raw

from interlock.errors import cut_short

from . import events as e
from .approving import Approving, is_own
from .budget import NOTHING_USED, Amounts
from .context import Bank
from .decision import Asked, told
from .delegating import share_of
from .effects import GIVE_UP, PERFORMED
from .job import Question, Usage
from .judging import Drafted, Standing
from .purse import Purse
from .role import Duty
from .rules import Rules
from .states import RECONCILED, SHARED, TERMINAL, Status
from .step import Step

# Of why an attempt failed, where another reason follows.
SETBACK_CHARS_MAX = 500


class Fold(Approving):
    """The state of a run as its events tell it.

    bank: what was committed. purse: what was consumed. ledger: of its effects. questions: of the steps that wait for a
    person. decided_by: who decided about a step. answers: what was answered to its agent.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        count = len(self.state)
        self.bank = Bank(self.plan, rules.sharing.reducers, rules.limits)
        self.purse = Purse()
        self.seq = 0
        self.at_us = 0
        self.started_us = 0
        self.status: Status = "running"
        self.reason = ""
        self.faults = ""
        self.started = False
        self.feedback: dict[int, tuple[str, ...]] = {}
        self.questions: dict[int, Asked] = {}
        self.decided_by: dict[int, str] = {}
        self.answers: dict[int, str] = {}
        self._tries = [0] * count
        self._failures = [0] * count
        # When the first attempt of its agent began, of a step that is tried.
        self._first_us: dict[int, int] = {}
        self._link = [0] * count
        self._duty = list(rules.first_duties)
        self._given_up: set[int] = set()
        self._to_escalate: set[int] = set()
        # Of those, the ones that need more of a budget, and the gate that this is.
        self._short: dict[int, str] = {}
        # Of steps that may be escalated, the reply that was refused last.
        self._refused: dict[int, e.AttemptRefused] = {}
        # Of steps whose attempts did not commit, why the last one did not.
        self._setbacks: dict[int, str] = {}
        self._lost: dict[int, int] = {}
        self._reissue: set[int] = set()
        self._waits: dict[int, tuple[int, int]] = {}
        # The branches that were requested: those that run.
        self._requested: set[int] = set()
        # Replies that wait for their judges: meanwhile the duty, link and tries of their steps are those of a judge.
        self._drafts: dict[int, Drafted] = {}
        # Of steps that reconcile: what was chosen by whom, and those whose judge's choice is committed, and not told.
        self.rulings: dict[int, tuple[str, Any]] = {}
        self._ruled: dict[int, None] = {}
        self._scores: dict[int, float | None] | None = {} if rules.by_score else None

    def score_of(self, step: str) -> float | None:
        """How good the commit of a step was found, or how sure its agent was; None where nobody has said."""
        return None if self._scores is None else self._scores.get(self.number.get(step, 0))

    def _grow(self, added: Sequence[Step]) -> range:
        grown = super()._grow(added)
        for counters in (self._tries, self._failures, self._link):
            counters.extend([0] * len(grown))
        self._duty += self.rules.first_duties[grown.start :]
        self.bank.follow(self.plan)
        return grown

    def deadline_ms(self, n: int) -> int:
        """How long a question of a step waits for a person; 0 for ever."""
        escalation = self.rules.escalations[self.label[n]]
        return escalation.deadline_ms if escalation is not None else 0

    def duty(self, n: int) -> Duty:
        """Who does a step now: its agent, or the fallback that the attempts have come to."""
        return self._duty[n]

    def is_requested(self, n: int) -> bool:
        """Whether a step may run as far as requests go: it is no branch, or one that was requested."""
        return n not in self.plan.requesters or n in self._requested

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
                self._move(self.number[event.step], "ready")
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

    def _run_started(self, event: e.RunStarted) -> None:
        self.started, self.started_us, self.faults = True, event.at_us, event.faults
        self.bank.commit_request(event.request)
        self.parent = event.parent
        if event.parent is not None and event.parent.is_bounded:
            self.share = share_of(event.parent, self.rules.budget)
        self._begin(event.approval)

    def _attempt_started(self, event: e.AttemptStarted | e.ChildStarted) -> None:
        n = self.number[event.step]
        self._move(n, "running")
        self.attempts[n] = event.attempt
        self._first_us.setdefault(n, event.at_us)
        self.purse.draw(n, event.attempt, self.budgets(n), 1 if isinstance(event, e.AttemptStarted) else 0)
        if n in self._reissue:
            self._reissue.remove(n)
        else:
            self._tries[n] += 1
        if self.rules.supervisor is not None and self.label[n] == n and n not in self._drafts:
            self._note_task(n, event)

    def _attempt_committed(self, event: e.AttemptCommitted) -> None:
        n = self.number[event.step]
        if not self._conclude(n, event):
            assert self.attempts[n] == event.attempt, f"{event.step}: attempt {event.attempt} is not the running one"
            self._settle(n, event.usage or NOTHING_USED)
        self._commit(n, event)
        for wanted in event.effects:
            self._ask_for(n, wanted)
        if event.request is not None:
            self._requested.update(self.plan.groups[event.request.step])
        if n in self.decisions:
            self._decided = event.output
        if self._scores is not None:
            self._scores[n] = event.confidence if event.score is None else event.score
        if n in self.rules.reconciles:
            self.rulings[n] = f"judge {self._duty[n].agent}", event.output
            self._ruled[n] = None
        self._end_with_effects(n)

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

    def _commit(
        self, n: int, event: e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired | e.StepShared
    ) -> None:
        item = self.items.get(n)
        deletes, reads = ((), ()) if isinstance(event, e.QuestionExpired) else (event.deletes, event.reads)
        index = item[1] if item else 0
        self.bank.commit(self.label[n], event.writes, deletes, writer=n, index=index, reads=reads)

    def _attempt_refused(self, event: e.AttemptRefused) -> None:
        n = self.number[event.step]
        told = tuple(finding.message for finding in event.findings)
        if not self._conclude(n, event):
            self._settle(n, event.usage or NOTHING_USED)
        if n in self._drafts:
            self._drafts[n].feedback = told
        else:
            self.feedback[n] = told
            if self.rules.escalations[self.label[n]] is not None:
                self._refused[n] = event
        self._setback(n, "; ".join(told), again=True)

    def _attempt_failed(self, event: e.AttemptFailed) -> None:
        n = self.number[event.step]
        self._failures[n] += 1
        self._refused.pop(n, None)
        self._settle(n, event.usage)
        wait_ms = self.duty(n).policy.wait_after(self._failures[n], event.retry_after_ms)
        self._setback(n, event.error, again=event.retryable, wait_ms=wait_ms)

    def _setback(self, n: int, reason: str, *, again: bool, wait_ms: int = 0) -> None:
        """An attempt did not commit: try again, after a wait, with the next agent of the chain, or not at all."""
        self._forget_effects(n)
        self.reasons[n] = self._setbacks[n] = reason
        policy = self._duty[n].policy
        in_time = policy.may_begin(self.at_us + 1_000 * wait_ms, self._first_us[n])
        if not again or not in_time or self._tries[n] > policy.retries:
            if again and not in_time:
                self.reasons[n] += f"; no other attempt may begin after {policy.retry_for_ms / 1_000:g} s"
            self._hand_on(n, self._link[n] + 1)
            self._tries[n] = self._failures[n] = wait_ms = 0
        if wait_ms:
            self._waits[n] = (self.at_us + 1_000 * wait_ms, wait_ms)
            self._move(n, "backing_off")
        else:
            self._move(n, "ready")

    def _hand_on(self, n: int, link: int) -> None:
        """From now on the agent at this place of the chain does the step; past its end, nobody."""
        self._first_us.pop(n, None)
        duties = self._chain(n)
        if link == len(duties):
            self._give_up(n)
        else:
            self._link[n], self._duty[n] = link, duties[link]

    def _chain(self, n: int) -> Sequence[Duty]:
        """Who may be called for a step, one after another."""
        return self._drafts[n].chain if n in self._drafts else self.rules.duties[self.label[n]]

    def _give_up(self, n: int) -> None:
        """Every attempt of a step is used up: a person is asked where that is declared."""
        if n in self._drafts:
            self._drafts[n].give_up(self.reasons[n])
            self._call_judge(n)
        else:
            (self._given_up if self.rules.escalations[self.label[n]] is None else self._to_escalate).add(n)

    def _attempt_interrupted(self, event: e.AttemptInterrupted) -> None:
        n = self.number[event.step]
        self._settle(n, None)
        self._forget_effects(n)
        self._lost[n] = self._lost.get(n, 0) + 1
        if self._lost[n] > self.duty(n).policy.reissues_max:
            self.reasons[n] = f"its call was lost {self._lost[n]} times: whatever it does kills the process"
            self._refused.pop(n, None)
            self._give_up(n)
        else:
            self._reissue.add(n)
        self._move(n, "ready")

    def _call_held(self, event: e.CallHeld) -> None:
        """A gate keeps a call away: the step waits for it, goes to the next agent of the chain, or is given up."""
        n = self.number[event.step]
        duty = self.duty(n)
        self.reasons[n] = f"{event.agent} was not called: {event.reason}"
        budget, _ = self.rules.budget_at(event.gate, duty)
        if budget is not None and budget.asks and n not in self._drafts:
            self._short[n] = event.gate
            self._to_escalate.add(n)
            self._due[n] = None
            return
        in_time = n not in self._first_us or duty.policy.may_begin(event.until_us, self._first_us[n])
        passes = event.gate.endswith(("rate", "reservation")) and in_time
        if not passes and self._link[n] + 1 < len(self._chain(n)):
            self._hand_on(n, self._link[n] + 1)
            self._tries[n] = self._failures[n] = 0
        elif event.until_us and in_time and (passes or self.rules.waits_at(event.gate, duty)):
            wait_us = max(1, event.until_us - self.at_us)
            self._waits[n] = (event.until_us, -(-wait_us // 1_000))
            self._move(n, "backing_off")
            return
        else:
            if n in self._setbacks and n not in self._drafts:
                self.reasons[n] += f"; before that: {cut_short(self._setbacks[n], SETBACK_CHARS_MAX)}"
            self._give_up(n)
        # Whoever does it next makes a call of its own, with a key of its own, and not the one that was lost.
        self._reissue.discard(n)
        self._due[n] = None

    def _reply_arrived_late(self, event: e.ReplyArrivedLate) -> None:
        self.purse.settle_late(self.number[event.step], event.attempt, event.usage, self.at_us)

    def _settle(self, n: int, usage: Usage | None) -> None:
        if not (self.children and self._is_settled(n)):
            self.purse.settle(self.budgets(n), usage, self.at_us)

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

    # --- judges ---

    def _reply_drafted(self, event: e.ReplyDrafted) -> None:
        n = self.number[event.step]
        assert self.attempts[n] == event.attempt, f"{event.step}: attempt {event.attempt} is not the running one"
        self._settle(n, event.usage or NOTHING_USED)
        before = Standing(
            self._duty[n], self._link[n], self._tries[n], self._failures[n], self._lost.pop(n, 0), self._first_us.pop(n)
        )
        draft = self._drafts[n] = Drafted(event, before, event.scores, event.findings)
        draft.go_on()
        self._call_judge(n)
        self._move(n, "ready")

    def _call_judge(self, n: int) -> None:
        """The next judge is called as if it did the step; without one, its reply has a verdict."""
        self._link[n] = self._tries[n] = self._failures[n] = 0
        self._lost.pop(n, None)
        self._first_us.pop(n, None)
        if self._drafts[n].judge:
            self._duty[n] = self._chain(n)[0]

    def _reply_judged(self, event: e.ReplyJudged) -> None:
        n = self.number[event.step]
        assert self.attempts[n] == event.attempt, f"{event.step}: attempt {event.attempt} is not the running one"
        self._settle(n, event.usage or NOTHING_USED)
        draft = self._drafts[n]
        draft.hear(draft.guardrail.opinion(event.score, event.findings))
        self._call_judge(n)
        self._move(n, "ready")

    def _conclude(self, n: int, event: e.AttemptCommitted | e.AttemptRefused) -> bool:
        """Whether this is the verdict on a reply that has waited; then its step stands as it did before."""
        if n in self._agreed:
            del self._agreed[n]
            self._move(n, "running")
            return True
        draft = self._drafts.get(n)
        if draft is None or draft.reply.attempt != event.attempt:
            return False
        del self._drafts[n]
        before = draft.before
        self._duty[n], self._link[n] = before.duty, before.link
        self._tries[n], self._failures[n], self._first_us[n] = before.tries, before.failures, before.first_us
        if before.lost:
            self._lost[n] = before.lost
        self._move(n, "running")
        return True

    # --- people ---

    def _question_asked(self, event: e.QuestionAsked) -> None:
        n = self.number[event.step]
        self.reasons[n] = event.question.text
        approval = bool(event.effect) and self.ledger.following(self.ledger.entry(n, event.effect)) == "approve"
        if self.state[n] == "running":
            self._settle(n, event.usage if event.effect else event.usage or NOTHING_USED)
            self._forget_effects(n)
        told_with = (event.reads, event.due_us, event.effect, "", "", event.at_us, approval)
        by_agent = not event.effect and not e.says(event.plan)
        self._ask(n, Asked(event.attempt, event.question, by_agent, None, *told_with, plan=event.plan))

    def _step_escalated(self, event: e.StepEscalated) -> None:
        n = self.number[event.step]
        self._to_escalate.discard(n)
        if event.budget:
            del self._short[n]
            whose = self.rules.budget_at(event.budget, self._duty[n])[1]
            more = Asked(
                event.attempt,
                Question(event.reason),
                False,
                None,
                (),
                event.due_us,
                "",
                event.budget,
                whose,
                event.at_us,
            )
            self._ask(n, more)
            return
        refused = self._refused.pop(n, None)
        reply = msgspec.json.decode(refused.reply) if refused else None
        reads = refused.reads if refused else ()
        kept = reply if isinstance(reply, dict) else None
        effects = refused.effects if refused and kept is not None else ()
        told_with = (reads, event.due_us, "", "", "", event.at_us)
        if n in self.rules.reconciles:
            self.reasons[n] = event.reason.partition("\n")[0]
            self._ask(n, Asked(event.attempt, Question(event.reason), False, None, *told_with, contradicts=True))
            return
        self._ask(n, Asked(event.attempt, Question(event.reason), False, kept, *told_with, effects=effects))

    def _ask(self, n: int, asked: Asked) -> None:
        self.questions[n] = asked
        self._move(n, "escalated")
        if asked.due_us:
            self._due[n] = None  # its timer

    def _question_answered(self, event: e.QuestionAnswered) -> None:
        n = self.number[event.step]
        asked = self.questions.pop(n)
        assert asked.attempt == event.attempt, f"{event.step}: attempt {event.attempt} is not the one that asked"
        self.decided_by[n] = event.by
        self._unpark()
        if asked.effect:
            self._effect_decided(n, asked, event)
            return
        if e.says(event.plan):
            self._plan_agreed(n, event)
            return
        if is_own(asked):
            self._plan_rejected(f"rejected by {event.by}" + (f": {event.reason}" if event.reason else ""))
            return
        if event.commits:
            self._commit(n, event)
            for wanted in event.effects:
                self._ask_for(n, wanted).approved_by = event.by
            self._end_with_effects(n)
            return
        if event.decision == "skip":
            self._end(n, "skipped", e.skipped_by(event.by, event.reason))
            return
        if event.decision == "reject":
            self._reject(n, "", event, asked)
        elif asked.contradicts:
            self.rulings[n] = event.by, event.text
        else:
            if event.decision == "answer" or not asked.by_agent:  # to have it tried again answers nothing
                self.answers[n] = event.text or self.answers.get(n, "")
            self.feedback[n] = told(asked, event.decision, event.text, self.feedback.get(n, ()))
            if asked.by_agent:
                self._tries[n] -= 1  # to ask a person uses up no retry, and no time
                self._first_us.pop(n, None)
            else:
                self._begin_anew(n)
        self._move(n, "ready")

    def _reject(self, n: int, what: str, event: e.QuestionAnswered, asked: Asked) -> None:
        self.reasons[n] = f"{what}rejected by {event.by}" + (f": {event.reason}" if event.reason else "")
        if not (asked.budget and self._fall_back(n)):
            self._given_up.add(n)

    def _begin_anew(self, n: int) -> None:
        """All attempts again, from the first agent of the chain on."""
        self._link[n], self._duty[n] = 0, self.rules.duties[self.label[n]][0]
        self._tries[n] = self._failures[n] = self._lost[n] = 0
        self._first_us.pop(n, None)
        self._reissue.discard(n)

    def _question_expired(self, event: e.QuestionExpired) -> None:
        n = self.number[event.step]
        asked = self.questions.pop(n)
        self.decided_by[n] = "the deadline"
        self._unpark()
        if event.then == "default":
            self._commit(n, event)
            self._end_with_effects(n)
            return
        if is_own(asked):
            self._plan_rejected("nobody has answered in time")
            return
        self.reasons[n] = event.reason or f"nobody has answered in time: {asked.question.text}"
        if event.then != "fallback" or not self._fall_back(n):
            self._given_up.add(n)
        self._move(n, "ready")

    def _fall_back(self, n: int) -> bool:
        """The next agent of the chain goes on with a step; whether there is one."""
        following = self._link[n] + 1
        if following == len(self.rules.duties[self.label[n]]):
            return False
        self._hand_on(n, following)
        self._tries[n] = self._failures[n] = 0
        self._reissue.discard(n)  # it makes a call of its own
        return True

    def _budget_raised(self, event: e.BudgetRaised) -> None:
        """All steps that had asked for more of the budget try again, as if they had not been held."""
        first = self.number[event.step]
        budget, whose = self.rules.budget_at(event.budget, self._duty[first])
        assert budget is not None, f"{event.step} draws on no {event.budget}"
        if not budget.daily:
            more = Amounts(event.calls, event.tokens, event.usd)
            self.purse.raise_by(whose, budget, more, self.at_us)
        self._unpark()
        for n in (first, *(self.number[step] for step in event.others)):
            del self.questions[n]
            self._first_us.pop(n, None)  # to ask a person uses up no time
            self.decided_by[n] = event.by
            self._move(n, "ready")

    def _effect_decided(self, n: int, asked: Asked, event: e.QuestionAnswered) -> None:
        """A person has said what became of an effect, or whether it may be performed."""
        entry = self.ledger.entry(n, asked.effect)
        if event.decision == "reject" or (not asked.approval and event.text == GIVE_UP):
            self._reject(n, entry.reject(event.by, event.reason) if asked.approval else "", event, asked)
            self._move(n, "ready")
            return
        if asked.approval:
            entry.approved_by = event.by
        else:
            self.ledger.answer(n, asked.effect, event.by, performed=event.text == PERFORMED)
        if n in self._performed:
            self._end_with_effects(n)
            return
        if asked.approval:
            self._tries[n] -= 1  # to wait for a person uses up no retry
            told_before = tuple(told for told in self.feedback.get(n, ()) if told != entry.approval)
            self.feedback[n] = (*told_before, entry.approval)
        self._move(n, "ready")

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

    def _try_again(self, n: int, *, to_skip: bool = False) -> list[int]:
        """Make a dead step as if it had never been tried; returns what its dependents must wait for again.

        One that has committed goes on with those of its effects that are not done. to_skip: it ends at once, and gives
        back the room that it takes here, be there any or not.
        """
        group = self.label[n]
        self._tries[n] = self._failures[n] = self._link[n] = 0
        self._first_us.pop(n, None)
        self._duty[n] = self.rules.duties[group][0]
        self._given_up.discard(n)
        self._reissue.discard(n)
        self._lost.pop(n, None)
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
