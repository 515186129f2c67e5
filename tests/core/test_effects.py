"""Effects in the machine: after the commit, before what needs the step, and never a second time once they are done."""

import pytest
from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core import assess
from interlock.core.effects import (
    CHOICES,
    FOLLOWING,
    FOLLOWING_UNKNOWN,
    LEGAL,
    EffectLedger,
    EffectRule,
    Entry,
    effect_of,
)
from interlock.core.job import Effect, Reply, connect, effect_key, performing
from interlock.core.policy import BACKOFF_MS_MAX, REISSUES_MAX, Policy
from interlock.core.redrive import taken_over
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.values import Limits
from interlock.errors import AgentRefused

from .transcripts import Transcript, step

RULES = {
    "mail": EffectRule(retries=1, on_unknown="retry"),
    "pay": EffectRule(timeout_ms=70, retries=1),
    "file": EffectRule(retries=0, on_unknown="fail"),
}


def acting(*steps, allowed=("mail", "pay", "file"), retries=0, immediate=True, limits=None):
    """A run whose agent may ask for effects; of one step `a` that has begun, unless others are given."""
    role = Role(Scope(["act", *allowed], ["*"], ["*"]), Policy(retries=retries, backoff_ms=0), immediate=immediate)
    run = Transcript(*(steps or [step("a", writes=[])]), roles={"ann": role}, effects=RULES, limits=limits or Limits())
    run.begin()
    run.start("a")
    return run


def wants(*names, **writes):
    return Reply(writes=writes, effects=[Effect(name, {"for": name}) for name in names])


def asks(run, effect, key="k", payload=b"1", attempt=1):
    return run.say(e.EffectRequested(run.tick(), "a", attempt, effect, key, Raw(payload)))


def standing(run, key, step_id="a"):
    return run.machine.ledger.entry(run.machine.number[step_id], key).standing


# --- after the commit ---


def test_a_step_that_needs_another_starts_when_the_effects_of_that_one_are_done():
    run = acting(step("a"), step("b", needs=["a"]))

    assert run.reply("a", wants("mail", "pay", x=1)) == ["perform mail of a #1"]
    assert (run.states["a"], run.states["b"]) == ("performing", "waiting")
    assert run.context == {"x": 1}, "its writes are committed"
    run.begin_effect("a", "mail")
    assert run.done("a", "mail") == ["perform pay of a #1"], "one after another"
    run.begin_effect("a", "pay")
    assert run.done("a", "pay", {"receipt": 7}) == ["call ann for b #1"]
    assert run.states["a"] == "committed"
    assert run.reply("b") == ["succeeded"]
    assert run.machine.reasons == {}


def test_the_command_says_all_that_the_shell_needs():
    run = acting()
    run.reply("a", wants("pay"))

    assert run.effects["a", "pay"] == c.PerformEffect(1, "a", "pay", "pay", 1, 70)
    run.begin_effect("a", "pay")
    assert e.decode(run.journal[-1]) == e.EffectStarted(3_000_000, "a", "pay", "pay", 1)
    assert effect_key("run", "a", "pay") == "run/a/effect:pay"
    run.not_done("a", "pay")
    assert run.effects["a", "pay"] == c.PerformEffect(1, "a", "pay", "pay", 2, 70, 4_200_000, 200)


def test_a_refused_reply_has_no_effects():
    run = acting(retries=1)

    assert run.reply("a", Reply(writes={"": 1}, effects=[Effect("mail")])) == ["call ann for a #2"]
    assert run.machine.ledger.entries == {}


def test_what_is_done_is_not_begun_again_after_a_crash():
    run = acting()
    run.reply("a", wants("mail", "pay"))
    run.begin_effect("a", "mail")
    run.done("a", "mail")

    assert run.crash() == ["perform pay of a #1"]
    with pytest.raises(AssertionError, match="done -> started"):
        run.machine.apply(e.EffectStarted(1, "a", "mail", "mail"))


def test_each_command_is_handed_out_once_and_again_by_a_folded_machine():
    run = acting()
    run.reply("a", wants("mail"))

    assert run.say() == []
    assert run.machine.is_due(run.effects["a", "mail"])
    assert run.crash() == ["perform mail of a #1"]
    run.begin_effect("a", "mail")
    assert not run.machine.is_due(run.effects["a", "mail"])


def test_it_is_tried_again_where_it_is_certain_that_nothing_was_done():
    run = acting()
    run.reply("a", wants("pay"))
    run.begin_effect("a", "pay")

    assert run.not_done("a", "pay") == ["perform pay of a #2 at 4,200,000"]
    run.begin_effect("a", "pay")
    assert run.not_done("a", "pay") == [
        "buried a: its effect pay was not performed: the line is busy",
        "failed: a: its effect pay was not performed: the line is busy",
    ]


def test_it_is_not_tried_again_where_that_would_not_help():
    run = acting()
    run.reply("a", Reply(effects=[Effect("pay", key="order 7")]))
    run.begin_effect("a", "order 7")

    assert run.not_done("a", "order 7", retryable=False)[0] == (
        "buried a: its effect pay (order 7) was not performed: the line is busy"
    )


def test_waits_double_up_to_a_bound():
    assert [EffectRule().wait_ms(tries) for tries in (1, 2, 3, 100)] == [200, 400, 800, BACKOFF_MS_MAX]


# --- unknown ---


def test_what_is_unknown_is_retried_where_its_rule_says_so():
    run = acting()
    run.reply("a", wants("mail"))
    run.begin_effect("a", "mail")

    assert run.unknown("a", "mail") == ["perform mail of a #2 at 4,200,000"]
    run.begin_effect("a", "mail")
    assert run.unknown("a", "mail")[0] == (
        "buried a: nobody knows whether its effect mail was performed: the line broke"
    )


def test_a_try_that_surely_did_nothing_says_nothing_of_the_one_before():
    run = acting()
    run.reply("a", wants("mail"))
    run.begin_effect("a", "mail")
    run.unknown("a", "mail")
    run.begin_effect("a", "mail")

    assert run.not_done("a", "mail")[0] == (
        "buried a: nobody knows whether its effect mail was performed: the line is busy"
    )


def test_a_person_is_asked_where_its_rule_says_so():
    run = acting(step("a", writes=[]), step("b", needs=["a"], writes=[]))
    run.reply("a", wants("pay"))
    run.begin_effect("a", "pay")

    question = "nobody knows whether its effect pay was performed: the line broke. Was it?"
    assert run.unknown("a", "pay") == [f"a asks about pay: {question}", f"parked: a needs a person: {question}"]
    asked = e.decode(run.journal[-2])
    assert (asked.attempt, asked.question.choices, asked.effect) == (1, CHOICES, "pay")
    assert run.states["b"] == "waiting"
    assert run.fold().decide() == []


def test_a_step_is_given_up_where_its_rule_says_so():
    run = acting()
    run.reply("a", wants("file"))
    run.begin_effect("a", "file")

    assert run.unknown("a", "file") == [
        "buried a: nobody knows whether its effect file was performed: the line broke",
        "failed: a: nobody knows whether its effect file was performed: the line broke",
    ]


@pytest.mark.parametrize(
    ("effect", "then"), [("mail", "perform mail of a #2"), ("pay", "a asks about pay:"), ("file", "buried a:")]
)
def test_what_was_begun_before_a_crash_is_unknown(effect, then):
    run = acting()
    run.reply("a", wants(effect))
    run.begin_effect("a", effect)

    assert run.crash()[0].startswith(then)


def test_a_try_that_was_lost_in_a_crash_is_not_counted_but_not_repeated_for_ever():
    run = acting()
    run.reply("a", wants("mail"))
    for number in range(1, REISSUES_MAX + 1):
        run.begin_effect("a", "mail")
        assert run.crash()[0].startswith(f"perform mail of a #{number + 1}")
    run.begin_effect("a", "mail")

    assert run.crash()[0].startswith("buried a: nobody knows whether its effect mail was performed: it was lost")


def test_a_cancelled_run_leaves_open_effects_unknown():
    run = acting()
    run.reply("a", wants("mail", "pay"))
    run.begin_effect("a", "mail")

    assert run.say(e.RunCancelled(run.tick(), "person:eve")) == []
    assert (standing(run, "mail"), standing(run, "pay")) == ("unknown", "requested")
    begun = run.machine.ledger.entry(1, "mail")
    assert (begun.reason, begun.doubtful, begun.lost) == ("the run was cancelled meanwhile", True, 0)
    assert run.machine.ledger.open() == []
    entry = run.machine.ledger.entry(1, "mail")
    assert entry.fate.endswith("its effect mail was performed: the run was cancelled meanwhile")
    assert run.states["a"] == "cancelled"
    assert not run.machine.is_due(run.effects["a", "mail"])


# --- while an agent works ---


def test_an_agent_has_an_effect_performed_and_its_step_commits_when_it_likes():
    run = acting()

    assert asks(run, "pay") == ["perform k of a #1"]
    assert run.effects["a", "k"].immediate
    run.begin_effect("a", "k")
    assert run.done("a", "k", 7) == []
    assert bytes(run.machine.ledger.entry(1, "k").result) == b"7"
    assert run.reply("a", Reply()) == ["succeeded"]


def test_a_step_that_commits_meanwhile_waits_for_what_it_asked_for():
    run = acting()
    asks(run, "pay")
    run.begin_effect("a", "k")

    assert run.reply("a", wants("mail")) == []
    assert run.states["a"] == "performing"
    assert run.done("a", "k") == ["perform mail of a #1"]


def test_a_failed_effect_is_its_agents_business_while_it_works():
    run = acting()
    asks(run, "pay")
    run.begin_effect("a", "k")

    assert run.not_done("a", "k", retryable=False) == []
    assert run.reply("a", Reply()) == ["succeeded"]


def test_a_further_try_begins_while_the_agent_waits():
    run = acting()
    asks(run, "pay")
    run.begin_effect("a", "k")

    assert run.not_done("a", "k") == ["perform k of a #2 at 4,200,000"]
    assert run.machine.is_due(run.effects["a", "k"])


def test_an_agent_that_asks_again_before_a_further_try_still_gets_it():
    run = acting()
    asks(run, "pay")
    run.begin_effect("a", "k")
    run.not_done("a", "k")

    assert asks(run, "pay") == []
    assert run.machine.is_due(run.effects["a", "k"])
    run.begin_effect("a", "k")
    assert not run.machine.is_due(run.effects["a", "k"]), "it is under way"
    assert run.done("a", "k") == []


def test_nobody_waits_for_the_effects_of_an_attempt_that_is_over():
    run = acting(retries=1)
    asks(run, "pay")
    run.begin_effect("a", "k")
    run.not_done("a", "k")

    assert run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke")) == ["call ann for a #2"]
    assert not run.machine.is_due(run.effects["a", "k"])
    run.start("a")
    assert asks(run, "pay", attempt=2) == ["perform k of a #2 at 4,200,000"]


def test_an_attempt_that_asks_again_for_what_is_done_is_told_so():
    run = acting(retries=1)
    asks(run, "pay")
    run.begin_effect("a", "k")
    run.done("a", "k", 7)
    run.refuse("a")
    run.start("a")

    assert asks(run, "pay", attempt=2) == []
    assert standing(run, "k") == "done"


def test_the_same_key_with_another_payload_is_unknown():
    run = acting(retries=1)
    for effect in ("mail", "pay"):
        asks(run, effect, effect)
        run.begin_effect("a", effect)
        run.done("a", effect)

    assert asks(run, "mail", "mail", b"2") == ["perform mail of a #2"]
    assert asks(run, "pay", "pay", b"2") == []
    assert standing(run, "pay") == "unknown"
    assert run.machine.ledger.entry(1, "pay").reason == "its key was used before, with another payload"
    # A fork asks a person, too, before it performs under that key what may have been performed.
    shared = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["a"], 90_000_000)
    assert [(fact.effect, bytes(fact.payload), fact.reason) for fact in shared if isinstance(fact, e.EffectShared)] == [
        (effect, b"2", "its key was used before, with another payload") for effect in ("mail", "pay")
    ]


def test_what_was_not_begun_may_be_asked_for_otherwise():
    run = acting()
    assert asks(run, "pay", payload=b"1") == ["perform k of a #1"]
    assert asks(run, "pay", payload=b"1") == [], "it is handed out already"
    assert asks(run, "pay", payload=b"2") == ["perform k of a #1"], "what was handed out is another"
    assert (standing(run, "k"), run.machine.ledger.entry(1, "k").payload) == ("requested", Raw(b"2"))


def test_a_reply_may_ask_otherwise_for_what_was_not_begun():
    run = acting()
    assert asks(run, "pay", "pay") == ["perform pay of a #1"]
    assert run.reply("a", wants("pay")) == ["perform pay of a #1"]
    assert run.machine.ledger.entry(1, "pay").payload == Raw(b'{"for":"pay"}')


def test_an_outcome_that_nobody_waits_for_has_nothing_performed_again():
    run = acting(retries=1)
    asks(run, "pay")
    run.begin_effect("a", "k")
    run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke"))
    run.start("a")

    assert run.not_done("a", "k") == []
    assert asks(run, "pay", attempt=2) == ["perform k of a #2 at 6,200,000"]


@pytest.mark.parametrize(
    ("effect", "then"), [("pay", "a asks about k: nobody"), ("file", "buried a: nobody"), ("mail", "call ann for a #2")]
)
def test_what_is_unknown_is_settled_before_the_agent_is_called_again(effect, then):
    run = acting(retries=1)
    asks(run, effect)
    run.begin_effect("a", "k")
    run.unknown("a", "k")

    assert run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke"))[0].startswith(then)


@pytest.mark.parametrize(
    ("reason", "stands"),
    [("", {"standing": "done"}), ("it broke", {"standing": "unknown", "doubtful": True, "reason": "it broke"})],
)
def test_what_a_fork_takes_over_stands_as_in_its_origin(reason, stands):
    ledger = EffectLedger(RULES)
    given = {"result": Raw(b"7"), "flaw": "it is cut short"}
    ledger.take_over(1, e.EffectShared(9, "a", "pay", "k", Raw(b"1"), "origin", reason=reason, **given))

    expected = Entry("pay", "k", Raw(b"1"), wanted=False, renewed=True, run_id="origin", **given, **stands)
    assert ledger.entry(1, "k") == expected


def test_after_a_crash_the_agent_is_called_again_and_may_ask_again_where_its_rule_says_retry():
    run = acting()
    asks(run, "mail")
    run.begin_effect("a", "k")

    assert run.crash() == ["call ann for a #1"]
    run.start("a")
    assert asks(run, "mail") == ["perform k of a #2 at 4,000,000"]


def test_what_a_lost_call_has_asked_for_is_not_begun_unless_it_is_asked_for_again():
    run = acting()
    asks(run, "mail")

    assert run.crash() == ["call ann for a #1"]
    assert not run.machine.ledger.entry(1, "k").wanted
    run.start("a")
    assert asks(run, "mail") == ["perform k of a #1"]


def test_a_run_does_not_end_while_an_effect_is_under_way():
    run = acting()
    asks(run, "mail")
    run.begin_effect("a", "k")

    assert run.say(e.AttemptFailed(run.tick(), "a", 1, "error", "it broke")) == ["buried a: it broke"]
    assert run.done("a", "k") == ["failed: a: it broke"]


def test_a_step_that_commits_with_an_unknown_effect_asks():
    run = acting()
    asks(run, "pay")
    run.begin_effect("a", "k")
    run.unknown("a", "k")

    assert run.reply("a", Reply())[0].startswith("a asks about k:")


def test_two_effects_at_once_are_each_handed_out_once():
    run = acting()
    asks(run, "pay", "k1")
    asks(run, "pay", "k2")
    run.begin_effect("a", "k1")
    run.begin_effect("a", "k2")
    run.reply("a", Reply())

    assert run.not_done("a", "k1") == ["perform k1 of a #2 at 7,200,000"]
    run.begin_effect("a", "k1")
    assert e.decode(run.journal[-1]).number == 2
    assert run.done("a", "k2") == [], "k1 is handed out already"


def test_of_two_effects_at_once_one_may_be_lost_after_the_other_was_done():
    run = acting()
    asks(run, "pay", "k1")
    asks(run, "pay", "k2")
    run.begin_effect("a", "k1")
    run.begin_effect("a", "k2")
    run.done("a", "k1")

    run.crash()
    assert (standing(run, "k1"), standing(run, "k2")) == ("done", "unknown")


# --- what may be asked for ---


def refused(effects, run=None, code="effect"):
    verdict = (run or acting()).judge("a", Reply(effects=effects))
    assert isinstance(verdict, e.AttemptRefused), verdict
    assert {found.code for found in verdict.findings} == {code}
    assert e.decode(e.encode(verdict)) == verdict
    return [found.message for found in verdict.findings]


@pytest.mark.parametrize("effects", ["mail", {"mail": 1}, [Effect("mail")] * (assess.EFFECTS_MAX + 1)])
def test_effects_that_are_no_list_of_them_are_refused(effects):
    assert refused(effects) == [f"effects is no list of at most {assess.EFFECTS_MAX} interlock.Effects"]


def test_as_many_effects_as_a_reply_may_have_and_the_longest_keys_are_taken():
    many = [Effect("mail", key=f"{n}".rjust(assess.EFFECT_KEY_CHARS_MAX, "k")) for n in range(assess.EFFECTS_MAX)]
    assert [wanted.key for wanted in acting().judge("a", Reply(effects=many)).effects] == [one.key for one in many]


class Sub(Effect):
    pass


@pytest.mark.parametrize("effect", ["mail", None, Sub("mail"), Effect(1)])
def test_what_is_no_effect_is_refused(effect):
    assert refused([effect]) == ["an effect is not an interlock.Effect with a name"]
    assert len(refused([effect, effect])) == 2


@pytest.mark.parametrize("key", [1, "x" * (assess.EFFECT_KEY_CHARS_MAX + 1), "a\nb", None])
def test_a_key_that_is_none_is_refused(key):
    assert refused([Effect("mail", key=key)]) == ["the key of the effect mail is no text of 1 to 200 characters"]


def test_an_effect_that_the_agent_may_not_ask_for_is_refused():
    assert refused([Effect("pay")], acting(allowed=["mail"])) == [
        "ann may not ask for the effect 'pay'; of the team's effects, its allowed actions have mail"
    ]
    assert refused([Effect("act")], acting(allowed=["mail", "pay"])) == [
        "ann may not ask for the effect 'act'; of the team's effects, its allowed actions have mail, pay"
    ]
    assert refused([Effect("act")], acting(allowed=())) == [
        "ann may not ask for the effect 'act'; of the team's effects, its allowed actions have none"
    ]


def test_a_payload_that_is_no_plain_json_is_refused():
    assert refused([Effect("mail", {"at": {1}})])[0].startswith("the payload of the effect mail: ")


def test_a_payload_is_held_to_the_limits_of_its_team():
    told = refused([Effect("mail", "x" * 9)], acting(limits=Limits(value_bytes_max=10)))
    assert told == ["the payload of the effect mail: it is 11 bytes of JSON, more than 10"]


def test_payloads_that_are_too_large_together_are_refused():
    run = acting(limits=Limits(commit_bytes_max=20))

    assert refused([Effect("mail", "x" * 9), Effect("pay", "x" * 8)], run, code="size") == [
        "the payloads of the effects are more than 20 bytes of JSON"
    ]
    assert len(run.judge("a", Reply(effects=[Effect("mail", "x" * 8), Effect("pay", "x" * 8)])).effects) == 2


def test_two_effects_with_one_key_are_refused():
    assert refused([Effect("mail", 1), Effect("mail", 2)]) == [
        "two effects have the key mail; give each a key of its own"
    ]


def test_a_key_that_was_begun_with_another_payload_is_refused():
    run = acting(retries=1)
    asks(run, "pay")
    run.begin_effect("a", "k")

    assert refused([Effect("pay", 2, "k")], run) == [
        "the effect with the key k was begun before, with another payload; take another key"
    ]
    assert run.judge("a", Reply(effects=[Effect("pay", 1, "k")])).effects == (e.EffectWanted("pay", "k", Raw(b"1")),)


def test_a_payload_is_kept_in_its_canonical_form():
    verdict = acting().judge("a", Reply(effects=(Effect("mail", {"b": 1, "a": [1.0]}, "k"),)))

    assert verdict.effects == (e.EffectWanted("mail", "k", Raw(b'{"a":[1.0],"b":1}')),)


# --- the tables ---


def test_the_tables_know_every_standing():
    assert set(LEGAL) == set(FOLLOWING) | {"unknown"}
    assert all(following <= LEGAL.keys() for following in LEGAL.values())
    assert set(FOLLOWING_UNKNOWN) == {"retry", "ask", "fail"}


def test_an_entry_has_a_name_for_people():
    assert (Entry("pay", "pay", Raw(b"1")).name, Entry("pay", "k", Raw(b"1")).name) == ("pay", "pay (k)")


# --- jobs and tools ---


def test_a_job_hands_on_what_its_agent_asks_for_while_somebody_performs_it():
    job = acting().jobs["a"]
    assert performing(job) is None
    with pytest.raises(AgentRefused) as refused:
        job.effect("mail")
    assert str(refused.value) == "no effect can be performed: the team has none, or this job isn't one of a run"

    connect(job, lambda *asked: asked)
    assert job.effect("mail") == ("mail", None, "")
    assert job.effect("mail", 1, key="k") == ("mail", 1, "k")


def test_a_tool_that_is_an_effect_is_one_of_its_agent_alone_and_of_no_reply():
    role = Role(Scope(["act", "ann.pay"], ["*"], ["*"]), Policy(retries=0), tools={"pay": EffectRule(retries=7)})
    run = Transcript(step("a", writes=[]), roles={"ann": role})
    run.begin()
    run.start("a")

    (duty,) = run.rules.duties[1]
    assert (duty.effects, duty.tools) == ((), ("ann.pay",))
    assert run.rules.effects == {effect_of("ann", "pay"): EffectRule(retries=7)}
    assert refused([Effect("ann.pay")], run)[0].startswith("ann may not ask for the effect 'ann.pay'")


def test_an_effect_is_found_by_its_key_where_there_is_one():
    run = acting()
    asks(run, "pay", "k")

    assert run.machine.ledger.find(1, "k") is run.machine.ledger.entry(1, "k")
    assert run.machine.ledger.find(1, "other") is run.machine.ledger.find(2, "k") is None
