"""More of a share, as requests between two runs: what a person approves in the one is set aside in the one above first.

SHARE_WANTED asks the run above for that, and SHARE_RAISED tells the run below that it is done. Who sees to both:
`decisions.decide`, and `Nesting` where this process drives one of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from interlock.core import events as e
from interlock.core.decision import Decision, decoded, encoded
from interlock.core.machine import Machine
from interlock.core.shares import Wanted, approval_of, wanted_of
from interlock.errors import DecisionRefused, InputError
from interlock.ids import new_id
from interlock.ports import Request

SHARE_WANTED = "share_wanted"
SHARE_RAISED = "share"


def wanting(request: Request, decision: Decision, machine: Machine, now_us: int) -> Request:
    """What a person's approval in a run that asks for more of its share asks of the run above it."""
    assert machine.parent is not None, "its share was set aside by a run above it"
    body = msgspec.json.encode(wanted_of(machine, request.run_id, decision))
    name = f"{SHARE_WANTED}-{request.run_id}-{new_id(now_us)}"
    return Request(name, machine.parent.run_id, SHARE_WANTED, request.by, request.reason, body)


def wanted_in(request: Request) -> Wanted:
    """What is asked of the run above. Raises InputError where that can't be read."""
    try:
        return msgspec.json.decode(request.body, type=Wanted)
    except msgspec.DecodeError as error:
        raise InputError(f"what is wanted of a share can't be read: {error}") from error


def covered(request: Request, asked_us: int) -> Request:
    """A decision as its run takes it once more is set aside above. asked_us: when the step asked for it."""
    decision = msgspec.structs.replace(decoded(request.body), asked_us=asked_us)
    name = _id(request.run_id, decision.step, asked_us)
    return msgspec.structs.replace(request, request_id=name, kind=SHARE_RAISED, body=encoded(decision))


def raising(fact: e.ShareRaised) -> Request:
    """What the run below is told of what was set aside for it."""
    name = _id(fact.run_id, fact.asked, fact.asked_us)
    return Request(name, fact.run_id, SHARE_RAISED, fact.by, fact.reason, encoded(approval_of(fact)))


def _id(run_id: str, step: str, asked_us: int) -> str:
    """One for each time that a step asks, so that its run is told once, whoever tells it."""
    return f"{SHARE_RAISED}-{run_id}/{step}/{asked_us}"


def answers(verdict: e.AnyEvent, request: Request) -> bool:
    """Whether this is what became of a request to set more aside."""
    wanted, by = wanted_in(request), request.by
    if isinstance(verdict, e.ShareRaised):
        found = (verdict.run_id, verdict.asked, verdict.asked_us, verdict.by)
        return found == (wanted.run_id, wanted.asked, wanted.asked_us, by)
    return isinstance(verdict, e.AnswerRefused) and (verdict.step, verdict.by) == (wanted.step, by)


@contextmanager
def told_below(run_id: str) -> Iterator[None]:
    """What the run above refuses is told to whoever has decided about this one, with what can be done here."""
    try:
        yield
    except DecisionRefused as error:
        fix = f"approve less, or see what else may be done: interlock inbox show {run_id}"
        raise DecisionRefused(error.message, fix=fix) from None
