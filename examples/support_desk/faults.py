"""THIS FILE BREAKS THINGS ON PURPOSE, so that you can watch Interlock deal with it. No real team needs it.

`demo.yaml` puts these wrappers in front of the agents of `desk.py`. At the first attempt, and only for the messages
of the customers named in TRIAGE_FAULTS and RESOLUTION_FAULTS, they

- sleep past the timeout,
- write a text where a boolean belongs,
- overwrite a field that belongs to another agent,
- return something that isn't a reply at all.

If the environment variable INTERLOCK_DEMO_FOLDER names a folder, moreover

- the whole process is killed (SIGKILL) in the middle of call number KILL_AT_CALL, once: the file `killed` there says
  that it has happened;
- every call thinks for a moment, as a model would, so that there is something to watch;
- every call adds its idempotency key as a line to `calls.log` there: a record of all calls that isn't Interlock's own.
  A key stands there twice only if the outcome of its call wasn't stored yet when the process died.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import desk

import interlock as il

Agent = Callable[[il.Job], Awaitable[Any]]

SLEEP_S = 10.0
THINK_S = 0.15
KILL_AT_CALL = 50

_calls = count(1)


# --- the faults --------------------------------------------------------------------------------------------------


async def oversleep(job: il.Job) -> None:
    await asyncio.sleep(SLEEP_S)


async def write_wrong_type(job: il.Job) -> il.Reply:
    reply = await desk.triage(job)
    return il.Reply(writes={**reply.writes, "ticket.needs_person": "perhaps"})


async def write_foreign_field(job: il.Job) -> il.Reply:
    reply = await desk.resolution(job)
    return il.Reply(writes={**reply.writes, "ticket.category": "solved"})


async def babble(job: il.Job) -> str:
    return "Certainly! I'd be delighted to help you with that."


def by_message(faults: Mapping[str, Agent]) -> dict[str, Agent]:
    """The faults by the message of each customer: an agent's scope shows it the message, not who wrote it."""
    lines = Path(__file__).with_name("input.jsonl").read_text(encoding="utf-8").splitlines()
    tickets = [json.loads(line)["ticket"]["metadata"] for line in lines]
    messages = {ticket["customer"]: ticket["message"] for ticket in tickets}
    return {messages[customer]: fault for customer, fault in faults.items()}


TRIAGE_FAULTS = by_message({"Keiko Tanaka": oversleep, "Hugo Larsen": write_wrong_type, "Bella Greco": babble})
RESOLUTION_FAULTS = by_message({"Rosa Jiménez": write_foreign_field, "Yusuf Aydin": babble})


# --- the wrapped agents ------------------------------------------------------------------------------------------


async def triage(job: il.Job) -> Any:
    return await call(desk.triage, job, TRIAGE_FAULTS)


async def resolution(job: il.Job) -> Any:
    return await call(desk.resolution, job, RESOLUTION_FAULTS)


async def escalation(job: il.Job) -> Any:
    return await call(desk.escalation, job, {})


async def call(agent: Agent, job: il.Job, faults: Mapping[str, Agent]) -> Any:
    """The agent's answer, unless this is the call to break."""
    folder = os.environ.get("INTERLOCK_DEMO_FOLDER")
    if folder is not None:
        await be_watched(job, Path(folder))
    fault = faults.get(job.view["ticket.metadata.message"])
    return await (fault if fault and job.attempt == 1 else agent)(job)


# --- the independent record, and the kill ------------------------------------------------------------------------


async def be_watched(job: il.Job, folder: Path) -> None:
    """Note the call, think, and die in the middle of it if it is its turn."""
    with (folder / "calls.log").open("a", encoding="utf-8") as log:  # O_APPEND: one line, whole, at the end
        log.write(f"{job.idempotency_key}\n")
    await asyncio.sleep(THINK_S)
    if next(_calls) >= KILL_AT_CALL:
        kill_once(folder / "killed")


def kill_once(marker: Path) -> None:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
