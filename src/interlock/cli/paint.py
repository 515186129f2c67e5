"""What all that is drawn for people has in common: the console, marks and colours."""

import os
import sys
from collections.abc import Iterable

from rich.console import Console, Group
from rich.text import Text

from .text import line, plain

MARKS = {
    "succeeded": ("✓", "green"),
    "committed": ("✓", "green"),
    "parked": ("?", "yellow"),
    "escalated": ("?", "yellow"),
    "failed": ("✗", "red"),
    "dead": ("✗", "red"),
    "running": ("▸", "cyan"),
    "performing": ("▸", "cyan"),
    "backing_off": ("↻", "yellow"),
    "awaiting": ("◷", "yellow"),
    "ready": ("▹", "cyan"),
    "waiting": ("·", "dim"),
    "skipped": ("-", "dim"),
    "cancelled": ("-", "dim"),
}
INJECTED_MARK, INJECTED = "!", "magenta"
# Of a status that a damaged journal has, or a newer Interlock's.
UNKNOWN = ("!", "red")
UNLIMITED_COLUMNS = 10_000
WIDE_COLUMNS = 110


def console() -> Console:
    """Standard output; where it is no terminal nothing is wrapped or cut, so that it can be searched."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else UNLIMITED_COLUMNS
    return Console(width=width, highlight=False, markup=False, soft_wrap=False)  # texts are agents'


def marked(status: str, label: str = "") -> Text:
    """A status with its mark, in its colour."""
    mark, style = MARKS.get(status, UNKNOWN)
    return Text(f"{mark} {label or line(status.replace('_', ' '))}", style)


def injected(faults: str) -> Text:
    """The word that a run had faults, with the beginning of their hash."""
    return Text(f"{INJECTED_MARK} faults were injected on purpose ({plain(faults[:12])})", INJECTED)


def next_commands(commands: Iterable[str]) -> Group:
    """What the user may type next."""
    return Group(Text("\nnext", "bold"), *(Text(f"  {command}", "cyan") for command in commands))
