"""Budgets that ask for more, people who decide by chance, and processes that die: an account finds nothing wrong."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

import interlock as il
import interlock.core.events as e
from interlock.engine.engine import Engine
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.testing.simulation.account import Account
from interlock.testing.simulation.gates import Gates
from interlock.testing.simulation.people import decide
from tests import virtual
from tests.engine.stage import engine, step, team

RUNS, ROUNDS = 3, 25


def asking(chance: random.Random) -> il.Team:
    """A team whose budgets all ask, some of them with a fallback or a deadline."""

    def budget(**more: Any) -> dict[str, Any]:
        call = chance.choice([{}, {"call": {"usd": 0.02, "tokens": 5}}])
        amounts = {"usd": chance.choice([0.02, 0.05]), "tokens": 15, "calls": chance.randint(1, 3)}
        return {**amounts, **call, "when_spent": "ask", **more}

    fallback = chance.choice([None, "bob"])
    escalate = chance.choice([None, {"deadline": "2h", "then": "fallback" if fallback else "dead"}, {"deadline": "1h"}])
    of_step = chance.choice([None, {"calls": 1, "when_spent": "ask"}])
    steps = [step("a", escalate=escalate), step("b", "a", budget=of_step), step("c"), step("d", "b", "c")]
    scope = il.Scope(["act"], ["*"], ["out.*"])
    bob = il.Agent("bob", scope=scope, retries=0)
    mine = chance.choice([budget(), budget(day=budget()), {"day": budget()}])
    agents = [bob] if fallback else []
    return team(*steps, agents=agents, fallback=fallback, budget=mine, retries=1)


class Spender:
    """An agent that fails, is slow or tells nothing, by chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def __call__(self, job: il.Job) -> Any:
        await asyncio.sleep(self._chance.random() * 2)
        usage = self._chance.choice([None, il.Usage(3, 2, 0.015), il.Usage(3, 2), il.Usage(0, 0, 0.0)])
        if self._chance.random() < 0.2:
            raise il.AgentError("it broke", usage=usage)
        return il.Reply(writes={f"out.{job.step}": job.attempt}, usage=usage)


async def decided(running: Engine, of: il.Team, chance: random.Random) -> None:
    """One person decides something about one question; it may be refused."""
    if waiting := await running.inbox():
        one = chance.choice(waiting)
        await decide(running, running.journal, of.rules, one, chance, {f"out.{one.step}": "mine"})


class Heard(MemoryJournal):
    """One process's handle on the journal. heard: what has become durable, in this order; since when it was driven."""

    def __init__(self, store: MemoryStore, heard: list[tuple[int, str, e.AnyEvent]]) -> None:
        super().__init__(store)
        self._heard, self._began_us = heard, virtual.now_us()

    def append(self, run_id: str, seq: int, events: Sequence[e.AnyEvent], **more: Any) -> asyncio.Future[None]:
        done = super().append(run_id, seq, events, **more)
        if done.exception() is None:
            self._heard += [(self._began_us, run_id, event) for event in events]
        return done


async def lived(seed: int) -> tuple[il.Team, list[tuple[int, str, e.AnyEvent]]]:
    chance = random.Random(seed)
    of, store, heard = asking(chance), MemoryStore(), list[tuple[int, str, e.AnyEvent]]()
    for turn in range(ROUNDS):
        journal = Heard(store, heard)
        async with engine(of, Spender(chance), journal=journal) as running:
            if not turn:
                await asyncio.gather(*(running.run({}, run_id=f"r{n}") for n in range(RUNS)))
            async for _ in running.resume():
                pass
            work = asyncio.gather(*(decided(running, of, chance) for _ in range(2)), return_exceptions=True)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random())
                journal.alive = False  # as if it had died: what is in flight is lost
                work.cancel()
            else:
                await work
        await asyncio.sleep(chance.choice([1, 600, 4_000, 40_000]))
    return of, heard


@pytest.mark.parametrize("seed", range(40))
def test_an_account_finds_nothing_wrong(seed):
    of, heard = virtual.run(lived(seed))
    accounts, gates = {f"r{n}": Account(f"r{n}", of.rules) for n in range(RUNS)}, Gates(of.rules)
    for since_us, run_id, event in heard:
        accounts[run_id].driven_since_us = since_us
        accounts[run_id].hear(event)
        gates.hear(accounts[run_id], event)
    assert all(account.events for account in accounts.values())
