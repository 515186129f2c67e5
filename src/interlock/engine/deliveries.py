"""Events from outside, on their way into the journal, whoever drives the run: as decisions are."""

from typing import Any

from interlock.core import events as e
from interlock.core.arrivals import (
    AGAIN,
    DATALESS,
    ENDED,
    UNAWAITED,
    UNWRITABLE,
    Arrival,
    Sent,
    arrival,
    opened,
    refused,
    sender,
    sent,
)
from interlock.core.machine import Machine
from interlock.errors import EventNotTaken, InputError, cut_short
from interlock.ids import new_id
from interlock.ports import REQUEST_CHARS_MAX, Journal, Request, RunRow

EVENT = "event"
UNREADABLE = "event"
# Between the parts of a request's id: no run id holds it, so that no two events have one id.
BETWEEN = "/"
# So many times may one run take the place of another, and an event still reach the last of them.
REPLACED_MAX = 1_000
# Who has sent an event that can't be read.
NOBODY = "unknown"


def event_request(run_id: str, event: str, data: Any, by: str, event_id: str, now_us: int) -> Request:
    """An event as it is asked of whoever drives the run. Without an id it is one of its own. Raises InputError."""
    event_id = event_id or new_id(now_us)
    request_id = BETWEEN.join((EVENT, run_id, event_id))
    return Request(request_id, run_id, EVENT, sender(by), "", sent(event, event_id, data))


def event_id_in(request: Request) -> str:
    """The id of the event that is asked of a run."""
    return request.request_id.split(BETWEEN, 2)[-1]


def arrived(request: Request, machine: Machine, at_us: int) -> Arrival:
    """What becomes of an event in a run that is folded so far. One that can't be read is refused, too."""
    try:
        by, given = sender(request.by), opened(request.body)
    except InputError as error:
        event_id = cut_short(event_id_in(request), REQUEST_CHARS_MAX)
        return refused(Sent("unknown", event_id), NOBODY, UNREADABLE, error.message, at_us)
    return arrival(machine, given, by, at_us)


async def addressee(journal: Journal, row: RunRow) -> RunRow:
    """The run that an event reaches which is sent to this one: that which has taken its place, or the place of that."""
    for _ in range(REPLACED_MAX):
        if row.status != "cancelled":
            break
        events = reversed(await journal.load(row.run_id))
        heir = next((event.goes_on_as for event in events if isinstance(event, e.RunCancelled)), "")
        if not heir:
            break
        row = await journal.run(heir)
    return row


def came_before(verdict: e.AnyEvent | None) -> bool:
    """Whether nothing has come of an event since it has come before: that is as well for whoever sends it."""
    return isinstance(verdict, e.EventRefused) and any(finding.code == AGAIN for finding in verdict.findings)


def not_taken(run_id: str, verdict: e.EventRefused) -> EventNotTaken:
    """The error for whoever has sent it."""
    findings = "; ".join(finding.message for finding in verdict.findings)
    show, send = f"interlock show {run_id}", f"interlock event {run_id} {verdict.event}"
    mends = {
        UNAWAITED: f"see what the run waits for: {show}",
        ENDED: f"see how it has ended: {show}",
        UNREADABLE: f"see what the run waits for: {show}",
        UNWRITABLE: f"send it without: {send}",
        DATALESS: f"say what it brings: {send} --data JSON",
    }
    fix = mends.get(verdict.findings[0].code, f"send what fits: {send} --data JSON")
    return EventNotTaken(f"run {run_id}: {findings}", fix=fix)
