"""What must be true of a fork: it tries what is dead, and shares with its origin what it may."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from interlock.core import events as e

from .account import Account
from .account.effects import CONFLICT

_Commit = e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired | e.StepShared


def check_fork(origin: Account, told: e.Origin, events: Sequence[e.AnyEvent]) -> None:
    """That a run is forked with its dead steps, once, only where it can't go on itself, and shares what it may."""
    dead = {name for name, one in origin.steps.items() if one.state == "dead" and not origin.is_group(name)}
    origin.require_same("redrive", "the steps that a fork tries again", {*told.steps}, dead)
    origin.require("redrive", origin.forks == 0, "it is forked twice for the same steps")
    origin.forks += 1
    wrong = origin.why_not_reopened(told.steps)
    origin.require("redrive", wrong, f"it is forked for {told.steps}, although it could go on")
    over = {name for name, one in origin.steps.items() if one.state == "committed"}
    commits = [event for event in origin.events if _commits(event) and event.step in over]
    meant = {event.step: event for event in commits if not origin.comes_after(event.step, told.steps)}
    found = {event.step: event for event in events if isinstance(event, e.StepShared)}
    origin.require_same("redrive", "what a fork takes over", _written(found), _written(meant))
    effects = [event for event in events if isinstance(event, e.EffectShared)]
    known = {place: one for place, one in origin.effects.known.items() if place[0] not in found}
    done = {place for place, one in known.items() if one.done}
    told_done = {(event.step, event.key) for event in effects if not event.reason}
    origin.require_same("redrive", "the effects that a fork knows to be done", told_done, done)
    unsure = {place for place, one in known.items() if one.open or one.ended in {"EffectBecameUnknown", CONFLICT}}
    origin.require("redrive", unsure - done <= {(event.step, event.key) for event in effects}, "it forgets effects")


def _commits(event: e.AnyEvent) -> TypeGuard[_Commit]:
    """Whether a step has committed with this."""
    if isinstance(event, e.QuestionAnswered):
        return event.commits
    return isinstance(event, e.AttemptCommitted) or (isinstance(event, e.QuestionExpired) and event.then == "default")


def _written(commits: Mapping[str, _Commit]) -> dict[str, Any]:
    return {
        step: (
            {path: bytes(raw) for path, raw in told.writes.items()},
            getattr(told, "deletes", ()),
            getattr(told, "request", None),
        )
        for step, told in commits.items()
    }
