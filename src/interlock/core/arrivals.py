"""What becomes of an event from outside, and of a wait whose time has come.

Whoever sends an event is no agent and no person of the team: what it brings is written at the one path that the step
declares, within the sizes and the schema, or the event is refused and nothing has changed.
"""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from interlock.errors import InputError, ValueRefused

from .assess import Submission, submitted
from .decision import BODY_BYTES_MAX, NAME_CHARS_MAX
from .events import EventReceived, EventRefused, WaitEnded
from .fold import Fold
from .naming import is_id, nearest
from .states import TERMINAL
from .values import DEFAULT_LIMITS, decode, encode

EVENT_ID_CHARS_MAX = 200
AWAITED_SHOWN = 5
# The code of the finding against an event that has come before: whoever sends it again has nothing to mend.
AGAIN = "again"
# Those against one that nothing waits for, or that brings data where none belong, or none where they do.
UNAWAITED, ENDED, UNWRITABLE, DATALESS = "unawaited", "ended", "unwritable", "dataless"

Arrival = WaitEnded | EventReceived | EventRefused


class Sent(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An event as it is sent. id: two with the same one are one event. data: what it brings; None for nothing."""

    event: str
    id: str
    data: Any = None


def sent(event: str, event_id: str, data: Any = None) -> bytes:
    """An event as a request carries it. Raises InputError."""
    if not is_id(event):
        raise InputError(f"{event!r:.100} is not the name of an event", fix="use letters, digits, _ and -, at most 80")
    if not _is_line(event_id, EVENT_ID_CHARS_MAX):
        raise InputError(f"{event_id!r:.100} can't be the id of an event", fix="one line of up to 200 characters")
    try:
        encode(data, DEFAULT_LIMITS, BODY_BYTES_MAX)
    except ValueRefused as error:
        raise InputError(f"the data of {event} can't be used: {error.message}") from error
    body: bytes = msgspec.json.encode(Sent(event, event_id, data))
    if len(body) > BODY_BYTES_MAX:
        raise InputError(f"the event {event} is {len(body):,} bytes, more than {BODY_BYTES_MAX:,}")
    return body


def opened(body: bytes) -> Sent:
    """The event that a request carries. Raises InputError."""
    if not isinstance(body, bytes) or len(body) > BODY_BYTES_MAX:
        raise InputError("an event can't be read: it is no bytes, or too many")
    try:
        found = msgspec.json.decode(body, type=Sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"an event can't be read: {error}") from error
    sent(found.event, found.id, found.data)
    return found


def sender(name: str) -> str:
    """Who sends an event, as it is recorded. Raises InputError."""
    if not _is_line(name, NAME_CHARS_MAX):
        raise InputError(f"{name!r:.100} can't be recorded as who sends an event", fix="one line, such as stripe")
    return name


def _is_line(text: Any, most: int) -> bool:
    return isinstance(text, str) and 0 < len(text) <= most and text.isprintable()


def arrival(machine: Fold, given: Sent, by: str, at_us: int) -> Arrival:
    """What becomes of an event in this run: it ends a wait, is kept for one, or is refused."""
    if given.id in machine.event_ids:
        return refused(given, by, AGAIN, f"the event {given.id} has come before", at_us)
    if machine.status not in {"running", "parked"}:
        how = machine.reason if machine.status == "cancelled" else f"it has {machine.status}"
        return refused(given, by, ENDED, f"the run has ended: {how}", at_us)
    open_ = ((n, begun) for n, begun in machine.waits.items() if begun.event == given.event)
    # One whose deadline has passed is over, though nobody may have seen to it yet.
    waiting = [n for n, begun in open_ if not 0 < begun.due_us < at_us]
    misfit: Submission | None = None
    for n in waiting:
        submission = taken_by(machine, n, given.data)
        if not submission.findings:
            return WaitEnded(at_us, machine.step_id(n), given.id, by, submission.writes)
        misfit = misfit or submission
    if may_come(machine, given.event, given.data):
        data = msgspec.Raw(encode(given.data, machine.rules.limits))
        return EventReceived(at_us, given.event, given.id, by, data)
    upcoming = machine.upcoming(given.event)
    unfit = [taken_by(machine, n, given.data) for n in upcoming]
    if misfit is None and unfit and all(submission.findings for submission in unfit):
        misfit = unfit[0]
    if misfit is not None:
        return EventRefused(at_us, given.event, given.id, by, tuple(misfit.findings))
    return refused(given, by, UNAWAITED, _unawaited(machine, given.event, has_upcoming=bool(upcoming)), at_us)


def may_come(machine: Fold, event: str, data: Any) -> bool:
    """Whether an event that nothing waits for is kept: a step may begin to await it that no kept one will do for."""
    fits = _fitting(machine, machine.upcoming(event), data)
    kept = machine.kept.get(event, ()) if fits else ()
    return len(fits) > sum(bool(_fitting(machine, fits, decode(one.data))) for one in kept)


def kept_for(machine: Fold, n: int, used: Collection[str]) -> EventReceived | None:
    """The kept event for a step that begins to wait: the first that fits it, else the first that fits no step at all.

    used: the ids of those that are for other steps already.
    """
    event = machine.waits[n].event
    kept = [one for one in machine.kept[event] if one.event_id not in used]
    fits = next((one for one in kept if _fitting(machine, [n], decode(one.data))), None)
    if fits is not None:
        return fits
    upcoming = machine.upcoming(event)
    return next((one for one in kept if not _fitting(machine, upcoming, decode(one.data))), None)


def _fitting(machine: Fold, steps: Iterable[int], data: Any) -> list[int]:
    """Of these steps, those that an event with such data fits."""
    return [n for n in steps if not taken_by(machine, n, data).findings]


def kept_arrival(machine: Fold, n: int, kept: EventReceived, at_us: int) -> WaitEnded | EventRefused:
    """What becomes of an event that was kept, now that a step waits for it."""
    submission = taken_by(machine, n, decode(kept.data))
    step, told = machine.step_id(n), (kept.event_id, kept.by)
    if submission.findings:
        return EventRefused(at_us, kept.event, *told, tuple(submission.findings), step)
    return WaitEnded(at_us, step, *told, submission.writes)


def taken_by(machine: Fold, n: int, data: Any) -> Submission:
    """What an event brings, as this step would write it."""
    patterns = machine.step(n).writes or ()
    if data is not None and not patterns:
        submission = Submission()
        submission.refuse(UNWRITABLE, f"step {machine.step_id(n)} writes nothing, so its event brings no data")
        return submission
    if data is None and patterns:
        submission = Submission()
        submission.refuse(DATALESS, f"step {machine.step_id(n)} writes {patterns[0]}, and the event brings no data")
        return submission
    writes = {} if data is None else {patterns[0]: data}
    return submitted(writes, bank=machine.bank, duty=machine.duty(n), limits=machine.rules.limits)


def lapsed(machine: Fold, n: int, at_us: int) -> WaitEnded:
    """What becomes of a wait whose time has come: it is over, or its event has not come in time."""
    step, wait = machine.step_id(n), machine.rules.waits[n]
    if not wait.event:
        return WaitEnded(at_us, step)
    if not wait.default:
        return WaitEnded(at_us, step, then=wait.then)
    given = dict(wait.default)
    submission = submitted(given, bank=machine.bank, duty=machine.duty(n), limits=machine.rules.limits)
    if submission.findings:
        why = f"{wait.event} has not come in time, and its default can't be taken: {submission.findings[0].message}"
        return WaitEnded(at_us, step, then="dead", reason=why)
    return WaitEnded(at_us, step, writes=submission.writes, then=wait.then)


def refused(given: Sent, by: str, code: str, message: str, at_us: int) -> EventRefused:
    """An event that can't be taken, for one reason."""
    submission = Submission()
    submission.refuse(code, message)
    return EventRefused(at_us, given.event, given.id, by, tuple(submission.findings))


def _unawaited(machine: Fold, event: str, *, has_upcoming: bool) -> str:
    if has_upcoming:
        return f"nothing waits for another {event}: what may await it has one already"
    open_ = [n for n in machine.rules.waits if machine.state[n] not in TERMINAL]
    names = dict.fromkeys(machine.rules.waits[n].event for n in open_)
    told = [f"{machine.step_id(n)} {_awaits(machine, n)}" for n in open_]
    more = f", and {len(told) - AWAITED_SHOWN:,} more" if len(told) > AWAITED_SHOWN else ""
    near = nearest(event, filter(None, names))
    meant = f" Did you mean {near}?" if near else ""
    waits = f"{', '.join(told[:AWAITED_SHOWN])}{more}" if told else "it waits for nothing"
    return f"nothing in this run waits for {event}: {waits}.{meant}"


def _awaits(machine: Fold, n: int) -> str:
    """What a step waits for, or will."""
    if n in machine.waits:
        return machine.reasons[n]
    event = machine.rules.waits[n].event
    return f"will wait for {event}" if event else "will wait"
