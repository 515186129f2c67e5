"""The commands that drive nothing: `runs`, `show`, `cancel`, `audit`, `schema`."""

import asyncio
import getpass
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from interlock import history
from interlock.engine import clock
from interlock.engine.cancelling import cancel as cancel_run
from interlock.errors import InterlockError, JournalError
from interlock.history import Held
from interlock.ports import Journal, RunRow
from interlock.team import audit as audit_team
from interlock.team import team_file_schema

from . import config, exits
from .config import Settings
from .documents import print_json
from .journals import find_run, reading, record
from .kin import whole
from .text import shown_team

COMPLETIONS_MAX = 50
# By run, the steps that wait at a gate.
Waiting = Mapping[str, Sequence[Held]]


def runs(settings: Settings, status: str, batch: str, limit: int, *, top: bool = False, json: bool) -> int:
    """List runs. top: without those that do steps of others."""

    async def look() -> tuple[list[RunRow], Waiting]:
        async with reading(settings) as journal:
            rows = await journal.runs(status=status, batch=batch, limit=limit, top=top)
            return rows, {row.run_id: held for row in rows if (held := await _held(journal, row))}

    rows, waiting = asyncio.run(look())
    if json:
        return print_json({"runs": [row_document(row) | _waiting(waiting.get(row.run_id)) for row in rows]})
    from .paint_lists import show_runs

    show_runs(rows, clock.now_us(), waiting)
    return exits.DONE


async def _held(journal: Journal, row: RunRow) -> list[Held]:
    """The steps of a run that wait at a gate now. One that can't be read must not hide the others."""
    if row.status == "running":
        with suppress(JournalError):
            return [held for held in history.holds(await journal.load(row.run_id)) if held.goes_on]
    return []


def _waiting(held: Sequence[Held] | None) -> dict[str, Any]:
    return {"held": [{"step": one.step} | one.to_dict() for one in held]} if held else {}


def show(settings: Settings, name: str, *, json: bool) -> int:
    """Show one run, from the journal alone."""

    async def look() -> history.Story:
        async with reading(settings) as journal:
            return await whole(journal, history.story(await record(journal, name)))

    told = asyncio.run(look())
    if json:
        return print_json(told.to_dict())
    from .paint_run import show_story

    show_story(told, settings)
    return exits.DONE


def cancel(settings: Settings, name: str, reason: str, *, json: bool) -> int:
    """Cancel one run."""

    async def ask() -> RunRow:
        async with reading(settings) as journal:
            row = await find_run(journal, name)
            return await cancel_run(journal, row.run_id, by=f"person:{user()}", reason=reason)

    after = asyncio.run(ask())
    if json:
        print_json(row_document(after))
    elif after.status == "cancelled":
        sys.stdout.write(f"run {after.run_id} is cancelled\n")
    if after.status == "cancelled":
        return exits.DONE
    exits.say(f"run {after.run_id} can't be cancelled any more: it has {after.status}")
    return exits.FAILED


def user() -> str:
    """The login name of whoever types."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id
        return "unknown"


def audit(name: str, *, json: bool) -> int:
    """Audit a team file."""
    found = audit_team(name)
    if json:
        print_json(found.to_dict())
    else:
        from .paint_lists import show_audit

        show_audit(found, name)
    return exits.DONE if found.ok else exits.USAGE


def schema() -> int:
    """Print the JSON Schema of team files."""
    encoded = msgspec.json.format(msgspec.json.encode(team_file_schema()), indent=2)
    sys.stdout.buffer.write(encoded + b"\n")
    return exits.DONE


def recent_runs(incomplete: str) -> list[tuple[str, str]]:
    """Ids of the newest runs that begin so, for the shell's completion; it must never fail or make a journal."""

    async def look() -> list[RunRow]:
        async with reading(config.settings()) as journal:
            return await journal.runs(limit=COMPLETIONS_MAX)

    try:
        rows = asyncio.run(look())
    except InterlockError:
        return []
    return [(row.run_id, f"{row.status} {shown_team(row.source)}") for row in rows if row.run_id.startswith(incomplete)]


def row_document(row: RunRow) -> dict[str, Any]:
    """A run as `runs --json` prints it."""
    ended = history.timestamp(row.ended_us) if row.ended_us else None
    document = {
        "run_id": row.run_id,
        "status": row.status,
        "reason": row.reason,
        "team": row.source,
        "team_hash": row.team,
        "batch": row.batch,
        "input": row.row,
        "started": history.timestamp(row.started_us),
        "ended": ended,
        "duration_ms": (row.ended_us - row.started_us) / 1_000 if row.ended_us else None,
    }
    more = {"faults": row.faults, "parent": row.parent, "damage": row.damage}
    return document | {name: value for name, value in more.items() if value}
