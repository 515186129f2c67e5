"""The runs that do steps of another, as that one's events tell of them."""

from collections.abc import Sequence

import msgspec

from interlock.core import events as e


class ChildStory(msgspec.Struct, kw_only=True):
    """A run that does, or did, a step. status: as far as the run above it knows; due_us: until when, 0 for ever.

    given_up: the step waits for it no longer.
    """

    step: str
    attempt: int
    agent: str
    run_id: str
    at_us: int
    due_us: int = 0
    ended_us: int = 0
    status: str = "running"
    reason: str = ""
    given_up: bool = False


def children(events: Sequence[e.AnyEvent]) -> list[ChildStory]:
    """The runs that steps were given to, in the order in which they were; one that went on later is told once."""
    told: dict[str, ChildStory] = {}
    for event in events:
        if isinstance(event, e.ChildStarted):
            told[event.run_id] = _begun(event)
        elif isinstance(event, e.ChildParked | e.ChildEnded | e.ChildAbandoned) and event.run_id in told:
            _hear(told[event.run_id], event)
    return [*told.values()]


def _begun(event: e.ChildStarted) -> ChildStory:
    return ChildStory(
        step=event.step,
        attempt=event.attempt,
        agent=event.agent,
        run_id=event.run_id,
        at_us=event.at_us,
        due_us=event.due_us,
    )


def _hear(child: ChildStory, event: e.ChildParked | e.ChildEnded | e.ChildAbandoned) -> None:
    match event:
        case e.ChildParked():
            child.status, child.reason = "parked", event.reason
        case e.ChildEnded():
            child.status, child.reason, child.ended_us = event.status, event.reason, event.at_us
        case e.ChildAbandoned():
            child.given_up = True
