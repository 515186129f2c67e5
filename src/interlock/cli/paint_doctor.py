"""What the doctor found, drawn; and what it is still looking at, which moves on standard error."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.doctor import Diagnosis, Examination, Extra

from .paint import MARKS, console
from .text import line, plain, plural

WAITING_SHOWN = 4
_STATES = {"ok": MARKS["succeeded"], "missing": MARKS["parked"], "failed": MARKS["failed"]}


class LooksLine:
    """One line that says what is still looked at, while it is entered."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._status = Console(stderr=True).status(Text("looking"), spinner="dots")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def moved(self, importing: str, waiting: Sequence[str]) -> None:
        """The code of an agent is imported; or these are still looked at."""
        said = f"importing the code of {line(importing)}" if importing else self._left(waiting)
        self._status.update(Text(said, no_wrap=True, overflow="ellipsis"))

    def _left(self, names: Sequence[str]) -> str:
        shown = ", ".join(map(line, names[:WAITING_SHOWN])) + (" ..." if len(names) > WAITING_SHOWN else "")
        return f"{self._total - len(names)} of {self._total} looked at{shown and ', waiting for: '}{shown}"


def show_doctor(about: dict[str, str], parts: list[Extra], found: Examination, team: str) -> None:
    """Versions, optional parts, and the agents and MCP servers of a team."""
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
        there = ", ".join(f"{name} {version}" for name, version in part.packages.items() if version)
        missing = [name for name, version in part.packages.items() if not version]
        mark = MARKS["succeeded" if part.is_installed else "waiting" if missing else "parked"]
        text = Text(f"not installed: {', '.join(missing)}", "dim") if missing else Text(there)
        if part.unfit and not missing:
            wrong = [f"{name} {part.packages[name]} where {asked} is needed" for name, asked in part.unfit.items()]
            text = Text(", ".join(wrong)).append(f"\nfix: pip install --upgrade 'interlock[{part.name}]'", "green")
        table.add_row(Text(*mark), Text(part.name), text)
    out.print(table)


def show_diagnoses(out: Console, found: Sequence[Diagnosis]) -> None:
    """What was found, a row for each."""
    table = _table()
    for one in found:
        mark, style = _STATES[one.state]
        text = Text(plain(one.text)).append(f"\nfix: {plain(one.fix)}" if one.fix else "", "green")
        table.add_row(Text(mark, style), Text(one.subject), Text(one.kind, "dim"), text)
    out.print(table)


def _show_team(out: Console, found: Examination) -> None:
    show_diagnoses(out, (*found.agents, *found.mcp_servers))
    if found.notify:
        out.print(Text("\nnotify", "bold"))
        show_diagnoses(out, found.notify)
    mark, style = MARKS["succeeded" if found.is_fine else "failed"]
    out.print(Text(f"{mark} {_summed_up(found)}", style))


def _summed_up(found: Examination) -> str:
    agents, servers, untold = _wrong(found.agents), _wrong(found.mcp_servers), _wrong(found.notify)
    told = [plural(agents, "agent")] if agents else []
    told += [plural(servers, "MCP server")] if servers else []
    working = f"{' and '.join(told)} can't work yet" if told else "every agent can work"
    return working + (f"; {plural(untold, 'recipient')} of notices can't be told" if untold else "")


def _wrong(found: Sequence[Diagnosis]) -> int:
    return sum(not one.is_fine for one in found)


def _table() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    return table
