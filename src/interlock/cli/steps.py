"""`fork`, `retry` and `skip`: what people do with single steps of a run."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from interlock.core.decision import person
from interlock.engine import tasks
from interlock.ports import RunRow

from . import exits
from .journals import find_run, reading
from .looking import user
from .resuming import load, under_its_plan
from .running import How, drive_one, open_engine, quiet_agents, screen, show_one
from .tally import Tally


class Fork(msgspec.Struct, frozen=True):
    """What is asked for. changes: what the step is shown instead. team: under which; None for that of the run."""

    at: str
    changes: Mapping[str, Any]
    team: str | None
    by: str
    reason: str
    repeat_effects: bool


def fork(name: str, asked: Fork, how: How) -> int:
    """Fork the run of this name and drive the new one; returns the exit code."""
    return tasks.run_main(_fork(name, asked, how))


async def _fork(name: str, asked: Fork, how: How) -> int:
    by, row = person(asked.by or user()), await run_named(name, how)
    loaded = await under_its_plan(load(row.source, asked.team), row, how)
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(loaded, how.settings, shown) as engine:
            work = engine.fork(
                row.run_id,
                asked.at,
                changes=asked.changes,
                by=by,
                reason=asked.reason,
                under_this_team=asked.team is not None,
                repeat_effects=asked.repeat_effects,
            )
            told = await drive_one(engine, work, row.run_id, how, shown)
    exits.say(f"run {row.run_id} was forked at {asked.at}: the new run is {told.row.run_id}")
    return show_one(told, how)


class Settled(msgspec.Struct, frozen=True):
    """What a person wants done with a step of a run. team: the team file, where it is not that of the run."""

    verb: Literal["retry", "skip"]
    step: str
    by: str
    reason: str
    team: str | None


def settle(name: str, asked: Settled, how: How) -> int:
    """Have a step of the run of this name tried again, or skipped, and drive the run; returns the exit code."""
    return tasks.run_main(_settle(name, asked, how))


async def _settle(name: str, asked: Settled, how: How) -> int:
    by, row = person(asked.by or user()), await run_named(name, how)
    loaded = await under_its_plan(load(row.source, asked.team), row, how)
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(loaded, how.settings, shown) as engine:
            do = engine.retry if asked.verb == "retry" else engine.skip
            work = do(row.run_id, asked.step, by=by, reason=asked.reason)
            told = await drive_one(engine, work, row.run_id, how, shown)
    return show_one(told, how)


async def run_named(name: str, how: How) -> RunRow:
    """The run of this name. Raises RunNotFound."""
    async with reading(how.settings) as journal:
        return await find_run(journal, name)
