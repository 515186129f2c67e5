"""What lists show of a run, derived from its events as they are appended."""

from collections.abc import Sequence

from interlock.core.events import AnyEvent, RunCancelled, RunFinished, RunParked

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
