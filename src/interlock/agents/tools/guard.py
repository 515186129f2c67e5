"""Ends a group of processes when whoever started them is gone: a program that stands alone, so that it starts at once.

`kill -9` leaves no time to end what one has started, and not everything ends by itself when its input does.
"""

import os
import signal
import sys
import time
from contextlib import suppress

POLL_SECONDS = 1.0
# How long they may take to end by themselves after SIGTERM.
GRACE_SECONDS = 0.5


def main(parent: str, group: str) -> None:
    """Wait until the parent is gone. The group may be, too: no other gets its number within so short a time."""
    while os.getppid() == int(parent):
        time.sleep(POLL_SECONDS)
    # It may have ended by itself; where it isn't collected yet, macOS doesn't permit it to be killed.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(int(group), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.killpg(int(group), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
