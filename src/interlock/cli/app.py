"""The commands. Each parses its arguments, calls what does the work, and returns an exit code."""

from typing import Annotated, Literal

import typer

from interlock.core.states import Status
from interlock.errors import InputError, UsageError

from .frame import (
    GRACE,
    ConcurrencyOption,
    GraceOption,
    JournalOption,
    JsonOption,
    RunName,
    Team,
    app,
    command,
    completed_path,
    completed_run,
)

__all__ = ("app",)


@command
def run(  # noqa: PLR0913 - its options
    team: Team,
    *,
    input: Annotated[  # noqa: A002 - the name of the option
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="JSON (an object or a list), JSON lines or CSV; - for standard input.",
            show_default=False,
        ),
    ] = None,
    map: Annotated[  # noqa: A002 - the name of the option
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=PATH",
            help="Where a column goes in the request; only mapped columns do. Needed for CSV.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N requests.")] = None,
    faults: Annotated[
        str | None,
        typer.Option(
            "--faults",
            metavar="FILE",
            help="Break things on purpose: a faults file, or 'all' for every kind.",
            show_default=False,
        ),
    ] = None,
    fault_seed: Annotated[
        int | None,
        typer.Option(
            "--fault-seed", metavar="N", min=0, help="The same faults as in the run that named it.", show_default=False
        ),
    ] = None,
    approve_plan: Annotated[
        bool, typer.Option("--approve-plan", help="Nothing runs before a person has approved the plan.")
    ] = False,
    approve_within: Annotated[
        str | None,
        typer.Option(
            "--approve-within", metavar="TIME", help="The same, and rejected after so long: 2h.", show_default=False
        ),
    ] = None,
    concurrency: ConcurrencyOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Run a team for one request, or for each of many."""
    from interlock.team import Team as LoadedTeam

    from . import inputs, running

    how = running.How.of(journal, concurrency, grace, json=json)
    loaded = LoadedTeam.load(team)
    given = inputs.read(input, map or ())
    chosen = inputs.Given(given.origin, given.rows[:limit])
    approve = approve_within if approve_within is not None else approve_plan
    if faults is None:
        if fault_seed is not None:
            raise InputError("--fault-seed is the seed of faults, and there are none", fix="add --faults FILE")
        return running.start(loaded, chosen, how, approve=approve)
    from .injecting import orchestrator

    make = orchestrator(loaded, faults, fault_seed, how.settings)
    return running.start(loaded, chosen, how, make, approve=approve)


@command
def resume(  # noqa: PLR0913 - its options
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|BATCH]...", help="Which; all by default.", autocompletion=completed_run, show_default=False
        ),
    ] = None,
    *,
    team: Annotated[
        str | None, typer.Option("--team", metavar="TEAM", help="The team file, if it has moved.", show_default=False)
    ] = None,
    as_pinned: Annotated[
        bool, typer.Option("--as-pinned", help="Where the team has changed: go on with the team as it was.")
    ] = False,
    migrate: Annotated[
        bool,
        typer.Option("--migrate", help="Where the team has changed: go on under it as it is, in new runs."),
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they are migrated.", show_default=False)
    ] = "",
    concurrency: ConcurrencyOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Go on with runs and batches that were interrupted."""
    from . import resuming, running

    how = running.How.of(journal, concurrency, grace, json=json)
    if as_pinned and migrate:
        raise UsageError("a run can't go on both as pinned and migrated", fix="leave --as-pinned or --migrate out")
    way: Literal["", "pinned", "migrate"] = "pinned" if as_pinned else "migrate" if migrate else ""
    return resuming.resume(names or (), team, resuming.Choice(way, reason), how)


@command
def runs(
    *,
    status: Annotated[
        Status | None, typer.Option("--status", help="Only runs with this status.", show_default=False)
    ] = None,
    batch: Annotated[
        str, typer.Option("--batch", metavar="BATCH", help="Only the runs of this batch.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many at most; 0 for all.")] = 50,
    top: Annotated[bool, typer.Option("--top", help="Without the runs that do steps of others.")] = False,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """List the runs in the journal, the newest first; those that do steps of others below these."""
    from . import config, looking

    return looking.runs(config.settings(journal), status or "", batch, limit, top=top, json=json)


@command
def show(run: RunName, *, journal: JournalOption = None, json: JsonOption = False) -> int:
    """Show one run: its steps, every attempt, and its context."""
    from . import config, looking

    return looking.show(config.settings(journal), run, json=json)


@command
def replay(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN[/STEP[/ATTEMPT]]",
            help="A run, or one call of it: last/classify/1. Without ATTEMPT the last one that is no judge's.",
            autocompletion=completed_run,
            show_default=False,
        ),
    ],
    *,
    at: Annotated[
        int | None, typer.Option("--at", metavar="SEQ", help="The whole state after this event.", show_default=False)
    ] = None,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Step through a run again, or see one call as its agent saw it; every view is verified."""
    from . import config, replaying

    return replaying.replay(config.settings(journal), target, at, json=json)


@command
def explain(
    run: RunName,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A dotted path, such as ticket.response.",
            autocompletion=completed_path,
            show_default=False,
        ),
    ],
    *,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Tell where a value came from: who wrote it, from which reads, back to the request."""
    from . import config, replaying

    return replaying.explain(config.settings(journal), run, path, json=json)


@command
def diff(
    run_a: Annotated[
        str, typer.Argument(metavar="RUN_A", help="A run.", autocompletion=completed_run, show_default=False)
    ],
    run_b: Annotated[
        str, typer.Argument(metavar="RUN_B", help="Another run.", autocompletion=completed_run, show_default=False)
    ],
    *,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Find where two runs part: the first step that was handed the same and answered otherwise."""
    from . import config, replaying

    return replaying.diff(config.settings(journal), run_a, run_b, json=json)


@command
def stats(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Which; all by default.", autocompletion=completed_run, show_default=False
        ),
    ] = None,
    *,
    batch: Annotated[
        str, typer.Option("--batch", metavar="BATCH", help="Only the runs of this batch.", show_default=False)
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Only runs that began in the last 24h, 7d, ...; or since 2026-05-31.",
            show_default=False,
        ),
    ] = None,
    team: Annotated[
        str | None, typer.Option("--team", metavar="TEAM", help="Only the runs of this team file.", show_default=False)
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", metavar="AGENT", help="Only this agent.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Only the newest N runs.", show_default=False)
    ] = None,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Count how well each agent works, how fast, and for how much."""
    from . import config, counting

    chosen = counting.Choice.of(names, batch=batch, since=since, team=team, agents=agent, limit=limit)
    return counting.stats(config.settings(journal), chosen, json=json)


@command
def cancel(
    run: RunName,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.", show_default=False)] = "",
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Cancel a run, whoever drives it. This is final."""
    from . import config, looking

    return looking.cancel(config.settings(journal), run, reason, json=json)


@command
def audit(
    team: Annotated[
        str | None,
        typer.Argument(metavar="[TEAM]", help="A team file, or a folder with a team.yaml.", show_default=False),
    ] = None,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="KIND:MODULE:NAME",
            help="In place of a team, a system that exists: langgraph:module:graph or crewai:module:crew.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="With --from: write the team file here.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Check a team file, without running or importing anything; or begin one from a system that exists."""
    if source is not None and team is None:
        from . import surveying

        return surveying.survey(source, out, json=json)
    if source is not None or team is None:
        found = "both a team and --from are named" if team is not None else "no team is named"
        raise InputError(found, fix="name a team file, or a system with --from langgraph:module:graph")
    if out is not None:
        raise InputError("--out is where --from writes a team file, and there is none", fix="leave it out")
    from . import looking

    return looking.audit(team, json=json)


@command
def doctor(
    team: Annotated[
        str | None,
        typer.Argument(metavar="[TEAM]", help="A team file, or a folder with a team.yaml.", show_default=False),
    ] = None,
    *,
    json: JsonOption = False,
) -> int:
    """Show what is installed, what a team lacks, and whether the servers behind its agents answer."""
    from . import examining

    return examining.doctor(team, json=json)


@command
def simulate(  # noqa: PLR0913 - its options
    team: Team,
    *,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="How many worlds.")] = 1_000,
    first: Annotated[int, typer.Option("--first", metavar="SEED", min=0, help="The first seed.")] = 0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="SEED", min=0, help="Only this one, told line by line.", show_default=False),
    ] = None,
    faults: Annotated[
        str, typer.Option("--faults", metavar="FILE", help="A faults file; 'all' for every kind, or 'none'.")
    ] = "all",
    input: Annotated[  # noqa: A002 - the name of the option
        str | None,
        typer.Option(
            "--input", "-i", metavar="FILE", help="Requests, as for run. Generated by default.", show_default=False
        ),
    ] = None,
    map: Annotated[  # noqa: A002 - the name of the option
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=PATH", help="Where a column of the input goes.", show_default=False),
    ] = None,
    agents: Annotated[
        str,
        typer.Option("--agents", metavar="KIND", help="generated: fakes that keep to the team file. real: its code."),
    ] = "generated",
    plan: Annotated[
        str,
        typer.Option("--plan", metavar="NAME", help="Of several plans, the one that is played.", show_default=False),
    ] = "",
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, max=1_000, help="Runs in each world.")] = 3,
    invariant: Annotated[
        list[str] | None,
        typer.Option("--invariant", metavar="MODULE:FUNCTION", help="One of your own.", show_default=False),
    ] = None,
    sqlite: Annotated[
        bool, typer.Option("--sqlite", help="Keep each world's journal in a real SQLite file. Ten times slower.")
    ] = False,
    every_crash: Annotated[
        bool, typer.Option("--every-crash", help="Die at every journal write of one seed in turn, and compare.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, max=256, help="Processes. Default: one for each CPU."),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Run a team in virtual time under many seeds, with injected faults, and check that every promise is kept."""
    from . import simulating

    asked = simulating.wanted(
        team,
        faults=faults,
        input_name=input,
        mapping=map or (),
        agents=agents,
        runs=runs,
        invariants=invariant or (),
        workers=workers,
        plan=plan,
        sqlite=sqlite,
        json=json,
    )
    if every_crash:
        return simulating.every_crash(asked, first if seed is None else seed)
    return simulating.one(asked, seed) if seed is not None else simulating.simulate(asked, range(first, first + seeds))


@command
def schema() -> int:
    """Print the JSON Schema of team files, for editors."""
    from . import looking

    return looking.schema()


@command
def demo() -> int:
    """Watch a team at work while its agents misbehave and its process is killed and resumed."""
    from .demo import demo as show_demo

    return show_demo()


# They add themselves, and stand in the help after those from here.
from . import (  # noqa: E402
    breakers_commands,  # noqa: F401
    dlq_commands,  # noqa: F401
    event_commands,  # noqa: F401
    inbox_commands,  # noqa: F401
    notify_commands,  # noqa: F401
    plan_commands,  # noqa: F401
    steps_commands,  # noqa: F401
)
