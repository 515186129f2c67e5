"""`interlock notify ...`: those who are told what waits for people."""

import typer

from .frame import JsonOption, Team, commands, guarded

notify = typer.Typer(
    help="Who is told when a run waits for a person: send them a test.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands(notify, "notify")


@notify.callback()
def _group() -> None:
    """Keep `test` a command of a group, though it is the only one."""


def _test(team: Team, *, json: JsonOption = False) -> int:
    """Send one test message to each recipient of a team, and tell what comes of it."""
    from .notifying import test

    return test(team, json=json)


notify.command("test")(guarded(_test))
