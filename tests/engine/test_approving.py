"""Runs whose plan a person must approve: across engines, deadlines and forks."""

import asyncio

import pytest

import interlock as il
from interlock.errors import DecisionRefused, InputError
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual

from .stage import chain, engine, fan, scope, story


def planned():
    """A team of which an agent writes the plan."""
    lead = il.Agent("lead", scope=il.Scope(["decide"], ["*"], []), retries=0)
    return il.Team([il.Agent("ann", scope=scope()), lead], planner={"agent": "lead", "action": "decide"})


def test_a_plan_is_approved_by_another_process_and_runs():
    async def main():
        store = MemoryStore()
        async with engine(fan(2), journal=MemoryJournal(store)) as running:
            run = await running.run({}, run_id="run", approve_plan=True)
            assert (run.status, run.steps) == ("parked", {"s0": "escalated", "s1": "waiting"})
        async with engine(fan(2), journal=MemoryJournal(store)) as running:
            [waiting] = await running.inbox()
            assert (waiting.step, waiting.attempt, waiting.due_us) == ("s0", 0, 0)
            with pytest.raises(DecisionRefused, match="the question is whether a plan may run"):
                await running.decide("run", "s0", "write", by="eve", writes={"out.s0": 1})
            ended = await running.decide("run", "s0", "approve", by="eve")
            return ended.status, await running.inbox()

    assert virtual.run(main()) == ("succeeded", [])


def test_nobody_answers_while_the_engine_is_open():
    async def main():
        async with engine(chain(2)) as running:
            await running.run({}, run_id="run", approve_plan="2h")
            await asyncio.sleep(7_000)
            assert (await running.journal.run("run")).status == "parked"
            await asyncio.sleep(300)
            row = await running.journal.run("run")
            return row.status, row.reason, await story(running, "run")

    status, reason, told = virtual.run(main())
    assert (status, reason) == ("failed", "its plan was not approved: nobody has answered in time")
    assert not any("AttemptStarted" in line for line in told)


def test_what_a_planner_proposes_is_what_is_approved():
    asked = []

    async def work(job):
        if job.step == "decide-1":
            asked.append(job.attempt)
            return {"add": [{"id": "x", "agent": "ann", "action": "act", "writes": ["out.x"]}]}
        return {"out.x": 1}

    async def main():
        store = MemoryStore()
        async with engine(planned(), work, journal=MemoryJournal(store)) as running:
            assert (await running.run({}, run_id="run", approve_plan=True)).status == "parked"
        async with engine(planned(), work, journal=MemoryJournal(store)) as running:
            run = await running.decide("run", "decide-1", "approve", by="eve")
            return run.status, run.steps, run.context.to_dict()

    assert virtual.run(main()) == ("succeeded", {"decide-1": "committed", "x": "committed"}, {"out": {"x": 1}})
    assert asked == [1]


def test_a_fork_of_what_was_not_approved_asks_again():
    async def main():
        async with engine(chain(2)) as running:
            await running.run({}, run_id="run", approve_plan=True)
            assert (await running.decide("run", "s0", "reject", by="eve")).status == "failed"
            fork = await running.fork("run", at="s0", by="eve")
            assert fork.status == "parked"
            return (await running.decide(fork.run_id, "s0", "approve", by="eve")).status

    assert virtual.run(main()) == "succeeded"


@pytest.mark.parametrize("answer", ["", "reject"])
def test_what_was_not_approved_is_asked_about_again_under_another_version_of_the_team(answer):
    """Whoever changes the team has not approved its plan by that."""
    store = MemoryStore()
    staff = []

    async def work(job):
        staff.append(job.step)
        return {}

    async def main():
        async with engine(chain(2), work, journal=MemoryJournal(store)) as old:
            await old.run({}, run_id="run", approve_plan=True)
            if answer:
                await old.decide("run", "s0", answer, by="eve")
        async with engine(chain(3), work, journal=MemoryJournal(store)) as new:
            if answer:
                heir = await new.fork("run", at="s0", by="eve", under_this_team=True)
            else:
                heir = await new.migrate("run", by="eve")
            assert (heir.status, heir.reason[:31], staff) == ("parked", "May this plan run? 3 steps: s0 ", [])
            return (await new.decide(heir.run_id, "s0", "approve", by="eve")).status

    assert virtual.run(main()) == "succeeded"
    assert staff == ["s0", "s1", "s2"]


def test_what_was_approved_does_not_become_another_plan():
    """A run under way goes on with the plan that a person has seen."""
    store = MemoryStore()

    async def asks_once(job):
        return {} if job.step == "s0" or job.answer else il.Reply(ask=il.Question("Go on?"))

    async def main():
        async with engine(chain(2), asks_once, journal=MemoryJournal(store)) as old:
            await old.run({}, run_id="run", approve_plan=True)
            assert (await old.decide("run", "s0", "approve", by="eve")).status == "parked"
        async with engine(chain(3), asks_once, journal=MemoryJournal(store)) as new:
            with pytest.raises(InputError, match="run run has a plan that a person has approved, and this team has"):
                await new.migrate("run", by="eve")
            return (await new.journal.run("run")).status

    assert virtual.run(main()) == "parked"


def test_what_is_asked_for_must_be_possible():
    decides = {"agent": "lead", "action": "decide"}
    lead = il.Agent("lead", scope=il.Scope(["decide"], ["*"], ["answer"]))

    async def main(of, approve_plan):
        async with engine(of) as running:
            await running.run({}, approve_plan=approve_plan)

    for of, given, message in (
        (il.Team([lead], supervisor=decides), True, "there is no plan to approve"),
        (chain(1), "soon", "approve_plan: 'soon' is not a duration"),
        (chain(1), "0s", "approve_plan: 0s is not between"),
    ):
        with pytest.raises(InputError, match=message):
            virtual.run(main(of, given))
