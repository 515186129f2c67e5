"""Runs wait for times and events: through restarts, in the order of their deadlines, whoever drives them."""

import asyncio

import msgspec
import pytest

import interlock as il
import interlock.core.events as e
from interlock.engine.cancelling import cancel
from interlock.engine.decisions import decide
from interlock.engine.deliveries import event_request
from interlock.errors import EventNotTaken, InputError, JournalFull, RunInterrupted, RunNotFound, TeamChanged
from interlock.history import replay
from interlock.history import story as story_of
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Request
from tests import virtual

from .stage import SlowJournal, chain, engine, step
from .test_redrive import record

HOUR = 3_600.0


def waits(*steps: il.Step, **given: str) -> il.Team:
    ann = il.Agent("ann", scope=il.Scope(["act"], ["*"], ["out"]), retries=0, **given)
    return il.Team([ann], il.Plan(list(steps)))


PAID = il.Step("pay", await_event="paid", writes=["payment"], deadline="3d", on_deadline="skip")
SHIP = step("ship", "pay")


def test_a_short_wait_is_waited_for_where_the_run_is_driven():
    async def main():
        async with engine(waits(il.Step("w", wait="5s"), step("s0", "w"))) as running:
            run = await running.run({})
            return run.status, virtual.seconds(), await running.journal.waits()

    assert virtual.run(main()) == ("succeeded", 5.0, [])


def test_a_long_wait_is_over_while_an_engine_is_open_and_holds_no_room():
    async def main():
        async with engine(waits(il.Step("w", wait="2h"), step("s0", "w")), runs_max=1) as running:
            run = await running.run({}, run_id="run")
            assert (run.status, virtual.seconds(), running.in_flight) == ("parked", 0.0, 0)
            [waiting] = await running.journal.waits("run")
            assert (waiting.step, waiting.event, waiting.due_us) == ("w", "", virtual.START_US + 7_200_000_000)
            await asyncio.sleep(2 * HOUR + 1)
            return await running.journal.run("run")

    assert virtual.run(main()).status == "succeeded"


def test_a_wait_survives_a_restart_and_is_over_when_somebody_resumes():
    async def main():
        store, of = MemoryStore(), waits(il.Step("w", wait="2h"), step("s0", "w"))
        async with engine(of, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        await asyncio.sleep(HOUR)
        async with engine(of, journal=MemoryJournal(store)) as running:
            assert [run async for run in running.resume()] == []
        await asyncio.sleep(30 * 24 * HOUR)
        async with engine(of, journal=MemoryJournal(store)) as running:
            return [run.status async for run in running.resume()]

    assert virtual.run(main()) == ["succeeded"]


def test_what_is_overdue_when_a_run_is_resumed_ends_in_the_order_of_the_deadlines():
    async def main():
        store = MemoryStore()
        of = waits(il.Step("w", wait="50s"), il.Step("v", wait="40s"), il.Step("u", wait="45s"), step("s0"))
        slow = engine(of, lambda job: asyncio.sleep(600), journal=MemoryJournal(store))
        async with slow as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            await virtual.settle()
            running.stop()
        with pytest.raises(RunInterrupted):
            await task
        await asyncio.sleep(HOUR)
        async with engine(of, journal=MemoryJournal(store)) as running:
            [run] = [run async for run in running.resume()]
            events = await running.journal.load("run")
        return run.status, [event.step for event in events if isinstance(event, e.WaitEnded)]

    assert virtual.run(main()) == ("succeeded", ["v", "u", "w"])


def test_an_event_moves_a_parked_run_beside_all_else():
    async def main():
        async with engine(waits(PAID, SHIP)) as running:
            await running.run({}, run_id="run")
            seen = await running.send_event("run", "paid", {"amount": 12}, by="stripe", event_id="evt_1")
            assert (seen.steps["pay"], seen.context["payment"]) == ("committed", {"amount": 12})
            await virtual.settle()
            await running.send_event("run", "paid", {"amount": 12}, event_id="evt_1")  # again: it is one event
            return await running.journal.run("run"), await running.journal.load("run")

    row, told = virtual.run(main())
    assert row.status == "succeeded"
    assert sum(isinstance(event, e.WaitEnded) for event in told) == 1


def test_an_event_ends_the_wait_of_a_run_that_goes_on():
    async def main():
        ready = asyncio.Event()

        async def slow(job):
            await ready.wait()
            return {}

        async with engine(waits(PAID, step("s0", writes=["out"])), slow) as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            await virtual.settle()
            seen = await running.send_event("run", "paid", 7)
            assert (seen.status, seen.steps["pay"]) == ("running", "committed")
            with pytest.raises(EventNotTaken, match="nothing in this run waits for paid"):
                await running.send_event("run", "paid", 8)
            ready.set()
            return await task

    assert virtual.run(main()).context["payment"] == 7


def test_an_event_that_comes_early_waits_for_its_step_through_a_restart():
    async def main():
        store, of = MemoryStore(), waits(il.Step("w", wait="2h"), msgspec.structs.replace(PAID, needs=("w",)))
        async with engine(of, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            seen = await running.send_event("run", "paid", 7, by="stripe")
            assert (seen.status, seen.steps) == ("parked", {"w": "awaiting", "pay": "waiting"})
        await asyncio.sleep(3 * HOUR)
        async with engine(of, journal=MemoryJournal(store)) as running:
            return [(run.status, run.context["payment"]) async for run in running.resume()]

    assert virtual.run(main()) == [("succeeded", 7)]


def test_an_event_in_time_and_one_too_late():
    async def main():
        async with engine(waits(PAID, SHIP)) as running:
            await running.run({}, run_id="run")
            await asyncio.sleep(3 * 24 * HOUR + 60)
            row = await running.journal.run("run")
            with pytest.raises(EventNotTaken, match="the run has ended: it has succeeded"):
                await running.send_event("run", "paid", 7)
            return row.status, [run.steps for run in [await running.resume_run("run")]]

    assert virtual.run(main()) == ("succeeded", [{"pay": "skipped", "ship": "skipped"}])


def test_what_can_not_be_sent():
    async def main():
        store = MemoryStore()
        async with engine(waits(PAID, SHIP), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            with pytest.raises(RunNotFound):
                await running.send_event("nobody", "paid")
            with pytest.raises(InputError):
                await running.send_event("run", "no name")
            with pytest.raises(EventNotTaken, match="Did you mean paid"):
                await running.send_event("run", "payd")
        async with engine(chain(1), journal=MemoryJournal(store)) as other:
            with pytest.raises(TeamChanged):
                await other.send_event("run", "paid")
            return await MemoryJournal(store).load("run")

    assert not any(isinstance(event, e.EventRefused) for event in virtual.run(main()))


def test_another_process_leaves_its_event_to_the_one_that_owns_the_run(tmp_path):
    async def main():
        of, path = waits(PAID, SHIP), tmp_path / "runs.db"
        async with engine(of, journal=SqliteJournal(path), now_us=lambda: 1_700_000_000_000_000) as running:
            await running.run({}, run_id="run")
            other = SqliteJournal(path)
            request = event_request("run", "paid", 7, "stripe", "evt_1", 1_700_000_000_000_000)
            row = await decide(other, of.rules, request, leave=True)
            again = await decide(other, of.rules, request, leave=True)
            await other.close()
            for _ in range(500):
                if (await running.journal.run("run")).status == "succeeded":
                    break
                await asyncio.sleep(0.01)
            return row.status, again.run_id, (await running.journal.run("run")).status

    first, again, status = asyncio.run(main())
    assert (again, status) == ("run", "succeeded")
    assert first in {"running", "succeeded"}


def test_a_request_that_is_no_event_is_refused_and_told():
    async def main():
        async with engine(waits(PAID, SHIP)) as running:
            await running.run({}, run_id="run")
            request = Request("event/run/x", "run", "event", "stripe", "", b"{}")
            with pytest.raises(EventNotTaken, match="can't be read"):
                await decide(running.journal, running.team.rules, request, now_us=virtual.now_us)
            return (await running.journal.run("run")).status

    assert virtual.run(main()) == "parked"


def test_deadlines_are_looked_after_though_none_was_there_at_first():
    async def main():
        async with engine(waits(step("s0", writes=["out"]), il.Step("w", wait="2h", needs=["s0"]))) as running:
            await asyncio.sleep(5)  # it has looked, and found nothing
            await running.run({}, run_id="run")
            await asyncio.sleep(2 * HOUR + 60)
            return (await running.journal.run("run")).status

    assert virtual.run(main()) == "succeeded"


def test_an_event_that_comes_after_its_deadline_is_late_though_nobody_has_seen_to_that_yet():
    async def main():
        store, of = MemoryStore(), waits(PAID, SHIP)
        async with engine(of, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        await asyncio.sleep(30 * 24 * HOUR)
        late = event_request("run", "paid", 1, "bank", "evt", virtual.now_us())
        with pytest.raises(EventNotTaken, match="nothing in this run waits for paid"):
            await decide(MemoryJournal(store), of.rules, late, now_us=virtual.now_us)
        async with engine(of, journal=MemoryJournal(store)) as running:
            return [run.steps async for run in running.resume()]

    assert virtual.run(main()) == [{"pay": "skipped", SHIP.id: "skipped"}]


def test_an_event_that_was_refused_is_sent_again_as_it_should_be_under_the_same_id():
    schema = {"properties": {"payment": {"type": "integer"}}}
    of = waits(il.Step("pay", await_event="paid", writes=["payment"], schema=schema), step("s0"))

    async def main():
        async with engine(of, lambda job: asyncio.sleep(20)) as running:
            going = asyncio.ensure_future(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            with pytest.raises(EventNotTaken, match="Expected `int`"):
                await running.send_event("run", "paid", "three", event_id="evt")
            seen = await running.send_event("run", "paid", 3, event_id="evt")
            await going
            return seen.steps["pay"], seen.context["payment"]

    assert virtual.run(main()) == ("committed", 3)


def test_what_was_asked_of_a_parked_run_is_not_lost_where_somebody_reopens_it():
    async def ill(job):
        raise il.AgentRefused("no")

    async def main():
        store, of = MemoryStore(), waits(il.Step("pay", await_event="paid", writes=["payment"]), step("s0"))
        async with engine(of, ill, journal=MemoryJournal(store)) as running:
            assert (await running.run({}, run_id="run")).status == "parked"
        # Whoever has asked, and the driver that was asked, have died.
        await MemoryJournal(store).ask(event_request("run", "paid", 1, "bank", "evt", virtual.now_us()))
        async with engine(of, ill, journal=MemoryJournal(store)) as running:
            run = await running.skip("run", "s0", by="Ada")
            return run.steps, await running.journal.requests("run")

    assert virtual.run(main()) == ({"pay": "committed", "s0": "skipped"}, [])


def test_a_run_that_the_disk_fails_when_its_time_has_come_is_gone_on_with_when_there_is_room_again():
    async def main():
        journal = SlowJournal()
        async with engine(waits(il.Step("w", wait="2h"), step("s0", "w")), slow_then_done, journal=journal) as running:
            await running.run({}, run_id="run")
            await asyncio.sleep(2 * HOUR + 2)
            assert (await running.journal.run("run")).status == "running"
            journal.fault = JournalFull("no space left")
            await asyncio.sleep(HOUR)
            journal.fault = None
            await asyncio.sleep(HOUR)
            return await running.journal.run("run")

    assert virtual.run(main()).status == "succeeded"


async def slow_then_done(job):
    await asyncio.sleep(4)
    return {f"out.{job.step}": "done"}


class Raced(MemoryJournal):
    """A run is cancelled in the very moment in which it is gone on with."""

    raced = False

    def append(self, run_id, expected_seq, events, **rest):
        if not self.raced:
            self.raced = True
            super().append(run_id, expected_seq, [e.RunCancelled(events[0].at_us, "eve")]).result()
        return super().append(run_id, expected_seq, events, **rest)


def test_a_run_that_is_cancelled_when_it_would_go_on_holds_up_no_other():
    async def main():
        store, of = MemoryStore(), waits(il.Step("w", wait="5s"), step("s0", "w"))
        async with engine(of, journal=MemoryJournal(store)) as running:
            going = [asyncio.ensure_future(running.run({}, run_id=run)) for run in ("one", "two")]
            await virtual.settle()
            running.stop()
        await asyncio.wait(going)
        async with engine(of, journal=Raced(store)) as running:
            return {run.run_id: run.status async for run in running.resume()}, store.rows["one"].status

    assert virtual.run(main()) == ({"two": "succeeded"}, "cancelled")


def test_a_person_ends_a_wait_whoever_drives_the_run():
    of = waits(il.Step("w", wait="2h"), PAID, step("s0", writes=["out"]), timeout="60s")

    async def slow(job):
        await asyncio.sleep(25)
        return {}

    async def main():
        store = MemoryStore()
        async with engine(of, slow, journal=MemoryJournal(store)) as running:
            going = asyncio.ensure_future(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            async with engine(of, slow, journal=MemoryJournal(store)) as other:
                seen = await other.skip("run", "pay", by="Ada", reason="in cash")
            assert (seen.status, seen.steps["pay"]) == ("running", "skipped")
            assert (await going).status == "parked"
            with pytest.raises(InputError, match=r"can't be tried again: it waits until .*interlock skip run w"):
                await running.retry("run", "w", by="Ada")
            run = await running.skip("run", "w", by="Ada")
            wrong = [moment.mismatches for moment in replay(await record(running.journal, "run")) if moment.mismatches]
            return run.status, run.steps, wrong, story_of(await record(running.journal, "run")).steps[1].reason

    assert virtual.run(main()) == (
        "succeeded",
        {"w": "skipped", "pay": "skipped", "s0": "committed"},
        [],
        "person:Ada has skipped it: in cash",
    )


class Busy(MemoryJournal):
    """A journal that takes its time to say whether a run is free."""

    async def claim(self, *given, **more):
        await asyncio.sleep(0.1)
        return await super().claim(*given, **more)


def test_a_resume_that_is_closed_early_leaves_what_is_overdue_to_others():
    async def main():
        store, of = MemoryStore(), waits(il.Step("w", wait="2h"), step("s0", "w"))
        async with engine(of, journal=MemoryJournal(store)) as running:
            for run in ("one", "two", "three"):
                await running.run({}, run_id=run)
        await asyncio.sleep(2 * HOUR)
        async with engine(of, journal=Busy(store)) as running:
            resuming = asyncio.ensure_future(all_of(running.resume()))
            await asyncio.sleep(0.15)
            resuming.cancel()
            await asyncio.sleep(60)
            return {row.status for row in store.rows.values()}

    async def all_of(runs):
        return [run async for run in runs]

    assert virtual.run(main()) == {"succeeded"}


def test_no_two_events_have_one_id():
    one, other = (event_request(run, "paid", None, "bank", id_, 0) for run, id_ in (("a", "b-c"), ("a-b", "c")))
    assert one.request_id != other.request_id


def test_a_run_that_waits_for_room_hears_events_and_that_it_is_cancelled():
    """Its steps are few, but another run has the only room for a long time."""
    more = il.Step("more", await_event="more", writes=["more"])
    of = waits(PAID, more, step("s0", "pay", "more", writes=["out"]), timeout="60s")

    async def slow(job):
        await asyncio.sleep(25)
        return {}

    async def main():
        store = MemoryStore()
        async with engine(of, slow, journal=MemoryJournal(store), runs_max=1) as running:
            other = MemoryJournal(store)
            for run in ("one", "two", "slow"):
                await running.run({}, run_id=run)
            await running.send_event("slow", "paid", 1)
            await running.send_event("slow", "more", 1)
            await asyncio.sleep(1)
            for run in ("one", "two"):
                await sent(other, run, "paid", leave=True)
                assert (await other.run(run)).status == "running"
            began = virtual.seconds()
            await sent(other, "one", "more")
            row = await cancel(other, "two", by="eve", now_us=virtual.now_us)
            took = virtual.seconds() - began
            await asyncio.sleep(2000)
            return took < 1, row.status, (await other.run("one")).status, await other.requests("two")

    async def sent(journal, run, event, **given):
        await decide(journal, of.rules, event_request(run, event, 1, "bank", "", 0), now_us=virtual.now_us, **given)

    assert virtual.run(main()) == (True, "cancelled", "succeeded", [])
