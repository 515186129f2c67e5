"""A run told as a transcript: what is said to the machine, and what it answers, each as one short line."""

from typing import Any

from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core import values
from interlock.core.arrivals import Arrival, Sent, arrival
from interlock.core.budget import BudgetPolicy
from interlock.core.effects import EffectRule
from interlock.core.gate import OPEN, GatePolicy
from interlock.core.grown import decoded
from interlock.core.job import Job, Question, Reply
from interlock.core.machine import Machine
from interlock.core.plan import Phase, Plan
from interlock.core.policy import Policy
from interlock.core.proofs import Guard
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope, Sharing
from interlock.core.step import Step
from interlock.core.supervision import SupervisorPolicy
from interlock.core.values import Limits
from interlock.core.waits import awaited

ALL = Scope(["act"], ["*"], ["*"])
ONCE = Policy(retries=0)


def step(id_: str, **given: Any) -> Step:
    return Step(id_, given.pop("agent", "ann"), "act", **given)


def awaits(id_: str = "pay", *, event: str = "payment", **given: Any) -> Step:
    return Step(id_, await_event=event, **given)


class Transcript:
    """Says events to a machine, one second apart, and tells what it makes of them."""

    def __init__(
        self,
        *steps: Step | Phase,
        roles: dict[str, Role] | None = None,
        policy: Policy = ONCE,
        request: Any = None,
        reducers: dict[str, Any] | None = None,
        limits: Limits = values.DEFAULT_LIMITS,
        guard: Guard | None = None,
        gate: GatePolicy = OPEN,
        budget: BudgetPolicy | None = None,
        effects: dict[str, EffectRule] | None = None,
        supervisor: SupervisorPolicy | None = None,
    ) -> None:
        plan = Plan(steps, steps_max=limits.steps_max, may_be_empty=supervisor is not None)
        sharing = Sharing(reducers=reducers or {})
        roles = roles or {"ann": Role(ALL, policy)}
        self.rules = Rules(plan, roles, sharing, limits, guard, gate, budget, effects, supervisor)
        self.request = {} if request is None else request
        self.machine = Machine(self.rules)
        self.journal: list[bytes] = []
        self.at_us = 0
        self.calls: dict[str, c.CallAgent] = {}
        self.jobs: dict[str, Job] = {}
        self.effects: dict[tuple[str, str], c.PerformEffect] = {}

    def begin(self, approval: e.PlanApproval | None = None) -> list[str]:
        return self.say(e.RunStarted(0, Raw(values.encode(self.request)), "team", "plan", approval=approval))

    def say(self, *facts: e.AnyEvent) -> list[str]:
        """Fold these; the facts that follow from them and then the commands, as lines."""
        known = list(facts)
        commands = self.machine.advance(known, self.at_us)
        self.journal += map(e.encode, known)
        self.calls |= {command.step: command for command in commands if isinstance(command, c.CallAgent)}
        self.effects |= {(one.step, one.key): one for one in commands if isinstance(one, c.PerformEffect)}
        return [line(thing) for thing in (*known[len(facts) :], *commands)]

    def follows(self, fact: e.AnyEvent, after_us: int) -> list[e.AnyEvent]:
        """What follows from a fact that is folded so long after it was noted."""
        known = [fact]
        self.machine.advance(known, self.at_us + after_us)
        return known[1:]

    def start(self, *steps: str) -> list[e.AttemptStarted]:
        """Carry out calls that were asked for."""
        started = []
        for step_id in steps:
            command = self.calls[step_id]
            started.append(self.machine.start(command, self.tick()))
            self.journal.append(e.encode(started[-1]))
            self.jobs[step_id] = self.machine.job("run", command)
        return started

    def judge(self, step_id: str, answer: Any) -> e.Verdict:
        return self.machine.judge(self.calls[step_id], self.jobs[step_id], answer, self.tick())

    def reply(self, step_id: str, answer: Any = None, **writes: Any) -> list[str]:
        """Start the call of a step if need be, and end it with this answer; writes if none is given."""
        if self.machine.state[self.machine.number[step_id]] == "ready":
            self.start(step_id)
        return self.say(self.judge(step_id, writes if answer is None else answer))

    def refuse(self, step_id: str) -> list[str]:
        return self.reply(step_id, {"": "no path"})

    def ask(self, step_id: str, text: str = "Really?") -> list[str]:
        return self.reply(step_id, Reply(ask=Question(text)))

    def fail(self, step_id: str, kind: str = "error", *, retryable: bool = True) -> list[str]:
        self.start(step_id)
        attempt = self.calls[step_id].attempt
        return self.say(e.AttemptFailed(self.tick(), step_id, attempt, kind, "it broke", retryable))

    def hold(self, step_id: str, gate: str, until_us: int = 0, reason: str = "it is shut") -> list[str]:
        """A gate does not let the call through that was asked for last."""
        agent = self.calls[step_id].agent
        return self.say(e.CallHeld(self.tick(), step_id, agent, gate, reason, until_us))

    def begin_effect(self, step_id: str, key: str) -> None:
        """Carry out the effect that was asked for."""
        started = self.machine.start_effect(self.effects[step_id, key], self.tick())
        self.journal.append(e.encode(started))

    def done(self, step_id: str, key: str, result: Any = None) -> list[str]:
        return self.say(e.EffectDone(self.tick(), step_id, key, Raw(values.encode(result))))

    def not_done(self, step_id: str, key: str, *, retryable: bool = True) -> list[str]:
        return self.say(e.EffectFailed(self.tick(), step_id, key, "the line is busy", retryable))

    def unknown(self, step_id: str, key: str) -> list[str]:
        return self.say(e.EffectBecameUnknown(self.tick(), step_id, key, "the line broke"))

    def crash(self) -> list[str]:
        """Forget everything but the journal, fold it, and report the calls and effects that were lost."""
        self.machine = self.fold()
        lost = [(self.machine.step_id(n), self.machine.attempts[n]) for n in self.machine.running()]
        effects = [(self.machine.step_id(n), entry.key) for n, entry in self.machine.ledger.open()]
        at_us = self.tick()
        return self.say(
            *(e.AttemptInterrupted(at_us, step_id, attempt) for step_id, attempt in lost),
            *(e.EffectBecameUnknown(at_us, step_id, key, "it was lost", lost=True) for step_id, key in effects),
        )

    def fold(self) -> Machine:
        machine = Machine(self.rules)
        for encoded in self.journal:
            machine.apply(e.decode(encoded))
        return machine

    def tick(self) -> int:
        self.at_us += 1_000_000
        return self.at_us

    @property
    def states(self) -> dict[str, str]:
        return {step_id: self.machine.state[n] for step_id, n in self.machine.number.items()}

    @property
    def context(self) -> dict[str, Any]:
        return self.machine.context.to_dict()


def send(
    run: Transcript, data: Any = None, *, event: str = "payment", event_id: str = "evt", by: str = "bank"
) -> tuple[Arrival, list[str]]:
    """Send an event; what it comes to, with what follows."""
    verdict = arrival(run.machine, Sent(event, event_id, data), by, run.tick())
    return verdict, run.say(verdict)


def line(thing: Any) -> str:  # noqa: C901, PLR0912 - one case per thing
    match thing:
        case c.CallAgent():
            return f"call {thing.agent} for {thing.step} #{thing.attempt}"
        case c.StartChild():
            return f"have {thing.agent} do {thing.step} #{thing.attempt}"
        case c.StartTimer():
            return f"wake {thing.step} at {thing.due_us:,}"
        case c.PerformEffect():
            return f"perform {thing.key} of {thing.step} #{thing.attempt}" + (
                f" at {thing.due_us:,}" if thing.due_us else ""
            )
        case e.QuestionAsked(effect=""):
            return f"{thing.step} asks: {thing.question.text}"
        case e.QuestionAsked():
            return f"{thing.step} asks about {thing.effect}: {thing.question.text}"
        case e.AttemptCommitted():
            return f"committed {thing.step} #{thing.attempt}"
        case e.AttemptRefused():
            return f"refused {thing.step} #{thing.attempt}: {'; '.join(found.message for found in thing.findings)}"
        case e.ConflictsResolved():
            told = " ".join(f"{one.path}={one.taken} by {one.by}" for one in thing.settled) or "nothing"
            return f"resolved {thing.step}: {told}; {thing.agreed} agreed"
        case e.StepExpanded():
            return f"expanded {thing.step} {bytes(thing.items).decode()}"
        case e.StepSkipped():
            return f"skipped {thing.step}: {thing.reason}"
        case e.DecisionCalled():
            return f"called for {thing.step} after {' '.join(thing.needs) or 'nothing'}"
        case e.PlanRevised():
            added = " ".join(one.id for one in decoded(thing.added)) or "nothing"
            more = f", drops {', '.join(thing.dropped)}" if thing.dropped else ", otherwise" if thing.otherwise else ""
            return (f"{thing.step} finishes" if thing.finished else f"{thing.step} adds {added}") + more
        case e.StepEscalated():
            return f"escalated {thing.step}: {thing.reason}"
        case e.StepBuried():
            return f"buried {thing.step}: {thing.reason}"
        case e.WaitBegun():
            return f"{thing.step} {awaited(thing.event, thing.due_us)}"
        case e.WaitEnded():
            return f"{thing.step} waits no more" + (f", by {thing.event_id}" if thing.event_id else "")
        case e.EventRefused():
            return f"refused {thing.event_id}: {'; '.join(found.message for found in thing.findings)}"
        case e.AttemptFailed():
            again = "" if thing.retryable else ", for good"
            return f"failed {thing.step} #{thing.attempt}{again}: {thing.kind}: {thing.error}"
        case e.BackoffEnded():
            return f"{thing.step} waits no more"
        case e.RunParked():
            return f"parked: {thing.reason}"
        case e.RunFinished():
            return f"{thing.status}: {thing.reason}" if thing.reason else thing.status
    raise AssertionError(thing)
