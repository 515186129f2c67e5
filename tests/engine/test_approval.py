"""Effects that a person must approve: none is performed before, through restarts, months and cancellations."""

import asyncio

import pytest

import interlock as il
from interlock.agents.effects import Performed
from interlock.core import events as e
from interlock.core.decision import decided
from interlock.engine.cancelling import cancel
from interlock.engine.decisions import decide, request_of
from interlock.errors import AgentRefused, DecisionRefused
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual

from .stage import end, engine, step
from .test_performances import Outside

DAYS = 86_400.0


def desk(*steps, escalate=None, retries=0, rule=None, **ann):
    scope = il.Scope(["act", "pay", "mail"], ["*"], ["*"])
    ann = il.Agent("ann", scope=scope, retries=retries, backoff="10ms", escalate=escalate, **ann)
    effects = {"pay": {"use": "outside:pay", "approve": True, **(rule or {})}, "mail": "outside:mail"}
    return il.Team([ann], il.Plan(list(steps) or [step("a")]), effects=effects)


async def pays(job):
    """After its commit: a mail, two payments, and another mail."""
    if job.step != "a":
        return {f"out.{job.step}": 1}
    names = ["mail", "pay", "pay", "mail"]
    return il.Reply(writes={"out.a": 1}, effects=[il.Effect(name, n, key=f"k{n}") for n, name in enumerate(names)])


async def pays_at_once(job):
    return {"out.a": await job.effect("pay", {"usd": 5}, key="p")}


IMMEDIATE = {"effects": "immediate"}


def at_work(of, agent, outside, **given):
    return engine(of, agent, performers={name: Performed(outside) for name in of.effects}, **given)


async def approve(work, run, verb="approve", step="a", **given):
    return await work.decide(run.run_id, step, verb, by="eve", **given)


def test_effects_are_performed_in_their_order_each_when_it_is_approved():
    async def main():
        outside = Outside()
        async with at_work(desk(step("a"), step("b", "a")), pays, outside) as work:
            run, seen = await work.run({}), []
            while run.status == "parked":
                seen.append(([payload for payload, _ in outside.done], run.reason))
                run = await approve(work, run)
            return run.status, seen, [payload for payload, _ in outside.done]

    status, seen, done = virtual.run(main())
    assert seen == [
        ([0], "a needs a person: May the effect pay (k1) be performed?"),
        ([0, 1], "a needs a person: May the effect pay (k2) be performed?"),
    ]
    assert (status, done) == ("succeeded", [0, 1, 2, 3])


def test_what_is_rejected_is_never_performed_and_its_step_is_a_dead_letter():
    async def main():
        outside = Outside()
        async with at_work(desk(), pays, outside) as work:
            run = await approve(work, await work.run({}), "reject", reason="fraud")
            again = await work.redrive(run.run_id)
            return run, again, [payload for payload, _ in outside.done]

    run, again, done = virtual.run(main())
    assert (run.status, run.reason) == ("failed", "a: its effect pay (k1) was rejected by person:eve: fraud")
    assert (again.status, again.reason) == ("parked", "a needs a person: May the effect pay (k1) be performed?")
    assert done == [0]


@pytest.mark.parametrize("agent", [pays, pays_at_once], ids=["after the commit", "at once"])
def test_it_waits_through_restarts_and_months_and_is_performed_once(agent):
    async def main():
        store, outside, of = MemoryStore(), Outside(), desk(rule={"retries": 0}, **IMMEDIATE)
        async with at_work(of, agent, outside, journal=MemoryJournal(store)) as work:
            run = await work.run({}, run_id="r")
        await asyncio.sleep(90 * DAYS)
        payments = []
        while run.status == "parked":
            async with at_work(of, agent, outside, journal=MemoryJournal(store)) as work:
                run = await work.resume_run("r")
                assert run.status == "parked", "who only goes on with it performs nothing"
            async with at_work(of, agent, outside, journal=MemoryJournal(store)) as work:
                payments.append(sum(isinstance(fact, e.EffectDone) for fact in await work.journal.load("r")))
                run = await approve(work, run)
        return run.status, payments, [key for _, key in outside.done]

    status, payments, keys = virtual.run(main())
    assert status == "succeeded"
    assert len(keys) == len(set(keys)) == (4 if agent is pays else 1)
    assert payments == ([1, 2] if agent is pays else [0])


def test_a_process_that_dies_when_it_is_approved_performs_it_in_the_next():
    async def main():
        store, outside, of = MemoryStore(), Outside(seconds=1.0), desk(rule={"on_unknown": "retry"})
        journal = MemoryJournal(store)
        async with at_work(of, pays, outside, journal=journal) as work:
            run = await work.run({}, run_id="r")
        # The decision is recorded, and nobody goes on.
        request = request_of("r", decided("a", "approve"), "eve", "", virtual.now_us())
        by_hand = MemoryJournal(store)
        await decide(by_hand, of.rules, request, now_us=virtual.now_us)
        await by_hand.close()
        before = len(outside.done)
        async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
            doing = asyncio.ensure_future(work.resume_run("r"))
            await virtual.until(lambda: len(outside.done) > before)
        await end(doing)
        async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
            run = await work.resume_run("r")
        return before, run.reason, [payload for payload, _ in outside.done]

    before, reason, done = virtual.run(main())
    assert (before, done) == (1, [0, 1, 1]), "lost in between, and its rule is to try it again: it is approved still"
    assert reason == "a needs a person: May the effect pay (k2) be performed?"


def test_what_waits_is_not_performed_after_its_run_is_cancelled():
    async def main():
        store, outside, of = MemoryStore(), Outside(), desk()
        async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
            run = await work.run({}, run_id="r")
        await cancel(MemoryJournal(store), "r", by="person:ann", now_us=virtual.now_us)
        async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
            with pytest.raises(DecisionRefused, match="a does not wait for a person"):
                await approve(work, run)
            assert await work.inbox("r") == []
            return (await work.journal.run("r")).status, len(outside.done)

    assert virtual.run(main()) == ("cancelled", 1)


@pytest.mark.parametrize("is_open", [True, False], ids=["an engine is open", "after a restart"])
def test_after_its_deadline_it_is_not_performed_and_nobody_can_approve_it(is_open):
    async def main():
        store, outside = MemoryStore(), Outside()
        of = desk(escalate={"deadline": "24h", "then": "default", "default": {"out.a": 0}})
        async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
            run = await work.run({}, run_id="r")
            [question] = await work.inbox("r")
            if is_open:
                await asyncio.sleep(2 * DAYS)
        if not is_open:
            await asyncio.sleep(2 * DAYS)
            async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
                await work.resume_run("r")
        async with at_work(of, pays, outside, journal=MemoryJournal(store)) as work:
            with pytest.raises(DecisionRefused, match="the deadline has decided about it"):
                await approve(work, run)
            row = await work.journal.run("r")
            return question.due_us - question.asked_us, row.status, row.reason, len(outside.done)

    waited_us, status, reason, done = virtual.run(main())
    assert waited_us == 86_400_000_000
    assert (status, reason) == ("failed", "a: nobody has answered in time: May the effect pay (k1) be performed?")
    assert done == 1


# --- while an agent waits for it ---


def test_the_attempt_ends_and_the_next_gets_the_result():
    async def main():
        outside, calls = Outside({"receipt": 7}), []

        async def agent(job):
            calls.append(job.feedback)
            return await pays_at_once(job)

        async with at_work(desk(**IMMEDIATE), agent, outside) as work:
            run = await work.run({}, run_id="r")
            assert (run.status, outside.done) == ("parked", [])
            run = await approve(work, run)
            return run, outside.done, calls, await work.journal.load("r")

    run, done, calls, events = virtual.run(main())
    assert (run.status, run.context["out.a"], len(done)) == ("succeeded", {"receipt": 7}, 1)
    told = 'A person has approved the effect pay (p): ask for it again with the same payload, {"usd":5}'
    assert calls == [(), (told,)]
    assert [type(event).__name__ for event in events if hasattr(event, "step")] == [
        "AttemptStarted", "EffectRequested", "QuestionAsked", "QuestionAnswered",
        "AttemptStarted", "EffectRequested", "EffectStarted", "EffectDone", "AttemptCommitted",
    ]  # fmt: skip


def test_an_agent_that_would_go_on_without_it_is_stopped_all_the_same():
    async def main():
        outside = Outside()

        async def stubborn(job):
            try:
                await job.effect("pay", {"usd": 5}, key="p")
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
            return {"out.a": "without"}

        async with at_work(desk(**IMMEDIATE), stubborn, outside) as work:
            run = await work.run({})
            return run, outside.done

    run, done = virtual.run(main())
    assert (run.status, "out" in run.context.to_dict(), done) == ("parked", False, [])


def test_what_it_has_consumed_is_charged():
    async def main():
        async def spends(job):
            try:
                await job.effect("pay", {"usd": 5}, key="p")
            except asyncio.CancelledError:
                raise asyncio.CancelledError from AgentRefused("stopped", usage=il.Usage(10, 5, 0.25))

        async with at_work(desk(**IMMEDIATE), spends, Outside()) as work:
            return await work.run({})

    assert virtual.run(main()).cost.usd == 0.25


def test_other_effects_that_it_waits_for_at_the_same_time_are_told_as_ever():
    async def main():
        outside = Outside(seconds=1.0)

        async def both(job):
            await asyncio.gather(job.effect("mail", 1), job.effect("pay", 2))
            return {"out.a": 1}

        async with at_work(desk(**IMMEDIATE), both, outside) as work:
            run = await work.run({})
            parked = [payload for payload, _ in outside.done]
            run = await approve(work, run)
            return run.status, parked, [payload for payload, _ in outside.done]

    assert virtual.run(main()) == ("succeeded", [1], [1, 2])


def test_who_asks_for_something_else_after_the_approval_needs_another():
    async def main():
        outside = Outside()

        async def changes_its_mind(job):
            return {"out.a": await job.effect("pay", {"usd": 5 * job.attempt}, key="p")}

        async with at_work(desk(**IMMEDIATE), changes_its_mind, outside) as work:
            run = await work.run({})
            run = await approve(work, run)
            return run.status, outside.done

    assert virtual.run(main()) == ("parked", [])


def test_a_run_with_other_steps_goes_on_meanwhile():
    async def main():
        outside = Outside()

        async def agent(job):
            return await pays_at_once(job) if job.step == "a" else {f"out.{job.step}": 1}

        of = desk(step("a"), step("beside"), step("after", "beside"), **IMMEDIATE)
        async with at_work(of, agent, outside) as work:
            run = await work.run({})
            return run.status, run.steps

    status, steps = virtual.run(main())
    assert status == "parked"
    assert steps == {"a": "escalated", "beside": "committed", "after": "committed"}


# --- the effects of a refused reply ---


def test_a_refused_reply_that_is_approved_has_its_effects_performed_after_a_restart():
    async def main():
        store, outside = MemoryStore(), Outside()

        async def wrong(job):
            return il.Reply(writes={"out.a": "some"}, effects=[il.Effect("pay", 1), il.Effect("mail", 2)])

        of = desk(escalate=True, guardrails=[{"forbidden": {"words": ["some"]}}])
        async with at_work(of, wrong, outside, journal=MemoryJournal(store)) as work:
            run = await work.run({}, run_id="r")
        assert (run.status, outside.done) == ("parked", [])
        async with at_work(of, wrong, outside, journal=MemoryJournal(store)) as work:
            run = await approve(work, run)
        return run.status, [payload for payload, _ in outside.done]

    assert virtual.run(main()) == ("succeeded", [1, 2])
