"""A world, or a run of it, told line by line: when, in which process, to which step what happened."""

from collections.abc import Iterator, Sequence

from interlock.core import events as e
from interlock.history import sentence, visible

from .episode import Episode, Happening

CHARS_MAX = 240
COLUMN_MAX = 26


def transcript(episode: Episode, run_id: str = "", *, values: bool = False) -> list[str]:
    """The story of a world as lines.

    run_id: only of this run, and what happened to the processes. values: with what was asked, and what was committed.
    """
    told = [happening for happening in episode.story if not run_id or happening.run_id in {"", run_id}]
    runs = {happening.run_id for happening in told if happening.run_id}
    lines = [*_lines(told, several_runs=len(runs) > 1, values=values)]
    if episode.broken is not None:
        lines.append(f"{_clock(episode.seconds)}  BROKEN  {_plain(str(episode.broken))}"[:CHARS_MAX])
    return lines


def _lines(story: Sequence[Happening], *, several_runs: bool, values: bool) -> Iterator[str]:
    subjects = [_subject(happening, several_runs=several_runs) for happening in story]
    width = min(COLUMN_MAX, max(map(len, subjects), default=0))
    for happening, subject in zip(story, subjects, strict=True):
        process = f"p{happening.process}" if happening.process else "  "
        said = _plain(_said(happening, values=values))
        yield f"{_clock(happening.at)}  {process}  {subject:<{width}}  {said}".rstrip()[:CHARS_MAX]


def _plain(text: str) -> str:
    """One line for any terminal."""
    return visible(" ".join(text.split()))


def _clock(seconds: float) -> str:
    return f"{seconds:11.4f} s"


def _subject(happening: Happening, *, several_runs: bool) -> str:
    step = getattr(happening.detail, "step", "") if isinstance(happening.detail, e.AnyEvent) else ""
    run = happening.run_id if several_runs else ""
    return f"{run} {step}".strip()


def _said(happening: Happening, *, values: bool) -> str:
    event = happening.detail
    if values and isinstance(event, e.RunStarted):
        return f"{sentence(event)} with {bytes(event.request).decode()}"
    if values and isinstance(event, e.AttemptCommitted) and event.writes:
        writes = (f"{path} = {bytes(raw).decode()}" for path, raw in event.writes.items())
        return f"committed: {', '.join(writes)}"
    if isinstance(event, e.AnyEvent):
        return sentence(event)
    return f"FAULT  {event}" if happening.what == "fault" else happening.what
