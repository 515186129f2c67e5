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
    account.require_same("replay", "the replayed states", states, meant)
    account.require_same("replay", "the replayed context", _encode(machine.context.to_dict()), account.encoded_context)
    told = (machine.status, machine.cost)
    account.require_same("replay", "the replayed status and cost", told, (account.status, account.cost))
    account.require_same("journal", "the listed status", row.status, account.status)


def check_commit(account: Account, event: e.AttemptCommitted, job: Job, answer: Any) -> None:
    """That what was committed is what the agent answered, whole, and that its schemas allow it."""
    name = event.step
    reply = answer if isinstance(answer, Reply) else Reply(writes=answer)
    values = {paths.canonical(path): value for path, value in reply.writes.items()}
    deletes = [path for path, value in values.items() if value is DELETE]
    writes = {path: _encode(value) for path, value in values.items() if value is not DELETE}
    committed = {path: _encode(msgspec.json.decode(raw)) for path, raw in event.writes.items()}
    account.require_same("replies", f"the writes of {name}", committed, writes)
    rest = (list(event.deletes), event.usage, event.confidence, msgspec.json.decode(event.output))
    meant = (deletes, reply.usage, reply.confidence, reply.output)
    account.require_same("replies", f"the rest of what {name} committed", rest, meant)
    read: Any = job.view
    reads = event.reads if event.reads == ("*",) else read.reads
    account.require_same("reads", f"the reads of {name}", (event.reads, event.coarse), (reads, read.coarse))
    there = {path: value for path, value in values.items() if value is not DELETE}
    for schema in account.steps[name].duty.schemas:
        account.require_same("schemas", f"what the schema of {name} finds", schema.findings(there), [])


def _idle(state: str) -> str:
    """Events don't tell a step that may start from one that may not yet: it starts when there is room."""
    return "waiting" if state == "ready" else state
