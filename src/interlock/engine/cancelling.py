"""A run is cancelled, whoever drives it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from interlock import errors
from interlock.core import events as e
from interlock.core import given
from interlock.errors import JournalError, RunNotFound
from interlock.ports import Journal, Request, RunRow

from . import clock
from .children import CHILD, cancelling
from .decisions import OPEN, cancelled

WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05


async def cancel(
    journal: Journal, run_id: str, *, by: str, reason: str = "", now_us: Callable[[], int] = clock.now_us
) -> RunRow:
    """Cancel a run, whoever drives it; returns it as it is afterwards. A run that has ended stays as it is.

    Nobody drives it: it is cancelled here. Somebody does: it is asked to, and given ten seconds. The runs that do its
    steps are cancelled with it. Raises InputError.
    """
    given.texts(run_id=run_id, by=by, reason=reason)
    row = await journal.run(run_id)
    if row.status not in OPEN:
        return row
    reason = errors.hide(reason)
    request = Request(f"cancel-{run_id}", run_id, "cancel", by, reason)
    await journal.ask(request)
    for _ in range(round(WAIT_SECONDS / POLL_SECONDS)):
        if await journal.claim(run_id):
            events = await journal.load(run_id)
            fact = cancelled(request, max(now_us(), events[-1].at_us))
            children = _under_way(events)
            asks = [*(cancelling(name, run_id) for name in children), *_told_above(run_id, events)]
            await journal.append(run_id, len(events), [fact], settles=[request.request_id], asks=asks)
            for name in children:
                with suppress(JournalError, RunNotFound):  # it never began, or who drives it has been asked
                    await cancel(journal, name, by=by, reason=cancelling(name, run_id).reason, now_us=now_us)
        row = await journal.run(run_id)
        if row.status not in OPEN:
            return row
        await asyncio.sleep(POLL_SECONDS)
    raise JournalError(f"the process that drives run {run_id} has not answered; it will cancel the run when it does")


def _under_way(events: Sequence[e.AnyEvent]) -> list[str]:
    """The runs that do steps of this one, or that it waits for no more, and whose end it doesn't know."""
    going: dict[str, None] = {}
    for event in events:
        if isinstance(event, e.ChildStarted):
            going[event.run_id] = None
        elif isinstance(event, e.ChildEnded):
            going.pop(event.run_id, None)
    return [*going]


def _told_above(run_id: str, events: Sequence[e.AnyEvent]) -> list[Request]:
    first = events[0]
    if not isinstance(first, e.RunStarted) or first.parent is None:
        return []
    return [Request(f"{CHILD}/{run_id}/{len(events) + 1}", first.parent.run_id, CHILD, run_id)]
