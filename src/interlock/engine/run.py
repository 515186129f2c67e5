"""What the caller of a run gets back."""

from collections import Counter
from typing import Any

import msgspec

from interlock.core.context import View
from interlock.core.machine import Machine
from interlock.core.purse import Cost
from interlock.core.states import Status


class Run(msgspec.Struct, frozen=True):
    """One run as it ended, or was parked.

    steps: id -> state, items of for_each steps included. duration: seconds from start to the last event. reason: why
    it did not succeed, or the question it waits with. row: its number in its batch, from 0. faults: the hash of those
    injected on purpose; empty for an ordinary run. result: what the team declares as its result; None until it has
    succeeded, and where nothing stands there.
    """

    run_id: str
    status: Status
    reason: str
    context: View
    steps: dict[str, str]
    cost: Cost
    duration: float
    row: int = 0
    faults: str = ""
    result: Any = None

    @classmethod
    def of(cls, run_id: str, machine: Machine, row: int = 0) -> "Run":
        """The result of a run from its machine."""
        return cls(
            run_id=run_id,
            status=machine.status,
            reason=machine.reason,
            context=machine.context,
            steps={machine.step_id(n): machine.state[n] for n in range(1, len(machine.state))},
            cost=machine.cost,
            duration=(machine.at_us - machine.started_us) / 1e6,
            row=row,
            faults=machine.faults,
            result=machine.result.value,
        )

    def to_dict(self) -> dict[str, Any]:
        """The run as one JSON document, as `interlock run --json` prints it."""
        document = {
            "run_id": self.run_id,
            "status": self.status,
            "context": self.context.to_dict(),
            "steps": dict(Counter(self.steps.values())),
            "cost": {"usd": self.cost.usd, "tokens": self.cost.tokens, "calls": self.cost.calls},
            "duration_ms": round(self.duration * 1_000, 3),
            "input": self.row,
        }
        document |= {} if self.result is None else {"result": self.result}
        optional = {"reason": self.reason if self.status != "succeeded" else None, "faults": self.faults or None}
        return document | {key: value for key, value in optional.items() if value is not None}
