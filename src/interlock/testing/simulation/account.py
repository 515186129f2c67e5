"""An account of one run: what must be true of it, kept by other means than the machine's.

It hears each event when it has become durable, and each call when the agent is handed its job, and holds both against
the rules. It is slow and plain on purpose, and shares no code with the machine and the bank but the rules themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never, cast

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.breaker import BreakerPolicy
from interlock.core.budget import BudgetPolicy
from interlock.core.context import View
from interlock.core.effects import GIVE_UP, PAYLOAD_CHARS_TOLD
from interlock.core.job import Job, Usage
from interlock.core.plan import Step
from interlock.core.policy import RETRY_AFTER_MS_MAX
from interlock.core.purse import Cost
from interlock.core.rate import RatePolicy
from interlock.core.rules import Duty, Rules
from interlock.core.states import TERMINAL
from interlock.core.values import ABSENT, Limits
from interlock.errors import cut_short

from .branches import BranchesAccount
from .budgets import BudgetAccount, wrong_with
from .effects import EffectAccount, EffectEvent, EffectsAccount
from .judging import DraftAccount
from .naive import NaiveContext, covers, depth_of, holds, leaves_in
from .views import Seen, ViewHashes, lookalike, wrong_by_name

# A wait may end so late, since a new process reads the journal first, and a busy disk takes its time.
BACKOFF_LATE_US_MAX = 1_000_000
# Scores are told rounded.
SCORE_TOLERANCE = 1e-5

# What may happen to a run that is parked.
_WAKES = e.RunCancelled | e.QuestionAnswered | e.BudgetRaised | e.QuestionExpired | e.AnswerRefused
# What a person does who has an agent that asks try again.
_ADVISED = "not answered your question, but advises you"

_json = msgspec.json.encode


class Broken(Exception):
    """An invariant doesn't hold. invariant: its name; run_id: of which run, or "" for the whole simulation."""

    def __init__(self, invariant: str, message: str, run_id: str = "") -> None:
        self.invariant, self.message, self.run_id = invariant, message, run_id
        super().__init__(f"{invariant}: {message}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Broken in another process, told in this one."""
        return Broken, (self.invariant, self.message, self.run_id)


class StepAccount:
    """One step, or one item of a for_each, as far as events tell."""

    def __init__(self, number: int, duties: Sequence[Duty], index: int | None = None, item: Any = ABSENT) -> None:
        self.number, self.duties, self.index, self.item = number, duties, index, item
        self.state = "waiting" if item is ABSENT else "ready"
        self.attempt = self.tries = self.failures = self.lost = self.link = 0
        self.not_before_us = 0
        # When the first attempt of who does it now began; -1 where there was none.
        self.first_us = -1
        self.open = self.reissue = self.given_up = self.buried = False
        self.feedback: tuple[str, ...] = ()
        # about: the key of the effect that a person is asked about.
        # short: the gate of the budget that it needs more of; it asks for that, or will.
        self.asked = self.answer = self.about = self.short = ""
        self.due_us = 0
        self.draft: DraftAccount | None = None
        # Those of the last refused reply, which a person may approve with it.
        self.refused_effects: tuple[e.EffectWanted, ...] = ()

    @property
    def duty(self) -> Duty:
        """Who does it now."""
        return self.duties[min(self.link, len(self.duties) - 1)]

    def in_time(self, at_us: int) -> bool:
        """Whether another attempt may begin at this time."""
        most_ms = self.duty.policy.retry_for_ms
        return not most_ms or self.first_us < 0 or at_us - self.first_us <= 1_000 * most_ms


class Account:
    """What is known of one run from outside.

    events: all that became durable, in order; encoded: the same as they must be stored. steps: id -> what is known of
    it. context: all that was committed, as a nested dict. status: running, parked, succeeded, failed or cancelled.
    hashes: those of the views, shared by the accounts of a world.
    """

    def __init__(self, run_id: str, rules: Rules, hashes: ViewHashes | None = None) -> None:
        self.run_id, self.rules, self.plan = run_id, rules, rules.plan
        self._hashes, self._views = hashes or ViewHashes(), dict[tuple[int, str], Seen]()
        # Every path that somebody wrote, the keys of the request first.
        self._written: list[str] = []
        self.events: list[e.AnyEvent] = []
        self.encoded: list[bytes] = []
        self.status = self.reason = ""
        self.tokens = self.calls = 0
        self.usd: float | None = 0.0
        self.naive = NaiveContext({})
        self.steps = {step.id: StepAccount(n, rules.duties[n]) for n, step in enumerate(self.plan.steps) if n}
        self._id = {one.number: name for name, one in self.steps.items()}
        self._items: dict[str, list[str]] = {}
        self._budgets: dict[str, BudgetAccount] = {}
        self._drew: dict[tuple[str, int], Duty] = {}
        self._blocked: set[str] = set()
        self._keys: dict[tuple[str, int], str] = {}
        self._key_owners: dict[str, tuple[str, int]] = {}
        self._ancestors = _ancestors(self.plan.needs)
        self.effects = EffectsAccount(run_id, rules.effects, self.require)
        self.branches = BranchesAccount(rules, self.require)
        # Step -> the keys of the effects in its reply; and of those that its attempt waits for.
        self._outbox: dict[str, list[str]] = {}
        self._waited: dict[str, dict[str, None]] = {}
        # The attempts whose reply has waited for a judge.
        self.drafted: set[tuple[str, int]] = set()
        self._at_us = 0
        # When the process that goes on with it began.
        self.driven_since_us = 0
        self._encoded_context = -1, b""
        # How often it was forked since it was last reopened.
        self.forks = 0
        # After a jump of the clock the times of events say nothing about how long somebody waited.
        self.clock_is_steady = True

    @property
    def request(self) -> dict[str, Any]:
        """What the run was started with."""
        started = self.events[0]
        assert isinstance(started, e.RunStarted)
        found: dict[str, Any] = msgspec.json.decode(started.request)
        return found

    @property
    def cost(self) -> Cost:
        """What the run has consumed."""
        return Cost(self.usd, self.tokens, self.calls)

    @property
    def context(self) -> dict[str, Any]:
        """All that was committed so far."""
        return self.naive.tree(-1)

    @property
    def encoded_context(self) -> bytes:
        """The context as JSON."""
        if self._encoded_context[0] != len(self.events):
            self._encoded_context = len(self.events), _json(self.context)
        return self._encoded_context[1]

    @property
    def states(self) -> dict[str, str]:
        """Step id -> state."""
        return {name: one.state for name, one in self.steps.items()}

    def require(self, invariant: str, holds: object, message: str, *about: object) -> None:
        """Raise Broken unless something holds. about: what the message's {} stand for, only spelled out then."""
        if not holds:
            raise Broken(invariant, message.format(*about) if about else message, self.run_id)

    def require_same(self, invariant: str, what: str, found: object, meant: object, *about: object) -> None:
        """Raise Broken unless two things are equal, which are only spelled out then: most are large."""
        if found != meant:
            raise Broken(invariant, f"{what.format(*about)}: {found!r:.300}, not {meant!r:.300}", self.run_id)

    # --- events ---

    def hear(self, event: e.AnyEvent) -> None:  # noqa: C901, PLR0912, PLR0915 - the dispatcher: one case per event
        """An event has become durable. Raises Broken."""
        self.require("time", event.at_us >= self._at_us, "time went back within a run")
        self._at_us = event.at_us
        self.require(
            "final", self._may_still_happen(event), "{.__name__} after the run was {}", type(event), self.status
        )
        self.events.append(event)
        self.encoded.append(e.encode(event))
        match event:
            case e.RunStarted():
                self._run_started(event)
            case e.AttemptStarted():
                self._attempt_started(event)
            case e.AttemptCommitted():
                self._attempt_committed(event)
            case e.AttemptRefused():
                self._attempt_refused(event)
            case e.ReplyDrafted():
                self._reply_drafted(event)
            case e.ReplyJudged():
                self._reply_judged(event)
            case e.AttemptFailed():
                self._attempt_failed(event)
            case e.AttemptInterrupted():
                self._attempt_interrupted(event)
            case e.ReplyArrivedLate():
                self._reply_arrived_late(event)
            case e.CallHeld():
                self._call_held(event)
            case e.FaultInjected() | e.AnswerRefused():
                pass
            case e.QuestionAsked():
                self._question_asked(event)
            case e.StepEscalated():
                self._step_escalated(event)
            case e.QuestionExpired():
                self._question_expired(event)
            case e.QuestionAnswered():
                self._question_answered(event)
            case e.BudgetRaised():
                self._budget_raised(event)
            case e.EffectRequested() | e.EffectStarted() | e.EffectDone() | e.EffectFailed() | e.EffectBecameUnknown():
                self._effect_told(event)
            case e.BackoffEnded():
                self._backoff_ended(event)
            case e.StepExpanded():
                self._step_expanded(event)
            case e.StepSkipped():
                self._step_skipped(event)
            case e.EffectShared():
                forked = isinstance(self.events[0], e.RunStarted) and self.events[0].origin is not None
                self.require("shared", forked and not self.calls, f"{event.key} is taken over, but not into a fork")
                self.effects.shared(event)
            case e.StepShared():
                self._step_shared(event)
            case e.StepBuried():
                self._step_buried(event)
            case e.RunParked():
                self._run_parked(event)
            case e.RunCancelled():
                self._run_cancelled()
            case e.RunReopened():
                self._run_reopened(event)
            case e.RunFinished():
                self._run_finished(event)
            case _:
                assert_never(event)

    def _may_still_happen(self, event: e.AnyEvent) -> bool:
        if not self.events:
            return isinstance(event, e.RunStarted)
        if isinstance(event, e.RunReopened):
            return self.status != "cancelled"
        if self.status == "parked":
            return isinstance(event, _WAKES)
        return self.status == "running" and not isinstance(event, e.RunStarted)

    def _run_started(self, event: e.RunStarted) -> None:
        self.status = "running"
        request = msgspec.json.decode(event.request)
        self.naive = NaiveContext(request, self.rules.sharing.reducers)
        self._written += map(paths.segment, request)

    def _attempt_started(self, event: e.AttemptStarted) -> None:
        one, name = self._step(event.step), event.step
        idle = one.state not in TERMINAL and one.state not in {"escalated", "performing"}
        self.require("once", idle, "{} is called again although it is {}", name, one.state)
        self.require("once", not one.open, "{} is called while a call of it is in flight", name)
        if not one.attempt and one.item is ABSENT:
            self._require_turn(name, "called")
            self.require("plan", self._declared(one).for_each is None, f"{name} is called, not its items")
        settled = one.draft is not None or not self._stuck(name)  # a judge performs nothing
        self.require("effects_unknown", settled, "{} is called although an effect of it is unknown", name)
        number = one.attempt if one.reissue else one.attempt + 1
        duty = one.duty
        self.require("attempts", event.attempt == number, "attempt {} of {} should be {}", event.attempt, name, number)
        self.require("attempts", not one.given_up, "{} is called although all attempts of it are used up", name)
        self.require("people", not one.short, "{} is called before a person has raised its {}", name, one.short)
        self.require("attempts", event.agent == duty.agent, "{} is called, not {}", event.agent, duty.agent)
        waited = event.at_us >= one.not_before_us or not self.clock_is_steady
        self.require("backoff", waited and one.state != "backing_off", "{} is called before its wait is over", name)
        fits = self._hashes.fit(event.view, self._seen(one))
        self.require("views", fits, "the hash of the view of {} is that of another view", name)
        for _, whose, budget in duty.budgets:
            lacking = self._budgets.setdefault(whose, BudgetAccount()).lacks(budget)
            self.require("gates", not lacking, f"{name} is called, but {whose or 'the run'} has no {lacking} left")
            self._budgets[whose].in_flight += 1
        self._drew[event.step, event.attempt] = duty
        if not one.reissue:
            one.tries += 1
        if one.first_us < 0:
            one.first_us = event.at_us
        self.calls += 1
        one.attempt, one.open, one.reissue, one.state = event.attempt, True, False, "running"

    def _attempt_committed(self, event: e.AttemptCommitted) -> None:
        one = self._concluded(event) or self._charged(event)
        self._commit(one, event, bytes(event.output))
        self._require_score(one.duty, event)
        if event.request is not None:
            self.branches.hear(self._declared(one), one.duty.agent, event.request)
        for wanted in event.effects:
            self.effects.asked(event.step, wanted.effect, wanted.key, wanted.payload, one.duty.effects)
        self._perform(event.step, *(wanted.key for wanted in event.effects))

    def _commit(self, one: StepAccount, event: Any, output: bytes = b"") -> None:
        writable = [p.replace("{index}", str(one.index or 0)) for p in one.duty.writable.patterns]
        deletes = getattr(event, "deletes", ())
        for path in (*event.writes, *deletes):
            allowed = any(covers(pattern, path) for pattern in writable)
            self.require("permissions", allowed, "{} committed {}, which it may not write", event.step, path)
        writes = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
        self.naive.commit(one.number, one.index or 0 if one.item is not ABSENT else 0, writes, deletes)
        self._written += (*writes, *deletes)
        fields = sum(1 if self.naive.is_reduced(path) else leaves_in(value) for path, value in writes.items())
        exceeded = exceeded_by(event, writes, fields, self.rules.limits, len(output))
        self.require("limits", not exceeded, f"{event.step} committed more than {exceeded} allows")

    def _question_answered(self, event: e.QuestionAnswered) -> None:
        one, name = self._step(event.step), event.step
        waits = one.state == "escalated" and one.attempt == event.attempt
        self.require("people", waits, f"{name} is decided about, but it does not wait: it is {one.state}")
        self.require("people", event.by.startswith("person:"), f"{event.by} decides about {name}, and is no person")
        self.status, self.reason = "running", ""
        is_short, one.short = bool(one.short), ""
        if event.effect:
            self._effect_approved(event, one)
            return
        if event.decision in {"approve", "edit", "write"}:
            self.require("people", not one.about, f"to {event.decision} {name} says nothing about its effect")
            fits = not is_short or event.decision == "write"
            self.require("people", fits, f"to {event.decision} {name} says nothing about its budget")
            self._commit(one, event)
            kept = one.refused_effects if event.decision == "approve" else ()
            self.require_same("people", f"the effects that are approved with {name}", event.effects, kept)
            for wanted in event.effects:
                self.effects.asked(name, wanted.effect, wanted.key, wanted.payload, one.duty.effects)
                self.effects.known[name, wanted.key].approved = True
            self._perform(name, *(wanted.key for wanted in event.effects))
            return
        if one.about and event.decision == "answer" and event.text != GIVE_UP:
            self.effects.answered(name, one.about, event.text)
            one.state = "performing" if name in self._outbox else "ready"
            self._settle(name)
            return
        self.require("people", not event.writes and not event.deletes, f"to {event.decision} {name} commits nothing")
        one.reissue = one.reissue and not is_short
        if is_short and event.decision == "reject" and one.link + 1 < len(one.duties):
            one.link, one.tries, one.failures, one.first_us, one.state = one.link + 1, 0, 0, -1, "ready"
            return
        one.state, one.given_up = "ready", event.decision == "reject" or bool(one.about)
        one.buried = one.given_up
        if not one.about and event.decision in {"answer", "retry"}:
            if event.decision == "answer" or not one.asked:
                one.answer = event.text or one.answer
            if one.asked:
                one.tries, one.first_us = one.tries - 1, -1
                did = "answered your question" if event.decision == "answer" else _ADVISED
                one.feedback = (f"A person has {did}: {one.asked}", event.text) if event.text else ()
            else:
                one.tries = one.failures = one.link = one.lost = 0
                one.first_us = -1
                one.feedback += ("A person advises:", event.text) if event.text else ()

    def _effect_approved(self, event: e.QuestionAnswered, one: StepAccount) -> None:
        fits = event.decision == "approve" and event.effect == one.about and not event.writes and not event.deletes
        self.require("people", fits, f"{event.step} waits for {one.about}, and not for {event.effect}")
        self.effects.approved(event.step, event.effect)
        one.state = "performing" if event.step in self._outbox else "ready"
        if one.state == "ready":
            effect = self.effects.known[event.step, event.effect]
            name = effect.effect if effect.key == effect.effect else f"{effect.effect} ({effect.key})"
            told = f"A person has approved the effect {name}: ask for it again with the same payload, "
            told += cut_short(effect.payloads[-1].decode(), PAYLOAD_CHARS_TOLD)
            one.feedback = (*(sentence for sentence in one.feedback if sentence != told), told)
            one.tries -= 1

    def _step_escalated(self, event: e.StepEscalated) -> None:
        one, name = self._step(event.step), event.step
        self.require("once", one.state not in TERMINAL, f"{name} is escalated although it is {one.state}")
        declared = self.rules.escalations[one.number]
        self.require("people", event.budget == one.short, f"{name} asks for its {event.budget}, not its {one.short}")
        if not event.budget:
            self.require("attempts", one.given_up, f"{name} is escalated with attempts left")
            self.require("people", declared is not None, f"{name} is escalated, which it doesn't declare")
        deadline_us = 1_000 * declared.deadline_ms if declared is not None else 0
        due_us = event.at_us + deadline_us if deadline_us else 0
        self.require("people", event.due_us == due_us, f"the question of {name} is open until {event.due_us}")
        one.state, one.asked, one.due_us, one.given_up = "escalated", "", event.due_us, False
        one.about = ""

    def _question_expired(self, event: e.QuestionExpired) -> None:
        one, name = self._step(event.step), event.step
        waits = one.state == "escalated" and one.attempt == event.attempt
        self.require("people", waits, f"the question of {name} expires, but it does not wait: it is {one.state}")
        late = one.due_us and (event.at_us >= one.due_us or not self.clock_is_steady)
        self.require("people", late, f"the question of {name} expires before its deadline")
        declared = self.rules.escalations[one.number]
        ways = {"dead"} if one.about and name in self._outbox else {declared.then if declared else "", "dead"}
        fits = declared is not None and event.then in ways
        self.require("people", fits, f"the question of {name} expires, then {event.then}, which it doesn't declare")
        self.status, self.reason = "running", ""
        if event.then == "default":
            self._commit(one, event)
            self._perform(name)
            return
        one.state = "ready"
        one.short = ""
        if event.then == "fallback":
            one.link, one.tries, one.failures, one.first_us, one.reissue = one.link + 1, 0, 0, -1, False
        one.given_up = one.buried = event.then == "dead" or one.link >= len(one.duties)

    def _budget_raised(self, event: e.BudgetRaised) -> None:
        one = self._step(event.step)
        budget, whose = self.rules.budget_at(event.budget, one.duty)
        wrong = wrong_with(event, budget, whose)
        self.require("people", not wrong, f"the budget of {event.step} is raised, but {wrong}")
        for name in (event.step, *event.others):
            other = self._step(name)
            waits = other.state == "escalated" and other.short == event.budget
            same = self.rules.budget_at(event.budget, other.duty)[1] == whose
            self.require("people", waits and same, f"{name} goes on with more, but it is {other.state}")
            other.state, other.short, other.first_us = "ready", "", -1
        if budget is not None and not budget.daily:
            self._budgets[whose].raised(event)
        self.status, self.reason = "running", ""

    def _require_score(self, duty: Duty, event: e.AttemptCommitted) -> None:
        """That what was committed is what its guardrails gave a score that suffices."""
        if duty.panel is None:
            self.require("guardrails", event.score is None, f"{event.step} has a score, and no guardrails")
            return
        weights = {name: seat.weight for name, seat in duty.panel.seats}
        asked = bool(event.scores) and event.scores.keys() <= weights.keys()
        self.require("guardrails", asked, f"{event.step} is committed, and its guardrails were not asked")
        whole = sum(weights[name] for name in event.scores)
        score = sum(weights[name] * told for name, told in event.scores.items()) / whole
        told = event.score is not None and abs(score - event.score) <= SCORE_TOLERANCE
        self.require("guardrails", told, f"{event.step} has a score of {event.score}, but {event.scores}")
        enough = score >= duty.panel.threshold - SCORE_TOLERANCE
        self.require("guardrails", enough, f"{event.step} is committed with {score:g}, below {duty.panel.threshold:g}")

    def _perform(self, name: str, *keys: str) -> None:
        """A step has committed, and these effects with it."""
        self._outbox[name] = [*keys]
        self.steps[name].state = "performing"
        self._settle(name)

    def _settle(self, name: str) -> None:
        """A step that has committed is over when all its effects are done."""
        left = [effect for effect in self.effects.of(name) if effect.open or self._is_waited_for(name, effect)]
        if self.steps[name].state == "performing" and not left:
            self._over(name, "committed")

    def _is_waited_for(self, name: str, effect: EffectAccount) -> bool:
        return not effect.done and (
            effect.key in self._outbox.get(name, ()) or effect.key in self._waited.get(name, ())
        )

    def _stuck(self, name: str) -> list[EffectAccount]:
        """The effects that hold a step up."""
        return [*self.effects.stuck(name, (*self._outbox.get(name, ()), *self._waited.get(name, ())))]

    def _question_asked(self, event: e.QuestionAsked) -> None:
        one, name = self._step(event.step), event.step
        known = self.effects.known.get((name, event.effect))
        if not event.effect or one.open:
            waits = known is not None and self.effects.lacks_approval(known) and known.key in self._waited.get(name, ())
            self.require("effects_approved", waits or not event.effect, f"{name} asks for approval, and needs none")
            one = self._outcome(event)
            one.state, one.asked, one.due_us = "escalated", "" if event.effect else event.question.text, event.due_us
            one.about = event.effect
            self._forget_waits(name)
            self._charge(event)
            return
        one.due_us, one.about = event.due_us, event.effect
        if known is not None and self.effects.may_go_on(known) and self.effects.lacks_approval(known):
            before = [effect for effect in self.effects.of(name) if self._is_waited_for(name, effect) or effect.open]
            in_turn = one.state == "performing" and bool(before) and before[0] is known
            self.require("effects_approved", in_turn, f"{name} asks for approval of {event.effect} out of turn")
            one.state = "escalated"
            return
        stuck = self._stuck(name)
        if one.state == "waiting":
            self._require_turn(event.step, "asked about")
        idle = one.state in {"performing", "ready", "waiting"}
        self.require("once", idle, f"{event.step} asks although it is {one.state}")
        asks = any(effect.key == event.effect and self.effects.asks(effect) for effect in stuck)
        self.require("effects_unknown", asks, f"{event.step} asks a person about {event.effect}")
        one.state = "escalated"

    def _effect_told(self, event: EffectEvent) -> None:
        one, name = self._step(event.step), event.step
        if isinstance(event, e.EffectRequested):
            asked = one.open and one.attempt == event.attempt and one.duty.immediate
            self.require("effects", asked, f"{name} asks for {event.key} although it may not")
            self.effects.asked(name, event.effect, event.key, event.payload, one.duty.effects)
            self._waited.setdefault(name, {})[event.key] = None
            return
        if isinstance(event, e.EffectStarted):
            self._require_effect_turn(event, one)
        self.effects.hear(event)
        is_told = one.state == "running" and isinstance(event, e.EffectFailed)
        if is_told and not self.effects.may_go_on(self.effects.known[name, event.key]):
            self._waited.get(name, {}).pop(event.key, None)
        self._settle(name)

    def _require_effect_turn(self, event: e.EffectStarted, one: StepAccount) -> None:
        """That an effect may begin: its commit is there and those before it are done, or its attempt waits for it."""
        name, key = event.step, event.key
        in_turn = one.state == "running" and key in self._waited.get(name, ())
        if one.state == "performing":
            before = [effect for effect in self.effects.of(name) if self._is_waited_for(name, effect) or effect.open]
            in_turn = bool(before) and before[0].key == key
        self.require("effects_durable", in_turn, f"{key} of {name} is begun while the step is {one.state}")
        waited = event.at_us >= self.effects.known[name, key].not_before_us or not self.clock_is_steady
        self.require("backoff", waited, f"{key} of {name} is begun before its wait is over")

    def _attempt_refused(self, event: e.AttemptRefused) -> None:
        one = self._concluded(event) or self._charged(event)
        one.refused_effects = event.effects
        self._forget_waits(event.step)
        one.feedback = tuple(finding.message for finding in event.findings)
        self._setback(one, again=True)

    # --- judges ---

    def _reply_drafted(self, event: e.ReplyDrafted) -> None:
        one = self._charged(event)
        duty = one.duty
        self.require("judges", duty.panel is not None and duty.judges, "{} waits for a judge, and has none", event.step)
        one.draft = DraftAccount(one, duty, event)
        self.require("judges", one.draft.waits_for, "{} waits for a judge who could change nothing", event.step)
        self.drafted.add((event.step, event.attempt))
        one.draft.turn_to(one)

    def _reply_judged(self, event: e.ReplyJudged) -> None:
        one = self._charged(event)
        self.require("judges", one.draft is not None and one.draft.waits_for, "{} is judged, for nothing", event.step)
        assert one.draft is not None
        one.draft.hear(event.score)
        one.draft.turn_to(one)

    def _concluded(self, event: e.AttemptCommitted | e.AttemptRefused) -> StepAccount | None:
        """The step of a reply that has waited for a judge, and now has its verdict."""
        one = self._step(event.step)
        draft = one.draft
        if draft is None or draft.event.attempt != event.attempt:
            return None
        self.require("judges", not draft.waits_for and not one.open, "{} has a verdict before its judge", event.step)
        self.require("judges", event.usage is None, "{} is charged twice for one attempt", event.step)
        self.require_same("judges", "the scores of the draft of {}", event.scores, draft.scores, event.step)
        follows = isinstance(event, e.AttemptCommitted) == draft.passes
        self.require("judges", follows, "{} has a verdict that does not follow from {}", event.step, draft.scores)
        if isinstance(event, e.AttemptCommitted):
            same = (event.writes, event.deletes, event.output, event.effects, event.reads)
            drafted = draft.event
            meant = (drafted.writes, drafted.deletes, drafted.output, drafted.effects, drafted.reads)
            self.require_same("judges", "what is committed of the draft of {}", same, meant, event.step)
        else:
            kept = draft.event.effects
            self.require_same("judges", "the effects that are kept of the draft of {}", event.effects, kept, event.step)
        draft.leave(one)
        one.draft = None
        return one

    def _unjudged(self, one: StepAccount) -> None:
        """Where nobody is left who could judge a reply, its verdict follows."""
        if one.draft is not None and one.given_up:
            one.draft.give_up()
            one.draft.turn_to(one)

    # --- failures ---

    def _attempt_failed(self, event: e.AttemptFailed) -> None:
        one = self._outcome(event)
        self._forget_waits(event.step)
        one.failures += 1
        policy = one.duty.policy
        self._charge(event)
        wait_ms = min(policy.backoff_ms * 2 ** (one.failures - 1), policy.backoff_ms_max)
        wait_ms = max(wait_ms, min(event.retry_after_ms, RETRY_AFTER_MS_MAX))
        self._setback(one, again=event.retryable, wait_ms=wait_ms)

    def _forget_waits(self, name: str) -> None:
        """The attempt that waited for its effects is over."""
        self._waited.pop(name, None)

    def _setback(self, one: StepAccount, *, again: bool, wait_ms: int = 0) -> None:
        one.state = "ready"
        if not again or one.tries > one.duty.policy.retries or not one.in_time(self._at_us + 1_000 * wait_ms):
            one.link, one.first_us = one.link + 1, -1
            one.given_up = one.link == len(one.duties)
            one.tries = one.failures = wait_ms = 0
        if wait_ms:
            one.state, one.not_before_us = "backing_off", self._at_us + 1_000 * wait_ms
        self._unjudged(one)

    def _call_held(self, event: e.CallHeld) -> None:
        """Whether the gate was right is for the traffic to say: it belongs to all runs."""
        one, name = self._step(event.step), event.step
        self.require("gates", event.agent == one.duty.agent, f"{event.agent} is held, not {one.duty.agent}")
        self.require("gates", one.state in {"waiting", "ready"}, f"{name} is held although it is {one.state}")
        declared = self._holding(event.gate, one)
        self.require("gates", declared is not None, f"{name} is held by a {event.gate} that nobody declared")
        assert declared is not None
        for kind, whose, budget in one.duty.budgets:
            if kind == event.gate:
                lacking = self._budgets.setdefault(whose, BudgetAccount()).lacks(budget)
                self.require("gates", lacking, f"{name} is held, but {whose or 'the run'} has enough left")
        asks = isinstance(declared, BudgetPolicy) and declared.asks and event.gate.endswith("budget")
        if asks and one.draft is None:
            one.short = event.gate
            return
        in_time = one.in_time(event.until_us)
        passes = event.gate.endswith(("rate", "reservation")) and in_time
        if not passes and one.link + 1 < len(one.duties):
            one.link, one.tries, one.failures, one.state, one.reissue = one.link + 1, 0, 0, "ready", False
            one.first_us = -1
        elif event.until_us and in_time and (passes or declared.waits):
            one.state, one.not_before_us = "backing_off", event.until_us
        else:
            one.given_up, one.reissue = True, False
            self._unjudged(one)

    def _holding(self, kind: str, one: StepAccount) -> BreakerPolicy | RatePolicy | BudgetPolicy | None:
        """What was declared of the part of a gate that holds a step."""
        own, all_ = one.duty.gate, self.rules.gate
        declared = {"breaker": own.breaker, "rate": own.rate, "budget": own.budget}
        declared |= {"team_rate": all_.rate, "team_budget": all_.budget}
        declared |= {"reservation": own.budget, "team_reservation": all_.budget}
        if kind == "run_reservation":
            return one.duty.budgets[0][2] if one.duty.budgets else None
        return declared.get(kind) or next((budget for name, _, budget in one.duty.budgets if name == kind), None)

    def _attempt_interrupted(self, event: e.AttemptInterrupted) -> None:
        one = self._outcome(event)
        self._forget_waits(event.step)
        self._pay(event, None)
        one.state, one.reissue = "ready", True
        one.lost += 1
        if one.lost > one.duty.policy.reissues_max:
            one.given_up, one.reissue = True, False
            self._unjudged(one)

    def _reply_arrived_late(self, event: e.ReplyArrivedLate) -> None:
        one = self._step(event.step)
        over = event.attempt < one.attempt or (event.attempt == one.attempt and not one.open)
        self.require("first_outcome", over, f"attempt {event.attempt} of {event.step} is late, but has no outcome")
        self._charge(event, is_late=True)

    def _backoff_ended(self, event: e.BackoffEnded) -> None:
        one = self._step(event.step)
        self.require("backoff", one.state == "backing_off", f"{event.step} was not waiting: it is {one.state}")
        late_us = event.at_us - max(one.not_before_us, self.driven_since_us)
        in_time = late_us <= BACKOFF_LATE_US_MAX or not self.clock_is_steady
        self.require("backoff", in_time, f"{event.step} waited {late_us / 1e6:g} s longer than it had to")
        one.state = "ready"

    def _step_expanded(self, event: e.StepExpanded) -> None:
        name, one = event.step, self._step(event.step)
        self.require("frozen_items", name not in self._items, f"{name} is expanded twice")
        path = self._declared(one).for_each if one.item is ABSENT else None
        self.require("plan", path is not None, f"{name} is expanded, but has no for_each")
        self._require_turn(name, "expanded")
        items, there = msgspec.json.decode(event.items), self._value(path or "", one.number)
        same = isinstance(there, list) and _json(items) == _json(there)
        self.require("frozen_items", same, f"{name} is expanded to something else than its list")
        self.require("limits", self._can_expand(one, path or ""), f"{name} is expanded to {len(items)} items, too many")
        self._items[name] = [f"{name}-{index}" for index in range(len(items))]
        for index, item in enumerate(items):
            self.steps[f"{name}-{index}"] = StepAccount(one.number, one.duties, index, item)
        one.state = "running"
        if not items:
            one.state = "committed"
            self._skip_the_lost(one.number)

    def _step_skipped(self, event: e.StepSkipped) -> None:
        name, one = event.step, self._step(event.step)
        fate = self._fate(name)
        self.require("once", one.state not in TERMINAL, f"{name} is skipped although it is {one.state}")
        self.require("plan", fate == "run", f"{name} is skipped, but {fate}")
        self.require("plan", not self._is_wanted(one), f"{name} is skipped, but its condition holds")
        one.state = "skipped"
        self._skip_the_lost(one.number)

    def _step_shared(self, event: e.StepShared) -> None:
        one, first = self._step(event.step), self.events[0]
        forked = isinstance(first, e.RunStarted) and first.origin is not None
        self.require("shared", forked and not self.calls, f"{event.step} is taken over, but not into a fork")
        self.require(
            "once", one.state in {"waiting", "ready"}, f"{event.step} is taken over although it is {one.state}"
        )
        if one.item is ABSENT:
            self.require("plan", self._fate(event.step) == "run", f"{event.step} is taken over before its turn")
        writes = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
        self.naive.commit(one.number, one.index or 0 if one.item is not ABSENT else 0, writes, event.deletes)
        self._written += (*writes, *event.deletes)
        if event.request is not None:
            self.branches.hear(self._declared(one), event.agent, event.request)
        self._over(event.step, "committed")

    def _step_buried(self, event: e.StepBuried) -> None:
        name, one = event.step, self._step(event.step)
        step = self._declared(one)
        unlisted = one.item is ABSENT and step.for_each is not None and not self._can_expand(one, step.for_each)
        self.require("once", one.state not in TERMINAL, f"{name} is given up although it is {one.state}")
        held = one.state in {"performing", "ready"} and not all(map(self.effects.asks, self._stuck(name)))
        self.require("attempts", one.given_up or unlisted or held, f"{name} is given up with attempts left")
        asks = self.rules.escalations[one.number] is not None
        self.require("people", one.buried or unlisted or held or not asks, f"{name} is given up, and nobody was asked")
        if unlisted:
            self._require_turn(name, "given up")
        self._over(name, "dead")

    def _run_parked(self, event: e.RunParked) -> None:
        states = set(self.states.values())
        self.require("parked", "escalated" in states, "the run is parked, and no step asks anything")
        moving = [name for name, one in self.steps.items() if self._can_go_on(name, one)]
        self.require("parked", not moving, f"the run is parked, but {moving[:1]} could go on")
        self.require("parked", not self.effects.in_flight, "the run is parked while an effect is under way")
        self.status, self.reason = "parked", event.reason

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
        fails = any(self._on_dead(name) == "fail_run" for name in dead)
        self.require("ends", event.status == ("failed" if fails else "succeeded"), f"{event.status} with dead: {dead}")
        self.status, self.reason = event.status, event.reason

    def _run_reopened(self, event: e.RunReopened) -> None:
        self.status, self.reason, self.forks = "running", "", 0
        wrong = self.why_not_reopened(event.steps)
        self.require("redrive", not wrong, f"the run is reopened, but {wrong}")
        for tried in event.steps:
            one = self._step(tried)
            for name, other in self.steps.items():
                if self._ancestors[other.number] >> one.number & 1:
                    other.state = "waiting"
                    self._blocked.discard(name)
            self.steps[self._id[one.number]].state = "running"  # where it is an item
            one.state = "performing" if tried in self._outbox else "ready"
            self.effects.renew(tried)
            one.tries = one.failures = one.lost = one.link = one.not_before_us = 0
            one.first_us = -1
            one.given_up = one.reissue = False

    def is_group(self, name: str) -> bool:
        """Whether a step has become items."""
        return name in self._items

    def comes_after(self, name: str, steps: Sequence[str]) -> bool:
        """Whether a step needs one of these, directly or by others."""
        ancestors = self._ancestors[self._step(name).number]
        return any(ancestors >> self._step(step).number & 1 for step in steps)

    def why_not_reopened(self, steps: Sequence[str]) -> str:
        """Why these steps can't be tried again in this run; "" if they can."""
        if self.status == "cancelled":
            return "it was cancelled"
        for name in steps:
            one = self._step(name)
            if one.state != "dead" or name in self._items:
                return f"{name} was not given up: it is {one.state}"
            for other, after in self.steps.items():
                if after.state not in {"waiting", "skipped"} and self.comes_after(other, [name]):
                    return f"{other} came after {name}"
        return ""

    # --- what follows from events ---

    def _step(self, name: str) -> StepAccount:
        self.require("plan", name in self.steps, "there is no step {}", name)
        return self.steps[name]

    def _declared(self, one: StepAccount) -> Step:
        return self.plan.steps[one.number]

    def _outcome(self, event: Any) -> StepAccount:
        """The step whose call has ended; its first outcome counts."""
        one = self._step(event.step)
        fits = one.open and one.attempt == event.attempt
        self.require(
            "first_outcome",
            fits,
            "{.__name__} of attempt {} of {}, which is over",
            type(event),
            event.attempt,
            event.step,
        )
        one.open = False
        return one

    def _charged(self, event: Any) -> StepAccount:
        """The step whose call has ended, and is paid for."""
        one = self._outcome(event)
        self._charge(event)
        return one

    def _charge(self, event: Any, *, is_late: bool = False) -> None:
        is_stopped = isinstance(event, e.AttemptFailed) or (isinstance(event, e.QuestionAsked) and bool(event.effect))
        told_nothing = is_stopped and event.usage is None
        self._pay(event, None if told_nothing else event.usage or Usage(), is_late=is_late)
        if event.usage is not None:
            tokens = event.usage.input_tokens + event.usage.output_tokens
            self.tokens += tokens
            if event.usage.usd is None:
                self.usd = None if tokens or event.usage.requests else self.usd
            elif self.usd is not None:
                self.usd += event.usage.usd

    def _pay(self, event: Any, usage: Usage | None, *, is_late: bool = False) -> None:
        """usage: None where a call has not told. One that tells late was charged its most before."""
        for _, whose, budget in self._drew[event.step, event.attempt].budgets:
            account, most = self._budgets[whose], (budget.call_tokens, budget.call_usd)
            tokens, usd = most
            if usage is not None:
                tokens = usage.input_tokens + usage.output_tokens
                known = usage.usd is not None or not (tokens or usage.requests)
                usd = round(1_000_000 * (usage.usd or 0)) if known else most[1]
            if is_late:
                tokens, usd = max(0, tokens - most[0]), max(0, usd - most[1])
            else:
                account.in_flight -= 1
                account.calls += 1
            account.tokens += tokens
            account.usd += usd

    def _over(self, name: str, state: str) -> None:
        self.steps[name].state = state
        group = self._id[self.steps[name].number]
        if group != name:
            states = {self.steps[item].state for item in self._items[group]}
            if not states <= TERMINAL:
                return
            lost = "dead" in states and ("committed" not in states or self._on_dead(group) == "fail_run")
            self.steps[group].state = "dead" if lost else "committed"
        self._skip_the_lost(self.steps[name].number)

    def _skip_the_lost(self, ended: int) -> None:
        """What can't run any more, now that this step is over, has ended without an event of its own."""
        over = [ended]
        for n in over:
            for dependent in self.plan.dependents[n]:
                name = self._id[dependent]
                fate = self._fate(name) if self.steps[name].state == "waiting" else ""
                if fate.startswith("it must be skipped"):
                    self.steps[name].state = "skipped"
                    over.append(dependent)
                    if fate.endswith("is lost"):
                        self._blocked.add(name)

    def _fate(self, name: str) -> str:
        """`run`, or why a step may not run now."""
        one = self.steps[name]
        needs = [self._id[n] for n in self.plan.needs[one.number]]
        open_ = [need for need in needs if self.steps[need].state not in TERMINAL]
        if open_:
            return f"it must wait for {open_[0]}"
        died = {need: self._on_dead(need) for need in needs if self.steps[need].state == "dead"}
        if self._declared(one).join == "all":
            if "fail_run" in died.values() or not self._blocked.isdisjoint(needs):
                return "it must be skipped: a step that it needs is lost"
        elif died or not self._blocked.isdisjoint(needs):
            return "it was skipped" if one.state == "skipped" else "run"
        if needs and all(self.steps[need].state == "skipped" or died.get(need) == "skip" for need in needs):
            return "it must be skipped: all that it needs was skipped"
        if one.state == "skipped":
            return "it was skipped"
        return "run"

    def _on_dead(self, name: str) -> str:
        """What it means for the run that this step has died: its own word, or else its agent's."""
        step = self._declared(self.steps[name])
        return step.on_dead or self.rules.roles[step.agent].on_dead

    def _require_turn(self, name: str, what: str) -> None:
        """That a step may begin: all that it needs is over, and its condition holds."""
        fate = self._fate(name)
        self.require("plan", fate == "run", f"{name} is {what}, but {fate}")
        self.require("plan", self._is_wanted(self.steps[name]), f"{name} is {what}, but its condition doesn't hold")

    def _is_wanted(self, one: StepAccount) -> bool:
        step = self._declared(one)
        holding = step.when is None or holds(step.when, self._value(step.when.path, one.number))
        return holding and self.branches.is_wanted(step)

    def _can_go_on(self, name: str, one: StepAccount) -> bool:
        if one.state == "waiting":
            return self._fate(name) == "run"
        return one.state in {"ready", "backing_off", "performing"} or one.open

    # --- values ---

    def _value(self, path: str, n: int) -> Any:
        """What a step finds at a path, whatever its scope; ABSENT where nothing stands."""
        return self.naive.value(path, self._ancestors[n])

    def _can_expand(self, one: StepAccount, path: str) -> bool:
        items = self._value(path, one.number)
        limits = self.rules.limits
        most = min(limits.for_each_width_max, limits.steps_max - len(self.steps))
        return isinstance(items, list) and len(items) <= most

    # --- calls ---

    def see_call(self, job: Job) -> None:
        """An agent is handed a job. Raises Broken."""
        name = job.step
        one = self._step(name)
        announced = one.open and one.attempt == job.attempt
        self.require("durable", announced, "{} is called before its attempt {} is durable", name, job.attempt)
        self.require("keys", self._is_key(job), "the idempotency key of {} changed to {}", name, job.idempotency_key)
        self.require(
            "feedback", job.feedback == one.feedback, "{} is told {}, not {}", name, job.feedback, one.feedback
        )
        step = self._declared(one)
        index = self.plan.sample_index.get(name) if one.item is ABSENT else one.index
        told = (job.run_id, job.agent, job.action, job.instructions, job.index, job.answer)
        asked, answer = (step.action, step.instructions), one.answer
        if one.draft is not None:
            asked, answer = (one.draft.judge.action, one.draft.judge.instructions), ""
            shown = {path: msgspec.json.decode(raw) for path, raw in one.draft.event.writes.items()}
            self.require_same("judges", "the draft that {} judges", (job.draft or {}).get("writes"), shown, job.agent)
        meant = (self.run_id, one.duty.agent, *asked, index, answer)
        self.require("job", told == meant, "{} is handed {}, not {}", name, told, meant)
        if one.item is not ABSENT:
            same = _json(job.item) == _json(one.item)
            self.require("frozen_items", same, f"{name} is handed another item than at its expansion")
        self._check_view(job, one)

    def _is_key(self, job: Job) -> bool:
        """One key for each attempt, the same when it is called again, and no other attempt's."""
        mine = (job.step, job.attempt)
        key = self._keys.setdefault(mine, job.idempotency_key)
        return key == job.idempotency_key and self._key_owners.setdefault(key, mine) == mine

    def _check_view(self, job: Job, one: StepAccount) -> None:
        view = cast("View", job.view)
        meant = self._seen(one)
        shown = _json(view.unread().to_dict())
        self.require_same("views", "what {} is shown", shown, meant.encoded, job.step)
        if self._written and self.calls % 2:
            path = self._written[self.calls // 4 % len(self._written)]
            wrong = wrong_by_name(view, meant.tree, path if self.calls % 4 == 1 else lookalike(path))
            self.require("views", not wrong, "to {}, {}", job.step, wrong)

    def _seen(self, one: StepAccount) -> Seen:
        """What a step that may start may see: all before it is over, so it is the same for each attempt and item."""
        key = (one.number, one.duty.agent)
        known = self._views.get(key)
        if known is None:
            known = Seen(self.naive, self._ancestors[one.number], one.duty.sight, self.run_id)
            self._views[key] = known
        return known


def exceeded_by(
    event: e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired,
    writes: Mapping[str, Any],
    fields: int,
    limits: Limits,
    output_bytes: int = 0,
) -> str:
    """The first of the limits that a commit with so many fields exceeds, by name; "" if it is within all of them."""
    sizes = [len(bytes(raw)) for raw in event.writes.values()]
    counts = {
        "value_bytes_max": max(*sizes, output_bytes, 0),
        "commit_bytes_max": sum(sizes),
        "commit_fields_max": max(len(getattr(event, "deletes", ())) + len(writes), fields),
        "depth_max": max((depth_of(value) for value in writes.values()), default=0),
    }
    return next((name for name, count in counts.items() if count > getattr(limits, name)), "")


def _ancestors(needs: Sequence[Sequence[int]]) -> list[int]:
    """Per step the bitset of all steps that come before it, and the request."""
    found = [0]
    for mine in needs[1:]:
        seen = 1
        for need in mine:
            seen |= 1 << need | found[need]
        found.append(seen)
    return found
