"""Lists, drawn: runs, and the findings of an audit."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.core.events import AT_US_MAX
from interlock.history import Held, timestamp, why_held
from interlock.ports import RunRow
from interlock.team import Audit, AuditFinding

from .paint import INJECTED, INJECTED_MARK, MARKS, WIDE_COLUMNS, console, marked
from .text import ago, clock, duration, line, plain, plural, shown_team

if TYPE_CHECKING:
    from interlock.survey import Finding, Survey  # no other list pays for the import

_SEVERITIES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


REASON_COLUMNS_MIN = 20
COLUMN_GAP = 3
INDENT = 2
ALWAYS_SHOWN = 2
PLACE_COLUMNS, NARROW_PLACE_COLUMNS = 24, 14


def show_runs(rows: Sequence[RunRow], now_us: int, waiting: Mapping[str, Sequence[Held]] | None = None) -> None:
    """The runs as a table. waiting: by run, the steps that wait at a gate; why is the reason that it has not ended."""
    out = console()
    held = {run_id: _held(steps, now_us) for run_id, steps in (waiting or {}).items()}
    rows = [msgspec.structs.replace(row, reason=held[row.run_id]) if row.run_id in held else row for row in rows]
    rows, depths = _below(rows)
    if not rows:
        out.print(Text("no runs", "dim"))
        return
    if not out.is_terminal:
        _write_runs(rows)
        return
    show_table(_columns(rows, depths, now_us, out), [line(row.reason) for row in rows], out, right="took")
    if any(row.faults for row in rows):
        out.print(Text(f"{INJECTED_MARK} faults were injected on purpose", INJECTED))


def _below(rows: Sequence[RunRow]) -> tuple[list[RunRow], list[int]]:
    """The runs that do steps of others below these, the first of them first; and how deep each stands.

    One whose run above is not among the rows stands as deep as if that were.
    """
    known, inner = {row.run_id for row in rows}, dict[str, list[RunRow]]()
    for row in rows:
        inner.setdefault(row.parent, []).append(row)
    ordered, depths, told = list[RunRow](), list[int](), set[str]()
    # Those at last are reached alone in a damaged journal, where runs stand above each other.
    left = [*reversed(rows), *(row for row in reversed(rows) if row.parent not in known)]
    above = dict.fromkeys((row.run_id for row in rows), 0)
    while left:
        row = left.pop()
        if row.run_id in told:
            continue
        told.add(row.run_id)
        ordered.append(row)
        depths.append(above.get(row.parent, 0) + 1 if row.parent else 0)
        above[row.run_id] = depths[-1]
        left += inner.get(row.run_id, ())
    return ordered, depths


def _named(row: RunRow, depth: int) -> str:
    """The id of a run, below the one of which it does a step."""
    return f"{'  ' * (depth - 1)}└ {line(row.run_id)}" if depth else row.run_id


def _held(steps: Sequence[Held], now_us: int) -> str:
    """Until when, and why, the step waits that waits longest; and how many more do."""
    last = max(steps, key=lambda one: one.until_us)
    more = f" and {plural(len(steps) - 1, 'other step')}" if len(steps) > 1 else ""
    why = why_held(last.gate, last.reason)
    until = f" until {clock(last.until_us, now_us)}" if last.until_us else ""
    return f"held{until}: {last.step}{more}, {last.agent}: {why}"


def _columns(rows: Sequence[RunRow], depths: Sequence[int], now_us: int, out: Console) -> dict[str, list[str | Text]]:
    """What lists say of runs beside the reason."""
    columns: dict[str, list[str | Text]] = {
        "run": list(map(_named, rows, depths)),
        "status": [_status(row) for row in rows],
        "started": [_started(row, now_us, out) for row in rows],
        "took": [_took(row) for row in rows],
        "team": ["" if depth else shown_team(row.source) for row, depth in zip(rows, depths, strict=True)],
    }
    if len({*filter(None, columns["team"])}) <= 1 and out.width < WIDE_COLUMNS:
        del columns["team"]
    return columns


def show_table(
    columns: dict[str, list[str | Text]],
    reasons: Sequence[str],
    out: Console,
    *,
    right: str = "",
    heading: str = "reason",
    room_min: int = REASON_COLUMNS_MIN,
) -> None:
    """Rows with their reasons: at their ends, or below them where there is no room for the beginning of a reason.

    Where not even the columns fit, as many of the first as do. right: the column of numbers. heading: of the reasons;
    room_min: how many columns one needs at least.
    """
    room = _room(columns, out)
    if room >= min(room_min, max(map(len, reasons))):
        beside = columns | ({heading: [_cut(reason, room) for reason in reasons]} if any(reasons) else {})
        _show_beside(beside, out, right)
        return
    while _room(columns, out) < -2 * COLUMN_GAP and len(columns) > ALWAYS_SHOWN:
        columns.popitem()
    _show_above(columns, [_cut(reason, out.width - INDENT) for reason in reasons], out, right)


def _cut(reason: str, room: int) -> str:
    return reason if len(reason) <= room else reason[: max(0, room - 1)] + "…"


def _show_beside(columns: dict[str, list[str | Text]], out: Console, right: str) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for heading in columns:
        table.add_column(heading, no_wrap=True, justify="right" if heading == right else "left")
    for record in zip(*columns.values(), strict=True):
        table.add_row(*record)
    out.print(table)


def _show_above(columns: dict[str, list[str | Text]], reasons: Sequence[str], out: Console, right: str) -> None:
    widths = [max(map(_width, (heading, *cells))) for heading, cells in columns.items()]
    rows: list[tuple[str | Text, ...]] = [(*columns,), *zip(*columns.values(), strict=True)]
    for number, (row, reason) in enumerate(zip(rows, ("", *reasons), strict=True)):
        told = Text("\n" if not number else "", style="dim" if not number else "")
        for cell, width, heading in zip(row, widths, columns, strict=True):
            padding = " " * (width - _width(cell))
            told.append(padding if heading == right else "").append(cell)
            told.append(("" if heading == right else padding) + " " * COLUMN_GAP)
        told.rstrip()
        out.print(told, no_wrap=True, overflow="ellipsis")
        if reason:
            out.print(Text(" " * INDENT + reason, "dim"), no_wrap=True, overflow="ellipsis")


def _width(cell: str | Text) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell_len(cell)


def _status(row: RunRow) -> Text:
    return marked(row.status).append(f" {INJECTED_MARK}" if row.faults else "", INJECTED)


def _room(columns: Mapping[str, Sequence[str | Text]], out: Console) -> int:
    """How many characters the other columns leave for the reason, with two between columns."""
    widths = (max(len(heading), *map(len, cells)) for heading, cells in columns.items())
    return out.width - sum(width + COLUMN_GAP for width in widths) - COLUMN_GAP


def _write_runs(rows: Sequence[RunRow]) -> None:
    """The same for a file or another program: whole, and quick for any number of runs."""
    cells = [("run", "status", "started", "took", "team", "reason")]
    cells += [
        (
            row.run_id,
            _said(row),
            _local(row.started_us),
            _took(row),
            shown_team(row.source),
            " ".join(filter(None, (f"(of {line(row.parent)})" if row.parent else "", line(row.reason)))),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for record in cells:
        padded = (f"{cell:<{width}}" for cell, width in zip(record, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _said(row: RunRow) -> str:
    return line(row.status) + (" (faults injected)" if row.faults else "")


def _started(row: RunRow, now_us: int, out: Console) -> str:
    """How long ago; where there is room, the local time as well. Of a damaged row nobody may know."""
    if not row.started_us and row.damage:
        return "?"
    if out.width < WIDE_COLUMNS:
        return ago(row.started_us, now_us)
    return f"{_local(row.started_us)} ({ago(row.started_us, now_us)})"


def _local(at_us: int) -> str:
    if not 0 <= at_us <= AT_US_MAX:
        return timestamp(at_us)
    return f"{datetime.fromtimestamp(at_us / 1e6).astimezone():%Y-%m-%d %H:%M:%S}"


def _took(row: RunRow) -> str:
    return duration((row.ended_us - row.started_us) / 1e6) if row.ended_us and not row.damage else ""


# --- the audit ---


def show_audit(found: Audit, name: str) -> None:
    """What the audit found, as a table."""
    out = console()
    if found.findings:
        out.print(findings_table(found.findings, [str(one.line or "") for one in found.findings], "line", out))
    out.print(verdict(found, name, ("sound", "not valid")))


def findings_table(
    findings: "Sequence[AuditFinding | Finding]", places: Sequence[str], heading: str, out: Console
) -> Table:
    """A row for each finding; where there is no room for a column of its own, the fix stands below."""
    wide, numbered = out.width >= WIDE_COLUMNS, heading == "line"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("severity", no_wrap=True)
    table.add_column(
        heading,
        justify="right" if numbered else "left",
        style="dim",
        no_wrap=numbered,
        overflow="fold",
        max_width=PLACE_COLUMNS if wide else NARROW_PLACE_COLUMNS,
    )
    table.add_column("what", ratio=3, overflow="fold")
    if wide:
        table.add_column("fix", ratio=2, overflow="fold", style="green")
    for finding, place in zip(findings, places, strict=True):
        severity = Text(finding.severity, _SEVERITIES[finding.severity])
        what, fix = Text(plain(finding.message)), Text(plain(finding.fix), "green")
        below = [] if wide or not finding.fix else [Text("\nfix: ", "green"), fix]
        table.add_row(severity, place, Text.assemble(what, *below), *([fix] if wide else []))
    return table


def verdict(found: "Audit | Survey", name: str, words: tuple[str, str]) -> Text:
    """What all of it comes to. words: for that there are no errors, and that there are."""
    counts = {kind: sum(finding.severity == kind for finding in found.findings) for kind in _SEVERITIES}
    said = ", ".join(plural(number, kind) for kind, number in counts.items() if number and kind != "info")
    mark = MARKS["succeeded" if found.ok else "failed"]
    text = Text.assemble((f"{mark[0]} {plain(name)}", mark[1]), f": {words[0 if found.ok else 1]}")
    return text.append(f" ({said})" if said else "", "dim")
