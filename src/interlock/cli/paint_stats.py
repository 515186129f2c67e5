"""The figures of agents, drawn: what became of their calls, how good, how fast, and what they cost."""

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock.history import AgentFigures, Figures, Spread
from interlock.history.spread import ERROR_MAX, EXACT_MAX

from .paint import WIDE_COLUMNS, console, marked
from .text import count, counted, duration, line, money, plural

AGENT_COLUMNS_MAX = 16
_NONE = Text("-", "dim")
_FEW, _SOME = 0.05, 0.2

Cell = str | Text
Column = Callable[[AgentFigures], Cell]


def show_stats(figures: Figures) -> None:
    """The figures, in tables of one theme each."""
    out = console()
    if not figures.runs:
        out.print(Text("no runs", "dim"))
        return
    out.print(_head(figures))
    agents, total = figures.agents, figures.total
    rows = [*agents.items(), *([("total", total)] if len(agents) != 1 else [])]
    for title, columns in _TABLES.items():
        if title != "cost" or _costs(total):
            out.print(Text(f"\n{title}", "bold"))
            out.print(_table(columns, rows, out))
    for title, told in _REASONS.items():
        _print_reasons(title, {name: told(one) for name, one in agents.items()}, out)
    if not all(spread.is_exact for spread in (total.latency_ms, total.waits_ms, total.recoveries_ms)):
        note = f"\npercentiles of more than {EXACT_MAX:,} values are within {100 * ERROR_MAX:g} %; the largest is exact"
        out.print(Text(note, "dim"))


def _head(figures: Figures) -> Text:
    """How many runs there are, of which status."""
    head = Text(plural(figures.runs, "run"), "bold")
    for status, number in sorted(figures.statuses.items(), key=lambda one: -one[1]):
        head.append("  ").append_text(marked(status, f"{number:,} {line(status)}"))
    return head.append(f"  with {plural(figures.nested, 'run')} of nested teams" if figures.nested else "", "dim")


def _costs(total: AgentFigures) -> bool:
    """Whether anything is known of what was consumed; agents that are no models have nothing to tell."""
    return bool(total.spent.tokens or total.spent.requests or total.spent.usd)


def _table(columns: Mapping[str, Column], rows: Sequence[tuple[str, AgentFigures]], out: Console) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    width = None if not out.is_terminal or out.width >= WIDE_COLUMNS else AGENT_COLUMNS_MAX
    table.add_column("agent", no_wrap=True, max_width=width, overflow="ellipsis")
    for heading in columns:
        table.add_column(heading, no_wrap=True, justify="right")
    for place, (name, one) in enumerate(rows, 1):
        is_total = place == len(rows) > 1
        table.add_row(line(name), *(column(one) for column in columns.values()), style="bold" if is_total else "")
    return table


def _print_reasons(title: str, by_agent: Mapping[str, str], out: Console) -> None:
    reasons = {line(name): told for name, told in by_agent.items() if told}
    if not reasons:
        return
    out.print(Text(f"\n{title}", "bold"))
    width = max(map(len, reasons))
    for name, told in reasons.items():
        out.print(Text(f"{name:<{width}}  {told}"), soft_wrap=False)


def _unjudged(number: int) -> str:
    return plural(number, "call") if number else ""


def _held(one: AgentFigures) -> str:
    """Which gates held calls back, and how long steps have waited there."""
    if not one.held_ms.count:
        return counted(one.holds)
    p50, p95 = (duration((one.held_ms.percentile(percent) or 0) / 1_000) for percent in (50, 95))
    return f"{counted(one.holds)}; waited p50 {p50}, p95 {p95}"


# --- cells ---


def _number(number: int) -> Cell:
    return count(number) if number else _NONE


def _share(share: float | None) -> Cell:
    return _NONE if not share else _percent(share)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _success(one: AgentFigures) -> Cell:
    """In the colour that refusals and failures call for: an agent that asks people does nothing wrong."""
    if one.success_rate is None:
        return _NONE
    wrong = (one.outcomes["refused"] + one.outcomes["failed"]) / one.ended
    return Text(_percent(one.success_rate), "green" if wrong <= _FEW else "yellow" if wrong <= _SOME else "red")


def _bad(number: int) -> Cell:
    return Text(count(number), "red") if number else _NONE


def _took(spread: Spread, percent: float) -> Cell:
    found = spread.percentile(percent)
    return _NONE if found is None else duration(found / 1_000)


def _usd(one: AgentFigures) -> Cell:
    """What is known; where a price is not, it is more than that."""
    spent = one.spent
    if not spent.unpriced:
        return money(spent.usd) if spent.usd else _NONE
    return Text(f"> {money(spent.usd)}" if spent.usd else "unknown", "yellow")


def _usd_per_run(one: AgentFigures, percent: float) -> Cell:
    found = one.per_run.usd.percentile(percent)
    return _NONE if not found else money(found)


def _tokens_per_run(one: AgentFigures, percent: float) -> Cell:
    return _number(round(one.per_run.tokens.percentile(percent) or 0))


_TABLES: dict[str, dict[str, Column]] = {
    "calls": {
        "calls": lambda one: _number(one.attempts),
        "committed": lambda one: _number(one.outcomes["committed"]),
        "success": _success,
        "refused": lambda one: _number(one.outcomes["refused"]),
        "failed": lambda one: _number(one.outcomes["failed"]),
        "lost": lambda one: _number(one.outcomes["interrupted"]),
        "asked": lambda one: _number(one.outcomes["asked"]),
    },
    "quality": {
        "replies": lambda one: _number(one.replies),
        "halluc.": lambda one: _number(one.hallucinations),
        "share": lambda one: _share(one.hallucination_rate),
        "out of scope": lambda one: _bad(one.refusals["scope"]),
        "steps": lambda one: _number(one.steps),
        "retries": lambda one: _number(one.retries),
        "dead": lambda one: _bad(one.dead),
    },
    "time": {
        "call p50": lambda one: _took(one.latency_ms, 50),
        "p95": lambda one: _took(one.latency_ms, 95),
        "max": lambda one: _took(one.latency_ms, 100),
        "wait p50": lambda one: _took(one.waits_ms, 50),
        "p95 ": lambda one: _took(one.waits_ms, 95),
        "recover p50": lambda one: _took(one.recoveries_ms, 50),
        "p95  ": lambda one: _took(one.recoveries_ms, 95),
    },
    "cost": {
        "tokens": lambda one: _number(one.spent.tokens),
        "requests": lambda one: _number(one.spent.requests),
        "cost": _usd,
        "run p50": lambda one: _usd_per_run(one, 50),
        "p95": lambda one: _usd_per_run(one, 95),
        "tokens p50": lambda one: _tokens_per_run(one, 50),
        "p95 ": lambda one: _tokens_per_run(one, 95),
    },
}
_REASONS: dict[str, Callable[[AgentFigures], str]] = {
    "refused because of": lambda one: counted(one.refusals),
    "refused because nobody could judge": lambda one: _unjudged(one.outcomes["unjudged"]),
    "failed by": lambda one: counted(one.errors),
    "held back by": _held,
}
