"""`demo`: the support desk at work, while its agents misbehave and its process is killed and resumed.

Everything shown is real: the same commands as a user's, in processes of their own, and a journal to look at afterwards.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from interlock.core import events as e
from interlock.errors import InterlockError, MissingExtra
from interlock.history import Attempt, attempts
from interlock.wiring import open_journal

from . import exits
from .text import line, plural, shown_path

FOLDER = Path(".interlock/demo")
CONCURRENCY = 4
QUOTE_CHARS_MAX = 44
_OPTIONS = ("--concurrency", str(CONCURRENCY), "--journal", str(FOLDER / "journal.db"))


class Traces(msgspec.Struct, frozen=True):
    """What the journal and the independent call log say. committed: keys of committed calls; calls: keys, in order."""

    committed: frozenset[str]
    calls: tuple[str, ...]


def demo() -> int:
    """Show it; returns the exit code."""
    console = Console(highlight=False)
    desk = examples() / "support_desk"
    fresh_folder()
    _tell_beginning(console)
    first = _interlock("run", str(desk / "demo.yaml"), "--input", str(desk / "input.jsonl"))
    if first != -signal.SIGKILL:
        raise InterlockError(f"the demo's first process ended with {first}; it should have been killed")
    before = asyncio.run(_traces())
    _tell_middle(console, before)
    second = _interlock("resume")
    if second not in {exits.DONE, exits.PARKED}:
        return second
    _tell_end(console, before, asyncio.run(_traces()), asyncio.run(_story()))
    return exits.DONE


def examples() -> Path:
    """The folder of the examples: inside the installed package, or in the repository this runs from."""
    package = Path(str(files("interlock")))
    for folder in (package / "_examples", package.parents[1] / "examples"):
        if folder.is_dir():
            return folder
    raise MissingExtra("the examples are not installed here", fix="run the demo from the repository")


def fresh_folder() -> None:
    """An empty folder for the demo; what an earlier one left is removed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)


def _interlock(command: str, *arguments: str) -> int:
    """One interlock command in a process of its own, on this terminal; returns its exit code."""
    words = [sys.executable, "-m", "interlock", command, *arguments, *_OPTIONS]
    environment = os.environ | {"INTERLOCK_DEMO_FOLDER": str(FOLDER)}
    sys.stdout.flush()
    return subprocess.run(words, env=environment, check=False).returncode  # noqa: S603 - our own program, by its path


async def _events() -> dict[str, list[e.AnyEvent]]:
    """Run id -> its events."""
    journal = open_journal(FOLDER / "journal.db")
    try:
        rows = await journal.runs(limit=0)
        return {row.run_id: await journal.load(row.run_id) for row in sorted(rows, key=lambda row: row.row)}
    finally:
        await journal.close()


async def _traces() -> Traces:
    committed = frozenset(
        f"{run_id}/{event.step}/{event.attempt}"
        for run_id, events in (await _events()).items()
        for event in events
        if isinstance(event, e.AttemptCommitted)
    )
    return Traces(committed, tuple((FOLDER / "calls.log").read_text("utf-8").split()))


class Incident(msgspec.Struct, frozen=True):
    """An attempt that did not commit, the message it was about, and how its step went on."""

    attempt: Attempt
    message: str
    mended_by: str


async def _story() -> list[Incident]:
    found: list[Incident] = []
    for events in (await _events()).values():
        told, message = attempts(events), _message(events)
        lost = (attempt for attempt in told if attempt.outcome not in {"committed", "asked"})
        found += [Incident(attempt, message, _mended_by(attempt, told)) for attempt in lost]
    return found


def _message(events: Sequence[e.AnyEvent]) -> str:
    first = events[0]
    assert isinstance(first, e.RunStarted)
    return str(msgspec.json.decode(first.request)["ticket"]["metadata"]["message"])


def _mended_by(lost: Attempt, told: Iterable[Attempt]) -> str:
    later = [attempt for attempt in told if attempt.step == lost.step and attempt.at_us > lost.at_us]
    if not later:
        return "given up"
    if lost.outcome == "interrupted":
        return f"called again with the same key, {later[0].outcome}"
    return f"attempt {later[-1].attempt} {later[-1].outcome}"


# --- what is said ---


def _tell_beginning(console: Console) -> None:
    console.print(Text("\nA support desk: three agents, forty customers\n", "bold"))
    for text in (
        "triage reads each message, resolution answers it, escalation asks a person where the rules can't tell.",
        "On the way one call will hang, some will answer nonsense, and the process is killed in the middle.",
    ):
        console.print(Padding(text, (0, 0, 0, 2)))
    console.print()


def _tell_middle(console: Console, before: Traces) -> None:
    lost = [key for key in before.calls if key not in before.committed]
    console.print(Text("killed", "bold red"), Text("  the process is gone, without a goodbye (SIGKILL)"))
    console.print(f"        the journal holds {plural(len(before.committed), 'committed step')}")
    console.print(
        f"        {plural(len(before.calls), 'call')} begun, {len(lost)} of them not committed when it died\n"
    )
    console.print(Text(f"$ interlock resume {' '.join(_OPTIONS)}\n", "bold"))


def _tell_end(console: Console, before: Traces, after: Traces, incidents: Sequence[Incident]) -> None:
    console.print(Text("\nwhat went wrong, and what became of it\n", "bold"))
    console.print(Padding(_incidents(incidents), (0, 0, 0, 2)))
    resumed = after.calls[len(before.calls) :]
    again = before.committed & set(resumed)
    repeated = [key for key, times in Counter(after.calls).items() if times > 1]
    console.print(Text("\nthe books, kept by the agents themselves\n", "bold"))
    mark = Text("✗", "bold red") if again else Text("✓", "bold green")
    console.print(Text("  ") + mark, f"{len(again)} committed steps were called again")
    console.print(f"    {plural(len(repeated), 'call')} in flight at the kill repeated, with the same idempotency key")
    console.print(f"    {plural(len(after.calls), 'call')} for {plural(len(after.committed), 'commit')}")
    console.print(Text("\ntry next\n", "bold"))
    for what, words in _next_commands():
        console.print(Text.assemble((f"  # {what}\n", "dim"), (f"  {words}", "cyan")), soft_wrap=True)
    console.print()


def _next_commands() -> Iterator[tuple[str, str]]:
    journal, folder = FOLDER / "journal.db", shown_path(str(examples()))
    if shutil.which("interlock") is None:
        yield "so that your shell finds interlock", f". {shown_path(sys.prefix)}/bin/activate"
    yield "every step and every attempt of one run", f"interlock show last --journal {journal}"
    yield "who waits for a person, and why", f"interlock runs --status parked --journal {journal}"
    yield "who may read and write what, and what is missing", f"interlock audit {folder}/support_desk"
    pipeline = f"{folder}/document_pipeline"
    yield "another team", f"interlock run {pipeline} --input {pipeline}/input.jsonl"


def _incidents(incidents: Sequence[Incident]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for heading, share in (("customer", 3), ("step", 1), ("what happened", 4), ("and then", 3)):
        table.add_column(heading, overflow="fold", ratio=share)
    for incident in incidents:
        attempt, message = incident.attempt, line(incident.message)
        quote = message if len(message) <= QUOTE_CHARS_MAX else message[: QUOTE_CHARS_MAX - 1] + "…"
        table.add_row(quote, attempt.step, _what(attempt), Text(incident.mended_by, "green"))
    return table


def _what(attempt: Attempt) -> Text:
    if attempt.outcome == "interrupted":
        return Text("interrupted when the process was killed", "red")
    if attempt.findings:
        return Text(f"refused: {line(attempt.findings[0].message)}", "yellow")
    return Text(line(attempt.error), "yellow")
