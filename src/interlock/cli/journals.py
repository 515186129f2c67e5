"""Reading the journal for commands that drive nothing."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

import msgspec

from interlock.core.events import AnyEvent
from interlock.core.values import content_hash
from interlock.errors import InterlockError, JournalError, RunNotFound
from interlock.history import Record
from interlock.ports import Journal, RunRow
from interlock.team import Team
from interlock.wiring import open_journal

from .config import Settings
from .text import plural

LAST = "last"
MATCHES_SHOWN = 5
RUNS_LOOKED_AT = 1_000


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Journal]:
    """The journal, open. Raises JournalError where there is none: to read is not to make one."""
    journal = open_journal(settings.existing)
    try:
        yield journal
    finally:
        await journal.close()


async def find_run(journal: Journal, name: str) -> RunRow:
    """The run with this id, with an id that begins so and no other does, or the `last` one. Raises RunNotFound.

    That is one which does no step of another.
    """
    if not name:  # such as a variable of a shell that isn't set: with it, every id begins
        raise RunNotFound("the id of the run is empty", fix="list the runs with: interlock runs")
    if name == LAST:
        newest = await journal.runs(limit=1, top=True)
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


async def record(journal: Journal, name: str) -> Record:
    """All that the journal keeps of the run that `find_run` finds. Raises JournalError where it can't be read."""
    row = await find_run(journal, name)
    document = await journal.blob(row.team)
    try:
        rules, (row, events) = Team.of_document(document).rules, await _row_and_events(journal, row)
    except msgspec.DecodeError as error:
        message = f"the journal is damaged: what it keeps of run {row.run_id} can't be read ({error})"
        raise JournalError(message, fix="restore it from a copy") from error
    return Record(row, content_hash(document), rules, events)


async def teams(journal: Journal, wanted: Collection[str] = ()) -> dict[str, Team]:
    """The teams of a journal as their newest runs know them, by name, or by the path of the file where they have none.

    wanted: names to look for among all runs, where those of late don't have them.
    """
    found: dict[str, Team] = {}
    seen: set[tuple[str, str]] = set()
    for limit in (RUNS_LOOKED_AT, 0):
        for row in await journal.runs(limit=limit):
            if (row.team, row.source) in seen:
                continue
            seen.add((row.team, row.source))
            with suppress(InterlockError, msgspec.DecodeError):  # a damaged one must not hide the others
                team = Team.of_document(await journal.blob(row.team))
                found.setdefault(team.name or row.source, team)
        if found.keys() >= set(wanted):
            break
    return found


async def _row_and_events(journal: Journal, row: RunRow) -> tuple[RunRow, list[AnyEvent]]:
    """A run as lists show it and its events, both of one moment: it may go on while they are read."""
    while True:
        events, after = await journal.load(row.run_id), await journal.run(row.run_id)
        if after == row:
            return row, events
        row = after


def _ambiguous(name: str, matches: list[RunRow]) -> RunNotFound:
    if not matches:
        return RunNotFound(f"there is no run {name} in this journal", fix="list the runs with: interlock runs")
    some = ", ".join(row.run_id for row in matches[:MATCHES_SHOWN])
    more = f" and {len(matches) - MATCHES_SHOWN:,} more" if len(matches) > MATCHES_SHOWN else ""
    return RunNotFound(f"{plural(len(matches), 'run')} begin with {name}: {some}{more}", fix="write more of the id")
