"""What moves on a terminal while runs go on; drawn on standard error."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from interlock.core import events as e
from interlock.engine.run import Run

from .paint import MARKS
from .screens import REFRESH_PER_SECOND, step_line
from .tally import Tally
from .text import duration, plain

_RATE_SECONDS = 10.0


class BatchBar:
    """A bar with rate, counts by status and remaining time."""

    gone = False

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(None, table_column=Column(ratio=1)),
            MofNCompleteColumn(),
            _Statuses(tally),
            _Rate(),
            _Remaining(),
            console=self._console,
            expand=True,
            refresh_per_second=REFRESH_PER_SECOND,
            speed_estimate_period=_RATE_SECONDS,
            transient=True,
        )
        self._task = self._progress.add_task("", total=tally.total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._move()
        self._progress.stop()

    async def ended(self, run: Run) -> None:
        """Move the bar."""
        self._move()

    def _move(self) -> None:
        self._progress.update(self._task, completed=self._tally.done, total=self._tally.total)

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Not shown."""

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(Text(plain(text)))


class StepsLine:
    """One line that says which steps of a single run are running."""

    gone = False

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._states: dict[str, str] = {}
        self._status = self._console.status(Text("starting"), spinner="dots", refresh_per_second=REFRESH_PER_SECOND)

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    async def ended(self, run: Run) -> None:
        """The result is shown elsewhere."""

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Steps have begun or ended."""
        for event in events:
            if isinstance(event, e.AttemptStarted):
                self._states[event.step] = "running"
            elif isinstance(event, e.AttemptCommitted | e.StepSkipped | e.StepBuried):
                self._states[event.step] = "done"
            elif isinstance(event, e.AttemptRefused | e.AttemptFailed | e.QuestionAsked):
                self._states[event.step] = "waiting"
        self._status.update(Text(step_line(self._states)))

    def say(self, text: str) -> None:
        """A line above it."""
        self._console.print(Text(plain(text)))


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
