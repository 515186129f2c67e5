"""What lists show of a run, derived from its events as they are appended."""

from collections.abc import Sequence

import msgspec

from interlock.core.events import (
    AnyEvent,
    QuestionAnswered,
    QuestionAsked,
    RunCancelled,
    RunFinished,
    RunParked,
    StepBuried,
)
from interlock.ports import WaitingQuestion

# Of a longer reason lists know the beginning; all of it stands in the event.
LETTER_REASON_CHARS_MAX = 1_000
STATUS_EVENTS = frozenset({RunFinished, RunParked, RunCancelled, QuestionAnswered})
QUESTION_EVENTS = frozenset({QuestionAsked, QuestionAnswered, RunCancelled})
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
            case QuestionAnswered():
                return "running", "", 0
    return None


class Buried(msgspec.Struct, frozen=True, gc=False):
    """A new dead letter of the run that events are of."""

    step: str
    agent: str
    reason: str
    attempts: int
    at_us: int


def letters_in(events: Sequence[AnyEvent]) -> Sequence[Buried]:
    """The dead letters that these events make."""
    if StepBuried not in map(type, events):
        return ()
    return [
        Buried(event.step, event.agent, event.reason[:LETTER_REASON_CHARS_MAX], event.attempts, event.at_us)
        for event in events
        if isinstance(event, StepBuried)
    ]


def questions_after(run_id: str, events: Sequence[AnyEvent]) -> list[tuple[str, WaitingQuestion | None]]:
    """What these events change about what waits for a person: (step, its question), None for one that waits no more."""
    if QUESTION_EVENTS.isdisjoint(map(type, events)):
        return []
    changes: list[tuple[str, WaitingQuestion | None]] = []
    for event in events:
        match event:
            case QuestionAsked():
                asked = WaitingQuestion(run_id, event.step, event.attempt, event.question.text, event.at_us)
                changes.append((event.step, asked))
            case QuestionAnswered():
                changes.append((event.step, None))
            case RunCancelled():
                changes.append((EVERY_STEP, None))
    return changes


class Projection(msgspec.Struct, gc=False):
    """All that lists show anew of a run, because of some events."""

    status: tuple[str, str, int] | None
    letters: Sequence[Buried]
    questions: Sequence[tuple[str, WaitingQuestion | None]]

    @classmethod
    def of(cls, run_id: str, events: Sequence[AnyEvent]) -> "Projection":
        """What these events change."""
        return cls(status_after(events), letters_in(events), questions_after(run_id, events))
