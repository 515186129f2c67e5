"""What a journal must give when it is replayed: the same run, hash for hash."""

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.job import DELETE, Job, Reply
from interlock.core.machine import Machine
from interlock.ports import RunRow

from .account import Account

_encode = msgspec.json.encode


def check_replay(account: Account, stored: Sequence[bytes], row: RunRow) -> None:
    """That the journal says what was written to it, and that folding it gives what the account says."""
    account.require(
        "journal", list(stored) == account.encoded, "the journal holds other events than were reported as durable"
    )
    machine = Machine(account.rules)
    for data in stored:
        event = e.decode(data)
        if isinstance(event, e.AttemptStarted):
            n = machine.number[event.step]
            sight = account.rules.duty(event.step, event.agent).sight
            same = machine.bank.view_hash(machine.label[n], sight) == event.view
            account.require("replay", same, f"the view of {event.step} has another hash when it is replayed")
        machine.apply(event)
    states = {machine.step_id(n): _idle(machine.state[n]) for n in range(1, len(machine.state))}
    meant = {name: _idle(state) for name, state in account.states.items()}
    account.require("replay", states == meant, f"replayed: {states}, in fact: {meant}")
    shown, there = _encode(machine.context.to_dict()), _encode(account.context)
    account.require("replay", shown == there, f"the replayed context is {shown!r:.300}, not {there!r:.300}")
    told = (machine.status, machine.cost)
    account.require("replay", told == (account.status, account.cost), f"replayed: {told}")
    account.require("journal", row.status == account.status, f"listed as {row.status}, but {account.status}")


def check_commit(account: Account, event: e.AttemptCommitted, job: Job, answer: Any) -> None:
    """That what was committed is what the agent answered, whole, and that its schemas allow it."""
    name = event.step
    reply = answer if isinstance(answer, Reply) else Reply(writes=answer)
    values = {paths.canonical(path): value for path, value in reply.writes.items()}
    deletes = [path for path, value in values.items() if value is DELETE]
    writes = {path: _encode(value) for path, value in values.items() if value is not DELETE}
    committed = {path: _encode(msgspec.json.decode(raw)) for path, raw in event.writes.items()}
    account.require(
        "replies", committed == writes, f"{name} committed {committed!r:.200}, but answered {writes!r:.200}"
    )
    rest = (list(event.deletes), event.usage, event.confidence, msgspec.json.decode(event.output))
    meant = (deletes, reply.usage, reply.confidence, reply.output)
    account.require("replies", rest == meant, f"{name} committed {rest!r:.200}, not {meant!r:.200}")
    read: Any = job.view
    same = event.reads in {read.reads, ("*",)} and event.coarse == read.coarse
    account.require("reads", same, f"{name} has read {read.reads!r:.200}, and the journal says {event.reads!r:.200}")
    there = {path: value for path, value in values.items() if value is not DELETE}
    for schema in account.steps[name].duty.schemas:
        found = schema.findings(there)
        account.require("schemas", not found, f"{name} committed what its schema refuses: {found!r:.200}")


def _idle(state: str) -> str:
    """Events don't tell a step that may start from one that may not yet: it starts when there is room."""
    return "waiting" if state == "ready" else state
