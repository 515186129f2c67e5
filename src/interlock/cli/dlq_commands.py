"""`interlock dlq ...`: the steps that were given up, and what becomes of them."""

from collections.abc import Callable
from typing import Annotated

import typer

from .frame import GRACE, ConcurrencyOption, GraceOption, JournalOption, JsonOption, commands, guarded

dlq = typer.Typer(
    help="Dead letters: the steps that were given up, why, and trying them again.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands(dlq, "dlq")


def command(work: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command of the dead letters, as `app.command` does for the others."""
    return dlq.command(work.__name__.rstrip("_"))(guarded(work))


def _known(incomplete: str) -> list[tuple[str, str]]:
    """Names of letters, for the shell's completion."""
    from .dlq import completions

    return completions(incomplete)


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN[/STEP]]...",
        help="Which: the beginning of a run id, or 'last'; with a step, only that one of the run.",
        autocompletion=_known,
        show_default=False,
    ),
]
TeamFilter = Annotated[
    str, typer.Option("--team", metavar="TEAM", help="Only those of this team file.", show_default=False)
]
AgentFilter = Annotated[
    str, typer.Option("--agent", metavar="AGENT", help="Only those of this agent's steps.", show_default=False)
]
StepFilter = Annotated[str, typer.Option("--step", metavar="ID", help="Only those of this step.", show_default=False)]
MatchingFilter = Annotated[
    str, typer.Option("--matching", metavar="TEXT", help="Only those whose reason holds this.", show_default=False)
]
SinceFilter = Annotated[
    str,
    typer.Option(
        "--since", metavar="TIME", help="Only those of the last 2h, 3d, ...; or since 2026-05-31.", show_default=False
    ),
]
BatchFilter = Annotated[
    str, typer.Option("--batch", metavar="BATCH", help="Only those of this batch.", show_default=False)
]


OneName = Annotated[
    str,
    typer.Argument(
        metavar="RUN[/STEP]",
        help="A dead letter: the beginning of a run id, or 'last'; with the step where the run has several.",
        autocompletion=_known,
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Show the step this, in a fork of its run. VALUE is JSON, or a text where it isn't.",
        show_default=False,
    ),
]
UnderOption = Annotated[
    str | None,
    typer.Option(
        "--team",
        metavar="TEAM",
        help="Try them under this team, in forks where a run was started under another. Where no letter is named, it "
        "means those of this team file; with --all or --from, others, too.",
        show_default=False,
    ),
]
FromFilter = Annotated[
    str, typer.Option("--from", metavar="TEAM", help="Only those of this team file.", show_default=False)
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal.", show_default=False)
]


@command
def list_(  # noqa: PLR0913 - its options
    *,
    team: TeamFilter = "",
    agent: AgentFilter = "",
    step: StepFilter = "",
    matching: MatchingFilter = "",
    since: SinceFilter = "",
    batch: BatchFilter = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that nobody has redriven.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many at most; 0 for all.")] = 50,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """List the dead letters, the newest first, and what became of those that were redriven."""
    from . import config, dlq

    wanted = dlq.wanted(team, agent, step, matching, since, batch, waiting=waiting)
    return dlq.show_list(config.settings(journal), wanted, limit, json=json)


@command
def show(
    letter: OneName,
    *,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Show one: what the step saw, every refused reply and every error, and what it cost. The view is verified."""
    from . import config, dlq

    return dlq.show(config.settings(journal), letter, json=json)


@command
def export(
    names: Names = None,
    *,
    team: TeamFilter = "",
    agent: AgentFilter = "",
    step: StepFilter = "",
    matching: MatchingFilter = "",
    since: SinceFilter = "",
    batch: BatchFilter = "",
    journal: JournalOption = None,
) -> int:
    """Write them as JSON lines: each whole, with the request, the team and all that its run had committed."""
    from . import config, dlq

    wanted = dlq.wanted(team, agent, step, matching, since, batch)
    return dlq.export(config.settings(journal), names or (), wanted)


@command
def purge(  # noqa: PLR0913 - its options
    names: Names = None,
    *,
    team: TeamFilter = "",
    agent: AgentFilter = "",
    step: StepFilter = "",
    matching: MatchingFilter = "",
    since: SinceFilter = "",
    batch: BatchFilter = "",
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Take them off the list. Their runs, and all that was journaled, stay."""
    from . import config, dlq

    wanted = dlq.wanted(team, agent, step, matching, since, batch)
    dlq.refuse_all(names or (), wanted, everything=everything)
    return dlq.purge(config.settings(journal), names or (), wanted, yes=yes, json=json)


@command
def redrive(  # noqa: PLR0913 - its options
    names: Names = None,
    *,
    team: UnderOption = None,
    from_: FromFilter = "",
    agent: AgentFilter = "",
    step: StepFilter = "",
    matching: MatchingFilter = "",
    since: SinceFilter = "",
    batch: BatchFilter = "",
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    set_: SetOption = None,
    reason: ReasonOption = "",
    concurrency: ConcurrencyOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Try them again: each run goes on from there, or, where more has come after, a fork of it does."""
    from . import dlq, redriving, running

    source = from_ or ("" if names or everything else team or "")
    wanted = dlq.wanted(source, agent, step, matching, since, batch, waiting=True)
    dlq.refuse_all(names or (), wanted, everything=everything)
    how = running.How.of(journal, concurrency, grace, json=json)
    return redriving.redrive(names or (), wanted, redriving.Trial(dlq.changes(set_ or ()), reason, team), how)


@command
def edit(
    letter: OneName,
    *,
    reason: ReasonOption = "",
    team: UnderOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Change what a dead step was shown, in your editor, and try it again in a fork of its run."""
    from . import redriving, running

    return redriving.edit(letter, reason, team, running.How.of(journal, None, grace, json=json))
