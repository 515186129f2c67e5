"""The command line: it parses, calls what lies below, and renders. It decides nothing.

`app` holds the commands; `inputs` and `config` read what the user gives; `running` and `resuming` drive an engine, with
`interrupts` watching for Ctrl-C; `looking` and `replaying` read journals only; `screens`, `bar` and `paint` draw.
"""

import os
import sys
import threading
from contextlib import suppress


def main() -> None:
    """The command `interlock`."""
    from .app import app

    try:
        app(prog_name="interlock")
    except SystemExit as end:
        _leave(end)
        raise


def _leave(end: SystemExit) -> None:
    """End at once where an agent has left something that never ends: Python would wait for it."""
    tasks = sys.modules.get("interlock.engine.tasks")
    threads = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    if (tasks and tasks.LEFT_BEHIND) or any(not thread.daemon for thread in threads):
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1 if end.code else 0)
