"""What must be true of a commit: that its agent may write it, that it is within the limits, and that it was judged."""

from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.role import Duty
from interlock.core.values import ABSENT, Limits

from .known import Known, StepAccount
from .naive import covers, depth_of, leaves_in

# Scores are told rounded.
SCORE_TOLERANCE = 1e-5


def commit(run: Known, one: StepAccount, event: Any, output: bytes = b"") -> None:
    """Take over what an event commits, which its agent may write and no limit forbids."""
    permitted = one.duty.writable.patterns
    if event.step in run.added:
        permitted = tuple(run.rules.roles[one.duty.agent].scope.write_permissions)
    index = str(one.index or 0)
    writable = [p.replace("{index}", index) for p in permitted]
    deletes = getattr(event, "deletes", ())
    for path in (*event.writes, *deletes):
        if not any(covers(pattern, path) for pattern in writable):
            raise run.broken("permissions", "{} committed {}, which it may not write", event.step, path)
    writes = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
    run.naive.commit(one.number, one.index or 0 if one.item is not ABSENT else 0, writes, deletes)
    run.written += (*writes, *deletes)
    fields = sum(1 if run.naive.is_reduced(path) else leaves_in(value) for path, value in writes.items())
    exceeded = exceeded_by(event, writes, fields, run.rules.limits, len(output))
    run.require("limits", not exceeded, f"{event.step} committed more than {exceeded} allows")


def require_score(run: Known, duty: Duty, event: e.AttemptCommitted) -> None:
    """That what was committed is what its guardrails gave a score that suffices."""
    if duty.panel is None:
        run.require("guardrails", event.score is None, f"{event.step} has a score, and no guardrails")
        return
    weights = {name: seat.weight for name, seat in duty.panel.seats}
    asked = bool(event.scores) and event.scores.keys() <= weights.keys()
    run.require("guardrails", asked, f"{event.step} is committed, and its guardrails were not asked")
    whole = sum(weights[name] for name in event.scores)
    score = sum(weights[name] * told for name, told in event.scores.items()) / whole
    told = event.score is not None and abs(score - event.score) <= SCORE_TOLERANCE
    run.require("guardrails", told, f"{event.step} has a score of {event.score}, but {event.scores}")
    enough = score >= duty.panel.threshold - SCORE_TOLERANCE
    run.require("guardrails", enough, f"{event.step} is committed with {score:g}, below {duty.panel.threshold:g}")


def exceeded_by(
    event: e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired,
    writes: Mapping[str, Any],
    fields: int,
    limits: Limits,
    output_bytes: int = 0,
) -> str:
    """The first of the limits that a commit with so many fields exceeds, by name; "" if it is within all of them."""
    sizes = [len(bytes(raw)) for raw in event.writes.values()]
    counts = {
        "value_bytes_max": max(*sizes, output_bytes, 0),
        "commit_bytes_max": sum(sizes),
        "commit_fields_max": max(len(getattr(event, "deletes", ())) + len(writes), fields),
        "depth_max": max((depth_of(value) for value in writes.values()), default=0),
    }
    return next((name for name, count in counts.items() if count > getattr(limits, name)), "")
