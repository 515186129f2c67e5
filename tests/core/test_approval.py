"""Effects that need a person's approval: nothing of them is begun before, and what is approved is what is performed."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

import interlock.core.events as e
from interlock.core.budget import Amounts, BudgetPolicy
from interlock.core.decision import decided
from interlock.core.effects import NOT_PERFORMED, PAYLOAD_CHARS_TOLD, EffectRule
from interlock.core.gate import outcome_of
from interlock.core.guardrail import Judge, Seat
from interlock.core.job import Effect, Question, Reply, Usage
from interlock.core.policy import Escalation, Policy
from interlock.core.redrive import taken_over
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.settlement import approval_asked, expired, overdue, settled

from .test_effects import standing, wants
from .test_redrive import fork, reopen
from .test_settlement import decide
from .transcripts import Transcript, step

PAY = EffectRule(retries=1, approve=True)
RULES = {"pay": PAY, "mail": EffectRule(retries=0, on_unknown="retry")}
QUESTION = "May the effect pay be performed?"


def acting(*steps, rules=RULES, retries=0, purse=None, **role):
    """A run whose agent may ask for effects that need approval; of one step `a` that has begun."""
    ann = Role(Scope(["act", "pay", "mail"], ["*"], ["*"]), Policy(retries=retries), immediate=True, **role)
    roles = {"ann": ann, "bob": Role(Scope(["act"], ["*"], []))}
    run = Transcript(*(steps or [step("a")]), roles=roles, effects=rules, budget=purse)
    run.begin()
    run.start("a")
    return run


def waiting(*names, steps=(), **given):
    """A run that is parked with the question whether `pay` may be performed, after the commit of its step."""
    run = acting(*steps, **given)
    run.reply("a", wants(*(names or ["pay"]), x=1))
    assert run.states["a"] == "escalated"
    return run


def at_work(payload=b"1", key="k", attempt=1, run=None, **given):
    """The same before the commit: the agent waits for it, and its attempt has ended with the question."""
    run = run or acting(**given)
    run.say(e.EffectRequested(run.tick(), "a", attempt, "pay", key, Raw(payload)))
    run.say(approval_asked(run.machine, run.calls["a"], key, None, run.tick()))
    return run


# --- after the commit ---


def test_what_needs_approval_waits_for_it_after_the_commit():
    run = acting(step("a"), step("b", needs=["a"]))

    assert run.reply("a", wants("pay", "mail", x=1)) == [
        f"a asks about pay: {QUESTION}",
        f"parked: a needs a person: {QUESTION}",
    ]
    assert (run.states["a"], run.states["b"], run.context) == ("escalated", "waiting", {"x": 1})
    assert run.machine.questions[1].verbs == ("approve", "reject")
    assert decide(run, "a", "approve") == ["perform pay of a #1"]
    assert run.machine.ledger.entry(1, "pay").approved_by == "person:eve"
    run.begin_effect("a", "pay")
    assert run.done("a", "pay") == ["perform mail of a #1"], "what comes after it needs no approval"
    run.begin_effect("a", "mail")
    assert run.done("a", "mail") == ["call ann for b #1"]


def test_the_order_of_effects_is_kept_and_each_is_approved_by_itself():
    run = acting()
    effects = [Effect("mail", 0), Effect("pay", 1, key="one"), Effect("pay", 2, key="two")]

    assert run.reply("a", Reply(effects=effects)) == ["perform mail of a #1"]
    run.begin_effect("a", "mail")
    assert run.done("a", "mail")[0] == "a asks about one: May the effect pay (one) be performed?"
    assert decide(run, "a", "approve") == ["perform one of a #1"]
    run.begin_effect("a", "one")
    assert run.done("a", "one")[0] == "a asks about two: May the effect pay (two) be performed?"
    assert decide(run, "a", "approve") == ["perform two of a #1"]


def test_further_tries_of_what_is_approved_need_no_other_approval():
    run = waiting()
    decide(run, "a", "approve")
    run.begin_effect("a", "pay")

    assert run.not_done("a", "pay")[0].startswith("perform pay of a #2 at")
    run.begin_effect("a", "pay")
    assert run.unknown("a", "pay")[0].endswith("Was it?")
    assert decide(run, "a", "answer", text=NOT_PERFORMED) == ["perform pay of a #3"]


def test_why_it_was_approved_is_kept():
    run = waiting()
    verdict = settled(run.machine, decided("a", "approve"), "person:eve", "they have waited", run.tick())
    assert verdict == e.QuestionAnswered(
        run.at_us, "a", 1, "person:eve", "approve", reason="they have waited", effect="pay"
    )


def test_what_is_rejected_is_not_performed_and_its_step_is_given_up():
    run = waiting("pay", "mail")

    assert decide(run, "a", "reject", reason="fraud") == [
        "buried a: its effect pay was rejected by person:eve: fraud",
        "failed: a: its effect pay was rejected by person:eve: fraud",
    ]
    assert (standing(run, "pay"), standing(run, "mail")) == ("requested", "requested")
    told = {entry.key: (entry.rejected_by, entry.rejected_for) for entry in run.machine.ledger.of(1)}
    assert told == {"pay": ("person:eve", "fraud"), "mail": ("", "")}


def test_a_step_that_was_rejected_and_is_tried_again_asks_again():
    run = waiting()
    decide(run, "a", "reject")

    assert reopen(run, "a")[0] == f"a asks about pay: {QUESTION}"
    assert run.machine.ledger.entry(1, "pay").rejected_by == "", "it is open again"
    assert decide(run, "a", "approve") == ["perform pay of a #1"]


def test_what_is_approved_and_failed_needs_no_other_approval_where_its_step_is_tried_again():
    run = waiting()
    decide(run, "a", "approve")
    run.begin_effect("a", "pay")
    run.not_done("a", "pay", retryable=False)

    assert reopen(run, "a") == ["perform pay of a #2"]


@pytest.mark.parametrize("verb", ["answer", "retry", "write", "edit"])
def test_what_waits_for_approval_is_approved_or_rejected(verb):
    run = waiting()
    given = {"writes": {"x": 2}} if verb in {"write", "edit"} else {"text": NOT_PERFORMED}

    message = f"a can't be dealt with by {verb}: the question is whether its effect may be performed"
    assert decide(run, "a", verb, **given) == [message]


def test_the_first_decision_wins():
    run = waiting()
    decide(run, "a", "reject")

    assert decide(run, "a", "approve", by="person:ann") == [
        "a does not wait for a person: person:eve has decided about it"
    ]


def test_a_crash_forgets_neither_the_question_nor_the_approval():
    run = waiting()
    assert run.crash() == []
    assert run.machine.questions[1].verbs == ("approve", "reject")
    decide(run, "a", "approve")
    assert run.crash() == ["perform pay of a #1"]
    run.begin_effect("a", "pay")
    run.done("a", "pay")
    assert run.fold().ledger.entries == run.machine.ledger.entries
    assert run.crash() == []
    assert run.machine.status == "succeeded"


def test_what_waits_when_its_run_is_cancelled_is_never_performed():
    run = waiting()

    assert run.say(e.RunCancelled(run.tick(), "person:ann")) == []
    assert (run.states["a"], standing(run, "pay")) == ("cancelled", "requested")
    assert decide(run, "a", "approve") == ["a does not wait for a person"]


def test_the_whole_run_is_charged_as_without_the_question():
    run = acting()
    run.reply("a", Reply(effects=wants("pay").effects, usage=Usage(5, 5, 0.5)))
    decide(run, "a", "approve")

    assert (run.machine.cost.usd, run.machine.cost.tokens, run.machine.cost.calls) == (0.5, 10, 1)


# --- deadlines ---


@pytest.mark.parametrize("then", ["dead", "fallback", "default"])
def test_what_nobody_approves_in_time_is_not_performed_whatever_comes_then(then):
    default = {"x": 0} if then == "default" else {}
    run = waiting(escalation=Escalation(60_000, then, default), fallback="bob" if then == "fallback" else None)
    [n] = overdue(run.machine, 2**60)
    due_us = run.machine.questions[n].due_us

    assert due_us == 60_000_000 + run.at_us
    verdict = expired(run.machine, n, due_us)
    assert verdict == e.QuestionExpired(due_us, "a", 1, "dead")
    said = run.say(verdict)
    assert said[0] == f"buried a: nobody has answered in time: {QUESTION}"
    assert (run.context, standing(run, "pay")) == ({"x": 1}, "requested")


def test_before_the_commit_the_declared_way_is_taken():
    run = at_work(escalation=Escalation(60_000, "default", {"x": 0}))

    assert run.machine.questions[1].due_us == run.at_us + 60_000_000
    assert run.say(expired(run.machine, 1, run.machine.questions[1].due_us)) == ["succeeded"]
    assert (run.context, standing(run, "k")) == ({"x": 0}, "requested")


def test_without_a_deadline_it_waits_for_ever():
    assert overdue(waiting().machine, 2**60) == []
    assert overdue(at_work().machine, 2**60) == []


def test_who_names_an_effect_decides_about_no_other():
    """Two people have read the same question: the second answer must not be taken for one to the next question."""
    run = waiting("pay", "mail")
    refused = decide(run, "a", "approve", effect="mail")
    assert refused == ["the question of a is about its effect 'pay', not about 'mail'"]
    assert run.states["a"] == "escalated"
    assert decide(run, "a", "approve", effect="pay") == ["perform pay of a #1"]


def test_who_names_an_effect_answers_no_question_about_something_else():
    run = Transcript(step("a"))
    run.begin()
    run.ask("a")
    refused = decide(run, "a", "answer", text="yes", effect="mail")
    assert refused == ["the question of a is about no effect, not about 'mail'"]


# --- while an agent waits for it ---


def test_an_attempt_that_waits_for_approval_ends_and_the_next_may_ask_for_the_same():
    run = at_work()

    assert run.machine.status == "parked"
    assert decide(run, "a", "approve") == ["call ann for a #2"], "though it has no retries"
    run.start("a")
    told = "A person has approved the effect pay (k): ask for it again with the same payload, 1"
    assert run.jobs["a"].feedback == (told,)
    assert run.say(e.EffectRequested(run.tick(), "a", 2, "pay", "k", Raw(b"1"))) == ["perform k of a #1"]
    run.begin_effect("a", "k")
    run.done("a", "k")
    assert run.reply("a", {"x": 1}) == ["succeeded"]


def test_to_wait_for_approval_uses_up_no_retry_and_what_is_refused_then_does():
    run = at_work(retries=1)
    decide(run, "a", "approve")
    assert run.refuse("a") == ["call ann for a #3"]
    assert run.refuse("a")[0].startswith("buried a: ")
    # Nor does it where retries were used up before.
    run = acting(retries=2)
    run.refuse("a")
    run.start("a")
    at_work(attempt=2, run=run)
    decide(run, "a", "approve")
    assert run.refuse("a") == ["call ann for a #4"]
    assert run.refuse("a")[0].startswith("buried a: ")


def test_what_was_approved_and_is_asked_for_with_another_payload_needs_approval_again():
    run = at_work()
    decide(run, "a", "approve")
    run.start("a")

    at_work(b"2", attempt=2, run=run)
    assert run.machine.ledger.entry(1, "k").approved_by == ""
    assert decide(run, "a", "approve") == ["call ann for a #3"]
    assert len(run.machine.feedback[1]) == 2


def test_what_was_approved_and_is_not_asked_for_again_is_not_performed():
    run = at_work()
    decide(run, "a", "approve")

    assert run.reply("a", {"x": 1}) == ["succeeded"]
    assert standing(run, "k") == "requested"


def test_an_agent_is_told_the_same_approval_once():
    run = at_work()
    decide(run, "a", "approve")
    run.start("a")
    at_work(b"2", attempt=2, run=run)
    decide(run, "a", "approve")
    run.start("a")
    at_work(b"1", attempt=3, run=run)
    decide(run, "a", "approve")

    assert [told.rpartition(" ")[2] for told in run.machine.feedback[1]] == ["2", "1"]


def test_a_long_payload_is_told_cut():
    run = at_work(b'"%s"' % (b"x" * 3_000))
    decide(run, "a", "approve")

    assert len(run.machine.feedback[1][0]) < PAYLOAD_CHARS_TOLD + 200


def test_what_an_agent_has_asked_for_and_not_waited_for_is_asked_about_after_its_commit():
    run = acting()
    assert run.say(e.EffectRequested(run.tick(), "a", 1, "pay", "k", Raw(b"1"))) == []

    assert run.reply("a", {"x": 1})[0] == "a asks about k: May the effect pay (k) be performed?"
    assert decide(run, "a", "approve") == ["perform k of a #1"]


def test_an_attempt_that_waits_for_approval_can_be_rejected():
    run = at_work(retries=2)

    assert decide(run, "a", "reject")[0] == "buried a: its effect pay (k) was rejected by person:eve"


def test_the_call_that_ends_with_the_question_is_paid_for():
    run = acting()
    run.say(e.EffectRequested(run.tick(), "a", 1, "pay", "k", Raw(b"1")))
    asked = approval_asked(run.machine, run.calls["a"], "k", Usage(5, 5, 0.5), run.tick())
    question = Question("May the effect pay (k) be performed?")
    assert asked == e.QuestionAsked(run.at_us, "a", 1, question, Usage(5, 5, 0.5), (), 0, "k")
    run.say(asked)

    assert run.machine.cost.usd == 0.5
    assert outcome_of(asked, "run/a/1").usage == Usage(5, 5, 0.5)
    assert outcome_of(replace(asked, usage=None), "run/a/1").usage is None, "of a call that was stopped nobody knows"


def test_of_a_call_that_was_stopped_for_the_question_all_that_it_could_use_counts():
    run = at_work(purse=BudgetPolicy(usd=50, call_usd=20))
    assert run.machine.purse.ledger("").spent == Amounts(1, usd=20)


def test_it_needs_approval_only_where_its_rule_says_so():
    run = acting()
    ledger = run.machine.ledger

    assert ledger.needs_approval(e.EffectWanted("pay", "k", Raw(b"1")), None)
    assert not ledger.needs_approval(e.EffectWanted("mail", "k", Raw(b"1")), None)
    at_work(run=run)
    decide(run, "a", "approve")
    entry = ledger.entry(1, "k")
    assert not ledger.needs_approval(e.EffectWanted("pay", "k", Raw(b"1")), entry)
    assert ledger.needs_approval(e.EffectWanted("pay", "k", Raw(b"2")), entry)


@pytest.mark.parametrize(("on_unknown", "needed"), [("retry", True), ("ask", False), ("fail", False)])
def test_a_key_that_was_used_for_something_else_needs_approval_only_where_it_would_be_tried_again(on_unknown, needed):
    """Where a person is asked what became of it, or the step is given up, nothing is about to be performed."""
    run = acting(rules={"pay": EffectRule(retries=1, on_unknown=on_unknown, approve=True)})
    at_work(run=run)
    decide(run, "a", "approve")
    run.start("a")
    run.say(e.EffectRequested(run.tick(), "a", 2, "pay", "k", Raw(b"1")))
    run.begin_effect("a", "k")
    run.done("a", "k")
    ledger, other = run.machine.ledger, e.EffectWanted("pay", "k", Raw(b"2"))

    assert not ledger.needs_approval(e.EffectWanted("pay", "k", Raw(b"1")), ledger.entry(1, "k"))
    assert ledger.needs_approval(other, ledger.entry(1, "k")) == needed
    run.say(e.EffectRequested(run.tick(), "a", 2, "pay", "k", Raw(b"2")))
    assert (ledger.following(ledger.entry(1, "k")) == "approve") == needed


@pytest.mark.parametrize("on_unknown", ["retry", "ask", "fail"])
def test_what_was_to_be_tried_again_does_not_perform_another_payload(on_unknown):
    """An approval is for one payload: its next try must not come in the place of what was asked for meanwhile."""
    run = acting(rules={"pay": EffectRule(retries=1, on_unknown=on_unknown, approve=True)})
    at_work(run=run)
    decide(run, "a", "approve")
    run.start("a")
    run.say(e.EffectRequested(run.tick(), "a", 2, "pay", "k", Raw(b"1")))
    run.begin_effect("a", "k")
    run.not_done("a", "k")
    waits = run.effects["a", "k"]
    assert run.machine.is_due(waits)

    run.say(e.EffectRequested(run.tick(), "a", 2, "pay", "k", Raw(b"9999")))
    assert not run.machine.is_due(waits)
    assert run.machine.ledger.entry(1, "k").approved_by == ""


# --- in a fork ---


def test_a_fork_asks_again_and_shares_no_approval_as_if_it_were_a_commit():
    run = waiting(
        steps=[step("a", writes=["x"]), step("b", writes=["y"]), step("c", writes=["z"], needs=["a"])],
    )
    decide(run, "a", "approve")
    run.begin_effect("a", "pay")
    run.done("a", "pay")
    run.reply("c", z=1)
    run.refuse("b")

    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["b"], 90_000_000)
    shared = {fact.step: dict(fact.writes) for fact in facts if isinstance(fact, e.StepShared)}
    assert shared == {"a": {"x": Raw(b"1")}, "c": {"z": Raw(b"1")}}


def test_what_is_unknown_in_the_origin_is_not_tried_again_in_a_fork_without_approval():
    rules = {**RULES, "pay": EffectRule(retries=0, on_unknown="retry", approve=True)}
    run = waiting(rules=rules)
    decide(run, "a", "approve")
    run.begin_effect("a", "pay")
    run.unknown("a", "pay")

    other, lines = fork(run)
    assert lines == ["call ann for a #1"], "its agent may ask for it, or not"
    assert other.reply("a", wants("pay", x=1))[0] == f"a asks about pay: {QUESTION}"
    assert decide(other, "a", "approve") == ["perform pay of a #1"]


# --- the effects of a reply that was refused ---


def refused(*effects):
    """A run whose reply was refused by a guardrail, with effects, and which a person may approve."""
    run = acting(escalation=Escalation())
    verdict = run.judge("a", Reply(writes={"x": 1}, effects=[Effect(*effect) for effect in effects]))
    finding = (e.Finding("grounded", "7 was not shown", "x"),)
    run.say(e.AttemptRefused(verdict.at_us, "a", 1, finding, Raw(b'{"x":1}'), effects=verdict.effects))
    return run


def test_who_approves_a_refused_reply_approves_its_effects():
    run = refused(("pay", 1), ("mail", 2, "to eve"))

    assert [wanted.effect for wanted in run.machine.questions[1].effects] == ["pay", "mail"]
    assert decide(run, "a", "approve") == ["perform pay of a #1"]
    assert run.context == {"x": 1}
    run.begin_effect("a", "pay")
    assert run.done("a", "pay") == ["perform to eve of a #1"]
    answered = next(e.decode(told) for told in run.journal if b"question_answered" in told)
    told = [(one.effect, one.key, bytes(one.payload)) for one in answered.effects]
    assert told == [("pay", "pay", b"1"), ("mail", "to eve", b"2")]
    assert run.fold().ledger.entries == run.machine.ledger.entries


@pytest.mark.parametrize("verb", ["edit", "write"])
def test_who_writes_otherwise_has_no_effect_performed(verb):
    run = refused(("pay", 1))

    assert decide(run, "a", verb, writes={"x": 2}) == ["succeeded"]
    assert run.machine.ledger.entries == {}


def test_a_fork_does_not_share_an_approved_reply_whose_effects_were_given_up():
    run = refused(("pay", 1))
    decide(run, "a", "approve")
    run.begin_effect("a", "pay")
    run.not_done("a", "pay", retryable=False)

    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["a"], 90_000_000)
    assert facts == []


def test_an_effect_that_can_no_longer_be_asked_for_is_not_approved():
    run = refused(("pay", 1))
    run.machine.ledger.request(1, "pay", "pay", Raw(b"2")).move("started")

    [message] = decide(run, "a", "approve")
    assert message == "the effect with the key pay was begun before, with another payload; take another key"


def test_a_refused_reply_keeps_its_effects_only_where_nothing_is_wrong_with_them():
    run = acting(escalation=Escalation())
    fine, stranger = Effect("pay", 1), Effect("fax", 1)

    assert run.judge("a", Reply(writes={"": 1}, effects=[fine])).effects == (e.EffectWanted("pay", "pay", Raw(b"1")),)
    assert run.judge("a", Reply(writes={"x": 1}, effects=[fine, stranger])).effects == ()
    assert run.judge("a", Reply(writes={"x": 1}, effects=[fine, fine])).effects == ()


def test_of_a_reply_whose_writes_were_not_kept_the_effects_are_not_either():
    run = acting(escalation=Escalation())
    run.reply("a", Reply(writes={"": 1}, effects=[Effect("pay", 1)]))

    assert (run.machine.questions[1].reply, run.machine.questions[1].effects) == (None, ())


# --- replies that wait for a judge ---


def drafted(*effects, **given):
    """A run whose reply asks for effects, and waits for its judge."""
    judges = {"guardrails": [Judge(agent="eve")], "escalation": Escalation()}
    ann = Role(Scope(["act", "pay", "mail"], ["*"], ["*"]), Policy(retries=0), **judges, **given)
    eve = Role(Scope(["judge"], ["*"], []), Policy(retries=0))
    run = Transcript(step("a"), roles={"ann": ann, "eve": eve}, effects=RULES, guard=lambda judge: Seat(judge, 1.0))
    run.begin()
    run.start("a")
    run.reply("a", Reply(writes={"x": 1}, effects=[Effect(*effect) for effect in effects]))
    return run


def says(run, score):
    return run.reply("a", Reply(writes={"score": score, "findings": []}))


def test_an_effect_is_asked_about_after_the_verdict_of_its_judge():
    run = drafted(("pay", 1), ("mail", 2))

    assert (run.states["a"], run.machine.ledger.entries, run.machine.questions) == ("ready", {}, {})
    assert says(run, 1.0) == [
        "committed a #1",
        f"a asks about pay: {QUESTION}",
        f"parked: a needs a person: {QUESTION}",
    ]
    assert (run.states["a"], run.context, run.machine.questions[1].approval) == ("escalated", {"x": 1}, True)
    assert decide(run, "a", "approve") == ["perform pay of a #1"]
    assert run.fold().ledger.entries == run.machine.ledger.entries


def test_an_effect_of_what_was_judged_is_not_performed_when_it_is_rejected():
    run = drafted(("pay", 1))
    says(run, 1.0)

    assert decide(run, "a", "reject")[0] == "buried a: its effect pay was rejected by person:eve"
    assert run.machine.ledger.entry(1, "pay").tries == 0


def test_a_reply_that_its_judge_refused_keeps_its_effects():
    run = drafted(("pay", 1), ("mail", 2))
    says(run, 0.1)

    assert [wanted.effect for wanted in run.machine.questions[1].effects] == ["pay", "mail"]
    assert run.machine.ledger.entries == {}
    assert decide(run, "a", "approve") == ["perform pay of a #1"]
    run.begin_effect("a", "pay")
    assert run.done("a", "pay") == ["perform mail of a #1"]


def test_a_reply_that_nobody_could_judge_keeps_its_effects():
    run = drafted(("pay", 1))
    run.start("a")
    run.say(e.AttemptFailed(run.tick(), "a", 2, "error", "no"))

    assert [wanted.effect for wanted in run.machine.questions[1].effects] == ["pay"]
    assert decide(run, "a", "edit", writes={"x": 2}) == ["succeeded"]


def test_a_judge_asks_for_no_effect():
    run = drafted(("pay", 1))
    refused = run.judge("a", Reply(writes={"score": 1.0}, effects=[Effect("pay", 2)]))
    assert isinstance(refused, e.AttemptRefused)
    assert refused.effects == ()
