"""What a fork takes over under another team must be what that team could have come to."""

import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core import values
from interlock.core.effects import EffectRule
from interlock.core.job import DELETE, Effect, Reply, Request
from interlock.core.plan import Plan
from interlock.core.redrive import dead_steps, taken_over
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.step import Condition
from interlock.core.takeover import PROBLEMS_SHOWN, adopted, coming_after
from interlock.errors import InputError

from .transcripts import ALL, ONCE, Transcript, step

A, B, C, D = (
    step("a", writes=["a"]),
    step("b", needs=["a"], writes=["b"]),
    step("c", needs=["b"], writes=["c"]),
    step("d", needs=["a"], writes=["d"]),
)


def dead_at_b(*steps, request=None, **given):
    """`a` and `d` have committed, `b` has died."""
    run = Transcript(*(steps or (A, B, C, D)), request=request, **given)
    run.begin()
    run.reply("a", a=1)
    run.reply("d", d=1)
    run.refuse("b")
    return run


def fork(run, *steps, **given):
    """The same dead steps tried again under another team."""
    other = Transcript(*steps, **given)
    dead = dead_steps(run.machine)
    events = [e.decode(told) for told in run.journal]
    apart = coming_after(run.rules.plan, other.rules.plan, dead)
    facts = taken_over(run.machine, "run", events, dead, 90_000_000, apart)
    request = Raw(values.encode(run.request))
    facts, machine = adopted(other.rules, run.rules.plan, request, facts, dead, 90_000_000)
    said = other.say(e.RunStarted(90_000_000, request, "team", "plan"), *facts)
    assert {**machine.number} == {**other.machine.number}
    return other, said


def refused(run, *steps, **given):
    with pytest.raises(InputError) as error:
        fork(run, *steps, **given)
    assert error.value.fix == "change what is tried again and what comes after it alone, or run its request anew"
    return error.value.message.removeprefix("the run can't go on under this team: ")


def test_what_comes_after_several_steps_comes_after_any_of_them_in_either_plan():
    plans = (Plan([A, B, C, D, step("x")]), Plan([A, B, step("c"), D, step("x", needs=["c", "d"])]))
    assert coming_after(*plans, ["b", "d"]) == {"c", "x"}
    assert coming_after(*plans, ["x"]) == set()


def test_another_agent_tries_what_the_first_could_not():
    roles = {"ann": Role(Scope(["act"], ["*"], ["a", "c", "d"]), ONCE), "bob": Role(Scope(["act"], ["a"], ["b"]), ONCE)}
    bob = step("b", agent="bob", needs=["a"], writes=["b"])
    other, said = fork(dead_at_b(), A, bob, C, D, roles=roles)
    assert said == ["call bob for b #1"]
    assert other.context == {"a": 1, "d": 1}
    assert other.reply("b", b=2) == ["call ann for c #1"]
    assert other.reply("c", c=3) == ["succeeded"]


def test_steps_may_be_added_after_the_dead_one_and_taken_away():
    more = step("more", needs=["b"], writes=["more"])
    other, said = fork(dead_at_b(), A, B, more, D)
    assert said == ["call ann for b #1"]
    assert other.reply("b", b=2) == ["call ann for more #1"]


def test_what_comes_after_it_under_either_team_runs_again():
    first = Transcript(A, step("b", needs=["a"], writes=["b"], on_dead="continue"), C, D, step("x", writes=["x"]))
    first.begin()
    for name in ("a", "d", "x"):
        first.reply(name, {name: 1})
    first.refuse("b")
    first.reply("c", c=1)
    after_c = step("x", needs=["c"], writes=["x"])
    c_alone = step("c", needs=["a"], writes=["c"])
    after_b = step("d", needs=["a", "b"], writes=["d"])
    other, said = fork(first, A, B, c_alone, after_b, after_c)
    assert said == ["call ann for b #1", "call ann for c #1"]
    assert other.context == {"a": 1}
    other.reply("c", c=2)
    assert other.calls.keys() == {"b", "c", "x"}


def test_the_order_is_that_of_the_other_plan():
    run = Transcript(step("b", writes=["b"]), step("x", writes=["x"]), step("y", writes=["y"]))
    run.begin()
    for name in ("y", "x"):
        run.reply(name, {name: 1})
    run.refuse("b")
    other, said = fork(run, step("x", writes=["x"]), step("y", needs=["x"], writes=["y"]), step("b", needs=["y"]))
    assert said == ["call ann for b #1"]
    assert other.states == {"x": "committed", "y": "committed", "b": "ready"}


def test_a_dead_step_that_is_gone():
    said = refused(dead_at_b(), A, step("bb", needs=["a"], writes=["b"]), D)
    assert said == "there is no step b; did you mean bb?"


def test_a_shared_step_that_is_gone():
    assert refused(dead_at_b(), A, B, C) == "there is no step d, which has committed"


def test_a_shared_step_that_would_need_one_which_has_not_run():
    new = step("new", writes=["new"])
    later = step("d", needs=["a", "new"], writes=["d"])
    assert refused(dead_at_b(), A, B, C, new, later) == "step d has committed, and needs new, which has not run"
    more, latest = step("more", writes=["more"]), step("d", needs=["a", "new", "more"], writes=["d"])
    said = refused(dead_at_b(), A, B, C, new, more, latest)
    assert said == "step d has committed, and needs new, more, which has not run"


def test_one_that_fails_for_another_is_not_told_as_well():
    narrow = {"ann": Role(Scope(["act"], ["*"], ["b", "c", "d"]), ONCE)}
    said = refused(dead_at_b(), step("a", writes=["d"]), B, C, D, roles=narrow)
    assert said == "step a could not have committed what it has: ann may not write a; it may write d"


def test_a_shared_step_whose_agent_may_not_write_that():
    ann, bob = Scope(["act"], ["*"], ["a", "b", "c"]), Scope(["act"], ["a"], ["d.sum"])
    roles = {"ann": Role(ann, ONCE), "bob": Role(bob, ONCE)}
    said = refused(dead_at_b(), A, B, C, step("d", agent="bob", needs=["a"]), roles=roles)
    assert said == "step d could not have committed what it has: bob may not write d; it may write d.sum"


@pytest.mark.parametrize("writer", ["ann", "bob"])
def test_a_commit_is_held_to_what_its_own_agent_may_write(writer):
    scopes = {"ann": Scope(["act"], ["*"], ["d.ann", "b"]), "bob": Scope(["act"], ["*"], ["d.bob", "b"])}
    roles = {"ann": Role(scopes["ann"], ONCE, fallback="bob"), "bob": Role(scopes["bob"], ONCE)}
    steps = step("d"), step("b", needs=["d"])
    run = Transcript(*steps, roles=roles)
    run.begin()
    if writer == "bob":
        run.refuse("d")
    run.reply("d", {f"d.{writer}": 1})
    run.refuse("b")
    run.refuse("b")
    assert fork(run, *steps, roles=roles)[0].context == {"d": {writer: 1}}


def test_what_was_deleted_needs_no_value_of_its_schema():
    schema = {"properties": {"q.old": {"type": "string"}}}
    steps = step("d", schema=schema), step("b", needs=["d"])
    run = Transcript(*steps, request={"q": {"old": "x"}})
    run.begin()
    run.reply("d", {"q.old": DELETE})
    run.refuse("b")
    assert fork(run, *steps)[0].context == {}


def test_a_shared_step_whose_writes_do_not_fit_the_schema():
    schema = {"properties": {"d": {"type": "string"}}}
    said = refused(dead_at_b(), A, B, C, step("d", needs=["a"], writes=["d"], schema=schema))
    assert said.startswith("step d could not have committed what it has: d: ")


def test_a_condition_that_does_not_hold_any_more():
    gated = step("d", needs=["a"], writes=["d"], when=Condition("a", "==", 2))
    assert refused(dead_at_b(), A, B, C, gated) == "step d has committed, and its condition does not hold: a == 2"


def test_one_that_would_be_skipped():
    skipped = step("n", needs=["a"], writes=["n"], when=Condition("a", "==", 2))
    run = Transcript(A, B, skipped, step("d", needs=["a", "n"], writes=["d"]))
    run.begin()
    run.reply("a", a=1)
    run.reply("d", d=1)
    run.refuse("b")
    said = refused(run, A, B, skipped, step("d", needs=["n"], writes=["d"]))
    assert said == "step d has committed, and would be skipped: every step it needs was skipped"


def test_what_was_skipped_is_decided_anew():
    def gated(value):
        return step("n", needs=["a"], writes=["n"], when=Condition("a", "==", value))

    run = dead_at_b(A, B, gated(2), D)
    assert fork(run, A, B, gated(2), D)[1] == ["call ann for b #1"]
    assert fork(run, A, B, gated(1), D)[1] == ["call ann for b #1", "call ann for n #1"]
    assert fork(run, A, B, D)[1] == ["call ann for b #1"]


def test_what_a_person_has_skipped_stays_so():
    steps = (A, step("each", for_each="list", width=1, writes=["q.{index}"]), B, C, step("x", writes=["x"]))
    run = Transcript(*steps, request={"list": [1, 2]})
    run.begin()
    run.reply("a", a=1)
    run.refuse("x")
    run.refuse("each-0")
    run.reply("each-1")
    run.say(e.RunReopened(run.tick(), ("x", "each-0"), "person:ann", "gone", skip=True))
    run.refuse("b")
    other, said = fork(run, *steps, step("y", needs=["x"], writes=["y"]), request={"list": [1, 2]})
    assert said == ["call ann for b #1"]
    told = {name: other.states[name] for name in ("x", "y", "each-0", "each-1", "b")}
    assert told == {"x": "skipped", "y": "skipped", "each-0": "skipped", "each-1": "committed", "b": "ready"}
    # So it is in a fork of the fork; and where the step is gone, nothing is left of it.
    other.refuse("b")
    third, said = fork(other, *steps[:4], request={"list": [1, 2]})
    assert (said, "x" in third.states) == (["call ann for b #1"], False)


def listed(path="q"):
    return step("e", for_each=path, writes=["e.{index}"], on_dead="skip")


def dead_item():
    run = Transcript(A, listed(), step("f", needs=["e"], writes=["f"]), request={"q": [1, 2], "p": [1, 2]})
    run.begin()
    run.reply("a", a=1)
    run.reply("e-1", {"e.1": 1})
    run.refuse("e-0")
    run.reply("f", f=1)
    return run


def test_a_dead_item_is_tried_under_the_other_team():
    other, said = fork(dead_item(), A, listed(), step("f", needs=["e", "a"], writes=["f"]))
    assert said == ["call ann for e-0 #1"]
    assert other.states == {"a": "committed", "e": "running", "f": "waiting", "e-0": "ready", "e-1": "committed"}


def test_items_are_taken_over_before_it_is_their_turn():
    run = Transcript(step("e", for_each="q", writes=["e.{index}"]), request={"q": [1, 2, 3]})
    run.begin()
    run.reply("e-1", {"e.1": 1})
    run.reply("e-2", {"e.2": 1})
    run.refuse("e-0")
    narrow = step("e", for_each="q", writes=["e.{index}"], width=1)
    other, said = fork(run, narrow)
    assert said == ["call ann for e-0 #1"]
    assert other.states == {"e": "running", "e-0": "ready", "e-1": "committed", "e-2": "committed"}
    assert other.reply("e-0", {"e.0": 1}) == ["succeeded"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([A, step("e", for_each="q", batch=2, writes=["e.{index}"])], "step e has another for_each"),
        ([A], "there is no step e-0; there is no step e, which has committed"),
        ([A, listed("p")], "step e has another for_each"),
        ([A, step("e", writes=["e"])], "there is no step e-0; step e has another for_each"),
    ],
)
def test_items_of_another_list_are_not_the_same(steps, said):
    assert refused(dead_item(), *steps) == said


def test_a_step_that_has_become_many():
    run = dead_at_b(request={"q": [1]})
    assert refused(run, A, B, C, step("d", for_each="q", writes=["d.{index}"])) == "step d has another for_each"


def test_a_step_with_the_name_of_an_item():
    run = Transcript(A, B, listed(), request={"q": [1]})
    run.begin()
    run.reply("a", a=1)
    run.reply("e-0", {"e.0": 1})
    run.refuse("b")
    said = refused(run, A, B, step("e-0", writes=["e.0"]))
    assert said == "step e-0 has another for_each"


def with_effect(*steps, **given):
    run = Transcript(*steps, effects={"mail": EffectRule()}, **given)
    run.begin()
    return run


def test_effects_that_were_performed_must_be_known():
    scope = Scope(["act", "mail"], ["*"], ["*"])
    roles = {"ann": Role(scope, ONCE, immediate=True)}
    first = step("b", writes=["b"])
    run = with_effect(first, roles=roles)
    run.start("b")
    run.say(e.EffectRequested(run.tick(), "b", 1, "mail", "k", Raw(b"1")))
    run.begin_effect("b", "k")
    run.done("b", "k", "sent")
    run.refuse("b")
    other, said = fork(run, first, C, roles=roles, effects={"mail": EffectRule(retries=5)})
    assert said == ["call ann for b #1"]
    assert other.machine.ledger.entry(1, "k").run_id == "run"
    said = refused(run, first, roles={"ann": Role(ALL, ONCE)})
    assert said == "there is no effect mail, which step b has had performed"
    said = refused(run, A, roles=roles, effects={"mail": EffectRule()})
    assert said == "there is no step b; there is no step b, whose effect mail was performed"


def test_effects_of_what_has_committed_need_not_be_known():
    roles = {"ann": Role(Scope(["act", "mail"], ["*"], ["*"]), ONCE)}
    run = with_effect(A, step("b", needs=["a"], writes=["b"]), roles=roles)
    run.reply("a", Reply(writes={"a": 1}, effects=[Effect("mail", "hello")]))
    run.begin_effect("a", "mail")
    run.done("a", "mail", "sent")
    run.refuse("b")
    other, said = fork(run, A, B, roles={"ann": Role(ALL, ONCE)})
    assert said == ["call ann for b #1"]
    assert other.machine.ledger.entries == {}
    knowing, _ = fork(run, A, B, roles=roles, effects={"mail": EffectRule()})
    assert knowing.machine.ledger.entry(1, "mail").run_id == "run"
    alone = step("b", writes=["b"])
    assert refused(run, alone, roles=roles, effects={"mail": EffectRule()}) == "there is no step a, which has committed"


def test_the_request_must_be_one_of_the_other_team():
    with pytest.raises(InputError, match="the request has a int at log, whose reducer is append"):
        fork(dead_at_b(request={"log": 1}), A, B, C, D, reducers={"log": "append"})


@pytest.mark.parametrize(("count", "more"), [(0, ""), (1, "; and 1 more"), (3, "; and 3 more")])
def test_of_many_problems_the_first_are_told(count, more):
    many = [step(f"s{n}", writes=[f"s{n}"]) for n in range(PROBLEMS_SHOWN + count)]
    run = Transcript(A, *many)
    run.begin()
    for one in many:
        run.reply(one.id, {one.id: 1})
    run.refuse("a")
    said = refused(run, A)
    told = [f"there is no step s{n}, which has committed" for n in range(PROBLEMS_SHOWN)]
    assert said == "; ".join(told) + more


# --- requests ---

REQUESTING = {"ann": Role(Scope(["act", "go"], ["*"], ["*"]), ONCE)}
ASKS = step("a", writes=["a"], on_request={"go": "d"})


def requested():
    """`a` has requested `d`, and both have committed; `b` has died."""
    run = Transcript(ASKS, B, C, D, roles=REQUESTING)
    run.begin()
    run.reply("a", Reply(writes={"a": 1}, request=Request("go", "d")))
    run.reply("d", d=1)
    run.refuse("b")
    return run


def test_a_request_that_the_other_team_grants_is_taken_over():
    other, said = fork(requested(), ASKS, B, C, D, roles=REQUESTING)
    assert (other.states["d"], said) == ("committed", ["call ann for b #1"])


def test_a_request_that_the_other_team_does_not_grant_is_not():
    why = "step a could not have requested what it has: go of ann (step d)"
    assert refused(requested(), A, B, C, D, roles=REQUESTING) == why
    elsewhere = step("a", writes=["a"], on_request={"go": "c"})
    assert refused(requested(), elsewhere, B, C, D, roles=REQUESTING) == why


def test_what_nobody_has_requested_is_no_branch_of_the_other_team():
    why = refused(dead_at_b(roles=REQUESTING), ASKS, B, C, D, roles=REQUESTING)
    assert why == "step d has committed, and it was not requested by a"
