"""Dead letters, drawn: the list, and one of them."""

import sys
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from interlock.history import Attempt, Letter
from interlock.ports import LetterRow

from .config import Settings
from .paint import MARKS, console, marked, next_commands
from .paint_lists import columns_with_reasons
from .paint_run import indented_json
from .text import ago, count, line, money, plain, plural, shown_team


def show_letters(rows: Sequence[LetterRow], now_us: int) -> None:
    """The letters as a table; whole lines where nobody looks on."""
    out = console()
    if not rows:
        out.print(Text("no dead letters", "dim"))
        return
    if not out.is_terminal:
        for row in rows:
            cells = (row.name, _outcome(row).plain, row.agent, plural(row.attempts, "attempt"), line(row.reason))
            sys.stdout.write("  ".join(map(plain, cells)).rstrip() + "\n")
        return
    columns: dict[str, list[str | Text]] = {
        "letter": [plain(row.name) for row in rows],
        "outcome": [_outcome(row) for row in rows],
        "given up": [ago(row.at_us, now_us) for row in rows],
        "agent": [plain(row.agent) for row in rows],
        "tries": [str(row.attempts) for row in rows],
    }
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    columns = columns_with_reasons(columns, [line(row.reason) for row in rows], out)
    for heading in columns:
        table.add_column(heading, no_wrap=True, justify="right" if heading == "tries" else "left")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    out.print(table)


def _outcome(row: LetterRow) -> Text:
    """`waits`, or how the run stands in which it was redriven."""
    if not row.redriven_run:
        return Text(f"{MARKS['dead'][0]} waits", MARKS["dead"][1])
    where = "" if row.redriven_run == row.run_id else f" in {row.redriven_run}"
    return marked(row.outcome, f"{line(row.outcome)}{where}")


def show_letter(letter: Letter, row: LetterRow, settings: Settings) -> None:
    """One letter: why, what it saw, all that it replied, and what can be done now."""
    out = console()
    for part in _parts(letter, row):
        out.print(part)
    if letter.call is not None:
        verified = "not verified" if letter.call.mismatches else "verified"
        out.print(Text.assemble(("\nview", "bold"), (f"  {letter.call.view_hash[:16]} · {verified}", "dim")))
        out.print(indented_json(letter.call.view, out))
    last = f"/{letter.attempts[-1].attempt}" if letter.attempts else ""
    commands = [settings.command(f"replay {row.name}{last}" if last else f"show {row.run_id}")]
    if not row.redriven_run:
        commands = [settings.command(f"dlq redrive {row.name}"), *commands]
    out.print(next_commands(commands))


def _parts(letter: Letter, row: LetterRow) -> Iterator[RenderableType]:
    cost = letter.cost
    facts = [plural(cost.calls, "call")]
    facts += [f"{count(cost.tokens)} tokens", money(cost.usd)] if cost.tokens or cost.usd else []
    facts += [shown_team(row.source)] if row.source else []
    head = Text.assemble(("run ", "dim"), (row.run_id, "bold"), ("  step ", "dim"), (plain(row.step), "bold"))
    yield head.append(f"  {plain(letter.agent)} · {' · '.join(facts)}", "dim")
    yield Text(plain(letter.buried.reason), MARKS["dead"][1])
    if row.redriven_run:
        who = f"redriven by {line(row.redriven_by)}" + (f": {line(row.redriven_reason)}" if row.redriven_reason else "")
        yield Text.assemble((f"{who}; run {row.redriven_run} is ", "dim"), marked(row.outcome))
    job = f"\njob  {plain(letter.action)}" + (f": {line(letter.instructions)}" if letter.instructions else "")
    yield Text(job, "bold")
    for attempt in letter.attempts:
        yield from _attempt(attempt)


def _attempt(attempt: Attempt) -> Iterator[Text]:
    yield Text.assemble((f"\nattempt {attempt.attempt}", "bold"), (f"  {attempt.agent}  {attempt.outcome}", "dim"))
    for finding in attempt.findings:
        yield Text(f"  {plain(finding.message)}", MARKS["dead"][1])
    if attempt.error:
        yield Text(f"  {plain(attempt.error)}", MARKS["dead"][1])
    if attempt.reply is not None:
        yield Text(f"  replied: {line(str(attempt.reply))}")
