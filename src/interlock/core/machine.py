"""One run as a machine without I/O: apply(event) folds a fact, decide() says what the state now calls for.

decide() hands out each command once; `_due` holds only the steps that changed, so both cost O(what changed). A machine
folded from the journal has handed out nothing, so its first decide() asks again for all that is still due.

Steps are numbers: those of the plan, and after them the items of expanded for_each steps. `label[n]` is the number in
the plan; for an item, that of its for_each step.
"""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import msgspec
from msgspec import Raw

from . import commands as c
from . import events as e
from .assess import assess
from .budget import (
    NOTHING_USED,
    RESERVED_WAIT_US,
    BudgetPolicy,
    Ledger,
    is_only_reserved,
    reserve,
    settle,
    settle_late,
    shortfall,
)
from .conditions import holds
from .context import EVERYTHING, Bank, View
from .decision import Asked, told
from .effects import GIVE_UP, PERFORMED, EffectEvent, EffectLedger, Entry
from .job import Job, Question, Usage, idempotency_key
from .plan import Step
from .rules import Duty, Rules
from .states import AFTER_DECISION, BUSY, COUNTS_AS, DUE, LEGAL, REOPENED, SHARED, TERMINAL, State, Status


class Cost(msgspec.Struct, frozen=True):
    """What a run has consumed. usd is None as soon as one price is unknown."""

    usd: float | None
    tokens: int
    calls: int


class Machine:
    """The state of one run, held to its rules."""

    def __init__(self, rules: Rules) -> None:
        plan = rules.plan
        count = len(plan.steps)
        self.rules, self.plan = rules, plan
        self.bank = Bank(plan, rules.sharing.reducers, rules.limits)
        self.seq = 0
        self.at_us = 0
        self.started_us = 0
        self.status: Status = "running"
        self.reason = ""
        self.faults = ""
        self.started = False
        self.number = plan.number
        self.label = list(range(count))
        self.state: list[State] = ["waiting"] * count
        self.attempts = [0] * count
        self.feedback: dict[int, tuple[str, ...]] = {}
        self.reasons: dict[int, str] = {}
        self.items: dict[int, tuple[str, int, Any]] = {}
        self.questions: dict[int, Asked] = {}
        self.decided_by: dict[int, str] = {}
        self.answers: dict[int, str] = {}
        self._tries = [0] * count
        self._failures = [0] * count
        self._link = [0] * count
        self._duty = list(rules.first_duties)
        self._given_up: set[int] = set()
        self._to_escalate: set[int] = set()
        # Of steps that may be escalated, the reply that was refused last.
        self._refused: dict[int, e.AttemptRefused] = {}
        self._lost: dict[int, int] = {}
        self._reissue: set[int] = set()
        self._waits: dict[int, tuple[int, int]] = {}
        self._lacking = [len(needs) for needs in plan.needs]
        self._items_left: dict[int, int] = {}
        self._blocked: set[int] = set()
        self._all_committed = True
        self._due: dict[int, None] = {}
        self.ledger = EffectLedger(rules.effects)
        # (step, key) of the effects that are to be performed now, and of those that the shell was told to.
        self._due_effects: dict[tuple[int, str], None] = {}
        self._told_effects: set[tuple[int, str]] = set()
        # Steps that have committed, and had effects left to perform then: their agent is not called again.
        self._performed: set[int] = set()
        # What a fork has taken over for items that there aren't yet.
        self.shared_effects: dict[str, list[e.EffectShared]] = {}
        self._open = count - 1
        self._busy = 0
        self._calls = self._tokens = 0
        self._usd = 0.0
        self._ledgers: dict[str, Ledger] = {}
        self._drawn: dict[tuple[int, int], Sequence[tuple[str, str, BudgetPolicy]]] = {}
        self._price_unknown = False

    # --- what an onlooker may ask ---

    @property
    def cost(self) -> Cost:
        """What the run has consumed so far."""
        return Cost(None if self._price_unknown else self._usd, self._tokens, self._calls)

    @property
    def context(self) -> View:
        """Everything that was committed."""
        return self.bank.whole(EVERYTHING)

    def step(self, n: int) -> Step:
        """The declaration of a step; that of the for_each step for an item."""
        return self.plan.steps[self.label[n]]

    def step_id(self, n: int) -> str:
        """The id of a step or of an item."""
        return self.items[n][0] if n in self.items else self.plan.steps[n].id

    def duty(self, n: int) -> Duty:
        """Who does a step now: its agent, or the fallback that the attempts have come to."""
        return self._duty[n]

    def wanted(self) -> list[tuple[str, int, str, bool]]:
        """The calls that are in flight or to be made, as (step, attempt, agent, whether it is in flight)."""
        return [
            (self.step_id(n), self._next_attempt(n) - (state == "running"), self.duty(n).agent, state == "running")
            for n, state in enumerate(self.state)
            if state in {"ready", "backing_off", "running"} and n not in self._items_left
        ]

    def running(self) -> list[int]:
        """The steps whose call is in flight; after a crash, those whose call was lost."""
        return [n for n, state in enumerate(self.state) if state == "running" and n not in self._items_left]

    # --- apply ---

    def apply(self, event: e.AnyEvent) -> None:  # noqa: C901, PLR0912, PLR0915 - the dispatcher: one case per event
        """Fold one fact into the state."""
        self.seq += 1
        self.at_us = event.at_us
        match event:
            case e.AttemptStarted():
                self._attempt_started(event)
            case e.AttemptCommitted():
                self._attempt_committed(event)
            case e.AttemptRefused():
                self._attempt_refused(event)
            case e.AttemptFailed():
                self._attempt_failed(event)
            case e.BackoffEnded():
                self._move(self.number[event.step], "ready")
            case e.StepSkipped():
                self._end(self.number[event.step], "skipped", event.reason)
            case e.StepExpanded():
                self._step_expanded(event)
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
            case e.AnswerRefused():
                pass  # a mark for people: nothing has changed
            case e.EffectRequested() | e.EffectStarted() | e.EffectDone() | e.EffectFailed() | e.EffectBecameUnknown():
                self._effect_told(event)
            case e.AttemptInterrupted():
                self._attempt_interrupted(event)
            case e.ReplyArrivedLate():
                self._reply_arrived_late(event)
            case e.CallHeld():
                self._call_held(event)
            case e.FaultInjected():
                pass  # a mark for people; what it leads to is told by events of its own
            case e.RunStarted():
                self._run_started(event)
            case e.RunParked():
                self.status, self.reason = "parked", event.reason
            case e.RunCancelled():
                self._run_cancelled(event)
            case e.RunReopened():
                self._run_reopened(event)
            case e.RunFinished():
                self.status, self.reason = ("failed" if event.status == "failed" else "succeeded"), event.reason
            case _:
                assert_never(event)

    def _run_started(self, event: e.RunStarted) -> None:
        self.started, self.started_us, self.faults = True, event.at_us, event.faults
        self.bank.commit_request(event.request)
        for n in range(1, len(self.state)):
            if not self._lacking[n]:
                self._move(n, "ready")

    def _attempt_started(self, event: e.AttemptStarted) -> None:
        n = self.number[event.step]
        self._move(n, "running")
        self.attempts[n] = event.attempt
        self._calls += 1
        if budgets := self.duty(n).budgets:
            self._drawn[n, event.attempt] = budgets
        for _, whose, budget in budgets:
            reserve(self._ledgers.setdefault(whose, Ledger()), budget)
        if n in self._reissue:
            self._reissue.remove(n)
        else:
            self._tries[n] += 1

    def _attempt_committed(self, event: e.AttemptCommitted) -> None:
        n = self.number[event.step]
        assert self.attempts[n] == event.attempt, f"{event.step}: attempt {event.attempt} is not the running one"
        self._commit(n, event)
        self._settle(n, event.usage or NOTHING_USED)
        for wanted in event.effects:
            self.ledger.request(n, wanted.effect, wanted.key, wanted.payload)
        self._end_with_effects(n)

    def _end_with_effects(self, n: int) -> None:
        """A step has committed; it has ended when its effects have."""
        if self.ledger.first_open(n) is None:
            self._end(n, "committed", "")
        else:
            self._performed.add(n)
            self._move(n, "performing")
            self._perform(n)

    def _step_shared(self, event: e.StepShared) -> None:
        n = self.number[event.step]
        self._commit(n, event)
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
        self.feedback[n] = tuple(finding.message for finding in event.findings)
        if self.rules.escalations[self.label[n]] is not None:
            self._refused[n] = event
        self._settle(n, event.usage or NOTHING_USED)
        self._setback(n, "; ".join(self.feedback[n]), again=True)

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
        self.reasons[n] = reason
        if not again or self._tries[n] > self.duty(n).policy.retries:
            self._hand_on(n, self._link[n] + 1)
            self._tries[n] = self._failures[n] = wait_ms = 0
        if wait_ms:
            self._waits[n] = (self.at_us + 1_000 * wait_ms, wait_ms)
            self._move(n, "backing_off")
        else:
            self._move(n, "ready")

    def _hand_on(self, n: int, link: int) -> None:
        """From now on the agent at this place of the chain does the step; past its end, nobody."""
        duties = self.rules.duties[self.label[n]]
        if link == len(duties):
            self._give_up(n)
        else:
            self._link[n], self._duty[n] = link, duties[link]

    def _give_up(self, n: int) -> None:
        """Every attempt of a step is used up: a person is asked where that is declared."""
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

    def _question_asked(self, event: e.QuestionAsked) -> None:
        n = self.number[event.step]
        self.reasons[n] = event.question.text
        if not event.effect:
            self._settle(n, event.usage or NOTHING_USED)
            self._forget_effects(n)
        asked = Asked(event.attempt, event.question, not event.effect, None, event.reads, event.due_us, event.effect)
        self._ask(n, asked)

    def _step_escalated(self, event: e.StepEscalated) -> None:
        n = self.number[event.step]
        self._to_escalate.discard(n)
        refused = self._refused.pop(n, None)
        reply = msgspec.json.decode(refused.reply) if refused else None
        reads = refused.reads if refused else ()
        kept = reply if isinstance(reply, dict) else None
        self._ask(n, Asked(event.attempt, Question(event.reason), False, kept, reads, event.due_us))

    def _ask(self, n: int, asked: Asked) -> None:
        self.questions[n] = asked
        self._move(n, "escalated")
        if asked.due_us:
            self._due[n] = None  # its timer

    def _unpark(self) -> None:
        if self.status == "parked":
            self.status, self.reason = "running", ""

    def _question_answered(self, event: e.QuestionAnswered) -> None:
        n = self.number[event.step]
        asked, after = self.questions.pop(n), AFTER_DECISION[event.decision]
        assert asked.attempt == event.attempt, f"{event.step}: attempt {event.attempt} is not the one that asked"
        self.decided_by[n] = event.by
        self._unpark()
        if after == "committed":
            self._commit(n, event)
            self._end_with_effects(n)
            return
        if event.decision == "reject" or (asked.effect and event.text == GIVE_UP):
            self.reasons[n] = f"rejected by {event.by}" + (f": {event.reason}" if event.reason else "")
            self._given_up.add(n)
        elif asked.effect:
            self.ledger.answer(n, asked.effect, event.by, performed=event.text == PERFORMED)
            if n in self._performed:
                self._end_with_effects(n)
                return
        else:
            if event.decision == "answer" or not asked.by_agent:  # to have it tried again answers nothing
                self.answers[n] = event.text or self.answers.get(n, "")
            self.feedback[n] = told(asked, event.text, self.feedback.get(n, ()))
            if asked.by_agent:
                self._tries[n] -= 1  # to ask a person uses up no retry
            else:
                self._begin_anew(n)
        self._move(n, after)

    def _begin_anew(self, n: int) -> None:
        """All attempts again, from the first agent of the chain on."""
        self._link[n], self._duty[n] = 0, self.rules.duties[self.label[n]][0]
        self._tries[n] = self._failures[n] = self._lost[n] = 0

    def _question_expired(self, event: e.QuestionExpired) -> None:
        n = self.number[event.step]
        asked = self.questions.pop(n)
        self.decided_by[n] = "the deadline"
        self._unpark()
        if event.then == "default":
            self._commit(n, event)
            self._end_with_effects(n)
            return
        self.reasons[n] = event.reason or f"nobody has answered in time: {asked.question.text}"
        following = self._link[n] + 1
        if event.then == "fallback" and following < len(self.rules.duties[self.label[n]]):
            self._hand_on(n, following)
            self._tries[n] = self._failures[n] = 0
        else:
            self._given_up.add(n)
        self._move(n, "ready")

    def _call_held(self, event: e.CallHeld) -> None:
        """A gate keeps a call away: the step waits for it, goes to the next agent of the chain, or is given up."""
        n = self.number[event.step]
        duty = self.duty(n)
        self.reasons[n] = f"{event.agent} was not called: {event.reason}"
        passes = event.gate.endswith(("rate", "reservation"))
        if not passes and self._link[n] + 1 < len(self.rules.duties[self.label[n]]):
            self._hand_on(n, self._link[n] + 1)
            self._tries[n] = self._failures[n] = 0
        elif event.until_us and (passes or self.rules.waits_at(event.gate, duty)):
            wait_us = max(1, event.until_us - self.at_us)
            self._waits[n] = (event.until_us, -(-wait_us // 1_000))
            self._move(n, "backing_off")
            return
        else:
            self._give_up(n)
        # Whoever does it next makes a call of its own, with a key of its own, and not the one that was lost.
        self._reissue.discard(n)
        self._due[n] = None

    def _run_cancelled(self, event: e.RunCancelled) -> None:
        self.status = "cancelled"
        self.reason = event.sentence
        for n in range(1, len(self.state)):
            if self.state[n] not in TERMINAL:
                self._move(n, "cancelled")
        self.ledger.lose_all("the run was cancelled meanwhile", event.at_us)

    # --- effects ---

    def _effect_shared(self, event: e.EffectShared) -> None:
        n = self.number.get(event.step)
        if n is None:
            self.shared_effects.setdefault(event.step, []).append(event)
        else:
            self.ledger.take_over(n, event)

    def _effect_told(self, event: EffectEvent) -> None:
        n = self.number[event.step]
        entry = self.ledger.apply(n, event)
        if isinstance(event, e.EffectStarted):
            self._due_effects.pop((n, event.key), None)
            self._told_effects.discard((n, event.key))
        else:
            self._effect_moved(n, entry)

    def _effect_moved(self, n: int, entry: Entry) -> None:
        """What follows, for its step, from how an effect stands now."""
        if self.state[n] == "performing":
            self._perform(n)
        elif self.state[n] == "running" and entry.wanted:
            following = self.ledger.following(entry)
            if following == "perform" and (n, entry.key) not in self._told_effects:
                self._due_effects[n, entry.key] = None
            elif entry.standing == "failed":
                entry.wanted = False  # its agent is told, and goes on as it likes

    def _perform(self, n: int) -> None:
        """The effects of a step that has committed: one after another, and then it is done."""
        entry = self.ledger.first_open(n)
        if entry is None:
            self._end(n, "committed", "")
            return
        following = self.ledger.following(entry)
        if following == "perform" and (n, entry.key) not in self._told_effects:
            self._due_effects[n, entry.key] = None
        elif following in {"ask", "bury"}:
            self._due[n] = None

    def _forget_effects(self, n: int) -> None:
        """The attempt that waited for them is over."""
        self.ledger.forget(n)
        for entry in self.ledger.of(n):
            self._due_effects.pop((n, entry.key), None)
            self._told_effects.discard((n, entry.key))

    def is_due(self, command: c.PerformEffect) -> bool:
        """Whether an effect that was commanded is still to be performed."""
        entry = self.ledger.entry(command.number, command.key)
        return self.status == "running" and (command.number, command.key) in self._told_effects and entry.wanted

    def _run_reopened(self, event: e.RunReopened) -> None:
        self.status, self.reason = "running", ""
        open_again: list[int] = []
        for step in event.steps:
            open_again += self._try_again(self.number[step])
        for n in open_again:
            for dependent in self.plan.dependents[n]:
                self._lacking[dependent] += 1
                if self.state[dependent] != "waiting":
                    self._reopen(dependent, "waiting")
                    self._blocked.discard(dependent)
                    open_again.append(dependent)

    def _try_again(self, n: int) -> list[int]:
        """Make a dead step as if it had never been tried; returns what its dependents must wait for again.

        One that has committed goes on with those of its effects that are not done.
        """
        group = self.label[n]
        self._tries[n] = self._failures[n] = self._link[n] = 0
        self._duty[n] = self.rules.duties[group][0]
        self._given_up.discard(n)
        self._lost.pop(n, None)
        self.ledger.renew(n)
        if n in self._performed:
            self._reopen(n, "performing")
            self._perform(n)
        else:
            self._reopen(n, "ready")
        if group == n:
            return [n]
        if group in self._items_left:
            self._items_left[group] += 1
            return []
        self._items_left[group] = 1
        self._reopen(group, "running")
        self._busy -= 1  # its items are busy, not the group
        return [group]

    def _reopen(self, n: int, to: State) -> None:
        self._move(n, to, REOPENED)
        self.reasons.pop(n, None)
        self._open += 1

    def _step_expanded(self, event: e.StepExpanded) -> None:
        group = self.number[event.step]
        items = msgspec.json.decode(event.items, type=list[Raw])
        self._move(group, "running")
        self._busy -= 1  # its items are busy, not the group
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
        self._move(n, "ready")

    def _reply_arrived_late(self, event: e.ReplyArrivedLate) -> None:
        self._charge(event.usage)
        # By now another agent may do the step.
        for _, whose, budget in self._drawn.get((self.number[event.step], event.attempt), ()):
            settle_late(self._ledgers[whose], budget, event.usage or NOTHING_USED, self.at_us)

    def _settle(self, n: int, usage: Usage | None) -> None:
        """A call has ended. usage: None where nobody knows what it consumed."""
        self._charge(usage)
        for _, whose, budget in self.duty(n).budgets:
            settle(self._ledgers[whose], budget, usage, self.at_us)

    def _charge(self, usage: Usage | None) -> None:
        if usage is not None:
            tokens = usage.input_tokens + usage.output_tokens
            self._tokens += tokens
            if usage.usd is not None:
                self._usd += usage.usd
            elif tokens or usage.requests:
                self._price_unknown = True

    # --- the end of a step, and what follows from it ---

    def _end(self, n: int, state: State, reason: str, legal: Mapping[State, frozenset[State]] = LEGAL) -> None:
        self._move(n, state, legal)
        if reason:
            self.reasons[n] = reason
        if state != "committed":
            self._all_committed = False
        self._open -= 1
        group = self.label[n]
        if group == n:
            self._release(n)
        else:
            self._items_left[group] -= 1
            if not self._items_left[group]:
                self._end_group(group)

    def _end_group(self, group: int) -> None:
        items = [n for n in self.items if self.label[n] == group]
        dead = [n for n in items if self.state[n] == "dead"]
        self._busy += 1
        del self._items_left[group]
        if dead and (self.rules.on_dead[group] == "fail_run" or len(dead) == len(items)):
            self._end(group, "dead", f"{self.step_id(dead[0])}: {self.reasons[dead[0]]}")
        else:
            self._end(group, "committed", "")

    def _release(self, n: int) -> None:
        """Tell the dependents of a step that it has ended; some may end at once, too."""
        ended = [n]
        for done in ended:
            for dependent in self.plan.dependents[done]:
                self._lacking[dependent] -= 1
                if not self._lacking[dependent] and self.state[dependent] == "waiting":
                    reason = self._reason_to_skip(dependent)
                    if reason:
                        self._move(dependent, "skipped")
                        self.reasons[dependent] = reason
                        self._open -= 1
                        ended.append(dependent)
                    else:
                        self._move(dependent, "ready")

    def _reason_to_skip(self, n: int) -> str:
        """Why a step whose needs have all ended must not run; the empty string if it may."""
        if self._all_committed:
            return ""
        needs, whole = self.plan.needs[n], self.step(n).join == "all"
        # Who takes any outcome wants to know of a dead one, whatever it counts as for others.
        outcome = {need: self._counts_as(need) if whole else self.state[need] for need in needs}
        outcomes = set(outcome.values())
        if outcomes == {"committed"}:
            return ""
        lost = next((need for need in needs if outcome[need] == "dead" or need in self._blocked), None)
        if lost is not None and whole:
            self._blocked.add(n)
            fate = "is dead" if self.state[lost] == "dead" else "can't run"
            return f"it needs {self.step_id(lost)}, which {fate}"
        if outcomes == {"skipped"} and lost is None:
            return "every step it needs was skipped"
        return ""

    def _counts_as(self, n: int) -> State:
        """What a step that has ended is for those that need all they need."""
        return COUNTS_AS[self.rules.on_dead[n]] if self.state[n] == "dead" else self.state[n]

    def _move(self, n: int, to: State, legal: Mapping[State, frozenset[State]] = LEGAL) -> None:
        state = self.state[n]
        assert to in legal.get(state, ()), f"{self.step_id(n)}: {state} -> {to}"
        self.state[n] = to
        self._busy += (to in BUSY) - (state in BUSY)
        if to in DUE:
            self._due[n] = None
        else:
            self._due.pop(n, None)

    # --- decide ---

    def decide(self) -> list[c.AnyCommand]:
        """What the state calls for now, each thing once."""
        if self.status != "running" or not self.started:
            return []
        # Where nothing is busy, only deadlines are due: they outlast the parking.
        if self._busy and (self._due or self._due_effects):
            due, self._due = self._due, {}
            effects, self._due_effects = self._due_effects, {}
            return [*map(self._command, due), *(self._effect_command(n, key) for n, key in effects)]
        if self.ledger.in_flight:
            return []
        if not self._open:
            return [self._finish()]
        if not self._busy:
            return [c.ParkRun(self._question())]
        return []

    def _command(self, n: int) -> c.AnyCommand:
        if self.state[n] == "backing_off":
            return c.StartTimer(n, self.step_id(n), *self._waits[n])
        if self.state[n] == "escalated":
            due_us = self.questions[n].due_us
            return c.StartTimer(n, self.step_id(n), due_us, max(0, due_us - self.at_us) // 1_000)
        label = self.label[n]
        if n in self._to_escalate:
            escalation = self.rules.escalations[label]
            assert escalation is not None
            return c.AskPerson(self.step_id(n), self.attempts[n], self.reasons[n], escalation.deadline_ms)
        if n in self._given_up:
            return self._burial(n, self.reasons[n])
        step = self.plan.steps[label]
        if label == n and not self.attempts[n]:
            if step.when is not None and not holds(step.when, self.bank, self.plan.ancestors[n]):
                return c.SkipStep(step.id, f"its condition did not hold: {step.when}{self._found(n, step.when.path)}")
            if step.for_each is not None:
                return self._expansion(n, step.for_each)
        if n in self.ledger.entries:
            stuck = self.ledger.first_open(n) if self.state[n] == "performing" else self.ledger.blocker(n)
            if stuck is not None:
                return self._stuck(n, stuck)
        duty = self._duty[n]
        return c.CallAgent(n, self.step_id(n), duty.agent, self._next_attempt(n), duty.policy.timeout_ms)

    def _next_attempt(self, n: int) -> int:
        return self.attempts[n] + (n not in self._reissue)

    def _burial(self, n: int, reason: str) -> c.BuryStep:
        return c.BuryStep(self.step_id(n), reason, self.step(n).agent, self.attempts[n])

    def _effect_command(self, n: int, key: str) -> c.PerformEffect:
        self._told_effects.add((n, key))
        entry = self.ledger.entry(n, key)
        return c.PerformEffect(
            number=n,
            step=self.step_id(n),
            effect=entry.effect,
            key=key,
            attempt=entry.tries + 1,
            timeout_ms=self.ledger.rule(entry).timeout_ms,
            due_us=entry.due_us,
            wait_ms=entry.wait_ms,
            immediate=self.state[n] == "running",
        )

    def _stuck(self, n: int, entry: Entry) -> c.AskAboutEffect | c.BuryStep:
        """An effect holds its step up: a person must look, or it is given up."""
        if self.ledger.following(entry) == "ask":
            return c.AskAboutEffect(self.step_id(n), self.attempts[n], entry.question, entry.key)
        return self._burial(n, entry.fate)

    def _found(self, n: int, path: str) -> str:
        """That a condition looked at nothing: most often a mistyped path."""
        try:
            self.bank.value(path, self.plan.ancestors[n])
        except KeyError:
            return " (there is nothing there)"
        return ""

    def _expansion(self, n: int, path: str) -> c.AnyCommand:
        limits = self.rules.limits
        try:
            items = self.bank.value(path, self.plan.ancestors[n])
        except KeyError:
            return self._burial(n, f"for_each: there is nothing at {path}")
        if not isinstance(items, list):
            return self._burial(n, f"for_each: {path} holds no list")
        if len(items) > limits.for_each_width_max or len(self.state) - 1 + len(items) > limits.steps_max:
            return self._burial(n, f"for_each: {path} holds {len(items):,} items, which is too many")
        return c.ExpandStep(self.step_id(n), Raw(msgspec.json.encode(items)))

    def _finish(self) -> c.FinishRun:
        fails, label = self.rules.on_dead, self.label
        lost = (n for n, state in enumerate(self.state) if state == "dead" and fails[label[n]] == "fail_run")
        dead = next(lost, None)
        if dead is None:
            return c.FinishRun("succeeded", "")
        return c.FinishRun("failed", f"{self.step_id(dead)}: {self.reasons[dead]}")

    def _question(self) -> str:
        asking = next(n for n, state in enumerate(self.state) if state == "escalated")
        verb = "asks" if self.questions[asking].by_agent else "needs a person"
        return f"{self.step_id(asking)} {verb}: {self.reasons[asking]}"

    # --- a whole transition ---

    def advance(self, facts: list[e.AnyEvent], at_us: int) -> list[c.ForTheShell]:
        """Fold facts, and with them all that they make true at once, which is added to `facts`.

        Returns what the shell must carry out once all of `facts` is durable.
        """
        for fact in facts:
            self.apply(fact)
        return self.follow_up(facts, at_us)

    def follow_up(self, facts: list[e.AnyEvent], at_us: int) -> list[c.ForTheShell]:
        """The second half of `advance`, for facts that are folded already."""
        to_do: list[c.ForTheShell] = []
        while decided := self.decide():
            for command in decided:
                if isinstance(command, c.FOR_THE_SHELL):
                    to_do.append(command)
                else:
                    fact = _record(command, at_us)
                    self.apply(fact)
                    facts.append(fact)
        return to_do

    def start(self, command: c.CallAgent, at_us: int) -> e.AttemptStarted:
        """Announce a call: the fact that must be durable before it. Folds it, too."""
        n = command.number
        view_hash = self.bank.view_hash(self.label[n], self.duty(n).sight)
        fact = e.AttemptStarted(at_us, command.step, command.attempt, command.agent, view_hash)
        self.apply(fact)
        return fact

    def held(self, command: c.CallAgent, at_us: int) -> e.CallHeld | None:
        """Why a call may not be announced: one of the run's budgets has too little left for it."""
        for kind, whose, budget in self.duty(command.number).budgets:
            lacking = shortfall(self._ledgers.setdefault(whose, Ledger()), budget, at_us)
            if lacking and is_only_reserved(self._ledgers[whose], budget):
                reason, until_us = f"{whose or 'the run'}: {lacking} for now", at_us + RESERVED_WAIT_US
                return e.CallHeld(at_us, command.step, command.agent, "run_reservation", reason, until_us)
            if lacking:
                return e.CallHeld(at_us, command.step, command.agent, kind, f"{whose or 'the run'}: {lacking}")
        return None

    def start_effect(self, command: c.PerformEffect, at_us: int) -> e.EffectStarted:
        """Announce an effect: the fact that must be durable before it is performed. Folds it, too."""
        fact = e.EffectStarted(at_us, command.step, command.effect, command.key, command.attempt)
        self.apply(fact)
        return fact

    def job(self, run_id: str, command: c.CallAgent) -> Job:
        """What the agent is handed."""
        n = command.number
        step, item = self.step(n), self.items.get(n)
        return Job(
            view=self.bank.view(self.label[n], self.duty(n).sight),
            run_id=run_id,
            step=command.step,
            agent=command.agent,
            action=step.action,
            attempt=command.attempt,
            idempotency_key=idempotency_key(run_id, command.step, command.attempt),
            instructions=step.instructions,
            feedback=self.feedback.get(n, ()),
            item=msgspec.json.decode(item[2]) if item else None,
            index=item[1] if item else self.plan.sample_index.get(command.step),
            writes=self.duty(n).writable_by(item[1] if item else 0).patterns,
            schemas=self.duty(n).schema_texts,
            answer=self.answers.get(n, ""),
        )

    def judge(self, command: c.CallAgent, job: Job, answer: Any, at_us: int) -> e.Verdict:
        """The verdict on what the agent answered."""
        n = command.number
        assert isinstance(job.view, View)
        verdict = assess(
            answer,
            bank=self.bank,
            duty=self.duty(n),
            index=job.index or 0,
            limits=self.rules.limits,
            view=job.view,
            at_us=at_us,
            step=command.step,
            attempt=command.attempt,
            job=job,
            begun={entry.key: entry for entry in self.ledger.of(n)},
        )
        escalation = self.rules.escalations[self.label[n]]
        if isinstance(verdict, e.QuestionAsked) and escalation is not None and escalation.deadline_ms:
            return msgspec.structs.replace(verdict, due_us=at_us + 1_000 * escalation.deadline_ms)
        return verdict


def _record(command: c.ForTheRecord, at_us: int) -> e.AnyEvent:
    match command:
        case c.AskAboutEffect():
            return e.QuestionAsked(at_us, command.step, command.attempt, command.question, effect=command.effect)
        case c.ExpandStep():
            return e.StepExpanded(at_us, command.step, command.items)
        case c.SkipStep():
            return e.StepSkipped(at_us, command.step, command.reason)
        case c.AskPerson():
            due_us = at_us + 1_000 * command.deadline_ms if command.deadline_ms else 0
            return e.StepEscalated(at_us, command.step, command.attempt, command.reason, due_us)
        case c.BuryStep():
            return e.StepBuried(at_us, command.step, command.reason, command.agent, command.attempts)
        case c.ParkRun():
            return e.RunParked(at_us, command.reason)
        case c.FinishRun():
            return e.RunFinished(at_us, command.status, command.reason)
        case _:
            assert_never(command)
