"""`dlq redrive`: dead letters tried again, grouped by the team file of their runs."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec

from interlock.core import paths
from interlock.core.values import ABSENT
from interlock.engine import clock, tasks
from interlock.errors import InputError, InterlockError
from interlock.history import letter
from interlock.ports import LetterRow, Letters
from interlock.team import Team
from interlock.team.plans import chooses

from . import exits
from .dlq import chosen, found, none_meant, with_those_above
from .journals import reading
from .looking import user
from .resuming import load, under_its_plan
from .running import How, drive_many, drive_one, open_engine, quiet_agents, screen, show_many, show_one
from .tally import Tally
from .text import plural, shown_path

Steps = Mapping[str, Sequence[str]]
Changes = Mapping[str, Any]


class Trial(msgspec.Struct, frozen=True):
    """How letters are tried again.

    changes: what is set in the context that the step was shown; of one run only. reason: for the journal. team: under
    which team; None for the one that each run was started with, which must be as it was.
    """

    changes: Changes
    reason: str
    team: str | None = None


def redrive(names: Sequence[str], letters: Letters, trial: Trial, how: How) -> int:
    """Try the letters with these names again, or all that the filters mean; returns the exit code."""
    return tasks.run_main(_redrive(names, letters, trial, how))


def edit(name: str, reason: str, team: str | None, how: How) -> int:
    """Let the person change what one dead step was shown, and try it again; returns the exit code."""
    row, run = asyncio.run(found(how.settings, name))
    call = letter(run, row.step).call
    if call is None:
        raise InputError(f"step {row.step} was never called: it was shown nothing", fix="use redrive --set PATH=VALUE")
    before = msgspec.json.format(msgspec.json.encode(call.view), indent=2).decode()
    after = click.edit(before + "\n", extension=".json")
    if after is None:
        exits.say("nothing was changed")
        return exits.FAILED
    try:
        changes = {*_differences(call.view, msgspec.json.decode(after, type=dict[str, Any]), ())}
    except msgspec.DecodeError as error:
        raise InputError(f"what you wrote is no JSON object: {error}") from error
    gone = [path for path, value in changes if value is _GONE]
    if gone:
        raise InputError(f"{gone[0]} can't be removed", fix="set it to another value")
    if not changes:
        exits.say("nothing was changed")
        return exits.FAILED
    decoded = {path: msgspec.json.decode(value) for path, value in changes}
    return redrive([row.name], Letters(waiting=True), Trial(decoded, reason, team), how)


_GONE = b""


def _differences(before: Any, after: Any, place: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The paths at which one tree differs from another, and what stands there as JSON."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from _differences(before.get(key, ABSENT), after.get(key, ABSENT), (*place, paths.segment(key)))
    elif after is ABSENT:
        yield ".".join(place), _GONE
    elif before is ABSENT or msgspec.json.encode(before) != msgspec.json.encode(after):
        yield ".".join(place), msgspec.json.encode(after)


async def _redrive(names: Sequence[str], letters: Letters, trial: Trial, how: How) -> int:
    async with reading(how.settings) as journal:
        rows = await chosen(journal, names, letters)
        if not names:
            rows = await with_those_above(journal, rows)
        why = "" if rows else await none_meant(journal, letters)
    if not rows:
        exits.say(f"no dead letters wait that are meant so{why}")
        return exits.DONE
    by_source = _by_source(rows, trial.team)
    if len(by_source) == 1 and len(steps := next(iter(by_source.values()))) == 1:
        [(source, _)] = by_source.items()
        return await _redrive_one(source, steps, trial, how)
    if trial.changes:
        runs = plural(len({row.run_id for row in rows}), "run")
        raise InputError(f"--set changes what one run is shown, and these are {runs}", fix="name one")
    return await _redrive_all(by_source, trial, how)


def _by_source(rows: Sequence[LetterRow], team: str | None) -> dict[str, dict[str, list[str]]]:
    """Team file -> run -> steps; the oldest letters first. team: the file for all of them."""
    groups: dict[str, dict[str, list[str]]] = {}
    for row in reversed(rows):
        groups.setdefault(team or row.source, {}).setdefault(row.run_id, []).append(row.step)
    return groups


async def _redrive_one(source: str, steps: Steps, trial: Trial, how: How) -> int:
    [(run_id, mine)] = steps.items()
    [(loaded, _)] = await _by_plan(load(source, trial.team), steps, how)
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(loaded, how.settings, shown) as engine:
            by, why, other = f"person:{user()}", trial.reason, trial.team is not None
            work = engine.redrive(run_id, mine, changes=trial.changes, by=by, reason=why, under_this_team=other)
            told = await drive_one(engine, work, run_id, how, shown)
    if run_id not in told.family:
        exits.say(f"run {run_id} was forked: the steps are tried again in run {told.row.run_id}")
    return show_one(told, how)


async def _by_plan(loaded: Team, steps: Steps, how: How) -> list[tuple[Team, dict[str, Sequence[str]]]]:
    """The runs by the plan that they have, where the team has several."""
    if not chooses(loaded.planner):
        return [(loaded, dict(steps))]
    groups: dict[str, tuple[Team, dict[str, Sequence[str]]]] = {}
    for run_id, mine in steps.items():
        async with reading(how.settings) as journal:
            row = await journal.run(run_id)
        under = await under_its_plan(loaded, row, how)
        groups.setdefault(under.hash, (under, {}))[1][run_id] = mine
    return [*groups.values()]


async def _redrive_all(by_source: Mapping[str, Steps], trial: Trial, how: How) -> int:
    """One team after the other. What can't be redriven is told, and the rest goes on."""
    tally, began, codes = Tally(0), clock.monotonic(), list[int]()
    shown = screen(tally, json=how.json)

    def refused(run_id: str, error: InterlockError) -> None:
        shown.say(f"{run_id} can't be redriven: {error}")
        codes.append(exits.of_error(error))
        tally.total -= 1

    with quiet_agents(shown), shown:
        for source, steps in by_source.items():
            try:
                stopped = False
                for under, mine in await _by_plan(load(source, trial.team), steps, how):
                    async with open_engine(under, how.settings, shown) as engine:
                        tally.total += len(mine)
                        by, why, other = f"person:{user()}", trial.reason, trial.team is not None
                        runs = engine.redrive_many(mine, by=by, reason=why, under_this_team=other, refused=refused)
                        stopped = stopped or await drive_many(engine, runs, how, shown, tally)
            except InterlockError as error:
                shown.say(f"{plural(len(steps), 'run')} of {shown_path(source)} can't be redriven: {error}")
                codes.append(exits.of_error(error))
            else:
                if stopped:
                    break
    if tally.total:
        codes.append(show_many(tally, clock.monotonic() - began, "", how))
    return exits.worst(codes)
