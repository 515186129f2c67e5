"""What many runs come to: counts, cost, and why some need a look."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from interlock.core import events as e
from interlock.engine.run import Run
from interlock.history import Ending, WaitEnding, held_until, outcome_of

from . import exits

REASONS_MAX = 1_000
# What says how much a call has consumed.
Charged = e.AttemptCommitted | e.AttemptRefused | e.AttemptFailed | e.QuestionAsked | e.ReplyArrivedLate


class Reason(msgspec.Struct):
    """Why runs did not succeed: how many, and the first of them."""

    text: str
    run_id: str
    number: int = 1


class Tally(msgspec.Struct):
    """Adds up runs as they end, and what becomes of the calls of each agent meanwhile.

    total: how many are to come in all. calls, tokens, usd: of what was done meanwhile, whatever a run that goes on had
    consumed before; usd is None as soon as one price is unknown. outcomes: by agent, how many of its calls ended how.
    in_flight: by run and step, the agent that is being called. held: by run, the steps that wait at a gate, and until
    when; 0 for good.
    """

    total: int
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    reasons: dict[str, dict[str, Reason]] = {}
    outcomes: dict[str, Counter[str]] = {}
    in_flight: dict[str, dict[str, str]] = {}
    held: dict[str, dict[str, int]] = {}

    def happened(self, run_id: str, events: Sequence[e.AnyEvent]) -> None:
        """Count the calls that end here; those of a run that is over are cancelled."""
        calls = self.in_flight.setdefault(run_id, {})
        for event in events:
            self._wait(run_id, event)
            self._charge(event)
            if isinstance(event, e.AttemptStarted):
                calls[f"{event.step}/{event.attempt}"] = event.agent
            elif isinstance(event, e.ReplyDrafted):
                pass  # what it comes to is told when a judge has been asked
            elif isinstance(event, Ending) and (agent := calls.pop(f"{event.step}/{event.attempt}", "")):
                self._count(agent, outcome_of(event))
            elif isinstance(event, e.RunCancelled | e.RunFinished):
                for agent in self.in_flight.pop(run_id).values():
                    self._count(agent, "cancelled")

    def _wait(self, run_id: str, event: e.AnyEvent) -> None:
        """A step begins to wait at a gate, or waits no longer."""
        if isinstance(event, e.CallHeld):
            self.held.setdefault(run_id, {})[event.step] = held_until(event)
        elif isinstance(event, e.RunCancelled | e.RunFinished):
            self.held.pop(run_id, None)
        elif run_id in self.held and isinstance(event, WaitEnding):
            self.held[run_id].pop(event.step, None)

    def _charge(self, event: e.AnyEvent) -> None:
        self.calls += isinstance(event, e.AttemptStarted)
        usage = event.usage if isinstance(event, Charged) else None
        if usage is None:
            return
        tokens = usage.input_tokens + usage.output_tokens
        self.tokens += tokens
        if usage.usd is None and (tokens or usage.requests):
            self.usd = None
        elif self.usd is not None:
            self.usd += usage.usd or 0

    @property
    def until_us(self) -> int:
        """When the first of the steps that wait at gates goes on; 0 where none does by itself."""
        return min((until_us for steps in self.held.values() for until_us in steps.values() if until_us), default=0)

    @property
    def waiting(self) -> int:
        """How many steps wait at gates."""
        return sum(map(len, self.held.values()))

    def _count(self, agent: str, outcome: str) -> None:
        self.outcomes.setdefault(agent, Counter())[outcome] += 1

    def add(self, run: Run) -> None:
        """Count a run that has ended."""
        self.in_flight.pop(run.run_id, None)
        self.statuses[run.status] += 1
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
