"""Which calls of one run have passed their gates, and what those gates are told of how they ended."""

from collections.abc import Sequence
from functools import partial

from interlock.core import events as e
from interlock.core.commands import CallAgent
from interlock.core.gate import Came, Outcome, outcome_of
from interlock.core.job import idempotency_key
from interlock.core.machine import Machine

from .gates import Gatekeeper


class Passes:
    """What the gates of one run's calls are told, gathered for the append that makes it a fact."""

    def __init__(self, gates: Gatekeeper, run_id: str, machine: Machine) -> None:
        self._gates, self._machine = gates, machine
        # What a call is known by at its gates, by its step and attempt.
        self.key = partial(idempotency_key, run_id)
        # By (step, attempt), the gates that a call has passed, and what it is known by there.
        self._passed = {of: (self._names(agent), self.key(*of)) for of, agent in machine.drafted().items()}
        self._told: list[tuple[str, Outcome]] = []

    def note(self, call: CallAgent, key: str) -> None:
        """A call was let through."""
        self._passed[call.step, call.attempt] = self._gates.names[call.agent], key

    def not_made(self, call: CallAgent, at_us: int) -> None:
        """A call is not made, though it may have been let through."""
        self._tell(self._names(call.agent), Outcome(self.key(call.step, call.attempt), at_us, "not_made"))

    def hear(self, fact: e.AnyEvent) -> None:
        """What a fact says to the gate of the agent whose call it ends, or has ended before."""
        if type(fact) is e.BudgetRaised:
            self._told += self._gates.told_raise(self._machine.parent, fact)
            return
        ended = (getattr(fact, "step", ""), getattr(fact, "attempt", 0))
        passed = self._passed.get(ended)
        if passed is not None:
            names, key = passed
            self._tell(names, outcome_of(fact, key))
        elif isinstance(fact, e.AttemptInterrupted):
            names = self._names(self._machine.duty(self._machine.number[fact.step]).agent)
            self._tell(names, outcome_of(fact, self.key(*ended)))
        elif isinstance(fact, e.RunCancelled):
            for (step, attempt), agent in self._machine.drafted().items():
                self._tell(self._names(agent), Outcome(self.key(step, attempt), fact.at_us, "neutral"))
            for step, attempt, agent, is_in_flight in self._machine.wanted():
                came: Came = "neutral" if is_in_flight else "not_made"
                self._tell(self._names(agent), Outcome(self.key(step, attempt), fact.at_us, came))

    def _names(self, agent: str) -> Sequence[str]:
        return self._gates.names.get(agent, ())

    def _tell(self, names: Sequence[str], outcome: Outcome | None) -> None:
        """outcome: None where an event says nothing of a call."""
        if outcome is not None:
            for name in names:
                self._told.append((name, outcome))

    def take(self) -> list[tuple[str, Outcome]]:
        """What the gates are to be told now; nobody else tells them."""
        told, self._told = self._told, []
        return told
