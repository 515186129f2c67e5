"""Where two runs part: the first step that was handed the same and answered otherwise."""

import asyncio

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.core.values import ABSENT
from interlock.history import Contrast, compare
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual
from tests.engine.stage import engine
from tests.history.runs import Noting, killed_and_resumed, ran, record, step, tampered, team


def compared(of, first, second, requests=({}, {}), **given):
    return compare(
        ran(of, first, requests[0], run_id="one", **given), ran(of, second, requests[1], run_id="two", **given)
    )


def parted(found):
    return [(step.step, step.kind) for step in found.steps]


async def passed_on(job):
    return {f"out.{job.step}": job.view.get("out.b", "nothing")}


CHAIN = team(step("a"), step("b", "a"), step("c", "b"), step("d", "a"))


def test_two_runs_that_did_the_same_are_equal():
    found = compared(CHAIN, Noting(), Noting(), ({"q": 1}, {"q": 1}))
    assert found.equal
    assert (found.root, found.same_team, found.runs) == (None, True, ("one", "two"))
    assert found.to_dict()["root"] is None


def test_the_order_in_which_steps_ran_is_no_difference():
    async def slowly(job):
        await asyncio.sleep(1)
        return {f"out.{job.step}": "done"}

    one, two = team(step("a"), step("b"), step("c", "a", "b")), Noting(a=[slowly])
    assert compared(one, two, Noting(b=[slowly])).equal


def test_the_root_is_the_step_that_answered_the_same_otherwise():
    found = compared(CHAIN, Noting(c=[passed_on]), Noting(b=[{"out.b": "other"}], c=[passed_on]))
    assert parted(found) == [("b", "answer"), ("c", "view")]
    assert found.root.step == "b"
    assert found.root.contrasts == [Contrast("writes", "out.b", "done", "other")]
    assert found.steps[1].contrasts == [Contrast("view", "out.b", "done", "other")]
    assert [contrast.path for contrast in found.context] == ["out.b", "out.c"]
    assert found.to_dict()["root"] == {
        "step": "b",
        "kind": "answer",
        "attempt": 1,
        "contrasts": [{"in": "writes", "path": "out.b", "a": "done", "b": "other"}],
    }


def test_true_is_not_one_and_one_is_not_one_point_zero():
    for one, other in ((1, True), (1, 1.0), (0, False)):
        found = compared(team(step("a")), Noting(a=[{"out.a": one}]), Noting(a=[{"out.a": other}]))
        assert parted(found) == [("a", "answer")]


def test_the_root_is_the_first_path_of_the_request_that_differs():
    found = compared(CHAIN, Noting(), Noting(), ({"q": {"x": 1, "y": 2}}, {"q": {"x": 1, "y": 3}, "z": {}}))
    assert found.root == Contrast("request", "q.y", 2, 3)
    assert found.request[1] == Contrast("request", "z", ABSENT, {})
    assert found.to_dict()["request"][1] == {"in": "request", "path": "z", "b": {}}
    assert found.to_dict()["root"]["kind"] == "request"
    assert {kind for _, kind in parted(found)} == {"view"}


def test_attempts_are_compared_one_by_one():
    of = team(step("a"), step("b", "a"), retries=1)
    found = compared(of, Noting(a=[{"": 1}, {"out.a": "done"}]), Noting())
    assert parted(found) == [("a", "answer")]
    assert found.root.attempt == 1
    assert Contrast("reply", "outcome", "refused", "committed") in found.root.contrasts
    second = compared(of, Noting(a=[{"": 1}, {"out.a": 1}]), Noting(a=[{"": 1}, {"out.a": 2}]))
    assert (second.root.attempt, second.root.contrasts) == (2, [Contrast("writes", "out.a", 1, 2)])


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (ValueError("no"), "error"),
        (il.Reply(ask=il.Question("may I?")), "question"),
        (il.Reply(writes={"out.a": "done"}, output="why"), "output"),
        (il.Reply(writes={"out.a": "done"}, confidence=0.5), "confidence"),
        ({"": 1}, "findings"),
        ({"out.a": il.DELETE}, "deletes"),
    ],
)
def test_every_part_of_an_answer_counts(answer, part):
    found = compared(team(step("a")), Noting(), Noting(a=[answer]))
    assert parted(found)[0] == ("a", "answer")
    assert part in [contrast.path for contrast in found.root.contrasts]


def test_usage_and_lost_calls_do_not_count():
    async def slow(job):
        await asyncio.sleep(10 if len(lost.jobs) == 1 else 0)
        return il.Reply(writes={"out.a": "done"}, usage=il.Usage(input_tokens=9))

    lost, of = Noting(a=[slow]), team(step("a"))
    assert compare(ran(of, Noting()), killed_and_resumed(of, lost, after=1)).equal


def test_a_parked_and_a_cancelled_run():
    ask = il.Reply(ask=il.Question("may I?"))
    of = team(step("a"), step("b", "a"))
    parked, cancelled = ran(of, Noting(a=[ask])), ran(of, Noting(a=[ask]), cancelled=True)
    found = compare(parked, cancelled)
    assert not found.equal
    assert found.statuses == ("parked", "cancelled")
    assert parted(found) == [("a", "state"), ("b", "state")]
    assert parted(compare(parked, ran(of, Noting())))[0] == ("a", "answer")


def test_items_are_matched_by_their_place():
    of = team(step("make", writes=["list"]), step("each", "make", for_each="list", writes=["out.{step}"]))
    found = compared(of, Noting(make=[{"list": [1, 2]}]), Noting(make=[{"list": [1, 3, 4]}]))
    assert parted(found) == [("make", "answer"), ("each-0", "view"), ("each-1", "view"), ("each-2", "only")]
    assert found.steps[2].contrasts == [Contrast("item", "item", 2, 3)]
    assert found.steps[3].contrasts == [Contrast("step", "state", ABSENT, "committed")]


# --- two versions of a team ---


def test_another_version_with_the_same_views_and_answers_is_equal():
    found = compare(ran(CHAIN), ran(team(*CHAIN.plan.declared, retries=3)))
    assert not found.same_team
    assert found.equal


def test_another_version_is_compared_by_what_its_views_show():
    narrow = il.Agent("ann", scope=il.Scope(["act"], ["q", "out"], ["out"]), retries=0)
    other = il.Team([narrow], CHAIN.plan)
    found = compare(ran(CHAIN, None, {"q": 1}), ran(other, Noting(b=[{"out.b": "other"}]), {"q": 1}))
    assert not found.same_team
    assert parted(found) == [("b", "answer"), ("c", "view")]


def test_a_step_that_was_declared_otherwise_and_one_that_is_new():
    one = team(step("a", instructions="be brief"), step("b"))
    two = team(step("a", instructions="be long"), step("n"))
    found = compare(ran(one), ran(two))
    assert parted(found) == [("a", "job"), ("b", "only"), ("n", "only")]
    assert found.root.contrasts == [Contrast("job", "instructions", "be brief", "be long")]


def test_another_agent_for_a_step():
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["*"]), retries=0)
    found = compare(ran(team(step("a"))), ran(il.Team([bob], il.Plan([step("a", agent="bob")]))))
    assert parted(found) == [("a", "job")]
    assert found.root.contrasts == [Contrast("job", "agent", "ann", "bob")]


def test_a_fallback_follows_from_the_answer_before_it():
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["out"]), retries=0)
    of = team(step("a"), agents=[bob], fallback="bob")
    found = compared(of, Noting(a=[ValueError("no"), {"out.a": "done"}]), Noting())
    assert (parted(found), found.root.attempt) == ([("a", "answer")], 1)


# --- a damaged journal ---


def test_a_view_hash_that_was_changed_is_a_difference():
    told = ran(CHAIN)
    changed, _ = tampered(told, e.AttemptStarted, {"view": "0" * 64})
    assert parted(compare(told, changed)) == [("a", "view")]
    assert not compare(told, changed).equal


def test_nothing_but_the_first_views_are_looked_into(monkeypatch):
    monkeypatch.setattr("interlock.history.difference.VIEWS_COMPARED_MAX", 1)
    found = compared(CHAIN, None, None, ({"q": 1}, {"q": 2}))
    assert [len(step.contrasts) for step in found.steps] == [1, 0, 0, 0]
    assert {kind for _, kind in parted(found)} == {"view"}


def test_a_run_that_has_only_begun_can_be_compared():
    told = ran(CHAIN)
    begun = msgspec.structs.replace(told, events=told.events[:1])
    assert compare(told, begun).statuses == ("succeeded", "running")
    assert parted(compare(told, begun))[0] == ("a", "state")


def forked(first, **given):
    """A run, and its fork at `c`."""
    store = MemoryStore()

    async def main():
        patient = team(step("a"), step("b", "a"), step("c", "b"), step("d", "a"), retries=1)
        async with engine(patient, first, journal=MemoryJournal(store)) as running:
            await running.run({"q": 1}, run_id="one")
            return (await running.fork("one", "c", by="person:ann", reason="why", **given)).run_id

    fork = virtual.run(main())
    return record(store, "one"), record(store, fork)


def test_what_a_fork_has_taken_over_is_no_difference():
    assert compare(*forked(Noting(a=[{"out.x": 1}, {"out.a": il.DELETE}]))).equal
    found = compare(*forked(Noting(a=[{"out.a": 1}], c=[{"out.c": 1}, {"out.c": 2}])))
    assert parted(found) == [("c", "answer")]


def test_what_was_set_in_a_fork_is_where_it_parts():
    found = compare(*forked(Noting(b=[{"out.b": 1}]), changes={"out.b": 5}))
    assert found.root.step == "b"
    assert found.root.contrasts == [Contrast("writes", "out.b", 1, 5)]
    assert parted(found) == [("b", "answer"), ("c", "view")]


def test_a_fork_is_compared_with_a_run_in_which_the_step_died():
    _, fork = forked(Noting())
    found = compare(ran(CHAIN, Noting(b=[il.AgentRefused("no")]), {"q": 1}, run_id="two"), fork)
    assert parted(found)[0] == ("b", "answer")
    assert found.root.contrasts == [Contrast("writes", "out.b", ABSENT, "done")]
    found = compare(ran(CHAIN, Noting(b=[{}]), {"q": 1}, run_id="two"), forked(Noting(b=[{"out.b": il.DELETE}]))[1])
    assert found.root.contrasts == [Contrast("reply", "deletes", ABSENT, ["out.b"])]
