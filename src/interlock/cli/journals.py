"""Reading the journal for commands that drive nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from interlock.errors import RunNotFound
from interlock.ports import Journal, RunRow
from interlock.wiring import open_journal

from .config import Settings
from .text import plural

LAST = "last"
MATCHES_SHOWN = 5


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Journal]:
    """The journal, open. Raises JournalError where there is none: to read is not to make one."""
    journal = open_journal(settings.existing)
    try:
        yield journal
    finally:
        await journal.close()


async def find_run(journal: Journal, name: str) -> RunRow:
    """The run with this id, with an id that begins so and no other does, or the `last` one. Raises RunNotFound."""
    if name == LAST:
        newest = await journal.runs(limit=1)
        if not newest:
            raise RunNotFound("the journal has no runs yet", fix="start one: interlock run TEAM --input FILE")
        return newest[0]
    try:
        return await journal.run(name)
    except RunNotFound:
        matches = [row for row in await journal.runs(limit=0) if row.run_id.startswith(name)]
        if len(matches) != 1:
            raise _ambiguous(name, matches) from None
    return matches[0]


def _ambiguous(name: str, matches: list[RunRow]) -> RunNotFound:
    if not matches:
        return RunNotFound(f"there is no run {name} in this journal", fix="list the runs with: interlock runs")
    some = ", ".join(row.run_id for row in matches[:MATCHES_SHOWN])
    more = f" and {len(matches) - MATCHES_SHOWN:,} more" if len(matches) > MATCHES_SHOWN else ""
    return RunNotFound(f"{plural(len(matches), 'run')} begin with {name}: {some}{more}", fix="write more of the id")
