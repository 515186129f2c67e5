"""`resume`: whatever in the journal nobody drives, grouped by the team file it was started from."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from interlock.engine import clock, tasks
from interlock.errors import InputError, InterlockError, RunNotFound
from interlock.ports import Batch, Journal, RunRow
from interlock.team import Team, difference

from . import exits
from .journals import find_run, reading
from .running import How, drive_many, drive_one, open_engine, quiet_agents, screen, show_many, show_one
from .screens import Screen
from .tally import Tally
from .text import plain, plural, shown_path

DIFFERENCES_SHOWN = 8


class Waiting(msgspec.Struct, frozen=True):
    """A run or a batch that waits for a driver. rows: of a batch, how many have no run yet; of a run, itself."""

    id: str
    team: str
    source: str
    rows: int


class Found(msgspec.Struct, frozen=True):
    """What there is to resume, how many running runs another process drives, and what is damaged of the others."""

    waiting: Sequence[Waiting]
    driven: int
    damaged: Sequence[str] = ()


def resume(names: Sequence[str], team: str | None, how: How) -> int:
    """Resume the runs and batches of these names, or all of them; returns the exit code."""
    return tasks.run_main(_resume(names, team, how))


async def _resume(names: Sequence[str], team: str | None, how: How) -> int:
    if len(names) == 1:
        row = await _run_of(names[0], how)
        if row is not None:
            return await resume_one(row, team, how)
    found = await _find(names, how)
    if found.driven:
        exits.say(f"{plural(found.driven, 'run')} left alone: driven by another process")
    if found.damaged:
        exits.say(f"{plural(len(found.damaged), 'run')} left alone: damaged in the journal")
    left = exits.USAGE if found.damaged else exits.DONE
    if not found.waiting:
        exits.say("nothing to resume")
        return left
    return exits.worst([left, await _resume_all(found, names, team, how)])


async def _run_of(name: str, how: How) -> RunRow | None:
    """The run of this name; None where it is a batch."""
    async with reading(how.settings) as journal:
        if await _batch_of(journal, name):
            return None
        return await find_run(journal, name)


async def _batch_of(journal: Journal, name: str) -> Batch | None:
    with suppress(RunNotFound):
        return await journal.batch(name)
    return None


# --- one run ---


async def resume_one(row: RunRow, team: str | None, how: How) -> int:
    """Go on with one run; returns the exit code."""
    if row.status != "running":
        exits.say(f"run {row.run_id} is not waiting for a driver: it {_is(row.status)}")
    loaded = load(row.source, team)
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(loaded, how.settings, shown) as engine:
            told = await drive_one(engine, engine.resume_run(row.run_id), row.run_id, how, shown)
    return show_one(told, how)


def _is(status: str) -> str:
    return "waits for a person" if status == "parked" else f"has ended, {status}"


def load(source: str, team: str | None) -> Team:
    """The team to resume with. Raises InputError for a team declared in Python, TeamError."""
    if team is None and not source:
        fix = "resume it from that program, or name a team file that declares the same: --team TEAM"
        raise InputError("it was started by a Python program, not from a team file", fix=fix)
    return Team.load(team or source)


# --- many ---


async def _find(names: Sequence[str], how: How) -> Found:
    """Take over what nobody drives, to see what it is; closing the journal gives it up again."""
    async with reading(how.settings) as journal:
        claimed = await journal.claim()
        mine = {row.run_id for row in claimed}
        running = await journal.runs(status="running", limit=0)
        damaged = [row.damage for row in claimed if row.damage and _wanted(names, row)]
        sound = [row for row in claimed if not row.damage and _wanted(names, row)]
        waiting = [Waiting(row.run_id, row.team, row.source, 1) for row in sound]
        for batch in await journal.batches():
            if not names or batch.batch_id in names:
                rows = batch.rows - len(await journal.runs(batch=batch.batch_id, limit=0))
                waiting.append(Waiting(batch.batch_id, batch.team, batch.source, rows))
        now_us = clock.now_us()
        late = dict.fromkeys(one.run_id for one in await journal.questions() if 0 < one.due_us <= now_us)
        parked = {row.run_id: row for row in await journal.runs(status="parked", limit=0)} if late else {}
        overdue = [parked[run_id] for run_id in late if run_id in parked and _wanted(names, parked[run_id])]
        damaged += [row.damage for row in overdue if row.damage]
        waiting += [Waiting(row.run_id, row.team, row.source, 1) for row in overdue if not row.damage]
        return Found(waiting, sum(row.run_id not in mine and _wanted(names, row) for row in running), damaged)


def _wanted(names: Sequence[str], row: RunRow) -> bool:
    return not names or row.run_id in names or row.batch in names


async def _resume_all(found: Found, names: Sequence[str], team: str | None, how: How) -> int:
    """One team after the other. What can't be resumed is told, and the rest goes on."""
    tally, began = Tally(0), clock.monotonic()
    shown = screen(tally, json=how.json)
    codes = []
    with quiet_agents(shown), shown:
        for source, items in _by_source(found.waiting, team).items():
            try:
                loaded = load(source, team)
                codes.append(await _tell_changed(items, loaded, how, shown))
                tally.total += sum(item.rows for item in items if item.team == loaded.hash)
                stopped = await _resume_team(loaded, items, how, shown, tally)
            except InterlockError as error:
                shown.say(f"{shown_path(source) or plural(len(items), 'run')} can't be resumed: {error}")
                codes.append(exits.of_error(error))
            else:
                if stopped:
                    break
    if tally.total:
        codes.append(show_many(tally, clock.monotonic() - began, names[0] if len(names) == 1 else "", how))
    return exits.worst(codes)


def _by_source(waiting: Iterable[Waiting], team: str | None) -> dict[str, list[Waiting]]:
    groups: dict[str, list[Waiting]] = {}
    for item in waiting:
        groups.setdefault(team or item.source, []).append(item)
    return groups


async def _tell_changed(items: Iterable[Waiting], team: Team, how: How, shown: Screen) -> int:
    """Say what differs for those that were started under another version of the team; returns the exit code."""
    changed: dict[str, int] = {}
    for item in items:
        if item.team != team.hash:
            changed[item.team] = changed.get(item.team, 0) + item.rows
    if not changed:
        return exits.DONE
    async with reading(how.settings) as journal:
        for old, number in changed.items():
            differences = difference(await journal.blob(old), team.document)
            more = len(differences) - DIFFERENCES_SHOWN
            lines = [*differences[:DIFFERENCES_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
            head = f"{plural(number, 'run')} left alone: started under another version of {shown_path(team.source)}:"
            fix = "fix: resume with the team as it was (--team TEAM), or cancel"
            shown.say("\n".join([head, *(f"  {plain(text)}" for text in lines), f"  {fix}"]))
    return exits.USAGE


async def _resume_team(team: Team, items: Iterable[Waiting], how: How, shown: Screen, tally: Tally) -> bool:
    """Resume what was started under this very version of a team; returns whether it was stopped."""
    ids = {item.id for item in items if item.team == team.hash}
    if not ids:
        return False
    async with open_engine(team, how.settings, shown) as engine:
        return await drive_many(engine, engine.resume(ids=ids), how, shown, tally)
