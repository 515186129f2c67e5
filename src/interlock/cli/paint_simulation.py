"""What simulated worlds came to, drawn."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from interlock.testing.simulation.campaign import Failure, Report
from interlock.testing.simulation.crashes import CrashReport
from interlock.testing.simulation.episode import Episode
from interlock.testing.simulation.transcript import transcript

from .paint import INJECTED, MARKS, console, marked, next_commands
from .text import count, counted, duration, line, plain, plural

TRANSCRIPT_LINES_MAX = 60
DIFFERENCES_SHOWN = 10
REASONS_SHOWN = 3
_HOUR_S = 3_600
# What a call came to, from the best to the worst for its team.
_OUTCOMES = ("refused", "failed", "crashed", "timed out", "interrupted", "cancelled", "asked", "judged", "committed")


def show_report(report: Report, seconds: float, kinds: Iterable[str] = ()) -> None:
    """What many seeds came to. kinds: the faults that were declared."""
    out = console()
    head = Text.assemble((plural(report.seeds, "seed"), "bold"), f" in {duration(seconds)}")
    rate = report.folded / seconds if seconds else 0
    events = f"{count(report.folded)} machine events, {count(report.events)} of them durable"
    hours = f"{report.seconds / _HOUR_S:,.1f} simulated hours"
    out.print(head.append(f"  {events} · {rate:,.0f} events/s · {hours}", "dim"))
    if report.seeds:
        out.print(_verdict(report.broken))
    out.print(_runs(report.statuses))
    for status in ("failed", "parked"):
        _show_reasons(report, status)
    if report.faults:
        out.print()
        out.print(_faults(report))
    never = [kind for kind in kinds if kind not in report.faults and report.seeds]
    if never:
        out.print(Text(f"\nnever struck: {', '.join(never)}", "yellow"))


def _show_reasons(report: Report, status: str) -> None:
    """The most frequent reasons for a status, each with a seed in which to look at it."""
    found = [(reason, sentence) for (ended, sentence), reason in report.reasons.items() if ended == status]
    out, (mark, style) = console(), MARKS[status]
    for reason, sentence in sorted(found, key=lambda item: (-item[0].runs, item[1]))[:REASONS_SHOWN]:
        text = f"    {mark} {reason.runs:,} (first: --seed {reason.seed})  {line(sentence)}"
        out.print(Text(text, style), no_wrap=True, overflow="ellipsis")


def _verdict(broken: Mapping[int, object]) -> Text:
    if not broken:
        mark, style = MARKS["succeeded"]
        return Text(f"{mark} no invariant broken", style)
    mark, style = MARKS["failed"]
    return Text(f"{mark} seed {min(broken)} broke an invariant", f"bold {style}")


def _runs(statuses: Mapping[str, int]) -> Text:
    text = Text("  ")
    for status in ("succeeded", "parked", "failed", "cancelled", "running"):
        if statuses.get(status):
            text.append_text(marked(status, f"{statuses[status]:,} {status}")).append("  ")
    return text


def _faults(report: Report) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("fault", style=INJECTED, no_wrap=True)
    table.add_column("struck", justify="right")
    table.add_column("the call", overflow="fold")
    table.add_column("its run", overflow="fold")
    for kind in sorted(report.faults):
        tally = report.faults[kind]
        calls = {name: tally.outcomes[name] for name in _OUTCOMES if tally.outcomes[name]}
        table.add_row(kind, f"{tally.struck:,}", counted(calls), counted(tally.runs))
    return table


def show_failure(failure: Failure, command: str) -> None:
    """The first broken seed, as small as it could be made. command: how to see it again."""
    out = console()
    mark, style = MARKS["failed"]
    out.print()
    out.print(Text(f"{mark} {failure.broken.invariant}: {line(failure.broken.message)}", f"bold {style}"))
    runs, struck = len(failure.episode.runs), len(failure.episode.struck)
    small = f"{runs} of {plural(failure.runs_before, 'run')}, {struck} of {plural(failure.faults_before, 'fault')}"
    out.print(Text(f"  seed {failure.seed}, made smaller in {plural(failure.worlds, 'world')}: {small}", "dim"))
    out.print()
    _show_lines(transcript(failure.episode, failure.broken.run_id, values=True))
    out.print(next_commands([command]))


def show_episode(episode: Episode, lines: Sequence[str]) -> None:
    """One world, told whole."""
    out = console()
    head = Text.assemble(("seed ", "dim"), (str(episode.seed), "bold"))
    facts = f"  {plural(episode.events, 'event')} · {duration(episode.seconds)} simulated · {episode.digest}"
    out.print(head.append(facts, "dim"))
    out.print(_verdict({episode.seed: None} if episode.broken else {}))
    out.print(_runs(episode.statuses))
    out.print()
    for text in lines:
        out.print(_drawn(text), no_wrap=True, overflow="ellipsis")


def _show_lines(lines: Sequence[str]) -> None:
    out, left_out = console(), len(lines) - TRANSCRIPT_LINES_MAX
    half = TRANSCRIPT_LINES_MAX // 2
    for number, text in enumerate(lines):
        if left_out > 0 and number == half:
            out.print(Text(f"  ... {plural(left_out, 'line')} left out", "dim"))
        if left_out <= 0 or not half <= number < half + left_out:
            out.print(_drawn(text), no_wrap=True, overflow="ellipsis")


def _drawn(text: str) -> Text:
    style = f"bold {MARKS['failed'][1]}" if "  BROKEN  " in text else INJECTED if "FAULT" in text else ""
    return Text(plain(text), style)


def show_crashes(report: CrashReport) -> None:
    """What a crash at every write came to."""
    out = console()
    mark, style = MARKS["succeeded" if report.ok else "failed"]
    tried = f"{plural(report.points, 'crash')}, before and after each of {plural(report.writes, 'journal write')}"
    ended = "each came to the same end" if report.ok else f"{len(report.differences):,} came to another end"
    out.print(Text(f"{mark} {tried}: {ended}", style))
    for difference in report.differences[:DIFFERENCES_SHOWN]:
        out.print(Text(f"  write {difference.write}, {difference.when}: {line(difference.message)}"))
        _show_lines(transcript(difference.episode))
