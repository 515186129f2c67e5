"""Budgets that ask for more, people who decide by chance, and processes that die: an account finds nothing wrong."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest

import interlock as il
import interlock.core.events as e
from interlock.engine.engine import Engine
from interlock.errors import DecisionRefused, InputError
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.testing.simulation.account import Account
from interlock.testing.simulation.gates import Gates
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


async def decided(running: Engine, chance: random.Random) -> None:
    """One person decides something about one question; it may be refused."""
    waiting = await running.inbox()
    if not waiting:
        return
    one = chance.choice(waiting)
    more = {
        name: chance.choice([1, 5, 0.03, -1])
        for name in chance.sample(["usd", "tokens", "calls"], chance.randint(0, 3))
    }
    verb: Any = chance.choice(["approve"] * 4 + ["retry", "reject", "write"])
    given: dict[str, Any] = {"more": more} if verb == "approve" else {}
    if verb == "write":
        given["writes"] = {f"out.{one.step}": "mine"}
    with suppress(DecisionRefused, InputError):
        await running.decide(one.run_id, one.step, verb, by="eve", **given)


async def lived(seed: int) -> tuple[il.Team, dict[str, list[e.AnyEvent]]]:
    chance = random.Random(seed)
    of, store = asking(chance), MemoryStore()
    for turn in range(ROUNDS):
        journal = MemoryJournal(store)
        async with engine(of, Spender(chance), journal=journal) as running:
            if not turn:
                await asyncio.gather(*(running.run({}, run_id=f"r{n}") for n in range(RUNS)))
            async for _ in running.resume():
                pass
            work = asyncio.gather(*(decided(running, chance) for _ in range(2)), return_exceptions=True)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random())
                journal.alive = False  # as if it had died: what is in flight is lost
                work.cancel()
            else:
                await work
        await asyncio.sleep(chance.choice([1, 600, 4_000, 40_000]))
    async with engine(of, Spender(chance), journal=MemoryJournal(store)) as running:
        return of, {f"r{n}": list(await running.journal.load(f"r{n}")) for n in range(RUNS)}


@pytest.mark.parametrize("seed", range(40))
def test_an_account_finds_nothing_wrong(seed):
    of, events = virtual.run(lived(seed))
    accounts = {run_id: Account(run_id, of.rules) for run_id in events}
    gates = Gates(of.rules)
    everything = sorted(
        ((event.at_us, seq, run_id, event) for run_id, told in events.items() for seq, event in enumerate(told)),
        key=lambda one: one[:3],
    )
    for _, _, run_id, event in everything:
        accounts[run_id].hear(event)
        gates.hear(accounts[run_id], event)
