"""What many runs come to: counts, cost, and why some need a look."""

from collections import Counter

import msgspec

from interlock.engine.run import Run

from . import exits

REASONS_MAX = 1_000


class Reason(msgspec.Struct):
    """Why runs did not succeed: how many, and the first of them."""

    text: str
    run_id: str
    number: int = 1


class Tally(msgspec.Struct):
    """Adds up runs as they end. total: how many are to come in all. usd is None as soon as one price is unknown."""

    total: int
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    reasons: dict[str, dict[str, Reason]] = {}

    def add(self, run: Run) -> None:
        """Count a run that has ended."""
        self.statuses[run.status] += 1
        self.calls += run.cost.calls
        self.tokens += run.cost.tokens
        self.usd = None if self.usd is None or run.cost.usd is None else self.usd + run.cost.usd
        if run.status != "succeeded":
            reasons = self.reasons.setdefault(run.status, {})
            if run.reason in reasons:
                reasons[run.reason].number += 1
            elif len(reasons) < REASONS_MAX:
                reasons[run.reason] = Reason(run.reason, run.run_id)

    @property
    def done(self) -> int:
        """How many runs have ended."""
        return self.statuses.total()

    @property
    def exit_code(self) -> int:
        """That of the worst run."""
        return exits.of_statuses(self.statuses)
