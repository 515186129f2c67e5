"""What the doctor found, drawn."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.doctor import Diagnosis, Extra

from .paint import MARKS, console
from .text import plain, plural

_STATES = {"ok": MARKS["succeeded"], "missing": MARKS["parked"], "failed": MARKS["failed"]}


def show_doctor(about: dict[str, str], parts: list[Extra], found: list[Diagnosis], team: str) -> None:
    """Versions, optional parts, and the agents of a team."""
    out = console()
    out.print(Text(f"interlock {about['interlock']} · Python {about['python']} · {about['system']}"))
    if parts:
        out.print(Text("\nextras", "bold"))
        _show_extras(out, parts)
    if team:
        out.print(Text(f"\n{plain(team)}", "bold"))
        _show_team(out, found)


def _show_extras(out: Console, parts: list[Extra]) -> None:
    table = _table()
    for part in parts:
        mark = Text(*(MARKS["succeeded"] if part.is_installed else MARKS["waiting"]))
        there = ", ".join(f"{name} {version}" for name, version in part.packages.items() if version)
        missing = [name for name, version in part.packages.items() if not version]
        text = Text(there) if part.is_installed else Text(f"not installed: {', '.join(missing)}", "dim")
        table.add_row(mark, Text(part.name), text)
    out.print(table)


def _show_team(out: Console, found: list[Diagnosis]) -> None:
    table = _table()
    for one in found:
        mark, style = _STATES[one.state]
        text = Text(plain(one.text)).append(f"\nfix: {plain(one.fix)}" if one.fix else "", "green")
        table.add_row(Text(mark, style), Text(one.subject), Text(one.kind, "dim"), text)
    out.print(table)
    wrong = sum(one.state != "ok" for one in found)
    mark, style = MARKS["failed" if wrong else "succeeded"]
    said = f"{plural(wrong, 'agent')} can't work yet" if wrong else "every agent can work"
    out.print(Text(f"{mark} {said}", style))


def _table() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    return table
