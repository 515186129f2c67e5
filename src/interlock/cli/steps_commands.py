"""`interlock fork`, `retry` and `skip`: what people do with single steps of a run."""

from typing import Annotated

import typer

from .frame import GRACE, GraceOption, JournalOption, JsonOption, RunName, command

ByOption = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who does it. Default: your login name.", show_default=False)
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal.", show_default=False)
]


@command
def fork(  # noqa: PLR0913 - its options
    run: RunName,
    *,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="STEP", help="Which step runs again, with all that comes after it.", show_default=False
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Show the step this. VALUE is JSON, or a text where it isn't.",
            show_default=False,
        ),
    ] = None,
    team: Annotated[
        str | None,
        typer.Option("--team", metavar="TEAM", help="Under this team. Default: that of the run.", show_default=False),
    ] = None,
    repeat_effects: Annotated[
        bool, typer.Option("--repeat-effects", help="Perform effects again that were performed by what runs again.")
    ] = False,
    by: ByOption = "",
    reason: ReasonOption = "",
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Run a step again in a new run, with all that comes after it; what came before is shared."""
    from . import dlq, running, steps

    asked = steps.Fork(at, dlq.changes(set_ or ()), team, by, reason, repeat_effects)
    return steps.fork(run, asked, running.How.of(journal, None, grace, json=json))


Step = Annotated[
    str, typer.Argument(metavar="STEP", help="A step, or an item of a for_each: extract-3.", show_default=False)
]
TeamOption = Annotated[
    str | None, typer.Option("--team", metavar="TEAM", help="The team file, if it has moved.", show_default=False)
]


@command
def retry(
    run: RunName,
    step: Step,
    *,
    reason: ReasonOption = "",
    by: ByOption = "",
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Have a step that is dead, or that waits for a person, tried again in its run."""
    from . import running, steps

    how = running.How.of(journal, None, grace, json=json)
    return steps.settle(run, steps.Settled("retry", step, by, reason, team), how)


@command
def skip(
    run: RunName,
    step: Step,
    *,
    reason: ReasonOption = "",
    by: ByOption = "",
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Let a run go on without a step that is dead, or that waits for a person, a time or an event."""
    from . import running, steps

    how = running.How.of(journal, None, grace, json=json)
    return steps.settle(run, steps.Settled("skip", step, by, reason, team), how)
