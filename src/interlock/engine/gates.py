"""Asks gates on behalf of all runs of an engine: one turn at a time per agent, for all that ask meanwhile."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from interlock.core.above import Above, found_above
from interlock.core.breaker import Moved
from interlock.core.budget import Amounts
from interlock.core.events import BudgetRaised, Parent
from interlock.core.gate import AtGate, GatePolicy, Outcome, Policies, Verdict, policy_above, take_back, turn
from interlock.errors import JournalError, StaleDriver
from interlock.ports import AtGates, Journal, Result

from .breakers import gate_name
from .noticing import Noticing

Answer = Callable[[Verdict | BaseException], None]
# What a turn answers, and what the breaker did in it.
Turned = tuple[list[Verdict], Sequence[Moved]]

log = logging.getLogger("interlock")


class _Ask(msgspec.Struct, frozen=True):
    """A call that is asked for, and who is told. at_us: the time in its run."""

    run_id: str
    key: str
    answer: Answer
    at_us: int


class Gatekeeper:
    """The gates that calls must pass.

    policies: of the agents that have a gate; team: the one that all of them share. name: of the team, by which its
    gates are known in the journal. noticing: who is told of breakers that open. above: the teams above, whose gates its
    calls pass, too.

    names: of each agent that has one, the gates that a call of it must pass.
    """

    def __init__(
        self,
        journal: Journal,
        policies: Mapping[str, GatePolicy],
        team: GatePolicy,
        name: str,
        now_us: Callable[[], int],
        noticing: Noticing | None = None,
        above: Sequence[Above] = (),
    ) -> None:
        shared = {gate_name(name, ""): msgspec.structs.replace(team, is_shared=True)} if team else {}
        for level, one in enumerate(above, 1):
            shared.setdefault(one.gate, policy_above(level, one))  # teams of one name have one gate
        behind = {agent: {gate_name(name, agent): own} | shared if own else shared for agent, own in policies.items()}
        # Of each agent, by their names, what is declared of them.
        self._gates = {agent: gates for agent, gates in behind.items() if gates}
        self.names = {agent: tuple(gates) for agent, gates in self._gates.items()}
        self._journal, self._now_us, self._team, self._noticing = journal, now_us, name, noticing
        self._asking: dict[str, list[_Ask]] = {}
        self._turning: set[str] = set()
        self._below: dict[Sequence[Above], Gatekeeper] = {}
        self._declared = policies, team

    def below(self, above: tuple[Above, ...]) -> "Gatekeeper":
        """Who asks for the calls of a run with these teams above its own."""
        if above not in self._below:
            given = (self._journal, *self._declared, self._team, self._now_us, self._noticing)
            self._below[above] = Gatekeeper(*given, above)
        return self._below[above]

    def __bool__(self) -> bool:
        return bool(self._gates)

    def guards(self, agent: str) -> bool:
        """Whether a call of this agent must pass a gate."""
        return agent in self._gates

    def ask(self, agent: str, run_id: str, key: str, answer: Answer, at_us: int = 0) -> None:
        """Ask for a call. The answer may come at once; an error is the journal's. at_us: the time in its run."""
        self._asking.setdefault(agent, []).append(_Ask(run_id, key, answer, at_us))
        if agent not in self._turning:
            self._turn(agent, self._asking.pop(agent))

    def ask_within(self, at_gates: AtGates, agent: str, key: str, now_us: int, at_us: int) -> Verdict:
        """Ask for a call within an append: `at_gates` has a turn there and then.

        now_us: the time. at_us: that in its run, which is later where the clock was set back.
        """
        policies = self._gates[agent]
        if self._noticing is None:
            [verdict], moved = at_gates(self.names[agent], _take, policies, (key,), now_us)
        else:
            take = partial(_take, policies, (key,), now_us)
            [verdict], moved = at_gates(self.names[agent], self._noticing.of_turn, agent, take)
        if moved:
            self._tell(agent, moved)
        return _in_run(verdict, at_us - now_us) if verdict.until_us else verdict

    def take_back(self, agent: str, key: str) -> None:
        """A call that was just let through is not wanted any more. Where this fails, its grant is lost like others."""
        back = partial(take_back, self._gates[agent], key, self._now_us())
        self._at_gates(agent, back).add_done_callback(_whatever_came)

    def told_raise(self, parent: Parent | None, event: BudgetRaised) -> list[tuple[str, Outcome]]:
        """What the gate is told whose daily budget a person has raised."""
        return told_raise(self._team, parent, event)

    def _turn(self, agent: str, asking: Sequence[_Ask]) -> None:
        self._turning.add(agent)
        now_us = self._now_us()
        take = partial(_take, self._gates[agent], [ask.key for ask in asking], now_us)
        turned = self._at_gates(agent, take, [ask.run_id for ask in asking])
        if turned.done():
            self._answer(agent, asking, now_us, turned)
        else:
            turned.add_done_callback(partial(self._answer, agent, asking, now_us))

    def _at_gates(
        self, agent: str, take: Callable[[Sequence[AtGate]], Result], runs: Sequence[str] = ()
    ) -> "asyncio.Future[Result]":
        try:
            return self._journal.at_gates(self.names[agent], self._noticed(agent, take), runs)
        except JournalError as error:
            failed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed

    def _noticed(self, agent: str, take: Callable[[Sequence[AtGate]], Result]) -> Callable[[Sequence[AtGate]], Result]:
        return take if self._noticing is None else partial(self._noticing.of_turn, agent, take)

    def _tell(self, agent: str, moved: Sequence[Moved]) -> None:
        _log(agent, moved)
        if self._noticing is not None:
            self._noticing.posted()

    def _answer(self, agent: str, asking: Sequence[_Ask], now_us: int, turned: "asyncio.Future[Turned]") -> None:
        self._turning.discard(agent)
        if turned.cancelled():
            return
        error = turned.exception()
        if isinstance(error, StaleDriver) and len(asking) > 1:
            for ask in asking:  # the others are driven from here
                self._turn(agent, [ask])
            return
        verdicts, moved = turned.result() if error is None else ((), ())
        if moved:
            self._tell(agent, moved)
        for number, ask in enumerate(asking):
            ask.answer(_in_run(verdicts[number], ask.at_us - now_us) if error is None else error)
        if agent in self._asking and agent not in self._turning:
            self._turn(agent, self._asking.pop(agent))


def _in_run(verdict: Verdict, ahead_us: int) -> Verdict:
    """A verdict in the time of a run, which may be ahead: a clock may be set back, the time in a run never is."""
    if ahead_us <= 0 or not verdict.until_us:
        return verdict
    return msgspec.structs.replace(verdict, until_us=verdict.until_us + ahead_us)


def told_raise(team: str, parent: Parent | None, event: BudgetRaised) -> list[tuple[str, Outcome]]:
    """What the gate is told whose daily budget a person has raised; nothing of a budget of one run."""
    gate = raised_gate(team, parent, event.budget, event.whose)
    more = Amounts(event.calls, event.tokens, event.usd)
    return [(gate, Outcome("", event.at_us, "raised", more=more, asked_us=event.asked_us))] if gate else []


def raised_gate(team: str, parent: Parent | None, budget: str, whose: str) -> str:
    """What the gate is called in the journal whose daily budget this is; "" for the budget of a run.

    team: what the gates of the run's team are known by. parent: of the run. budget, whose: as in BudgetRaised.
    """
    found = found_above(parent.above if parent is not None else (), budget)
    if found is not None:
        return found[0].gate
    return gate_name(team, whose.removeprefix("agent ")) if budget in {"budget", "team_budget"} else ""


def _take(policies: Policies, keys: Sequence[str], now_us: int, found: Sequence[AtGate]) -> Turned:
    verdicts = turn(policies, keys, now_us, found)
    moved: Sequence[Moved] = ()
    for at in found:
        if at.moved:
            moved = [*moved, *at.moved]
    return verdicts, moved


def _log(agent: str, moves: Sequence[Moved]) -> None:
    """Tell whoever reads the log that calls are kept away, and that they are made again."""
    for moved in moves:
        why = "".join(c if c.isprintable() else " " for c in moved.reason)  # an agent's words may be among it
        if moved.to == "open":
            log.warning("agent %s is called no more: its breaker has opened: %s", agent, why)
        elif moved.to == "closed":
            log.warning("agent %s is called again: its breaker has closed: %s", agent, why)


def _whatever_came(taken: "asyncio.Future[None]") -> None:
    if not taken.cancelled():
        taken.exception()
