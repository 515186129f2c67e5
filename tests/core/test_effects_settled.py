"""Effects and people: what one says of an effect that is unknown, and what a step that is tried again performs."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

import interlock.core.events as e
from interlock.core.effects import GIVE_UP, NOT_PERFORMED, PERFORMED
from interlock.core.job import Effect, Question, Reply, Usage
from interlock.core.redrive import taken_over, why_not_again
from interlock.core.settlement import overdue

from .test_effects import RULES, acting, asks, standing, wants
from .test_redrive import fork, reopen
from .test_settlement import decide
from .transcripts import Transcript, step


def unsure(*more, **given):
    """A run that is parked with the question what became of `pay`, before `mail`, after the commit of its step."""
    run = acting(step("a"), *more, **given)
    run.reply("a", wants("pay", "mail", x=1))
    run.begin_effect("a", "pay")
    run.unknown("a", "pay")
    assert run.machine.status == "parked"
    return run


def unsure_at_work(**given):
    """The same before the commit: the agent asked for it while it worked, and its attempt has ended."""
    run = acting(retries=1, **given)
    asks(run, "pay")
    run.begin_effect("a", "k")
    run.unknown("a", "k")
    run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke"))
    assert run.machine.status == "parked"
    return run


def test_what_a_person_knows_to_be_performed_is_done():
    run = unsure(step("b", needs=["a"]))

    assert decide(run, "a", "answer", text=PERFORMED) == ["perform mail of a #1"]
    entry = run.machine.ledger.entry(1, "pay")
    assert (entry.standing, entry.result, entry.flaw) == (
        "done",
        Raw(b"null"),
        "person:eve has said that it was performed, and nothing of its result",
    )
    run.begin_effect("a", "mail")
    assert run.done("a", "mail") == ["call ann for b #1"]
    assert run.fold().state == run.machine.state


def test_a_step_is_done_where_its_last_effect_was_performed():
    run = acting()
    run.reply("a", wants("pay"))
    run.begin_effect("a", "pay")
    run.unknown("a", "pay")

    assert decide(run, "a", "answer", text=PERFORMED) == ["succeeded"]


def test_what_a_person_knows_not_to_be_performed_is_performed_with_all_its_tries():
    run = unsure()

    assert decide(run, "a", "answer", text=NOT_PERFORMED) == ["perform pay of a #2"]
    assert (run.effects["a", "pay"].due_us, run.effects["a", "pay"].wait_ms) == (0, 0)
    run.begin_effect("a", "pay")
    assert run.not_done("a", "pay")[0].startswith("perform pay of a #3 at")
    run.begin_effect("a", "pay")
    assert run.not_done("a", "pay")[0] == "buried a: its effect pay was not performed: the line is busy"


def test_it_may_be_asked_about_again_in_the_same_attempt():
    run = unsure()
    decide(run, "a", "answer", text=NOT_PERFORMED)
    run.begin_effect("a", "pay")
    run.unknown("a", "pay")

    assert decide(run, "a", "answer", text=PERFORMED) == ["perform mail of a #1"]


@pytest.mark.parametrize(("verb", "text"), [("answer", GIVE_UP), ("reject", "")])
def test_a_person_may_give_the_step_up(verb, text):
    run = unsure(step("b", needs=["a"]))

    assert decide(run, "a", verb, text=text, reason="fraud") == [
        "buried a: rejected by person:eve: fraud",
        "failed: a: rejected by person:eve: fraud",
    ]
    assert standing(run, "mail") == "requested", "what comes after it is not begun"


@pytest.mark.parametrize("verb", ["write", "retry", "approve", "edit"])
def test_nobody_writes_or_calls_an_agent_again_for_a_step_that_waits_for_its_effect(verb):
    run = unsure()
    given = {"writes": {"x": 2}} if verb in {"write", "edit"} else {}

    assert decide(run, "a", verb, **given) == [
        f"a can't be dealt with by {verb}: the question is what became of its effect"
    ]


def test_an_answer_is_one_of_the_choices():
    assert decide(unsure(), "a", "answer", text="perhaps")[0].startswith("'perhaps' is none of the choices: it was")


def test_no_deadline_ends_such_a_question():
    assert overdue(unsure().machine, 2**60) == []


def test_a_call_is_charged_once_and_its_question_uses_up_nothing():
    run = acting()
    run.reply("a", Reply(effects=wants("pay").effects, usage=Usage(5, 5, 0.5)))
    run.begin_effect("a", "pay")
    run.unknown("a", "pay")
    decide(run, "a", "answer", text=PERFORMED)

    assert (run.machine.cost.usd, run.machine.cost.tokens, run.machine.cost.calls) == (0.5, 10, 1)


@pytest.mark.parametrize(
    ("answer", "then", "again"),
    [
        (PERFORMED, ["call ann for a #2"], []),
        (NOT_PERFORMED, ["call ann for a #2"], ["perform k of a #2"]),
        (GIVE_UP, ["buried a: rejected by person:eve", "failed: a: rejected by person:eve"], None),
    ],
)
def test_the_agent_that_has_asked_is_called_again(answer, then, again):
    run = unsure_at_work()

    assert decide(run, "a", "answer", text=answer) == then
    if again is not None:
        run.start("a")
        assert run.jobs["a"].feedback == (), "its agent has asked a person nothing"
        assert asks(run, "pay", attempt=2) == again


# --- questions of agents ---


def test_nobody_waits_for_the_effects_of_an_attempt_that_has_asked_a_person():
    run = acting()
    asks(run, "mail")

    assert run.reply("a", Reply(ask=Question("Really?"))) == ["parked: a asks: Really?"]
    assert not run.machine.is_due(run.effects["a", "k"])


def test_what_a_person_writes_has_no_effects_but_waits_for_those_under_way():
    run = acting(step("a"), step("b", needs=["a"]))
    asks(run, "mail")
    run.begin_effect("a", "k")
    assert run.reply("a", Reply(ask=Question("Really?"))) == [], "it isn't parked while an effect is under way"

    assert decide(run, "a", "write", writes={"x": 1}) == []
    assert run.states["a"] == "performing"
    assert run.done("a", "k") == ["call ann for b #1"]


# --- tried again ---


def test_a_step_that_has_committed_goes_on_with_what_is_not_done():
    run = acting(step("a"), step("b", needs=["a"]))
    run.reply("a", wants("mail", "pay", "file", x=1))
    run.begin_effect("a", "mail")
    run.done("a", "mail")
    run.begin_effect("a", "pay")
    assert run.not_done("a", "pay", retryable=False)[0].startswith("buried a")

    assert reopen(run, "a") == ["perform pay of a #2"]
    assert run.states == {"a": "performing", "b": "waiting"}
    run.begin_effect("a", "pay")
    assert run.not_done("a", "pay")[0].startswith("perform pay of a #3 at"), "all its tries are left"
    run.begin_effect("a", "pay")
    assert run.done("a", "pay") == ["perform file of a #1"]
    run.begin_effect("a", "file")
    assert run.done("a", "file") == ["call ann for b #1"]
    assert run.machine.cost.calls == 1, "its agent was not called again"


def test_an_item_that_has_committed_goes_on_too():
    run = acting(step("a"), step("b", needs=["a"], for_each="q", writes=["y.{index}"]))
    run.reply("a", q=[1])
    run.reply("b-0", Reply(writes={"y.0": 1}, effects=wants("pay").effects))
    run.begin_effect("b-0", "pay")
    assert run.not_done("b-0", "pay", retryable=False)[-1].startswith("failed: b")

    assert reopen(run, "b-0") == ["perform pay of b-0 #2"]
    run.begin_effect("b-0", "pay")
    assert run.done("b-0", "pay") == ["succeeded"]


def test_a_person_is_asked_about_what_was_to_fail_when_its_step_is_tried_again():
    run = acting()
    run.reply("a", wants("file"))
    run.begin_effect("a", "file")
    run.unknown("a", "file")

    assert reopen(run, "a")[0].startswith("a asks about file: nobody knows")
    assert decide(run, "a", "answer", text=PERFORMED) == ["succeeded"]


def test_an_agent_that_is_tried_again_is_told_what_was_done_before():
    run = acting()
    asks(run, "mail")
    run.begin_effect("a", "k")
    run.done("a", "k", {"sent": 1})
    run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke"))

    assert reopen(run, "a") == ["call ann for a #2"]
    run.start("a")
    assert asks(run, "mail", attempt=2) == []
    assert standing(run, "k") == "done"


def test_an_agent_that_is_tried_again_may_have_performed_what_had_failed_for_good():
    run = acting()
    asks(run, "mail")
    run.begin_effect("a", "k")
    run.not_done("a", "k", retryable=False)
    run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke"))
    reopen(run, "a")
    run.start("a")

    assert asks(run, "mail", attempt=2) == ["perform k of a #2"]


# --- in a fork ---


def outlived():
    """`a` has committed and mailed, and died of its next effect; `b` came after it all the same."""
    run = acting(step("a", on_dead="continue"), step("b", needs=["a"]))
    run.reply("a", wants("mail", "pay", "file", x=1))
    run.begin_effect("a", "mail")
    run.done("a", "mail", {"sent": 1})
    run.begin_effect("a", "pay")
    run.not_done("a", "pay", retryable=False)
    run.reply("b", y=1)
    assert run.machine.status == "succeeded"
    return run


def test_a_fork_calls_the_agent_again_and_performs_only_what_was_not_done():
    other, said = fork(outlived())

    assert said == ["call ann for a #1"]
    assert other.context == {}, "the commit of a step that is tried again is not shared"
    assert other.reply("a", wants("mail", "pay", x=1)) == ["perform pay of a #1"]
    other.begin_effect("a", "pay")
    assert other.done("a", "pay") == ["call ann for b #1"]
    entry = other.machine.ledger.entry(1, "mail")
    assert (entry.standing, bytes(entry.result), entry.run_id) == ("done", b'{"sent":1}', "run")
    assert other.fold().state == other.machine.state


def test_in_a_fork_a_key_that_is_done_is_not_used_for_something_else():
    other, _ = fork(outlived())

    assert other.reply("a", Reply(effects=[Effect("mail", {"for": "eve"})]))[0].startswith("buried a: ")
    assert "mail" in other.machine.reasons[1]


def test_what_comes_after_knows_what_it_has_done_in_the_origin_and_in_its_origin():
    run = acting(step("a", on_dead="continue"), step("b", needs=["a"]))
    run.refuse("a")
    run.reply("b", wants("mail", y=1))
    run.begin_effect("b", "mail")
    run.done("b", "mail")
    other, _ = fork(run)
    other.refuse("a")
    assert other.reply("b", wants("mail", y=1)) == ["succeeded"]

    third, _ = fork(other)
    third.reply("a", x=1)
    assert third.reply("b", wants("mail", y=1)) == ["succeeded"]


@pytest.mark.parametrize(("effect", "then"), [("file", "a asks about file: "), ("mail", "call ann for a #1")])
def test_what_is_unknown_stays_unknown_in_a_fork(effect, then):
    run = acting(step("a", on_dead="continue"), step("b", needs=["a"]))
    run.reply("a", wants(effect))
    for _ in range(RULES[effect].retries + 1):
        run.begin_effect("a", effect)
        run.unknown("a", effect)
    run.reply("b", y=1)

    events = [e.decode(told) for told in run.journal]
    [kept] = taken_over(run.machine, "run", events, ["a", "b"], 90_000_000)
    payload = run.machine.ledger.entry(1, effect).payload
    assert kept == e.EffectShared(90_000_000, "a", effect, effect, payload, "run", reason="the line broke")
    other, said = fork(run)
    assert said[0].startswith(then)
    if effect == "file":
        assert decide(other, "a", "answer", text=PERFORMED) == ["call ann for a #1"]
        assert other.reply("a", wants("file", x=1)) == ["call ann for b #1"]
    else:
        assert other.reply("a", wants("mail", x=1)) == ["perform mail of a #1"]


def test_a_fork_knows_what_was_done_after_something_that_was_certainly_not():
    run = acting(step("a"))
    asks(run, "pay", key="not")
    run.begin_effect("a", "not")
    run.not_done("a", "not", retryable=False)
    asks(run, "mail", key="done")
    run.begin_effect("a", "done")
    run.done("a", "done")
    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["a"], 90_000_000)
    assert [fact.key for fact in facts] == ["done"]


def test_items_find_what_was_done_for_them_once_there_are_any():
    run = acting(
        step("a", writes=["q"]),
        step("b", needs=["a"], for_each="q", writes=["y.{index}"]),
        step("c", writes=["c"]),
    )
    run.reply("a", Reply(ask=Question("Really?")))
    decide(run, "a", "write", writes={"q": [1, 2]})
    run.reply("b-0", Reply(writes={"y.0": 1}, effects=wants("mail").effects))
    run.begin_effect("b-0", "mail")
    run.done("b-0", "mail")
    events = [e.decode(told) for told in run.journal]
    facts = taken_over(run.machine, "run", events, ["a"], 90_000_000)
    assert [(type(fact), fact.step) for fact in facts] == [(e.EffectShared, "b-0")]

    other = Transcript(*run.rules.plan.declared, roles=run.rules.roles, effects=RULES)
    inherited = other.say(e.RunStarted(90_000_000, Raw(b"{}"), "team", "plan"), facts[0])
    assert taken_over(other.machine, "other", [], ["a"], 95_000_000) == [replace(facts[0], at_us=95_000_000)]
    assert inherited == ["call ann for a #1", "call ann for c #1"]
    other.reply("a", q=[1])
    assert other.reply("b-0", Reply(writes={"y.0": 1}, effects=wants("mail").effects)) == []
    assert other.states["b-0"] == "committed"


def test_a_fork_knows_the_effects_of_all_that_it_shares_and_of_what_it_does_again_unless_they_are_repeated():
    run = acting(step("a"), step("b", needs=["a"]), step("c", needs=["b"]))
    for name in ("a", "b"):
        run.reply(name, wants("mail", **{name: 1}))
        run.begin_effect(name, "mail")
        run.done(name, "mail")
    run.reply("c", c=1)
    events = [e.decode(told) for told in run.journal]
    for repeat, known in ((False, ["a", "b"]), (True, ["a"])):
        facts = taken_over(run.machine, "run", events, ["b"], 90_000_000, repeat_effects=repeat)
        assert [fact.step for fact in facts if isinstance(fact, e.StepShared)] == ["a"]
        assert [fact.step for fact in facts if isinstance(fact, e.EffectShared)] == known
        other = Transcript(*run.rules.plan.declared, roles=run.rules.roles, effects=RULES)
        assert other.say(e.RunStarted(90_000_000, Raw(b"{}"), "team", "plan"), *facts) == ["call ann for b #1"]
        said = other.reply("b", wants("mail", b=1))
        assert said == (["perform mail of b #1"] if repeat else ["call ann for c #1"])
        again = taken_over(other.machine, "other", [e.decode(told) for told in other.journal], ["a"], 95_000_000)
        assert ("a", "run") in [(fact.step, fact.run_id) for fact in again if isinstance(fact, e.EffectShared)]


def test_a_step_that_has_committed_is_not_skipped_for_its_effects():
    run = acting(step("a"))
    run.reply("a", wants("mail", x=1))
    run.begin_effect("a", "mail")
    run.say(e.EffectFailed(run.tick(), "a", "mail", "no line", retryable=False))
    assert run.machine.status == "failed"
    fix = "have them tried again: interlock retry run a"
    assert why_not_again(run.machine, "run", "a", skip=True) == ("it has committed, and its effects are not done", fix)
    assert why_not_again(run.machine, "run", "a") is None
