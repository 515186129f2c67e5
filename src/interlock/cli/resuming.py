"""`resume`: whatever in the journal nobody drives, grouped by the team file it was started from."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from interlock.core.events import PlanChosen, RunStarted
from interlock.engine import clock, tasks
from interlock.engine.decisions import OPEN
from interlock.engine.versions import pinned, versions
from interlock.errors import InputError, InterlockError, JournalError, RunNotFound, TeamChanged
from interlock.planning import planner_of
from interlock.ports import Batch, Journal, RunRow
from interlock.team import Team, difference
from interlock.team.plans import chooses

from . import exits
from .journals import find_run, reading
from .kin import line_of, top_of
from .looking import user
from .running import How, drive_many, drive_one, open_engine, quiet_agents, screen, show_many, show_one
from .screens import Screen
from .tally import Tally
from .text import line, plain, plural, shown_path

DIFFERENCES_SHOWN = 8
CHOICES = "go on with the team as it was (--as-pinned) or under the team as it is now (--migrate), or cancel"


class Waiting(msgspec.Struct, frozen=True):
    """A run or a batch that waits for a driver. rows: of a batch, how many have no run yet; of a run, itself.

    row: of a run, that of the one at the top, of a step of which it does a part.
    """

    id: str
    team: str
    source: str
    rows: int
    row: RunRow | None = None


class Found(msgspec.Struct, frozen=True):
    """What there is to resume, how many running runs another process drives, and what is damaged of the others.

    parked: how many are left to wait for a person, a time or an event.
    """

    waiting: Sequence[Waiting]
    driven: int
    parked: int = 0
    damaged: Sequence[str] = ()


class Choice(msgspec.Struct, frozen=True):
    """What becomes of runs that were started under another version of their team, and who says so.

    way: pinned (they go on with the team as it was), migrate (under the team as it is), or "": as it was where the
    difference matters for no step that remains, else they are left alone.
    """

    way: Literal["", "pinned", "migrate"] = ""
    reason: str = ""


LEAVE = Choice()


def resume(names: Sequence[str], team: str | None, choice: Choice, how: How) -> int:
    """Resume the runs and batches of these names, or all of them; returns the exit code."""
    return tasks.run_main(_resume(names, team, choice, how))


async def _resume(names: Sequence[str], team: str | None, choice: Choice, how: How) -> int:
    if len(names) == 1:
        row = await _run_of(names[0], how)
        if row is not None:
            return await resume_one(row, team, how, choice)
    found = await _find(names, how)
    if found.driven:
        exits.say(f"{plural(found.driven, 'run')} left alone: driven by another process")
    if found.damaged:
        exits.say(f"{plural(len(found.damaged), 'run')} left alone: damaged in the journal")
    left = exits.USAGE if found.damaged else exits.DONE
    if not found.waiting:
        parked = f": {plural(found.parked, 'run')} parked, see {how.settings.command('inbox list')}"
        exits.say(f"nothing to resume{parked if found.parked else ''}")
        return left
    return exits.worst([left, await _resume_all(found, names, team, choice, how)])


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


async def resume_one(row: RunRow, team: str | None, how: How, choice: Choice = LEAVE) -> int:
    """Go on with one run; returns the exit code."""
    if row.status != "running" and choice.way != "migrate" and not await _is_late(row, how):
        exits.say(f"run {row.run_id} is not waiting for a driver: {_is(row)}")
    async with reading(how.settings) as journal:
        line_ = await line_of(journal, row)
    top = line_[-1]
    if choice.way != "migrate":  # who goes on with a run goes on with those that do its steps
        row = next((one for one in reversed(line_) if one.status == "running"), row)
    loaded = await under_its_plan(load(top.source, team), top, how, choice)
    if loaded.hash != top.team and choice.way != "migrate":
        loaded = await _as_it_was(top, loaded, choice, how)
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(loaded, how.settings, shown) as engine:
            by = f"person:{user()}"
            migrates = choice.way == "migrate" and loaded.hash != top.team
            work = (
                engine.migrate(row.run_id, by=by, reason=choice.reason) if migrates else engine.resume_run(row.run_id)
            )
            told = await drive_one(engine, work, row.run_id, how, shown)
    if row.run_id not in told.family:
        exits.say(f"run {row.run_id} goes on as run {told.row.run_id}")
    return show_one(told, how)


async def under_its_plan(loaded: Team, row: RunRow, how: How, choice: Choice = LEAVE) -> Team:
    """The team under the plan that a run has, of several; under that of its name, where it has changed since.

    Raises TeamChanged where there is none of that name any more.
    """
    if not chooses(loaded.planner):
        return loaded
    async with reading(how.settings) as journal:
        first = next(iter(await journal.load(row.run_id)), None)
    return _under(loaded, row.team, first.chosen if isinstance(first, RunStarted) else None, row.run_id, choice)


def _under(loaded: Team, team: str, chosen: PlanChosen | None, name: str, choice: Choice) -> Team:
    planner = planner_of(loaded)
    assert planner is not None
    same = next((under for under in planner.teams.values() if under.hash == team), None)
    if same is None and chosen is not None:
        same = planner.teams.get(chosen.plan)
    if same is None and choice.way != "pinned":
        what = f"was started under the plan {chosen.plan}, which is" if chosen else "was started under a plan that is"
        raise TeamChanged(f"run {name} {what} not there any more", fix=f"{CHOICES}: interlock cancel {name}")
    return same or loaded


async def _as_it_was(row: RunRow, now: Team, choice: Choice, how: How) -> Team:
    """The team that a run was started under. Raises TeamChanged where a difference matters, and nobody has chosen."""
    async with reading(how.settings) as journal:
        if choice.way != "pinned":
            found = await versions(journal, row, now)
            lines = "; ".join(found.lines())
            if found.matters:
                what = f"was started under another version of this team, and that matters for what remains: {lines}"
                raise TeamChanged(f"run {row.run_id} {what}", fix=f"{CHOICES}: interlock cancel {row.run_id}")
            if row.status in OPEN:
                exits.say(f"run {row.run_id} goes on with the team as it was: {lines}")
        return await pinned(journal, row.team, now.path, now)


def _is(row: RunRow) -> str:
    return line(row.reason) if row.status == "parked" else f"it has ended, {row.status}"


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
        sound += await _asked(journal, names)
        listed = {row.run_id for row in sound}
        # Who goes on with a run goes on with those that do its steps.
        waiting = [await _waiting(journal, row) for row in sound if row.parent not in listed]
        for batch in await journal.batches():
            if not names or batch.batch_id in names:
                rows = batch.rows - len(await journal.runs(batch=batch.batch_id, limit=0))
                waiting.append(Waiting(batch.batch_id, batch.team, batch.source, rows))
        now_us = clock.now_us()
        due = await _due(journal)
        late = dict.fromkeys(run_id for due_us, run_id in due if 0 < due_us <= now_us)
        parked = {row.run_id: row for row in await journal.runs(status="parked", limit=0)} if due else {}
        overdue = [parked[run_id] for run_id in late if run_id in parked and _wanted(names, parked[run_id])]
        damaged += [row.damage for row in overdue if row.damage]
        waiting += [await _waiting(journal, row) for row in overdue if not row.damage]
        left = [row for row in parked.values() if row.run_id not in listed and row not in overdue]
        others = sum(_wanted(names, row) and not row.parent for row in left)
        driven = [row for row in running if row.run_id not in mine and not row.parent and _wanted(names, row)]
        return Found(waiting, len(driven), others, damaged)


async def _waiting(journal: Journal, row: RunRow) -> Waiting:
    """A run that waits; the team is that of the run at the top, in which the others are nested."""
    top = await top_of(journal, row)
    return Waiting(row.run_id, top.team, top.source, 1, top)


async def _asked(journal: Journal, names: Sequence[str]) -> list[RunRow]:
    """The parked runs of which other runs ask something, such as to look at one that has done a step."""
    rows = [await journal.run(run_id) for run_id in await journal.asked()]
    return [row for row in rows if _wanted(names, row) and not row.damage]


async def _due(journal: Journal) -> list[tuple[int, str]]:
    """Until when runs wait, 0 for ever, and which."""
    due = [(one.due_us, one.run_id) for one in await journal.questions()]
    return due + [(one.due_us, one.run_id) for one in await journal.waits()]


async def _is_late(row: RunRow, how: How) -> bool:
    """Whether the time has come for which a run waits."""
    now_us = clock.now_us()
    async with reading(how.settings) as journal:
        return any(run_id == row.run_id and 0 < due_us <= now_us for due_us, run_id in await _due(journal))


def _wanted(names: Sequence[str], row: RunRow) -> bool:
    return not names or row.run_id in names or row.batch in names


async def _resume_all(found: Found, names: Sequence[str], team: str | None, choice: Choice, how: How) -> int:
    """One team after the other. What can't be resumed is told, and the rest goes on."""
    tally, began = Tally(0), clock.monotonic()
    shown = screen(tally, json=how.json)
    codes: list[int] = []
    with quiet_agents(shown), shown:
        for source, items in _by_source(found.waiting, team).items():
            try:
                loaded = load(source, team)
                stopped = False
                for under, mine in await _by_plan(loaded, items, how, choice):
                    split = await _split(mine, under, choice, how)
                    codes.append(await _tell_changed(split.left, under, how, shown))
                    stopped = stopped or await _resume_split(split, under, choice, how, shown, tally, codes)
            except InterlockError as error:
                shown.say(f"{shown_path(source) or plural(len(items), 'run')} can't be resumed: {error}")
                codes.append(exits.of_error(error))
            else:
                if stopped:
                    break
    if tally.total:
        codes.append(show_many(tally, clock.monotonic() - began, names[0] if len(names) == 1 else "", how))
    return exits.worst(codes)


async def _by_plan(
    loaded: Team, items: Sequence[Waiting], how: How, choice: Choice
) -> list[tuple[Team, list[Waiting]]]:
    """The runs and batches by the plan that they have, of several."""
    found: dict[str, tuple[Team, list[Waiting]]] = {}
    for item in items:
        if item.row is not None:
            under = await under_its_plan(loaded, item.row, how, choice)
        else:
            under = _under(loaded, item.team, None, item.id, choice) if chooses(loaded.planner) else loaded
        found.setdefault(under.hash, (under, []))[1].append(item)
    return [*found.values()]


class Split(msgspec.Struct):
    """What goes on how: with the team as it is now, as it was (by its hash), under it in the place of a run, not."""

    same: list[Waiting]
    pinned: dict[str, list[Waiting]]
    migrated: list[Waiting]
    left: list[Waiting]


async def _split(items: Iterable[Waiting], now: Team, choice: Choice, how: How) -> Split:
    split = Split([], {}, [], [])
    async with reading(how.settings) as journal:
        for item in items:
            if item.team == now.hash:
                split.same.append(item)
            elif choice.way == "migrate" and item.row is not None:
                split.migrated.append(item)
            elif choice.way == "pinned" or await _is_the_same(journal, item, now):
                split.pinned.setdefault(item.team, []).append(item)
            else:
                split.left.append(item)
    return split


async def _is_the_same(journal: Journal, item: Waiting, now: Team) -> bool:
    """Whether what has changed since matters for no step that remains. Of a batch, everything remains."""
    if item.row is None:
        return False
    try:
        return not (await versions(journal, item.row, now)).matters
    except JournalError:
        return True  # what is wrong with it is told where it is resumed


async def _resume_split(
    split: Split, now: Team, choice: Choice, how: How, shown: Screen, tally: Tally, codes: list[int]
) -> bool:
    """Resume what can be; returns whether it was stopped."""
    tally.total += sum(item.rows for item in (*split.same, *split.migrated))
    tally.total += sum(item.rows for items in split.pinned.values() for item in items)
    if await _resume_team(now, split.same, how, shown, tally):
        return True
    for hash_, items in split.pinned.items():
        async with reading(how.settings) as journal:
            as_it_was = await pinned(journal, hash_, now.path, now)
        shown.say(f"{plural(sum(item.rows for item in items), 'run')} of {shown_path(now.source)} as it was")
        if await _resume_team(as_it_was, items, how, shown, tally):
            return True
    return await _migrate(split.migrated, now, choice, how, shown, tally, codes)


async def _migrate(
    items: Sequence[Waiting], now: Team, choice: Choice, how: How, shown: Screen, tally: Tally, codes: list[int]
) -> bool:
    def refused(run_id: str, error: InterlockError) -> None:
        shown.say(f"{run_id} can't be migrated: {error}")
        codes.append(exits.of_error(error))
        tally.total -= 1

    if not items:
        return False
    async with open_engine(now, how.settings, shown) as engine:
        ids = [item.id for item in items]
        runs = engine.migrate_many(ids, by=f"person:{user()}", reason=choice.reason, refused=refused)
        return await drive_many(engine, runs, how, shown, tally)


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
            fix = f"fix: {CHOICES}"
            shown.say("\n".join([head, *(f"  {plain(text)}" for text in lines), f"  {fix}"]))
    return exits.USAGE


async def _resume_team(team: Team, items: Sequence[Waiting], how: How, shown: Screen, tally: Tally) -> bool:
    """Resume what was started under this very version of a team; returns whether it was stopped."""
    if not items:
        return False
    before = tally.done
    async with open_engine(team, how.settings, shown) as engine:
        if await drive_many(engine, engine.resume(ids={item.id for item in items}), how, shown, tally):
            return True
    # What was nobody's when it was found may be somebody's by now.
    if (taken := sum(item.rows for item in items) - (tally.done - before)) > 0:
        shown.say(f"{plural(taken, 'run')} left alone: driven by another process")
        tally.total -= taken
    return False
