"""What all commands have: their place in the help, errors that are told in one message, and options that are alike."""

import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from . import exits

app = typer.Typer(
    help="Run teams of AI agents: who runs when, what each may see and write, durable at every step.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GRACE = "10s"
# Under which heading the help lists a command.
_PANELS = {
    "Run": ("run", "resume", "cancel", "event", "fork", "retry", "skip"),
    "Look into runs": ("runs", "show", "replay", "explain", "diff", "stats"),
    "Prepare and test": ("plan", "audit", "doctor", "simulate", "schema", "demo"),
    "Decide and repair": ("inbox", "dlq", "breakers", "notify"),
}
PANEL_OF = {name: panel for panel, names in _PANELS.items() for name in names}


def guarded(work: Callable[..., int]) -> Callable[..., None]:
    """Have a function's errors told in one message, and end with the exit code that it returns."""

    @wraps(work)
    def ending(**arguments: Any) -> None:
        raise typer.Exit(exits.guarded(lambda: work(**arguments)))

    return ending


def command(work: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command."""
    return app.command(work.__name__, rich_help_panel=PANEL_OF[work.__name__])(guarded(work))


def commands(group: typer.Typer, name: str) -> None:
    """Add commands that have one word in common."""
    app.add_typer(group, name=name, help=group.info.help, rich_help_panel=PANEL_OF[name])


def completed_run(incomplete: str) -> list[tuple[str, str]]:
    """Run ids for the shell's completion."""
    from .looking import recent_runs

    return recent_runs(incomplete)


def completed_path(context: typer.Context, incomplete: str) -> list[str]:
    """Paths in the context of the run that was named, for the shell's completion."""
    from .replaying import paths_of

    return paths_of(context.params.get("run") or "last", incomplete)


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
        autocompletion=completed_run,
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
