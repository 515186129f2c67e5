"""A spent budget waits for a person: through a crash, beside other runs, and whoever takes the decision."""

import asyncio
from typing import Any

import pytest

import interlock as il
import interlock.core.events as e
from interlock.core.budget import DAY_US, Amounts
from interlock.core.decision import decided
from interlock.engine.decisions import decide, request_of
from interlock.errors import DecisionRefused, InputError
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.journal.sqlite import SqliteJournal
from tests import virtual

from .stage import chain, engine, scope, step, team

ASK = {"calls": 2, "when_spent": "ask"}
DAY = {"day": {"calls": 2, "when_spent": "ask"}}


class Counting:
    """An agent that does what its step asks for, and counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __call__(self, job: il.Job) -> Any:
        self.calls.append(f"{job.run_id}/{job.step}")
        return {f"out.{job.step}": "done"}


def request(run_id: str, step_id: str, by: str = "eve", **more: float) -> Any:
    return request_of(run_id, decided(step_id, "approve", more=more), by, "busy day", 0)


def test_a_run_asks_for_more_and_goes_on_with_it():
    ann = Counting()

    async def main():
        async with engine(chain(4, budget=ASK), ann) as running:
            parked = await running.run({}, run_id="run")
            [waiting] = await running.inbox()
            ended = await running.decide("run", waiting.step, "approve", more={"calls": 2}, by="eve", reason="busy")
            events = await running.journal.load("run")
            return parked, waiting, ended, events, await running.inbox(), await running.journal.run("run")

    parked, waiting, ended, events, left, row = virtual.run(main())
    said = "ann was not called: agent ann: its budget is 2 calls, of which 0 calls are left"
    assert (parked.status, parked.reason) == ("parked", f"s2 needs a person: {said}")
    assert (waiting.step, waiting.attempt, waiting.text) == ("s2", 0, f"{said}; consumed: 2 calls")
    assert (ended.status, ended.cost.calls, len(ann.calls), left, row.status) == ("succeeded", 4, 4, [], "succeeded")
    [raised] = [event for event in events if isinstance(event, e.BudgetRaised)]
    assert (raised.by, raised.calls, raised.whose, raised.reason) == ("person:eve", 2, "agent ann", "busy")


@pytest.mark.parametrize("more", [{}, {"usd": 1}, {"calls": -1}, {"calls": 0}, {"calls": 1.5}, {"calls": 10**13}])
def test_what_can_not_be_approved_is_refused_and_the_question_stays_open(more):
    async def main():
        async with engine(chain(3, budget=ASK), Counting()) as running:
            await running.run({}, run_id="run")
            with pytest.raises(DecisionRefused):
                await running.decide("run", "s2", "approve", more=more, by="eve")
            return len(await running.inbox()), (await running.journal.run("run")).status

    assert virtual.run(main()) == (1, "parked")


def test_nan_is_not_even_asked_for():
    async def main():
        async with engine(chain(3, budget=ASK), Counting()) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="can't be stored"):
                await running.decide("run", "s2", "approve", more={"usd": float("nan")}, by="eve")

    virtual.run(main())


def test_the_same_request_twice_raises_once():
    ann = Counting()

    async def main():
        store = MemoryStore()
        of = chain(4, budget=ASK)
        async with engine(of, ann, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        journal = MemoryJournal(store)
        mine = request("run", "s2", calls=1)
        await decide(journal, of.rules, mine)
        with pytest.raises(DecisionRefused, match="person:eve has decided about it"):
            await decide(journal, of.rules, mine)
        await journal.ask(mine)  # a copy of it that was left for the next driver
        await journal.close()
        async with engine(of, ann, journal=MemoryJournal(store)) as running:
            [ended] = [run async for run in running.resume()]
            return ended.status, [type(event).__name__ for event in await running.journal.load("run")]

    status, events = virtual.run(main())
    assert (status, len(ann.calls), events.count("BudgetRaised")) == ("parked", 3, 1)


@pytest.mark.parametrize("sqlite", [False, True])
def test_a_raise_survives_a_restart_also_of_a_daily_budget(sqlite, tmp_path):
    ann = Counting()
    store = MemoryStore()

    def journal() -> Any:
        return SqliteJournal(tmp_path / "runs.db") if sqlite else MemoryJournal(store)

    async def main():
        of = chain(5, budget=DAY)
        async with engine(of, ann, journal=journal()) as running:
            parked = await running.run({}, run_id="run")
        opened = journal()
        row = await decide(opened, of.rules, request("run", "s2", calls=2), now_us=virtual.now_us)
        await opened.close()
        async with engine(of, ann, journal=journal()) as running:
            [again] = [run async for run in running.resume()]
            [(_, at)] = await running.journal.gates()
            return parked.status, row.status, again.status, at.gate.ledger

    before, taken, after, ledger = virtual.run(main()) if not sqlite else asyncio.run(main())
    assert (before, taken, after, len(ann.calls)) == ("parked", "running", "parked", 4)
    assert (ledger.raised, ledger.spent.calls) == (Amounts(calls=2), 4)


def test_a_raised_day_is_for_all_runs_and_the_next_one_begins_anew():
    ann = Counting()

    async def main():
        async with engine(chain(1, budget=DAY), ann) as running:
            first = [(await running.run({}, run_id=f"r{n}")).status for n in range(4)]
            await running.decide("r2", "s0", "approve", more={"calls": 2}, by="eve")
            other = await running.decide("r3", "s0", "retry", by="eve")
            spent = await running.run({}, run_id="r4")
            await asyncio.sleep(DAY_US / 1e6)
            with pytest.raises(DecisionRefused, match="the day is over whose budget was spent"):
                await running.decide("r4", "s0", "approve", more={"calls": 5}, by="eve")
            again = await running.decide("r4", "s0", "retry", by="eve")
            return first, other.status, spent.status, again.status

    first, other, spent, again = virtual.run(main())
    assert first == ["succeeded", "succeeded", "parked", "parked"]
    assert (other, spent, again, len(ann.calls)) == ("succeeded", "parked", "succeeded", 5)


@pytest.mark.parametrize("leave", [False, True])
def test_too_little_for_a_day_is_refused_with_the_least_that_would_help(leave):
    """The run that asks knows nothing of what others have consumed that day; the gate does."""
    day = {"day": {"usd": 0.02, "when_spent": "ask", "call": {"usd": 0.01}}}
    store = MemoryStore()

    async def costly(job):
        return il.Reply(writes={f"out.{job.step}": "done"}, usage=il.Usage(1, 1, 0.015))

    async def main():
        of = chain(1, budget=day)
        async with engine(of, costly, journal=MemoryJournal(store)) as running:
            for run_id in ("r0", "r1", "r2"):
                await running.run({}, run_id=run_id)
        journal = MemoryJournal(store)
        with pytest.raises(DecisionRefused) as refused:
            await decide(journal, of.rules, request("r2", "s0", usd=0.004), leave=leave, now_us=virtual.now_us)
        kept = [type(event).__name__ for event in await journal.load("r2")]
        row = await decide(journal, of.rules, request("r2", "s0", usd=0.005), leave=leave, now_us=virtual.now_us)
        await journal.close()
        return str(refused.value), kept, row.status

    said, kept, status = virtual.run(main())
    assert "0.004 USD more are not enough: then its budget is 0.024 USD a day, of which 0.009 USD are left" in said
    assert "at least 0.005 USD more would help" in said
    assert ("AnswerRefused" in kept, "BudgetRaised" in kept, status) == (False, False, "running")


@pytest.mark.parametrize(
    "of",
    [chain(1, budget=DAY), il.Team([il.Agent("ann", scope=scope())], il.Plan([step("s0")]), budget=DAY)],
    ids=["agent", "team"],
)
def test_three_people_who_answer_three_runs_raise_the_budget_of_their_day_once(of):
    ann = Counting()

    async def main():
        async with engine(of, ann) as running:
            for n in range(5):
                await running.run({}, run_id=f"r{n}")
                await asyncio.sleep(1)
            for run_id, by in (("r2", "ann"), ("r3", "bob")):
                ended = await running.decide(run_id, "s0", "approve", more={"calls": 2}, by=by)
                assert ended.status == "succeeded"
                await asyncio.sleep(1)
            with pytest.raises(DecisionRefused) as refused:
                await running.decide("r4", "s0", "approve", more={"calls": 2}, by="eve")
            [(_, at)] = await running.journal.gates()
            await running.decide("r4", "s0", "retry", by="eve")  # it asks anew
            anew = await running.decide("r4", "s0", "approve", more={"calls": 1}, by="eve")
            [(_, after)] = await running.journal.gates()
            return str(refused.value), at.gate.ledger.raised, anew.status, after.gate.ledger.raised

    said, raised, anew, after = virtual.run(main())
    assert "2 calls more are not enough, since it was raised by 2 calls after this was asked: then its budget" in said
    assert "at least 3 calls more would help" in said
    assert (raised, anew, after, len(ann.calls)) == (Amounts(calls=2), "succeeded", Amounts(calls=3), 5)


def test_three_people_who_answer_three_steps_at_once_raise_the_budget_once():
    """The second and the third have seen a question that the first has answered: by now their steps ask anew."""
    ann = Counting()

    async def main():
        async with engine(
            team(step("s0"), step("s1"), step("s2"), budget={"calls": 0, "when_spent": "ask"}), ann
        ) as running:
            await running.run({}, run_id="run")
            seen = await running.inbox()
            await asyncio.sleep(1)
            refused = 0
            for one, by in zip(seen, ("ann", "bob", "eve"), strict=True):
                more = {"calls": 1}
                try:
                    await running.decide("run", one.step, "approve", more=more, by=by, asked_us=one.asked_us)
                except DecisionRefused as error:
                    refused += "it has asked anew" in str(error)
            [anew, _] = await running.inbox()
            first = len(ann.calls)
            await running.decide("run", anew.step, "approve", more={"calls": 1}, by="bob", asked_us=anew.asked_us)
            return refused, first, len(ann.calls)

    assert virtual.run(main()) == (2, 1, 2)


def test_the_budget_of_a_team_is_raised_for_all_its_agents():
    async def main():
        of = il.Team([il.Agent("ann", scope=scope(), retries=0)], il.Plan([step("a"), step("b", "a")]), budget=DAY)
        async with engine(of, Counting()) as running:
            await running.run({}, run_id="r0")
            parked = await running.run({}, run_id="r1")
            ended = await running.decide("r1", "a", "approve", more={"calls": 2}, by="eve")
            [(name, at)] = await running.journal.gates()
            return parked.reason, ended.status, name, at.gate.ledger.raised

    reason, status, name, raised = virtual.run(main())
    assert reason == "a needs a person: ann was not called: its budget is 2 calls a day, of which 0 calls are left"
    assert (status, name.endswith("/"), raised) == ("succeeded", True, Amounts(calls=2))


def test_two_hundred_calls_never_exceed_what_was_approved():
    ann = Counting()

    async def main():
        of = team(*(step(f"s{n}") for n in range(200)), budget={"calls": 50, "when_spent": "ask"})
        async with engine(of, ann) as running:
            await running.run({}, run_id="run")
            first, waiting = len(ann.calls), await running.inbox()
            ended = await running.decide("run", waiting[0].step, "approve", more={"calls": 20}, by="eve")
            return first, len(waiting), ended.status, len(ann.calls), len(await running.inbox())

    assert virtual.run(main()) == (50, 150, "parked", 70, 130)


def test_waiting_costs_nothing_and_the_deadline_of_the_step_holds():
    ann = Counting()

    async def main():
        late = step("b", "a", escalate={"deadline": "90d", "then": "default", "default": {"out.b": "none"}})
        of = team(step("a"), late, budget={"calls": 1, "when_spent": "ask"})
        store = MemoryStore()
        async with engine(of, ann, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        await asyncio.sleep(91 * 86_400)
        async with engine(of, ann, journal=MemoryJournal(store)) as running:
            [ended] = [run async for run in running.resume()]
            return ended.status, ended.context["out"], ended.cost.calls

    assert virtual.run(main()) == ("succeeded", {"a": "done", "b": "none"}, 1)


def test_a_rejected_step_goes_to_its_fallback_which_draws_on_its_own_budget():
    async def main():
        backup = il.Agent("bob", scope=scope(), retries=0, budget={"calls": 1})
        of = team(step("a"), step("b", "a"), agents=[backup], fallback="bob", budget={"calls": 1, "when_spent": "ask"})
        async with engine(of, Counting()) as running:
            await running.run({}, run_id="run")
            ended = await running.decide("run", "b", "reject", by="eve")
            return ended.status, [
                event.agent for event in await running.journal.load("run") if isinstance(event, e.AttemptStarted)
            ]

    assert virtual.run(main()) == ("succeeded", ["ann", "bob"])
