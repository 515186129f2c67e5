"""A run is forked at a step: that step and what comes after it run again in a new run, and the rest is shared."""

import asyncio

import pytest

import interlock as il
from interlock.agents.effects import Performed
from interlock.core import events as e
from interlock.errors import InputError, RunNotFound, TeamChanged
from interlock.history import replay
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Letters
from tests import virtual

from .stage import Ann, chain, engine, step, story, team
from .test_performances import Outside, desk, mails
from .test_redrive import Asks, Ill, record

SINCE = {"by": "person:ann", "reason": "what if"}


def forked(of, at, agent=None, before=None, **given):
    """A run of this team and a fork of it: both as they ended, the calls of the fork, and its record."""

    async def main():
        does = agent or Ill()
        async with engine(of, does) as running:
            first = await running.run({"q": 1}, run_id="run")
            if before is not None:
                await before(running, does)
            calls = len(does.calls)
            untouched = await story(running, "run")
            after = await running.fork("run", at, **SINCE, **given)
            assert await story(running, "run") == untouched
            return first, after, does.calls[calls:], await record(running.journal, after.run_id)

    return virtual.run(main())


def diamond():
    return team(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))


def test_a_step_and_what_comes_after_it_run_again_and_the_rest_is_shared():
    first, after, calls, told = forked(diamond(), "b")
    assert first.status == after.status == "succeeded"
    assert after.run_id != "run"
    assert [name for name, _ in calls] == ["b", "d"]
    assert told.events[0].origin == e.Origin("run", ("b",), "person:ann", "what if", at="b")
    assert [moment.mismatches for moment in replay(told) if moment.mismatches] == []


def test_what_the_step_is_shown_can_be_changed():
    first, after, calls, told = forked(diamond(), "b", changes={"q": 2, "out.a": "mended"})
    assert (after.context["q"], after.context["out.a"], first.context["q"]) == (2, "mended", 1)
    assert [name for name, _ in calls] == ["b", "d"]
    assert told.events[0].origin.changed == ("q", "out.a")


def test_all_copies_of_a_step_run_again_and_one_of_them_does_so_alone():
    of = team(step("a"), step("s", "a", samples=3, writes=["out.{step}"]), step("z", "s"))
    assert [name for name, _ in forked(of, "s")[2]] == ["s-1", "s-2", "s-3", "z"]
    assert [name for name, _ in forked(of, "s-2")[2]] == ["s-2", "z"]


def test_what_is_dead_is_tried_again_as_well():
    async def heal(_, agent):
        agent.steps.clear()

    of = team(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))
    first, after, calls, told = forked(of, "c", Ill("b"), heal)
    assert (first.status, after.status) == ("failed", "succeeded")
    assert [name for name, _ in calls] == ["b", "c", "d"]
    assert told.events[0].origin.steps == ("c", "b")


def test_a_parked_and_a_cancelled_run_are_forked_as_well():
    agent = Ill()
    asking = Asks(agent)
    asking.calls = agent.calls
    of = team(step("s0"), step("s1", "s0"))
    first, after, calls, _ = forked(of, "s1", asking)
    assert (first.status, after.status, calls) == ("parked", "parked", [])
    assert after.steps == {"s0": "committed", "s1": "escalated"}

    async def cancel(running, _):
        await running.cancel("run")

    _, after, calls, _ = forked(of, "s0", asking, cancel)
    assert (after.status, [name for name, _ in calls]) == ("parked", ["s0"])


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("bb", "there is no step 'bb' to fork at; did you mean b?; its steps: a, b, c, d"),
        ("", "there is no step '' to fork at; its steps: a, b, c, d"),
    ],
)
def test_there_must_be_such_a_step(at, said):
    with pytest.raises(InputError) as refused:
        forked(diamond(), at)
    assert str(refused.value) == said


def test_a_run_that_is_not_over_and_one_that_there_is_not_can_not_be_forked():
    async def main():
        async with engine(chain(2), Ann(every=5)) as running:
            going = asyncio.ensure_future(running.run({}, run_id="run"))
            await asyncio.sleep(1)
            with pytest.raises(InputError, match="run run is not over; let it end first: interlock resume"):
                await running.fork("run", "s0")
            with pytest.raises(RunNotFound):
                await running.fork("none", "s0")
            await going

    virtual.run(main())


def test_it_may_be_forked_again_and_a_fork_too_and_letters_go_along_once():
    async def main():
        agent = Ill("s1")
        async with engine(chain(3), agent) as running:
            await running.run({}, run_id="run")
            first = await running.fork("run", "s0", **SINCE)
            agent.steps.clear()
            second = await running.fork("run", "s1", **SINCE)
            third = await running.fork(second.run_id, "s2", **SINCE)
            return first, second, third, await running.journal.letters(Letters()), agent.calls

    first, second, third, letters, calls = virtual.run(main())
    assert [run.status for run in (first, second, third)] == ["failed", "succeeded", "succeeded"]
    assert {letter.run_id: letter.redriven_run for letter in letters} == {"run": first.run_id, first.run_id: ""}
    assert [name for name, _ in calls] == ["s0", "s1", "s0", "s1", "s1", "s2", "s2"]


def test_another_team_only_where_that_is_meant():
    async def main():
        store, agent = MemoryStore(), Ill()
        async with engine(chain(3), agent, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        async with engine(chain(3, timeout="9s"), agent, journal=MemoryJournal(store)) as running:
            with pytest.raises(TeamChanged, match="add --team TEAM to have it tried under that team as it is"):
                await running.fork("run", "s1")
            calls = len(agent.calls)
            after = await running.fork("run", "s1", under_this_team=True)
            return after, agent.calls[calls:], await record(running.journal, after.run_id)

    after, calls, told = virtual.run(main())
    assert (after.status, [name for name, _ in calls]) == ("succeeded", ["s1", "s2"])
    assert told.events[0].origin.team


def test_another_team_must_have_the_step():
    async def main():
        store = MemoryStore()
        async with engine(chain(3), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        async with engine(chain(2), journal=MemoryJournal(store)) as running:
            with pytest.raises(InputError, match="the run can't go on under this team: there is no step s2"):
                await running.fork("run", "s2", under_this_team=True)

    virtual.run(main())


def test_effects_that_were_performed_stay_so_also_in_a_fork_of_a_fork_unless_they_are_repeated():
    async def main():
        outside = Outside()
        of = desk(step("a"), step("b", "a"))
        async with engine(of, mails, performers={"mail": Performed(outside)}) as work:
            await work.run({}, run_id="run")
            shares = await work.fork("run", "b")
            again = await work.fork(shares.run_id, "a")
            first = [*outside.done]
            repeated = await work.fork(again.run_id, "a", repeat_effects=True)
            last = await record(work.journal, repeated.run_id)
            return first, outside.done, repeated.run_id, last.events[0].origin.repeats_effects

    first, done, repeated, told = virtual.run(main())
    assert first == [({"from": "a"}, "run/a/effect:m")]
    assert done == [*first, ({"from": "a"}, f"{repeated}/a/effect:m")]
    assert told


def test_the_public_engine_forks():
    assert callable(il.Orchestrator.fork)


def test_what_a_person_has_skipped_stays_so_in_a_fork():
    calls = []

    async def work(job):
        calls.append(job.step)
        if job.step in {"a", "each-1"}:
            raise il.AgentRefused("no")
        if job.step == "b":
            return il.Reply(ask=il.Question("well?"))
        return {f"out.{job.step}": "done"}

    async def main():
        each = step("each", for_each="list", width=1, writes=["out.{step}"])
        async with engine(team(step("a"), step("b"), each, step("z", "a", "b", "each")), work) as running:
            await running.run({"list": [1, 2, 3]}, run_id="run")
            for skipped in ("a", "b", "each-1"):
                run = await running.skip("run", skipped, by="Ada", reason="gone")
            assert run.status == "succeeded"
            calls.clear()
            fork = await running.fork("run", "z")
            return calls, fork.steps

    calls, steps = virtual.run(main())
    assert calls == ["z"]
    assert {step: state for step, state in steps.items() if state == "skipped"} == {
        "a": "skipped",
        "b": "skipped",
        "each-1": "skipped",
    }
