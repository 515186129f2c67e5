"""One run: when its steps start, when their calls time out, and what an agent can't do to it whatever it does."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar

import pytest

import interlock as il
from interlock.core.events import AttemptFailed, AttemptRefused, BackoffEnded, ReplyArrivedLate
from interlock.errors import AgentError, AgentRefused, JournalFull, RateLimited, ReplyRefused
from tests import virtual
from tests.text import without_place

from .stage import Ann, SlowJournal, chain, done, end, engine, fan, scope, started, step, story, team


def run(of, function=done, request=None, **given):
    """One run on virtual time: the run, and how long it took."""

    async def main():
        async with engine(of, function, **given) as running:
            ended = await running.run(request or {})
            return ended, virtual.seconds()

    return virtual.run(main())


# --- when steps start ---


def test_a_fast_branch_goes_on_while_a_slow_one_runs():
    ann = Ann(slow=10, fast=1, after_fast=1)
    steps = [step("slow"), step("fast"), step("after_fast", "fast"), step("join", "slow", "after_fast")]
    ended, took = run(team(*steps, timeout="20s"), ann)
    assert ended.status == "succeeded"
    assert ann.began == {"slow": 0, "fast": 0, "after_fast": 1, "join": 10}
    assert took == pytest.approx(10)


def test_a_run_takes_as_long_as_its_critical_path():
    seconds = {"a": 1, "b": 2, "c": 3, "d": 1, "e": 2}
    of = team(step("a"), step("b"), step("c", "a"), step("d", "b"), step("e", "c", "d"), timeout="10s")
    _, took = run(of, Ann(**seconds))
    assert took == pytest.approx(1 + 3 + 2)


def test_a_step_starts_when_the_commits_it_needs_are_durable():
    async def main():
        journal = SlowJournal(seconds=0.5)
        ann = Ann(every=1)
        async with engine(chain(3), ann, journal=journal) as running:
            await running.run({})
        return ann.began, journal.appends

    began, appends = virtual.run(main())
    assert began == pytest.approx({"s0": 0.5, "s1": 2.0, "s2": 3.5})
    assert appends == [
        ["RunStarted", "AttemptStarted s0"],
        ["AttemptCommitted s0", "AttemptStarted s1"],
        ["AttemptCommitted s1", "AttemptStarted s2"],
        ["AttemptCommitted s2", "RunFinished"],
    ]


def test_outcomes_gather_while_an_append_is_under_way():
    async def main():
        journal = SlowJournal(seconds=1)
        ann = Ann(a=0.1, b=0.2, c=0.3)
        async with engine(team(step("a"), step("b"), step("c")), ann, journal=journal) as running:
            await running.run({})
        return journal.appends[1:]

    assert virtual.run(main()) == [
        ["AttemptCommitted a"],
        ["AttemptCommitted b", "AttemptCommitted c", "RunFinished"],
    ]


# --- timeouts ---


def test_a_call_that_times_out_is_cancelled():
    cancelled = []

    async def hang(job):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(virtual.seconds())
            raise

    ended, took = run(fan(1, timeout="2s"), hang)
    assert (ended.status, ended.reason) == ("failed", "s0: timed out after 2 s")
    assert cancelled == [2]
    assert took == 2


def test_every_call_has_its_own_timeout():
    of = team(
        step("s0"),
        step("s1", agent="bob"),
        step("s2"),
        timeout="3s",
        agents=[il.Agent("bob", timeout="1s", retries=0, scope=scope())],
        fallback="bob",
    )
    ann = Ann(s0=9, s1=9, s2=2.5)
    ended, took = run(of, ann)
    assert ended.steps == {"s0": "dead", "s1": "dead", "s2": "committed"}
    assert took == pytest.approx(4)  # the fallback of s0 has its second, too


def test_a_timeout_runs_only_from_the_beginning_of_the_work():
    class Import:
        slots = None

        async def call(self, job, began):
            await asyncio.sleep(100)
            began()
            await asyncio.sleep(0.9)
            return {f"out.{job.step}": "done"}

        async def close(self):
            pass

    ended, took = run(fan(1, timeout="1s"), adapters={"ann": Import()})
    assert ended.status == "succeeded"
    assert took == pytest.approx(100.9)


def test_what_a_call_consumed_that_timed_out_is_charged():
    async def slow(job):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as cancelled:
            raise cancelled from AgentError("it was cancelled", usage=il.Usage(5, 6, 0.25))

    async def main():
        async with engine(fan(1, timeout="6s", retries=0), slow) as running:
            ended = await running.run({}, run_id="run")
            return ended, await running.journal.load("run"), virtual.seconds()

    ended, events, took = virtual.run(main())
    assert (ended.status, ended.cost.usd, ended.cost.tokens, took) == ("failed", 0.25, 11, 6)
    assert [event.kind for event in events if isinstance(event, AttemptFailed)] == ["timeout"]


def test_a_call_that_has_timed_out_is_cancelled_once_though_its_run_ends_meanwhile():
    tidied = []

    async def tidy(job):
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.08)
            tidied.append(virtual.seconds())

    async def main():
        async with engine(fan(1, timeout="6s", retries=0), tidy) as running:
            task = asyncio.ensure_future(running.run({}))
            await asyncio.sleep(6.04)
        await end(task)

    virtual.run(main())
    assert tidied == [pytest.approx(6.08)]


def test_a_cancellation_that_gets_lost_is_repeated(caplog):
    tried = []

    async def lossy(job):
        if job.attempt == 2:
            return {"out.s0": "done"}
        for _ in range(2):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                tried.append(virtual.seconds())
        raise asyncio.CancelledError

    async def main():
        async with engine(fan(1, timeout="6s", retries=1, backoff="10s", concurrency=1), lossy) as running:
            return await running.run({})

    assert virtual.run(main()).status == "succeeded"
    assert [after - tried[0] for after in tried] == pytest.approx([0, 1])
    assert caplog.messages == []


def test_a_late_reply_is_journaled_and_charged_but_never_committed(caplog):
    async def deaf(job):
        if job.attempt == 2:
            await asyncio.sleep(5)
            return {"out.s0": "in time"}
        end = virtual.seconds() + 10
        while (left := end - virtual.seconds()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)
        return il.Reply(writes={"out.s0": "late"}, usage=il.Usage(input_tokens=7, usd=0.5))

    async def main():
        async with engine(fan(1, timeout="6s", retries=1, backoff="100ms"), deaf) as running:
            ended = await running.run({}, run_id="run")
            events = await running.journal.load("run")
            return ended, events, running._shell.stubborn

    ended, events, stubborn = virtual.run(main())
    assert ended.context.to_dict() == {"out": {"s0": "in time"}}
    assert [event.usage.usd for event in events if isinstance(event, ReplyArrivedLate)] == [0.5]
    assert (ended.cost.usd, ended.cost.tokens, ended.cost.calls) == (0.5, 7, 2)
    assert stubborn == {"ann": 1}
    [record] = caplog.records
    assert record.getMessage() == (
        "agent ann goes on after its cancellation (run run, step s0); its reply will be ignored. "
        "Only isolation: process can stop it"
    )


def test_an_agent_that_never_ends_does_not_keep_its_room_for_ever():
    async def deaf_once(job):
        while job.attempt == 1:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if virtual.seconds() > 100:  # the loop closes
                    raise
        return {"out.s0": "done"}

    async def main():
        async with engine(fan(1, timeout="1s", retries=1, concurrency=1), deaf_once) as running:
            ended = await running.run({})
            await asyncio.sleep(200)
            assert running._shell.slots.in_flight in {0, 1}
            return ended

    assert virtual.run(main()).status == "succeeded"


def test_room_is_given_back_once_even_by_an_agent_that_ends_late():
    async def deaf(job):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(30)

    async def main():
        async with engine(fan(3, timeout="1s"), deaf, calls_max=2) as running:
            await running.run({})
            await asyncio.sleep(100)
            return running._shell.slots.in_flight

    assert virtual.run(main()) == 0


# --- retries ---


def test_a_refused_reply_is_tried_again_at_once_with_feedback():
    seen = []

    async def learning(job):
        seen.append((job.attempt, job.feedback, job.idempotency_key))
        return {"elsewhere": 1} if job.attempt == 1 else {"out.s0": 1}

    ended, took = run(fan(1, retries=1), learning)
    assert ended.status == "succeeded"
    assert took == 0
    first, second = seen
    assert (first[1], second[1]) == ((), ("ann may not write elsewhere; it may write out.s0",))
    assert first[2] != second[2]


def test_failures_back_off_longer_and_longer():
    ann = Ann()
    ann.faults["s0"] = [OSError("1"), OSError("2"), OSError("3")]
    ended, took = run(fan(1, retries=3, backoff="1s"), ann)
    assert ended.status == "succeeded"
    assert took == pytest.approx(1 + 2 + 4, abs=1e-3)


def test_a_wait_that_is_over_leaves_no_timer_behind():
    left = []

    async def main():
        async def watched(job):
            [driver] = running._drivers.values()
            left.append((job.step, job.attempt, len(driver._timers)))
            if job.attempt < 3:
                raise OSError
            return {f"out.{job.step}": 1}

        async with engine(chain(2, retries=2, backoff="1s"), watched) as running:
            return await running.run({})

    assert virtual.run(main()).status == "succeeded"
    assert left == [(step_id, attempt, 0) for step_id in ("s0", "s1") for attempt in (1, 2, 3)]


def test_a_run_that_is_stopped_leaves_no_timer_behind():
    async def main():
        ann = Ann()
        ann.faults["s0"] = [OSError()]
        async with engine(fan(1, retries=1, backoff="30s"), ann) as running:
            task = asyncio.ensure_future(running.run({}))
            await asyncio.sleep(1)
            [driver] = running._drivers.values()
            [timer] = driver._timers.values()
        await end(task)
        return timer.cancelled(), virtual.seconds()

    assert virtual.run(main()) == (True, 1)


def test_the_fallback_takes_over_and_then_the_step_is_dead():
    calls = []

    async def broken(job):
        calls.append((job.agent, job.attempt))
        raise OSError("no network")

    bob = il.Agent("bob", scope=scope(), retries=0)
    ended, _ = run(team(step("s0"), agents=[bob], retries=1, fallback="bob"), broken)
    assert calls == [("ann", 1), ("ann", 2), ("bob", 3)]
    assert (ended.status, without_place(ended.reason)) == ("failed", "s0: OSError: no network")


def test_an_error_that_says_so_is_not_tried_again():
    calls = []

    async def hopeless(job):
        calls.append(job.attempt)
        raise AgentRefused("the account is closed")

    ended, _ = run(fan(1, retries=5), hopeless)
    assert (ended.reason, calls) == ("s0: the account is closed", [1])


def test_an_answer_that_is_no_reply_counts_as_a_refusal():
    async def odd(job):
        if not job.feedback:
            raise ReplyRefused("it is a poem")
        return {"out.s0": job.feedback}  # a tuple: refused as well

    async def main():
        async with engine(fan(1, retries=1), odd) as running:
            await running.run({}, run_id="run")
            return [event for event in await running.journal.load("run") if isinstance(event, AttemptRefused)]

    first, second = virtual.run(main())
    assert first.findings[0].message == "it is a poem"
    assert "tuple" in second.findings[0].message


# --- whatever an agent does, it does to its own attempt ---


class Custom(BaseException):
    pass


class Unspeakable(Exception):
    def __str__(self):
        raise LookupError("no words")


class Mute(BaseException):
    def __str__(self):
        raise Custom


class Bare(AgentError):
    def __init__(self):
        pass


class Undecided(AgentError):
    retryable = "perhaps"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError("no network"), "OSError: no network"),
        (OSError(), "OSError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (Custom("mine"), "Custom: mine"),
        (GeneratorExit("me"), "GeneratorExit: me"),
        (asyncio.CancelledError("I"), "CancelledError: I"),
        (StopIteration(1), "RuntimeError: coroutine raised StopIteration"),
        (Unspeakable(), "Unspeakable: (its text can't be read)"),
        (Mute(), "Mute: (its text can't be read)"),
        (Bare(), "Bare"),
        (AgentError(123), "123"),
        (AgentError("\ud800"), "?"),
        (ValueError("\ud800"), "ValueError: ?"),
        (ExceptionGroup("both", [OSError("1"), OSError("2")]), "ExceptionGroup: both (2 sub-exceptions)"),
        (Undecided("hm"), "hm"),
        (OSError("x" * 100_000), "OSError: " + "x" * 1_988 + "..."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_agent_that_raises_anything_fails_that_attempt_only(fault, told):
    """And room for one call is enough for all: none of it is lost."""
    ann = Ann()
    ann.faults["s0"] = [fault]

    async def main():
        async with engine(team(step("s0"), step("s1")), ann, calls_max=1) as running:
            ended = await running.run({}, run_id="run")
            events = await running.journal.load("run")
            failed = [event for event in events if isinstance(event, AttemptFailed)]
            assert running._shell.slots.in_flight == 0
            return ended, [(event.step, event.kind, without_place(event.error)) for event in failed], virtual.seconds()

    ended, failed, took = virtual.run(main())
    assert failed == [("s0", "error", told)]
    assert ended.steps == {"s0": "dead", "s1": "committed"}
    assert took == 0


@pytest.mark.parametrize("fault", [ReplyRefused(123), ReplyRefused("\ud800")], ids=["number", "surrogate"])
def test_an_odd_refusal_by_the_agent_itself_is_a_refusal(fault):
    ann = Ann()
    ann.faults["s0"] = [fault]
    ended, _ = run(fan(1, retries=1), ann)
    assert ended.status == "succeeded"
    assert len(ann.jobs[1].feedback) == 1


def test_an_agent_that_cancels_its_own_task_fails_that_attempt_only():
    async def suicidal(job):
        if job.step == "s0":
            asyncio.current_task().cancel()
        await asyncio.sleep(1)
        return {f"out.{job.step}": 1}

    ended, _ = run(fan(2), suicidal)
    assert ended.steps == {"s0": "dead", "s1": "committed"}


class Strange:
    def __repr__(self):
        raise OSError("not even this")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "the agent returned nothing"),
        ("done", "the agent returned a str"),
        ([("out.s0", 1)], "the agent returned a list"),
        (Strange(), "the agent returned a Strange"),
        ({"out.s0": float("nan")}, "out.s0: it is nan"),
        ({"out.s0": {1, 2}}, "out.s0: it is a set"),
        ({"out.s0": (1, 2)}, "out.s0: it is a tuple"),
        ({"out.s0": b"bytes"}, "out.s0: it is a bytes"),
        ({"out.s0": {"deep": Strange()}}, "out.s0: deep is a Strange"),
        ({"out.s0": "\ud800"}, "out.s0: it is text with a lone surrogate"),
        ({"out.s0": 2**63}, "out.s0: it is an integer outside 64 bits"),
        ({"out.s0": "x" * 100_000_000}, "out.s0: it is larger than 1,048,576 bytes"),
        ({"out.s0": [0] * 10_000_000}, "out.s0: it is larger than 1,048,576 bytes"),
        ({1: 2}, "a int is not a dotted path"),
        ({"out.s1": 1}, "ann may not write out.s1"),
        (il.Reply(writes=[1]), "writes is a list"),
        (il.Reply(writes={"out.s0": 1}, confidence=2), "confidence"),
        (il.Reply(writes={"out.s0": 1}, confidence="high"), "confidence"),
        (il.Reply(writes={"out.s0": 1}, usage="7 tokens"), "usage"),
        (il.Reply(writes={"out.s0": 1}, usage=il.Usage(input_tokens=-1)), "usage"),
        (il.Reply(writes={"out.s0": 1}, output=object()), "output: it is a object"),
        (il.Reply(ask="may I?"), "ask is a Question"),
    ],
    ids=lambda value: value.replace(" ", "-")[:40] if isinstance(value, str) and len(value) < 99 else "",
)
def test_a_reply_of_any_kind_is_refused_with_feedback(answer, why):
    seen = []

    async def odd(job):
        seen.append(job.feedback)
        return answer if job.attempt == 1 else {"out.s0": 1}

    ended, _ = run(fan(1, retries=1), odd)
    assert ended.status == "succeeded"
    assert why in seen[1][0]


def test_an_agent_can_do_nothing_to_what_others_see():
    request = {"order": {"lines": [{"price": 1}], "tags": ["new"]}}

    async def vandal(job):
        if job.step in {"s0", "s1"}:
            job.view["order"]["lines"][0]["price"] = 99
            job.view["order.lines"].clear()
            job.view.to_dict()["order"].clear()
            with pytest.raises(TypeError):
                job.view["order"] = None
        return {f"out.{job.step}": job.view["order"]}

    ended, _ = run(team(step("s0"), step("s1"), step("after", "s0", "s1")), vandal, request=request)
    assert ended.context.to_dict() == request | {"out": dict.fromkeys(["s0", "s1", "after"], request["order"])}


def test_what_an_agent_does_to_its_writes_after_it_returned_is_nothing():
    kept = {"out.s0": ["mine"]}

    async def sly(job):
        if job.step == "s1":
            kept["out.s0"].append("changed")
            return {"out.s1": job.view["out.s0"]}
        return kept

    ended, _ = run(chain(2), sly)
    assert ended.context.to_dict() == {"out": {"s0": ["mine"], "s1": ["mine"]}}


def test_context_variables_of_an_agent_reach_no_other():
    secret = ContextVar("secret", default="unset")
    seen = []

    async def careless(job):
        seen.append(secret.get())
        secret.set(f"of {job.step}")
        if job.step == "retry" and job.attempt == 1:
            raise OSError("again")
        await asyncio.sleep(0.1)
        return {f"out.{job.step}": 1}

    of = team(step("a"), step("b"), step("c", "a", "b"), step("retry", "c"), step("end", "retry"), retries=1)
    secret.set("of the caller")
    ended, _ = run(of, careless, calls_max=1)
    assert ended.status == "succeeded"
    assert seen == ["of the caller"] * 6


# --- what the caller sees ---


def test_observers_are_told_in_order_and_only_of_what_is_durable():
    async def main():
        journal = SlowJournal()
        told = []

        def observe(run_id, events):
            told.extend(events)
            assert told == journal.durable

        async with engine(fan(5), Ann(s0=0.1, s3=0.05), journal=journal, observers=[observe]) as running:
            await running.run({})
        assert told == journal.durable
        return told

    assert len(virtual.run(main())) == 1 + 5 * 2 + 1


def test_an_observer_may_stop_the_engine():
    async def main():
        ann = Ann()

        def observe(run_id, events):
            if any("AttemptCommitted" in type(event).__name__ for event in events):
                running.stop()

        async with engine(chain(4), ann, observers=[observe]) as running:
            failed = await end(asyncio.get_running_loop().create_task(running.run({}, run_id="run")))
            events = await story(running, "run")
            assert running._shell.slots.in_flight == 0
        return failed, ann.calls, events

    failed, calls, events = virtual.run(main())
    assert failed.code == "interrupted"
    assert [event.split()[-1] for event in events if "Started s" in event] == calls


def test_a_full_disk_stops_the_run_before_anything_else_is_done():
    async def main():
        journal = SlowJournal()
        ann = Ann(every=1)
        async with engine(chain(4), ann, journal=journal) as running:
            task = asyncio.get_running_loop().create_task(running.run({}, run_id="run"))
            await virtual.until(lambda: ann.calls == ["s0", "s1"])
            journal.fault = JournalFull("no space left")
            with pytest.raises(JournalFull, match="no space left"):
                await task
            assert running.in_flight == 0
        assert ann.calls == ["s0", "s1"]

        async with engine(chain(4), ann, journal=SlowJournal(journal.store)) as running:
            [ended] = [ended async for ended in running.resume()]
            return ended, ann.keys, await started(running, "run")

    ended, keys, attempts = virtual.run(main())
    assert ended.status == "succeeded"
    assert keys == ["run/s0/1", "run/s1/1", "run/s1/1", "run/s2/1", "run/s3/1"]  # the lost call, with its key
    assert attempts == [("s0", 1), ("s1", 1), ("s1", 1), ("s2", 1), ("s3", 1)]


def test_a_full_disk_at_the_start_calls_nobody():
    async def main():
        journal, ann = SlowJournal(), Ann()
        journal.fault = JournalFull()
        async with engine(chain(2), ann, journal=journal) as running:
            with pytest.raises(JournalFull):
                await running.run({})
        return ann.calls

    assert virtual.run(main()) == []


def test_a_driver_that_lost_its_run_stops_at_once():
    async def main():
        journal, ann = SlowJournal(), Ann(every=1)
        async with engine(chain(3), ann, journal=journal) as running:
            task = asyncio.get_running_loop().create_task(running.run({}, run_id="run"))
            await virtual.until(lambda: ann.calls == ["s0"])
            journal.store.owners["run"] = SlowJournal(journal.store)
            with pytest.raises(il.InterlockError) as refused:
                await task
        return refused.value.code, ann.calls

    assert virtual.run(main()) == ("stale_driver", ["s0"])


def test_a_caller_that_gives_up_takes_its_calls_along():
    async def main():
        ann = Ann(every=60)
        async with engine(fan(3, timeout="100s"), ann) as running:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(running.run({}, run_id="run"), 1)
            await virtual.settle()
            assert (ann.in_flight, running.in_flight, running._shell.slots.in_flight) == (0, 0, 0)
            ended = await running.resume_run("run")
            return ended, await started(running, "run")

    ended, attempts = virtual.run(main())
    assert ended.status == "succeeded"
    assert attempts == [(f"s{n}", 1) for n in (0, 1, 2, 0, 1, 2)]


def test_a_question_parks_the_run_when_nothing_else_can_move():
    async def asking(job):
        await asyncio.sleep(1 if job.step == "s1" else 0)
        if job.step == "s0":
            return il.Reply(ask=il.Question("ship it?", ("yes", "no")))
        return {f"out.{job.step}": 1}

    ended, took = run(team(step("s0"), step("s1"), step("s2", "s0")), asking)
    assert (ended.status, ended.reason) == ("parked", "s0 asks: ship it?")
    assert ended.steps == {"s0": "escalated", "s1": "committed", "s2": "waiting"}
    assert took == 1


def test_backoff_is_journaled_so_that_it_can_be_resumed():
    async def main():
        ann = Ann()
        ann.faults["s0"] = [OSError()]
        async with engine(fan(1, retries=1, backoff="30s"), ann) as running:
            await running.run({}, run_id="run")
            [waited] = [event for event in await running.journal.load("run") if isinstance(event, BackoffEnded)]
            return waited.at_us - virtual.START_US

    assert virtual.run(main()) == pytest.approx(30e6)


def test_a_server_that_asks_for_time_is_given_it_and_its_tokens_are_charged():
    calls = []

    async def limited(job):
        calls.append(virtual.seconds())
        if job.attempt == 1:
            raise RateLimited("slow down", retry_after=90, usage=il.Usage(7, 0, 0.5))
        return {"out.s0": 1}

    async def main():
        async with engine(fan(1, retries=1, backoff="1s"), limited) as running:
            ended = await running.run({}, run_id="run")
            [failed] = [event for event in await running.journal.load("run") if isinstance(event, AttemptFailed)]
            return ended, failed

    ended, failed = virtual.run(main())
    assert calls == [0, 90]
    assert (failed.kind, failed.retry_after_ms, failed.error) == ("rate_limited", 90_000, "slow down")
    assert (ended.status, ended.cost.tokens, ended.cost.usd) == ("succeeded", 7, 0.5)


@pytest.mark.parametrize("asked", ["90", -1, float("nan"), float("inf"), True, 10**400, None])
def test_whatever_an_agent_says_about_time_the_run_goes_on(asked):
    async def limited(job):
        if job.attempt == 1:
            raise RateLimited("slow down", retry_after=asked, usage="much")
        return {"out.s0": 1}

    ended, took = run(fan(1, retries=1, backoff="1s"), limited)
    assert (ended.status, ended.cost.tokens) == ("succeeded", 0)
    assert took == (3_600 if asked in (float("inf"), 10**400) else 1)


def test_a_failure_that_comes_late_is_charged():
    async def cut_off(job):
        if job.step == "s1":
            await asyncio.sleep(5)
            return {"out.s1": 1}
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            raise AgentError("it was cut off", usage=il.Usage(5, 5)) from None

    async def main():
        steps = step("s0", timeout="2s"), step("s1", timeout="10s")
        async with engine(team(*steps, retries=0), cut_off) as running:
            ended = await running.run({}, run_id="run")
            late = [event for event in await running.journal.load("run") if isinstance(event, ReplyArrivedLate)]
            return ended.cost.tokens, late

    tokens, late = virtual.run(main())
    assert [event.usage for event in late] == [il.Usage(5, 5)]
    assert tokens == 10


def test_an_observer_that_fails_harms_no_run(caplog):
    def observe(run_id, events):
        raise ZeroDivisionError

    ended, _ = run(chain(2), observers=[observe])
    assert ended.status == "succeeded"
    assert "an observer of run" in caplog.text


def test_time_in_a_run_does_not_go_back_when_the_clock_does_while_news_waits_for_its_turn():
    back_us = [0]

    async def agent(job):
        if job.step == "s1":
            await asyncio.sleep(0.6)  # while the commit of s0 is being written
            raise OSError("it broke")
        await asyncio.sleep(0.5)
        return {f"out.{job.step}": 1}

    async def main():
        journal = SlowJournal(seconds=0.4)
        async with engine(fan(2), agent, journal=journal, now_us=lambda: virtual.now_us() - back_us[0]) as running:
            asyncio.get_running_loop().call_later(1.2, back_us.__setitem__, 0, 3_600_000_000)
            await running.run({}, run_id="r")
            return [event.at_us for event in await journal.load("r")]

    times = virtual.run(main())
    assert times == sorted(times)
