"""A person decides: whoever drives the run, whether anybody does, and when."""

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

import interlock as il
import interlock.core.events as e
from interlock.core.decision import decided
from interlock.engine.decisions import decide, request_of
from interlock.engine.engine import Engine
from interlock.errors import (
    DecisionRefused,
    InputError,
    JournalError,
    RunInterrupted,
    RunNotFound,
    StaleDriver,
    TeamChanged,
)
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Opening, Request
from tests import virtual

from .stage import SlowJournal, chain, end, engine, fan, started, step, story, team

MONTH = 30 * 86_400.0


async def asking(job: il.Job) -> Any:
    """It asks first, and goes by the answer."""
    if job.feedback:
        return {f"out.{job.step}": job.feedback[-1]}
    return il.Reply(ask=il.Question("may I?")) if job.step == "s0" else {f"out.{job.step}": "done"}


def request(step_id: str = "s0", verb: Any = "answer", by: str = "eve", **given: Any) -> Any:
    if verb == "answer":
        given.setdefault("text", "yes")
    return request_of("run", decided(step_id, verb, **given), by, "", 0)


async def parked(store: MemoryStore, of: il.Team | None = None) -> None:
    """A run that waits for a person in a journal that nobody has open."""
    async with engine(of or chain(2), asking, journal=MemoryJournal(store)) as running:
        assert (await running.run({}, run_id="run")).status == "parked"


def test_an_answer_is_taken_and_the_run_goes_on_to_its_end():
    async def main():
        async with engine(chain(2), asking) as running:
            await running.run({}, run_id="run")
            [waiting] = await running.inbox()
            assert (waiting.run_id, waiting.step, waiting.attempt, waiting.text) == ("run", "s0", 1, "may I?")
            ended = await running.decide("run", "s0", "answer", text="yes", by="eve", reason="she asked nicely")
            assert await running.inbox("run") == []
            return ended, await running.journal.load("run"), await running.journal.run("run")

    ended, events, row = virtual.run(main())
    assert (ended.status, row.status) == ("succeeded", "succeeded")
    assert ended.context["out"] == {"s0": "yes", "s1": "done"}
    [answered] = [event for event in events if isinstance(event, e.QuestionAnswered)]
    assert (answered.by, answered.text, answered.reason) == ("person:eve", "yes", "she asked nicely")


def test_an_answer_after_three_months_and_a_restart():
    async def main():
        store = MemoryStore()
        await parked(store)
        await asyncio.sleep(3 * MONTH)
        assert virtual.seconds() >= 3 * MONTH
        async with engine(chain(2), asking, journal=MemoryJournal(store)) as running:
            assert [ended async for ended in running.resume()] == []
            ended = await running.decide("run", "s0", "answer", text="yes", by="eve")
            return ended, await started(running, "run")

    ended, calls = virtual.run(main())
    assert ended.status == "succeeded"
    assert ended.duration >= 3 * MONTH
    assert calls == [("s0", 1), ("s0", 2), ("s1", 1)]


def test_what_a_person_writes_and_rejects():
    async def main():
        async with engine(chain(2), asking) as running:
            for run_id in ("written", "rejected"):
                await running.run({}, run_id=run_id)
            written = await running.decide("written", "s0", "write", writes={"out.s0": {"by": "hand"}}, by="person:eve")
            rejected = await running.decide("rejected", "s0", "reject", reason="fraud", by="eve")
            return written, rejected

    written, rejected = virtual.run(main())
    assert written.context["out"] == {"s0": {"by": "hand"}, "s1": "done"}
    assert (rejected.status, rejected.steps["s0"]) == ("failed", "dead")
    assert rejected.reason == "s0: rejected by person:eve: fraud"


def test_a_failing_edit_leaves_the_question_open_and_says_why():
    async def main():
        async with engine(chain(2), asking) as running:
            await running.run({}, run_id="run")
            before = await story(running, "run")
            with pytest.raises(DecisionRefused) as refused:
                await running.decide("run", "s0", "write", writes={"other": 1}, by="eve")
            assert await story(running, "run") == before
            assert len(await running.inbox()) == 1
            return refused.value

    refused = virtual.run(main())
    assert refused.message == "run run: ann may not write other; it may write out.s0"
    assert refused.fix == "see what waits: interlock inbox show run"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"by": ""}, InputError),
        ({"by": "eve", "writes": {"out.s0": {1}}}, InputError),
        ({"by": "eve"}, InputError),
        ({"run_id": "other", "by": "eve", "writes": {}}, RunNotFound),
    ],
)
def test_what_can_be_no_decision_is_refused_before_anything_happens(given, error):
    async def main():
        async with engine(chain(2), asking) as running:
            await running.run({}, run_id="run")
            with pytest.raises(error):
                await running.decide(given.pop("run_id", "run"), "s0", "write", **given)

    virtual.run(main())


def test_the_first_decision_wins_and_the_second_is_told_so():
    async def main():
        async with engine(chain(2), asking) as running:
            await running.run({}, run_id="run")
            first, second = await asyncio.gather(
                running.decide("run", "s0", "answer", text="yes", by="eve"),
                running.decide("run", "s0", "reject", by="bob"),
                return_exceptions=True,
            )
            with pytest.raises(DecisionRefused, match="person:eve has decided about it"):
                await running.decide("run", "s0", "reject", by="carol")
            return first, second

    first, second = virtual.run(main())
    assert first.status == "succeeded"
    assert isinstance(second, DecisionRefused)
    assert "person:eve has decided about it" in second.message


def test_a_run_under_way_takes_a_decision_without_a_stop():
    async def slow(job):
        await asyncio.sleep(5 if job.step == "s1" else 0)
        return await asking(job)

    async def main():
        async with engine(fan(2, timeout="1m"), slow) as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            with pytest.raises(DecisionRefused, match="may not write y"):
                await running.decide("run", "s0", "write", writes={"y": 1}, by="eve")
            ended = await running.decide("run", "s0", "answer", text="yes", by="eve")
            return ended.status, (await task).status, await story(running, "run")

    ended, status, events = virtual.run(main())
    assert ended == status == "succeeded"
    assert events == [
        "RunStarted", "AttemptStarted s0", "AttemptStarted s1", "QuestionAsked s0", "AnswerRefused s0",
        "QuestionAnswered s0", "AttemptStarted s0", "AttemptCommitted s0", "AttemptCommitted s1", "RunFinished",
    ]  # fmt: skip


def test_a_decision_while_the_run_is_being_parked_is_not_lost():
    async def main():
        store = MemoryStore()
        async with engine(chain(2), asking, journal=SlowJournal(store, 0.5)) as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            await asyncio.sleep(0.7)  # the append that parks it is under way
            assert await story(running, "run") == ["RunStarted", "AttemptStarted s0"]
            ended = await running.decide("run", "s0", "answer", text="yes", by="eve")
            return (await task).status, ended.status

    assert virtual.run(main()) == ("parked", "succeeded")


def test_another_process_asks_the_one_that_drives_the_run():
    async def slow(job):
        await asyncio.sleep(5 if job.step == "s1" else 0)
        return await asking(job)

    async def main():
        store = MemoryStore()
        async with engine(fan(2, timeout="1m"), slow, journal=MemoryJournal(store)) as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            other = MemoryJournal(store)
            with pytest.raises(DecisionRefused, match="may not write y"):
                await decide(other, running.team.rules, request(verb="write", writes={"y": 1}), now_us=virtual.now_us)
            row = await decide(other, running.team.rules, request(), now_us=virtual.now_us)
            assert store.requests == {}
            return row.status, (await task).status

    assert virtual.run(main()) == ("running", "succeeded")


def test_a_second_engine_returns_a_run_that_another_drives_as_it_is_then():
    async def slow(job):
        await asyncio.sleep(5 if job.step == "s1" else 0)
        return await asking(job)

    async def main():
        store, of = MemoryStore(), fan(2, timeout="1m")
        async with (
            engine(of, slow, journal=MemoryJournal(store)) as running,
            engine(of, slow, journal=MemoryJournal(store)) as other,
        ):
            task = asyncio.create_task(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            seen = await other.decide("run", "s0", "answer", text="yes", by="eve")
            return seen.status, (await task).status

    assert virtual.run(main()) == ("running", "succeeded")


def test_without_a_driver_the_decision_is_journaled_and_the_next_one_goes_on():
    async def main():
        store, of = MemoryStore(), chain(2)
        await parked(store, of)
        journal = MemoryJournal(store)
        row = await decide(journal, of.rules, request(), now_us=virtual.now_us)
        await journal.close()
        async with engine(of, asking, journal=MemoryJournal(store)) as running:
            return row.status, [ended.status async for ended in running.resume()]

    assert virtual.run(main()) == ("running", ["succeeded"])


def test_a_decision_left_to_the_owner_is_heard_by_a_living_engine_which_goes_on():
    async def main():
        store, of = MemoryStore(), chain(2)
        async with engine(of, asking, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            row = await decide(MemoryJournal(store), of.rules, request(), leave=True, now_us=virtual.now_us)
            await asyncio.sleep(1)
            return row.status, (await running.journal.run("run")).status, store.requests

    assert virtual.run(main()) == ("succeeded", "succeeded", {})


def test_a_decision_left_to_an_owner_that_is_gone_is_journaled_here():
    async def main():
        store, of = MemoryStore(), chain(2)
        await parked(store, of)
        row = await decide(MemoryJournal(store), of.rules, request(), leave=True, now_us=virtual.now_us)
        return row.status, store.requests, virtual.seconds()

    status, requests, seconds = virtual.run(main())
    assert (status, requests) == ("running", {})
    assert 1 <= seconds < 2


def test_an_engine_that_is_closed_leaves_what_it_was_woken_for():
    async def slow(job):
        await asyncio.sleep(5 if job.feedback else 0)
        return await asking(job)

    async def main():
        store, of = MemoryStore(), chain(2, timeout="1m")
        async with engine(of, slow, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            await decide(MemoryJournal(store), of.rules, request(), leave=True, now_us=virtual.now_us)
        async with engine(of, slow, journal=MemoryJournal(store)) as running:
            return [ended.status async for ended in running.resume()]

    assert virtual.run(main()) == ["succeeded"]


def test_a_stop_in_the_middle_of_what_was_decided_is_told():
    async def slow(job):
        await asyncio.sleep(5 if job.feedback else 0)
        return await asking(job)

    async def main():
        async with engine(chain(2, timeout="1m"), slow) as running:
            await running.run({}, run_id="run")
            task = asyncio.create_task(running.decide("run", "s0", "answer", text="yes", by="eve"))
            await asyncio.sleep(1)
        return await end(task)

    assert isinstance(virtual.run(main()), RunInterrupted)


def test_a_driver_that_does_not_answer_is_named_and_takes_the_decision_when_it_does():
    async def main():
        store, of = MemoryStore(), team(step("s0"), step("s1"))
        owner = MemoryJournal(store)
        opening = Opening(of.hash, of.rules.plan.hash)
        started_ = e.RunStarted(0, Raw(b"{}"), of.hash, of.rules.plan.hash)
        asked = e.QuestionAsked(2, "s0", 1, il.Question("may I?"))
        calls = [e.AttemptStarted(1, name, 1, "ann", "v") for name in ("s0", "s1")]
        await owner.append("run", 0, [started_, *calls, asked], opening=opening)
        with pytest.raises(JournalError, match="has not answered; it will take the decision when it does"):
            await decide(MemoryJournal(store), of.rules, request(), now_us=virtual.now_us)
        await owner.close()
        async with engine(of, asking, journal=MemoryJournal(store)) as running:
            return [ended.status async for ended in running.resume()], store.requests

    assert virtual.run(main()) == (["succeeded"], {})


def test_under_another_version_of_the_team_nothing_is_decided():
    async def main():
        store = MemoryStore()
        await parked(store)
        async with engine(chain(3), asking, journal=MemoryJournal(store)) as running:
            with pytest.raises(TeamChanged):
                await running.decide("run", "s0", "answer", text="yes", by="eve")
            return (await running.journal.run("run")).status

    assert virtual.run(main()) == "parked"


def test_what_was_asked_in_a_request_that_can_not_be_read_is_refused():
    async def main():
        store, of = MemoryStore(), chain(2)
        async with engine(of, asking, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            await running.journal.ask(Request("bad", "run", "decide", "person:eve", "", b'{"step":"s0","verb":"own"}'))
            await asyncio.sleep(1)
            return await story(running, "run"), store.requests, (await running.journal.run("run")).status

    events, requests, status = virtual.run(main())
    assert events[-1] == "AnswerRefused "
    assert (requests, status) == ({}, "parked")


def test_a_secret_is_no_answer():
    class Secrets:
        def refresh(self):
            pass

        def among(self, raw):
            return "PASSWORD" if b"hunter2" in raw else ""

        def hidden(self, text):
            return text.replace("hunter2", "${PASSWORD}")

    async def main():
        store, of = MemoryStore(), chain(2)
        async with engine(of, asking, journal=MemoryJournal(store), secrets=Secrets()) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="holds the value of PASSWORD"):
                await running.decide("run", "s0", "answer", text="hunter2", by="eve")
            stranger, told = MemoryJournal(store), request(text="hunter2")
            with pytest.raises(InputError, match="holds the value of PASSWORD"):
                await decide(stranger, of.rules, told, secrets=Secrets(), now_us=virtual.now_us)
            # Who doesn't know of it is told by the engine that does.
            with pytest.raises(DecisionRefused, match="holds the value of PASSWORD"):
                await decide(stranger, of.rules, told, leave=True, now_us=virtual.now_us)
            return b"hunter2" in b"".join(store.events["run"]), (await running.journal.run("run")).status

    assert virtual.run(main()) == (False, "parked")


def test_through_another_handle_on_one_file(tmp_path):
    async def slow(job):
        await asyncio.sleep(0.5 if job.step == "s1" else 0)
        return await asking(job)

    async def main():
        of = fan(2)
        async with engine(of, slow, journal=SqliteJournal(tmp_path / "j.db")) as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            while not await running.inbox():  # noqa: ASYNC110 - nobody tells when a question is there
                await asyncio.sleep(0)
            other = SqliteJournal(tmp_path / "j.db")
            await decide(other, of.rules, request())
            await other.close()
            return (await task).status

    assert asyncio.run(main()) == "succeeded"


def test_it_is_in_the_public_face():
    assert il.Orchestrator.decide is Engine.decide
    assert il.Orchestrator.inbox is Engine.inbox


# --- deadlines ---

DAY = 86_400.0
WAYS = {
    "dead": ({"deadline": "24h"}, "failed", {}),
    "fallback": ({"deadline": "24h", "then": "fallback"}, "succeeded", {"s0": "by bob"}),
    "default": (
        {"deadline": "24h", "then": "default", "default": {"out.s0": "none"}},
        "succeeded",
        {"s0": "none"},
    ),
}


async def by_bob(job: il.Job) -> Any:
    if job.agent == "ann":
        return il.Reply(ask=il.Question("may I?"))
    return {"out.s0": "by bob"}


def with_deadline(escalate: Any) -> il.Team:
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["*"]))
    return team(step("s0", escalate=escalate), agents=[bob], fallback="bob")


@pytest.mark.parametrize("way", WAYS)
def test_a_missed_deadline_takes_the_declared_way_months_and_a_restart_later(way):
    escalate, status, out = WAYS[way]

    async def main():
        store, of = MemoryStore(), with_deadline(escalate)
        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        await asyncio.sleep(3 * MONTH)
        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            ended = [run async for run in running.resume()]
            return ended, await running.inbox()

    [ended], left = virtual.run(main())
    assert (ended.status, left) == (status, [])
    assert ended.context.get("out", {}) == out


@pytest.mark.parametrize("way", WAYS)
def test_a_missed_deadline_takes_the_declared_way_while_an_engine_is_open(way):
    escalate, status, _ = WAYS[way]

    async def main():
        heard = []
        store, of = MemoryStore(), with_deadline(escalate)
        observe = lambda _, facts: heard.extend(type(fact).__name__ for fact in facts)  # noqa: E731 - it is short
        async with engine(of, by_bob, journal=MemoryJournal(store), observers=[observe]) as running:
            await running.run({}, run_id="run")
            await asyncio.sleep(DAY - 5)
            assert (await running.journal.run("run")).status == "parked"
            await asyncio.sleep(10)
            return (await running.journal.run("run")).status, heard

    found, heard = virtual.run(main())
    assert found == status
    assert "QuestionExpired" in heard


def test_a_deadline_is_kept_of_a_run_that_is_parked_after_a_while_without_any():
    async def main():
        of = with_deadline(WAYS["default"][0])
        async with engine(of, by_bob) as running:
            await asyncio.sleep(60)
            await running.run({}, run_id="run")
            await asyncio.sleep(DAY + 10)
            return (await running.journal.run("run")).status

    assert virtual.run(main()) == "succeeded"


def test_whatever_a_journal_raises_deadlines_are_looked_after_again(caplog):
    class Broken(MemoryJournal):
        failures = 3

        async def questions(self, run_id=""):
            if self.failures:
                self.failures -= 1
                raise TypeError("'<=' not supported")
            return await super().questions(run_id)

    async def main():
        async with engine(with_deadline(WAYS["default"][0]), by_bob, journal=Broken()) as running:
            await running.run({}, run_id="run")
            await asyncio.sleep(DAY + 70)
            return (await running.journal.run("run")).status

    assert virtual.run(main()) == "succeeded"
    assert "deadlines can't be looked after: TypeError: '<=' not supported" in caplog.text


def test_a_deadline_in_a_run_that_goes_on_is_a_timer_and_an_answer_ends_it():
    async def slow(job):
        await asyncio.sleep(10 if job.step == "s1" else 0)
        return await asking(job)

    async def main(*, answered):
        wait = {"deadline": "5s", "then": "default", "default": {"out.s0": "none"}}
        of = team(step("s0", escalate=wait), step("s1"), timeout="1m")
        async with engine(of, slow) as running:
            task = asyncio.create_task(running.run({}, run_id="run"))
            await asyncio.sleep(2)
            if answered:
                await asyncio.wait_for(running.decide("run", "s0", "answer", text="yes", by="eve"), 60)
            ended = await task
            return ended.context["out.s0"], ended.duration, await story(running, "run")

    value, seconds, events = virtual.run(main(answered=False))
    assert (value, seconds) == ("none", 10.0)
    assert "QuestionExpired s0" in events
    value, _, events = virtual.run(main(answered=True))
    assert value == "yes"
    assert "QuestionExpired s0" not in events


def test_overdue_runs_are_gone_on_with_in_the_order_of_their_deadlines():
    async def main():
        store, of = MemoryStore(), with_deadline(WAYS["default"][0])
        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            for run_id in ("c", "a", "b"):
                await running.run({}, run_id=run_id)
                await asyncio.sleep(1)
        await asyncio.sleep(DAY * 2)
        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            return [run.run_id async for run in running.resume(width=1)]

    assert virtual.run(main()) == ["c", "a", "b"]


class Outrun(MemoryJournal):
    """Somebody answers the question of one run at the moment at which its deadline would be journaled."""

    def append(self, run_id, expected_seq, events, **more):
        if run_id == "b" and isinstance(events[0], e.QuestionExpired):
            raise StaleDriver("run b is driven by another process now")
        return super().append(run_id, expected_seq, events, **more)


def test_an_answer_at_the_moment_of_the_deadline_holds_no_other_run_up():
    async def main():
        store, of = MemoryStore(), with_deadline(WAYS["default"][0])
        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            for run_id in ("a", "b", "c"):
                await running.run({}, run_id=run_id)
        await asyncio.sleep(DAY * 2)
        async with engine(of, by_bob, journal=Outrun(store)) as running:
            resumed = [run.run_id async for run in running.resume(width=1)]
            with pytest.raises(StaleDriver, match="somebody has decided about run b"):
                await running.resume_run("b")
            return resumed

    assert virtual.run(main()) == ["a", "c"]


def test_a_run_that_another_process_goes_on_with_after_its_deadline_holds_no_other_up():
    async def main():
        store, of, others = MemoryStore(), with_deadline(WAYS["fallback"][0]), []

        async def slowly(job):
            if job.agent == "bob":
                await asyncio.sleep(2)
            return await by_bob(job)

        class Late(MemoryJournal):
            """Reads a run only when another process goes on with it already."""

            async def load(self, run_id):
                if run_id == "a" and not others:
                    others.append(asyncio.create_task(other.resume_run("a")))
                    await asyncio.sleep(0.5)
                return await super().load(run_id)

        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            for run_id in ("a", "b"):
                await running.run({}, run_id=run_id)
        await asyncio.sleep(DAY * 2)
        async with (
            engine(of, slowly, journal=MemoryJournal(store)) as other,
            engine(of, by_bob, journal=Late(store)) as late,
        ):
            resumed = [run.run_id async for run in late.resume(width=1)]
            return resumed, (await others[0]).status

    assert virtual.run(main()) == (["b"], "succeeded")


def test_an_engine_sees_to_what_another_process_has_parked():
    async def main():
        store, of = MemoryStore(), with_deadline(WAYS["default"][0])
        async with engine(of, by_bob, journal=MemoryJournal(store)) as watching:
            async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
                await running.run({}, run_id="run")
            await asyncio.sleep(DAY + 31)
            return (await watching.journal.run("run")).status

    assert virtual.run(main()) == "succeeded"


def test_a_person_after_the_deadline_is_told_that_it_has_passed():
    async def main():
        store, of = MemoryStore(), with_deadline(WAYS["dead"][0])
        async with engine(of, by_bob, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            await asyncio.sleep(DAY + 5)
            with pytest.raises(DecisionRefused, match="the deadline has decided about it"):
                await running.decide("run", "s0", "answer", text="yes", by="eve")

    virtual.run(main())


def test_attempts_that_are_used_up_are_a_persons_to_decide_about():
    async def broken(job):
        return {"out.s0": "five"}

    async def main():
        number = {"properties": {"out.s0": {"type": "integer"}}}
        async with engine(team(step("s0", schema=number), retries=1, escalate=True), broken) as running:
            run = await running.run({}, run_id="run")
            assert run.reason == "s0 needs a person: out.s0: Expected `int`, got `str`"
            [waiting] = await running.inbox()
            assert waiting.attempt == 2
            return await running.decide("run", "s0", "edit", writes={"out.s0": 5}, by="eve")

    ended = virtual.run(main())
    assert (ended.status, ended.context["out.s0"], ended.cost.calls) == ("succeeded", 5, 2)


def test_whoever_decides_may_go_away_and_the_run_goes_on():
    """A request of a server that its client has dropped: the decision is taken, and nothing else notices."""

    async def main():
        async with engine(fan(2), slowly_asking) as running:
            run = asyncio.create_task(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            deciding = asyncio.create_task(running.decide("run", "s0", "answer", text="yes", by="eve"))
            await asyncio.sleep(0)
            deciding.cancel()
            return (await run).status

    assert virtual.run(main()) == "succeeded"


async def slowly_asking(job: il.Job) -> Any:
    if job.step == "s0":
        return {"out.s0": job.answer} if job.answer else il.Reply(ask=il.Question("may I?"))
    await asyncio.sleep(3)
    return {f"out.{job.step}": "done"}


@pytest.mark.parametrize(("by", "body"), [("", None), ("a\x1b[2J", None), ("person:eve", 123), ("person:eve", b"\xff")])
def test_a_request_that_nobody_could_have_made_so_is_refused_and_the_question_stays(by, body):
    async def main():
        store = MemoryStore()
        await parked(store)
        asked = request()
        odd = msgspec.structs.replace(asked, by=by, body=asked.body if body is None else body)
        async with engine(chain(2), asking, journal=MemoryJournal(store)) as running:
            await running.journal.ask(odd)
            await running.resume_run("run")
            waiting = [one.step for one in await running.inbox()]
            return waiting, await running.journal.load("run")

    waiting, events = virtual.run(main())
    assert waiting == ["s0"]
    assert not [event for event in events if isinstance(event, e.QuestionAnswered)]
