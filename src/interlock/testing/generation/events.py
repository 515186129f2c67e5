"""Events from outside, made up from what the steps declare that await them."""

from random import Random
from typing import Any

from interlock.core import commands as c
from interlock.core import events as e
from interlock.core.arrivals import lapsed, taken_by
from interlock.core.machine import Machine
from interlock.core.step import Step

from .from_schema import anything, maker


def event_data(step: Step, random: Random) -> Any:
    """What an event brings that this step may take; None where it writes nothing."""
    if not step.writes:
        return None
    schema = ((step.schema or {}).get("properties") or {}).get(step.writes[0])
    return maker(schema)(random) if schema else anything(random)


def past_waits(machine: Machine, random: Random) -> list[c.ForTheShell]:
    """End all waits as if their time or their event had come; what the run calls for then."""
    to_do: list[c.ForTheShell] = []
    while machine.waits:
        n = next(iter(machine.waits))
        to_do += machine.advance([_ended(machine, n, random)], machine.at_us)
    return to_do


def _ended(machine: Machine, n: int, random: Random) -> e.WaitEnded:
    if not machine.rules.waits[n].event:
        return lapsed(machine, n, machine.at_us)
    submission = taken_by(machine, n, event_data(machine.step(n), random))
    writes = {} if submission.findings else submission.writes
    return e.WaitEnded(machine.at_us, machine.step_id(n), f"event-{n}", "nobody", writes)
