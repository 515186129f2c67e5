"""`interlock breakers ...`: what keeps calls away, and breakers that are moved by hand."""

from typing import Annotated

import typer

from .frame import JournalOption, JsonOption, commands, guarded

breakers = typer.Typer(
    help="Breakers, rates and daily budgets: what keeps calls away. Breakers can be moved by hand.",
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
commands(breakers, "breakers")


def _known_agents(incomplete: str) -> list[tuple[str, str]]:
    """Agents that have a breaker, for the shell's completion."""
    from .breakers import known_agents

    return known_agents(incomplete)


Agent = Annotated[
    str, typer.Argument(metavar="AGENT", help="An agent.", autocompletion=_known_agents, show_default=False)
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; whoever looks later reads it.", show_default=False)
]
TeamName = Annotated[
    str,
    typer.Option(
        "--team", metavar="NAME", help="Its team, by name or file, where several have one.", show_default=False
    ),
]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it. Default: you.", show_default=False)]


def _list(*, journal: JournalOption = None, json: JsonOption = False) -> int:
    """Show the breakers, rates and daily budgets of a journal."""
    from . import config
    from .breakers import show

    return show(config.settings(journal), json=json)


@breakers.callback()
def _default(context: typer.Context, *, journal: JournalOption = None, json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        guarded(_list)(journal=journal, json=json)
    elif journal is not None or json:
        raise typer.BadParameter(f"write --journal and --json after {context.invoked_subcommand}")


def _open(
    agent: Agent,
    *,
    reason: Reason,
    team: TeamName = "",
    by: By = "",
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Keep all calls of an agent away, until its breaker is reset by hand."""
    from . import config
    from .breakers import Why, move

    return move(config.settings(journal), "open", agent, Why(reason, by), team, json=json)


def _reset(
    agent: Agent,
    *,
    reason: Reason,
    team: TeamName = "",
    by: By = "",
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Close the breaker of an agent, whatever had it open."""
    from . import config
    from .breakers import Why, move

    return move(config.settings(journal), "closed", agent, Why(reason, by), team, json=json)


breakers.command("list")(guarded(_list))
breakers.command("open")(guarded(_open))
breakers.command("reset")(guarded(_reset))
