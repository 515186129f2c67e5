"""What all drivers of an engine share: where they write, whom they call, and how much room there is."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from interlock.core import events as e
from interlock.ports import Adapter, Journal, Performer, Secrets

from .children import Nest
from .gates import Gatekeeper
from .noticing import Noticing
from .partials import Hearer
from .slots import Slots

log = logging.getLogger("interlock")

Observer = Callable[[str, Sequence[e.AnyEvent]], None]


class Shell(msgspec.Struct):
    """What all drivers of an engine share."""

    journal: Journal
    gates: Gatekeeper
    adapters: Mapping[str, Adapter]
    slots: Slots
    now_us: Callable[[], int]
    observers: list[Observer]
    secrets: Secrets | None = None
    # Told what agents say before they have finished.
    hearer: Hearer | None = None
    # What performs the team's effects, by name.
    performers: Mapping[str, Performer] = {}
    # Who is told of questions and dead letters, where the team declares that.
    noticing: Noticing | None = None
    # Who drives the runs of the teams that are nested in this one, and of those that it is nested in.
    nest: Nest | None = None
    stopping: bool = False
    # Calls that were cancelled and have not ended yet; and per agent, how many took longer than that allows.
    ending: set[asyncio.Task[None]] = set()
    stubborn: dict[str, int] = {}

    def tell(self, run_id: str, facts: Sequence[e.AnyEvent]) -> None:
        """Tell the observers what is durable of a run."""
        for observe in self.observers:
            try:
                observe(run_id, facts)
            except (Exception, asyncio.CancelledError):
                log.exception("an observer of run %s failed; the run goes on", run_id)
