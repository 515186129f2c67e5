"""Dead letters, from the journal alone: which are meant, and the commands that drive nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer

from interlock import history
from interlock.core.naming import hint, nearest
from interlock.engine import clock
from interlock.errors import InputError, InterlockError, UsageError
from interlock.ports import Journal, LetterRow, Letters

from . import config, exits
from .config import Settings
from .documents import json_line, print_json
from .journals import LAST, find_run, reading, record
from .replaying import verdict
from .text import line, plain, plural, shown_path

COMPLETIONS_MAX = 50
COMPARED_MAX = 1_000
SHOWN_BEFORE_PURGE = 10


# --- which ---


def wanted(team: str, agent: str, step: str, reason: str, since: str, batch: str, *, waiting: bool = False) -> Letters:
    """The letters that the filters of a command mean. Raises InputError."""
    source = str(_team_file(team)) if team else ""
    return Letters("", step, agent, source, batch, reason, config.since_us(since) if since else 0, waiting)


def _team_file(name: str) -> Path:
    path = Path(name).resolve()
    return path / "team.yaml" if path.is_dir() else path


def refuse_all(names: Sequence[str], letters: Letters, *, everything: bool) -> None:
    """Raise UsageError where neither a name nor a filter says which letters are meant."""
    if not names and not everything and letters == Letters(waiting=letters.waiting):
        raise UsageError("nothing says which dead letters are meant", fix="name them, filter them, or add --all")


def changes(texts: Sequence[str]) -> dict[str, Any]:
    """What `--set PATH=VALUE` says. Raises InputError."""
    said: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not path or not equals:
            raise InputError(f"--set {text!r:.100} is no PATH=VALUE", fix="such as --set ticket.category=refund")
        try:
            said[path] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            said[path] = value
    return said


async def chosen(journal: Journal, names: Sequence[str], letters: Letters) -> list[LetterRow]:
    """The letters with these names, or all, as far as the filters mean them; the newest first."""
    if not names:
        return await journal.letters(letters, 0)
    found: dict[str, LetterRow] = {}
    for name in names:
        found |= {row.name: row for row in await _named(journal, name, letters)}
    return sorted(found.values(), key=lambda row: -row.at_us)


async def with_those_above(journal: Journal, rows: Sequence[LetterRow]) -> list[LetterRow]:
    """The letters to redrive where these are meant, of which none is tried twice.

    In the place of that of a nested run stands that of the step above, by which the nested run is tried again, too.
    Those that were redriven before are left out.
    """
    found: dict[str, LetterRow] = {}
    for row in rows:
        top = [row]
        while top and top[0].above:
            run_id, _, step = top[0].above.partition("/")
            top = await journal.letters(Letters(run_id=run_id, step=step))
        found |= {one.name: one for one in top if not one.redriven_run}
    return sorted(found.values(), key=lambda row: -row.at_us)


async def none_meant(journal: Journal, letters: Letters) -> str:
    """Why the filters mean no letter, as far as a name that none has tells. Raises InputError for an unknown team."""
    there = await journal.letters(Letters(), COMPARED_MAX)
    if letters.source and not await asyncio.to_thread(Path(letters.source).exists):
        runs = await journal.runs(limit=COMPARED_MAX)
        known = {row.source for row in there} | {row.source for row in runs}
        if letters.source not in known:
            near = nearest(letters.source, known)
            message = f"there is no team file {shown_path(letters.source)}, and no dead letter is of it"
            raise InputError(message + (f"; did you mean {shown_path(near)}?" if near else ""))
    for what, wanted_name, known in (
        ("the team file", shown_path(letters.source), {shown_path(row.source) for row in there}),
        ("agent", letters.agent, {row.agent for row in there}),
        ("step", letters.step, {row.step for row in there}),
        ("batch", letters.batch, {row.batch for row in there}),
    ):
        if wanted_name and wanted_name not in known:
            return f": none is of {what} {wanted_name}{hint(wanted_name, known)}"
    return ""


async def _named(journal: Journal, name: str, letters: Letters) -> list[LetterRow]:
    run, slash, step = name.partition("/")
    if slash and not step:
        raise InputError(f"{name!r:.100} names no dead letter", fix="write RUN or RUN/STEP, such as last/classify")
    if run == LAST:
        newest = await journal.letters(letters, 1)
        if not newest:
            raise InputError("there are no such dead letters", fix="list them: interlock dlq list")
        if not step:
            return newest
        run_id = newest[0].run_id
    else:
        run_id = (await find_run(journal, run)).run_id
    meant = msgspec.structs.replace(letters, run_id=run_id, step=step or letters.step)
    found = await journal.letters(meant, 0)
    if not found:
        raise await _none(journal, run_id, step, letters)
    return found


async def _none(journal: Journal, run_id: str, step: str, letters: Letters) -> InputError:
    """Why a name that was given means no letter."""
    known = await journal.letters(Letters(run_id=run_id), 0)
    if not known:
        return InputError(f"run {run_id} has no dead letters", fix="list them: interlock dlq list")
    same = next((row for row in known if row.step == step or (not step and len(known) == 1)), None)
    if same is not None and same.redriven_run and letters.waiting:
        message = f"{same.name} was redriven already, in run {same.redriven_run}, which is {same.outcome}"
        return InputError(message, fix=f"look at it: interlock show {same.redriven_run}")
    where = f"step {step}" if step else "what the filters mean"
    return InputError(f"run {run_id} has no such dead letter: {where}", fix=f"it has: {_steps(known)}")


def _steps(rows: Sequence[LetterRow]) -> str:
    return ", ".join(row.step for row in rows)


async def _one(journal: Journal, name: str) -> LetterRow:
    rows = await _named(journal, name, Letters())
    if len(rows) > 1:
        message = f"run {rows[0].run_id} has {plural(len(rows), 'dead letter')}: {_steps(rows)}"
        raise InputError(message, fix=f"name one: {name}/{rows[0].step}")
    return rows[0]


def completions(incomplete: str) -> list[tuple[str, str]]:
    """Names of the newest letters that begin so, for the shell's completion; it must never fail or make a journal."""

    async def look() -> list[LetterRow]:
        async with reading(config.settings()) as journal:
            return await journal.letters(Letters(), COMPLETIONS_MAX)

    try:
        rows = asyncio.run(look())
    except InterlockError:
        return []
    return [(row.name, line(row.reason)) for row in rows if row.name.startswith(incomplete)]


# --- looking ---


def show_list(settings: Settings, letters: Letters, limit: int, *, json: bool) -> int:
    """List letters."""

    async def look() -> tuple[list[LetterRow], str]:
        async with reading(settings) as journal:
            rows = await journal.letters(letters, limit)
            return rows, "" if rows else await none_meant(journal, letters)

    rows, why = asyncio.run(look())
    if json:
        return print_json({"letters": [_row(row) for row in rows]})
    from .paint_dlq import show_letters

    show_letters(rows, clock.now_us(), why)
    return exits.DONE


async def found(settings: Settings, name: str) -> tuple[LetterRow, history.Record]:
    """The one letter with this name, and its run."""
    async with reading(settings) as journal:
        row = await _one(journal, name)
        return row, await record(journal, row.run_id)


def show(settings: Settings, name: str, *, json: bool) -> int:
    """Show one letter, with the view that its step saw, computed again and held against its hash."""
    row, run = asyncio.run(found(settings, name))
    letter = history.letter(run, row.step)
    if json:
        print_json(letter.to_dict() | _place(row))
    else:
        from .paint_dlq import show_letter

        show_letter(letter, row, settings)
    return verdict(run, letter.call.mismatches if letter.call else ())


def export(settings: Settings, names: Sequence[str], letters: Letters) -> int:
    """Write letters as JSON lines."""

    async def lines() -> AsyncIterator[bytes]:
        async with reading(settings) as journal:
            rows = await chosen(journal, names, letters)
            if not rows:
                exits.say(f"no dead letters{await none_meant(journal, letters)}")
            for row in rows:
                run = await record(journal, row.run_id)
                whole = history.to_redrive_elsewhere(run, await journal.blob(run.row.team))
                yield json_line(history.letter(run, row.step).to_dict() | _place(row) | {"run": whole})

    async def write() -> None:
        async for told in lines():
            sys.stdout.buffer.write(told)

    asyncio.run(write())
    return exits.DONE


def purge(settings: Settings, names: Sequence[str], letters: Letters, *, yes: bool, json: bool) -> int:
    """Take letters off the list, when the person says so. Those that were redriven stay, and say what came of it."""

    async def look() -> list[LetterRow]:
        async with reading(settings) as journal:
            found = await chosen(journal, names, letters)
            if not found and (why := await none_meant(journal, letters)):
                exits.say(f"no dead letters{why}")
        return [row for row in found if not row.redriven_run]

    async def take() -> int:
        async with reading(settings) as journal:
            return await journal.purge([(row.run_id, row.step) for row in rows])

    rows = asyncio.run(look())
    if rows and not yes and not _agreed(rows):
        exits.say("nothing was purged")
        return exits.FAILED
    count = asyncio.run(take()) if rows else 0
    if json:
        return print_json({"purged": count})
    sys.stdout.write(f"{plural(count, 'dead letter')} purged\n")
    return exits.DONE


def _agreed(rows: Sequence[LetterRow]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{plural(len(rows), 'dead letter')} would be purged, and nobody is here to ask", fix="add --yes"
        )
    for row in rows[:SHOWN_BEFORE_PURGE]:
        exits.say(f"  {plain(row.name)}: {line(row.reason)}")
    more = len(rows) - SHOWN_BEFORE_PURGE
    if more > 0:
        exits.say(f"  and {more:,} more")
    what = f"{plural(len(rows), 'dead letter')} that nobody has redriven"
    return typer.confirm(f"take {what} off the list? their runs and events stay", err=True)


def _row(row: LetterRow) -> dict[str, Any]:
    """A letter as `dlq list --json` prints it."""
    head = {"run_id": row.run_id, "step": row.step, "agent": row.agent, "reason": row.reason}
    return head | {"attempts": row.attempts, "at": history.timestamp(row.at_us)} | _place(row)


def _place(row: LetterRow) -> dict[str, Any]:
    """Where a letter is from, and what became of it."""
    redriven = {
        "run_id": row.redriven_run,
        "at": history.timestamp(row.redriven_us),
        "by": row.redriven_by,
        "reason": row.redriven_reason,
        "outcome": row.outcome,
    }
    place = {"team_file": row.source, "batch": row.batch, "above": row.above or None}
    return place | {"redriven": redriven if row.redriven_run else None}
