"""Which calls of one run have passed their gates, and what those gates are told of how they ended."""

from interlock.core import events as e
from interlock.core.commands import CallAgent
from interlock.core.gate import Outcome
from interlock.core.job import idempotency_key
from interlock.core.machine import Machine

from .gates import Gatekeeper


class Passes:
    """What the gates of one run's calls are told, gathered for the append that makes it a fact."""

    def __init__(self, gates: Gatekeeper, run_id: str, machine: Machine) -> None:
        self._gates, self._run_id, self._machine = gates, run_id, machine
        # By (step, attempt), who is called, and the key of the call.
        self._passed = {attempt: (agent, self.key(*attempt)) for attempt, agent in machine.drafted().items()}
        self._told: list[tuple[str, Outcome]] = []

    def key(self, step: str, attempt: int) -> str:
        """What a call is known by at its gates."""
        return idempotency_key(self._run_id, step, attempt)

    def note(self, call: CallAgent, key: str) -> None:
        """A call was let through."""
        self._passed[call.step, call.attempt] = call.agent, key

    def not_made(self, call: CallAgent, at_us: int) -> None:
        """A call is not made, though it may have been let through."""
        self._told += self._gates.told_not_made(call.agent, self.key(call.step, call.attempt), at_us)

    def hear(self, fact: e.AnyEvent) -> None:
        """What a fact says to the gate of the agent whose call it ends, or has ended before."""
        if type(fact) is e.BudgetRaised:
            self._told += self._gates.told_raise(fact)
            return
        ended = (getattr(fact, "step", ""), getattr(fact, "attempt", 0))
        passed = self._passed.get(ended)
        if passed is not None:
            agent, key = passed
            self._told += self._gates.told(agent, fact, key)
        elif isinstance(fact, e.AttemptInterrupted):
            agent = self._machine.duty(self._machine.number[fact.step]).agent
            self._told += self._gates.told(agent, fact, self.key(*ended))
        elif isinstance(fact, e.RunCancelled):
            for (step, attempt), agent in self._machine.drafted().items():
                drafted = e.AttemptInterrupted(fact.at_us, step, attempt)
                self._told += self._gates.told(agent, drafted, self.key(step, attempt))
            for step, attempt, agent, is_in_flight in self._machine.wanted():
                key = self.key(step, attempt)
                if is_in_flight:
                    lost = e.AttemptInterrupted(fact.at_us, step, attempt)
                    self._told += self._gates.told(agent, lost, key)
                else:
                    self._told += self._gates.told_not_made(agent, key, fact.at_us)

    def take(self) -> list[tuple[str, Outcome]]:
        """What the gates are to be told now; nobody else tells them."""
        told, self._told = self._told, []
        return told
