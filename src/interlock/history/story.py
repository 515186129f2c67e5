"""A run as it is now: its steps, every attempt, its context.

The machine, folded again over the events, knows the state of every step and the context; what it forgets, the single
attempts, is read from the events here.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.job import Question, Usage
from interlock.core.machine import Machine
from interlock.core.purse import Cost
from interlock.core.redrive import BY_DEADLINE
from interlock.core.result import Outcome
from interlock.ports import RunRow

from .children import ChildStory, children
from .record import Record
from .settling import told_settled

_FAILURES = {"timeout": "timed out", "crash": "crashed", "error": "failed"}
_OUTCOMES: dict[type, str] = {
    e.AttemptCommitted: "committed",
    e.AttemptRefused: "refused",
    e.QuestionAsked: "asked",
    e.AttemptInterrupted: "interrupted",
    e.ReplyDrafted: "drafted",
    e.ReplyJudged: "judged",
}
# What ends an attempt.
Ending = (
    e.AttemptCommitted
    | e.AttemptRefused
    | e.AttemptFailed
    | e.AttemptInterrupted
    | e.QuestionAsked
    | e.ReplyDrafted
    | e.ReplyJudged
)


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person decided about a step that waited for one, in the words of QuestionAnswered."""

    at: str
    by: str
    decision: str
    text: str = ""
    writes: dict[str, Any] = {}
    deletes: tuple[str, ...] = ()
    reason: str = ""


# What ends the wait of a step at a gate, or begins another.
WaitEnding = e.BackoffEnded | e.CallHeld | e.AttemptStarted | e.ChildStarted | e.StepBuried


class Attempt(msgspec.Struct, kw_only=True):
    """One call of an agent for a step.

    outcome: committed, refused, failed, timed out, crashed, asked, interrupted (the call was lost with its driver),
    drafted (its reply waits for a judge), judged (it is the call of one), cancelled (the run was) or running. effects:
    those that its reply asks for. request: the branch that it requests. at_us: when it began; ended_us is 0 until it
    ends. findings: why it was refused, or what was found and did not suffice for that. score, scores: what its
    guardrails gave it; None where none was asked. reads: the paths it had read when it answered, `*` for all. late: its
    reply came after its end, and was charged, not used. injected: how the call was broken on purpose; empty for an
    ordinary one. decided: what a person decided about what it asked. judges: it is the call of a judge, about the reply
    of the step's own agent.
    """

    step: str
    attempt: int
    agent: str
    view: str
    at_us: int
    outcome: str = "running"
    ended_us: int = 0
    findings: tuple[e.Finding, ...] = ()
    error: str = ""
    question: Question | None = None
    writes: dict[str, Any] | None = None
    deletes: tuple[str, ...] = ()
    effects: tuple[dict[str, Any], ...] = ()
    request: e.BranchRequested | None = None
    reply: Any = None
    output: Any = None
    confidence: float | None = None
    score: float | None = None
    scores: dict[str, float] | None = None
    usage: Usage | None = None
    reads: tuple[str, ...] = ()
    late: bool = False
    injected: str = ""
    decided: Decided | None = None
    judges: bool = False

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from the announcement of the call to its outcome; None while it runs."""
        return (self.ended_us - self.at_us) / 1_000 if self.ended_us else None

    def to_dict(self) -> dict[str, Any]:
        """The attempt as `show --json` prints it; what it doesn't have is left out."""
        told = {name: getattr(self, name) for name in _SAID}
        said = {name: value for name, value in told.items() if value is not False and value not in (None, (), "")}
        head = {name: getattr(self, name) for name in ("step", "attempt", "agent", "view", "outcome")}
        document = head | {"at": timestamp(self.at_us), "duration_ms": self.duration_ms} | said
        found: dict[str, Any] = msgspec.to_builtins(document)
        return found


_SAID = (
    "findings",
    "score",
    "scores",
    "error",
    "question",
    "writes",
    "deletes",
    "effects",
    "request",
    "reply",
    "output",
    "confidence",
    "usage",
    "reads",
    "late",
    "injected",
    "decided",
    "judges",
)


class Held(msgspec.Struct, kw_only=True):
    """How often, and how long, one part of a gate kept the calls of one agent for one step away.

    gate: breaker, rate, budget, ... at_us: since when, the last time. until_us: until when it was to last; 0 for good.
    waited_us: of all waits that are over. goes_on: the step waits there still.
    """

    step: str
    agent: str
    gate: str
    reason: str
    at_us: int
    until_us: int
    times: int = 0
    waited_us: int = 0
    goes_on: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The wait as `show --json` prints it."""
        document: dict[str, Any] = {name: getattr(self, name) for name in ("agent", "gate", "reason", "times")}
        document["waited_ms"] = self.waited_us / 1_000
        if not self.goes_on:
            return document
        return document | {"since": timestamp(self.at_us), "until": timestamp(self.until_us)}


class StepStory(msgspec.Struct, frozen=True):
    """A step as it is now. stage: how many steps follow one another before it. item_of: the for_each step it is of.

    held: which gates kept its calls away. branch_of: the steps one of which must have requested it. waits_for: of a
    step without an agent, what for, as declared; begun: that it does so now, since when and until when;
    takes_data: its event brings data. reconciles: what, as declared; resolved: what that came to.
    """

    id: str
    agent: str
    action: str
    needs: tuple[str, ...]
    state: str
    reason: str
    stage: int
    item_of: str = ""
    held: Sequence[Held] = ()
    branch_of: tuple[str, ...] = ()
    waits_for: str = ""
    begun: e.WaitBegun | None = None
    takes_data: bool = False
    reconciles: str = ""
    resolved: e.ConflictsResolved | None = None

    def to_dict(self) -> dict[str, Any]:
        """The step as `show --json` prints it."""
        document: dict[str, Any] = {name: getattr(self, name) for name in ("id", "agent", "action", "needs", "state")}
        held = [one.to_dict() for one in self.held]
        optional: dict[str, Any] = {
            "reason": self.reason,
            "item_of": self.item_of,
            "branch_of": self.branch_of,
            "held": held,
        }
        optional["waits_for"] = self.waits_for
        optional["reconciles"] = self.reconciles
        if self.resolved is not None:
            document["contradictions"] = [told_settled(one) for one in self.resolved.settled]
            document["agreed"] = self.resolved.agreed
            optional["left_out"] = self.resolved.left_out
        if self.begun is not None:
            document["since"] = timestamp(self.begun.at_us)
            document["until"] = timestamp(self.begun.due_us) if self.begun.due_us else None
        return document | {key: value for key, value in optional.items() if value}


class EffectStory(msgspec.Struct, frozen=True):
    """An effect as it is now.

    state: requested, started, done, failed (it is certain that nothing was done), rejected (by a person, before it was
    begun) or unknown; reason: why it failed, was rejected or is unknown. tries: how often it was begun. flaw: why its
    result isn't kept. approved_by, rejected_by: who let it be performed, or did not.
    """

    step: str
    effect: str
    key: str
    payload: Any
    state: str
    tries: int
    result: Any
    reason: str
    flaw: str
    approved_by: str = ""
    rejected_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The effect as `show --json` prints it."""
        document = {name: getattr(self, name) for name in ("step", "effect", "key", "payload", "state", "tries")}
        done = {"result": self.result} if self.state == "done" else {}
        optional = {"reason": self.reason, "flaw": self.flaw, "approved_by": self.approved_by}
        optional["rejected_by"] = self.rejected_by
        return document | done | {key: value for key, value in optional.items() if value}


class Story(msgspec.Struct, frozen=True):
    """One run, from its beginning to now.

    faults: the hash of those injected on purpose; empty for an ordinary run. origin: what a fork goes on from. kept:
    the events that have come before a step waits for them. parent: of a run that does a step of another. children: the
    runs that do steps of this one; runs: the stories of those that are known, by id. result: what the team declares as
    its result. chosen: which of several plans its request has; None where there is one.
    """

    row: RunRow
    status: str
    reason: str
    steps: Sequence[StepStory]
    attempts: Sequence[Attempt]
    context: dict[str, Any]
    cost: Cost
    started_us: int
    last_us: int
    faults: str = ""
    origin: e.Origin | None = None
    effects: Sequence[EffectStory] = ()
    kept: Sequence[e.EventReceived] = ()
    parent: e.Parent | None = None
    children: Sequence[ChildStory] = ()
    runs: "Mapping[str, Story]" = {}
    result: Outcome = Outcome()
    chosen: e.PlanChosen | None = None

    def to_dict(self) -> dict[str, Any]:
        """The run as `interlock show --json` prints it."""
        document = {
            "run_id": self.row.run_id,
            "status": self.status,
            "reason": self.reason,
            "team": self.row.source,
            "team_hash": self.row.team,
            "batch": self.row.batch,
            "input": self.row.row,
            "started": timestamp(self.started_us),
            "duration_ms": (self.last_us - self.started_us) / 1_000,
            "plan": [step.to_dict() for step in self.steps],
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "effects": [effect.to_dict() for effect in self.effects],
            "context": self.context,
            "cost": {"usd": self.cost.usd, "tokens": self.cost.tokens, "calls": self.cost.calls},
        }
        if self.kept:
            document["events_kept"] = [_kept(event) for event in self.kept]
        if self.parent is not None:
            document["parent"] = {name: getattr(self.parent, name) for name in ("run_id", "step", "attempt")}
        if self.children:
            document["children"] = [self._child(child) for child in self.children]
        document |= {} if self.chosen is None else {"chosen": self.chosen.plan, "why": self.chosen.why}
        document |= {} if self.result.value is None else {"result": self.result.value}
        origin = {"origin": msgspec.to_builtins(self.origin)} if self.origin else {}
        return document | ({"faults": self.faults} if self.faults else {}) | origin

    def _child(self, child: ChildStory) -> dict[str, Any]:
        """A run that does a step, with those that do its steps; of one that isn't known, what is told of it here."""
        head = {name: getattr(child, name) for name in ("step", "attempt", "agent", "run_id", "status", "reason")}
        document = head | {"started": timestamp(child.at_us), "given_up": child.given_up}
        inner = self.runs.get(child.run_id)
        if inner is None:
            return document
        told = inner.to_dict()
        known = {name: told[name] for name in ("status", "reason", "started", "duration_ms", "cost")}
        steps = {"steps": dict(Counter(step.state for step in inner.steps))}
        return document | known | steps | ({"children": told["children"]} if inner.children else {})

    @property
    def family(self) -> set[str]:
        """The ids of this run, and of all known ones below it."""
        return {self.row.run_id}.union(*(inner.family for inner in self.runs.values()))


def _kept(event: e.EventReceived) -> dict[str, Any]:
    told = {"event": event.event, "event_id": event.event_id, "by": event.by, "at": timestamp(event.at_us)}
    return told | {"data": msgspec.json.decode(event.data)}


def story(record: Record) -> Story:
    """The story of a run. Raises BrokenPromise where its events can't be folded."""
    machine, events = record.folded(), record.events
    first = events[0] if events else None
    return Story(
        record.row,
        machine.status,
        machine.reason,
        [*_steps(machine, holds(events), _lapsed(events), _resolved(events))],
        attempts(events),
        machine.context.to_dict(),
        machine.cost,
        machine.started_us,
        machine.at_us,
        machine.faults,
        first.origin if isinstance(first, e.RunStarted) else None,
        [effect for n in machine.ledger.entries for effect in effects(machine, n)],
        [event for kept in machine.kept.values() for event in kept],
        first.parent if isinstance(first, e.RunStarted) else None,
        children(events),
        result=machine.result,
        chosen=first.chosen if isinstance(first, e.RunStarted) else None,
    )


def effects(machine: Machine, n: int) -> Iterator[EffectStory]:
    """The effects of a step, as they stand."""
    for entry in machine.ledger.of(n):
        is_rejected = entry.standing == "requested" and entry.rejected_by
        yield EffectStory(
            machine.step_id(n),
            entry.effect,
            entry.key,
            msgspec.json.decode(entry.payload),
            "rejected" if is_rejected else entry.standing,
            entry.tries,
            msgspec.json.decode(entry.result),
            entry.reason if entry.standing in {"failed", "unknown"} else entry.rejected_for,
            entry.flaw,
            entry.approved_by,
            entry.rejected_by,
        )


def _lapsed(events: Sequence[e.AnyEvent]) -> set[str]:
    """The steps that a deadline has ended, here or in the run that this one is a fork of."""
    ended = {event.step for event in events if isinstance(event, e.WaitEnded) and event.then and not event.by}
    return ended | {event.step for event in events if isinstance(event, e.StepShared) and event.agent == BY_DEADLINE}


def _resolved(events: Sequence[e.AnyEvent]) -> dict[str, e.ConflictsResolved]:
    """What the steps that reconcile have come to."""
    return {event.step: event for event in events if isinstance(event, e.ConflictsResolved)}


def _steps(
    machine: Machine, held: Sequence[Held], lapsed: Collection[str], resolved: Mapping[str, e.ConflictsResolved]
) -> Iterator[StepStory]:
    """Every step in plan order, the items of a for_each after it."""
    stages = _stages(machine)
    of_step: dict[str, list[Held]] = {}
    for one in held:
        one.goes_on = one.goes_on and machine.state[machine.number[one.step]] == "backing_off"
        of_step.setdefault(one.step, []).append(one)
    items: dict[int, list[int]] = {}
    for n in machine.items:
        items.setdefault(machine.label[n], []).append(n)
    for n in machine.plan.number.values():
        step = _step(machine, n, stages[n], of_step, lapsed=machine.step_id(n) in lapsed)
        yield msgspec.structs.replace(step, resolved=resolved[step.id]) if step.id in resolved else step
        for item in items.get(n, ()):
            yield _step(machine, item, stages[n], of_step, item_of=machine.step_id(n))


def _step(
    machine: Machine, n: int, stage: int, held: Mapping[str, list[Held]], item_of: str = "", *, lapsed: bool = False
) -> StepStory:
    step, needs = machine.step(n), machine.plan.needs[machine.label[n]]
    wait = machine.rules.waits.get(n)
    reason = f"{wait.event} has not come in time" if lapsed and wait is not None and wait.event else ""
    return StepStory(
        machine.step_id(n),
        step.agent,
        step.action,
        tuple(machine.step_id(need) for need in needs),
        machine.state[n],
        machine.reasons.get(n, "") if machine.state[n] != "committed" else reason,
        stage,
        item_of,
        held.get(machine.step_id(n), ()),
        tuple(machine.step_id(by) for by in machine.plan.requesters.get(machine.label[n], ())),
        "" if wait is None else wait.described,
        machine.waits.get(n),
        bool(step.writes),
        machine.rules.reconciles[n].described if n in machine.rules.reconciles else "",
    )


def _stages(machine: Machine) -> list[int]:
    """Per step the longest way that leads to it. Two steps of one stage can't be in each other's way."""
    stages = [0]
    for needs in machine.plan.needs[1:]:
        stages.append(1 + max((stages[need] for need in needs), default=-1))
    return stages


# --- attempts ---


def attempts(events: Sequence[e.AnyEvent]) -> list[Attempt]:
    """Every call of an agent, in the order in which they began.

    A call lost in a crash and the one that replaced it are two, with the same number. An outcome without its
    call, which only a damaged journal holds, is passed over.
    """
    calls = _Calls()
    for event in events:
        calls.hear(event)
    return calls.told


class _Calls:
    """The calls of a run. own: by step, the last one that wasn't a judge's. drafted: whose reply waits for a judge."""

    def __init__(self) -> None:
        self.told: list[Attempt] = []
        self._last: dict[str, Attempt] = {}
        self._own: dict[str, Attempt] = {}
        self._numbered: dict[tuple[str, int], Attempt] = {}
        self._drafted: dict[str, int] = {}

    def hear(self, event: e.AnyEvent) -> None:
        """One more event."""
        if isinstance(event, e.AttemptStarted):
            self._started(event)
        elif isinstance(event, e.FaultInjected) and event.step in self._last:
            self._last[event.step].injected = event.fault
        elif isinstance(event, e.QuestionAnswered) and event.step in self._own:
            self._own[event.step].decided = _decided(event)
        elif isinstance(event, e.ReplyArrivedLate):
            _arrived_late(self.told, event)
        elif isinstance(event, e.RunCancelled):
            for attempt in self.told:
                if not attempt.ended_us:
                    attempt.outcome, attempt.ended_us = "cancelled", event.at_us
        elif isinstance(event, Ending) and (event.step, event.attempt) in self._numbered:
            self._ended(event)

    def _started(self, event: e.AttemptStarted) -> None:
        begun = Attempt(step=event.step, attempt=event.attempt, agent=event.agent, view=event.view, at_us=event.at_us)
        begun.judges = event.step in self._drafted
        self.told.append(begun)
        self._last[event.step] = self._numbered[event.step, event.attempt] = begun
        if not begun.judges:
            self._own[event.step] = begun

    def _ended(self, event: Ending) -> None:
        if isinstance(event, e.ReplyDrafted):
            self._drafted[event.step] = event.attempt
        elif self._drafted.get(event.step) == event.attempt:
            del self._drafted[event.step]
        ended = self._numbered[event.step, event.attempt]
        # One that is over doesn't end with a question about its effects.
        if not (isinstance(event, e.QuestionAsked) and event.effect and ended.ended_us):
            _ended(ended, event)


def outcome_of(event: Ending) -> str:
    """The outcome of the attempt that this event ends."""
    if isinstance(event, e.AttemptFailed):
        return _FAILURES.get(event.kind, event.kind)
    return _OUTCOMES[type(event)]


def _decided(event: e.QuestionAnswered) -> Decided:
    writes = {path: msgspec.json.decode(value) for path, value in event.writes.items()}
    at = timestamp(event.at_us)
    return Decided(at, event.by, event.decision, event.text, writes, event.deletes, event.reason)


def _arrived_late(told: Sequence[Attempt], event: e.ReplyArrivedLate) -> None:
    for attempt in reversed(told):
        if (attempt.step, attempt.attempt) == (event.step, event.attempt):
            attempt.late, attempt.usage = True, event.usage
            return


def _ended(attempt: Attempt, event: Ending) -> None:
    attempt.outcome, attempt.ended_us = outcome_of(event), attempt.ended_us or event.at_us
    attempt.usage = getattr(event, "usage", None) or attempt.usage
    match event:
        case e.AttemptCommitted():
            attempt.confidence = event.confidence
            attempt.writes = {path: msgspec.json.decode(value) for path, value in event.writes.items()}
            attempt.deletes, attempt.output = event.deletes, msgspec.json.decode(event.output)
            attempt.reads, attempt.findings = event.reads, event.findings
            attempt.score, attempt.scores = event.score, event.scores or None
            attempt.request = event.request
            attempt.effects = _wanted(event.effects)
        case e.AttemptRefused():
            attempt.findings = event.findings
            attempt.score, attempt.scores = event.score, event.scores or None
            attempt.reply, attempt.reads = msgspec.json.decode(event.reply), event.reads
            attempt.effects = _wanted(event.effects)
        case e.AttemptFailed():
            attempt.error = event.error
        case e.QuestionAsked():
            attempt.question, attempt.reads = event.question, event.reads
        case e.ReplyJudged():
            attempt.score, attempt.findings, attempt.reads = event.score, event.findings, event.reads


def _wanted(effects: Sequence[e.EffectWanted]) -> tuple[dict[str, Any], ...]:
    return tuple({"effect": one.effect, "key": one.key, "payload": msgspec.json.decode(one.payload)} for one in effects)


# --- waiting at gates ---


def holds(events: Sequence[e.AnyEvent]) -> list[Held]:
    """Which gates kept calls away, in the order in which they first did: one for each step, agent and gate."""
    told: dict[tuple[str, str, str], Held] = {}
    waiting: dict[str, Held] = {}
    for event in events:
        over = [*waiting] if isinstance(event, e.RunCancelled | e.RunFinished) else ()
        for step in [event.step] if isinstance(event, WaitEnding) else over:
            if held := waiting.pop(step, None):
                held.waited_us, held.goes_on = held.waited_us + max(0, event.at_us - held.at_us), False
        if isinstance(event, e.CallHeld):
            held = told.setdefault((event.step, event.agent, event.gate), _held(event))
            held.reason, held.at_us, held.until_us = event.reason, event.at_us, event.until_us
            held.times, held.goes_on = held.times + 1, bool(event.until_us)
            if held.goes_on:
                waiting[event.step] = held
    return [*told.values()]


def _held(event: e.CallHeld) -> Held:
    return Held(
        step=event.step,
        agent=event.agent,
        gate=event.gate,
        reason=event.reason,
        at_us=event.at_us,
        until_us=event.until_us,
    )


def timestamp(at_us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC; as they are, where a damaged journal has a time out of all bounds."""
    if not 0 <= at_us <= e.AT_US_MAX:
        return f"{at_us} us"
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
