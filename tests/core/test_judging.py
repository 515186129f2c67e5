"""A reply that waits for its judges: other agents, whose word is journaled, and without which nothing is committed."""

import msgspec
import pytest

import interlock.core.events as e
from interlock.core.budget import BudgetPolicy
from interlock.core.effects import EffectRule
from interlock.core.gate import GatePolicy
from interlock.core.guardrail import Judge, Opinion, Panel, Seat
from interlock.core.job import DELETE, Effect, Question, Reply, Usage
from interlock.core.plan import Plan
from interlock.core.policy import Escalation, Policy
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.values import Limits
from interlock.errors import TeamError

from .test_guardrail import DRAFT, Says, found, seated
from .transcripts import ALL, Transcript, step

JUDGE = Judge(agent="eve", instructions="Is it kind?")
RETURN = "return a dict of writes or an interlock.Reply"
SEES_LITTLE = Scope(["judge"], ["q.text"], [])


def guard(declared):
    return Seat(declared, 1.0) if isinstance(declared, Judge) else seated(declared)


def judged(*guardrails, threshold=None, retries=1, eve=None, steps=None, ann=None, **more):
    """A run of ann, whose replies eve judges, at the call of eve."""
    roles = {
        "ann": Role(ALL, Policy(retries=retries), guardrails=guardrails or [JUDGE], threshold=threshold, **(ann or {})),
        "eve": eve or Role(SEES_LITTLE, Policy(retries=0)),
        **more.pop("roles", {}),
    }
    request = {"q": {"text": "why?", "secret": 5}}
    run = Transcript(*(steps or [step("a")]), roles=roles, guard=guard, request=request, **more)
    run.begin()
    return run


def says(run, score=1.0, *findings, usage=None):
    return run.reply("a", Reply(writes={"score": score, "findings": [*findings]}, usage=usage))


def told(run, kind):
    return [event for event in map(e.decode, run.journal) if type(event) is kind]


# --- the verdict ---


def test_a_reply_waits_for_its_judge_and_is_committed_after_its_word():
    run = judged()
    assert run.reply("a", Reply(writes={"x": 1}, usage=Usage(5, 5, 0.5), confidence=0.9)) == ["call eve for a #2"]
    assert run.states == {"a": "ready"}
    assert run.context == {"q": {"text": "why?", "secret": 5}}
    assert says(run, 0.9, usage=Usage(1, 1, 0.25)) == ["committed a #1", "succeeded"]
    assert run.context["x"] == 1
    [committed] = told(run, e.AttemptCommitted)
    assert (committed.usage, committed.confidence, committed.score, committed.scores) == (None, 0.9, 1, {"judge": 1})
    assert run.machine.cost == run.fold().cost
    assert (run.machine.cost.usd, run.machine.cost.tokens, run.machine.cost.calls) == (0.75, 12, 2)


def test_below_the_threshold_it_is_refused_and_its_findings_are_fed_back():
    run = judged()
    run.reply("a", x=1)
    assert says(run, 0.4, "be kinder") == ["refused a #1: be kinder", "call ann for a #3"]
    run.start("a")
    assert run.jobs["a"].feedback == ("be kinder",)
    [refused] = told(run, e.AttemptRefused)
    assert (refused.score, refused.scores, bytes(refused.reply)) == (0.4, {"judge": 0.4}, b'{"x":1}')
    assert refused.findings[0].code == "judge"


def test_who_finds_nothing_and_gives_a_low_score_is_told_so():
    run = judged(retries=0)
    run.reply("a", x=1)
    assert says(run, 0.4)[0] == "refused a #1: eve gives it a score of 0.4, of the 0.7 that are needed"
    assert run.states == {"a": "dead"}


def test_what_a_judge_finds_in_a_good_reply_is_kept():
    run = judged()
    run.reply("a", x=1)
    says(run, 0.7, "could be kinder", "")
    [committed] = told(run, e.AttemptCommitted)
    assert [finding.message for finding in committed.findings] == ["could be kinder"]


def test_a_judged_reply_is_committed_when_that_follows():
    run = judged()
    run.reply("a", x=1)
    run.start("a")
    committed, _ = run.follows(run.judge("a", {"score": 1}), 7)
    assert (type(committed), committed.at_us) == (e.AttemptCommitted, run.at_us + 7)


def test_nobody_calls_a_judge_who_could_change_nothing():
    run = judged(Says(0.0), JUDGE)
    assert run.reply("a", x=1) == ["call ann for a #2"]
    run = judged(Says(1.0), JUDGE, threshold=0.5)
    assert run.reply("a", x=1) == ["succeeded"]
    [committed] = told(run, e.AttemptCommitted)
    assert committed.scores == {"says": 1}


def test_a_judge_is_asked_last_whatever_it_costs_and_counts_with_the_others():
    found_by = Says(found(0.5, "so so"), cost=9)
    run = judged(JUDGE, found_by, threshold=0.7)
    assert run.reply("a", x=1) == ["call eve for a #2"]
    assert told(run, e.ReplyDrafted)[0].scores == {"says": 0.5}
    assert says(run, 0.9) == ["committed a #1", "succeeded"]
    [committed] = told(run, e.AttemptCommitted)
    assert (committed.score, committed.scores) == (0.75, {"says": 0.5, "judge": 1})
    assert [finding.message for finding in committed.findings] == ["so so"]


def test_several_judges_are_asked_one_after_another():
    run = judged(JUDGE, Judge(agent="bob"), roles={"bob": Role(SEES_LITTLE)})
    run.reply("a", x=1)
    assert says(run) == ["call bob for a #3"]
    assert says(run, 0.2, "no") == ["refused a #1: no", "call ann for a #4"]
    [refused] = told(run, e.AttemptRefused)
    assert (refused.score, refused.scores) == (0.6, {"judge": 1, "judge-2": 0.2})
    run.reply("a", x=2)
    assert says(run, 0.1, "never") == ["refused a #4: never", "buried a: never", "failed: a: never"]


def test_a_panel_says_which_judge_it_waits_for():
    waiting = Panel([Seat(JUDGE, 1.0)]).assess(DRAFT)
    assert (waiting.passed, waiting.judge, waiting.score) == (False, "judge", None)
    with pytest.raises(AssertionError, match="eve is an agent"):
        JUDGE.check(DRAFT)


def test_deletes_outputs_and_effects_are_committed_with_it():
    run = judged(ann={"immediate": False})
    run.reply("a", Reply(writes={"q.text": DELETE, "x": 2}, output="said"))
    assert says(run) == ["committed a #1", "succeeded"]
    [committed] = told(run, e.AttemptCommitted)
    assert (committed.deletes, bytes(committed.output)) == (("q.text",), b'"said"')


@pytest.mark.parametrize(
    ("writes", "limits"), [({"q.text": DELETE, "x": 2}, Limits()), ({"x": "long" * 20}, Limits(value_bytes_max=85))]
)
def test_of_a_refused_reply_that_deletes_or_is_large_an_excerpt_is_kept(writes, limits):
    run = judged(limits=limits)
    run.reply("a", writes)
    says(run, 0)
    [refused] = told(run, e.AttemptRefused)
    assert msgspec.json.decode(refused.reply).startswith('{"x":')


def test_a_refused_reply_is_kept_whole_up_to_the_size_of_a_value():
    run = judged(limits=Limits(value_bytes_max=88))
    run.reply("a", {"x": "long" * 20})
    says(run, 0)
    [refused] = told(run, e.AttemptRefused)
    assert (len(refused.reply), msgspec.json.decode(refused.reply)) == (88, {"x": "long" * 20})


def test_each_item_has_its_own_draft():
    roles = {"ann": Role(ALL, guardrails=[JUDGE]), "eve": Role(SEES_LITTLE)}
    run = Transcript(
        step("a", for_each="list", writes=["out.{step}"]), roles=roles, guard=guard, request={"list": [1, 2]}
    )
    run.begin()
    assert run.reply("a-0", {"out.a-0": 1}) == ["call eve for a-0 #2"]
    assert run.reply("a-1", {"out.a-1": 2}) == ["call eve for a-1 #2"]
    assert run.reply("a-1", score=1) == ["committed a-1 #1"]
    assert run.jobs["a-1"].item == 2
    assert run.reply("a-0", score=1) == ["committed a-0 #1", "succeeded"]
    assert run.context["out"] == {"a-0": 1, "a-1": 2}


# --- what a judge is handed ---


def test_a_judge_sees_what_its_own_scope_shows_and_the_draft():
    run = judged(steps=[step("a", instructions="Answer.", reads=["q.secret"])])
    run.reply("a", Reply(writes={"x": [1]}, output={"said": 2}, confidence=0.5))
    run.start("a")
    job = run.jobs["a"]
    assert job.view.to_dict() == {"q": {"text": "why?"}}
    assert (job.agent, job.action, job.instructions, job.answer) == ("eve", "judge", "Is it kind?", "")
    assert job.draft == {
        "action": "act",
        "instructions": "Answer.",
        "agent": "ann",
        "writes": {"x": [1]},
        "deletes": [],
        "output": {"said": 2},
        "confidence": 0.5,
    }
    assert job.writes == ("score", "findings")
    assert '"required":["score"]' in job.schemas[0]
    assert job.idempotency_key == "run/a/2"


def test_what_a_person_has_answered_is_told_to_the_author_and_not_to_its_judge():
    run = judged()
    run.start("a")
    told_before = run.jobs["a"].answer
    run.ask("a")
    run.say(e.QuestionAnswered(run.tick(), "a", 1, "person:ben", "answer", "Do."))
    run.start("a")
    told_then = run.jobs["a"].answer
    assert run.reply("a", x=1) == ["call eve for a #3"]
    run.start("a")
    assert (told_before, told_then, run.jobs["a"].answer) == ("", "Do.", "")


def test_the_author_has_no_draft():
    run = judged()
    run.start("a")
    assert run.jobs["a"].draft is None


def test_what_a_judge_reads_its_author_has_not_read():
    run = judged()
    run.reply("a", x=1)
    run.start("a")
    assert run.jobs["a"].view["q.text"] == "why?"
    says(run)
    assert told(run, e.ReplyJudged)[0].reads == ("q.text",)
    assert told(run, e.AttemptCommitted)[0].reads == ()


def test_the_part_of_a_judge_in_a_step_is_told_by_its_name():
    gate = GatePolicy(budget=BudgetPolicy(calls=9, daily=True))
    rules = judged(eve=Role(SEES_LITTLE, fallback="bob", gate=gate), roles={"bob": Role(SEES_LITTLE)}).rules
    assert (rules.duty("a", "bob").agent, rules.duty("a", "eve").gate) == ("bob", gate)
    with pytest.raises(KeyError):
        rules.duty("a", "nobody")
    assert rules.duty("a", "eve").sight.patterns == ("q.text",)
    assert [(place, judge.agent) for place, _, judge in rules.judges()] == [(("agents", "ann"), "eve")]


# --- what is no judgement ---


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"score": 2}, "score: Expected `float` <= 1"),
        ({"score": -0.1}, "score: Expected `float` >= 0"),
        ({"score": "1"}, "score: Expected `float`, got `str`"),
        ({"score": True}, "score: Expected `float`, got `bool`"),
        ({"score": float("nan")}, "score: "),
        ({}, "score is missing"),
        ({"findings": []}, "score is missing"),
        ({"score": 1, "findings": "fine"}, "findings: Expected `array`"),
        ({"score": 1, "findings": [5]}, "findings: Expected `str`"),
        ({"score": 1, "findings": ["x"] * 21}, "findings: Expected `array` of length <= 20"),
        ({"score": 1, "findings": ["x" * 2_001]}, "findings: Expected `str` of length <= 2000"),
        ({"score": 1, "x": 2}, "eve may not write x; it may write score, findings"),
        ({"score": DELETE}, "score is missing"),
        (Reply(writes={"score": 1}, effects=(Effect("mail"),)), "eve judges here"),
        (Reply(ask=Question("Is it?")), "eve judges here"),
        ("score: 1", "the agent returned a str"),
        (None, "the agent returned nothing"),
    ],
)
def test_an_answer_that_is_no_judgement_refuses_the_reply(answer, why):
    run = judged(retries=0)
    run.reply("a", x=1)
    run.start("a")
    verdict = run.judge("a", answer)
    assert isinstance(verdict, e.AttemptRefused)
    assert verdict.findings[0].message.startswith(why)
    assert run.say(verdict)[0].startswith(f"refused a #1: eve could not judge it: {why}")
    assert "x" not in run.context


@pytest.mark.parametrize(
    ("answer", "finding", "kept", "cost"),
    [
        (
            Reply(writes={"score": 1}, effects=(Effect("mail"),), usage=Usage(5, 0)),
            e.Finding("shape", "eve judges here: it gives a score and findings, and nothing else"),
            b'{"score":1}',
            Usage(5, 0),
        ),
        ("score: 1", e.Finding("shape", f"the agent returned a str; {RETURN}"), b"\"'score: 1'\"", None),
    ],
)
def test_an_answer_that_is_no_judgement_is_kept_with_what_its_judge_has_read_and_used(answer, finding, kept, cost):
    run = judged(retries=0)
    run.reply("a", x=1)
    run.start("a")
    assert run.jobs["a"].view["q.text"] == "why?"
    verdict = run.judge("a", answer)
    told = (verdict.attempt, verdict.findings, bytes(verdict.reply), verdict.reads, verdict.usage)
    assert told == (2, (finding,), kept, ("q.text",), cost)


def test_guardrails_are_shown_what_a_person_has_answered_and_their_findings_keep_their_place():
    says = Says(Opinion(0.0, (e.Finding("says", "bad", "x"),)))
    run = judged(says, JUDGE)
    run.ask("a")
    run.say(e.QuestionAnswered(run.tick(), "a", 1, "person:ben", "answer", "Do."))
    assert run.reply("a", x=1) == ["call ann for a #3"]
    assert says.shown[-1].answer == "Do."
    [refused] = told(run, e.AttemptRefused)
    assert refused.findings == (e.Finding("says", "bad", "x"),)


def test_a_judge_is_told_what_was_wrong_with_its_answer_and_its_author_is_not():
    run = judged(eve=Role(SEES_LITTLE, Policy(retries=1)))
    run.reply("a", x=1)
    assert run.reply("a", {"score": 7}) == ["call eve for a #3"]
    run.start("a")
    assert run.jobs["a"].feedback == ("score: Expected `float` <= 1.0",)
    assert run.say(run.judge("a", {"score": 0.1, "findings": ["no"]})) == ["refused a #1: no", "call ann for a #4"]
    run.start("a")
    assert run.jobs["a"].feedback == ("no",)


def test_long_findings_are_cut():
    run = judged()
    run.reply("a", x=1)
    says(run, 0, "x" * 2_000)
    [judgement] = told(run, e.ReplyJudged)
    assert len(judgement.findings[0].message) == 500


# --- judges that can't be had ---


def lenient(**more):
    return judged(Judge(agent="eve", on_error="pass"), **more)


def test_a_judge_that_fails_is_tried_again_after_its_own_wait():
    run = judged(eve=Role(SEES_LITTLE, Policy(retries=1, backoff_ms=1_000)))
    run.reply("a", x=1)
    assert run.fail("a", "timeout") == ["wake a at 5,000,000"]
    assert run.say(e.BackoffEnded(5_000_000, "a")) == ["call eve for a #3"]
    assert says(run) == ["committed a #1", "succeeded"]


def test_one_that_fails_for_good_refuses_the_reply():
    run = judged(retries=0)
    run.reply("a", x=1)
    why = "eve could not judge it: it broke"
    assert run.fail("a") == [f"refused a #1: {why}", f"buried a: {why}", f"failed: a: {why}"]


def test_it_refuses_even_where_its_weight_would_not():
    run = judged(Says(1.0, weight=9.0), JUDGE, threshold=0.95, retries=0)
    run.reply("a", x=1)
    assert run.fail("a")[0] == "refused a #1: eve could not judge it: it broke"
    [refused] = told(run, e.AttemptRefused)
    assert (refused.score, refused.scores) == (0, {"says": 1, "judge": 0})
    assert [finding.code for finding in refused.findings] == ["unjudged"]


def test_where_that_is_declared_the_reply_is_let_through_and_tells_of_it():
    run = lenient()
    run.reply("a", x=1)
    assert run.fail("a") == ["committed a #1", "succeeded"]
    [committed] = told(run, e.AttemptCommitted)
    said = "eve could not judge it: it broke; it was let through as on_error says"
    assert committed.findings == (e.Finding("judge", said),)


def test_a_lenient_judge_that_fails_leaves_it_to_the_next():
    run = judged(Judge(agent="eve", on_error="pass"), Judge(agent="bob"), roles={"bob": Role(SEES_LITTLE)})
    run.reply("a", x=1)
    assert run.fail("a", retryable=False) == ["call bob for a #3"]
    assert says(run, 0.3, "no") == [
        "refused a #1: eve could not judge it: it broke; it was let through as on_error says; no",
        "call ann for a #4",
    ]


def test_the_fallback_of_a_judge_judges_in_its_place():
    run = judged(eve=Role(SEES_LITTLE, Policy(retries=0), fallback="bob"), roles={"bob": Role(SEES_LITTLE)})
    run.reply("a", x=1)
    assert run.fail("a") == ["call bob for a #3"]
    assert says(run) == ["committed a #1", "succeeded"]


def test_a_gate_that_holds_a_judge_for_a_while_holds_the_reply():
    run = judged()
    run.reply("a", x=1)
    assert run.hold("a", "rate", 60_000_000) == ["wake a at 60,000,000"]
    assert run.say(e.BackoffEnded(60_000_000, "a")) == ["call eve for a #2"]
    assert says(run) == ["committed a #1", "succeeded"]


@pytest.mark.parametrize("makes", [judged, lenient])
def test_a_judge_that_a_gate_keeps_away_for_good_cannot_judge(makes):
    run = makes(retries=0)
    run.reply("a", x=1)
    [first, *_] = run.hold("a", "breaker")
    refused = "refused a #1: eve could not judge it: eve was not called: it is shut"
    assert first == (refused if makes is judged else "committed a #1")


def test_a_judge_that_is_held_goes_to_its_fallback():
    run = judged(eve=Role(SEES_LITTLE, fallback="bob"), roles={"bob": Role(SEES_LITTLE)})
    run.reply("a", x=1)
    assert run.hold("a", "breaker") == ["call bob for a #2"]


def test_a_judge_draws_on_the_budgets_of_the_run_and_its_own_and_not_of_the_step():
    budgets = {"budget": {"calls": 1}}
    run = judged(
        steps=[step("a", **budgets)],
        eve=Role(SEES_LITTLE, budget=BudgetPolicy(calls=1)),
        budget=BudgetPolicy(calls=3),
    )
    duty = run.rules.duty("a", "eve")
    assert [(kind, whose) for kind, whose, _ in duty.budgets] == [("run_budget", ""), ("agent_budget", "agent eve")]
    run.reply("a", x=1)
    assert run.machine.held(run.calls["a"], run.at_us) is None


def test_a_judge_that_cannot_be_paid_cannot_judge():
    run = judged(budget=BudgetPolicy(calls=1), retries=0)
    run.reply("a", x=1)
    held = run.machine.held(run.calls["a"], run.tick())
    assert (held.agent, held.gate) == ("eve", "run_budget")
    why = "eve was not called: the run: its budget is 1 call, of which 0 calls are left"
    assert run.say(held)[0] == f"refused a #1: eve could not judge it: {why}"


def test_a_judge_whose_budget_would_ask_for_more_cannot_judge():
    run = judged(eve=Role(SEES_LITTLE, budget=BudgetPolicy(calls=1, when_spent="ask")), retries=0)
    run.reply("a", x=1)
    assert run.hold("a", "agent_budget")[0].startswith("refused a #1: eve could not judge it: eve was not called")


def test_what_its_author_has_reserved_is_free_before_its_judge_is_called():
    run = judged(budget=BudgetPolicy(tokens=100, call_tokens=60))
    run.reply("a", Reply(writes={"x": 1}, usage=Usage(5, 5)))
    assert run.machine.held(run.calls["a"], run.at_us) is None


def test_a_long_reason_is_cut():
    run = judged(retries=0)
    run.reply("a", x=1)
    run.start("a")
    [refused, *_] = run.say(e.AttemptFailed(run.tick(), "a", 2, "error", "x" * 5_000))
    assert len(refused) < 400


# --- crashes ---


def test_a_draft_survives_a_crash_and_its_author_is_not_called_again():
    run = judged()
    run.reply("a", x=1)
    assert run.crash() == ["call eve for a #2"]
    assert says(run) == ["committed a #1", "succeeded"]
    assert run.machine.cost.calls == 2


def test_a_judge_whose_call_is_lost_is_called_again_with_its_number():
    run = judged()
    run.reply("a", x=1)
    run.start("a")
    assert run.crash() == ["call eve for a #2"]
    run.start("a")
    assert run.jobs["a"].idempotency_key == "run/a/2"
    assert run.say(run.judge("a", {"score": 1})) == ["committed a #1", "succeeded"]


def test_a_judge_that_kills_the_process_each_time_cannot_judge():
    run = judged(eve=Role(SEES_LITTLE, Policy(reissues_max=1)), retries=0)
    run.reply("a", x=1)
    run.start("a")
    run.crash()
    run.start("a")
    assert run.crash()[0].startswith("refused a #1: eve could not judge it: its call was lost 2 times")


def test_calls_that_its_author_lost_count_on_when_the_judge_has_spoken():
    run = judged(ann={"version": "2"}, retries=2)
    run.start("a")
    run.crash()
    run.reply("a", x=1)
    says(run, 0)
    assert run.machine._lost == {1: 1}


def test_what_waits_is_told():
    run = judged()
    assert run.machine.drafted() == {}
    assert run.machine.author(1).agent == "ann"
    run.reply("a", x=1)
    assert run.machine.drafted() == {("a", 1): "ann"}
    assert (run.machine.author(1).agent, run.machine.duty(1).agent) == ("ann", "eve")
    assert run.fold().drafted() == {("a", 1): "ann"}


def test_a_run_that_is_cancelled_commits_no_draft():
    run = judged()
    run.reply("a", x=1)
    run.say(e.RunCancelled(run.tick(), "eve"))
    assert run.states == {"a": "cancelled"}
    assert "x" not in run.context


# --- people ---


def test_a_reply_that_its_judge_refuses_can_be_approved_by_a_person():
    run = judged(retries=0, ann={"escalation": Escalation()})
    run.reply("a", x=1)
    assert says(run, 0.1, "no") == ["refused a #1: no", "escalated a: no", "parked: a needs a person: no"]
    assert run.machine.questions[1].reply == {"x": 1}


def test_an_effect_in_doubt_does_not_keep_a_judge_away():
    scope = Scope(["act", "mail"], ["*"], ["*"])
    roles = {"ann": Role(scope, guardrails=[JUDGE], immediate=True), "eve": Role(SEES_LITTLE)}
    run = Transcript(step("a"), roles=roles, guard=guard, effects={"mail": EffectRule()})
    run.begin()
    run.start("a")
    run.say(e.EffectRequested(run.tick(), "a", 1, "mail", "mail", msgspec.Raw(b"1")))
    run.begin_effect("a", "mail")
    run.unknown("a", "mail")
    assert run.say(run.judge("a", {"x": 1})) == ["call eve for a #2"]


# --- what can't be ---

OF_ITS_OWN = "would judge replies of its own; name another agent; one that stands in for a judge judges, too"


@pytest.mark.parametrize(
    ("judge", "fallback", "agents", "said"),
    [
        (Judge(agent="evi"), None, (), "the judge of agent ann is evi, which is no agent; did you mean eve?"),
        (Judge(agent="ann"), None, ("ann",), f"the judge of agent ann is ann, so that ann {OF_ITS_OWN}"),
        (JUDGE, "ann", ("ann",), f"the judge of agent ann is eve, so that ann {OF_ITS_OWN}"),
        (
            Judge(agent="eve", action="jugde"),
            None,
            ("eve",),
            (
                "the judge of agent ann: eve may not do jugde; did you mean judge?;"
                " add jugde to the allowed_actions of eve"
            ),
        ),
    ],
)
def test_judges_that_cannot_judge_are_refused(judge, fallback, agents, said):
    """Each of several is told, whatever is wrong with the first."""
    scope = Scope(["act", "judge"], ["*"], ["x"])
    roles = {
        "ann": Role(scope, guardrails=[Judge(agent="nobody"), judge]),
        "eve": Role(Scope(["judge", "act"], [], ["x"] if fallback else []), fallback=fallback),
    }
    with pytest.raises(TeamError) as caught:
        Rules(Plan([step("a", writes=["x"])]), roles, guard=guard)
    first, problem = caught.value.problems
    assert str(first) == "the judge of agent ann is nobody, which is no agent"
    assert problem.place == ("agents", "ann", "guardrails", "1", "judge", "agent")
    assert (problem.agents, str(problem)) == (agents, said)


def test_a_step_is_not_judged_by_whoever_stands_in_for_its_agent():
    roles = {"ann": Role(Scope(["act"], [], ["x"]), fallback="bob"), "bob": Role(Scope(["act", "judge"], [], ["x"]))}
    with pytest.raises(TeamError, match="the judge of step a is bob, so that bob would judge replies of its own"):
        Rules(Plan([step("a", guardrails=[Judge(agent="bob")])]), roles, guard=guard)


# --- how its step stands before and after ---


def test_a_step_goes_on_after_its_judge_as_it_stood_before():
    policy = Policy(retries=9, backoff_ms=1_000, reissues_max=1, retry_for_ms=60_000)
    run = judged(roles={"ann": Role(ALL, policy, guardrails=[JUDGE])})
    assert run.fail("a") == [f"wake a at {run.at_us + 1_000_000:,}"]
    run.say(e.BackoffEnded(run.tick(), "a"))
    run.reply("a", x=1)
    assert says(run, 0.0) == [
        "refused a #2: eve gives it a score of 0, of the 0.7 that are needed",
        "call ann for a #4",
    ]
    run.start("a")
    assert run.crash() == ["call ann for a #4"], "it is the first call of hers that was lost"
    assert run.fail("a") == [f"wake a at {run.at_us + 2_000_000:,}"], "it is her second failure"
    run.at_us += 60_000_000
    run.say(e.BackoffEnded(run.tick(), "a"))
    assert run.fail("a")[0] == "buried a: it broke; no other attempt may begin after 60 s"


def test_each_judge_has_its_own_lost_calls_and_its_own_time():
    policy = Policy(retries=1, backoff_ms=0, reissues_max=1, retry_for_ms=60_000)
    eve, bob = (Role(SEES_LITTLE, policy) for _ in range(2))
    run = judged(JUDGE, Judge(agent="bob"), eve=eve, roles={"bob": bob})
    run.reply("a", x=1)
    run.start("a")
    assert run.crash() == ["call eve for a #2"]
    run.at_us += 60_000_000
    assert says(run) == ["call bob for a #3"]
    run.start("a")
    assert run.crash() == ["call bob for a #3"]
    assert run.fail("a") == ["call bob for a #4"]
    assert says(run) == ["committed a #1", "succeeded"]
