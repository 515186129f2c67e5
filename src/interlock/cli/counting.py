"""`stats`: what the runs of a journal come to, agent by agent."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Self

import msgspec

from interlock import history
from interlock.core.events import AnyEvent
from interlock.core.naming import hint
from interlock.core.plan import Plan
from interlock.errors import InputError, JournalError, JournalUnavailable, RunNotFound, TeamError
from interlock.history import Figures
from interlock.ports import Journal, RunRow
from interlock.team import Team
from interlock.team.load import TEAM_FILE

from . import config, exits
from .config import Settings
from .documents import print_json
from .journals import find_run, reading
from .text import interactive

PAGE_RUNS = 500
RUNS_AT_ONCE = 50
PLANS_KEPT_MAX = 100
# Runs are read in the order in which they were opened, by processes whose clocks may differ so much.
CLOCKS_APART_US_MAX = 3_600_000_000


class Choice(msgspec.Struct, frozen=True):
    """Which runs are counted, and which agents. since_us: they began then at the earliest; source: their team file."""

    names: tuple[str, ...] = ()
    batch: str = ""
    since_us: int = 0
    source: str = ""
    agents: tuple[str, ...] = ()
    limit: int = sys.maxsize

    @classmethod
    def of(
        cls,
        names: Iterable[str] | None,
        *,
        batch: str,
        since: str | None,
        team: str | None,
        agents: Iterable[str] | None,
        limit: int | None,
    ) -> Self:
        """The choice that these flags are. Raises InputError."""
        since_us = 0 if since is None else config.since_us(since)
        source = "" if team is None else _source(Path(team))
        return cls(tuple(names or ()), batch, since_us, source, tuple(agents or ()), limit or sys.maxsize)

    def has(self, row: RunRow) -> bool:
        """Whether this run is counted."""
        return row.started_us >= self.since_us and self.batch in {"", row.batch} and self.source in {"", row.source}


class Count(msgspec.Struct):
    """What has been counted. unreadable: how many runs could not be read, and why the first of them; left: not all."""

    figures: Figures
    unreadable: int = 0
    why: str = ""
    left: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        unreadable = {"runs": self.unreadable, "first": self.why}
        return {"complete": not self.left, "unreadable": unreadable, **self.figures.to_dict()}


def stats(settings: Settings, choice: Choice, *, json: bool) -> int:
    """Count, and tell; whoever interrupts it is told what was counted so far, the newest runs."""
    count = Count(Figures(choice.agents))
    try:
        _count(settings, choice, count)
    except KeyboardInterrupt:
        count.left = True
    if not count.left:
        _refuse_unknown(choice, count.figures)
    if json:
        print_json(count.to_dict())
    else:
        from .paint_stats import show_stats

        show_stats(count.figures)
    if count.unreadable:
        exits.say(f"{count.unreadable:,} of the runs can't be read and are not counted; the first: {count.why}")
    if count.left:
        exits.say("interrupted: these are the newest runs only")
    return exits.INTERRUPTED if count.left else exits.DONE


def _count(settings: Settings, choice: Choice, count: Count) -> None:
    if not interactive():
        asyncio.run(_read(settings, choice, count, lambda _: None))
        return
    from .bar import ReadingLine

    with ReadingLine() as line:
        asyncio.run(_read(settings, choice, count, line.moved))


async def _read(settings: Settings, choice: Choice, count: Count, moved: Callable[[Figures], None]) -> None:
    async with reading(settings) as journal:
        plans = _Plans(journal)
        found = _rows(journal, choice)
        if choice.names or choice.batch:  # else those below are among them
            found = _with_below(found, journal, plans)
        async for rows in _together(found, choice.limit):
            loads = (journal.load(row.run_id) for row in rows)
            for row, events in zip(rows, await asyncio.gather(*loads, return_exceptions=True), strict=True):
                try:
                    count.figures.add(row, await plans.of(row), _loaded(events))
                except JournalUnavailable:
                    raise
                except (JournalError, TeamError, msgspec.DecodeError) as error:
                    count.unreadable += 1
                    count.why = count.why or str(error)
            moved(count.figures)


def _loaded(events: list[AnyEvent] | BaseException) -> list[AnyEvent]:
    if isinstance(events, BaseException):
        raise events
    return events


async def _together(rows: AsyncIterator[RunRow], limit: int) -> AsyncIterator[list[RunRow]]:
    """The first of them, a few at a time: one after the other, each would wait for two threads to take turns."""
    few: list[RunRow] = []
    async for row in rows:
        few.append(row)
        limit -= 1
        if len(few) == RUNS_AT_ONCE or not limit:
            yield few
            few = []
        if not limit:
            return
    if few:
        yield few


async def _rows(journal: Journal, choice: Choice) -> AsyncIterator[RunRow]:
    """The runs that are counted, the newest first, or those that were named."""
    found = _named(journal, choice.names) if choice.names else _all(journal, choice)
    async for row in found:
        if choice.has(row):
            yield row


async def _with_below(rows: AsyncIterator[RunRow], journal: Journal, plans: "_Plans") -> AsyncIterator[RunRow]:
    """Runs, each once, and those that do steps of them."""
    told = set[str]()
    async for row in rows:
        for one in [row, *[inner async for inner in _below(journal, row, plans)]]:
            if one.run_id not in told:
                told.add(one.run_id)
                yield one


async def _below(journal: Journal, row: RunRow, plans: "_Plans") -> AsyncIterator[RunRow]:
    """The runs that do steps of this one, and of those. Of one that can't be read it is told where it is counted."""
    try:
        found = history.children(await journal.load(row.run_id)) if await plans.are_nested(row) else []
        rows = [await journal.run(child.run_id) for child in found]
    except (JournalError, RunNotFound, TeamError, msgspec.DecodeError):
        return
    for inner in rows:
        yield inner
        async for one in _below(journal, inner, plans):
            yield one


async def _named(journal: Journal, names: Iterable[str]) -> AsyncIterator[RunRow]:
    rows = [await find_run(journal, name) for name in names]
    for row in {row.run_id: row for row in rows}.values():
        yield row


async def _all(journal: Journal, choice: Choice) -> AsyncIterator[RunRow]:
    """Page by page, so that a journal of any size takes no memory."""
    before = ""
    while page := await journal.runs(batch=choice.batch, limit=PAGE_RUNS, before=before):
        for row in page:
            yield row
        if page[-1].started_us < choice.since_us - CLOCKS_APART_US_MAX:
            return
        before = page[-1].run_id


class _Plans:
    """The plans that the runs of a journal are pinned to."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: dict[str, Team] = {}

    async def of(self, row: RunRow) -> Plan:
        """The plan of a run. Raises JournalError, TeamError, and msgspec.DecodeError where it can't be read."""
        return (await self._team(row)).rules.plan

    async def are_nested(self, row: RunRow) -> bool:
        """Whether other runs may do steps of a run. Raises as `of` does."""
        return bool((await self._team(row)).nested)

    async def _team(self, row: RunRow) -> Team:
        if row.team not in self._kept:
            if len(self._kept) == PLANS_KEPT_MAX:
                self._kept.pop(next(iter(self._kept)))
            self._kept[row.team] = Team.of_document(await self._journal.blob(row.team))
        return self._kept[row.team]


def _source(team: Path) -> str:
    """The team file as runs name it; it need not be there any more."""
    return str((team / TEAM_FILE if team.is_dir() else team).resolve())


def _refuse_unknown(choice: Choice, figures: Figures) -> None:
    """Raises InputError for an agent that none of the runs has called."""
    for name in choice.agents:
        if figures.runs and name not in figures.names:
            message = f"no agent {name} was called in these runs{hint(name, figures.names)}"
            raise InputError(message, fix=f"name one of: {', '.join(figures.names)}")
