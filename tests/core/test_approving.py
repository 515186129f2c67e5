"""A plan that a person must approve: nothing of it runs before, and what is approved is what runs."""

import msgspec
import pytest

import interlock.core.events as e
from interlock.core.budget import Amounts, BudgetPolicy, Ledger
from interlock.core.decision import decided
from interlock.core.redrive import taken_over
from interlock.core.settlement import expired, overdue, settled

from .test_deciding import adding, new, supervised
from .test_settlement import decide
from .transcripts import Transcript, step

ASKED = e.PlanApproval()
TWO = "May this plan run? 2 steps: a (ann.act), b (ann.act)"


def static(**given):
    """A run of two steps, neither of which needs the other, and which waits for approval."""
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]))
    assert run.begin(e.PlanApproval(**given))[:2] == [f"a asks: {TWO}", f"parked: {TWO}"]
    assert run.machine.waits_for_approval
    return run


# --- the plan of the team ---


def test_nothing_runs_before_a_person_has_approved_the_plan():
    run = static()
    assert (run.machine.status, run.states) == ("parked", {"a": "escalated", "b": "waiting"})
    asked = run.machine.questions[1]
    assert (asked.verbs, asked.may_be_skipped, asked.by_agent) == (("approve", "reject"), False, False)
    assert msgspec.json.decode(asked.plan) == run.machine.plan.hash
    verdict = settled(run.machine, decided("a", "approve"), "person:eve", "it is cheap", run.at_us)
    assert verdict == e.QuestionAnswered(
        run.at_us, "a", 0, "person:eve", "approve", reason="it is cheap", plan=asked.plan
    )
    run.machine = run.fold()
    assert run.machine.decide() == []
    assert decide(run, "a", "approve") == ["call ann for a #1", "call ann for b #1"]
    assert not run.machine.waits_for_approval
    run.reply("a", x=1)
    run.crash()
    assert run.reply("b", y=1) == ["succeeded"]


@pytest.mark.parametrize("verb", ["answer", "retry", "write", "edit", "skip"])
def test_nothing_else_can_be_done_about_it(verb):
    run = static()
    given = {"text": "do"} if verb in {"answer", "retry"} else {"writes": {"x": 1}} if verb == "write" else {}
    assert decide(run, "a", verb, **given) == [
        f"a can't be dealt with by {verb}: the question is whether a plan may run"
    ]


def test_of_a_plan_that_is_rejected_nothing_ever_runs():
    run = static()
    why = "failed: its plan was not approved: rejected by person:eve: too dear"
    assert decide(run, "a", "reject", reason="too dear") == [why]
    assert not run.machine.waits_for_approval
    assert run.states == {"a": "cancelled", "b": "cancelled"}
    folded = run.fold()
    assert (folded.status, folded.rejected) == ("failed", run.machine.rejected)
    assert decide(run, "a", "approve") == ["a does not wait for a person: person:eve has decided about it"]


def test_a_plan_may_be_rejected_without_a_reason():
    assert decide(static(), "a", "reject") == ["failed: its plan was not approved: rejected by person:eve"]


def test_nobody_may_answer_in_time():
    run = static(deadline_ms=5_000)
    assert run.machine.questions[1].due_us == 5_000_000
    run.at_us = 5_000_000
    assert overdue(run.machine, run.at_us) == [1]
    ended = expired(run.machine, 1, run.at_us)
    assert ended == e.QuestionExpired(run.at_us, "a", 0, "dead")
    assert run.say(ended) == ["failed: its plan was not approved: nobody has answered in time"]


def test_of_a_long_plan_some_steps_are_told_and_a_wait_among_them():
    run = Transcript(*(step(f"s{n}", writes=[f"x.s{n}"]) for n in range(9)))
    told = ", ".join(f"s{n} (ann.act)" for n in range(8))
    assert run.begin(ASKED)[0] == f"s0 asks: May this plan run? 9 steps: {told} and 1 more"
    run = Transcript(*(step(f"s{n}", writes=[f"x.s{n}"]) for n in range(8)))
    assert run.begin(ASKED)[0] == f"s0 asks: May this plan run? 8 steps: {told}"
    pause = msgspec.structs.replace(step("w"), agent="", action="", wait="2h", writes=())
    run = Transcript(pause)
    assert run.begin(ASKED)[0] == "w asks: May this plan run? 1 step: w"
    assert decide(run, "w", "approve")[0].startswith("w waits until")


def test_an_empty_plan_needs_no_approval():
    run = supervised()
    assert run.begin(ASKED) == ["called for decide-1 after nothing", "call eve for decide-1 #1"]
    assert (run.machine.waits_for_approval, run.machine.rejected) == (False, "")
    assert run.reply("decide-1", adding(new("x"))) == ["decide-1 adds x", "call ann for x #1"]


# --- what a planner proposes ---

ONE = "May this plan run? 1 step: x (ann.act)"


def proposed(**given):
    run = supervised(ask="start")
    run.begin(e.PlanApproval(**given))
    return run, run.reply("decide-1", adding(new("x")))


def test_what_a_planner_proposes_waits_for_a_person():
    run, lines = proposed()
    assert lines == [f"parked: {ONE}"]
    assert run.machine.questions[1].verbs == ("approve", "retry", "reject")
    run.crash()
    assert decide(run, "decide-1", "approve") == ["committed decide-1 #1", "decide-1 adds x", "call ann for x #1"]
    assert run.machine.attempts[1] == 1
    run.crash()
    assert run.reply("x", {"a.x": 1}) == ["succeeded"]
    events = [e.decode(data) for data in run.journal]
    facts = taken_over(run.machine, "run", events, ["x"], run.tick())
    assert facts == []


def test_what_a_planner_has_proposed_is_paid_for_once():
    run = supervised(ask="start", budget=BudgetPolicy(calls=9))
    run.begin(ASKED)
    run.reply("decide-1", adding(new("x")))
    assert decide(run, "decide-1", "approve")[-1] == "call ann for x #1"
    assert run.machine.purse.ledger("") == Ledger(spent=Amounts(1))


def test_a_person_may_have_it_plan_again_with_advice():
    run, _ = proposed()
    assert decide(run, "decide-1", "retry", text="Do less.") == ["call eve for decide-1 #2"]
    run.start("decide-1")
    assert run.jobs["decide-1"].feedback[-1] == "Do less."
    assert run.reply("decide-1", {"finish": {}}) == ["decide-1 finishes", "succeeded"]


def test_a_proposal_that_is_rejected_is_a_dead_letter():
    run, _ = proposed()
    lines = decide(run, "decide-1", "reject", reason="no")
    assert lines == ["buried decide-1: rejected by person:eve: no", "failed: decide-1: rejected by person:eve: no"]
    run, lines = proposed(deadline_ms=5_000)
    assert run.machine.questions[1].due_us == 7_000_000
    run.at_us = 7_000_000
    ended = expired(run.machine, 1, run.at_us)
    assert ended == e.QuestionExpired(run.at_us, "decide-1", 1, "dead")
    assert run.say(ended)[-1] == f"failed: decide-1: nobody has answered in time: {ONE}"


def test_what_is_wrong_with_a_proposal_is_told_its_agent_and_nobody_else():
    run = supervised(ask="start")
    run.begin(ASKED)
    assert run.reply("decide-1", adding(new("x", agent="bob"))) == ["call eve for decide-1 #2"]


def test_what_comes_after_another_waits_for_that_as_ever():
    run = Transcript(step("a", writes=["x"]), step("b", needs=["a"], writes=["y"]))
    run.begin(ASKED)
    assert decide(run, "a", "approve") == ["call ann for a #1"]
    assert run.reply("a", x=1) == ["call ann for b #1"]
