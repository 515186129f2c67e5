"""The command line: it parses, calls what lies below, and renders. It decides nothing.

`app` holds the commands; `inputs` and `config` read what the user gives; `running`, `resuming` and `redriving` drive an
engine, with `interrupts` watching for Ctrl-C; `looking`, `replaying`, `counting` and `dlq` read journals only;
`screens`, `bar` and `paint` draw for people, and `documents` writes JSON for programs.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

# Long enough for what could not raise it to be over.
AGAIN_SECONDS = 0.05


def main() -> None:
    """The command `interlock`."""
    sys.unraisablehook = partial(_press_again, sys.unraisablehook)
    from .app import app

    try:
        app(prog_name="interlock")
    except SystemExit as end:
        _leave(end)
        raise


def _press_again(tell: Callable[["sys.UnraisableHookArgs"], object], lost: "sys.UnraisableHookArgs") -> None:
    """Send a Ctrl-C once more that came where nothing can be raised, as while the lock of an import is let go.

    tell: what becomes of all else.
    """
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        tell(lost)
        return
    again = threading.Timer(AGAIN_SECONDS, os.kill, [os.getpid(), signal.SIGINT])
    again.daemon = True
    again.start()


def _leave(end: SystemExit) -> None:
    """End at once where an agent has left something that never ends: Python would wait for it."""
    tasks = sys.modules.get("interlock.engine.tasks")
    threads = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    if (tasks and tasks.LEFT_BEHIND) or any(not thread.daemon for thread in threads):
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1 if end.code else 0)
