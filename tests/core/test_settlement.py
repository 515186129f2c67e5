"""A person's decision about a step that waits: what it makes of the run, and when it is refused."""

from typing import Any

import pytest

import interlock.core.events as e
from interlock.core.assess import FINDING_CHARS_MAX
from interlock.core.budget import Amounts, BudgetPolicy
from interlock.core.decision import Asked, decided
from interlock.core.job import ANSWERED, DELETE, Question, Reply
from interlock.core.paths import PATH_CHARS_MAX
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.settlement import refused, settled
from interlock.core.values import Limits

from .transcripts import Transcript, step


def decide(run: Transcript, step_id: str, verb: Any, by: str = "person:eve", reason: str = "", **given: Any) -> Any:
    """What comes of a decision: the lines that follow, or why it is refused."""
    verdict = settled(run.machine, decided(step_id, verb, **given), by, reason, run.tick())
    lines = run.say(verdict)
    if isinstance(verdict, e.AnswerRefused):
        assert lines == []
        assert (verdict.at_us, verdict.step, verdict.by, verdict.decision) == (run.at_us, step_id, by, verb)
        return [finding.message for finding in verdict.findings]
    return lines


def asking(*more: Any, **given: Any) -> Transcript:
    """A run whose first step has asked, and which is parked with it."""
    run = Transcript(step("a", writes=["x"]), *more, **given)
    run.begin()
    run.ask("a", "Refund?")
    return run


def test_an_answer_goes_to_the_next_attempt_and_uses_up_no_retry():
    run = asking(step("b", needs=["a"]))
    assert run.machine.status == "parked"

    assert decide(run, "a", "answer", text="yes") == ["call ann for a #2"]
    assert (run.machine.status, run.machine.reason) == ("running", "")
    run.start("a")
    assert run.jobs["a"].feedback == (ANSWERED + "Refund?", "yes")
    assert run.jobs["a"].idempotency_key == "run/a/2"
    # Its policy has no retries, and it may still ask again, and be answered again.
    assert run.jobs["a"].answer == "yes"
    assert run.ask("a", "How much?") == ["parked: a asks: How much?"]
    assert decide(run, "a", "answer", text="all of it") == ["call ann for a #3"]
    assert run.reply("a", x=1) == ["call ann for b #1"]


def test_what_a_step_waits_with_is_what_it_has_asked_and_since_when():
    run = asking()
    assert run.machine.questions == {1: Asked(1, Question("Refund?"), asked_us=run.at_us)}


def test_who_asks_and_tells_no_usage_has_used_nothing():
    run = asking(budget=BudgetPolicy(usd=50, call_usd=20))
    assert run.machine.purse.ledger("").spent == Amounts(1)


def test_what_a_person_said_is_not_forgotten_over_a_refusal():
    run = asking(policy=Policy(retries=1))
    decide(run, "a", "answer", text="yes")
    run.refuse("a")
    run.start("a")
    assert (run.jobs["a"].answer, "yes" in run.jobs["a"].feedback) == ("yes", False)
    run.ask("a", "Again?")
    decide(run, "a", "retry")
    run.start("a")
    assert run.jobs["a"].answer == "yes"


def test_whoever_has_it_tried_again_without_a_word_takes_nothing_back():
    run = Transcript(step("a", escalate=True))
    run.begin()
    run.refuse("a")
    decide(run, "a", "retry")
    run.start("a")
    assert run.jobs["a"].answer == ""
    run.ask("a")
    decide(run, "a", "answer", text="yes")
    run.refuse("a")
    decide(run, "a", "retry")
    run.start("a")
    assert run.jobs["a"].answer == "yes"


def test_to_wait_for_an_answer_takes_none_of_the_time_in_which_a_step_is_tried():
    run = asking(policy=Policy(retries=1, retry_for_ms=4_000))
    run.at_us += 3_600_000_000
    assert decide(run, "a", "answer", text="yes") == ["call ann for a #2"]
    assert run.refuse("a") == ["call ann for a #3"]


def test_a_refusal_after_an_answer_still_uses_up_a_retry():
    run = asking()
    decide(run, "a", "answer", text="yes")

    assert run.refuse("a")[0].startswith("buried a: ")


def test_a_retry_needs_no_words():
    run = asking()
    assert decide(run, "a", "retry") == ["call ann for a #2"]
    run.start("a")
    assert run.jobs["a"].feedback == ()


def test_what_a_person_writes_is_committed_in_the_agents_place():
    run = asking(step("b", needs=["a"]), request={"old": 1, "x": {"y": 0}})

    assert decide(run, "a", "write", writes={"x.y": 7}) == ["call ann for b #1"]
    assert run.states["a"] == "committed"
    assert run.context == {"old": 1, "x": {"y": 7}}
    [origin] = run.machine.bank.lineage("x.y")[:1]
    assert (origin.writer, origin.reads) == (1, ("*",))


def test_a_person_may_delete():
    run = asking(request={"x": {"y": 0, "z": 1}})
    assert decide(run, "a", "write", writes={"x.y": DELETE}) == ["succeeded"]
    assert run.context == {"x": {"z": 1}}


def test_what_is_rejected_is_a_dead_letter_with_the_reason():
    run = asking(step("b", needs=["a"]))
    assert decide(run, "a", "reject", reason="fraud") == [
        "buried a: rejected by person:eve: fraud",
        "failed: a: rejected by person:eve: fraud",
    ]
    other = asking()
    assert decide(other, "a", "reject")[0] == "buried a: rejected by person:eve"


def test_an_item_is_answered_for_itself():
    run = Transcript(step("a", for_each="q", writes=["out.{index}"]), request={"q": [1, 2]})
    run.begin()
    run.ask("a-0")
    run.ask("a-1")
    assert decide(run, "a-1", "write", writes={"out.0": 1}) == ["ann may not write out.0; it may write out.1"]
    assert decide(run, "a-1", "write", writes={"out.1": 1}) == ["parked: a-0 asks: Really?"]
    assert decide(run, "a-0", "write", writes={"out.0": 0}) == ["succeeded"]
    assert run.context["out"] == {"0": 0, "1": 1}


def test_a_run_with_other_steps_at_work_takes_a_decision_too():
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]))
    run.begin()
    run.start("b")
    run.ask("a")
    assert decide(run, "a", "answer", text="yes") == ["call ann for a #2"]


def test_what_was_decided_outlives_a_crash():
    run = asking()
    decide(run, "a", "answer", text="yes")
    assert run.crash() == ["call ann for a #2"]
    run.start("a")
    assert run.jobs["a"].feedback[-1] == "yes"


# --- what a refused reply allows ---


def refused_reply(run: Transcript, reply: Any) -> None:
    """As where the attempts of a step are used up, and a person is asked what to do."""
    run.machine.questions[1] = Asked(1, Question("it was refused"), by_agent=False, reply=reply, reads=("in",))


def test_a_refused_reply_is_approved_as_it_is():
    run = asking()
    refused_reply(run, {"x": 5})
    assert decide(run, "a", "approve") == ["succeeded"]
    assert run.context == {"x": 5}
    assert run.machine.bank.lineage("x")[0].reads == ("in",)


def test_a_refused_reply_is_edited():
    run = asking()
    refused_reply(run, {"x": {"amount": 5, "to": "bob"}})
    assert decide(run, "a", "edit") == ["an edit says what is written otherwise"]
    assert decide(run, "a", "edit", writes={"x.amount": 4}) == ["succeeded"]
    assert run.context == {"x": {"amount": 4, "to": "bob"}}


# --- what is refused: the question stays open ---


def schema_run() -> Transcript:
    schema = {"properties": {"x": {"type": "string"}}}
    return asking(roles={"ann": Role(Scope(["act"], ["*"], ["x"]), Policy(retries=0), schema)})


@pytest.mark.parametrize(
    ("writes", "said"),
    [
        ({"y": 1}, "ann may not write y; it may write x"),
        ({"..": 1}, "'..' is not a dotted path"),
        ({"x": 1}, "x: Expected `str`, got `int`"),
        ({"x": "x" * 2_000_000}, "x: it is larger than 1,048,576 bytes of JSON"),
    ],
)
def test_people_write_within_scope_shape_size_and_schema(writes, said):
    run = schema_run()
    [finding] = decide(run, "a", "write", writes=writes)
    assert said in finding
    assert run.states["a"] == "escalated"
    assert run.machine.status == "parked"
    assert decide(run, "a", "write", writes={"x": "fine"}) == ["succeeded"]


def test_what_the_bank_refuses_people_may_not_do_either():
    run = asking(request={"x": [1]})
    said = "x.y can't be written: x holds a value that is not an object"
    assert decide(run, "a", "write", writes={"x.y": 1}) == [said]


def test_people_may_not_fill_the_context_beyond_its_limit():
    run = asking(limits=Limits(context_bytes_max=100))
    assert decide(run, "a", "write", writes={"x": "x" * 200}) == ["the context would grow past 100 bytes"]


def test_the_first_decision_wins_and_the_second_is_told_whose_it_was():
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]))
    run.begin()
    run.ask("a")
    decide(run, "a", "answer", text="yes")
    [said] = decide(run, "a", "reject", by="person:bob")
    assert said == "a does not wait for a person: person:eve has decided about it"
    assert run.states["a"] == "ready"


@pytest.mark.parametrize("step_id", ["b", "nobody", ""])
def test_what_asks_nothing_is_not_decided_about(step_id):
    run = asking(step("b", needs=["a"]))
    assert decide(run, step_id, "retry") == [f"{step_id} does not wait for a person"]


def test_a_decision_about_another_attempt_comes_too_late():
    run = asking()
    decide(run, "a", "answer", text="yes")
    run.ask("a", "Sure?")
    assert decide(run, "a", "answer", text="no", attempt=1) == [
        "what a had asked is not what it waits for now: person:eve has decided about that, and it has asked anew"
    ]
    assert decide(run, "a", "answer", text="yes", attempt=2) == ["call ann for a #3"]


@pytest.mark.parametrize(
    ("verb", "given", "said"),
    [
        ("answer", {}, "an answer is a text"),
        ("answer", {"text": "maybe"}, "'maybe' is none of the choices: yes, no"),
        ("answer", {"text": "x" * 8_001}, "a text has at most 8,000 characters, and a reason 2,000"),
        ("retry", {"reason": "x" * 2_001}, "a text has at most 8,000 characters, and a reason 2,000"),
        ("approve", {}, "a can't be dealt with by approve: there is no refused reply to approve"),
        ("edit", {"writes": {"x": 1}}, "a can't be dealt with by edit: there is no refused reply to edit"),
    ],
)
def test_what_is_asked_decides_what_can_be_answered(verb, given, said):
    run = Transcript(step("a"))
    run.begin()
    run.reply("a", Reply(ask=Question("Refund?", ("yes", "no"))))
    assert decide(run, "a", verb, **given) == [said]
    assert run.machine.status == "parked"
    assert decide(run, "a", "answer", text="no") == ["call ann for a #2"]


def test_the_longest_answer_and_reason_are_taken():
    run = asking()
    assert decide(run, "a", "answer", text="x" * 8_000, reason="x" * 2_000) == ["call ann for a #2"]


def test_who_asked_nothing_is_not_answered():
    run = asking()
    refused_reply(run, None)
    assert decide(run, "a", "answer", text="x") == ["a can't be dealt with by answer: its agent has not asked anything"]


def test_who_comes_too_late_and_who_decides_what_can_not_be_are_told_apart():
    run = asking()
    late = "what a had asked is not what it waits for now: it has asked anew"
    for step_id, verb, asked_us, code, said in (
        ("nobody", "retry", 0, "answered", "nobody does not wait for a person"),
        ("a", "retry", 5, "answered", late),
        ("a", "approve", 0, "decision", "a can't be dealt with by approve: there is no refused reply to approve"),
    ):
        verdict = settled(run.machine, decided(step_id, verb, asked_us=asked_us), "person:eve", "", run.tick())
        assert verdict.findings == (e.Finding(code, said),)


def test_a_refusal_is_told_within_bounds():
    verdict = refused(decided("x" * 5_000, "retry"), "person:eve", "answered", "y" * 5_000, 1)
    [finding] = verdict.findings
    assert verdict == e.AnswerRefused(1, "x" * PATH_CHARS_MAX, "person:eve", "retry", (finding,))
    assert (finding.code, len(finding.message)) == ("answered", FINDING_CHARS_MAX)


# --- steps that are skipped ---


def test_a_step_that_asks_is_skipped_and_its_run_goes_on():
    run = asking(step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.reply("b", b=1)
    assert decide(run, "a", "skip", reason="nobody needs it") == ["call ann for c #1"]
    assert (run.states["a"], run.machine.reasons[run.machine.number["a"]]) == (
        "skipped",
        "person:eve has skipped it: nobody needs it",
    )
    assert run.machine.decided_by[run.machine.number["a"]] == "person:eve"
    assert run.fold().state == run.machine.state


def test_of_a_step_that_is_skipped_nothing_is_written():
    run = asking()
    refused_reply(run, {"x": 5})
    verdict = settled(run.machine, decided("a", "skip"), "person:eve", "gone", run.tick())
    assert verdict == e.QuestionAnswered(run.at_us, "a", 1, "person:eve", "skip", reason="gone")


def test_the_last_step_is_skipped():
    assert decide(asking(), "a", "skip") == ["succeeded"]
