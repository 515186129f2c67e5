"""One run as a machine without I/O: apply(event) folds a fact, decide() says what the state now calls for.

decide() hands out each command once; `_due` holds only the steps that changed, so both cost O(what changed). A machine
folded from the journal has handed out nothing, so its first decide() asks again for all that is still due.

In four layers: how far its steps are (`progress`), what their effects come to (`performing`), what each event makes of
them (`fold`), and here what that calls for.
"""

from typing import Any, assert_never

import msgspec
from msgspec import Raw

from interlock.errors import ValueRefused

from . import commands as c
from . import events as e
from .approving import about_itself, about_plan, asked_first
from .arrivals import kept_arrival, kept_for
from .assess import assess
from .branches import unrequested
from .conditions import holds
from .conflicts import contradiction
from .context import EVERYTHING, View
from .deciding import Situation, added_by, decided, dropped_by, last_resort, progress, stated
from .effects import Entry, approval_question
from .fold import Fold
from .grown import decoded
from .job import Job, idempotency_key
from .judging import Drafted
from .moments import time_us
from .policy import due
from .purse import Cost
from .raises import question
from .reconciling import CHOICES, Unreconciled, asked_of_judge, asked_of_person, resolution, ruled, rulings, verdict
from .result import Outcome
from .role import Duty
from .states import TERMINAL
from .step import Step
from .supervision import DECIDE, DECISION_KEYS, SupervisorPolicy
from .values import encode_written
from .waits import Wait


class Machine(Fold):
    """The state of one run, held to its rules."""

    @property
    def cost(self) -> Cost:
        """What the run has consumed so far."""
        return self.purse.cost

    @property
    def context(self) -> View:
        """Everything that was committed."""
        return self.bank.whole(EVERYTHING)

    @property
    def result(self) -> Outcome:
        """What the run has resulted in, as its team declares it."""
        declared = self.rules.result
        if declared is None or self.status != "succeeded":
            return Outcome()
        return declared.taken(self.context)

    def wanted(self) -> list[tuple[str, int, str, bool]]:
        """The calls that are in flight or to be made, as (step, attempt, agent, whether it is in flight)."""
        return [
            (self.step_id(n), self._next_attempt(n) - (state == "running"), self.duty(n).agent, state == "running")
            for n, state in enumerate(self.state)
            if state in {"ready", "backing_off", "running"} and n not in self._items_left and n not in self.children
        ]

    def running(self) -> list[int]:
        """The steps whose call is in flight; after a crash, those whose call was lost."""
        not_called = self._items_left.keys() | self.children.keys()
        return [n for n, state in enumerate(self.state) if state == "running" and n not in not_called]

    # --- decide ---

    def decide(self) -> list[c.AnyCommand]:
        """What the state calls for now, each thing once."""
        if self.status != "running" or not self.started:
            return []
        if self._decided is not None:
            return [self._revision(self._decided)]
        if self._ruled:
            return [*map(self._ruling, self._ruled)]
        if self._each and self._has_news() and not self._situation(0).why_no_more():
            return [self._call_for_decision()]
        # Where nothing is busy, only deadlines are due: they outlast the parking.
        if self._busy and (self._due or self._due_effects):
            due, self._due = self._due, {}
            effects, self._due_effects = self._due_effects, {}
            return [*map(self._command, due), *(self._effect_command(n, key) for n, key in effects)]
        if self.ledger.in_flight:
            return []
        if not self._open:
            return [self._finish() if self.rules.supervisor is None else self._decision_or_end(self.rules.supervisor)]
        if not self._busy:
            return [c.ParkRun(self._question())]
        return []

    def _command(self, n: int) -> c.AnyCommand:  # noqa: C901 - one case for each thing that may be due
        if self.state[n] == "backing_off":
            return c.StartTimer(n, self.step_id(n), *self._waits[n])
        if self.state[n] == "escalated":
            due_us = self.questions[n].due_us
            return c.StartTimer(n, self.step_id(n), due_us, -(-max(0, due_us - self.at_us) // 1_000))
        if self.state[n] == "running":
            return self._child_command(n)
        label = self.label[n]
        if n in self._agreed or n in self._to_escalate:
            return self._approval(n) if n in self._agreed else self._appeal(n)
        if n in self._given_up:
            return self._burial(n, self.reasons[n])
        if n in self._drafts:
            return self._judging_command(n, self._drafts[n])
        step = self.plan.steps[label]
        if label == n and not self.attempts[n]:
            if reason := self._why_skipped(n, step):
                return c.SkipStep(step.id, reason)
            if step.for_each is not None:
                return self._expansion(n, step.for_each)
            if n in self.rules.waits:
                return self._wait_command(n, self.rules.waits[n])
        if n in self.ledger.entries:
            stuck = self.ledger.first_open(n) if self.state[n] == "performing" else self.ledger.blocker(n)
            if stuck is not None:
                return self._stuck(n, stuck)
        return self._reconcile_command(n) if n in self.rules.reconciles else self._call(n)

    def _reconcile_command(self, n: int) -> c.AnyCommand:
        """What others have said is reconciled; or somebody is asked where it contradicts itself."""
        declared = self.rules.reconciles[n]
        try:
            found = resolution(self, n, rulings(self, n))
            if not found.open:
                told, submission = verdict(self, n, found)
                if not submission.findings:
                    return c.ResolveConflicts(told.step, told)
                return self._burial(n, submission.findings[0].message)
            if "judge" in declared.ways:
                return self._call(n)
            return self._appeal(n) if "person" in declared.ways else self._burial(n, contradiction(found.open))
        except Unreconciled as why:
            return self._burial(n, str(why))

    def _ruling(self, n: int) -> c.ResolveConflicts:
        """What a judge has settled, which its reply has committed."""
        told, _ = verdict(self, n, resolution(self, n, rulings(self, n)))
        return c.ResolveConflicts(told.step, msgspec.structs.replace(told, writes={}))

    def _kept_for(self, n: int) -> e.EventReceived | None:
        """The event that was kept for a step which begins to wait, or that is refused then, as it fits no step."""
        return kept_for(self, n, {kept.event_id for kept in self._taken.values()})

    def _wait_command(self, n: int, wait: Wait) -> c.AnyCommand:
        """A step begins to wait; or a kept event ends its wait, or its time will."""
        if n in self._taken:
            return c.TakeEvent(kept_arrival(self, n, self._taken[n], self.at_us))
        if n in self.waits:
            due_us = self.waits[n].due_us
            return c.StartTimer(n, self.step_id(n), due_us, -(-max(0, due_us - self.at_us) // 1_000))
        try:
            found = time_us(self.bank.value(wait.path, self.plan.ancestors[n])) if wait.path else wait.until_us
            return c.BeginWait(self.step_id(n), wait.event, found, wait.ms)
        except KeyError:
            return self._burial(n, f"wait: there is nothing at {wait.path}")
        except ValueRefused as error:
            return self._burial(n, f"wait: at {wait.path}, {error.message}")

    def _why_skipped(self, n: int, step: Step) -> str:
        """Why a step that could begin must not run; "" where it may."""
        if n in self.plan.requesters and n not in self._requested:
            return unrequested(n, self.plan)
        if step.when is not None and not holds(step.when, self.bank, self.plan.ancestors[n]):
            return f"its condition did not hold: {step.when}{self._found(n, step.when.path)}"
        if self.additions and step.for_each is None:
            other = self.repeated(n, self._duty[n].agent, self._view_hash(n))
            return f"it repeats {other}: {step.agent} would be shown and asked the same" if other else ""
        return ""

    def _call(self, n: int) -> c.CallAgent | c.StartChild:
        duty = self._duty[n]
        made = c.CallAgent if duty.nested is None else c.StartChild
        return made(n, self.step_id(n), duty.agent, self._next_attempt(n), duty.policy.timeout_ms)

    def _appeal(self, n: int) -> c.AskPerson:
        """A person is asked what to do, or for more of a budget."""
        gate, reason = self._short.get(n, ""), self.reasons.get(n, "")
        budget, whose = self.rules.budget_at(gate, self._duty[n])
        if budget is not None:
            spent = None if budget.daily else self.purse.ledger(whose).spent
            reason = question(reason, budget, spent, is_shared=gate == "team_budget")
        elif n in self.rules.reconciles:
            reason = asked_of_person(self, n)
        return c.AskPerson(self.step_id(n), self.attempts[n], reason, self.deadline_ms(n), gate)

    def _judging_command(self, n: int, draft: Drafted) -> c.CallAgent | c.StartChild | c.ConcludeDraft:
        """A reply waits for a judge, or has a verdict."""
        return self._call(n) if draft.judge else c.ConcludeDraft(draft.verdict(self.rules.limits))

    def author(self, n: int) -> Duty:
        """Who does a step now, though another may be called to judge what it has done."""
        return self._drafts[n].before.duty if n in self._drafts else self._duty[n]

    def drafted(self) -> dict[tuple[str, int], str]:
        """The attempts whose replies wait for a judge, by step and number: whose they are."""
        waiting = self._drafts.values()
        return {(draft.reply.step, draft.reply.attempt): draft.before.duty.agent for draft in waiting}

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
        match self.ledger.following(entry):
            case "ask":
                return c.AskAboutEffect(self.step_id(n), self.attempts[n], entry.question, entry.key)
            case "approve":
                question = approval_question(entry.effect, entry.key)
                return c.AskAboutEffect(self.step_id(n), self.attempts[n], question, entry.key, self.deadline_ms(n))
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
        items = self.plan.steps[n].batched(items)
        if len(items) > limits.for_each_width_max or len(self.state) - 1 + len(items) > limits.steps_max:
            return self._burial(n, f"for_each: {path} holds {len(items):,} items, which is too many")
        return c.ExpandStep(self.step_id(n), Raw(msgspec.json.encode(items)))

    def _finish(self) -> c.FinishRun:
        fails, label = self.rules.on_dead, self.label
        lost = (n for n, state in enumerate(self.state) if state == "dead" and fails[label[n]] == "fail_run")
        dead = next(lost, None)
        if self.rejected:
            return c.FinishRun("failed", self.rejected)
        if dead is None:
            return c.FinishRun("succeeded", "")
        return c.FinishRun("failed", f"{self.step_id(dead)}: {self.reasons[dead]}")

    def _decision_or_end(self, policy: SupervisorPolicy) -> c.CallForDecision | c.FinishRun | c.RevisePlan:
        """Nothing is left to do: an agent decides what comes next, unless it has said that nothing does."""
        end = self._finish()
        if end.status == "failed" or self.finished:
            return end
        if self.decisions and policy.ask == "start":
            return self._otherwise(policy) or end
        spent = self._situation(0).why_no_more()
        if not spent or policy.then == "escalate":
            return self._call_for_decision(spent)
        return c.FinishRun("failed" if policy.then == "fail_run" else "succeeded", spent)

    def _call_for_decision(self, reason: str = "") -> c.CallForDecision:
        ended = (name for name, n in self.plan.number.items() if self.state[n] in TERMINAL)
        return c.CallForDecision(f"{DECIDE}-{len(self.decisions) + 1}", tuple(ended), reason)

    def _otherwise(self, policy: SupervisorPolicy) -> c.RevisePlan | None:
        """The plan that is taken where no proposal could be, once; None where one was, or where there is none."""
        n = self.decisions[-1]
        if self.state[n] != "dead" or self.additions[-1] or not policy.last_resort:
            return None
        return c.RevisePlan(self.step_id(n), last_resort(self._situation(n)), finished=False, otherwise=True)

    def _revision(self, decided: Raw) -> c.RevisePlan:
        """What is to be made of the plan by the decision that was taken last."""
        n = self.decisions[-1]
        now = self._situation(n)
        return c.RevisePlan(self.step_id(n), *added_by(decided, now), dropped_by(decided, now))

    def _situation(self, n: int) -> Situation:
        """What a decision about the plan is held against."""
        stands = (self.rules, self.plan, self.bank, self.state, self.reasons, self.additions)
        return Situation(*stands, n, len(self.state), self.decisions, self.purse)

    def _question(self) -> str:
        asking = next((n for n, state in enumerate(self.state) if state == "escalated"), 0)
        if not asking and (parked := self._parked_child()):
            return parked
        if not asking:
            first = min(self.waits, key=lambda n: self.waits[n].due_us or e.AT_US_MAX)
            more = f", and {len(self.waits) - 1:,} more wait" if len(self.waits) > 1 else ""
            return f"{self.step_id(first)} {self.reasons[first]}{more}"
        if self.questions[asking].about_plan:
            return self.reasons[asking]
        verb = "asks" if self.questions[asking].by_agent else "needs a person"
        return f"{self.step_id(asking)} {verb}: {self.reasons[asking]}"

    def is_due(self, command: c.PerformEffect) -> bool:
        """Whether an effect that was commanded is still to be performed."""
        entry = self.ledger.entry(command.number, command.key)
        is_told = (command.number, command.key) in self._told_effects and entry.wanted
        return is_told and self.status == "running" and self.ledger.following(entry) == "perform"

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
                if (
                    type(command) is c.CallAgent
                    or type(command) is c.StartTimer
                    or type(command) is c.PerformEffect
                    or type(command) is c.StartChild
                ):
                    to_do.append(command)
                else:
                    fact = _record(command, at_us)
                    self.apply(fact)
                    facts.append(fact)
        return to_do

    def start(self, command: c.CallAgent, at_us: int) -> e.AttemptStarted:
        """Announce a call: the fact that must be durable before it. Folds it, too."""
        n = command.number
        fact = e.AttemptStarted(at_us, command.step, command.attempt, command.agent, self._view_hash(n))
        self.apply(fact)
        return fact

    def start_child(self, command: c.StartChild, run_id: str, at_us: int, seq: int = 0) -> e.ChildStarted:
        """Announce the run that is to do a step, which has `seq` events by now. Folds it, too.

        Whoever does so sees to its time; a machine that is folded anew asks for that.
        """
        n, due_us = command.number, due(at_us, command.timeout_ms)
        told = (command.step, command.attempt, command.agent, self._view_hash(n))
        fact = e.ChildStarted(at_us, *told, run_id, due_us, seq)
        self.apply(fact)
        self._due.pop(n, None)
        return fact

    def _view_hash(self, n: int) -> str:
        return self.bank.view_hash(self.label[n], self.duty(n).sight)

    def held(self, command: c.CallAgent | c.StartChild, at_us: int) -> e.CallHeld | None:
        """Why a call may not be announced: one of the run's budgets has too little left for it."""
        lacking = self.purse.lacking(self.budgets(command.number), at_us)
        return e.CallHeld(at_us, command.step, command.agent, *lacking) if lacking else None

    def start_effect(self, command: c.PerformEffect, at_us: int) -> e.EffectStarted:
        """Announce an effect: the fact that must be durable before it is performed. Folds it, too."""
        fact = e.EffectStarted(at_us, command.step, command.effect, command.key, command.attempt)
        self.apply(fact)
        return fact

    def job(self, run_id: str, command: c.CallAgent) -> Job:
        """What the agent is handed."""
        n = command.number
        step, item, draft = self.step(n), self.items.get(n), self._drafts.get(n)
        conflicts, schemas = None, self.duty(n).schema_texts
        writes = DECISION_KEYS if n in self.decisions else self.duty(n).writable_by(item[1] if item else 0).patterns
        if n in self.rules.reconciles and draft is None:
            open_, anew = resolution(self, n).open, self.rules.reconciles[n].anew
            conflicts, text = asked_of_judge(open_, anew=anew)
            writes, schemas = (CHOICES,), (text,)
        judge = draft.guardrail if draft else None
        return Job(
            view=self.bank.view(self.label[n], self.duty(n).sight),
            run_id=run_id,
            step=command.step,
            agent=command.agent,
            action=judge.action if judge else step.action,
            attempt=command.attempt,
            idempotency_key=idempotency_key(run_id, command.step, command.attempt),
            instructions=judge.instructions if judge else step.instructions,
            feedback=draft.feedback if draft else self.feedback.get(n, ()),
            item=msgspec.json.decode(item[2]) if item else None,
            index=item[1] if item else self.plan.sample_index.get(command.step),
            writes=writes,
            schemas=schemas,
            answer="" if draft else self.answers.get(n, ""),
            requests=self.duty(n).requests,
            progress=progress(self._situation(n)) if n in self.decisions else None,
            conflicts=conflicts,
            draft={"action": step.action, "instructions": step.instructions, **draft.shown} if draft else None,
        )

    def judge(self, command: c.CallAgent, job: Job, answer: Any, at_us: int) -> e.Verdict:
        """The verdict on what the agent answered."""
        n = command.number
        assert isinstance(job.view, View)
        decides = n in self.decisions
        if n in self.rules.reconciles and job.draft is None:
            answer = ruled(self, n, answer, command.agent)
        verdict = assess(
            stated(answer) if decides else answer,
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
        if isinstance(verdict, e.QuestionAsked):
            return msgspec.structs.replace(verdict, due_us=due(at_us, self.deadline_ms(n)))
        if job.conflicts is not None and isinstance(verdict, e.AttemptCommitted | e.ReplyDrafted):
            reads = dict.fromkeys((*self.rules.reconciles[n].among, *verdict.reads))
            return msgspec.structs.replace(verdict, reads=tuple(reads))
        if decides and isinstance(verdict, e.AttemptCommitted):
            return self._on_decision(n, decided(verdict, self._situation(n), command.agent))
        return verdict

    def _on_decision(
        self, n: int, verdict: e.AttemptCommitted | e.AttemptRefused
    ) -> e.AttemptCommitted | e.AttemptRefused | e.QuestionAsked:
        """The verdict on a decision; where a person must approve it, it waits."""
        policy = self.rules.supervisor
        assert policy is not None
        if isinstance(verdict, e.AttemptRefused):
            return verdict
        steps = decoded(added_by(verdict.output, self._situation(n))[0])
        own = [step for step in steps if step.agent in self.rules.chain(policy.agent)]
        if steps and self.approval is not None and policy.ask == "start":
            return asked_first(verdict, about_plan(steps), due(verdict.at_us, self.approval.deadline_ms))
        if own:
            return asked_first(verdict, about_itself(own), due(verdict.at_us, self.deadline_ms(n)))
        return verdict

    def decided_by_person(self, n: int, writes: dict[str, Any], at_us: int) -> e.AttemptCommitted | e.AttemptRefused:
        """The verdict on what a person has decided about the plan, in the place of the agent that does."""
        given = e.AttemptCommitted(at_us, self.step_id(n), self.attempts[n], output=Raw(encode_written(writes)))
        return decided(given, self._situation(n), self.duty(n).agent)


def _record(command: c.ForTheRecord, at_us: int) -> e.AnyEvent:  # noqa: C901, PLR0912 - one case per command
    match command:
        case c.SkipStep():
            return e.StepSkipped(at_us, command.step, command.reason)
        case c.FinishRun():
            return e.RunFinished(at_us, command.status, command.reason)
        case c.AskAboutEffect():
            told = (command.step, command.attempt, command.question)
            return e.QuestionAsked(at_us, *told, due_us=due(at_us, command.deadline_ms), effect=command.effect)
        case c.AskAboutPlan():
            due_us = due(at_us, command.deadline_ms)
            return e.QuestionAsked(at_us, command.step, 0, command.question, due_us=due_us, plan=command.plan)
        case c.ConcludeDraft():
            return msgspec.structs.replace(command.verdict, at_us=at_us)
        case c.BeginWait():
            due_us = command.due_us or min(due(at_us, command.duration_ms), e.AT_US_MAX)
            return e.WaitBegun(at_us, command.step, due_us, command.event)
        case c.ResolveConflicts():
            return msgspec.structs.replace(command.verdict, at_us=at_us)
        case c.TakeEvent():
            return msgspec.structs.replace(command.verdict, at_us=at_us)
        case c.ExpandStep():
            return e.StepExpanded(at_us, command.step, command.items)
        case c.CallForDecision():
            return e.DecisionCalled(at_us, command.step, command.needs, command.reason)
        case c.RevisePlan():
            revised = (command.added, command.finished, command.dropped, command.otherwise)
            return e.PlanRevised(at_us, command.step, *revised)
        case c.AskPerson():
            due_us = due(at_us, command.deadline_ms)
            return e.StepEscalated(at_us, command.step, command.attempt, command.reason, due_us, command.budget)
        case c.BuryStep():
            return e.StepBuried(at_us, command.step, command.reason, command.agent, command.attempts)
        case c.FailAttempt():
            failed = (command.step, command.attempt, command.kind, command.error)
            return e.AttemptFailed(at_us, *failed, retryable=command.retryable)
        case c.ParkRun():
            return e.RunParked(at_us, command.reason)
        case _:
            assert_never(command)
