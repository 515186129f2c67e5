"""How a world went: what happened in it, which faults struck, and what became of those calls."""

from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.job import Job
from interlock.history import Ending, outcome_of

from .account import Account, Broken


class Happening(msgspec.Struct, frozen=True, gc=False):
    """Something that happened in a world. at: seconds from its beginning. process: its number, 0 is outside of all."""

    at: float
    process: int
    what: str
    run_id: str = ""
    detail: Any = None


class Struck(msgspec.Struct, frozen=True):
    """A fault that struck. outcome: what became of the call, if it struck one. runs: how those it struck ended."""

    name: str
    kind: str
    outcome: str
    runs: tuple[str, ...]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """How a world went.

    digest: of everything that was written, in order and with its time. events: how many became durable; folded: how
    many machines folded, live, at resumes and in replays. seconds: virtual ones. reasons: status and reason of each run
    that has one. writes: how many the first process made.
    """

    seed: int
    digest: str
    events: int
    folded: int
    seconds: float
    statuses: dict[str, int]
    reasons: list[tuple[str, str]]
    struck: list[Struck]
    writes: int
    broken: Broken | None
    story: list[Happening]
    runs: dict[str, Account]


def became_of(account: Account, job: Job, lost: int) -> str:
    """What became of a call. lost: how often the call of this step was lost in a crash before."""
    for event in account.events:
        if getattr(event, "step", "") != job.step:
            continue
        if type(event) is e.AttemptInterrupted:
            if not lost:
                return "interrupted"
            lost -= 1
        elif type(event) is e.ReplyDrafted:
            pass  # its verdict follows
        elif getattr(event, "attempt", 0) == job.attempt and not lost and isinstance(event, Ending):
            return said_of(event)
    return "cancelled" if account.status == "cancelled" else "interrupted"


def said_of(event: Ending) -> str:
    """The outcome of the attempt that an event ends, without the finer words for a failure."""
    is_fine = isinstance(event, e.AttemptFailed) and event.kind not in {"timeout", "crash"}
    return "failed" if is_fine else outcome_of(event)
