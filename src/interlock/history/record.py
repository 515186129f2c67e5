"""All that a journal keeps of one run, and the machine folded from it."""

from collections.abc import Sequence

import msgspec

from interlock.core.events import AnyEvent
from interlock.core.machine import Machine
from interlock.core.rules import Rules
from interlock.errors import BrokenPromise
from interlock.ports import RunRow


class Record(msgspec.Struct, frozen=True):
    """A run as it was journaled. team: the hash of the document that its rules were read from."""

    row: RunRow
    team: str
    rules: Rules
    events: Sequence[AnyEvent]

    @property
    def run_id(self) -> str:
        """Which run it is."""
        return self.row.run_id

    def folded(self) -> Machine:
        """The machine as the run left it. Raises BrokenPromise where an event can't follow from those before it."""
        machine = Machine(self.rules)
        for seq, event in enumerate(self.events):
            try:
                machine.apply(event)
            except Exception as error:
                message = f"run {self.run_id} can't be told: event {seq} can't follow from those before it"
                what = f"{type(event).__name__}: {type(error).__name__}: {error}"
                fix = f"the journal is damaged; see where: interlock replay {self.run_id}"
                raise BrokenPromise(f"{message} ({what})", fix=fix) from error
        return machine
