"""A simulator of a team with others in it: who plays their agents, and what comes of that."""

import asyncio

import pytest

import interlock as il
from interlock.errors import UsageError
from interlock.testing import Fault, Simulator


async def find(job):
    return {"answer": f"about {job.view['question']}"}


async def ask(job):
    return il.Reply(ask=il.Question("May I?"))


async def fail(job):
    raise RuntimeError("it is down")


def simulator(agents=None, **given):
    inner_scope = il.Scope(["find"], ["question"], ["answer"])
    finder = il.Agent("finder", use=find, scope=inner_scope, timeout="1s", retries=1)
    inner = il.Team([finder], il.Plan([il.Step("find", "finder", "find")]), name="research")
    scope = il.Scope(["research"], ["text"], ["result"])
    border = {"inputs": {"question": "text"}, "outputs": {"result": "answer"}}
    research = il.Agent("research", use=inner, scope=scope, **border, **given)
    return Simulator(il.Team([research], il.Plan([il.Step("s", "research", "research")])), agents)


def test_a_nested_team_works_with_its_own_code():
    run = simulator().run({"text": "law"})
    assert (run.status, run.context["result"], run.cost.calls) == ("succeeded", "about law", 1)
    assert run.steps == {"s": "committed"}


def test_its_agents_are_named_after_the_agent_that_it_is():
    run = simulator().run({"text": "law"}, agents={"research.finder": fail})
    assert run.status == "failed"
    assert "RuntimeError: it is down" in run.reason
    assert simulator({"research.finder": ask}).run({"text": "law"}).status == "parked"
    assert simulator("generated").run({"text": "law"}).status == "succeeded"


@pytest.mark.parametrize("name", ["finder", "research", "research.findr"])
def test_an_agent_that_is_none_is_refused(name):
    with pytest.raises(UsageError, match=f"the team has no agent {name}.*its agents are research.finder"):
        simulator({name: fail})


def test_a_timeout_of_the_step_ends_the_run_below():
    async def slow(job):
        await asyncio.sleep(0.5)
        return {"answer": "late"}

    run = simulator(timeout="100ms").run({"text": "law"}, agents={"research.finder": slow})
    assert (run.status, run.duration < 1) == ("failed", True)
    assert "has not ended in time" in run.reason


def test_on_bad_days_every_promise_is_kept_and_a_crash_changes_nothing():
    assert simulator().seeds(10).seeds == 10
    assert simulator().stress(count=3, requests=[{"text": "law"}]).schedules == 3
    found = simulator().crashes({"text": "law"}, agents="real")
    assert found.points > 8
    assert found.differences == []


def test_faults_strike_the_agents_of_a_nested_team():
    run = simulator().run({"text": "law"}, faults=[Fault(fault="exception", attempt=1)])
    assert (run.status, run.faults) == ("succeeded", ("exception",))
