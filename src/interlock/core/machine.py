"""One run as a machine without I/O: apply(event) folds a fact, decide() says what the state now calls for.

decide() hands out each command once; `_due` holds only the steps that changed, so both cost O(what changed). A machine
folded from the journal has handed out nothing, so its first decide() asks again for all that is still due.

In layers, each with what its events make of a run: how far its steps are (`progress`), their effects (`performing`),
waits (`waiting`), a plan that grows (`revising`), runs that do steps (`delegating`), a plan that a person approves
(`approving`), attempts (`attempting`), people (`answering`), and all else (`fold`). Above them, what that calls for
(`commanding`), and here whole transitions.
"""

from typing import Any, assert_never

import msgspec
from msgspec import Raw

from . import commands as c
from . import events as e
from .approving import about_itself, about_plan, asked_first
from .assess import assess
from .commanding import Commanding
from .context import EVERYTHING, View
from .deciding import added_by, decided, progress, stated
from .grown import decoded
from .job import Job, idempotency_key
from .policy import due
from .purse import Cost
from .reconciling import CHOICES, asked_of_judge, resolution, ruled
from .result import Outcome
from .role import Duty
from .supervision import DECISION_KEYS
from .values import encode_written


class Machine(Commanding):
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

    def backs_off_until(self, n: int) -> int | None:
        """When a step is tried again that waits for that; None for another. It may have had another timer before."""
        return self._waits[n][0] if self.state[n] == "backing_off" else None

    def author(self, n: int) -> Duty:
        """Who does a step now, though another may be called to judge what it has done."""
        return self._drafts[n].before.duty if n in self._drafts else self._duty[n]

    def drafted(self) -> dict[tuple[str, int], str]:
        """The attempts whose replies wait for a judge, by step and number: whose they are."""
        waiting = self._drafts.values()
        return {(draft.reply.step, draft.reply.attempt): draft.before.duty.agent for draft in waiting}

    def is_due(self, command: c.PerformEffect) -> bool:
        """Whether an effect that was commanded is still to be performed."""
        if self.status != "running" or (command.number, command.key) not in self._told_effects:
            return False
        return self.ledger.following(self.ledger.entry(command.number, command.key)) == "perform"

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

    def start_child(self, command: c.StartChild, run_id: str, at_us: int, seq: int) -> e.ChildStarted:
        """Announce the run that is to do a step, which has `seq` events by now. Folds it, too.

        Whoever does so sees to its time; a machine that is folded anew asks for that.
        """
        n, due_us = command.number, due(at_us, command.timeout_ms)
        told = (command.step, command.attempt, command.agent, self._view_hash(n))
        fact = e.ChildStarted(at_us, *told, run_id, due_us, seq)
        self.apply(fact)
        self._due.pop(n, None)
        return fact

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

    def decided_by_person(self, n: int, writes: dict[str, Any]) -> e.AttemptCommitted | e.AttemptRefused:
        """The verdict on what a person has decided about the plan, in the place of the agent that does."""
        given = e.AttemptCommitted(self.at_us, self.step_id(n), self.attempts[n], output=Raw(encode_written(writes)))
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
        case c.EndBackoff():
            return e.BackoffEnded(at_us, command.step)
        case c.FailAttempt():
            failed = (command.step, command.attempt, command.kind, command.error)
            return e.AttemptFailed(at_us, *failed, retryable=command.retryable)
        case c.ParkRun():
            return e.RunParked(at_us, command.reason)
        case _:
            assert_never(command)
