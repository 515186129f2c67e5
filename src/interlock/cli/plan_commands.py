"""`interlock plan`: look at a plan before it runs."""

from typing import Annotated

import typer

from .frame import JsonOption, Team, command


@command
def plan(
    team: Team,
    *,
    input: Annotated[  # noqa: A002 - the name of the option
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="For the first request in it: what that makes certain. - for standard input.",
            show_default=False,
        ),
    ] = None,
    map: Annotated[  # noqa: A002 - the name of the option
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=PATH", help="Where a column of the input goes.", show_default=False),
    ] = None,
    plan: Annotated[
        str, typer.Option("--plan", metavar="NAME", help="Of several plans, this one.", show_default=False)
    ] = "",
    format: Annotated[  # noqa: A002 - the name of the option
        str, typer.Option("--format", metavar="FORMAT", help="tree, mermaid or dot.")
    ] = "tree",
    json: JsonOption = False,
) -> int:
    """Show a plan without running it: what runs beside what, who does it, and what it takes at most."""
    from . import picturing

    return picturing.plan(team, input, map or (), format, plan, json=json)
