"""An agent that keeps to its contract passes; every way of breaking it is found and told."""

import asyncio
import time
from pathlib import Path

import pytest

import interlock as il
from interlock.errors import AgentError, ReplyRefused, TeamError, UsageError
from interlock.testing.contract import FAILURES_SHOWN, TIMEOUTS_MAX, check_agent

EXAMPLES = Path(__file__).parents[2] / "examples"
SCHEMA = {"required": ["a.n"], "properties": {"a.n": {"type": "integer", "minimum": 0}}}


def agent(name, use=None, reads=(), writes=(), **declared):
    return il.Agent(name, use=use, scope=il.Scope(["act"], reads, writes), **declared)


def step(id_, name, **given):
    return il.Step(id_, name, "act", **given)


def chain(use=None, **declared):
    """first writes a.n by its schema, second reads it."""
    first = agent("first", writes=["a.n"], schema=SCHEMA)
    second = agent("second", use=use, reads=["a.n", "q"], writes=["b"], **declared)
    return il.Team([first, second], il.Plan([step("one", "first"), step("two", "second", needs=["one"])]))


async def good(job):
    return {"b": job.view["a.n"] + len(job.view["q"])}


def test_an_agent_that_keeps_to_its_contract():
    report = check_agent(chain(good), "second", examples=30)
    report.raise_for_failures()
    assert report.ok
    assert (report.calls, report.accepted, report.questions, report.failures, report.notes) == (30, 30, 0, (), ())
    assert str(report) == "agent second: 30 calls, 30 accepted, 0 failed (seed 0)"


@pytest.mark.parametrize("name", ["document_pipeline", "support_desk"])
def test_the_agents_of_the_examples_keep_to_theirs(name):
    team = il.Team.load(EXAMPLES / name)
    for each in team.agents:
        check_agent(team, each).raise_for_failures()


def test_the_views_are_those_of_a_run_and_the_same_for_the_same_seed():
    seen = []

    async def look(job):
        assert (job.step, job.agent, job.action, job.attempt) == ("two", "second", "act", 1)
        assert type(job.view["a.n"]) is int
        assert job.view["a.n"] >= 0
        with pytest.raises(KeyError):
            job.view["other"]
        seen.append(job.view.to_dict())
        return {}

    for seed in (1, 1, 2):
        check_agent(chain(look), "second", examples=5, seed=seed).raise_for_failures()
    assert seen[:5] == seen[5:10] != seen[10:]


def test_a_refused_reply_is_told_with_the_view():
    async def bad(job):
        return {"b": 1, "elsewhere": 2}

    report = check_agent(chain(bad), "second", examples=2)
    assert (report.ok, report.calls, report.accepted) == (False, 2, 0)
    failure = report.failures[0]
    assert (failure.step, failure.example, failure.kind) == ("two", 1, "refused")
    assert failure.findings == ("second may not write elsewhere; it may write b",)
    first, second, saw, answered, finding = str(report).splitlines()[:5]
    assert first == "agent second: 2 calls, 0 accepted, 2 failed (seed 0)"
    assert second == "step two, example 1: refused"
    assert saw.startswith('  saw      {"')
    assert answered == "  answered {'b': 1, 'elsewhere': 2}"
    assert finding == "  - second may not write elsewhere; it may write b"
    with pytest.raises(AssertionError, match="second may not write elsewhere"):
        report.raise_for_failures()


def test_what_an_agent_raises_is_a_failure_and_names_the_line():
    async def broken(job):
        return {"b": job.view["nothing"]}

    report = check_agent(chain(broken), "second", examples=20)
    assert {failure.kind for failure in report.failures} == {"raised"}
    assert "KeyError" in report.failures[0].findings[0]
    assert "test_contract.py:" in report.failures[0].findings[0]
    assert "Traceback" not in str(report)
    assert f"and {20 - FAILURES_SHOWN} more failures" in str(report)


@pytest.mark.parametrize("error", [SystemExit(3), AgentError("no key"), asyncio.CancelledError()], ids=repr)
def test_whatever_it_raises(error):
    async def broken(job):
        raise error

    assert [failure.kind for failure in check_agent(chain(broken), "second", examples=2).failures] == ["raised"] * 2


def test_an_answer_that_its_adapter_cannot_read_is_refused():
    async def unreadable(job):
        raise ReplyRefused("no JSON in it")

    [failure] = check_agent(chain(unreadable), "second", examples=1).failures
    assert (failure.kind, failure.findings, failure.reply) == ("refused", ("no JSON in it",), "")


async def sleeps(job):
    await asyncio.sleep(30)


async def goes_on(job):
    while True:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(1.5)
            raise


def blocks(job):
    time.sleep(3)


@pytest.mark.parametrize("slow", [sleeps, goes_on, blocks])
def test_an_agent_that_is_too_slow(slow):
    report = check_agent(chain(slow, timeout="50ms"), "second")
    assert [failure.kind for failure in report.failures] == ["timed out"] * TIMEOUTS_MAX
    assert report.failures[0].findings == ("it took longer than 0.05 s",)
    assert report.notes == ("step two: not called again after 3 timeouts",)


def test_a_sync_agent_and_a_callable_in_its_place():
    def sync(job):
        return {"b": job.view["a.n"]}

    check_agent(chain(sync), "second").raise_for_failures()
    check_agent(chain(), "second", use=good).raise_for_failures()
    assert not check_agent(chain(good), "second", use=lambda job: None).ok


def test_a_question_is_a_good_reply():
    async def ask(job):
        return il.Reply(ask=il.Question("Really?"))

    report = check_agent(chain(ask), "second", examples=3)
    assert (report.ok, report.accepted, report.questions) == (True, 3, 3)
    assert "3 accepted (3 of them questions)" in str(report)


def test_every_step_it_may_do_also_as_a_fallback_or_for_an_item():
    calls = []

    async def work(job):
        calls.append((job.step, job.agent, job.attempt, type(job.item), job.index))
        return {"b." + job.step: 1}

    first = agent("first", writes=["b.*"], fallback="worker")
    team = il.Team(
        [first, agent("worker", use=work, writes=["b.*"])],
        il.Plan(
            [
                step("one", "worker", writes=["b.one"]),
                step("two", "worker", for_each="q.items", writes=["b.{step}"]),
                step("three", "first", samples=2, writes=["b.{step}"]),
            ]
        ),
    )
    report = check_agent(team, "worker", examples=40)
    report.raise_for_failures()
    assert report.calls == 160
    assert {call[0] for call in calls} >= {"one", "two-0", "two-1", "three-1", "three-2"}
    assert {call[3] for call in calls if call[0].startswith("two")} == {str}
    assert {call[1:] for call in calls if call[0] == "three-2"} == {("worker", 2, type(None), 2)}


def test_the_item_is_told():
    team = il.Team(
        [agent("worker", writes=["b.*"])], il.Plan([step("two", "worker", for_each="q.items", writes=["b.{step}"])])
    )
    report = check_agent(team, "worker", use=lambda job: {"c": 1}, examples=5)
    assert all(type(failure.item) is str for failure in report.failures)
    assert '\n  item     "' in str(report)


def conditional(when, schema=SCHEMA, before=None):
    return il.Team(
        [agent("first", writes=["a.n"], schema=schema), agent("second", use=good, reads=["a.n", "q"], writes=["b"])],
        il.Plan([step("one", "first", when=before), step("two", "second", needs=["one"], when=when)]),
    )


def test_its_own_condition_always_holds():
    seen = []

    async def note(job):
        seen.append(job.view["a.n"])
        return {}

    check_agent(conditional({"path": "a.n", "op": "==", "value": 77}), "second", use=note).raise_for_failures()
    assert seen == [77] * 20


def test_a_step_that_no_run_comes_to_is_said():
    report = check_agent(conditional({"path": "a.n", "op": "<", "value": 0}), "second")
    assert not report.ok
    assert report.calls == 0
    [note] = report.notes
    assert note.startswith("step two: no run came to it for example 1: its condition did not hold: a.n < 0")
    with pytest.raises(AssertionError, match="no run came to it"):
        report.raise_for_failures()


def test_a_branch_is_come_to_by_requesting_it():
    asked = step("first", "other", on_request={"escalate": "second"})
    other = il.Agent("other", scope=il.Scope(["act", "escalate"], [], ["a"]))
    team = il.Team([other, agent("reader", lambda _: {"b": 1}, ["a"], ["b"])], il.Plan([
        asked, step("second", "reader", needs=["first"]),
    ]))  # fmt: skip
    assert check_agent(team, "reader", examples=5).accepted == 5


def test_conditions_of_earlier_steps_that_never_hold_do_not_hide_it():
    never = {"path": "mode", "op": "<", "value": None}
    report = check_agent(conditional(None, before=never), "second")
    assert report.ok


def test_earlier_steps_that_contradict_each_other_are_named():
    team = il.Team(
        [
            agent("first", writes=["a"], schema={"required": ["a"], "properties": {"a": {"type": "string"}}}),
            agent("next", writes=["a.n"], schema=SCHEMA),
            agent("second", use=good),
        ],
        il.Plan([step("one", "first"), step("two", "next", needs=["one"]), step("three", "second", needs=["two"])]),
        succession={"a": ["first", "next"]},
    )
    [note] = check_agent(team, "second").notes
    assert "step two could not be done: a.n can't be written: a holds a value" in note


def test_mistakes_of_the_caller():
    team = chain(good)
    with pytest.raises(TeamError, match="no agent secnd; did you mean second"):
        check_agent(team, "secnd")
    with pytest.raises(TeamError, match="first has no use"):
        check_agent(team, "first")
    with pytest.raises(TeamError, match="idle does no step of the plan; give it one"):
        check_agent(il.Team([agent("idle", good), agent("busy")], il.Plan([step("one", "busy")])), "idle")
    with pytest.raises(UsageError, match="examples is 0; ask for 1 or more"):
        check_agent(team, "second", examples=0)
    with pytest.raises(UsageError, match="use is a str"):
        check_agent(team, "second", use="agents:second")
    unmakeable = {"required": ["a.n"], "properties": {"a.n": {"type": "string", "pattern": "a(?=b)"}}}
    with pytest.raises(TeamError, match="add examples"):
        check_agent(conditional(None, schema=unmakeable), "second")


def test_in_a_running_loop_it_says_how_to_call_it():
    async def main():
        check_agent(chain(good), "second")

    with pytest.raises(UsageError, match="call it from a plain function"):
        asyncio.run(main())
