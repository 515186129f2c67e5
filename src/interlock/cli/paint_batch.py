"""What many runs came to, drawn."""

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .config import Settings
from .paint import MARKS, console, marked, next_commands
from .tally import Reason, Tally
from .text import count, counted, duration, line, money, plural

REASONS_SHOWN = 5
AGENTS_SHOWN = 12


def show_summary(
    tally: Tally, seconds: float, batch_id: str, settings: Settings, *, left: int = 0, plan: str = ""
) -> None:
    """What a batch, or what was resumed, came to. plan: which of several all of them have."""
    out = console()
    rate = f"  {tally.done / seconds:,.1f} runs/s" if seconds > 0 else ""
    head = Text.assemble((plural(tally.done, "run"), "bold"), f" in {duration(seconds)}", (rate, "dim"))
    head.append(f"  batch {batch_id}" if batch_id else "", "dim")
    head.append(f"  plan {line(plan)}" if plan else "", "dim")
    out.print(head)
    out.print(_status_table(tally, left))
    totals = [("calls", count(tally.calls)), ("tokens", count(tally.tokens)), ("cost", money(tally.usd))]
    parts = [part for name, value in totals for part in ((f"  {name} ", "dim"), value)]
    out.print(Text.assemble(*parts))
    if tally.outcomes:
        out.print(_calls(tally))
    for status in ("failed", "parked", "cancelled"):
        if status in tally.reasons:
            out.print(_reasons(tally, status))
    commands = [*_next_commands(tally, batch_id, settings, left)]
    if commands:
        out.print(next_commands(commands))


def _status_table(tally: Tally, left: int) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right", style="dim")
    for status in ("succeeded", "parked", "failed", "cancelled"):
        if tally.statuses[status]:
            number = tally.statuses[status]
            table.add_row(Text("  ").append_text(marked(status)), f"{number:,}", f"{100 * number / tally.done:.1f} %")
    if left:
        table.add_row(Text("  ").append_text(marked("waiting", "not done")), f"{left:,}", "")
    return table


def _calls(tally: Tally) -> Group:
    """What became of the calls of each agent, those with the most trouble first."""
    trouble = {name: outcomes.total() - outcomes["committed"] for name, outcomes in tally.outcomes.items()}
    shown = sorted(trouble, key=lambda name: -trouble[name])[:AGENTS_SHOWN]
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name in shown:
        outcomes = tally.outcomes[name]
        table.add_row(f"  {line(name)}", plural(outcomes.total(), "call"), Text(counted(outcomes), "dim"))
    left = len(trouble) - len(shown)
    more = [Text(f"  and {plural(left, 'other agent')}", "dim")] if left else []
    return Group(Text("\nagents", "bold"), table, *more)


def _reasons(tally: Tally, status: str) -> Group:
    """The most frequent reasons for a status, each with its number of runs and the first of them."""
    shown = _frequent(tally, status)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for reason in shown:
        table.add_row(f"  {reason.number:,}", Text(line(reason.text), MARKS[status][1]))
        table.add_row("", Text(reason.run_id if reason.number == 1 else f"first: {reason.run_id}", "dim"))
    left = tally.statuses[status] - sum(reason.number for reason in shown)
    more = [Text(f"  and {left:,} for other reasons", "dim")] if left else []
    return Group(Text(f"\n{status}", "bold"), table, *more)


def _frequent(tally: Tally, status: str) -> list[Reason]:
    return sorted(tally.reasons[status].values(), key=lambda reason: -reason.number)[:REASONS_SHOWN]


def _next_commands(tally: Tally, batch_id: str, settings: Settings, left: int) -> Iterator[str]:
    worst = next((status for status in ("failed", "parked", "cancelled") if status in tally.reasons), "")
    if left:
        yield settings.command(f"resume {batch_id}".rstrip())
    if tally.statuses["parked"]:
        yield settings.command("inbox list")
    if worst:
        yield settings.command(f"show {_frequent(tally, worst)[0].run_id}")
        within = f" --batch {batch_id}" if batch_id else ""
        yield settings.command(f"runs --status {worst}{within}")
