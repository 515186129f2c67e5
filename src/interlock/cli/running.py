"""`run`: one request or many, driven to their ends with Ctrl-C watched and progress shown."""

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, redirect_stdout, suppress
from typing import Any, Self

import msgspec

from interlock.engine import clock, tasks
from interlock.engine.engine import Engine
from interlock.engine.run import Run
from interlock.errors import InputError, RunInterrupted
from interlock.history import Record, Story, story
from interlock.ids import new_id
from interlock.team import Team
from interlock.wiring import Orchestrator

from . import config, exits
from .config import Settings
from .inputs import Given
from .interrupts import Cancelled, Interrupts
from .kin import top_of, whole
from .notices import Notices
from .rows import Row
from .screens import JsonLines, PlainLines, Screen
from .tally import Tally
from .text import interactive

Make = Callable[..., Engine]


class How(msgspec.Struct, frozen=True):
    """How runs are driven and shown."""

    settings: Settings
    grace_seconds: float
    json: bool

    @classmethod
    def of(cls, journal: str | None, concurrency: int | None, grace: str, *, json: bool) -> Self:
        """From the options of a command. Raises InputError."""
        return cls(config.settings(journal, concurrency), config.seconds(grace), json)


def start(team: Team, given: Given, how: How, make: Make = Orchestrator, *, approve: bool | str = False) -> int:
    """Run a team for all that was given, with the engine that `make` makes; returns the exit code.

    approve: a person must approve the plan first, or within so long.
    """
    under = [*_by_plan(team, given)]
    if len(given.rows) != 1:
        if approve is not False:
            message = f"a person approves the plan of one run, and there are {len(given.rows):,} requests"
            raise InputError(message, fix="add --limit 1, or look at it before: interlock plan")
        return exits.worst([tasks.run_main(_batch(chosen, rows, how, make, plan)) for chosen, rows, plan in under])
    [(chosen, *_)] = under
    told = tasks.run_main(_one(chosen, given.rows[0], how, make, approve))
    code = show_one(told, how)
    if approve is False:
        return code
    from .approving import ask

    return ask(told, how, team.source, code)


def _by_plan(team: Team, given: Given) -> Iterator[tuple[Team, Given, str]]:
    """The requests by the plans that they have, where the team has several: a batch has one. Raises InputError."""
    if not team.plans:
        yield team, given, ""
        return
    from interlock.planning import Choice, planner_of

    planner = planner_of(team)
    found: dict[str, tuple[Team, list[Row]]] = {}
    for row in given.rows:
        try:
            choice = planner.choose(row.request) if planner is not None else Choice(team, "", "")
        except InputError as error:
            raise InputError(f"{row.place}: {error.message}", fix=error.fix) from error
        found.setdefault(choice.plan, (choice.team, []))[1].append(row)
    for plan, (chosen, rows) in found.items():
        yield chosen, Given(given.origin, rows), plan


def screen(tally: Tally, *, json: bool, single: bool = False) -> Screen:
    """The right one for where the output goes. Only what moves on a terminal needs rich."""
    if json:
        return JsonLines()
    if not interactive():
        return PlainLines(tally)
    from .bar import BatchBar, StepsLine

    return StepsLine() if single else BatchBar(tally)


def open_engine(team: Team, settings: Settings, shown: Screen, make: Make = Orchestrator) -> Engine:
    """The engine for a team, on the journal of the settings. make: is called as Orchestrator is."""
    bounds = {} if settings.concurrency is None else dict.fromkeys(("calls_max", "runs_max"), settings.concurrency)
    return make(team, settings.journal, on_event=shown.happened, **bounds)


def _checked(engine: Engine, row: Row) -> bytes:
    try:
        return engine.request(row.request)
    except InputError as error:
        raise InputError(f"{row.place}: {error.message}", fix=error.fix) from error


@contextmanager
def quiet_agents(shown: Screen) -> Iterator[None]:
    """What agents print and what Interlock warns of must not get between the results: both go to standard error."""
    with redirect_stdout(sys.stderr), Notices(shown.say):
        yield


# --- one ---


async def _one(team: Team, row: Row, how: How, make: Make, approve: bool | str) -> Story:  # noqa: FBT001 - as given
    shown = screen(Tally(1), json=how.json, single=True)
    with quiet_agents(shown):
        async with open_engine(team, how.settings, shown, make) as engine:
            _checked(engine, row)
            run_id = new_id(clock.now_us())
            work = engine.run(row.request, run_id=run_id, approve_plan=approve)
            return await drive_one(engine, work, run_id, how, shown)


async def drive_one(engine: Engine, work: Coroutine[Any, Any, Run], run_id: str, how: How, shown: Screen) -> Story:
    """Drive one run; returns its story, or that of the run of which it does a step.

    Raises RunInterrupted if it was stopped before its end.
    """
    with shown, Interrupts(engine, how.grace_seconds, shown.say) as interrupts:
        try:
            run = await interrupts.watch(work)
            await shown.ended(run)
        except (Cancelled, RunInterrupted):
            fix = f"go on with: {how.settings.command(f'resume {run_id}')}"
            raise RunInterrupted(f"run {run_id} was stopped before its end", fix=fix) from None
    if shown.gone:
        raise BrokenPipeError
    # That of a fork is another. Who moves a run that does a step of another wants to see what becomes of the whole.
    row = await engine.journal.run(run.run_id)
    if row.run_id == run_id:
        row = await top_of(engine.journal, row)
    team, events = engine.team.teams.get(row.team, engine.team), await engine.journal.load(row.run_id)
    return await whole(engine.journal, story(Record(row, row.team, team.rules, events)))


def show_one(told: Story, how: How) -> int:
    """Show one run, unless its line of JSON is out already; returns the exit code."""
    if not how.json:
        from .paint_run import show_story

        show_story(told, how.settings)
    return exits.of_statuses([told.status])


# --- many ---


async def _batch(team: Team, given: Given, how: How, make: Make, plan: str) -> int:
    tally = Tally(len(given.rows))
    shown = screen(tally, json=how.json)
    with quiet_agents(shown):
        async with open_engine(team, how.settings, shown, make) as engine:
            batch = await engine.open_batch([_checked(engine, row) for row in given.rows], given.origin)
            began = clock.monotonic()
            with shown:
                await drive_many(engine, engine.run_batch(batch), how, shown, tally)
    return show_many(tally, clock.monotonic() - began, batch.batch_id, how, plan)


async def drive_many(engine: Engine, runs: AsyncIterator[Run], how: How, shown: Screen, tally: Tally) -> bool:
    """Drive runs and count them as they end; returns whether they were stopped before that."""

    async def follow() -> None:
        async with aclosing(runs):  # type: ignore[type-var]
            async for run in runs:
                tally.add(run)
                await shown.ended(run)
                if shown.gone:
                    interrupts.stop()

    with Interrupts(engine, how.grace_seconds, shown.say) as interrupts, suppress(Cancelled):
        await interrupts.watch(follow())
    if shown.gone:
        raise BrokenPipeError
    return interrupts.stopped


def show_many(tally: Tally, seconds: float, batch_id: str, how: How, plan: str = "") -> int:
    """Sum up; returns the exit code. plan: which of several all of them have."""
    left = max(0, tally.total - tally.done)
    if not how.json:
        from .paint_batch import show_summary

        show_summary(tally, seconds, batch_id, how.settings, left=left, plan=plan)
    if left and not sys.stdout.isatty():  # who sees the summary has read it there
        words = how.settings.command(f"resume {batch_id}".rstrip())
        exits.say(f"interrupted: {tally.done:,} of {tally.total:,} runs done; go on with: {words}")
    return exits.INTERRUPTED if left else tally.exit_code
