"""What lists show of a run, derived from its events as they are appended."""

from collections.abc import Sequence

import msgspec

from interlock.core.events import (
    AnyEvent,
    BudgetRaised,
    ChildAbandoned,
    ChildEnded,
    ChildParked,
    ChildStarted,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RunCancelled,
    RunFinished,
    RunParked,
    RunReopened,
    RunStarted,
    StepBuried,
    StepEscalated,
    WaitBegun,
    WaitEnded,
)
from interlock.ports import WaitingQuestion, WaitingStep

# Of a longer reason lists know the beginning; all of it stands in the event.
LETTER_REASON_CHARS_MAX = 1_000
STATUS_EVENTS = frozenset(
    {RunFinished, RunParked, RunCancelled, RunReopened, QuestionAnswered, QuestionExpired, BudgetRaised, WaitEnded}
    | {ChildParked, ChildEnded, ChildAbandoned}
)
LETTER_EVENTS = frozenset({StepBuried, RunReopened, RunStarted})
QUESTION_EVENTS = frozenset(
    {QuestionAsked, StepEscalated, QuestionAnswered, QuestionExpired, BudgetRaised, WaitBegun, WaitEnded, RunCancelled}
    | {ChildStarted, ChildEnded, ChildAbandoned}
)
EVERY_STEP = ""


def status_after(events: Sequence[AnyEvent]) -> tuple[str, str, int] | None:
    """(status, reason, ended_us) where these events change it: the last word counts."""
    if STATUS_EVENTS.isdisjoint(map(type, events)):
        return None
    for event in reversed(events):
        match event:
            case RunFinished():
                return event.status, event.reason, event.at_us
            case RunParked():
                return "parked", event.reason, 0
            case RunCancelled():
                return "cancelled", event.sentence, event.at_us
            case QuestionAnswered() | QuestionExpired() | BudgetRaised() | WaitEnded() | RunReopened():
                return "running", "", 0
            case ChildParked() | ChildEnded(late=False) | ChildAbandoned():
                return "running", "", 0
    return None


class Buried(msgspec.Struct, frozen=True, gc=False):
    """A new dead letter of the run that events are of."""

    step: str
    agent: str
    reason: str
    attempts: int
    at_us: int


class Redriven(msgspec.Struct, frozen=True, gc=False):
    """Dead letters that are tried again. run_id: whose they are; "" for the run that events are of.

    at_will: by a fork that somebody made at a step; those that were redriven before stay as they are.
    """

    run_id: str
    steps: tuple[str, ...]
    at_us: int
    by: str
    reason: str
    at_will: bool = False


def letters_in(events: Sequence[AnyEvent]) -> Sequence[Buried | Redriven]:
    """What these events change in the list of dead letters, in order."""
    if LETTER_EVENTS.isdisjoint(map(type, events)):
        return ()
    telling = (event for event in events if type(event) in LETTER_EVENTS)
    return [change for event in telling if (change := _change(event)) is not None]


def _change(event: AnyEvent) -> Buried | Redriven | None:
    match event:
        case StepBuried():
            reason = event.reason[:LETTER_REASON_CHARS_MAX]
            return Buried(event.step, event.agent, reason, event.attempts, event.at_us)
        case RunReopened():
            return Redriven("", event.steps, event.at_us, event.by, event.reason)
        case RunStarted(origin=origin) if origin is not None:
            by, at_will = origin.by, bool(origin.at)
            return Redriven(origin.run_id, origin.steps, event.at_us, by, origin.reason, at_will)
    return None


Change = tuple[str, WaitingQuestion | WaitingStep | None]


def questions_after(run_id: str, events: Sequence[AnyEvent]) -> list[Change]:
    """What these events change about what waits for a person, a time or an event: None for what waits no more."""
    if QUESTION_EVENTS.isdisjoint(map(type, events)):
        return []
    changes: list[Change] = []
    for event in events:
        match event:
            case QuestionAsked() | StepEscalated():
                text = event.question.text if isinstance(event, QuestionAsked) else event.reason
                asked = WaitingQuestion(run_id, event.step, event.attempt, text, event.at_us, event.due_us)
                changes.append((event.step, asked))
            case WaitBegun():
                changes.append((event.step, WaitingStep(run_id, event.step, event.event, event.at_us, event.due_us)))
            case ChildStarted() if event.due_us:
                changes.append((event.step, WaitingStep(run_id, event.step, "", event.at_us, event.due_us)))
            case QuestionAnswered() | QuestionExpired() | WaitEnded() | ChildEnded(late=False) | ChildAbandoned():
                changes.append((event.step, None))
            case BudgetRaised():
                changes += [(step, None) for step in (event.step, *event.others)]
            case RunCancelled():
                changes.append((EVERY_STEP, None))
    return changes


class Projection(msgspec.Struct, gc=False):
    """All that lists show anew of a run, because of some events."""

    status: tuple[str, str, int] | None
    letters: Sequence[Buried | Redriven]
    questions: Sequence[Change]

    @classmethod
    def of(cls, run_id: str, events: Sequence[AnyEvent]) -> "Projection":
        """What these events change."""
        return cls(status_after(events), letters_in(events), questions_after(run_id, events))
