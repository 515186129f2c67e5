"""How a step is tried: its attempts, the agents of its chain one after another, and a reply that waits for judges."""

from collections.abc import Sequence
from typing import Any

from interlock.errors import cut_short

from . import events as e
from .approving import Approving
from .budget import NOTHING_USED
from .context import Bank
from .job import Usage
from .judging import Drafted, Standing
from .purse import RESERVATION
from .role import Duty
from .rules import Rules
from .step import Step

# Of why an attempt failed, where another reason follows.
SETBACK_CHARS_MAX = 500


class Attempting(Approving):
    """The steps of a run with what was tried for them.

    bank: what was committed. feedback: what was wrong with the last reply for a step.
    rulings: of steps that reconcile, what was chosen by whom.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        count = len(self.state)
        self.at_us = 0
        self.bank = Bank(self.plan, rules.sharing.reducers, rules.limits)
        self.feedback: dict[int, tuple[str, ...]] = {}
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

    def duty(self, n: int) -> Duty:
        """Who does a step now: its agent, or the fallback that the attempts have come to."""
        return self._duty[n]

    def score_of(self, step: str) -> float | None:
        """How good the commit of a step was found, or how sure its agent was; None where nobody has said."""
        return None if self._scores is None else self._scores.get(self.number.get(step, 0))

    def is_requested(self, n: int) -> bool:
        """Whether a step may run as far as requests go: it is no branch, or one that was requested."""
        return n not in self.plan.requesters or n in self._requested

    def _grow(self, added: Sequence[Step]) -> range:
        grown = super()._grow(added)
        for counters in (self._tries, self._failures, self._link):
            counters.extend([0] * len(grown))
        self._duty += self.rules.first_duties[grown.start :]
        self.bank.follow(self.plan)
        return grown

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

    def _commit(
        self, n: int, event: e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired | e.StepShared
    ) -> None:
        deletes, reads = ((), ()) if isinstance(event, e.QuestionExpired) else (event.deletes, event.reads)
        self.bank.commit(self.label[n], event.writes, deletes, writer=n, index=self.index_of(n), reads=reads)

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
            if n in self._held.let_go:
                self._held.change(n, self.budgets(n))

    def _chain(self, n: int) -> Sequence[Duty]:
        """Who may be called for a step, one after another."""
        return self._drafts[n].chain if n in self._drafts else self.rules.duties[self.label[n]]

    def _begin_anew(self, n: int) -> None:
        """All attempts again, from the first agent of the chain on."""
        self._link[n], self._duty[n] = 0, self.rules.duties[self.label[n]][0]
        self._tries[n] = self._failures[n] = self._lost[n] = 0
        self._first_us.pop(n, None)
        self._reissue.discard(n)

    def _fall_back(self, n: int) -> bool:
        """The next agent of the chain goes on with a step; whether there is one."""
        following = self._link[n] + 1
        if following == len(self.rules.duties[self.label[n]]):
            return False
        self._hand_on(n, following)
        self._tries[n] = self._failures[n] = 0
        self._reissue.discard(n)  # it makes a call of its own
        return True

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
        budget, _ = self.budget_at(event.gate, duty)
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
        elif event.until_us and in_time and (passes or self.waits_at(event.gate, duty)):
            wait_us = max(1, event.until_us - self.at_us)
            self._waits[n] = (event.until_us, -(-wait_us // 1_000))
            self._move(n, "backing_off")
            if event.gate == RESERVATION and not (n in self._first_us and duty.policy.retry_for_ms):
                self._held.add(n, self.budgets(n))
                del self._due[n]  # no timer: an event of this run tells when there is enough
            return
        else:
            if n in self._setbacks and n not in self._drafts:
                self.reasons[n] += f"; before that: {cut_short(self._setbacks[n], SETBACK_CHARS_MAX)}"
            self._give_up(n)
        # Whoever does it next makes a call of its own, with a key of its own, and not the one that was lost.
        self._reissue.discard(n)
        self._due[n] = None

    def _backoff_ended(self, event: e.BackoffEnded) -> None:
        n = self.number[event.step]
        self._move(n, "ready")
        if n in self._held.waiting:
            self._held.go_on(n)

    def _reply_arrived_late(self, event: e.ReplyArrivedLate) -> None:
        self.purse.settle_late(self.number[event.step], event.attempt, event.usage, self.at_us)

    def _settle(self, n: int, usage: Usage | None) -> None:
        if not (self.children and self._is_settled(n)):
            self.purse.settle(self.budgets(n), usage, self.at_us)

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
