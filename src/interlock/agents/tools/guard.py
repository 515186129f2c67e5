"""Ends a group of processes when whoever started them is gone: a program that stands alone, so that it starts at once.

`kill -9` leaves no time to end what one has started, and not everything ends by itself when its input does.
"""

import os
import signal
import sys
import time

POLL_SECONDS = 1.0
# How long they may take to end by themselves after SIGTERM.
GRACE_SECONDS = 0.5


def main(parent: str, group: str) -> None:
    """Wait until the parent is gone. The group may be, too: no other gets its number within so short a time."""
    while os.getppid() == int(parent):
        time.sleep(POLL_SECONDS)
    try:
        os.killpg(int(group), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.killpg(int(group), signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS: what has ended, but isn't collected yet, is not permitted
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
