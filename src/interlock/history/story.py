"""A run as it is now: its steps, every attempt, its context.

The machine, folded again over the events, knows the state of every step and the context; what it forgets, the single
attempts, is read from the events here.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.job import Question, Usage
from interlock.core.machine import Cost, Machine
from interlock.ports import RunRow

from .record import Record

_FAILURES = {"timeout": "timed out", "crash": "crashed", "error": "failed"}
_OUTCOMES: dict[type, str] = {
    e.AttemptCommitted: "committed",
    e.AttemptRefused: "refused",
    e.QuestionAsked: "asked",
    e.AttemptInterrupted: "interrupted",
}
# What ends an attempt.
Ending = e.AttemptCommitted | e.AttemptRefused | e.AttemptFailed | e.AttemptInterrupted | e.QuestionAsked


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person decided about a step that waited for one, in the words of QuestionAnswered."""

    at: str
    by: str
    decision: str
    text: str = ""
    writes: dict[str, Any] = {}
    deletes: tuple[str, ...] = ()
    reason: str = ""


class Attempt(msgspec.Struct, kw_only=True):
    """One call of an agent for a step.

    outcome: committed, refused, failed, timed out, crashed, asked, interrupted (the call was lost with its driver),
    cancelled (the run was) or running. at_us: when it began; ended_us is 0 until it ends. findings: why it was refused,
    or what was found and did not suffice for that. score, scores: what its guardrails gave it; None where none was
    asked. reads: the paths it had read when it answered, `*` for all. late: its reply came after its end, and was
    charged, not used. injected: how the call was broken on purpose; empty for an ordinary one. decided: what a
    person decided about what it asked.
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
    "reply",
    "output",
    "confidence",
    "usage",
    "reads",
    "late",
    "injected",
    "decided",
)


class StepStory(msgspec.Struct, frozen=True):
    """A step as it is now. stage: how many steps follow one another before it. item_of: the for_each step it is of."""

    id: str
    agent: str
    action: str
    needs: tuple[str, ...]
    state: str
    reason: str
    stage: int
    item_of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The step as `show --json` prints it."""
        document: dict[str, Any] = {name: getattr(self, name) for name in ("id", "agent", "action", "needs", "state")}
        optional = {"reason": self.reason, "item_of": self.item_of}
        return document | {key: value for key, value in optional.items() if value}


class Story(msgspec.Struct, frozen=True):
    """One run, from its beginning to now. faults: the hash of those injected on purpose; empty for an ordinary run."""

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
            "context": self.context,
            "cost": {"usd": self.cost.usd, "tokens": self.cost.tokens, "calls": self.cost.calls},
        }
        return document | ({"faults": self.faults} if self.faults else {})


def story(record: Record) -> Story:
    """The story of a run. Raises BrokenPromise where its events can't be folded."""
    machine, events = record.folded(), record.events
    return Story(
        record.row,
        machine.status,
        machine.reason,
        [*_steps(machine)],
        attempts(events),
        machine.context.to_dict(),
        machine.cost,
        machine.started_us,
        machine.at_us,
        machine.faults,
    )


def _steps(machine: Machine) -> Iterator[StepStory]:
    """Every step in plan order, the items of a for_each after it."""
    stages = _stages(machine)
    items: dict[int, list[int]] = {}
    for n in machine.items:
        items.setdefault(machine.label[n], []).append(n)
    for n in range(1, len(machine.plan.steps)):
        yield _step(machine, n, stages[n])
        for item in items.get(n, ()):
            yield _step(machine, item, stages[n], item_of=machine.step_id(n))


def _step(machine: Machine, n: int, stage: int, item_of: str = "") -> StepStory:
    step, needs = machine.step(n), machine.plan.needs[machine.label[n]]
    return StepStory(
        machine.step_id(n),
        step.agent,
        step.action,
        tuple(machine.step_id(need) for need in needs),
        machine.state[n],
        machine.reasons.get(n, "") if machine.state[n] != "committed" else "",
        stage,
        item_of,
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
    told: list[Attempt] = []
    last: dict[str, Attempt] = {}
    for event in events:
        if isinstance(event, e.AttemptStarted):
            begun = Attempt(
                step=event.step, attempt=event.attempt, agent=event.agent, view=event.view, at_us=event.at_us
            )
            told.append(begun)
            last[event.step] = begun
        elif isinstance(event, e.FaultInjected) and event.step in last:
            last[event.step].injected = event.fault
        elif isinstance(event, e.QuestionAnswered) and event.step in last:
            last[event.step].decided = _decided(event)
        elif isinstance(event, e.ReplyArrivedLate):
            _arrived_late(told, event)
        elif isinstance(event, e.RunCancelled):
            for attempt in told:
                if not attempt.ended_us:
                    attempt.outcome, attempt.ended_us = "cancelled", event.at_us
        elif isinstance(event, Ending) and event.step in last:
            _ended(last[event.step], event)
    return told


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
    attempt.outcome, attempt.ended_us = outcome_of(event), event.at_us
    match event:
        case e.AttemptCommitted():
            attempt.usage, attempt.confidence = event.usage, event.confidence
            attempt.writes = {path: msgspec.json.decode(value) for path, value in event.writes.items()}
            attempt.deletes, attempt.output = event.deletes, msgspec.json.decode(event.output)
            attempt.reads, attempt.findings = event.reads, event.findings
            attempt.score, attempt.scores = event.score, event.scores or None
        case e.AttemptRefused():
            attempt.findings, attempt.usage = event.findings, event.usage
            attempt.score, attempt.scores = event.score, event.scores or None
            attempt.reply, attempt.reads = msgspec.json.decode(event.reply), event.reads
        case e.AttemptFailed():
            attempt.error, attempt.usage = event.error, event.usage
        case e.QuestionAsked():
            attempt.question, attempt.usage = event.question, event.usage
            attempt.reads = event.reads


def timestamp(at_us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC; as they are, where a damaged journal has a time out of all bounds."""
    if not 0 <= at_us <= e.AT_US_MAX:
        return f"{at_us} us"
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
