"""Other processes for tests: scripts that append to a journal, speak line by line, and can be killed at any time."""

import subprocess
import sys
from pathlib import Path
from typing import Self

PRELUDE = """
import asyncio, itertools, os, resource, sys, time
from msgspec import Raw
import apsw
import interlock.core.events as e
from interlock.errors import InterlockError, JournalFull
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Opening

path = sys.argv[1]
OPENING = Opening("t" * 64, "p" * 64, "team.yaml")
STARTED = e.RunStarted(1_000, Raw(b'{"q":1}'), "t" * 64, "p" * 64)
ENDED = e.RunFinished(9_000, "succeeded")

def attempt(number):
    return e.AttemptStarted(1_000 + number, "s", number, "worker", "a" * 64)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


class Process:
    """A script in a process of its own; its first argument is the journal's path."""

    def __init__(self, script: str, path: Path, *arguments: str) -> None:
        command = [sys.executable, "-c", PRELUDE + script, str(path), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self.input.close()
        self.output.close()

    def hear(self) -> str:
        """The next line it says; empty at its end."""
        return self.output.readline().removesuffix("\n")

    def go(self) -> None:
        """Send it a line."""
        self.input.write("go\n")
        self.input.flush()

    def rest(self) -> list[str]:
        """All whole lines that it still says, to its end."""
        return [line.removesuffix("\n") for line in self.output if line.endswith("\n")]

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> list[str]:
        """Let it come to its end by itself; the rest of what it says."""
        said = self.rest()
        assert self.process.wait() == 0
        return said
