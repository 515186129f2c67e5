"""The support desk, through the real command line on a journal file: messages a second, and how well they were sorted.

With INTERLOCK_BENCH_BANKING77 set to a folder that holds train.csv and test.csv (columns text and category), both files
are run, 10,003 and 3,080 messages of real customers; the journal is on disk and every step is durable. Without it, only
the example's own input.jsonl is run, which says nothing about accuracy.

Timed is the whole command, from the start of Python to its exit. The reference of the rate is that of durable SQLite
commits in the same folder. Accuracy is the share of messages whose committed category is the label, of all messages
and of those that succeeded; its reference is always guessing the most frequent category of train.csv. Peak memory is
that of the largest single process.
"""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from bench.figures import Figure, NotMeasured, Result, Settings
from bench.folders import ROOT, fresh_folder
from bench.references import commit_us

VARIABLE = "INTERLOCK_BENCH_BANKING77"
EXAMPLE = Path("examples") / "support_desk"
FINE_EXITS = frozenset({0, 1, 3})  # a run failed, or waits for a person: that is a result, too


class Labelled(msgspec.Struct):
    """One file of messages, and what each is about."""

    path: Path
    labels: list[str]


class Outcome(msgspec.Struct):
    """What came of one file of messages."""

    runs: list[dict[str, Any]]
    seconds: float
    peak_megabytes: float
    commits_per_second: float

    def share(self, status: str) -> float:
        return sum(run["status"] == status for run in self.runs) / len(self.runs)

    def rate(self, name: str) -> Figure:
        rate = len(self.runs) / self.seconds
        return Figure(
            name=name,
            value=rate,
            unit="1/s",
            reference=self.commits_per_second,
            reference_name="durable commits",
            ratio=rate / self.commits_per_second,
        )


def measure(settings: Settings) -> Result:
    data = os.environ.get(VARIABLE)
    return _on_banking77(settings, Path(data)) if data else _on_own_input(settings)


def _on_own_input(settings: Settings) -> Result:
    own = EXAMPLE / "input.jsonl"
    if not (ROOT / own).exists():
        raise NotMeasured(f"there is no {own}")
    outcome = _run(settings, ["--input", str(own)])
    figures = [
        outcome.rate(f"messages a second ({len(outcome.runs)})"),
        *(Figure(name=status, value=outcome.share(status), unit="share") for status in ("succeeded", "parked")),
        Figure(name="peak memory", value=outcome.peak_megabytes, unit="MB"),
    ]
    return Result("support_desk", figures, note=f"on the example's own input alone: {VARIABLE} is not set")


def _on_banking77(settings: Settings, folder: Path) -> Result:
    figures = []
    details: dict[str, object] = {}
    frequent = Counter(_labelled(folder / "train.csv").labels).most_common(1)[0][0]
    for name in ("test", "train"):
        with fresh_folder(settings.folder) as scratch:
            messages = _head(_labelled(folder / f"{name}.csv"), scratch, settings)
            outcome = _run(settings, ["--input", str(messages.path), "--map", "text=ticket.metadata.message"])
        rows = len(messages.labels)
        if len(outcome.runs) != rows:
            raise NotMeasured(f"{len(outcome.runs)} runs for {rows} messages")
        figures += [
            outcome.rate(f"{name}: messages a second ({rows:,})"),
            *(Figure(name=f"{name}: {s}", value=outcome.share(s), unit="share") for s in ("succeeded", "parked")),
            *_accuracies(name, outcome, messages.labels, frequent),
            Figure(name=f"{name}: peak memory", value=outcome.peak_megabytes, unit="MB"),
        ]
        details[name] = dict(Counter(run["status"] for run in outcome.runs))
    return Result("support_desk", figures, details)


def _labelled(path: Path) -> Labelled:
    if not path.is_file():
        raise NotMeasured(f"{VARIABLE} names a folder without {path.name}")
    with path.open(newline="", encoding="utf-8") as file:
        labels = [row["category"] for row in csv.DictReader(file)]
    return Labelled(path, labels)


def _head(messages: Labelled, folder: Path, settings: Settings) -> Labelled:
    """The whole file at full scale, else its first rows as a file of their own."""
    rows = settings.size(len(messages.labels))
    if rows == len(messages.labels):
        return messages
    head = folder / messages.path.name
    with messages.path.open(newline="", encoding="utf-8") as source, head.open("w", newline="", encoding="utf-8") as to:
        csv.writer(to).writerows(row for _, row in zip(range(rows + 1), csv.reader(source), strict=False))
    return Labelled(head, messages.labels[:rows])


def _accuracies(name: str, outcome: Outcome, labels: list[str], frequent: str) -> list[Figure]:
    baseline = labels.count(frequent) / len(labels)
    right = {run["input"] for run in outcome.runs if _category(run) == labels[run["input"]]}
    succeeded = {run["input"] for run in outcome.runs if run["status"] == "succeeded"}
    shares = {
        "accuracy": len(right) / len(labels),
        "accuracy of those that succeeded": len(right & succeeded) / max(1, len(succeeded)),
    }
    return [
        Figure(
            name=f"{name}: {what}",
            value=share,
            unit="share",
            reference=baseline,
            reference_name=f"always {frequent}",
            ratio=share / baseline if baseline else None,
        )
        for what, share in shares.items()
    ]


def _category(run: dict[str, Any]) -> str | None:
    category: str | None = run["context"].get("ticket", {}).get("category")
    return category


def _run(settings: Settings, arguments: list[str]) -> Outcome:
    """Run the command line in a process of its own. Raises NotMeasured."""
    command = [str(Path(sys.executable).with_name("interlock")), "run", str(EXAMPLE), *arguments, "--json"]
    with fresh_folder(settings.folder) as folder:
        command += ["--journal", str(folder / "journal.db")]
        commits_before = commit_us(folder)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            started = perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in FINE_EXITS:
            message = (folder / "err").read_text(errors="replace").strip()
            raise NotMeasured(f"interlock run ended with {process.returncode}: {message[-300:]}")
        runs = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
        commits = 2e6 / (commits_before + commit_us(folder))
    return Outcome(runs, seconds, _megabytes(usage.ru_maxrss), commits)


def _megabytes(maxrss: int) -> float:
    """Linux counts kilobytes here, macOS bytes."""
    return maxrss / 1e6 if sys.platform == "darwin" else maxrss * 1_024 / 1e6
