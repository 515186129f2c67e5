"""The single attempts of a run, and its waits at gates, which a machine forgets: read from its events."""

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.job import Question, Usage
from interlock.core.purse import RESERVATION

from .times import timestamp

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

    gate: breaker, rate, budget, ... at_us: since when, the last time. until_us: until when it was to last; 0 for
    good, or where nobody can tell. waited_us: of all waits that are over. goes_on: the step waits there still.
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
        until = timestamp(self.until_us) if self.until_us else None
        return document | {"since": timestamp(self.at_us), "until": until}


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
            held.reason, held.at_us, held.until_us = event.reason, event.at_us, held_until(event)
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
        until_us=held_until(event),
    )


def held_until(event: e.CallHeld) -> int:
    """Until when a gate keeps a call away; 0 for good, or where that is told by how other calls of the run end."""
    return 0 if event.gate == RESERVATION else event.until_us
