"""Runs in which people decided, told afterwards: who wrote, what was said, and that it all follows."""

import pytest

import interlock as il
import interlock.core.events as e
from interlock.history import compare, lineage, replay, story
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual
from tests.engine.stage import engine

from .runs import Noting, record, step, tampered, team

ASKS = il.Reply(ask=il.Question("may I?", ("yes", "no")))


def decided(*decisions):
    """The record of a run whose first step asks, and about which people then decide."""
    store, of = MemoryStore(), team(step("a", writes=["x"]), step("b", "a"), retries=1)

    async def main():
        agent = Noting(a=[ASKS, {"x": "by the agent"}])
        async with engine(of, agent, journal=MemoryJournal(store)) as running:
            await running.run({"q": 1}, run_id="r")
            for verb, given in decisions:
                await running.decide("r", "a", verb, by="eve", **given)

    virtual.run(main())
    return record(store)


ANSWERED = ("answer", {"text": "yes", "reason": "she is a regular"})
WRITTEN = ("write", {"writes": {"x": {"deep": "by hand"}}, "reason": "read on the phone"})
REJECTED = ("reject", {"reason": "fraud"})


@pytest.mark.parametrize("how", [(), (ANSWERED,), (WRITTEN,), (REJECTED,)], ids=["parked", "answer", "write", "reject"])
def test_it_all_follows_from_its_events(how):
    assert [moment.mismatches for moment in replay(decided(*how)) if moment.mismatches] == []


def test_a_decision_that_nothing_asked_for_does_not_follow():
    told, place = tampered(decided(ANSWERED), e.QuestionAnswered, {"attempt": 2})
    assert replay(told)[place].mismatches
    told, place = tampered(decided(ANSWERED), e.QuestionAnswered, {"step": "b"})
    assert replay(told)[place].mismatches


def test_the_attempt_that_asked_tells_what_was_decided():
    first, second = story(decided(ANSWERED)).attempts[:2]
    assert (first.outcome, first.question.text) == ("asked", "may I?")
    said = first.to_dict()["decided"]
    assert said.pop("at").startswith("20")
    assert said == {"by": "person:eve", "decision": "answer", "text": "yes", "reason": "she is a regular"}
    assert (second.outcome, second.decided) == ("committed", None)
    assert "decided" not in second.to_dict()


def test_who_wrote_is_the_person():
    told = decided(WRITTEN)
    (origin,) = lineage(told, "x.deep").first
    assert (origin.step, origin.agent, origin.attempt, origin.value) == ("a", "person:eve", 1, "by hand")
    assert origin.reads == ("*",)
    assert [before.step for before in lineage(told, "x").before(origin)] == ["request"]
    assert lineage(decided(ANSWERED), "x").first[0].agent == "ann"


def test_what_a_person_deleted_is_told():
    told = decided(("write", {"writes": {"x": il.DELETE}}))
    with pytest.raises(il.InterlockError, match="step a has deleted it"):
        lineage(told, "x")


def test_two_runs_part_where_people_decided_otherwise():
    found = compare(decided(ANSWERED), decided(WRITTEN))
    assert not found.equal
    assert (found.root.step, found.root.kind) == ("a", "answer")
    (contrast,) = [c for c in found.root.contrasts if c.path == "decided"]
    assert (contrast.a["decision"], contrast.b["decision"]) == ("answer", "write")
    assert compare(decided(WRITTEN), decided(WRITTEN)).equal
