"""Effects that agents wait for: what was performed is told again, whatever became of the attempt that asked."""

import asyncio
import contextlib

import pytest

import interlock as il
from interlock.agents.effects import Performed
from interlock.agents.function import ThreadAdapter
from interlock.core import events as e
from interlock.core.assess import EFFECTS_MAX
from interlock.errors import AgentRefused
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual

from .stage import SlowJournal, end, engine, step
from .test_performances import Outside


def desk(retries=1, on_unknown="ask", **ann):
    ann.setdefault("effects", "immediate")
    agent = il.Agent("ann", scope=il.Scope(["act", "pay"], ["*"], ["*"]), retries=retries, backoff="10ms", **ann)
    effects = {"pay": {"use": "outside:pay", "timeout": "2s", "retries": 1, "on_unknown": on_unknown}}
    return il.Team([agent], il.Plan([step("a")]), effects=effects)


def at_work(agent, outside, of=None, **given):
    return engine(of or desk(), agent, performers={"pay": Performed(outside)}, **given)


def run(agent, outside, of=None, **given):
    """One run on virtual time, and its events."""

    async def main():
        async with at_work(agent, outside, of, **given) as work:
            ended = await work.run({}, run_id="r")
            return ended, await work.journal.load("r")

    return virtual.run(main())


def names(events):
    return [type(event).__name__ for event in events]


async def pays(job):
    return {"out.a": await job.effect("pay", {"usd": 5}, key="p")}


def test_an_agent_waits_for_the_result():
    outside = Outside({"receipt": 7}, seconds=1.0)
    ended, events = run(pays, outside)

    assert (ended.status, ended.context["out.a"]) == ("succeeded", {"receipt": 7})
    assert outside.done == [({"usd": 5}, "r/a/effect:p")]
    assert names(events)[1:5] == ["AttemptStarted", "EffectRequested", "EffectStarted", "EffectDone"]


def test_an_attempt_that_is_repeated_gets_the_recorded_result():
    outside = Outside({"receipt": 7})

    async def refused_at_first(job):
        paid = await job.effect("pay", {"usd": 5}, key="p")
        return {"elsewhere" * (job.attempt == 1) or "out.a": paid}

    ended, events = run(refused_at_first, outside, desk())
    assert (ended.status, ended.context["out.a"], len(outside.done)) == ("succeeded", {"receipt": 7}, 1)
    assert names(events).count("EffectRequested") == 1, "what is done is not asked for again"


def test_a_result_is_told_when_it_is_durable():
    journal, told = SlowJournal(seconds=0.5), []

    async def agent(job):
        paid = await job.effect("pay")
        told.append(names(journal.durable)[-1])
        return {"out.a": paid}

    run(agent, Outside(), journal=journal)
    assert told == ["EffectDone"]


def test_an_effect_goes_on_when_its_attempt_has_timed_out():
    outside = Outside({"receipt": 7}, seconds=1.0)
    ended, events = run(pays, outside, desk(timeout="500ms", retries=3))

    assert (ended.status, ended.context["out.a"], len(outside.done)) == ("succeeded", {"receipt": 7}, 1)
    assert names(events).count("EffectStarted") == 1


@pytest.mark.parametrize(
    ("on_unknown", "status", "times"), [("retry", "succeeded", 2), ("ask", "parked", 1), ("fail", "failed", 1)]
)
def test_after_a_crash_in_between_its_rule_says_what_happens(on_unknown, status, times):
    async def main():
        store, outside, of = MemoryStore(), Outside(seconds=1.0), desk(on_unknown=on_unknown)
        async with at_work(pays, outside, of, journal=MemoryJournal(store)) as first:
            doing = asyncio.ensure_future(first.run({}, run_id="r"))
            await virtual.until(lambda: outside.done)
        await end(doing)
        async with at_work(pays, outside, of, journal=MemoryJournal(store)) as second:
            ended = await second.resume_run("r")
        assert (ended.status, len(outside.done)) == (status, times)

    virtual.run(main())


def test_after_a_crash_what_was_done_is_not_done_again():
    async def main():
        store, outside = MemoryStore(), Outside({"receipt": 7})

        async def hangs(job):
            await job.effect("pay", {"usd": 5}, key="p")
            await asyncio.sleep(3600)

        async with at_work(hangs, outside, journal=MemoryJournal(store)) as first:
            doing = asyncio.ensure_future(first.run({}, run_id="r"))
            await virtual.until(lambda: outside.done)
            await asyncio.sleep(0.1)
        await end(doing)
        async with at_work(pays, outside, journal=MemoryJournal(store)) as second:
            ended = await second.resume_run("r")
        assert (ended.context["out.a"], len(outside.done)) == ({"receipt": 7}, 1)

    virtual.run(main())


def test_what_was_not_performed_is_raised_and_again_from_the_record():
    outside, said = Outside(il.NotPerformed("declined", again=False)), []

    async def agent(job):
        try:
            await job.effect("pay")
        except il.AgentRefused as error:
            said.append(error.message)
        return {"elsewhere" * (job.attempt == 1) or "out.a": 1}

    ended, _ = run(agent, outside)
    assert (ended.status, len(outside.done)) == ("succeeded", 1)
    assert said == ["its effect pay was not performed: declined"] * 2


def test_one_that_failed_is_tried_again_while_the_agent_waits():
    ended, _ = run(pays, Outside(il.NotPerformed("busy"), {"receipt": 7}))

    assert ended.context["out.a"] == {"receipt": 7}


def test_who_asks_again_before_a_further_try_gets_its_result():
    outside = Outside(il.NotPerformed("busy"), {"receipt": 7})

    async def agent(job):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pays(job), 0.1)
        return await pays(job)

    ended, _ = run(agent, outside)
    assert (ended.context["out.a"], ended.cost.calls, len(outside.done)) == ({"receipt": 7}, 1, 2)


def test_a_result_that_cannot_be_kept_is_told_apart():
    said = []

    async def agent(job):
        try:
            await job.effect("pay")
        except AgentRefused as error:
            said.append(error.message)
        return {"out.a": 1}

    ended, _ = run(agent, Outside({1}))
    assert ended.status == "succeeded"
    assert said[0].startswith("the effect pay was performed, without a result: ")


# --- what is refused ---


def raised(work, of=None, outside=None):
    """What `work`, which is given a job, raises in the agent."""
    found = []

    async def agent(job):
        try:
            await work(job)
        except il.AgentError as error:
            found.append((type(error).__name__, str(error)))
        return {"out.a": 1}

    run(agent, outside or Outside(seconds=0.1), of)
    return found[0]


def test_an_agent_that_is_not_declared_so_is_refused():
    kind, message = raised(lambda job: job.effect("pay"), desk(effects=None))

    assert kind == "AgentRefused"
    assert message == (
        "ann may not have effects performed while it works;"
        " declare effects: immediate for it, or put them into its reply"
    )


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda job: job.effect("act"), "ann may not ask for the effect 'act'"),
        (lambda job: job.effect("pay", {1}), "the payload of the effect pay: "),
        (lambda job: job.effect("pay", key="a\nb"), "the key of the effect pay is no text"),
        (lambda job: job.effect(7), "an effect is not an interlock.Effect with a name"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_as_in_a_reply(work, message):
    kind, said = raised(work)

    assert kind == "ReplyRefused"
    assert said.startswith(message)


def test_two_at_once_with_one_key_and_different_payloads_are_refused():
    kind, said = raised(lambda job: asyncio.gather(job.effect("pay", 1, key="k"), job.effect("pay", 2, key="k")))

    assert (kind, said) == (
        "ReplyRefused",
        "an effect with the key k is under way, with another payload; take another key",
    )


def test_so_is_one_that_an_earlier_attempt_has_begun():
    said = []

    async def agent(job):
        try:
            await job.effect("pay", job.attempt, key="k")
        except il.AgentError as error:
            said.append(error.message)
        return {"out.a": 1}

    run(agent, Outside(seconds=1.0), desk(timeout="500ms"))
    assert said == ["an effect with the key k is under way, with another payload; take another key"]


def test_two_at_once_that_are_the_same_are_performed_once():
    outside = Outside(7, seconds=0.1)

    async def agent(job):
        return {"out.a": await asyncio.gather(job.effect("pay", 1), job.effect("pay", 1))}

    ended, _ = run(agent, outside)
    assert (ended.context["out.a"], len(outside.done)) == ([7, 7], 1)


def test_the_same_key_with_another_payload_is_unknown():
    async def agent(job):
        await job.effect("pay", 1, key="k")
        return {"out.a": await job.effect("pay", 2, key="k")}

    outside = Outside(7, 8)
    assert run(agent, outside, desk(on_unknown="retry"))[0].context["out.a"] == 8
    ended, _ = run(agent, Outside(7, 8), desk(on_unknown="ask"))
    assert ended.reason.startswith(
        "a needs a person: nobody knows whether its effect pay (k) was performed: its key was used"
    )


def test_there_is_a_bound_on_how_many_a_step_may_ask_for():
    async def many(job):
        for number in range(EFFECTS_MAX + 1):
            await job.effect("pay", key=f"{number}")

    assert raised(many, outside=Outside()) == ("ReplyRefused", "a has asked for 100 effects, and may ask for no more")


def test_a_payload_that_holds_a_secret_is_refused():
    class Secrets:
        def __bool__(self):
            return True

        def refresh(self):
            pass

        def among(self, raw):
            return "KEY" if b"hunter2" in raw else ""

        def hidden(self, text):
            return text.replace("hunter2", "[KEY]")

    said = []

    async def agent(job):
        try:
            await job.effect("pay", "hunter2")
        except il.AgentError as error:
            said.append(error.message)
        return {"out.a": await job.effect("pay", 1, key="k")}

    ended, events = run(agent, Outside("hunter2"), secrets=Secrets())
    assert said == ["the effect pay holds the value of KEY, which is secret; leave it out"]
    assert ended.context["out.a"] == "[KEY]"
    assert not any(b"hunter2" in e.encode(event) for event in events)


def test_a_job_outside_of_a_run_has_no_effects():
    with pytest.raises(AgentRefused, match="no effect can be performed"):
        il.Job(view={}, run_id="r", step="a", agent="ann", action="act", attempt=1, idempotency_key="k").effect("pay")


def test_an_attempt_that_is_over_has_none():
    kept, said = [], []

    async def agent(job):
        if kept:
            try:
                await kept[0].effect("pay")
            except AgentRefused as error:
                said.append(error.message)
        kept.append(job)
        return {"elsewhere" if job.attempt == 1 else "out.a": 1}

    run(agent, Outside())
    assert said == ["attempt 1 of a is over"]


# --- in threads ---


def in_thread(function):
    async def main():
        adapters = {"ann": ThreadAdapter(function)}
        async with engine(desk(), adapters=adapters, performers={"pay": Performed(quick)}) as work:
            return await work.run({})

    async def quick(payload, key):
        return [payload]

    return asyncio.run(main())


def test_a_function_in_a_thread_needs_no_await():
    assert in_thread(lambda job: {"out.a": job.effect("pay", 1)}).context["out.a"] == [1]


def test_an_async_function_in_a_thread_awaits():
    async def agent(job):
        return {"out.a": await job.effect("pay", 1)}

    assert in_thread(agent).context["out.a"] == [1]
