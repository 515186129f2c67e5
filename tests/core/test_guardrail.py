"""Guardrails judge what keeps to all rules, before its commit; what they say is counted, told, and never trusted."""

import math
from typing import Any

import pytest

import interlock.core.events as e
from interlock.core.context import View
from interlock.core.events import Finding
from interlock.core.guardrail import FINDINGS_MAX, FINE, Draft, Opinion, Panel, Seat
from interlock.core.job import DELETE, Question, Reply
from interlock.core.paths import PATH_CHARS_MAX
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.errors import PlanError, TeamError

from .transcripts import ALL, Transcript, step

DRAFT = Draft(
    writes={"x": 1},
    output=None,
    confidence=None,
    view=View.of({}),
    instructions="",
    feedback=(),
    item=None,
    step="a",
    agent="ann",
    action="act",
)


class Says:
    """A guardrail that always says the same, or raises it; and notes what it was shown."""

    def __init__(self, opinion: Any = 1.0, *, name="says", cost=0, weight=1.0, **more):
        self.opinion, self.name, self.cost, self.weight = opinion, name, cost, weight
        self.shown: list[Draft] = []
        self.__dict__ |= more

    def check(self, draft):
        self.shown.append(draft)
        if isinstance(self.opinion, BaseException):
            raise self.opinion
        return Opinion(self.opinion) if type(self.opinion) is float else self.opinion

    def __call__(self):
        """Declared as code, so that a plan of it can be hashed."""


def seated(guardrail):
    guardrail = guardrail["use"] if isinstance(guardrail, dict) else guardrail
    if not isinstance(guardrail, Says):
        raise TeamError(f"there is no guardrail {guardrail}", fix="use one")
    return Seat(guardrail, guardrail.weight)


def panel(*guardrails, threshold=1.0):
    return Panel([seated(one) for one in guardrails], threshold)


def said(*guardrails, threshold=1.0):
    """Passed, the score, and who was asked."""
    found = panel(*guardrails, threshold=threshold).assess(DRAFT)
    return found.passed, found.score, found.scores


def found(score, *messages):
    return Opinion(score, tuple(Finding("whatever", message) for message in messages))


# --- the score ---


def test_the_score_is_the_weighted_mean():
    one, other = Says(found(0.5, "so so"), name="one", weight=3), Says(1.0, name="other")

    assert said(one, other, threshold=0.6) == (True, 0.625, {"one": 0.5, "other": 1.0})
    assert said(one, other, threshold=0.625) == (True, 0.625, {"one": 0.5, "other": 1.0})
    assert said(one, other, threshold=0.7)[0] is False


def test_by_default_whatever_is_found_refuses():
    assert said(Says(1.0)) == (True, 1.0, {"says": 1.0})
    assert said(Says(0.999)) == (False, 0.999, {"says": 0.999})


def test_what_nothing_is_said_against_scores_in_full():
    assert said(Says(FINE), Says(FINE, name="other")) == (True, 1.0, {"says": 1.0, "other": 1.0})


def test_each_is_asked_once_however_many_are_fine_before_it():
    fine, bad = [Says(FINE, name=f"g{n}") for n in range(3)], Says(found(0.5, "so so"), name="bad")
    last = Says(1.0, name="last")

    assert said(*fine, bad, last, threshold=0.9) == (
        True, 0.9, {"g0": 1.0, "g1": 1.0, "g2": 1.0, "bad": 0.5, "last": 1.0}
    )  # fmt: skip
    assert [one.shown for one in (*fine, bad, last)] == [[DRAFT]] * 5


def test_weights_that_binary_fractions_cannot_hold_reach_the_threshold_all_the_same():
    thirds = [Says(1.0, name=f"g{n}", weight=0.1) for n in range(7)]

    assert said(*thirds)[0] is True
    assert said(Says(0.7), Says(0.7, name="b"), Says(0.7, name="c"), threshold=0.7)[0] is True


def test_the_cheap_ones_are_asked_first_and_equals_as_declared():
    dear, cheap, equal = Says(1.0, name="dear", cost=9), Says(1.0, name="cheap", cost=1), Says(1.0, name="x", cost=1)

    assert [*panel(dear, cheap, equal).assess(DRAFT).scores] == ["cheap", "x", "dear"]


def test_nobody_is_asked_who_could_not_save_it_any_more():
    dear = Says(1.0, name="dear", cost=9)

    assert said(Says(0.0), dear) == (False, 0.0, {"says": 0.0})
    assert dear.shown == []
    assert said(Says(0.0), dear, threshold=0.5) == (True, 0.5, {"says": 0.0, "dear": 1.0})


def test_nobody_is_asked_who_could_not_refuse_it_any_more():
    dear = Says(0.0, name="dear", cost=9)

    assert said(Says(1.0, weight=2), dear, threshold=0.6) == (True, 1.0, {"says": 1.0})
    assert dear.shown == []


def test_two_of_one_kind_are_told_apart():
    assert said(Says(1.0), Says(0.5), Says(0.5, name="b"), threshold=0.1)[2] == {"says": 1.0}
    assert said(Says(1.0), Says(1.0), Says(1.0))[2] == {"says": 1.0, "says-2": 1.0, "says-3": 1.0}


# --- what one says is not trusted ---


def test_what_is_found_bears_the_name_of_the_guardrail():
    assert panel(Says(found(0.0, "no"), name="strict")).assess(DRAFT).findings == (Finding("strict", "no"),)


def test_a_low_score_without_a_reason_is_given_one():
    assert panel(Says(0.25)).assess(DRAFT).findings == (Finding("says", "says gives it a score of 0.25, of 1"),)


def test_who_finds_something_and_forgets_the_score_has_something_against_it():
    assert said(Says(Opinion(findings=(Finding("x", "no"),)))) == (False, 0.0, {"says": 0.0})


@pytest.mark.parametrize(
    ("path", "told"),
    [("a.b", "a.b"), ("x" * (PATH_CHARS_MAX + 1), "x" * PATH_CHARS_MAX), ("a.\ud800", "a.?")],
)
def test_where_something_is_found_is_told_in_text_that_can_be_stored(path, told):
    findings = panel(Says(Opinion(0.5, (Finding("x", "no", path),)))).assess(DRAFT).findings
    assert findings == (Finding("says", "no", told),)


def test_a_flood_of_findings_is_cut():
    flood = found(0.0, *map(str, range(1_000)))
    assert len(panel(Says(flood)).assess(DRAFT).findings) == FINDINGS_MAX


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("opinion", "why"),
    [
        (ValueError("a\n b"), "ValueError: a b"),
        (Mute(), "Mute"),
        (SystemExit(), "SystemExit"),
        (None, "it returned a NoneType, not an Opinion"),
        (True, "it returned a bool, not an Opinion"),
        (Opinion(True), "its score is not a number from 0 to 1"),
        (Opinion(math.nan), "its score is not a number from 0 to 1"),
        (Opinion(1.5), "its score is not a number from 0 to 1"),
        (Opinion(-1), "its score is not a number from 0 to 1"),
        (Opinion("1"), "its score is not a number from 0 to 1"),
        (Opinion(0, "no"), "its findings are not a tuple of Finding"),
        (Opinion(0, ("no",)), "its findings are not a tuple of Finding"),
        (Opinion(0, (Finding("x", 5),)), "its findings are not a tuple of Finding"),
        (Opinion(0, (Finding("x", "no", None),)), "its findings are not a tuple of Finding"),
    ],
)
def test_one_that_fails_refuses_whatever_the_others_say(opinion, why):
    good, bad = Says(1.0, name="good", weight=1_000), Says(opinion, name="bad")
    for asked, scores in (([good, bad], {"good": 1.0, "bad": 0.0}), ([bad, good], {"bad": 0.0})):
        verdict = panel(*asked, threshold=1).assess(DRAFT)

        assert (verdict.passed, verdict.score, verdict.scores) == (False, 0.0, scores)
        assert verdict.findings == (Finding("bad", f"the guardrail bad could not judge it: {why}"),)


def test_one_that_fails_refuses_where_its_weight_alone_would_not():
    assert said(Says(ValueError(), name="bad"), Says(1.0, weight=1_000), threshold=0.1)[0] is False


# --- in a run ---


def guarded(*guardrails, own=(), threshold=None, step_threshold=None, **given):
    """A run whose one step is being done; it has these guardrails, and its agent those of its own."""
    roles = given.pop("roles", None) or {"ann": Role(ALL, Policy(retries=1), guardrails=own, threshold=threshold)}
    doing = step("a", guardrails=guardrails, threshold=step_threshold, **given)
    run = Transcript(doing, roles=roles, guard=seated, request={"q": {"n": 1}})
    run.begin()
    run.start("a")
    return run


def test_a_refusal_carries_scores_and_is_fed_back():
    run = guarded(Says(found(0.2, "say less"), name="short"))
    verdict = run.judge("a", {"x": 1})

    assert isinstance(verdict, e.AttemptRefused)
    assert (verdict.score, verdict.scores) == (0.2, {"short": 0.2})
    assert verdict.findings == (Finding("short", "say less"),)
    assert bytes(verdict.reply) == b'{"x":1}'
    assert e.decode(e.encode(verdict)) == verdict
    assert run.say(verdict) == ["call ann for a #2"]
    run.start("a")
    assert run.jobs["a"].feedback == ("say less",)


def test_a_commit_carries_scores_and_what_did_not_suffice_to_refuse():
    run = guarded(Says(found(0.5, "so so"), name="taste"), Says(1.0), step_threshold=0.7)
    verdict = run.judge("a", {"x": 1})

    assert isinstance(verdict, e.AttemptCommitted)
    assert (verdict.score, verdict.scores) == (0.75, {"taste": 0.5, "says": 1.0})
    assert verdict.findings == (Finding("taste", "so so"),)
    assert e.decode(e.encode(verdict)) == verdict


def test_without_guardrails_nothing_is_said_about_scores():
    verdict = guarded().judge("a", {"x": 1})

    assert (verdict.score, verdict.scores, verdict.findings) == (None, {}, ())
    assert not {b"score", b"findings"} & {part for part in (b"score", b"findings") if part in e.encode(verdict)}


@pytest.mark.parametrize("answer", [{"": 1}, {"x": math.nan}, None, Reply(ask=Question("Really?"))])
def test_nothing_is_asked_about_what_breaks_a_rule_or_is_a_question(answer):
    guardrail = Says(1.0)
    guarded(guardrail).judge("a", answer)
    assert guardrail.shown == []


def test_what_the_bank_refuses_is_no_guardrails_business():
    guardrail = Says(1.0)
    run = guarded(guardrail)
    assert isinstance(run.judge("a", {"q.n.m": 1}), e.AttemptRefused)
    assert guardrail.shown == []


def test_a_draft_tells_what_the_agent_was_told():
    guardrail = Says(0.0)
    run = guarded(guardrail, Says(1.0, name="other"), instructions="Be brief.")
    assert run.jobs["a"].view["q.n"] == 1
    run.reply("a", {"x": 1})
    run.start("a")
    run.judge("a", Reply(writes={"y": {"z": [1]}, "q": DELETE}, output={"o": 1}, confidence=0.5))
    draft = guardrail.shown[-1]

    assert (draft.writes, draft.output, draft.confidence) == ({"y": {"z": [1]}, "q": DELETE}, {"o": 1}, 0.5)
    assert (draft.step, draft.agent, draft.action, draft.instructions) == ("a", "ann", "act", "Be brief.")
    assert draft.feedback == ("says gives it a score of 0, of 1",)
    assert draft.item is None


def test_a_draft_tells_the_item():
    guardrail = Says(1.0)
    step_ = step("a", for_each="items", writes=["out.{index}"], guardrails=[guardrail])
    run = Transcript(step_, request={"items": ["one"]}, guard=seated)
    run.begin()
    run.reply("a-0", {"out.0": 1})
    assert guardrail.shown[0].item == "one"


def test_what_a_guardrail_reads_was_not_read_by_the_agent():
    class Reads(Says):
        def check(self, draft):
            assert draft.view.to_dict() == {"q": {"n": 1}}
            assert draft.view["q.n"] == 1
            return Opinion()

    verdict = guarded(Reads()).judge("a", {"x": 1})
    assert isinstance(verdict, e.AttemptCommitted)
    assert (verdict.reads, verdict.coarse) == ((), False)


def test_what_a_guardrail_changes_is_not_what_is_committed():
    class Changes(Says):
        def check(self, draft):
            draft.writes["x"].append("more")
            return Opinion()

    said = {"x": ["mine"]}
    run = guarded(Changes())
    run.reply("a", said)
    assert run.context["x"] == ["mine"]
    assert said == {"x": ["mine"]}


# --- whose guardrails ---


def test_the_guardrails_of_the_agent_and_of_the_step_judge_together():
    verdict = guarded(Says(1.0, name="of step"), own=[Says(1.0, name="of agent")]).judge("a", {"x": 1})
    assert verdict.scores == {"of agent": 1.0, "of step": 1.0}


def test_the_threshold_of_the_step_stands_in_place_of_the_agents():
    half = Says(found(0.5, "so so"))
    assert isinstance(guarded(half, threshold=0.4).judge("a", {"x": 1}), e.AttemptCommitted)
    assert isinstance(guarded(half, threshold=0.4, step_threshold=0.6).judge("a", {"x": 1}), e.AttemptRefused)
    run = guarded(half, threshold=0.6, step_threshold=0.4)
    assert run.rules.duty("a", "ann").panel.threshold == 0.4
    assert isinstance(run.judge("a", {"x": 1}), e.AttemptCommitted)


def test_a_fallback_is_held_to_its_own_guardrails_and_the_steps():
    roles = {
        "ann": Role(ALL, Policy(retries=0), fallback="bob", guardrails=[Says(0.0, name="of ann")]),
        "bob": Role(ALL, Policy(retries=0), guardrails=[Says(1.0, name="of bob")]),
    }
    run = guarded(Says(1.0, name="of step"), roles=roles)
    assert run.reply("a", {"x": 1}) == ["call bob for a #2"]
    run.start("a")
    assert run.judge("a", {"x": 1}).scores == {"of bob": 1.0, "of step": 1.0}


def test_all_guardrails_are_told_with_their_places():
    mine, its = Says(name="mine"), Says(name="its")
    rules = guarded(its, own=[mine]).rules
    assert [*rules.guardrails()] == [
        (("agents", "ann", "guardrails", "0"), mine),
        (("plan", "a", "guardrails", "0"), its),
    ]


def test_a_guardrail_of_the_agent_rests_where_a_step_cannot_write_what_it_looks_at():
    roles = {"ann": Role(Scope(["act"], [], ["x", "y"]), guardrails=[Says(0.0, watches=("x.z",))])}
    steps = [step("a", writes=["y"]), step("b", needs=["a"], writes=["x"]), step("c", needs=["b"])]
    run = Transcript(*steps, roles=roles, guard=seated)
    assert [run.rules.duty(id_, "ann").panel is None for id_ in "abc"] == [True, False, False]


# --- what can't work is refused before a run ---


def problems(*steps, guard=seated, **roles):
    with pytest.raises(TeamError) as caught:
        Rules(Plan(steps), roles, guard=guard)
    return [(".".join(problem.place), *problem.agents, str(problem)) for problem in caught.value.problems]


def test_a_guardrail_that_cannot_be_made_is_told_with_its_place():
    assert problems(step("a", guardrails=[Says(), "no_such"]), ann=Role(ALL, guardrails=["nor_this"])) == [
        ("agents.ann.guardrails.0", "a guardrail of agent ann: there is no guardrail nor_this; use one"),
        ("plan.a.guardrails.1", "a guardrail of step a: there is no guardrail no_such; use one"),
    ]


def test_guardrails_are_not_left_out_where_nothing_makes_them():
    with pytest.raises(AssertionError, match="nothing makes them"):
        Rules(Plan([step("a", guardrails=["schema"])]), {"ann": Role(ALL)})


def test_a_guardrail_of_a_step_looks_at_what_the_step_may_write():
    narrow = Role(Scope(["act"], ["q"], ["x", "y"]))
    watching = Says(watches=("x", "mistyped"))
    blind = Says(watches=("mistyped",), name="choice")

    assert problems(step("a", guardrails=[watching, blind]), ann=narrow) == [
        (
            "plan.a.guardrails",
            "ann",
            "the guardrail choice looks at mistyped, which ann in step a can't write; it may write x, y",
        )
    ]
    assert problems(step("a", writes=["y"], guardrails=[watching]), ann=narrow) == [
        (
            "plan.a.guardrails",
            "ann",
            "the guardrail says looks at x, mistyped, which ann in step a can't write; it may write y",
        )
    ]


def test_a_guardrail_of_an_agent_looks_at_what_the_agent_may_write():
    narrow = Role(Scope(["act"], ["q"], ["x"]), guardrails=[Says(watches=("y",))])
    assert problems(step("a"), step("b", needs=["a"]), ann=narrow) == [
        (
            "agents.ann.guardrails",
            "ann",
            "the guardrail says looks at y, which agent ann can't write; it may write x",
        )
    ]


def test_a_guardrail_compares_with_what_the_agent_is_shown():
    narrow = Role(Scope(["act"], ["q"], ["x"]), guardrails=[Says(consults=("q.z",))])
    Rules(Plan([step("a", reads=["q.z"])]), {"ann": narrow}, guard=seated)
    assert problems(step("a", reads=["q.y"]), ann=narrow) == [
        (
            "plan.a.guardrails",
            "ann",
            (
                "the guardrail says compares with q.z, which ann in step a is not shown;"
                " let it read q.z: a guardrail sees what the agent was shown"
            ),
        )
    ]


def test_a_guardrail_that_rests_on_a_schema_wants_one():
    resting = Role(ALL, guardrails=[Says(rests_on_schema=True)])
    Rules(Plan([step("a", schema={})]), {"ann": resting}, guard=seated)
    assert problems(step("a"), ann=resting) == [
        (
            "plan.a.guardrails",
            "ann",
            (
                "the guardrail says checks nothing of ann in step a: no schema is declared;"
                " name a model or a JSON Schema in it, or declare a schema"
            ),
        )
    ]


def test_a_threshold_without_guardrails_says_nothing():
    assert problems(step("a", threshold=0.5), ann=Role(ALL)) == [
        ("plan.a.threshold", "step a has a threshold, and no guardrail gives a score; give it guardrails")
    ]
    assert problems(step("a"), bob=Role(Scope(["act"], [], [])), ann=Role(ALL, threshold=0.5)) == [
        (
            "agents.ann.threshold",
            "ann",
            "agent ann has a threshold, and no guardrail gives a score; give it guardrails",
        )
    ]
    Rules(Plan([step("a", guardrails=[Says()])]), {"ann": Role(ALL, threshold=0.5)}, guard=seated)


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": 1.1}, {"threshold": "1"}, {"guardrails": "schema"}])
def test_a_step_refuses_what_is_no_threshold_and_no_list(wrong):
    with pytest.raises(PlanError):
        Step("a", "ann", "act", **wrong)


def test_code_in_a_plan_is_hashed_by_its_name_and_nothing_else_is():
    assert Plan([step("a", guardrails=[Says()])]).hash == Plan([step("a", guardrails=[Says(0.0)])]).hash
    assert (
        Plan([step("a", guardrails=[Says()])]).hash != Plan([step("a", guardrails=[test_a_draft_tells_the_item])]).hash
    )
    with pytest.raises(TypeError, match="a object is not JSON"):
        Plan([step("a", guardrails=[object()])])
