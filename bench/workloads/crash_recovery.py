"""kill -9 half-way through 200 runs of 10 steps: seconds from the restart to the end, and committed steps called again.

A process opens a batch and runs it until one of its agents kills it with SIGKILL. A second process resumes; timed is
all of it, from the start of Python to its exit. Every call of an agent is written to a file of its own, opened with
O_APPEND, that knows nothing of the journal. What an agent answers is the key of its call, so that the values committed
at the kill, read from a copy of the journal, say which calls they came from. A call that was in flight at the kill is
repeated with its key and doesn't count as a committed step.

The reference is a process that runs the same batch from the start to the end: recovery should not take longer.
"""

import asyncio
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import msgspec

from bench.figures import Figure, Goal, NotMeasured, Pairs, Result, Settings
from bench.folders import ROOT, fresh_folder
from interlock.core.events import AttemptCommitted
from interlock.journal.sqlite import SqliteJournal

RUNS = 200
STEPS = 10
SECONDS_MAX = 1.0


def measure(settings: Settings) -> Result:
    runs = settings.size(RUNS)
    trials = []
    whole = []
    for repetition in range(settings.repetitions):
        with fresh_folder(settings.folder) as folder:
            started = perf_counter()
            _process(folder, runs, 0)
            whole.append(perf_counter() - started)
        with fresh_folder(settings.folder) as folder:
            # From a third to two thirds of the way, so that no trial is lucky.
            share = 1 / 3 + repetition / max(1, settings.repetitions - 1) / 3
            trials.append(_trial(folder, runs, round(runs * STEPS * share)))
    seconds = [trial["seconds"] for trial in trials]
    again = sum(trial["committed_called_again"] for trial in trials)
    figures = [
        Pairs(seconds, whole).figure("restart to done", "s", "the whole batch", Goal("value", at_most=SECONDS_MAX)),
        Figure(name="committed steps called again", value=again, unit="steps", goal=Goal("value", at_most=0)),
    ]
    return Result("crash_recovery", figures, {"runs": runs, "steps_per_run": STEPS, "trials": trials})


def _trial(folder: Path, runs: int, kill_at: int) -> dict[str, float]:
    if _process(folder, runs, kill_at) != -signal.SIGKILL:
        raise NotMeasured("the first process was not killed")
    committed = _committed(folder)
    called_before = _calls(folder)
    started = perf_counter()
    if _process(folder, runs, 0):
        raise NotMeasured("the second process failed")
    seconds = perf_counter() - started
    called_after = _calls(folder)[len(called_before) :]
    in_the_end = _committed(folder)
    if len(in_the_end) != runs * STEPS or len(set(in_the_end)) != runs * STEPS:
        raise NotMeasured(f"{len(in_the_end)} commits in the end, not {runs * STEPS}")
    return {
        "seconds": round(seconds, 3),
        "called_before": len(called_before),
        "committed_before": len(committed),
        "called_after": len(called_after),
        "in_flight_repeated": len(set(called_before) & set(called_after)),
        "committed_called_again": len(set(committed) & set(called_after)),
    }


def _process(folder: Path, runs: int, kill_at: int) -> int:
    command = [sys.executable, "-m", "bench.crash_process", str(folder), str(runs), str(STEPS), str(kill_at)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


def _committed(folder: Path) -> list[str]:
    """The keys of the calls whose answers were committed; from a copy, so that looking changes nothing."""
    with fresh_folder(folder) as copy:
        for file in folder.glob("journal.db*"):
            if file.is_file():
                shutil.copy(file, copy)
        return asyncio.run(_committed_in(copy / "journal.db"))


async def _committed_in(path: Path) -> list[str]:
    journal = SqliteJournal(path)
    keys = []
    for row in await journal.runs(limit=0):
        committed = [event for event in await journal.load(row.run_id) if isinstance(event, AttemptCommitted)]
        keys += [msgspec.json.decode(value) for event in committed for value in event.writes.values()]
    await journal.close()
    return keys
