"""`dlq redrive`: dead letters tried again, grouped by the team file of their runs."""

from collections.abc import Mapping, Sequence

from interlock.engine import clock, tasks
from interlock.errors import InterlockError
from interlock.ports import LetterRow, Letters

from . import exits
from .dlq import chosen
from .journals import reading
from .looking import user
from .resuming import load
from .running import How, drive_many, drive_one, open_engine, quiet_agents, screen, show_many, show_one
from .tally import Tally
from .text import plural, shown_path

Steps = Mapping[str, Sequence[str]]


def redrive(names: Sequence[str], letters: Letters, why: str, how: How) -> int:
    """Try the letters with these names again, or all that the filters mean; returns the exit code."""
    return tasks.run_main(_redrive(names, letters, why, how))


async def _redrive(names: Sequence[str], letters: Letters, why: str, how: How) -> int:
    async with reading(how.settings) as journal:
        rows = await chosen(journal, names, letters)
    if not rows:
        exits.say("no dead letters wait that are meant so")
        return exits.DONE
    by_source = _by_source(rows)
    if len(by_source) == 1 and len(steps := next(iter(by_source.values()))) == 1:
        [(source, _)] = by_source.items()
        return await _redrive_one(source, steps, why, how)
    return await _redrive_all(by_source, why, how)


def _by_source(rows: Sequence[LetterRow]) -> dict[str, dict[str, list[str]]]:
    """Team file -> run -> steps; the oldest letters first."""
    groups: dict[str, dict[str, list[str]]] = {}
    for row in reversed(rows):
        groups.setdefault(row.source, {}).setdefault(row.run_id, []).append(row.step)
    return groups


async def _redrive_one(source: str, steps: Steps, why: str, how: How) -> int:
    [(run_id, mine)] = steps.items()
    loaded = load(source, None)
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(loaded, how.settings, shown) as engine:
            work = engine.redrive(run_id, mine, by=f"person:{user()}", reason=why)
            told = await drive_one(engine, work, run_id, how, shown)
    return show_one(told, how)


async def _redrive_all(by_source: Mapping[str, Steps], why: str, how: How) -> int:
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
                loaded = load(source, None)
                tally.total += len(steps)
                async with open_engine(loaded, how.settings, shown) as engine:
                    runs = engine.redrive_many(steps, by=f"person:{user()}", reason=why, refused=refused)
                    stopped = await drive_many(engine, runs, how, shown, tally)
            except InterlockError as error:
                shown.say(f"{plural(len(steps), 'run')} of {shown_path(source)} can't be redriven: {error}")
                codes.append(exits.of_error(error))
            else:
                if stopped:
                    break
    if tally.total:
        codes.append(show_many(tally, clock.monotonic() - began, "", how))
    return exits.worst(codes)
