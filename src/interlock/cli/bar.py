"""What moves on a terminal while runs go on; drawn on standard error."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.status import Status
from rich.table import Column
from rich.text import Text

from interlock.core import events as e
from interlock.engine import clock
from interlock.engine.run import Run
from interlock.history import Figures, why_held
from interlock.testing.simulation.campaign import Report

from .paint import MARKS
from .tally import Tally
from .text import ago, count, duration, line, plain
from .text import clock as at

REFRESH_PER_SECOND = 8
RUNNING_SHOWN = 4
_RATE_SECONDS = 10.0


class _Moving:
    """What moves below the lines that are said, from its beginning to its end."""

    gone = False

    def __init__(self, console: Console, drawn: Progress | Status) -> None:
        self._console, self._drawn = console, drawn

    def __enter__(self) -> Self:
        self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawn.stop()

    def say(self, text: str) -> None:
        """A line above it."""
        self._console.print(Text(plain(text)))


class BatchBar(_Moving):
    """A bar with rate, counts by status and remaining time."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(None, table_column=Column(ratio=1)),
            MofNCompleteColumn(),
            _Statuses(tally),
            _Rate(),
            _Remaining(),
            console=console,
            expand=True,
            refresh_per_second=REFRESH_PER_SECOND,
            speed_estimate_period=_RATE_SECONDS,
            transient=True,
        )
        self._task = self._progress.add_task("", total=tally.total)
        super().__init__(console, self._progress)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._move()
        super().__exit__(kind, error, trace)

    async def ended(self, run: Run) -> None:
        """Move the bar."""
        self._move()

    def _move(self) -> None:
        self._progress.update(self._task, completed=self._tally.done, total=self._tally.total)

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Count the calls."""
        self._tally.happened(run_id, events)


class StepsLine(_Moving):
    """One line that says which steps of a single run, and of those that do its steps, are running, or wait at a gate.

    above: of a run that does a step of another, how that step is called here.
    """

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._above: dict[str, str] = {}
        self._held = ""
        console = Console(stderr=True)
        self._status = console.status(Text("starting"), spinner="dots", refresh_per_second=REFRESH_PER_SECOND)
        super().__init__(console, self._status)

    async def ended(self, run: Run) -> None:
        """The result is shown elsewhere."""

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Steps have begun or ended."""
        for event in events:
            if isinstance(event, e.RunStarted) and event.parent is not None:
                self._above[run_id] = self._named(event.parent.run_id, event.parent.step)
            elif isinstance(event, e.CallHeld):
                self._states[self._named(run_id, event.step)] = "held"
                self._held = why_held(event.gate, event.reason)
            elif isinstance(event, e.AttemptStarted):
                self._states[self._named(run_id, event.step)] = "running"
            elif isinstance(event, e.AttemptCommitted | e.StepSkipped | e.StepBuried):
                self._states[self._named(run_id, event.step)] = "done"
            elif isinstance(event, e.QuestionAnswered):
                self._states[self._named(run_id, event.step)] = "done" if event.commits else "waiting"
            elif isinstance(event, e.BudgetRaised):
                raised = (self._named(run_id, step) for step in (event.step, *event.others))
                self._states |= dict.fromkeys(raised, "waiting")
            elif isinstance(event, e.AttemptRefused | e.AttemptFailed | e.QuestionAsked):
                self._states[self._named(run_id, event.step)] = "waiting"
        self._status.update(Text(_step_line(self._states, self._held), overflow="ellipsis", no_wrap=True))

    def _named(self, run_id: str, step: str) -> str:
        """A step, after the one of which its run does a part: two teams may have steps of one name."""
        return f"{self._above[run_id]} > {step}" if run_id in self._above else step


class ReadingLine(_Moving):
    """One line that says how much of a journal was read."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._status = console.status(Text("reading"), spinner="dots", refresh_per_second=REFRESH_PER_SECOND)
        self._began = self._last = clock.monotonic()
        super().__init__(console, self._status)

    def moved(self, figures: Figures) -> None:
        """More runs were read."""
        now = clock.monotonic()
        if now - self._last < 1 / REFRESH_PER_SECOND:
            return
        self._last = now
        rate = figures.runs / (now - self._began)
        since = ago(figures.first_us, clock.now_us())
        self._status.update(Text(f"{figures.runs:,} runs read, back to {since} ({rate:,.0f}/s)"))


def _step_line(states: dict[str, str], held: str = "") -> str:
    """What a single run is at: `3 steps done, running: write-brief, write-formal`. held: why the last one was held."""
    done = f"{count(sum(state == 'done' for state in states.values()))} steps done"
    parts = [f"{named}: {_names(states, state)}" for state, named in _NAMED.items() if state in states.values()]
    return ", ".join([done, *parts]) + (f" ({line(held)})" if "held" in states.values() else "")


_NAMED = {"running": "running", "held": "waiting at a gate"}


def _names(states: dict[str, str], wanted: str) -> str:
    found = [step for step, state in states.items() if state == wanted]
    return ", ".join(map(line, found[:RUNNING_SHOWN])) + (" ..." if len(found) > RUNNING_SHOWN else "")


class _Statuses(ProgressColumn):
    """How many runs ended how, with a mark and a colour for each status."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        """The counts."""
        found = Text()
        for status in ("succeeded", "parked", "failed", "cancelled"):
            number = self._tally.statuses[status]
            if number or status == "succeeded":
                mark, style = MARKS[status]
                found.append(f"{'  ' if found else ''}{mark} {number:,}", style)
        if waiting := self._tally.waiting:
            mark, style = MARKS["backing_off"]
            until_us = self._tally.until_us
            until = f" until {at(until_us, clock.now_us())}" if until_us else ""
            found.append(f"  {mark} {waiting:,} held{until}", style)
        return found


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Runs per second."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("  -/s", "dim")
        return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s", "cyan")  # noqa: PLR2004 - two digits do


class _Remaining(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The time that remains, as far as the speed tells."""
        left = task.time_remaining
        return Text("" if left is None else f"{duration(max(left, 1))} left".replace(".0 s", " s"), "dim")


class SeedsBar(_Moving):
    """A bar over seeds, with the rate of events and the time that was simulated."""

    def __init__(self, seeds: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(None, table_column=Column(ratio=1)),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}", style="cyan"),
            _Remaining(),
            console=console,
            expand=True,
            refresh_per_second=REFRESH_PER_SECOND,
            speed_estimate_period=_RATE_SECONDS,
            transient=True,
        )
        self._task = self._progress.add_task("", total=seeds, said="starting")
        self._began = clock.monotonic()
        super().__init__(console, self._progress)

    def moved(self, report: Report) -> None:
        """More seeds are done."""
        rate = report.folded / max(1e-3, clock.monotonic() - self._began)
        said = f"{rate:,.0f} events/s  {report.seconds / 3_600:,.1f} h simulated"
        self._progress.update(self._task, completed=report.seeds, said=said)
