"""Invariants that a user might write."""

from interlock.core import events as e


def nobody_is_cancelled(account, event):
    return "a run is cancelled" if isinstance(event, e.RunCancelled) else None


def nobody_raises(account, event):
    return "an agent raised" if isinstance(event, e.AttemptFailed) and event.kind == "error" else None
