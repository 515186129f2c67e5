"""Guardrails that could never look at anything: most often a mistyped path. What is wrong, and the mend."""

from collections.abc import Sequence

from . import paths
from .guardrail import Seat
from .role import PATTERNS_SHOWN
from .scope import Sight

Problem = tuple[str, str] | None


def _watched(seat: Seat) -> tuple[str, ...]:
    return tuple(getattr(seat.guardrail, "watches", ()))


def looks_at(seat: Seat, writable: Sequence[str]) -> bool:
    """Whether a guardrail has something to look at in what may be written."""
    watches = _watched(seat)
    return not watches or any(paths.intersection(watched, pattern) for watched in watches for pattern in writable)


def blind(seat: Seat, who: str, writable: Sequence[str]) -> Problem:
    """A guardrail that looks at what can't be written."""
    if looks_at(seat, writable):
        return None
    message = f"the guardrail {seat.guardrail.name} looks at {', '.join(_watched(seat))}, which {who} can't write"
    return message, f"it may write {', '.join(writable[:PATTERNS_SHOWN]) or 'nothing'}"


def unread(seat: Seat, who: str, sight: Sight) -> Problem:
    """A guardrail that compares with what isn't shown."""
    for path in getattr(seat.guardrail, "consults", ()):
        if not any(paths.intersection(path, pattern) for pattern in sight.patterns):
            message = f"the guardrail {seat.guardrail.name} compares with {path}, which {who} is not shown"
            return message, f"let it read {path}: a guardrail sees what the agent was shown"
    return None


def empty(seat: Seat, who: str, *, has_schema: bool) -> Problem:
    """A guardrail that rests on a schema where none is declared."""
    if has_schema or not getattr(seat.guardrail, "rests_on_schema", False):
        return None
    message = f"the guardrail {seat.guardrail.name} checks nothing of {who}: no schema is declared"
    return message, "name a model or a JSON Schema in it, or declare a schema"
