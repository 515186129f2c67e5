"""`interlock event`: something has happened out there, which a step of a run may wait for."""

from typing import Annotated

import typer

from .frame import GRACE, GraceOption, JournalOption, JsonOption, RunName, command


@command
def event(  # noqa: PLR0913 - its options
    run: RunName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event, as the team file names it in await_event.")],
    *,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="JSON|@FILE", help="What it brings; @- for standard input.", show_default=False),
    ] = None,
    id: Annotated[  # noqa: A002 - the name of the option
        str,
        typer.Option("--id", metavar="ID", help="Two with the same id are one event.", show_default=False),
    ] = "",
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who sends it. Default: your login name.", show_default=False)
    ] = "",
    no_resume: Annotated[
        bool,
        typer.Option("--no-resume", help="Only record it: a service, or 'interlock resume', goes on with the run."),
    ] = False,
    team: Annotated[
        str | None, typer.Option("--team", metavar="TEAM", help="The team file, if it has moved.", show_default=False)
    ] = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Send an event to a run: it ends the wait of the step that awaits it, or is kept until one does."""
    from .running import How
    from .sending import Sending, send

    how = How.of(journal, None, grace, json=json)
    return send(Sending(run, name, data, id, by), how, team, no_resume=no_resume)
