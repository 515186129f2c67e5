"""Effects in the engine: performed when their commit is durable, bounded in time, and always told."""

import asyncio
from typing import Any

import pytest

import interlock as il
from interlock.agents.effects import Performed
from interlock.core import events as e
from interlock.errors import AgentRefused, ReplyRefused
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual

from .stage import SlowJournal, end, engine, kind, step


class Outside:
    """What is out there: notes what it is asked to do; `script` says how, one after another."""

    def __init__(self, *script: Any, seconds: float = 0.0) -> None:
        self._script, self._seconds = list(script), seconds
        self.done: list[tuple[Any, str]] = []
        self.began: list[float] = []
        self.cancelled = 0

    async def __call__(self, payload: Any, idempotency_key: str) -> Any:
        self.began.append(virtual.seconds())
        self.done.append((payload, idempotency_key))
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        said = self._script.pop(0) if self._script else None
        if isinstance(said, BaseException):
            raise said
        return said


def desk(*steps: il.Step, retries: int = 1, on_unknown: str = "ask", agent: Any = None) -> il.Team:
    ann = il.Agent("ann", scope=il.Scope(["act", "mail"], ["*"], ["*"]), retries=0)
    effects = {"mail": {"use": "outside:mail", "timeout": "2s", "retries": retries, "on_unknown": on_unknown}}
    return il.Team([ann], il.Plan(list(steps) or [step("a")]), effects=effects)


async def mails(job: il.Job) -> il.Reply:
    effects = [il.Effect("mail", {"from": job.step}, key="m")] if job.step == "a" else []
    return il.Reply(writes={f"out.{job.step}": 1}, effects=effects)


def at_work(team: il.Team, outside: Any, function: Any = mails, **given: Any) -> Any:
    return engine(team, function, performers={"mail": Performed(outside)}, **given)


async def told(work: Any, run_id: str) -> list[str]:
    return [kind(event) for event in await work.journal.load(run_id) if hasattr(event, "step")]


def test_an_effect_is_performed_after_the_commit_and_before_what_needs_the_step():
    async def scene():
        outside, called = Outside({"receipt": 1}, seconds=1.0), {}

        async def agent(job: il.Job) -> il.Reply:
            called[job.step] = virtual.seconds()
            return await mails(job)

        async with at_work(desk(step("a"), step("b", "a")), outside, agent) as work:
            run = await work.run({})
            assert await told(work, run.run_id) == [
                "AttemptStarted a", "AttemptCommitted a", "EffectStarted a", "EffectDone a",
                "AttemptStarted b", "AttemptCommitted b",
            ]  # fmt: skip
        assert run.status == "succeeded"
        assert outside.done == [({"from": "a"}, f"{run.run_id}/a/effect:m")]
        assert called["b"] - called["a"] >= 1.0

    virtual.run(scene())


def test_nothing_is_performed_before_it_is_durable():
    async def scene():
        journal, outside = SlowJournal(seconds=0.5), Outside()
        seen: list[list[str]] = []

        async def noting(payload: Any, key: str) -> None:
            seen.append([kind(event) for event in journal.durable])
            await outside(payload, key)

        async with at_work(desk(), noting, journal=journal) as work:
            await work.run({})
        assert seen[0][-2:] == ["AttemptCommitted a", "EffectStarted a"]

    virtual.run(scene())


def test_what_is_certain_not_to_be_done_is_tried_again_after_a_wait():
    async def scene():
        outside = Outside(il.NotPerformed("busy"), None)

        async with at_work(desk(), outside) as work:
            run = await work.run({})
            failed = next(f for f in await work.journal.load(run.run_id) if isinstance(f, e.EffectFailed))
        assert (run.status, failed.error, failed.retryable) == ("succeeded", "busy", True)
        assert [round(at, 2) for at in outside.began] == [0.0, 0.2]
        assert len({key for _, key in outside.done}) == 1, "each try has the same key"

    virtual.run(scene())


@pytest.mark.parametrize(
    "error", [il.NotPerformed("declined", again=False), AgentRefused("declined"), il.NotPerformed(again=False)]
)
def test_what_is_refused_for_good_gives_the_step_up(error):
    async def scene():
        async with at_work(desk(step("a"), step("b", "a")), Outside(error)) as work:
            run = await work.run({})
        assert run.status == "failed"
        assert run.reason.startswith("a: its effect mail (m) was not performed: ")
        assert run.steps["b"] == "skipped"

    virtual.run(scene())


def test_a_connection_that_was_refused_has_done_nothing():
    async def scene():
        async with at_work(desk(), Outside(ConnectionRefusedError("no"), None)) as work:
            assert (await work.run({})).status == "succeeded"

    virtual.run(scene())


@pytest.mark.parametrize("error", [OSError("the line broke"), SystemExit(3), asyncio.CancelledError(), TimeoutError()])
def test_after_any_other_error_a_person_is_asked(error):
    async def scene():
        outside = Outside(error)
        async with at_work(desk(), outside) as work:
            run = await work.run({})
        assert run.status == "parked"
        assert run.reason.startswith("a needs a person: nobody knows whether its effect mail (m) was performed: ")
        assert len(outside.done) == 1

    virtual.run(scene())


def test_what_takes_too_long_is_stopped_and_unknown():
    async def scene():
        outside = Outside(seconds=60.0)

        async with at_work(desk(on_unknown="retry"), outside) as work:
            run = await work.run({})
            unknown = [f.reason for f in await work.journal.load(run.run_id) if isinstance(f, e.EffectBecameUnknown)]
        assert run.status == "failed"
        assert unknown == ["it took longer than 2 s"] * 2
        assert outside.cancelled == 2

    virtual.run(scene())


def test_a_function_that_ignores_its_cancellation_does_not_hold_the_run_up():
    async def scene():
        async def stubborn(payload: Any, key: str) -> None:
            while True:
                try:
                    await asyncio.sleep(30.0)
                    return
                except asyncio.CancelledError:
                    pass

        async with at_work(desk(on_unknown="fail"), stubborn) as work:
            run = await work.run({})
        assert (run.status, run.duration) == ("failed", 2.0)

    virtual.run(scene())


@pytest.mark.parametrize("result", [{1}, float("nan"), "x" * (2 << 20)])
def test_a_result_that_cannot_be_kept_is_done_all_the_same(result):
    async def scene():
        async with at_work(desk(), Outside(result)) as work:
            run = await work.run({})
            done = next(f for f in await work.journal.load(run.run_id) if isinstance(f, e.EffectDone))
        assert run.status == "succeeded"
        assert done.flaw
        assert bytes(done.result) == b"null"

    virtual.run(scene())


def test_a_result_that_did_not_arrive_whole_is_done_all_the_same():
    async def scene():
        async with at_work(desk(), Outside(ReplyRefused("too large"))) as work:
            assert (await work.run({})).status == "succeeded"

    virtual.run(scene())


def test_what_nobody_is_there_to_perform_was_not_performed():
    async def scene():
        async with engine(desk(), mails) as work:
            run = await work.run({})
        assert run.reason == "a: its effect mail (m) was not performed: whoever had it performed is gone"

    virtual.run(scene())


# --- the end of a process ---


@pytest.mark.parametrize(
    ("on_unknown", "status", "times"), [("retry", "succeeded", 2), ("ask", "parked", 1), ("fail", "failed", 1)]
)
def test_an_effect_that_was_lost_with_its_driver_follows_its_rule(on_unknown, status, times):
    async def scene():
        store, outside, team = MemoryStore(), Outside(seconds=1.0), desk(on_unknown=on_unknown)
        first = at_work(team, outside, journal=MemoryJournal(store))
        async with first:
            doing = asyncio.ensure_future(first.run({}, run_id="r"))
            await virtual.until(lambda: outside.done)
        assert type(await end(doing)).__name__ == "RunInterrupted"
        async with at_work(team, outside, journal=MemoryJournal(store)) as second:
            run = await second.resume_run("r")
            lost = [f for f in await second.journal.load("r") if isinstance(f, e.EffectBecameUnknown)]
        assert (run.status, len(outside.done)) == (status, times)
        assert [f.lost for f in lost] == [True]

    virtual.run(scene())


def test_an_engine_that_stops_lets_an_effect_finish_and_begins_no_other():
    async def scene():
        outside = Outside(seconds=1.0)

        async def two(job: il.Job) -> il.Reply:
            return il.Reply(effects=[il.Effect("mail", 1, "1"), il.Effect("mail", 2, "2")])

        store = MemoryStore()
        async with at_work(desk(), outside, two, journal=MemoryJournal(store)) as work:
            doing = asyncio.ensure_future(work.run({}, run_id="r"))
            await virtual.until(lambda: outside.done)
            work.stop()
            assert type(await end(doing)).__name__ == "RunInterrupted"
            assert (await told(work, "r"))[-1] == "EffectDone a"
        async with at_work(desk(), outside, two, journal=MemoryJournal(store)) as work:
            assert (await work.resume_run("r")).status == "succeeded"
        assert [payload for payload, _ in outside.done] == [1, 2]

    virtual.run(scene())


def test_a_cancelled_run_stops_its_effect_and_leaves_it_unknown():
    async def scene():
        outside = Outside(seconds=1.0)
        async with at_work(desk(), outside) as work:
            doing = asyncio.ensure_future(work.run({}, run_id="r"))
            await virtual.until(lambda: outside.done)
            await work.cancel("r")
            run = await doing
        assert (run.status, run.steps["a"]) == ("cancelled", "cancelled")
        assert outside.cancelled == 1

    virtual.run(scene())


def test_a_wait_for_a_further_try_ends_with_the_run():
    async def scene():
        outside = Outside(il.NotPerformed("busy"))
        async with at_work(desk(), outside) as work:
            doing = asyncio.ensure_future(work.run({}, run_id="r"))
            await virtual.until(lambda: outside.done)
            await work.cancel("r")
            await doing
            await asyncio.sleep(5)
        assert len(outside.done) == 1

    virtual.run(scene())


# --- room ---


def test_no_more_are_performed_at_once_than_there_is_room_for():
    async def scene():
        outside = Outside(seconds=1.0)
        performed = Performed(outside)
        performed.slots = 1
        team = desk(step("a"), step("b"))

        async def both(job: il.Job) -> il.Reply:
            return il.Reply(effects=[il.Effect("mail", job.step)])

        async with engine(team, both, performers={"mail": performed}) as work:
            assert (await work.run({})).status == "succeeded"
        assert [round(at, 3) for at in outside.began] == [0.0, 1.0]

    virtual.run(scene())


def test_a_further_try_waits_for_room_too():
    async def scene():
        outside = Outside(il.NotPerformed("busy"), None, None, seconds=1.0)
        performed = Performed(outside)
        performed.slots = 1

        async def both(job: il.Job) -> il.Reply:
            return il.Reply(effects=[il.Effect("mail", job.step)])

        async with engine(desk(step("a"), step("b")), both, performers={"mail": performed}) as work:
            assert (await work.run({})).status == "succeeded"
        assert [payload for payload, _ in outside.done] == ["a", "b", "a"]
        assert [round(at, 3) for at in outside.began] == [0.0, 1.0, 2.0]

    virtual.run(scene())
