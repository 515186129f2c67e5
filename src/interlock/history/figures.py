"""What many runs come to, agent by agent: how often it answers, how well, how fast, and for how much.

Computed from the events of the runs and their plans alone, one run after another, in memory that doesn't grow with
their number. Figures of a call belong to the agent that was called; those of a step to the agent that its plan names,
which a fallback may have helped out. Events that say nothing about either are passed over.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.grown import decoded
from interlock.core.job import Usage
from interlock.core.paths import bits
from interlock.core.plan import Plan
from interlock.ports import RunRow

from .attempts import Ending
from .spent import PerRun, Spent
from .spread import Spread
from .times import timestamp

# Findings about the form of a reply. Every other code says that what it states isn't good enough.
FORM = frozenset({"shape", "scope", "path", "value", "size"})
SCOPE = "scope"
# More agents, kinds of errors or codes of findings than these are counted together.
AGENTS_MAX = 500
NAMES_MAX = 200
OTHERS = "(others)"
_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_OUTCOMES: dict[type, str] = {
    e.AttemptCommitted: "committed",
    e.AttemptRefused: "refused",
    e.AttemptFailed: "failed",
    e.QuestionAsked: "asked",
    e.AttemptInterrupted: "interrupted",
    e.ReplyJudged: "judged",
}
_REPLIES = ("committed", "refused", "unjudged", "asked")


class AgentFigures(msgspec.Struct):
    """The figures of one agent, or of several together; docs/stats.md says exactly what each counts.

    outcomes: of calls, how many ended how; `unjudged` are those whose reply was refused because nobody could judge it.
    refusals: by code of finding, how many replies were refused with it.
    errors: by kind, how many calls failed. hallucinations: replies refused for what they state. waits_ms: from when a
    step could have started to when it did. recoveries_ms: from a step's first setback to its commit. holds: by gate,
    how many calls it did not let through. held_ms: from when a gate first kept a step from its next call to that call.
    """

    attempts: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    holds: Counter[str] = msgspec.field(default_factory=Counter)
    hallucinations: int = 0
    late: int = 0
    steps: int = 0
    retries: int = 0
    retries_max: int = 0
    dead: int = 0
    latency_ms: Spread = msgspec.field(default_factory=Spread)
    waits_ms: Spread = msgspec.field(default_factory=Spread)
    recoveries_ms: Spread = msgspec.field(default_factory=Spread)
    held_ms: Spread = msgspec.field(default_factory=Spread)
    spent: Spent = msgspec.field(default_factory=Spent)
    per_run: PerRun = msgspec.field(default_factory=PerRun)

    @property
    def ended(self) -> int:
        """How many calls have ended by themselves; those of a run that was cancelled have not."""
        return self.outcomes.total() - self.outcomes["cancelled"]

    @property
    def success_rate(self) -> float | None:
        """The share of calls that were committed, or judged a draft, of all that have ended."""
        return _share(self.outcomes["committed"] + self.outcomes["judged"], self.ended)

    @property
    def replies(self) -> int:
        """How many calls ended with a reply, accepted or not."""
        return sum(self.outcomes[outcome] for outcome in _REPLIES)

    @property
    def hallucination_rate(self) -> float | None:
        """The share of replies that were refused for what they state."""
        return _share(self.hallucinations, self.replies)

    @property
    def retries_per_step(self) -> float | None:
        """How often a step was tried again, on average."""
        return _share(self.retries, self.steps)

    def refuse(self, findings: Iterable[e.Finding]) -> None:
        """A reply was refused: each code counts once for it."""
        codes = {finding.code for finding in findings}
        for code in codes:
            _count(self.refusals, code)
        self.hallucinations += not codes <= FORM

    def fail(self, kind: str) -> None:
        """A call failed."""
        _count(self.errors, kind)

    def hold(self, gate: str) -> None:
        """A gate did not let a call through."""
        _count(self.holds, gate)

    def include(self, other: "AgentFigures") -> None:
        """The figures of another agent, but for those of whole runs."""
        for counts, more in (
            (self.outcomes, other.outcomes),
            (self.refusals, other.refusals),
            (self.errors, other.errors),
            (self.holds, other.holds),
        ):
            counts.update(more)
        for name in ("attempts", "hallucinations", "late", "steps", "retries", "dead"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.retries_max = max(self.retries_max, other.retries_max)
        self.latency_ms.include(other.latency_ms)
        self.waits_ms.include(other.waits_ms)
        self.recoveries_ms.include(other.recoveries_ms)
        self.held_ms.include(other.held_ms)
        self.spent.include(other.spent)

    def to_dict(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        out_of_scope = self.refusals[SCOPE]
        return {
            "attempts": self.attempts,
            "ended": self.ended,
            "committed": self.outcomes["committed"],
            "refused": self.outcomes["refused"],
            "unjudged": self.outcomes["unjudged"],
            "failed": self.outcomes["failed"],
            "questions": self.outcomes["asked"],
            "judgements": self.outcomes["judged"],
            "interruptions": self.outcomes["interrupted"],
            "cancelled": self.outcomes["cancelled"],
            "success_rate": _rate(self.success_rate),
            "refusals": _ordered(self.refusals),
            "hallucinations": {
                "refused": self.hallucinations,
                "replies": self.replies,
                "rate": _rate(self.hallucination_rate),
            },
            # `confirmed` is for committed values that turn out wrong; nothing changes a committed value yet.
            "context_corruption": {"attempted": out_of_scope, "prevented": out_of_scope, "confirmed": 0},
            "errors": _ordered(self.errors),
            "timeouts": self.errors["timeout"],
            "crashes": self.errors["crash"],
            "late_replies": self.late,
            "steps": self.steps,
            "retries": {
                "total": self.retries,
                "per_step": _rate(self.retries_per_step),
                "max": self.retries_max,
            },
            "dead_letters": self.dead,
            "latency_ms": self.latency_ms.to_dict(),
            "between_steps_ms": self.waits_ms.to_dict(),
            "recovery_ms": self.recoveries_ms.to_dict(),
            "gates": {"held": _ordered(self.holds), "waiting_ms": self.held_ms.to_dict()},
            **self.spent.to_dict(),
            "per_run": self.per_run.to_dict(),
        }


class Figures:
    """The figures of many runs, added one at a time.

    agents: by name; statuses: how many runs there are of each; nested: how many runs beside these do steps of others;
    events: how many were read. first_us, last_us: when the first and the last of the runs began.
    """

    def __init__(self, only: Iterable[str] = ()) -> None:
        self._only = frozenset(only)
        self._all: dict[str, AgentFigures] = {}
        self._per_run = PerRun()
        self.statuses: Counter[str] = Counter()
        self.nested = 0
        self.events = 0
        self.first_us = self.last_us = 0

    @property
    def runs(self) -> int:
        """How many runs were added."""
        return self.statuses.total()

    @property
    def names(self) -> list[str]:
        """Every agent that was met."""
        return sorted(self._all)

    @property
    def agents(self) -> dict[str, AgentFigures]:
        """By name; only those that were asked for, where some were."""
        return {name: self._all[name] for name in self.names if not self._only or name in self._only}

    @property
    def total(self) -> AgentFigures:
        """All these agents together. per_run is what they cost a run."""
        total = AgentFigures(per_run=self._per_run)
        for figures in self.agents.values():
            total.include(figures)
        return total

    def add(self, row: RunRow, plan: Plan, events: Sequence[e.AnyEvent]) -> None:
        """One more run, as far as it has come."""
        fold = _Fold(self, plan)
        for event in events:
            fold.hear(event)
        if row.status in _ENDED:
            self._settle(fold.spent, fold.below, nested=bool(row.parent))
        self.nested += bool(row.parent)
        if not row.parent:
            _count(self.statuses, row.status)
        self.events += len(events)
        self.first_us = min(self.first_us or row.started_us, row.started_us)
        self.last_us = max(self.last_us, row.started_us)

    def _settle(self, spent: dict[str, Spent], below: Spent, *, nested: bool) -> None:
        """What a run that has ended cost: each agent that was called in it, and all with the runs below; once."""
        together = Spent() if self._only else below
        for agent, its in spent.items():
            self.of(agent).per_run.add(its)
            if not self._only or agent in self._only:
                together.include(its)
        if not nested or self._only:
            self._per_run.add(together)

    def of(self, agent: str) -> AgentFigures:
        """The figures of this agent."""
        if agent not in self._all:
            if len(self._all) >= AGENTS_MAX:
                agent = OTHERS
            self._all.setdefault(agent, AgentFigures())
        return self._all[agent]

    def to_dict(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        return {
            "runs": {"read": self.runs, **_ordered(self.statuses)} | ({"nested": self.nested} if self.nested else {}),
            "events": self.events,
            "first_started": timestamp(self.first_us) if self.runs else None,
            "last_started": timestamp(self.last_us) if self.runs else None,
            "total": self.total.to_dict(),
            "agents": {name: figures.to_dict() for name, figures in self.agents.items()},
        }


class _Call(msgspec.Struct):
    """A call in flight, or one that a gate holds back; at_us: since when."""

    agent: str
    at_us: int


class _Step(msgspec.Struct):
    """A step that has been called. setback_us: when an attempt of it first went wrong, if one did."""

    retries: int = 0
    setback_us: int | None = None
    is_retried: bool = False


class _Fold:
    """One run on its way into the figures. spent: by agent; below: in the runs that did its steps."""

    def __init__(self, figures: Figures, plan: Plan) -> None:
        self._figures, self._plan = figures, plan
        self.spent: dict[str, Spent] = {}
        self.below = Spent()
        self._started_us = 0
        self._steps: dict[str, _Step] = {}
        self._calls: dict[str, _Call] = {}
        # Whose call a gate first held back, of steps that wait for their next one.
        self._held: dict[str, _Call] = {}
        self._callees: dict[tuple[str, int], str] = {}
        # Steps whose reply waits for a judge: whose attempt that is.
        self._drafted: dict[str, tuple[int, str]] = {}
        # Steps that have committed; one that has effects ends with the last of them.
        self._done: set[str] = set()
        # When each step ended, by its number in the plan; a for_each step ends with the last of its items.
        self._ended_us: dict[int, int] = {}
        self._expanded_us: dict[int, int] = {}
        # Whose steps they are that were added to the plan.
        self._added: dict[str, str] = {}
        self._decisions: set[str] = set()

    def hear(self, event: e.AnyEvent) -> None:  # noqa: C901, PLR0912 - the dispatcher: one case per event
        """One more event. Those that no figure hangs on, among them all kinds to come, are passed over."""
        match event:
            case e.AttemptStarted():
                self._attempt_started(event)
            case e.AttemptCommitted():
                self._attempt_ended(event)
                self._committed(event)
            case e.AttemptRefused() | e.AttemptFailed() | e.QuestionAsked() | e.AttemptInterrupted():
                self._attempt_ended(event)  # a question about an effect ends no call: its call has ended before
            case e.ReplyDrafted():
                self._reply_drafted(event)
            case e.ReplyJudged():
                self._attempt_ended(event)
            case e.EffectDone():
                self._effect_done(event)
            case e.ReplyArrivedLate():
                self._arrived_late(event)
            case e.RunStarted():
                self._started_us = event.at_us
            case e.ChildEnded():
                self.below.add(event.usage)
            case e.StepExpanded():
                self._step_expanded(event)
            case e.DecisionCalled():
                self._decisions.add(event.step)
            case e.PlanRevised():
                self._added |= {step.id: step.agent for step in decoded(event.added)}
            case e.StepSkipped():
                self._step_ended(event.step, event.at_us)
            case e.StepBuried():
                self._figures.of(self._owner(event.step)).dead += 1
                self._held.pop(event.step, None)
                self._step_ended(event.step, event.at_us)
            case e.CallHeld():
                self._figures.of(event.agent).hold(event.gate)
                self._held.setdefault(event.step, _Call(event.agent, event.at_us))
            case e.StepEscalated():
                self._held.pop(event.step, None)  # it waits for a person now
            case e.QuestionAnswered():
                if event.commits:
                    self._committed(event)
                else:
                    self._effect_done(event)
            case e.RunReopened():
                for step in self._steps.keys() & set(event.steps):
                    self._steps[step].is_retried = False
            case e.RunCancelled():
                for call in self._calls.values():
                    self._figures.of(call.agent).outcomes["cancelled"] += 1
                self._calls.clear()

    # --- calls ---

    def _attempt_started(self, event: e.AttemptStarted) -> None:
        self._figures.of(event.agent).attempts += 1
        self._calls[event.step] = _Call(event.agent, event.at_us)
        self._callees[event.step, event.attempt] = event.agent
        if event.step in self._decisions:
            self._added.setdefault(event.step, event.agent)
        self.spent.setdefault(event.agent, Spent())
        held = self._held.pop(event.step, None)
        if held is not None:
            self._figures.of(held.agent).held_ms.add((event.at_us - held.at_us) / 1_000)
        step, owner = self._steps.get(event.step), self._figures.of(self._owner(event.step, event.agent))
        if step is None:
            self._steps[event.step] = _Step()
            owner.steps += 1
            owner.waits_ms.add((event.at_us - self._ready_us(event.step)) / 1_000)
        elif step.is_retried:
            step.is_retried = False
            step.retries += 1
            owner.retries += 1
            owner.retries_max = max(owner.retries_max, step.retries)

    def _attempt_ended(self, event: Ending) -> None:
        """A call has ended. An outcome without its call, which only a damaged journal holds, is passed over."""
        if event.step in self._drafted and self._drafted[event.step][0] == event.attempt:
            self._concluded(event, self._drafted.pop(event.step)[1])
            return
        call = self._calls.pop(event.step, None)
        if call is None:
            return
        figures = self._figures.of(call.agent)
        figures.outcomes[_OUTCOMES[type(event)]] += 1
        of_judge = event.step in self._drafted
        if isinstance(event, e.AttemptInterrupted):
            if not of_judge:
                self._set_back(event)
            return
        figures.latency_ms.add((event.at_us - call.at_us) / 1_000)
        self._charge(call.agent, event.usage)
        match event:
            case e.AttemptRefused():
                figures.refuse(event.findings)
            case e.AttemptFailed():
                figures.fail(event.kind)
            case _:
                return
        if not of_judge:
            self._set_back(event).is_retried = True

    def _reply_drafted(self, event: e.ReplyDrafted) -> None:
        """A call has ended, and its reply waits for a judge."""
        call = self._calls.pop(event.step, None)
        if call is not None:
            self._figures.of(call.agent).latency_ms.add((event.at_us - call.at_us) / 1_000)
            self._charge(call.agent, event.usage)
            self._drafted[event.step] = (event.attempt, call.agent)

    def _concluded(self, event: Ending, agent: str) -> None:
        """A reply that waited for a judge has its verdict."""
        figures = self._figures.of(agent)
        if not isinstance(event, e.AttemptRefused):
            figures.outcomes[_OUTCOMES[type(event)]] += 1
            return
        self._set_back(event).is_retried = True
        if any(finding.code == e.UNJUDGED for finding in event.findings):
            figures.outcomes["unjudged"] += 1
        else:
            figures.outcomes["refused"] += 1
            figures.refuse(event.findings)

    def _arrived_late(self, event: e.ReplyArrivedLate) -> None:
        agent = self._callees.get((event.step, event.attempt))
        if agent is not None:
            self._figures.of(agent).late += 1
            self._charge(agent, event.usage)

    def _charge(self, agent: str, usage: Usage | None) -> None:
        if usage is not None:
            self._figures.of(agent).spent.add(usage)
            self.spent[agent].add(usage)

    # --- steps ---

    def _owner(self, step: str, otherwise: str = OTHERS) -> str:
        """The agent that the plan names for a step; for a step that it doesn't know, another."""
        try:
            return self._plan.steps[self._plan.number_of(step)].agent
        except KeyError:
            return self._added.get(step.rpartition("-")[0], self._added.get(step, otherwise))

    def _set_back(self, event: Ending) -> _Step:
        step = self._steps[event.step]
        step.setback_us = event.at_us if step.setback_us is None else step.setback_us
        return step

    def _committed(self, event: e.AttemptCommitted | e.QuestionAnswered) -> None:
        """A step is done, whoever did it."""
        step = self._steps.get(event.step)
        if step is not None and step.setback_us is not None:
            owner = self._figures.of(self._owner(event.step))
            owner.recoveries_ms.add((event.at_us - step.setback_us) / 1_000)
        self._done.add(event.step)
        self._step_ended(event.step, event.at_us)

    def _effect_done(self, event: e.EffectDone | e.QuestionAnswered) -> None:
        if event.step in self._done:
            self._step_ended(event.step, event.at_us)

    def _step_expanded(self, event: e.StepExpanded) -> None:
        self._step_ended(event.step, event.at_us)  # unless it has items, the last of which ends it
        number = self._plan.number.get(event.step)
        if number is not None:
            self._expanded_us[number] = event.at_us

    def _step_ended(self, step: str, at_us: int) -> None:
        try:
            self._ended_us[self._plan.number_of(step)] = at_us
        except KeyError:
            return

    def _ready_us(self, step: str) -> int:
        """When a step could have started: the last of its needs had ended; for an item, its list had been read."""
        number = self._plan.number.get(step)
        if number is not None:
            return self._needs_met_us(number)
        try:
            return self._expanded_us.get(self._plan.number_of(step), self._started_us)
        except KeyError:
            return self._started_us

    def _needs_met_us(self, number: int) -> int:
        """When the last of its needs had ended. One that was skipped because of its own needs has no event."""
        needs: Iterable[int] = self._plan.needs[number]
        if any(need not in self._ended_us for need in needs):
            needs = bits(self._plan.ancestors[number])
        return max((self._ended_us.get(need, self._started_us) for need in needs), default=self._started_us)


def _count(counts: Counter[str], name: str) -> None:
    counts[name if name in counts or len(counts) < NAMES_MAX else OTHERS] += 1


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rate(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
