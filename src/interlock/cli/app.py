"""The commands. Each parses its arguments, calls what does the work, and returns an exit code."""

import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from interlock.core.states import Status

from . import exits

app = typer.Typer(
    help="Run teams of AI agents: who runs when, what each may see and write, durable at every step.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GRACE = "10s"


def command(work: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command: its errors are told in one message, and what it returns is the exit code."""

    @wraps(work)
    def guarded(**arguments: Any) -> None:
        raise typer.Exit(exits.guarded(lambda: work(**arguments)))

    return app.command(work.__name__)(guarded)


def _recent_runs(incomplete: str) -> list[tuple[str, str]]:
    """Run ids for the shell's completion."""
    from .looking import recent_runs

    return recent_runs(incomplete)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        from interlock import __version__

        sys.stdout.write(f"interlock {__version__}\n")
        raise typer.Exit


@app.callback()
def interlock(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Run teams of AI agents: who runs when, what each may see and write, durable at every step."""
    del version  # its callback has answered
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so that no terminal is too old


Team = Annotated[str, typer.Argument(metavar="TEAM", help="A team file, or a folder with a team.yaml.")]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run id, the beginning of one, or 'last'.",
        autocompletion=_recent_runs,
        show_default=False,
    ),
]
JournalOption = Annotated[
    str | None,
    typer.Option("--journal", metavar="PATH", help="The journal. Default: .interlock/journal.db", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option(
        "--concurrency", metavar="N", min=1, max=10_000, help="How many runs, and calls, at once. Default: 256"
    ),
]
GraceOption = Annotated[
    str, typer.Option("--grace", metavar="TIME", help="After Ctrl-C, how long calls in flight may take to finish.")
]


@command
def run(
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
    return running.start(loaded, inputs.Given(given.origin, given.rows[:limit]), how)


@command
def resume(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|BATCH]...", help="Which; all by default.", autocompletion=_recent_runs, show_default=False
        ),
    ] = None,
    *,
    team: Annotated[
        str | None, typer.Option("--team", metavar="TEAM", help="The team file, if it has moved.", show_default=False)
    ] = None,
    concurrency: ConcurrencyOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Go on with runs and batches that were interrupted."""
    from . import resuming, running

    how = running.How.of(journal, concurrency, grace, json=json)
    return resuming.resume(names or (), team, how)


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
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """List the runs in the journal, the newest first."""
    from . import config, looking

    return looking.runs(config.settings(journal), status or "", batch, limit, json=json)


@command
def show(run: RunName, *, journal: JournalOption = None, json: JsonOption = False) -> int:
    """Show one run: its steps, every attempt, and its context."""
    from . import config, looking

    return looking.show(config.settings(journal), run, json=json)


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
def audit(team: Team, *, json: JsonOption = False) -> int:
    """Check a team file, without running or importing anything."""
    from . import looking

    return looking.audit(team, json=json)


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
