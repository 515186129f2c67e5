"""Dead letters, drawn: the list, and one of them."""

import sys
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from interlock.history import Attempt, Letter
from interlock.ports import LetterRow

from .config import Settings
from .paint import MARKS, WIDE_COLUMNS, console, marked, next_commands
from .paint_lineage import shortened
from .paint_lists import show_table
from .paint_run import INDENT, effect_line, indented_json
from .text import ago, count, line, money, plain, plural, shown_team

EFFECTS_SHOWN = 10


def show_letters(rows: Sequence[LetterRow], now_us: int, why: str = "") -> None:
    """The letters as a table; whole lines where nobody looks on. why: why there are none."""
    out = console()
    if not rows:
        out.print(Text(f"no dead letters{plain(why)}", "dim"))
        return
    if not out.is_terminal:
        for row in rows:
            cells = (row.name, _outcome(row).plain, row.agent, plural(row.attempts, "attempt"), _why(row))
            sys.stdout.write("  ".join(map(plain, cells)).rstrip() + "\n")
        return
    is_wide = out.width >= WIDE_COLUMNS
    columns: dict[str, list[str | Text]] = {
        "letter": [plain(row.name) for row in rows],
        "outcome": [_outcome(row) if is_wide else _waits(row) or marked(row.outcome) for row in rows],
        "given up": [ago(row.at_us, now_us) for row in rows],
        "agent": [plain(row.agent) for row in rows],
        "tries": [str(row.attempts) for row in rows],
    }
    show_table(columns, [("" if is_wide else _fork(row)) + _why(row) for row in rows], out, right="tries")


def _outcome(row: LetterRow) -> Text:
    """`waits`, or how the run stands in which it was redriven."""
    where = "" if row.redriven_run == row.run_id else f" in {row.redriven_run}"
    return _waits(row) or marked(row.outcome, f"{line(row.outcome)}{where}")


def _waits(row: LetterRow) -> Text | None:
    return None if row.redriven_run else Text(f"{MARKS['dead'][0]} waits", MARKS["dead"][1])


def _why(row: LetterRow) -> str:
    return (f"(of {plain(row.above)}) " if row.above else "") + line(row.reason)


def _fork(row: LetterRow) -> str:
    return f"redriven in {row.redriven_run}: " if row.redriven_run not in {"", row.run_id} else ""


def show_letter(letter: Letter, row: LetterRow, settings: Settings) -> None:
    """One letter: why, what it saw, all that it replied, and what can be done now."""
    out = console()
    for part in _parts(letter, row):
        out.print(part)
    if letter.call is not None:
        verified = "not verified" if letter.call.mismatches else "verified"
        out.print(Text.assemble(("\nview", "bold"), (f"  {letter.call.view_hash[:16]} · {verified}", "dim")))
        out.print(indented_json(letter.call.view, out))
    last = f"/{letter.call.attempt.attempt}" if letter.call else ""
    commands = [settings.command(f"replay {row.name}{last}" if last else f"show {row.run_id}")]
    if not row.redriven_run:
        commands = [settings.command(f"dlq redrive {row.above or row.name}"), *commands]
    out.print(next_commands(commands))


def _parts(letter: Letter, row: LetterRow) -> Iterator[RenderableType]:
    cost = letter.cost
    facts = [plural(cost.calls, "call")]
    facts += [f"{count(cost.tokens)} tokens", money(cost.usd)] if cost.tokens or cost.usd else []
    facts += [shown_team(row.source)] if row.source else []
    head = Text.assemble(("run ", "dim"), (row.run_id, "bold"), ("  step ", "dim"), (plain(row.step), "bold"))
    yield head.append("  " + " · ".join(filter(None, (plain(letter.agent), *facts))), "dim")
    yield Text(plain(letter.buried.reason), MARKS["dead"][1])
    if row.above:
        yield Text(f"so {plain(row.above)} was given up as well: to redrive that tries this again, too", "dim")
    if row.redriven_run:
        who = f"redriven by {line(row.redriven_by)}" + (f": {line(row.redriven_reason)}" if row.redriven_reason else "")
        yield Text.assemble((f"{who}; run {row.redriven_run} is ", "dim"), marked(row.outcome))
    if letter.action:  # nobody is called for a step that waits, or reconciles
        job = f"\njob  {plain(letter.action)}" + (f": {line(letter.instructions)}" if letter.instructions else "")
        yield Text(job, "bold")
    for attempt in letter.attempts:
        yield from _attempt(attempt)
    if letter.effects:
        yield Text("\neffects", "bold")
    for effect in letter.effects[:EFFECTS_SHOWN]:
        yield Padding(effect_line(effect), (0, 0, 0, INDENT), expand=False)
    if len(letter.effects) > EFFECTS_SHOWN:
        yield Text(f"  and {plural(len(letter.effects) - EFFECTS_SHOWN, 'more effect')}", "dim")


def _attempt(attempt: Attempt) -> Iterator[Text]:
    yield Text.assemble((f"\nattempt {attempt.attempt}", "bold"), (f"  {attempt.agent}  {attempt.outcome}", "dim"))
    for finding in attempt.findings:
        yield Text(f"  {plain(finding.message)}", MARKS["dead"][1])
    if attempt.error:
        yield Text(f"  {plain(attempt.error)}", MARKS["dead"][1])
    if attempt.reply is not None:
        # A string is what was kept of a reply that is none, or that may not be written.
        said = line(attempt.reply) if isinstance(attempt.reply, str) else shortened(attempt.reply)
        yield Text(f"  replied: {said}")
