"""An event from outside, sent to a run, which goes on where it has waited for it."""

import sys
from typing import Any

import msgspec

from interlock.agents.secret import VAULT
from interlock.core.decision import BODY_BYTES_MAX
from interlock.engine import clock, decisions, tasks
from interlock.engine.deliveries import addressee, event_id_in, event_request
from interlock.errors import InputError, InterlockError
from interlock.ports import Journal

from . import exits
from .documents import print_json
from .journals import find_run, reading, record
from .looking import row_document, user
from .resuming import resume_one
from .running import How

JSON_FIX = """such as --data '{"amount": 12}', or --data @FILE"""


class Sending(msgspec.Struct, frozen=True):
    """An event, as it was typed."""

    run: str
    event: str
    data: str | None
    id: str
    by: str

    def read(self) -> Any:
        """What it brings; None for nothing. Raises InputError."""
        if self.data is None:
            return None
        text = self.data.encode() if not self.data.startswith("@") else _file(self.data[1:])
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"--data is no JSON: {error}", fix=JSON_FIX) from error


def _file(name: str) -> bytes:
    try:
        with open(0 if name == "-" else name, "rb", closefd=name != "-") as source:
            found = source.read(BODY_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(f"--data @{name} can't be read: {error}") from error
    if len(found) > BODY_BYTES_MAX:
        raise InputError(f"--data @{name} holds more than {BODY_BYTES_MAX:,} bytes")
    return found


def send(sending: Sending, how: How, team: str | None, *, no_resume: bool) -> int:
    """Send an event, and go on with its run unless that is left to somebody else; returns the exit code."""
    return tasks.run_main(_send(sending, how, team, no_resume=no_resume))


async def _send(sending: Sending, how: How, team: str | None, *, no_resume: bool) -> int:
    data = sending.read()
    VAULT.refresh()
    async with reading(how.settings) as journal:
        named = await find_run(journal, sending.run)
        row = await addressee(journal, named)
        if row is not named:
            exits.say(f"run {named.run_id} goes on as run {row.run_id}")
        rules = (await record(journal, row.run_id)).rules
        by, now_us = sending.by or user(), clock.now_us()
        request = event_request(row.run_id, sending.event, data, by, sending.id, now_us)
        row = await decisions.decide(journal, rules, request, secrets=VAULT, leave=no_resume)
        kept = await _is_kept(journal, row.run_id, event_id_in(request))
        is_mine = row.status == "running" and not no_resume and bool(await journal.claim(row.run_id))
    told = f"run {row.run_id} has {sending.event}" + (", and keeps it until a step waits for it" if kept else "")
    if not is_mine:
        if how.json:
            return print_json(row_document(row))
        goes_on = f"; go on with it: {how.settings.command(f'resume {row.run_id}')}" if no_resume else ""
        sys.stdout.write(f"{told}: it is {row.status}{goes_on if row.status == 'running' else ''}\n")
        return exits.DONE
    exits.say(told)
    try:
        return await resume_one(row, team, how)
    except InterlockError as error:
        fix = how.settings.command(f"resume {row.run_id}")
        exits.say(f"the event is recorded, but the run can't go on here; when it can: {fix}")
        exits.complain(error)
        if how.json:
            print_json(row_document(row))
        code = exits.of_error(error)
        return exits.DONE if code == exits.USAGE else code  # whoever sends it has nothing to mend


async def _is_kept(journal: Journal, run_id: str, event_id: str) -> bool:
    """Whether no step waits yet for an event that has been sent."""
    machine = (await record(journal, run_id)).folded()
    return any(one.event_id == event_id for kept in machine.kept.values() for one in kept)
