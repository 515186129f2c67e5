"""A run is cancelled, whoever drives it."""

import asyncio
from collections.abc import Callable

from interlock import errors
from interlock.core import given
from interlock.errors import JournalError
from interlock.ports import Journal, Request, RunRow

from . import clock
from .decisions import OPEN, cancelled

WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05


async def cancel(
    journal: Journal, run_id: str, *, by: str, reason: str = "", now_us: Callable[[], int] = clock.now_us
) -> RunRow:
    """Cancel a run, whoever drives it; returns it as it is afterwards. A run that has ended stays as it is.

    Nobody drives it: it is cancelled here. Somebody does: it is asked to, and given ten seconds. Raises InputError.
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
            await journal.append(run_id, len(events), [fact], settles=[request.request_id])
        row = await journal.run(run_id)
        if row.status not in OPEN:
            return row
        await asyncio.sleep(POLL_SECONDS)
    raise JournalError(f"the process that drives run {run_id} has not answered; it will cancel the run when it does")
