"""The command line: it parses, calls what lies below, and renders. It decides nothing.

`app` holds the commands; `inputs` and `config` read what the user gives; `running` and `resuming` drive an engine, with
`interrupts` watching for Ctrl-C; `history` tells a run from its events; `screens`, `bar` and `paint` draw.
"""


def main() -> None:
    """The command `interlock`."""
    from .app import app

    app(prog_name="interlock")
