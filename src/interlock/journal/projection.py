"""What lists show of a run, derived from its events as they are appended."""

from collections.abc import Sequence

import msgspec

from interlock.core.events import AnyEvent, RunCancelled, RunFinished, RunParked, StepBuried

# Of a longer reason lists know the beginning; all of it stands in the event.
LETTER_REASON_CHARS_MAX = 1_000
STATUS_EVENTS = frozenset({RunFinished, RunParked, RunCancelled})


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
