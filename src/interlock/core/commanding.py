"""What the state of a run calls for: commands, each of them handed out once."""

import msgspec
from msgspec import Raw

from interlock.errors import ValueRefused

from . import commands as c
from . import events as e
from .arrivals import kept_arrival, kept_for
from .branches import unrequested
from .conditions import holds
from .conflicts import contradiction
from .deciding import Situation, added_by, dropped_by, last_resort
from .effects import Entry, approval_question
from .fold import Fold
from .judging import Drafted
from .moments import time_us
from .raises import question
from .reconciling import Unreconciled, asked_of_person, resolution, rulings, verdict
from .states import TERMINAL
from .step import Step
from .supervision import DECIDE, SupervisorPolicy
from .waits import Wait


class Commanding(Fold):
    """Decides what a run does next, by its rules and by what its events have told."""

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
        let_go = self._held.look(self.at_us) if self._held.changed else ()
        if self._held.waiting and self._waits_for_parked():
            return [c.ParkRun(self._question())]
        # Where nothing is busy, only deadlines are due: they outlast the parking.
        if self._busy and (self._due or self._due_effects or let_go):
            due, self._due = self._due, {}
            effects, self._due_effects = self._due_effects, {}
            commands = [*map(self._command, due)]
            if let_go:
                commands += [c.EndBackoff(self.step_id(n)) for n in let_go]
            if effects:
                commands += [self._effect_command(n, key) for n, key in effects]
            return commands
        if self.ledger.in_flight:
            return []
        if not self._open:
            return [self._finish() if self.rules.supervisor is None else self._decision_or_end(self.rules.supervisor)]
        if not self._busy:
            return [c.ParkRun(self._question())]
        return []

    def _waits_for_parked(self) -> bool:
        """Whether all that is left to do waits for what is set aside for runs that are parked themselves."""
        is_all = self._busy == len(self._held.waiting) and not self._held.chosen and not self.ledger.in_flight
        return is_all and bool(self._parked_child())

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
        budget, whose = self.budget_at(gate, self._duty[n])
        if budget is not None:
            spent = None if budget.daily else self.purse.ledger(whose).spent
            reason = question(reason, budget, spent, is_shared=gate == "team_budget")
        elif n in self.rules.reconciles:
            reason = asked_of_person(self, n)
        return c.AskPerson(self.step_id(n), self.attempts[n], reason, self.deadline_ms(n), gate)

    def _judging_command(self, n: int, draft: Drafted) -> c.CallAgent | c.StartChild | c.ConcludeDraft:
        """A reply waits for a judge, or has a verdict."""
        return self._call(n) if draft.judge else c.ConcludeDraft(draft.verdict(self.rules.limits))

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

    def _view_hash(self, n: int) -> str:
        return self.bank.view_hash(self.label[n], self.duty(n).sight)
