"""Many runs: bounds, batches, stopping, resuming, cancelling, and what a request may be."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import interlock as il
from interlock.core.events import AttemptInterrupted, BackoffEnded, RunCancelled
from interlock.core.policy import REISSUES_MAX
from interlock.engine.clock import now_us
from interlock.engine.engine import Engine, cancel
from interlock.errors import InputError, JournalError, RunInterrupted, RunNotFound, StaleDriver, TeamChanged
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Request
from tests import virtual

from .stage import Ann, SlowJournal, chain, end, engine, fan, kind, repeated, started, step, story, team


def spawn(work):
    return asyncio.get_running_loop().create_task(work)


@asynccontextmanager
async def killed(of, ann, store, *, after) -> AsyncIterator[Engine]:
    """An engine that is killed after a while: its runs stop where they are, and its journal is nobody's."""
    journal = MemoryJournal(store)
    running = engine(of, ann, journal=journal)
    await running.__aenter__()
    yield running
    await asyncio.sleep(after)
    for driver in list(running._drivers.values()):
        driver.fail(ProcessLookupError("killed"))
    await asyncio.sleep(0)
    await journal.close()


# --- bounds ---


def test_no_more_calls_in_flight_than_allowed():
    ann = Ann(every=1)

    async def main():
        async with engine(fan(20), ann, calls_max=3) as running:
            await asyncio.gather(*(running.run({}) for _ in range(5)))
            return virtual.seconds()

    assert virtual.run(main()) == pytest.approx(34)  # 100 calls, 3 at a time
    assert ann.most_in_flight == 3


def test_no_more_runs_in_flight_than_allowed():
    async def main():
        most = 0

        def observe(_run_id, _events):
            nonlocal most
            most = max(most, running.in_flight)

        async with engine(chain(2), Ann(every=1), runs_max=4, observers=[observe]) as running:
            await asyncio.gather(*(running.run({}) for _ in range(10)))
            return most, virtual.seconds()

    assert virtual.run(main()) == (4, pytest.approx(6))


def test_an_agent_has_no_more_calls_in_flight_than_it_declares():
    ann = Ann(every=1)

    async def main():
        async with engine(fan(6, concurrency=2), ann) as running:
            await running.run({})
            return virtual.seconds()

    assert virtual.run(main()) == pytest.approx(3)
    assert ann.most_in_flight == 2


def test_a_wide_run_does_not_starve_a_narrow_one():
    async def main():
        ann = Ann(every=1)
        bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["b.*"]))
        anna = il.Agent("ann", scope=il.Scope(["act"], ["*"], ["a.*"]))
        steps = [il.Step(f"a{n}", agent="ann", action="act", writes=[f"a.a{n}"]) for n in range(40)]
        one = il.Step("b", agent="bob", action="act", writes=["b.b"])
        both = il.Team([anna, bob], il.Plan([*steps, one]))

        async def act(job):
            await ann(job)
            return {f"{job.agent[0]}.{job.step}": 1}

        async with engine(both, act, calls_max=2) as running:
            await running.run({})
        return ann.began["b"], virtual.seconds()

    began, took = virtual.run(main())
    assert began <= 2
    assert took == pytest.approx(21, abs=0.6)


def test_two_runs_at_once_do_not_meet():
    async def echo(job):
        await asyncio.sleep(0.1)
        return {f"out.{job.step}": [job.view["name"], job.run_id, *job.view.get("out.s0", [])]}

    async def main():
        async with engine(chain(2), echo) as running:
            return await asyncio.gather(*(running.run({"name": n}, run_id=f"run{n}") for n in range(3)))

    for n, ended in enumerate(virtual.run(main())):
        assert ended.run_id == f"run{n}"
        assert ended.context.to_dict() == {
            "name": n,
            "out": {"s0": [n, f"run{n}"], "s1": [n, f"run{n}", n, f"run{n}"]},
        }


def test_nothing_is_left_in_memory_of_runs_that_ended():
    async def main():
        ann = Ann(every=0.001)
        async with engine(fan(3), ann, calls_max=2, runs_max=5) as running:
            await asyncio.gather(*(running.run({}) for _ in range(200)))
            slots, shell = running._shell.slots, running._shell
            assert (running._drivers, slots._queues, slots.in_flight) == ({}, {}, 0)
            assert (shell.stubborn, shell.ending) == ({}, set())
            assert len(asyncio.all_tasks()) == 1
            assert asyncio.get_running_loop().next_timer() == math.inf

    virtual.run(main())


# --- requests ---


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (None, "a request is an object, not NoneType"),
        ([{"a": 1}], "a request is an object, not list"),
        ({"a": float("nan")}, "a is nan"),
        ({"a": {"b": {1, 2}}}, "a.b is a set"),
        ({"a": (1, 2)}, "a is a tuple"),
        ({"a": il.DELETE}, "a is a _Delete"),
        ({1: 2}, "key of the type int"),
        ({"a": 2**70}, "64 bits"),
        ({"a": "x" * (65 << 20)}, "larger than 67,108,864 bytes"),
        ({"notes": "one"}, "the request has a str at notes, whose reducer is append"),
        ({"notes": None}, "the request has a NoneType at notes, whose reducer is append"),
        ({"total": []}, "the request has a list at total, whose reducer is add"),
        ({"total": True}, "the request has a bool at total, whose reducer is add"),
        ({"seen": {"by": 5}}, "the request has a int at seen.by, whose reducer is merge"),
    ],
    ids=lambda value: value.replace(" ", "-")[:40] if isinstance(value, str) else "",
)
def test_a_request_is_plain_json_that_fits_the_reducers(request_, why):
    steps = [step("s0", writes=["out.s0"])]

    async def main():
        of = team(*steps, reducers={"notes": "append", "total": "add", "seen.by": "merge"})
        async with engine(of) as running:
            with pytest.raises(InputError, match=why):
                await running.run(request_)
            assert await running.journal.runs() == []

    virtual.run(main())


def test_any_other_request_arrives_as_it_was():
    request = {"a.b": 1, "*": {"": [None]}, "notes": ["x"], "total": 0.5, "seen": {}, "ü": {"🙂": -0.0}}

    async def main():
        of = team(step("s0"), reducers={"notes": "append", "total": "add", "seen.by": "merge"})
        async with engine(of) as running:
            return (await running.run(request)).context.to_dict()

    assert virtual.run(main()) == request | {"out": {"s0": "done"}}


# --- batches ---


def test_a_batch_runs_every_row_with_ids_of_batch_and_row():
    async def main():
        ann = Ann(every=1)
        async with engine(chain(1), ann) as running:
            batch = await running.open_batch([running.request({"n": n}) for n in range(7)], "test")
            ended = [ended async for ended in running.run_batch(batch, width=3)]
            assert ann.most_in_flight == 3
            assert [row async for row in running.journal.pending(batch.batch_id)] == []
            return batch, ended

    batch, ended = virtual.run(main())
    assert (batch.rows, batch.origin) == (7, "test")
    assert [(run.run_id, run.row, run.context["n"]) for run in sorted(ended, key=lambda run: run.row)] == [
        (f"{batch.batch_id}-{n}", n, n) for n in range(7)
    ]


def test_resume_runs_the_rows_of_a_batch_that_never_started():
    async def main():
        store, ann = MemoryStore(), Ann(every=1)
        async with engine(chain(1), ann, journal=MemoryJournal(store)) as first:
            batch = await first.open_batch([first.request({"n": n}) for n in range(5)], "test")
            async for _ in first.run_batch(batch, width=1):
                first.stop()
        async with engine(chain(1), ann, journal=MemoryJournal(store)) as second:
            ended = [ended async for ended in second.resume()]
        return batch, [(run.run_id, run.row) for run in ended], ann.calls

    batch, ended, calls = virtual.run(main())
    assert sorted(ended) == [(f"{batch.batch_id}-{n}", n) for n in range(1, 5)]
    assert len(calls) == 5


def test_a_failed_row_does_not_stop_the_others():
    async def picky(job):
        if job.view["n"] == 1:
            raise ValueError("not this one")
        return {"out.s0": 1}

    async def main():
        async with engine(chain(1), picky) as running:
            batch = await running.open_batch([running.request({"n": n}) for n in range(3)], "test")
            return {run.row: run.status async for run in running.run_batch(batch)}

    assert virtual.run(main()) == {0: "succeeded", 1: "failed", 2: "succeeded"}


def test_leaving_a_batch_early_leaves_its_runs_to_be_resumed():
    async def main():
        ann = Ann(every=1)
        async with engine(chain(3), ann) as running:
            batch = await running.open_batch([running.request({}) for _ in range(6)], "test")
            results = running.run_batch(batch, width=2)
            await anext(results)
            await results.aclose()
            await asyncio.sleep(0.1)
            assert (running.in_flight, ann.in_flight) == (0, 0)
            return [run.status async for run in running.resume()]

    assert virtual.run(main()) == ["succeeded"] * 4


# --- stopping ---


def test_stop_lets_calls_finish_and_takes_no_new_work():
    async def main():
        store, ann = MemoryStore(), Ann(every=1)
        async with engine(chain(5), ann, journal=MemoryJournal(store), runs_max=1) as running:
            under_way = spawn(running.run({}, run_id="run"))
            waiting = spawn(running.run({}, run_id="waiting"))
            await asyncio.sleep(2.5)
            running.stop()
            failed = await end(under_way)
            assert virtual.seconds() == pytest.approx(3)
            assert isinstance(failed, RunInterrupted)
            assert isinstance(await end(waiting), RunInterrupted)
            with pytest.raises(RunInterrupted):
                await running.run({})
            assert [row.run_id for row in await running.journal.runs()] == ["run"]
        assert ann.calls == ["s0", "s1", "s2"]

        async with engine(chain(5), ann, journal=MemoryJournal(store)) as running:
            [ended] = [ended async for ended in running.resume()]
            return ended, ann.calls, await story(running, "run")

    ended, calls, events = virtual.run(main())
    assert ended.status == "succeeded"
    assert not repeated(calls)
    assert "AttemptInterrupted" not in str(events)


@asynccontextmanager
async def stopped_in_a_backoff(*, at, back_at) -> AsyncIterator[Engine]:
    """The engine that comes after one that was stopped while a run waited out a backoff of 30 seconds."""
    store, ann = MemoryStore(), Ann()
    ann.faults["s0"] = [OSError()]
    of = fan(1, retries=1, backoff="30s")
    async with engine(of, ann, journal=MemoryJournal(store)) as running:
        task = spawn(running.run({}, run_id="run"))
        await asyncio.sleep(at)
        running.stop()
        assert isinstance(await end(task), RunInterrupted)
        assert virtual.seconds() == at
    await asyncio.sleep(back_at - at)
    async with engine(of, ann, journal=MemoryJournal(store)) as running:
        yield running


def test_stop_does_not_wait_for_backoffs_and_resume_keeps_their_deadline():
    async def main():
        async with stopped_in_a_backoff(at=10, back_at=15) as running:
            [ended] = [ended async for ended in running.resume()]
            waited = [event for event in await running.journal.load("run") if isinstance(event, BackoffEnded)]
        return ended.status, virtual.seconds(), waited[0].at_us - virtual.START_US

    status, took, waited_us = virtual.run(main())
    assert status == "succeeded"
    assert took == pytest.approx(30)
    assert waited_us == pytest.approx(30e6)


def test_an_overdue_backoff_ends_at_once_on_resume():
    async def main():
        async with stopped_in_a_backoff(at=1, back_at=1001) as running:
            assert [ended.status async for ended in running.resume()] == ["succeeded"]
        return virtual.seconds()

    assert virtual.run(main()) == pytest.approx(1001)


def test_stop_in_the_middle_of_a_crowded_engine_loses_nothing():
    async def main():
        store, ann = MemoryStore(), Ann(every=1)
        async with engine(fan(10), ann, journal=MemoryJournal(store), calls_max=3) as running:
            tasks = [spawn(running.run({}, run_id=f"run{n}")) for n in range(4)]
            await asyncio.sleep(3.5)
            running.stop()
            failures = [await end(task) for task in tasks]
            assert [type(failure) for failure in failures] == [type(None)] + 3 * [RunInterrupted]
            assert running._shell.slots.in_flight == 0
        assert len(ann.calls) == 12
        async with engine(fan(10), ann, journal=MemoryJournal(store), calls_max=3) as running:
            assert [ended.status async for ended in running.resume()] == ["succeeded"] * 3
        return ann.keys

    keys = virtual.run(main())
    assert len(keys) == 40
    assert not repeated(keys)


def test_an_engine_that_closes_takes_its_runs_along():
    async def main():
        store, ann = MemoryStore(), Ann(every=60)
        async with engine(chain(2, timeout="100s"), ann, journal=MemoryJournal(store)) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(1)
        failed = await asyncio.wait_for(end(task), 2)
        assert ann.in_flight == 0
        assert isinstance(failed, RunInterrupted)
        async with engine(chain(2, timeout="100s"), ann, journal=MemoryJournal(store)) as running:
            return [ended.status async for ended in running.resume()]

    assert virtual.run(main()) == ["succeeded"]


class Unclosable:
    """An adapter that fails when it is closed."""

    slots = None

    async def call(self, job, began):
        return {f"out.{job.step}": "done"}

    async def close(self):
        raise OSError("its server is gone")


def test_what_fails_to_close_leaves_nothing_else_open():
    closed = []

    class Watched(MemoryJournal):
        async def close(self):
            closed.append("journal")
            await super().close()

    async def release():
        closed.append("workshop")

    async def main():
        async with engine(chain(1), adapters={"ann": Unclosable()}, journal=Watched(), release=release) as running:
            await running.run({})

    with pytest.raises(OSError, match="its server is gone"):
        virtual.run(main())
    assert closed == ["workshop", "journal"]


# --- resuming ---


def test_lost_calls_are_issued_again_with_their_number_and_key():
    async def main():
        store, ann = MemoryStore(), Ann(every=10)
        of = team(step("a"), step("b"), step("c", "a", "b"), timeout="60s")
        async with killed(of, ann, store, after=4) as first:
            spawn(end(spawn(first.run({}, run_id="run"))))
        async with engine(of, ann, journal=MemoryJournal(store)) as second:
            [ended] = [ended async for ended in second.resume()]
            events = await second.journal.load("run")
            lost = [(event.step, event.attempt) for event in events if isinstance(event, AttemptInterrupted)]
            return ended, lost, ann.keys, await started(second, "run")

    ended, lost, keys, attempts = virtual.run(main())
    assert ended.status == "succeeded"
    assert lost == [("a", 1), ("b", 1)]
    assert keys == ["run/a/1", "run/b/1", "run/a/1", "run/b/1", "run/c/1"]
    assert attempts == [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("c", 1)]
    assert ended.cost.calls == 5


def test_a_call_that_is_lost_again_and_again_is_dead():
    async def main():
        store, ann = MemoryStore(), Ann(every=10)
        of = fan(1, timeout="60s")
        for _ in range(1 + REISSUES_MAX):
            async with killed(of, ann, store, after=1) as running:
                if not store.rows:
                    spawn(end(spawn(running.run({}, run_id="run"))))
                else:
                    spawn(end(spawn(running.resume_run("run"))))
        async with engine(of, ann, journal=MemoryJournal(store)) as running:
            return await running.resume_run("run"), ann.keys

    ended, keys = virtual.run(main())
    assert keys == ["run/s0/1"] * (1 + REISSUES_MAX)
    assert (ended.status, ended.steps) == ("failed", {"s0": "dead"})
    assert f"its call was lost {1 + REISSUES_MAX} times" in ended.reason


def test_resume_takes_only_what_nobody_drives():
    async def main():
        store, ann = MemoryStore(), Ann(every=5)
        async with engine(chain(2, timeout="60s"), ann, journal=MemoryJournal(store)) as one:
            task = spawn(one.run({}, run_id="run"))
            await asyncio.sleep(1)
            assert [ended async for ended in one.resume()] == []
            async with engine(chain(2, timeout="60s"), ann, journal=MemoryJournal(store)) as other:
                assert [ended async for ended in other.resume()] == []
                with pytest.raises(StaleDriver, match="driven by another process"):
                    await other.resume_run("run")
            ended = await task
        return ended.status, ann.calls

    assert virtual.run(main()) == ("succeeded", ["s0", "s1"])


def test_a_run_is_resumed_once_even_if_asked_twice():
    async def main():
        store, ann = MemoryStore(), Ann(every=2)
        async with killed(chain(2), ann, store, after=1) as running:
            spawn(end(spawn(running.run({}, run_id="run"))))
        async with engine(chain(2), ann, journal=SlowJournal(store)) as running:
            outcomes = await asyncio.gather(
                running.resume_run("run"), running.resume_run("run"), return_exceptions=True
            )
        return [getattr(outcome, "status", None) or outcome.code for outcome in outcomes], ann.calls

    outcomes, calls = virtual.run(main())
    assert sorted(outcomes) == ["stale_driver", "succeeded"]
    assert calls == ["s0", "s0", "s1"]


def test_a_parked_run_is_left_in_peace():
    async def asking(job):
        return il.Reply(ask=il.Question("may I?"))

    async def main():
        store = MemoryStore()
        async with engine(fan(1), asking, journal=MemoryJournal(store)) as running:
            assert (await running.run({}, run_id="run")).status == "parked"
        async with engine(fan(1), asking, journal=MemoryJournal(store)) as running:
            assert [ended async for ended in running.resume()] == []
            parked = await running.resume_run("run")
            assert running.in_flight == 0
            return parked.status, parked.reason, await story(running, "run")

    status, reason, events = virtual.run(main())
    assert (status, reason) == ("parked", "s0 asks: may I?")
    assert events == ["RunStarted", "AttemptStarted s0", "QuestionAsked s0", "RunParked"]


def test_a_run_that_ended_is_returned_as_it_is():
    async def main():
        async with engine(chain(2)) as running:
            first = await running.run({}, run_id="run")
            again = await running.resume_run("run")
            assert first.to_dict() == again.to_dict()
            with pytest.raises(RunNotFound):
                await running.resume_run("other")

    virtual.run(main())


def test_another_version_of_the_team_is_refused_and_the_difference_named():
    async def main():
        store, ann = MemoryStore(), Ann(every=10)
        async with killed(chain(2), ann, store, after=1) as running:
            spawn(end(spawn(running.run({}, run_id="run"))))
        changed = team(step("s0"), step("s1", "s0"), step("s2", "s1"), retries=4)
        async with engine(changed, ann, journal=MemoryJournal(store)) as running:
            assert [ended async for ended in running.resume()] == []
            with pytest.raises(TeamChanged) as refused:
                await running.resume_run("run")
        return refused.value.message, ann.calls

    message, calls = virtual.run(main())
    assert "agents.ann.retries: 0 -> 4" in message
    assert "s2" in message
    assert calls == ["s0"]


# --- cancelling ---


def test_cancel_from_the_same_engine():
    async def main():
        ann = Ann(every=60)
        async with engine(fan(3, timeout="100s"), ann, calls_max=2) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            row = await running.cancel("run", by="person:kim", reason="too slow")
            assert (row.status, row.reason) == ("cancelled", "cancelled by person:kim: too slow")
            ended = await task
            await asyncio.sleep(0)
            assert (ann.in_flight, running._shell.slots.in_flight) == (0, 0)
            return ended, ann.calls, virtual.seconds(), (await story(running, "run"))[-1]

    ended, calls, took, last = virtual.run(main())
    assert ended.status == "cancelled"
    assert ended.steps == dict.fromkeys(["s0", "s1", "s2"], "cancelled")
    assert calls == ["s0", "s1"]
    assert took == pytest.approx(1)
    assert last == "RunCancelled"


@pytest.mark.parametrize("is_driven", [True, False])
def test_who_cancels_and_why_is_cut_to_what_a_list_can_bear(is_driven):
    async def main():
        async with engine(chain(1), Ann(every=10)) as running:
            going = asyncio.ensure_future(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            if is_driven:
                await running.cancel("run", by="x" * 1_000_000, reason="y" * 1_000_000)
            else:
                running._drivers["run"].fail(RunInterrupted("stopped"))
                await end(going)
                await cancel(running.journal, "run", by="x" * 1_000_000, reason="y" * 1_000_000, now_us=virtual.now_us)
            await end(going)
            return (await running.journal.load("run"))[-1]

    told = virtual.run(main())
    assert isinstance(told, RunCancelled)
    assert (len(told.by), len(told.reason)) == (207, 4_000)


@pytest.mark.parametrize("calls_max", [1, 2, 3])
def test_cancel_while_calls_wait_for_room_is_told_only_when_durable(calls_max):
    """Rooms that open up while the cancellation is on its way to disk must not end the run before it is there."""

    async def main():
        journal, ann = SlowJournal(seconds=1), Ann(s0=2, s1=2.5, every=60)
        told = []
        async with engine(
            fan(8, timeout="100s"),
            ann,
            journal=journal,
            calls_max=calls_max,
            observers=[lambda _, events: told.extend(events)],
        ) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(3.6)
            row = await running.cancel("run")
            await task
            assert row.status == "cancelled"
            assert told == journal.durable
            assert isinstance(told[-1], RunCancelled)
            await asyncio.sleep(10)
            assert running._shell.slots.in_flight == 0

    virtual.run(main())


def test_cancel_twice_is_cancel_once():
    async def main():
        async with engine(fan(1), Ann(every=60), journal=SlowJournal()) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            rows = await asyncio.gather(*(running.cancel("run") for _ in range(3)))
            await task
            return {row.status for row in rows}, (await story(running, "run")).count("RunCancelled")

    assert virtual.run(main()) == ({"cancelled"}, 1)


def test_cancel_from_another_handle_reaches_the_driver():
    async def main():
        store, ann = MemoryStore(), Ann(every=60)
        async with engine(fan(1, timeout="100s"), ann, journal=MemoryJournal(store)) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            row = await cancel(MemoryJournal(store), "run", by="person:kim")
            ended = await task
            assert store.requests == {}
            return row.status, ended.status, virtual.seconds()

    row, ended, took = virtual.run(main())
    assert (row, ended) == ("cancelled", "cancelled")
    assert took < 2


def test_cancel_of_a_run_that_nobody_drives():
    async def main():
        store, ann = MemoryStore(), Ann(every=60)
        async with killed(fan(1), ann, store, after=1) as running:
            spawn(end(spawn(running.run({}, run_id="run"))))
        row = await cancel(MemoryJournal(store), "run", by="person:kim")
        async with engine(fan(1), ann, journal=MemoryJournal(store)) as running:
            assert [ended async for ended in running.resume()] == []
            ended = await running.resume_run("run")
            times = [event.at_us for event in await running.journal.load("run")]
        assert times == sorted(times)
        return row.status, ended.status, ended.steps, store.requests

    assert virtual.run(main()) == ("cancelled", "cancelled", {"s0": "cancelled"}, {})


def test_cancel_of_a_run_whose_events_lie_in_the_future():
    """Two machines' clocks differ; event time never decreases within a run."""

    async def main():
        store = MemoryStore()
        async with killed(fan(1), Ann(every=60), store, after=1) as running:
            running._now_us = running._shell.now_us = lambda: 4_000_000_000_000_000
            spawn(end(spawn(running.run({}, run_id="run"))))
        journal = MemoryJournal(store)
        await cancel(journal, "run", by="program")
        return [event.at_us for event in await journal.load("run")]

    assert virtual.run(main()) == [4_000_000_000_000_000] * 3


def test_cancel_of_a_parked_run_and_of_one_that_ended():
    async def asking(job):
        return il.Reply(ask=il.Question("may I?")) if job.view["n"] else {"out.s0": 1}

    async def main():
        async with engine(fan(1), asking) as running:
            await running.run({"n": 1}, run_id="parked")
            await running.run({"n": 0}, run_id="ended")
            rows = [await running.cancel("parked"), await running.cancel("ended"), await running.cancel("parked")]
            with pytest.raises(RunNotFound):
                await running.cancel("other")
            return [row.status for row in rows], (await running.resume_run("parked")).steps

    assert virtual.run(main()) == (["cancelled", "succeeded", "cancelled"], {"s0": "cancelled"})


def test_cancel_of_a_run_whose_driver_does_not_answer_says_so():
    class Deaf(MemoryJournal):
        def listen(self, hear):
            pass

    async def main():
        store, ann = MemoryStore(), Ann(every=60)
        async with engine(fan(1, timeout="100s"), ann, journal=Deaf(store)) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            with pytest.raises(JournalError, match="has not answered"):
                await cancel(MemoryJournal(store), "run", by="program")
            running.stop()
            await end(task)
        assert list(store.requests) == ["cancel-run"]
        async with engine(fan(1), ann, journal=MemoryJournal(store)) as running:
            if store.rows["run"].status == "running":
                assert [ended.status async for ended in running.resume()] == ["cancelled"]

    virtual.run(main())


def test_cancel_is_heard_while_a_run_is_being_resumed():
    class Slow(MemoryJournal):
        async def requests(self, run_id):
            await asyncio.sleep(1)
            return await super().requests(run_id)

    async def main():
        store, ann = MemoryStore(), Ann(every=10)
        async with killed(fan(1), ann, store, after=1) as running:
            spawn(end(spawn(running.run({}, run_id="run"))))
        async with engine(fan(1), ann, journal=Slow(store)) as running:
            task = spawn(running.resume_run("run"))
            await virtual.until(lambda: running.in_flight == 1)
            row = await running.cancel("run")
            return row.status, (await task).status, ann.calls

    assert virtual.run(main()) == ("cancelled", "cancelled", ["s0"])


def test_a_late_outcome_of_a_cancelled_run_changes_nothing():
    async def deaf(job):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
        return {"out.s0": "late"}

    async def main():
        async with engine(fan(1, timeout="100s"), deaf) as running:
            task = spawn(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            await running.cancel("run")
            ended = await task
            await asyncio.sleep(10)
            return ended.context.to_dict(), (await story(running, "run"))[-1]

    assert virtual.run(main()) == ({}, "RunCancelled")


# --- on disk, in real time ---


def test_cancel_through_another_handle_on_one_file(tmp_path):
    async def main():
        called = asyncio.Event()

        async def hang(job):
            called.set()
            await asyncio.Event().wait()

        async with engine(fan(1), hang, journal=SqliteJournal(tmp_path / "runs.db"), now_us=now_us) as running:
            task = spawn(running.run({}, run_id="run"))
            await called.wait()
            other = SqliteJournal(tmp_path / "runs.db")
            row = await cancel(other, "run", by="person:kim", reason="enough")
            await other.close()
            return row, await task

    row, ended = asyncio.run(main())
    assert (row.status, row.reason) == ("cancelled", "cancelled by person:kim: enough")
    assert (ended.status, ended.reason) == (row.status, row.reason)


def test_many_runs_on_disk(tmp_path):
    async def main():
        async with engine(chain(3), journal=SqliteJournal(tmp_path / "runs.db"), now_us=now_us) as running:
            ended = await asyncio.gather(*(running.run({"n": n}) for n in range(100)))
            assert running.journal._store._places == {}
            rows = await running.journal.runs(status="succeeded", limit=0)
            return {run.run_id for run in ended}, {row.run_id for row in rows}

    ended, stored = asyncio.run(main())
    assert len(ended) == 100
    assert ended == stored


def test_an_id_that_is_taken_is_refused():
    async def main():
        async with engine(chain(1)) as running:
            first = await running.run({"n": 1}, run_id="run")
            with pytest.raises(StaleDriver):
                await running.run({"n": 2}, run_id="run")
            assert (await running.resume_run("run")).to_dict() == first.to_dict()

    virtual.run(main())


@pytest.mark.parametrize("run_id", ["", "a b", "x" * 81, "../up", 7])
def test_a_run_id_is_checked(run_id):
    async def main():
        async with engine(chain(1), Ann()) as running:
            await running.run({}, run_id=run_id)

    with pytest.raises(InputError, match="is not a run id"):
        virtual.run(main())


def test_resume_leaves_alone_what_another_file_with_the_same_declarations_started():
    async def main():
        store, ann = MemoryStore(), Ann(every=5)
        async with killed(fan(1), ann, store, after=1) as running:
            running._source = "/elsewhere/team.yaml"
            spawn(end(spawn(running.run({}, run_id="theirs"))))
        async with engine(fan(1), ann, journal=MemoryJournal(store)) as running:
            assert [ended async for ended in running.resume()] == []
        return store.rows["theirs"].status

    assert virtual.run(main()) == "running"


def test_runs_and_batches_can_be_resumed_by_id_whichever_file_they_come_from():
    async def main():
        store, ann = MemoryStore(), Ann(every=5)
        async with killed(fan(1), ann, store, after=1) as running:
            running._source = "/elsewhere/team.yaml"
            for run_id in ("wanted", "other"):
                spawn(end(spawn(running.run({}, run_id=run_id))))
            batch, unwanted = [await running.open_batch([running.request({})], "test") for _ in range(2)]
        async with engine(fan(1, retries=3), ann, journal=MemoryJournal(store)) as changed:
            changed._source = "/elsewhere/team.yaml"
            assert [ended async for ended in changed.resume(ids=["wanted", batch.batch_id])] == []
        async with engine(fan(1), ann, journal=MemoryJournal(store)) as running:
            ended = [run.run_id async for run in running.resume(ids=["wanted", batch.batch_id])]
        assert f"{unwanted.batch_id}-0" not in store.rows
        return ended == ["wanted", f"{batch.batch_id}-0"], store.rows["other"].status

    assert virtual.run(main()) == (True, "running")


def test_resume_by_id_ends_early_when_the_engine_stops():
    async def main():
        store, ann = MemoryStore(), Ann(every=4)
        async with killed(chain(2), ann, store, after=1) as running:
            spawn(end(spawn(running.run({}, run_id="run"))))
        async with engine(chain(2), ann, journal=MemoryJournal(store)) as running:
            asyncio.get_running_loop().call_later(1, running.stop)
            assert [ended async for ended in running.resume(ids=["run"])] == []
        return store.rows["run"].status

    assert virtual.run(main()) == "running"


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1.79e308])
def test_a_sum_starts_where_it_cannot_leave_the_range(value):
    async def main():
        async with engine(team(step("s0", writes=["out.s0"]), reducers={"out.sum": "add"}), Ann()) as running:
            await running.run({"out": {"sum": value}})

    with pytest.raises(InputError, match="could leave JSON's range"):
        virtual.run(main())


def test_a_caller_who_leaves_while_a_call_is_being_announced_takes_no_room_along():
    async def main():
        journal = SlowJournal()
        async with engine(fan(1, concurrency=1), Ann(), journal=journal) as running:
            leaving = spawn(running.run({}))
            await asyncio.sleep(0)
            leaving.cancel()
            await end(leaving)
            await asyncio.sleep(5)
            assert running._shell.slots.in_flight == 0
            return await running.run({})

    assert virtual.run(main()).status == "succeeded"


def test_a_clock_that_is_set_back_makes_no_backoff_longer():
    async def main():
        fails = Ann()
        hours = [0]

        async def once(job):
            if job.attempt == 1:
                hours[0] = 5
                raise OSError
            return await fails(job)

        def set_back() -> int:
            return virtual.now_us() - hours[0] * 3_600_000_000

        async with engine(fan(1, backoff="100ms", retries=1), once, now_us=set_back) as running:
            ended = await running.run({})
            return ended.status, virtual.seconds()

    status, took = virtual.run(main())
    assert status == "succeeded"
    assert took <= 30


# --- faults that are injected on purpose ---


class Breaking:
    """An adapter that says that it breaks the call, as the test tools do."""

    slots = None

    async def call(self, job, began):
        began(fault="exception")
        raise RuntimeError("on purpose")

    async def close(self):
        pass


def test_a_run_with_injected_faults_is_marked_in_its_journal():
    async def main():
        async with engine(chain(1), adapters={"ann": Breaking()}, faults=b"the faults") as running:
            run = await running.run({})
            events = await running.journal.load(run.run_id)
            return events, await running.journal.blob(events[0].faults)

    events, document = virtual.run(main())
    assert document == b"the faults"
    assert [kind(event) for event in events[1:4]] == ["AttemptStarted s0", "FaultInjected s0", "AttemptFailed s0"]
    assert (events[2].attempt, events[2].fault) == (1, "exception")


def test_an_ordinary_run_bears_no_mark():
    async def main():
        async with engine(chain(1)) as running:
            run = await running.run({})
            return await running.journal.load(run.run_id)

    assert virtual.run(main())[0].faults == ""


def test_what_is_asked_of_a_run_that_never_began_ends_nothing():
    """A run is cancelled while the one that is to do a step of it has not begun."""

    async def main():
        async with engine(chain(1), Ann()) as running:
            running.hear(Request("cancel-nowhere", "nowhere", "cancel", "run:above"))
            [asking] = running._woken
            await asyncio.gather(asking)
            return (await running.run({})).status

    assert virtual.run(main()) == "succeeded"


# --- a journal that was damaged ---


@pytest.mark.parametrize("damage", [b"{", b'{"t":"backoff_ended","at_us":1,"step":"s0"}', b'{"t":"dreamt","at_us":1}'])
def test_a_damaged_run_is_named_at_the_end_and_holds_up_no_other(damage):
    async def main():
        store, ann = MemoryStore(), Ann(s1=1)
        async with killed(chain(2), ann, store, after=0.5) as dying:
            for run_id in ("bad", "good"):
                spawn(dying.run({}, run_id=run_id))
        store.events["bad"][1] = damage

        async def resume_all():
            return [run async for run in running.resume()]

        async with engine(chain(2), ann, journal=MemoryJournal(store)) as running:
            with pytest.raises(JournalError, match="bad"):
                await resume_all()
            with pytest.raises(JournalError, match="bad"):
                await running.resume_run("bad")
            return [row.run_id for row in await running.journal.runs(status="succeeded")]

    assert virtual.run(main()) == ["good"]
