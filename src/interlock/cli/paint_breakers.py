"""Gates, drawn: breakers and what they did last, rates, daily budgets."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from interlock.core.breaker import Breaker, Moved
from interlock.history import Standing

from .config import Settings
from .paint import console, next_commands
from .text import ago, clock, count, duration, line, money, plain, shown_team

MOVES_SHOWN = 5
WHY_CHARS_MAX = 160
NAME_COLUMNS_MAX = 24
ALL_AGENTS = "(all agents)"
_STATES = {"closed": ("✓", "green"), "open": ("✗", "red"), "half_open": ("?", "yellow")}


def show_gates(gates: Sequence[Standing], now_us: int, settings: Settings) -> None:
    """Every gate of the journal, by team."""
    out = console()
    if not gates:
        out.print(Text("no breakers, rates or daily budgets: no team of this journal declares one", "dim"))
        return
    names = list(dict.fromkeys(one.team for one in gates))
    for number, name in enumerate(names):
        if len(names) > 1:
            out.print(Text(("\n" if number else "") + f"team {shown_team(name)}", "bold"))
        of_team = [one for one in gates if one.team == name]
        for place, table in enumerate(_tables(of_team, now_us)):
            out.print(*(("",) if place else ()), table, sep="\n")
    is_open = [one for one in gates if one.breaker is not None and one.breaker.state == "open"]
    if is_open and out.is_terminal:
        out.print(next_commands([_reset(is_open[0], settings, several=len(names) > 1)]))


def _reset(one: Standing, settings: Settings, *, several: bool) -> str:
    team = f" --team {shown_team(one.team)}" if several and one.team else ""
    return settings.command(f"breakers reset {one.agent}{team} --reason TEXT")


def _tables(gates: Sequence[Standing], now_us: int) -> Iterator[Table]:
    """What matters most comes last: there it is seen, however many lines the terminal has."""
    if any(one.rates for one in gates):
        yield _rates(gates, now_us)
    if any(one.budgets for one in gates):
        yield _budgets(gates)
    breakers = [one for one in gates if one.breaker is not None]
    moves = sorted(((moved, one.agent) for one in breakers for moved in one.moves), key=lambda item: item[0].at_us)
    if moves:
        yield _moves(moves[-MOVES_SHOWN:], now_us)
    if breakers:
        yield _breakers(breakers, now_us)


def _table(first: str, *headings: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True, overflow="ellipsis", max_width=NAME_COLUMNS_MAX)
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "why", justify="right" if heading in right else "left")
    return table


def _breakers(breakers: Sequence[Standing], now_us: int) -> Table:
    table = _table("breaker of", "state", "since", "until", "why")
    for one in breakers:
        breaker = one.breaker
        assert breaker is not None
        mark, style = _STATES[breaker.state]
        since = ago(breaker.since_us, now_us) if breaker.since_us else ""
        state = Text(f"{mark} {_named(breaker.state)}", style)
        table.add_row(plain(one.agent), state, since, _until(breaker, now_us), _why(one, breaker))
    return table


def _until(breaker: Breaker, now_us: int) -> str:
    if breaker.state == "closed":
        return ""
    if not breaker.until_us:
        return "reset by hand"
    left = breaker.until_us - now_us
    return clock(breaker.until_us, now_us) if left > 0 else "the next call"


def _why(one: Standing, breaker: Breaker) -> Text:
    policy = one.policy.breaker if one.policy is not None else None
    if breaker.state == "closed" and breaker.bad_in_a_row and policy is not None:
        return Text(f"{breaker.bad_in_a_row} bad in a row; it opens at {policy.trip_after}", "yellow")
    if breaker.state == "half_open" and policy is not None:
        return Text(f"{breaker.good} of {policy.half_open_calls} probes were good so far")
    who = next((moved.by for moved in one.moves if moved.by and moved.at_us == breaker.since_us), "")
    return _cut(breaker.reason, who)


def _cut(reason: str, who: str) -> Text:
    text = line(reason)
    text = text if len(text) <= WHY_CHARS_MAX else text[:WHY_CHARS_MAX] + "..."
    return Text(text).append(f" (by {line(who)})" if who else "", "dim")


def _moves(moves: Sequence[tuple[Moved, str]], now_us: int) -> Table:
    table = _table("lately", "agent", "went", "why")
    for moved, agent in moves:
        mark, style = _STATES[moved.to]
        at = clock(moved.at_us, now_us)
        why = _cut(moved.reason, moved.by)
        why.no_wrap, why.overflow = True, "ellipsis"
        table.add_row(at, plain(agent), Text(f"{mark} {_named(moved.to)}", style), why)
    return table


def _rates(gates: Sequence[Standing], now_us: int) -> Table:
    table = _table("rate of", "allowed", "taken", "waiting", "next", right=("taken", "waiting"))
    for one in gates:
        for rate in one.rates:
            wait_us = rate.free_us - now_us
            free = "at once" if wait_us <= 0 else f"in {duration(wait_us / 1e6)}"
            allowed = f"{rate.amount:,} {rate.what}/{rate.per}"
            name = plain(one.agent) or ALL_AGENTS
            table.add_row(name, allowed, f"{rate.booked:,}", f"{rate.later:,}" if rate.later else "", free)
    return table


def _budgets(gates: Sequence[Standing]) -> Table:
    sums = ("spent", "reserved", "left")
    table = _table("today's budget of", "allowed", *sums, right=sums)
    for one in gates:
        for budget in one.budgets:
            unit = "" if budget.what == "usd" else f" {budget.what}"
            spent, reserved, left = (_amount(budget.what, getattr(budget, name)) for name in sums)
            style = "red" if budget.left <= 0 else ""
            more = f" + {_amount(budget.what, budget.raised)}" if budget.raised else ""
            limit = _amount(budget.what, budget.limit) + more + unit
            table.add_row(plain(one.agent) or ALL_AGENTS, limit, spent, reserved, Text(left, style))
    return table


def _amount(what: str, amount: float) -> str:
    return money(amount) if what == "usd" else count(int(amount))


def _named(state: str) -> str:
    return state.replace("_", "-")
