"""Events as they come back from a journal: those of this version, and in clear words what is none of them."""

from collections.abc import Iterable
from typing import get_args

import msgspec

from interlock.core.events import FORMAT_VERSION, AnyEvent, RunStarted, decode
from interlock.errors import JournalError, JournalTooNew

_KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(AnyEvent))
_KIND_CHARS_MAX = 80


class _Head(msgspec.Struct):
    """What is read of an event that can't be read whole."""

    t: str
    version: int = 1


class _Above(msgspec.Struct):
    step: str = ""


class _Marks(msgspec.Struct):
    """What is read of a first event, to list its run."""

    faults: str = ""
    parent: _Above | None = None


_NO_MARKS = _Marks()


def faults_in(first: bytes) -> str:
    """The hash of the faults that a run's first event names; empty where it names none, or can't be read."""
    return _marks(first).faults


def step_above_in(first: bytes) -> str:
    """The step of another run that a run does, by its first event; empty where it does none, or can't be read."""
    above = _marks(first).parent
    return above.step if above is not None else ""


def _marks(first: bytes) -> _Marks:
    try:
        return msgspec.json.decode(first, type=_Marks)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NO_MARKS


def decoded(run_id: str, stored: Iterable[bytes]) -> list[AnyEvent]:
    """The events of a run. Raises JournalTooNew where a newer Interlock wrote them, JournalError for a damaged one."""
    events: list[AnyEvent] = []
    for seq, data in enumerate(stored):
        try:
            events.append(decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(run_id, seq, data, error) from error
    first = events[0] if events else None
    if isinstance(first, RunStarted) and first.version > FORMAT_VERSION:
        raise _too_new(run_id, first.version)
    return events


def _unreadable(run_id: str, seq: int, data: bytes, error: Exception) -> JournalError:
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = f"the journal is damaged: event {seq} of run {run_id} can't be read ({error})"
        return JournalError(message, fix="restore it from a copy")
    kind = head.t[:_KIND_CHARS_MAX]
    if head.version > FORMAT_VERSION:
        return _too_new(run_id, head.version)
    if head.t not in _KINDS:
        message = f"event {seq} of run {run_id} is of a kind that this Interlock doesn't know: {kind}"
        return JournalTooNew(message, fix="update Interlock")
    message = f"the journal is damaged, or a newer Interlock wrote it: event {seq} of run {run_id}, {kind}"
    return JournalError(f"{message}, can't be read ({error})", fix="update Interlock, or restore it from a copy")


def _too_new(run_id: str, version: int) -> JournalTooNew:
    known = f"this Interlock knows versions up to {FORMAT_VERSION}"
    return JournalTooNew(f"the events of run {run_id} have version {version}, and {known}", fix="update Interlock")
