"""A step whose attempts are used up asks a person, and what becomes of questions that nobody answers in time."""

from typing import Any

import pytest

import interlock.core.events as e
from interlock.core.decision import Asked
from interlock.core.job import ADVICE, Question
from interlock.core.policy import Escalation, Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.settlement import expired, overdue
from interlock.core.values import Limits
from interlock.errors import PlanError, TeamError

from .test_settlement import decide
from .transcripts import ALL, ONCE, Transcript, step

HOUR_US = 3_600_000_000
HOUR = {"deadline": "1h"}
NUMBER = {"properties": {"x.n": {"type": "integer"}}}


def given_up(escalate: Any, **given: Any) -> Transcript:
    """A run whose only step has no attempts left; its last reply was refused for its schema."""
    run = Transcript(step("a", writes=["x"], schema=NUMBER, escalate=escalate), **given)
    run.begin()
    assert run.reply("a", **{"x.n": "5", "x.note": "five"}) == [
        "escalated a: x.n: Expected `int`, got `str`",
        "parked: a needs a person: x.n: Expected `int`, got `str`",
    ]
    return run


def expire(run: Transcript, at_us: int) -> list[str]:
    run.at_us = at_us
    lines = []
    for n in overdue(run.machine, at_us):
        step_id, attempt = run.machine.step_id(n), run.machine.questions[n].attempt
        verdict = expired(run.machine, n, at_us)
        assert (verdict.at_us, verdict.step, verdict.attempt) == (at_us, step_id, attempt)
        lines += run.say(verdict)
    return lines


# --- declared ---


@pytest.mark.parametrize(
    ("declared", "meant"),
    [
        (None, None),
        (False, None),
        (True, Escalation()),
        ({}, Escalation()),
        ({"deadline": "24h"}, Escalation(86_400_000)),
        ({"deadline": "1ms"}, Escalation(1)),
        ({"deadline": "3650d"}, Escalation(3650 * 86_400_000)),
        ({"deadline": "1s", "then": "fallback"}, Escalation(1_000, "fallback")),
        ({"deadline": "1s", "then": "default", "default": {"x": 1}}, Escalation(1_000, "default", {"x": 1})),
    ],
)
def test_what_is_declared(declared, meant):
    assert Escalation.of(declared) == meant


NO_ESCALATION = "escalate is true, or has deadline, then and default; such as {deadline: 24h}"
NO_DEFAULT = "then: default commits what default has: paths and their values; give both or none"
NO_DEADLINE = "without a deadline nothing comes after it; add one, such as deadline: 24h"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("yes", NO_ESCALATION),
        ({"dedline": "1h"}, NO_ESCALATION),
        ({"deadline": "1h", "then": "hope"}, "then is 'hope', not one of dead, fallback, default"),
        ({"deadline": "1h", "then": "default"}, NO_DEFAULT),
        ({"deadline": "1h", "default": {"x": 1}}, NO_DEFAULT),
        ({"deadline": "1h", "then": "default", "default": 1}, NO_DEFAULT),
        ({"then": "fallback"}, NO_DEADLINE),
        ({"default": {}}, NO_DEADLINE),
        ({"then": "default", "default": {"x": 1}}, NO_DEADLINE),
        ({"deadline": "0s"}, "the deadline 0s is not between 1ms and 3650d"),
        ({"deadline": "3650.00001d"}, "the deadline 3650.00001d is not between 1ms and 3650d"),
        ({"deadline": "soon"}, "'soon' is not a duration; write a number and a unit: 500ms, 2s, 1m, 1h, 1d"),
    ],
)
def test_what_says_nothing_is_refused(declared, said):
    with pytest.raises(PlanError) as refused:
        Escalation.of(declared)
    assert str(refused.value) == said


NO_WAY = [
    ({**HOUR, "then": "fallback"}, ("ann",),
     "step a: after the deadline its fallback goes on, and ann has none; give ann a fallback"),
    ({**HOUR, "then": "default", "default": {"y": 1}}, (), "step a may not write y, which its default has"),
    ({**HOUR, "then": "default", "default": {"x..": 1}}, (),
     "step a: its default for 'x..': 'x..' is not a dotted path: it has an empty segment"),
    ({**HOUR, "then": "default", "default": {"x": {1}}}, (),
     "step a: its default for 'x': it is a set, which is not JSON; convert it first"),
    ({**HOUR, "then": "default", "default": {"x": "12345678"}}, (),
     "step a: its default for 'x': it is 10 bytes of JSON, more than 9"),
    ({**HOUR, "then": "default", "default": {"x.n": "5"}}, (), "step a: its default: x.n: Expected `int`, got `str`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("escalate", "agents", "said"),
    [
        ({"then": "fallback"}, (), "step a: without a deadline nothing comes after it; add one, such as deadline: 24h"),
        *NO_WAY,
    ],
)
def test_a_way_that_can_not_be_taken_is_found_when_the_team_is_loaded(escalate, agents, said):
    with pytest.raises(TeamError) as raised:
        Transcript(step("a", writes=["x"], escalate=escalate, schema=NUMBER), limits=Limits(value_bytes_max=9))
    assert (raised.value.place, raised.value.agents) == (("plan", "a", "escalate"), agents)
    assert str(raised.value) == said


@pytest.mark.parametrize(("escalate", "agents", "said"), NO_WAY)
def test_a_way_of_its_agent_is_told_where_the_agent_declares_it(escalate, agents, said):
    roles = {"ann": Role(ALL, ONCE, escalation=Escalation.of(escalate))}
    with pytest.raises(TeamError) as raised:
        Transcript(step("a", writes=["x"], schema=NUMBER), limits=Limits(value_bytes_max=9), roles=roles)
    assert (raised.value.place, raised.value.agents) == (("agents", "ann", "escalate"), agents)
    assert str(raised.value) == said


def test_a_step_declares_in_place_of_its_agent():
    roles = {"ann": Role(ALL, ONCE, escalation=Escalation())}
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"], escalate=False), roles=roles)
    run.begin()
    assert run.refuse("b") == ["buried b: '' is not a dotted path"]
    assert run.refuse("a")[0] == "escalated a: '' is not a dotted path"


# --- the attempts are used up ---


def test_retries_and_fallbacks_come_first():
    roles = {
        "ann": Role(ALL, Policy(retries=1, backoff_ms=0), fallback="bob", escalation=Escalation()),
        "bob": Role(ALL, ONCE),
    }
    run = Transcript(step("a"), roles=roles)
    run.begin()
    assert run.refuse("a") == ["call ann for a #2"]
    assert run.refuse("a") == ["call bob for a #3"]
    assert run.fail("a") == ["escalated a: it broke", "parked: a needs a person: it broke"]
    assert run.machine.questions[1].verbs == ("write", "retry", "reject")
    assert run.say() == run.crash() == []
    assert decide(run, "a", "retry", text="once more") == ["call ann for a #4"]
    assert run.refuse("a") == ["call ann for a #5"]
    assert run.refuse("a") == ["call bob for a #6"]


def test_a_call_that_kills_the_process_is_a_persons_to_decide_about():
    run = Transcript(step("a", escalate=True), policy=Policy(reissues_max=0))
    run.begin()
    run.start("a")
    assert run.crash()[0].startswith("escalated a: its call was lost 1 times")
    assert decide(run, "a", "retry") == ["call ann for a #2"]


def test_what_was_refused_is_approved_edited_or_tried_again_with_advice():
    run = given_up({})
    assert run.machine.questions[1].verbs == ("approve", "edit", "write", "retry", "reject")
    assert decide(run, "a", "approve") == ["x.n: Expected `int`, got `str`"]
    assert decide(run, "a", "edit", writes={"x.n": 5}) == ["succeeded"]
    assert run.context == {"x": {"n": 5, "note": "five"}}

    run = given_up({})
    assert decide(run, "a", "retry", text="a number") == ["call ann for a #2"]
    run.start("a")
    assert run.jobs["a"].feedback == ("x.n: Expected `int`, got `str`", ADVICE, "a number")
    assert run.jobs["a"].answer == "a number"


def test_a_person_is_asked_with_the_refused_reply_and_why_it_was_refused():
    run = Transcript(step("a", writes=["x"], schema=NUMBER, escalate=True), request={"q": 1})
    run.begin()
    run.start("a")
    run.jobs["a"].view["q"]
    run.reply("a", **{"x.n": "5"})
    why = Question("x.n: Expected `int`, got `str`")
    asked = Asked(1, why, by_agent=False, reply={"x.n": "5"}, reads=("q",), asked_us=run.at_us)
    assert run.machine.questions == {1: asked}


def test_a_reply_that_was_not_kept_can_not_be_approved():
    run = Transcript(step("a", escalate=True))
    run.begin()
    run.refuse("a")
    assert run.machine.questions[1].reply is None


def test_a_failure_after_a_refusal_leaves_no_reply_to_approve():
    run = Transcript(step("a", writes=["x"], schema=NUMBER, escalate=True), policy=Policy(retries=1))
    run.begin()
    run.reply("a", **{"x.n": "5"})
    run.fail("a")
    assert run.machine.questions[1].reply is None


def test_a_call_that_was_lost_for_good_after_a_refusal_leaves_no_reply_to_approve():
    policy = Policy(retries=1, reissues_max=0)
    run = Transcript(step("a", writes=["x"], schema=NUMBER, escalate=True), policy=policy)
    run.begin()
    run.reply("a", **{"x.n": "5"})
    run.start("a")
    run.crash()
    assert run.machine.questions[1].reply is None


# --- deadlines ---


def test_a_missed_deadline_ends_in_a_dead_letter():
    run = given_up(HOUR)
    due_us = run.machine.questions[1].due_us
    assert due_us == run.at_us + HOUR_US
    assert overdue(run.machine, due_us - 1) == []
    reason = "nobody has answered in time: x.n: Expected `int`, got `str`"
    assert expire(run, due_us) == [f"buried a: {reason}", f"failed: a: {reason}"]
    assert decide(run, "a", "retry") == ["a does not wait for a person: the deadline has decided about it"]


def test_a_missed_deadline_takes_the_default():
    run = given_up({**HOUR, "then": "default", "default": {"x.n": 0}})
    assert expire(run, run.machine.questions[1].due_us) == ["succeeded"]
    assert run.context == {"x": {"n": 0}}
    assert run.fold().status == "succeeded"


def test_a_default_that_does_not_fit_any_more_ends_in_a_dead_letter():
    run = given_up({**HOUR, "then": "default", "default": {"x.n": 0}}, request={"x": [1]})
    verdict = expired(run.machine, 1, run.machine.questions[1].due_us)
    misfit = "x.n can't be written: x holds a value that is not an object"
    reason = f"nobody has answered in time, and its default can't be taken: {misfit}"
    assert verdict == e.QuestionExpired(run.machine.questions[1].due_us, "a", 1, "dead", {}, reason)
    assert run.say(verdict) == [f"buried a: {reason}", f"failed: a: {reason}"]


def test_an_item_takes_the_default_for_itself():
    each = {**HOUR, "then": "default", "default": {"out.{index}": "none of {step}"}}
    run = Transcript(step("a", for_each="q", writes=["out.{index}"], escalate=each), request={"q": [1, 2]})
    run.begin()
    run.ask("a-0")
    run.ask("a-1")
    assert expire(run, 2 * HOUR_US) == ["parked: a-1 asks: Really?", "succeeded"]
    assert run.context["out"] == {"0": "none of {step}", "1": "none of {step}"}


def test_a_sample_takes_the_default_for_itself():
    each = {**HOUR, "then": "default", "default": {"out.{step}": None}}
    run = Transcript(step("a", samples=2, writes=["out.{step}"], escalate=each))
    run.begin()
    run.ask("a-2")
    run.ask("a-1")
    assert expire(run, 2 * HOUR_US) == ["parked: a-1 asks: Really?", "succeeded"]
    assert run.context["out"] == {"a-1": None, "a-2": None}


def test_a_missed_deadline_hands_on_to_the_fallback():
    roles = {
        "ann": Role(ALL, ONCE, fallback="bob", escalation=Escalation(1_000, "fallback")),
        "bob": Role(Scope(["act"], ["*"], ["*"]), Policy(retries=1, backoff_ms=1_000)),
    }
    run = Transcript(step("a"), roles=roles)
    run.begin()
    run.ask("a")
    assert expire(run, run.machine.questions[1].due_us) == ["call bob for a #2"]
    # It has all its attempts, and waits between them as after a first failure.
    assert run.fail("a") == [f"wake a at {run.at_us + 1_000_000:,}"]
    assert run.say(e.BackoffEnded(run.tick(), "a")) == ["call bob for a #3"]
    run.refuse("a")
    assert expire(run, run.machine.questions[1].due_us)[0].startswith("buried a: nobody has answered in time")


def test_questions_expire_in_the_order_of_their_deadlines_with_a_timer_while_the_run_goes_on():
    run = Transcript(
        step("a", writes=["x"], escalate={"deadline": "2h"}),
        step("b", writes=["y"], escalate=HOUR),
        step("c", writes=["z"]),
    )
    run.begin()
    run.start("c")
    [timer] = run.ask("a")
    assert timer == f"wake a at {run.machine.questions[1].due_us:,}"
    run.ask("b")
    assert run.crash()[-1:] != []
    assert overdue(run.machine, 5 * HOUR_US) == [2, 1]
    assert expire(run, 5 * HOUR_US)[0].startswith("buried b: nobody has answered in time: Really?")


def test_a_question_is_overdue_from_its_deadline_on_and_without_one_never():
    run = Transcript(*(step(name, writes=[name]) for name in "abcde"))
    run.begin()
    for n, due_us in enumerate((0, 1, 4, 3, 5), 1):
        run.machine.questions[n] = Asked(1, Question("Really?"), due_us=due_us)
    assert overdue(run.machine, 4) == [2, 4, 3]


def test_a_parked_run_tells_its_deadlines_again_when_it_goes_on():
    run = Transcript(step("a", writes=["x"], escalate=HOUR), step("b", writes=["y"]))
    run.begin()
    run.ask("a")
    assert run.ask("b") == ["parked: a asks: Really?"]
    assert run.crash() == []
    wake = f"wake a at {run.machine.questions[1].due_us:,}"
    assert decide(run, "b", "answer", text="yes") == [wake, "call ann for b #2"]
