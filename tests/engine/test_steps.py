"""A person has one step of a run tried again, or lets the run go on without it."""

import asyncio

import pytest

import interlock as il
from interlock.agents.effects import Performed
from interlock.core import events as e
from interlock.errors import DecisionRefused, InputError, RunNotFound, StaleDriver, TeamChanged
from interlock.history import replay
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Letters
from tests import virtual

from .stage import chain, engine, fan, step, team
from .test_performances import Outside, desk
from .test_redrive import Asks, Ill, Slow, record

EVE = {"by": "eve", "reason": "it isn't needed"}


def after(of, agent, verb, name, *, heal=True, **given):
    """A run of this team, whose step a person has tried again or skipped: as it ends, and its record."""

    async def main():
        async with engine(of, agent) as running:
            before = await running.run({}, run_id="run")
            if heal:
                getattr(agent, "inner", agent).steps.clear()
            ended = await getattr(running, verb)("run", name, **(given or EVE))
            letters = await running.journal.letters(Letters())
            told = await record(running.journal, "run")
            assert [moment.mismatches for moment in replay(told) if moment.mismatches] == []
            return before, ended, letters, told

    return virtual.run(main())


def test_a_dead_step_is_tried_again_in_its_run():
    before, ended, [letter], told = after(chain(3), Ill("s1"), "retry", "s1")
    assert (before.status, ended.status, ended.run_id) == ("failed", "succeeded", "run")
    assert (letter.redriven_by, letter.redriven_reason) == ("person:eve", "it isn't needed")
    [reopened] = [event for event in told.events if isinstance(event, e.RunReopened)]
    assert (reopened.steps, reopened.by, reopened.skip) == (("s1",), "person:eve", False)


def test_a_run_goes_on_without_a_dead_step():
    of = team(step("a"), step("b"), step("c", "a", "b"))
    before, ended, [letter], told = after(of, Ill("a"), "skip", "a", heal=False)
    assert (before.status, ended.status) == ("failed", "succeeded")
    assert ended.steps == {"a": "skipped", "b": "committed", "c": "committed"}
    assert letter.redriven_run == "run"
    assert told.folded().reasons == {1: "person:eve has skipped it: it isn't needed"}
    assert e.RunReopened(told.events[-5].at_us, ("a",), "person:eve", "it isn't needed", skip=True) in told.events


def test_what_needs_nothing_but_skipped_steps_is_skipped():
    _, ended, _, _ = after(chain(3), Ill("s0"), "skip", "s0")
    assert (ended.status, ended.steps) == ("succeeded", dict.fromkeys(("s0", "s1", "s2"), "skipped"))


def test_another_dead_step_still_fails_the_run():
    _, ended, _, _ = after(fan(2), Ill("s0", "s1"), "skip", "s0", heal=False, by="eve")
    assert (ended.status, ended.steps) == ("failed", {"s0": "skipped", "s1": "dead"})


class Lists(Ill):
    async def __call__(self, job):
        return {"q": [1, 2]} if job.step == "z" else await super().__call__(job)


@pytest.mark.parametrize(("dead", "on_dead"), [(("a-0",), "fail_run"), (("a-0", "a-1"), "skip")])
def test_an_item_is_skipped(dead, on_dead):
    items = step("a", "z", for_each="q", writes=["out.{step}"], on_dead=on_dead)

    async def main():
        async with engine(team(step("z", writes=["q"]), items, step("b", "a")), Lists(*dead)) as running:
            before = await running.run({}, run_id="run")
            with pytest.raises(InputError) as refused:
                await running.skip("run", "a")
            return before, str(refused.value), await running.skip("run", dead[-1], **EVE)

    before, said, ended = virtual.run(main())
    assert (before.steps["a"], before.steps["b"]) == ("dead", "skipped")
    assert f"it is dead of its items: {', '.join(dead)}; name one of them" in said
    assert (ended.steps["a"], ended.steps[dead[-1]], ended.steps["b"]) == ("committed", "skipped", "committed")


def test_a_step_that_waits_for_a_person_is_tried_again_or_skipped():
    of = team(step("s0"), step("s1", "s0"), step("s2"), step("s3", "s1", "s2"))
    before, ended, _, told = after(of, Asks(Ill()), "skip", "s1")
    assert (before.status, ended.status) == ("parked", "succeeded")
    assert ended.steps == {"s0": "committed", "s1": "skipped", "s2": "committed", "s3": "committed"}
    [answered] = [event for event in told.events if isinstance(event, e.QuestionAnswered)]
    assert (answered.decision, answered.by, answered.reason) == ("skip", "person:eve", "it isn't needed")
    _, ended, _, told = after(of, Asks(Ill()), "retry", "s1")
    assert ended.status == "parked"
    assert told.folded().attempts[told.folded().number["s1"]] == 2


@pytest.mark.parametrize("verb", ["retry", "skip"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s0", "it has committed; run it again in a new run: interlock fork run --at s0"),
        ("s2", "it was skipped; run it again in a new run: interlock fork run --at s2"),
        ("s9", "there is no such step; its steps: s0, s1, s2"),
    ],
)
def test_what_is_neither_dead_nor_waits_is_left_alone(verb, name, said):
    async def main():
        async with engine(chain(3), Ill("s1")) as running:
            await running.run({}, run_id="run")
            count = len(await running.journal.load("run"))
            with pytest.raises(InputError) as refused:
                await getattr(running, verb)("run", name)
            assert len(await running.journal.load("run")) == count
            return str(refused.value)

    what = "tried again" if verb == "retry" else "skipped"
    assert virtual.run(main()) == f"step '{name}' of run run can't be {what}: {said}"


def test_where_more_has_come_after_it_only_a_fork_helps():
    of = team(step("a", on_dead="continue"), step("b", "a"))

    async def main():
        async with engine(of, Ill("a")) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="step b comes after a, and has started already; run it again"):
                await running.skip("run", "a")

    virtual.run(main())


def test_a_step_behind_a_question_and_one_of_a_cancelled_run_are_left_alone():
    async def main():
        async with engine(team(step("s1"), step("s2", "s1")), Asks(Ill())) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="it has not begun; see what comes before it"):
                await running.skip("run", "s2")
            await running.cancel("run")
            with pytest.raises(InputError, match="the run was cancelled, which is final; run it again in a new run"):
                await running.retry("run", "s1")
            with pytest.raises(RunNotFound):
                await running.retry("none", "s1")

    virtual.run(main())


def test_what_has_committed_is_not_skipped_for_its_effects():
    async def mails(job):
        return il.Reply(writes={f"out.{job.step}": 1}, effects=[il.Effect("mail", {}, key="m")])

    async def main():
        outside = Outside(*[il.NotPerformed("no line", again=False)] * 2)
        of = desk(step("a"))
        async with engine(of, mails, performers={"mail": Performed(outside)}) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="not done; have them tried again: interlock retry run a"):
                await running.skip("run", "a")
            first = await running.retry("run", "a")
            return first, await running.retry("run", "a")

    first, second = virtual.run(main())
    assert (first.status, second.status) == ("failed", "succeeded")


def test_a_question_about_an_effect_is_answered_first():
    async def mails(job):
        return il.Reply(effects=[il.Effect("mail", {}, key="m")])

    async def main():
        of = desk(step("a"), retries=0)
        async with engine(of, mails, performers={"mail": Performed(Outside(OSError("the line broke")))}) as running:
            parked = await running.run({}, run_id="run")
            with pytest.raises(DecisionRefused, match="a can't be dealt with by skip: the question is what became of"):
                await running.skip("run", "a")
            return parked

    assert virtual.run(main()).status == "parked"


def test_under_another_team_it_is_refused():
    async def main():
        store = MemoryStore()
        async with engine(chain(2), Ill("s1"), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        async with engine(chain(2, timeout="9s"), journal=MemoryJournal(store)) as running:
            with pytest.raises(TeamChanged, match=r"agents\.ann\.timeout.*interlock fork run --at s1 --team TEAM"):
                await running.retry("run", "s1")

    virtual.run(main())


def test_a_dead_step_of_a_run_that_somebody_drives_is_left_to_them():
    async def main():
        async with engine(team(step("a"), step("b")), Slow()) as running:
            going = asyncio.ensure_future(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            with pytest.raises(StaleDriver, match="run run is being driven; skip it when it has ended"):
                await running.skip("run", "a")
            await going

    virtual.run(main())


def test_nobody_is_no_person():
    async def main():
        async with engine(chain(1), Ill("s0")) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="can't be recorded as who decides"):
                await running.skip("run", "s0", by="")

    virtual.run(main())


def test_to_skip_an_item_makes_no_room_that_others_have_taken():
    calls = []

    async def work(job):
        calls.append(job.step)
        if job.index == 0:
            raise il.AgentRefused("no")
        return il.Reply(ask=il.Question("well?"))

    async def main():
        narrow = step("w", for_each="list", width=1, writes=["out.{step}"])
        async with engine(team(narrow), work) as running:
            assert (await running.run({"list": [1, 2, 3]}, run_id="run")).status == "parked"
            await running.skip("run", "w-0", by="Ada")
            assert calls == ["w-0", "w-1"]
            await running.skip("run", "w-1", by="Ada")
        return calls

    assert virtual.run(main()) == ["w-0", "w-1", "w-2"]
