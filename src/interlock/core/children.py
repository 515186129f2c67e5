"""What a run that does a step of another has come to, as the one that waits for it takes it: facts of that one.

Its mapped output is assessed as the reply of an agent would be. Whoever tells that it has ended tells nothing else:
what counts is what its own events say.
"""

import msgspec
from msgspec import Raw

from interlock.errors import InputError, cut_short

from . import events as e
from .above import Above
from .budget import Amounts, BudgetPolicy
from .commands import CallAgent
from .delegating import REASON_CHARS_MAX, added
from .job import Job, Reply, Usage
from .machine import Machine
from .nested import DEPTH_MAX
from .rules import Rules
from .values import content_hash, decode, encode_canonical

OVER = frozenset({"succeeded", "failed", "cancelled"})


def request_of(machine: Machine, run_id: str, started: e.ChildStarted, child: Rules) -> bytes:
    """The request of the run that is to do a step. child: the rules it will be held to. Raises InputError."""
    return _request(machine, _job(machine, run_id, started), child)


def _call(machine: Machine, started: e.ChildStarted) -> CallAgent:
    """The call in whose place the run is."""
    return CallAgent(machine.number[started.step], started.step, started.agent, started.attempt, 0)


def _job(machine: Machine, run_id: str, started: e.ChildStarted) -> Job:
    return machine.job(run_id, _call(machine, started))


def _request(machine: Machine, job: Job, child: Rules) -> bytes:
    nested = machine.rules.roles[job.agent].nested
    assert nested is not None, f"{job.agent} is no team"
    return nested.request_of(job.view, child.limits, job.item)


def parent_of(machine: Machine, run_id: str, started: e.ChildStarted, gate: str) -> e.Parent:
    """What that run is told of the one whose step it does. Raises InputError where it would be nested too deeply.

    gate: what the gate of the whole team is called, of which the run above is.
    """
    depth = machine.parent.depth + 1 if machine.parent is not None else 1
    if depth > DEPTH_MAX:
        raise InputError(f"teams are nested more than {DEPTH_MAX} deep", fix="have fewer of them between")
    most = machine.rules.roles[started.agent].budget or BudgetPolicy()
    more = machine.more.get((machine.number[started.step], started.agent), Amounts())
    calls, tokens, usd = (_sum(getattr(most, name), getattr(more, name)) for name in ("calls", "tokens", "usd"))
    above = machine.parent.above if machine.parent is not None else ()
    if machine.rules.gate:
        above = Above(gate, machine.rules.gate.rate, machine.rules.gate.budget), *above
    return e.Parent(run_id, started.step, started.attempt, depth, calls, tokens, usd, most.when_spent, above)


def _sum(most: int | None, more: int) -> int | None:
    return None if most is None else most + more


def told_by(machine: Machine, run_id: str, child_id: str, child: Machine, at_us: int) -> list[e.AnyEvent]:
    """What follows in a run from how the one stands that does a step of it, or has done; nothing where it goes on.

    Nothing follows, either, from what was told before, and from a run that does no step of this one.
    """
    parent = child.parent
    if parent is None or parent.run_id != run_id or parent.step not in machine.number:
        return []
    n = machine.number[parent.step]
    mine = machine.children.get(n)
    if mine is None or mine.started.run_id != child_id or mine.is_over:
        abandoned = machine.abandoned.get(child_id)
        if abandoned is None or child.status not in OVER:
            return []
        return [msgspec.structs.replace(_ended(machine, abandoned, child, at_us), late=True)]
    started = mine.started
    if child.status == "parked" and child.seq != mine.parked_seq:
        return [e.ChildParked(at_us, started.step, started.attempt, child_id, child.reason, child.seq)]
    if child.status not in OVER or child.seq <= started.seq:
        return []
    ended = _ended(machine, started, child, at_us)
    if child.status != "succeeded":
        return [ended]
    verdict = _verdict(machine, run_id, started, child, at_us)
    return [msgspec.structs.replace(ended, writes=hash_of(verdict)), verdict]


def _ended(machine: Machine, told: e.ChildStarted | e.ChildAbandoned, child: Machine, at_us: int) -> e.ChildEnded:
    usage, calls = machine.charged.get(told.run_id, (Usage(usd=0.0), 0))
    spent = added(child.purse.usage, usage, -1), child.cost.calls - calls
    reason = cut_short(child.reason, REASON_CHARS_MAX)
    return e.ChildEnded(at_us, told.step, told.attempt, told.run_id, child.status, reason, *spent)


def _verdict(machine: Machine, run_id: str, started: e.ChildStarted, child: Machine, at_us: int) -> e.Verdict:
    """The verdict on what a run has come to, as on the reply of an agent that was shown the same."""
    command, job = _call(machine, started), _job(machine, run_id, started)
    nested, duty = machine.rules.roles[started.agent].nested, machine.duty(command.number)
    assert nested is not None, f"{started.agent} is no team"
    request = decode(_request(machine, job, child.rules))
    # Where a step has copies, its team has outputs, and what it may write by itself isn't looked at.
    writes = nested.writes_of(child.context, request, duty.writable, started.step, job.index or 0)
    return machine.judge(command, job, Reply(writes=writes), at_us)


def hash_of(verdict: e.AnyEvent) -> str:
    """The hash of what a verdict has a step write; "" where it writes nothing."""
    writes: dict[str, Raw] = getattr(verdict, "writes", {})
    return content_hash(encode_canonical({path: decode(raw) for path, raw in writes.items()})) if writes else ""
