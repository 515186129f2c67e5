"""Waits in a plan, as declared: a step without an agent that waits for a time, or for an event from outside.

A time is absolute from the moment at which the wait begins, so that neither a restart nor another clock begins it anew.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

import msgspec

from interlock.errors import PathError, PlanError, ValueRefused

from . import paths
from .moments import time_text, time_us
from .naming import is_id
from .policy import DEADLINE_MS_MAX, UNITS_MS, duration_ms
from .values import encode

# A wait that is over so soon keeps its run going; a longer one parks it where nothing else is left to do.
AWAKE_US_MAX = 60_000_000

OnDeadline = Literal["dead", "skip", "continue"]
WAITS = "a step waits for a time (wait: 2h) or for an event (await_event: NAME)"


class Wait(msgspec.Struct, frozen=True):
    """What a step waits for.

    duration_ms: so long; until_us: until this time; path: until the time that stands there in the context; event: for
    the event with this name. deadline_ms: of an event, 0 for ever. then: what becomes of the step whose event hasn't
    come in time: it is given up (`dead`), counts as skipped (`skip`), or who needs it goes on (`continue`), with
    `default` committed in the event's place where there is one.
    """

    duration_ms: int = 0
    until_us: int = 0
    path: str = ""
    event: str = ""
    deadline_ms: int = 0
    then: OnDeadline = "dead"
    default: Mapping[str, Any] = {}

    @classmethod
    def of(
        cls, wait: Any, event: str, deadline: str | None = None, on_deadline: str | Mapping[str, Any] | None = None
    ) -> Self:
        """What `wait`, or `await_event`, `deadline` and `on_deadline`, declare. Raises PlanError."""
        if event and wait is not None:
            raise PlanError("it has wait and await_event", fix="keep one; await_event has a deadline of its own")
        if not event:
            if deadline is not None or on_deadline is not None:
                raise PlanError("only a step that awaits an event has a deadline", fix="remove it")
            return cls(**_time_of(wait))
        if not is_id(event):
            message = f"{event!r:.100} is not the name of an event"
            raise PlanError(message, fix="use letters, digits, _ and -, at most 80")
        if deadline is None:
            if on_deadline is not None:
                raise PlanError("without a deadline nothing comes after it", fix="add one, such as deadline: 3d")
            return cls(event=event)
        return cls(event=event, deadline_ms=_bounded(deadline, "deadline"), **_way_of(on_deadline))

    @property
    def ms(self) -> int:
        """How long it lasts at most, from when it begins; 0 where it has no such bound."""
        return self.deadline_ms or self.duration_ms

    def is_kin(self, other: "Wait") -> bool:
        """Whether a step that waits so may go on and wait as the other says, which may last longer or end otherwise."""
        return (self.event, self.path, bool(self.duration_ms)) == (other.event, other.path, bool(other.duration_ms))

    @property
    def described(self) -> str:
        """What it waits for, in a few words."""
        if self.event:
            return f"awaits {self.event}"
        if self.duration_ms:
            return f"waits {_span(self.duration_ms)}"
        return f"waits until {self.path or time_text(self.until_us)}"


def _span(ms: int) -> str:
    size, unit = next((size, unit) for unit, size in reversed(UNITS_MS.items()) if not ms % size)
    return f"{ms // size}{unit}"


def _time_of(wait: Any) -> dict[str, Any]:
    """A duration, or `{until: TIME}`, where TIME begins with a digit; else that is the path of one."""
    if isinstance(wait, str):
        return {"duration_ms": _bounded(wait, "wait")}
    until = wait.get("until") if isinstance(wait, Mapping) and set(wait) == {"until"} else None
    if not isinstance(until, str) or not until:
        raise PlanError("wait is a duration or {until: TIME}", fix='such as 2h, or {until: "2026-12-01T09:00:00Z"}')
    try:
        return {"until_us": time_us(until)} if until[0].isdecimal() else {"path": paths.canonical(until)}
    except (ValueRefused, PathError) as error:
        raise PlanError(f"until: {error.message}", fix=error.fix) from error


def _way_of(on_deadline: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if on_deadline is None or (isinstance(on_deadline, str) and on_deadline in get_args(OnDeadline)):
        return {"then": on_deadline or "dead"}
    default = on_deadline.get("default") if isinstance(on_deadline, Mapping) and len(on_deadline) == 1 else None
    if not isinstance(default, Mapping) or not default:
        ways = ", ".join(get_args(OnDeadline))
        fix = f"write one of {ways}, or {{default: {{path: value}}}}"
        raise PlanError(f"{on_deadline!r:.100} is nothing that becomes of a step whose event is late", fix=fix)
    try:
        encode(dict(default))
        return {"then": "continue", "default": {paths.canonical(path): value for path, value in default.items()}}
    except (ValueRefused, PathError) as error:
        raise PlanError(f"the default for a late event: {error.message}", fix=error.fix) from error


def _bounded(text: str, what: str) -> int:
    ms = duration_ms(text)
    if not 0 < ms <= DEADLINE_MS_MAX:
        raise PlanError(f"the {what} {text} is not between 1ms and 3650d")
    return ms


def awaited(event: str, due_us: int) -> str:
    """What a step waits for, in words."""
    until = f"until {time_text(due_us)}" if due_us else ""
    return " ".join(filter(None, (f"waits for {event}" if event else "waits", until)))
