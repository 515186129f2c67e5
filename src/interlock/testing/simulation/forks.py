"""What must be true of a fork: it tries again what is dead or was named, and shares with its origin what it may."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from interlock.core import events as e

from .account import Account
from .account.effects import CONFLICT

_Commit = e.AttemptCommitted | e.ConflictsResolved | e.QuestionAnswered | e.QuestionExpired | e.WaitEnded | e.StepShared


def check_fork(origin: Account, told: e.Origin, events: Sequence[e.AnyEvent]) -> None:
    """That a run is forked with its dead steps and shares what it may.

    At a step anybody may fork it, at any time. Else it is forked once, and only where it can't go on itself.
    """
    dead = {name for name, one in origin.steps.items() if one.state == "dead" and not origin.is_group(name)}
    named = {name for name in origin.steps if told.at in {name, origin.plan.declared_id.get(name)}}
    origin.require_same("redrive", "the steps that a fork tries again", {*told.steps}, dead | named)
    if told.at:
        origin.require("redrive", origin.status != "running", "it is forked before it is over")
    else:
        origin.require("redrive", origin.forks == 0, "it is forked twice for the same steps")
        origin.forks += 1
        wrong = origin.why_not_reopened(told.steps)
        origin.require("redrive", wrong, f"it is forked for {told.steps}, although it could go on")
    over = {name for name, one in origin.steps.items() if one.state == "committed"}
    commits = [event for event in origin.events if _commits(event) and event.step in over]
    again = [*told.steps, *origin.added]  # what was decided about the plan is decided anew
    meant = {event.step: event for event in commits if not _is_done_again(origin, event.step, again)}
    found = {event.step: event for event in events if isinstance(event, e.StepShared)}
    origin.require_same("redrive", "what a fork takes over", _written(found), _written(meant))
    effects = [event for event in events if isinstance(event, e.EffectShared)]
    forgets = told.repeats_effects
    known = {place: one for place, one in origin.effects.known.items() if not forgets or place[0] in found}
    done = {place for place, one in known.items() if one.done}
    told_done = {(event.step, event.key) for event in effects if not event.reason}
    origin.require_same("redrive", "the effects that a fork knows to be done", told_done, done)
    unsure = {place for place, one in known.items() if one.open or one.ended in {"EffectBecameUnknown", CONFLICT}}
    origin.require("redrive", unsure - done <= {(event.step, event.key) for event in effects}, "it forgets effects")


def name_of(run_id: str, runs: Mapping[str, Account]) -> str:
    """What a run is known by: a fork by what it is for, since another id may be given to it after a crash."""
    first = runs[run_id].events[0]
    origin = first.origin if isinstance(first, e.RunStarted) else None
    if origin is None:
        return run_id
    at = f" at {origin.at}" if origin.at else ""
    return f"{name_of(origin.run_id, runs)}, forked{at} for {', '.join(origin.steps)}"


def _is_done_again(origin: Account, name: str, steps: Sequence[str]) -> bool:
    """Whether a step is one of these, or an item of one, or comes after one."""
    group = origin.name_of[origin.step(name).number]
    return name in steps or group in steps or origin.comes_after(name, steps)


def _commits(event: e.AnyEvent) -> TypeGuard[_Commit]:
    """Whether a step has committed with this."""
    if isinstance(event, e.QuestionAnswered):
        return event.commits
    if isinstance(event, e.ConflictsResolved):
        return bool(event.writes)  # else its judge's reply has
    if isinstance(event, e.WaitEnded):
        return event.then in {"", "continue"}
    return isinstance(event, e.AttemptCommitted | e.StepShared) or (
        isinstance(event, e.QuestionExpired) and event.then == "default"
    )


def _written(commits: Mapping[str, _Commit]) -> dict[str, Any]:
    return {
        step: (
            {path: bytes(raw) for path, raw in told.writes.items()},
            getattr(told, "deletes", ()),
            getattr(told, "request", None),
        )
        for step, told in commits.items()
    }
