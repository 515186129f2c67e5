"""Dead steps are tried again: in their own run where nothing has come after them."""

import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core import values
from interlock.core.job import DELETE, Reply
from interlock.core.policy import Policy
from interlock.core.redrive import change, dead_steps, obstacle, taken_over, why_not_again
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.states import LEGAL, REOPENED, TERMINAL
from interlock.core.step import Condition, Step
from interlock.core.values import Limits
from interlock.errors import InputError

from .transcripts import ALL, ONCE, Transcript, step


def reopen(run, *steps):
    return run.say(e.RunReopened(run.tick(), steps, "person:ann", "the model is back"))


def end(run):
    return {name: state for name, state in run.states.items() if state != "committed"}


def test_a_dead_step_and_what_was_skipped_for_want_of_it_go_on():
    run = Transcript(
        step("a", writes=["a"]),
        step("b", needs=["a"], writes=["b"]),
        step("c", needs=["b"], writes=["c"]),
        step("d", writes=["d"]),
    )
    run.begin()
    run.reply("d")
    assert run.refuse("a")[-1].startswith("failed")
    assert dead_steps(run.machine) == ["a"]
    assert obstacle(run.machine, ["a"]) == ""

    assert reopen(run, "a") == ["call ann for a #2"]
    assert (run.machine.status, run.machine.reason, run.machine.reasons) == ("running", "", {})
    assert end(run) == {"a": "ready", "b": "waiting", "c": "waiting"}
    assert run.reply("a") == ["call ann for b #1"]
    run.reply("b")
    assert run.reply("c") == ["succeeded"]
    assert dead_steps(run.machine) == []


def test_it_has_all_attempts_again_from_its_first_agent_on_and_keeps_its_feedback():
    roles = {"ann": Role(ALL, Policy(retries=1, reissues_max=1), fallback="bob"), "bob": Role(ALL, ONCE)}
    run = Transcript(step("a"), roles=roles)
    run.begin()
    run.refuse("a")
    run.refuse("a")
    run.refuse("a")
    assert reopen(run, "a") == ["call ann for a #4"]
    run.start("a")
    assert run.jobs["a"].feedback == ("'' is not a dotted path",)
    assert run.crash() == ["call ann for a #4"]
    run.start("a")
    assert run.crash() == [
        "buried a: its call was lost 2 times: whatever it does kills the process",
        "failed: a: its call was lost 2 times: whatever it does kills the process",
    ]
    assert reopen(run, "a") == ["call ann for a #5"]
    run.start("a")
    assert run.crash() == ["call ann for a #5"]
    assert run.refuse("a") == ["call ann for a #6"]
    assert run.refuse("a") == ["call bob for a #7"]


def test_one_that_dies_again_is_dead_again_and_so_is_its_run():
    run = Transcript(step("a"), step("b", needs=["a"]))
    run.begin()
    run.refuse("a")
    reopen(run, "a")
    assert run.refuse("a") == ["buried a: '' is not a dotted path", "failed: a: '' is not a dotted path"]
    assert run.states == {"a": "dead", "b": "skipped"}


@pytest.mark.parametrize("on_dead", ["skip", "continue"])
def test_after_a_run_that_outlived_its_dead_step(on_dead):
    run = Transcript(step("a", writes=["a"]), step("b", needs=["a"], writes=["b"], on_dead=on_dead))
    run.begin()
    run.reply("a")
    assert run.refuse("b")[-1] == "succeeded"
    assert reopen(run, "b") == ["call ann for b #2"]
    assert run.reply("b") == ["succeeded"]


def test_a_step_that_waits_for_another_as_well_goes_on_waiting():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.refuse("a")
    assert run.states["c"] == "waiting"
    assert reopen(run, "a") == ["call ann for a #2"]
    assert run.reply("a") == []
    assert run.reply("b") == ["call ann for c #1"]


def test_one_of_several_dead_steps_alone():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.refuse("a")
    run.refuse("b")
    assert dead_steps(run.machine) == ["a", "b"]
    reopen(run, "b")
    assert run.reply("b")[0].startswith("failed: a: ")
    assert run.states == {"a": "dead", "b": "committed", "c": "skipped"}
    reopen(run, "a")
    assert run.reply("a") == ["call ann for c #1"]


def test_both_at_once():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.refuse("a")
    run.refuse("b")
    assert reopen(run, "a", "b") == ["call ann for a #2", "call ann for b #2"]
    run.reply("b")
    assert run.reply("a") == ["call ann for c #1"]


def fan(**given):
    items = step("a", for_each="q", writes=["out.{step}"])
    return Transcript(items, step("b", needs=["a"], writes=["b"]), request={"q": [1, 2]}, **given)


def test_a_dead_item_and_with_it_its_group():
    run = fan()
    run.begin()
    run.refuse("a-0")
    run.reply("a-1")
    assert end(run) == {"a": "dead", "b": "skipped", "a-0": "dead"}
    assert dead_steps(run.machine) == ["a-0"]
    assert obstacle(run.machine, ["a-0"]) == ""
    assert reopen(run, "a-0") == ["call ann for a-0 #2"]
    assert end(run) == {"a": "running", "b": "waiting", "a-0": "ready"}
    assert run.reply("a-0") == ["call ann for b #1"]
    assert run.reply("b") == ["succeeded"]


def test_both_items_and_one_while_the_other_is_at_work():
    run = fan()
    run.begin()
    run.refuse("a-0")
    assert reopen(run, "a-0") == ["call ann for a-0 #2"]
    run.refuse("a-0")
    run.refuse("a-1")
    assert reopen(run, "a-0", "a-1") == ["call ann for a-0 #3", "call ann for a-1 #2"]
    run.reply("a-0")
    assert run.reply("a-1") == ["call ann for b #1"]


def test_an_item_of_a_group_that_outlived_it():
    run = Transcript(step("a", for_each="q", writes=["out.{step}"], on_dead="skip"), request={"q": [1, 2]})
    run.begin()
    run.refuse("a-0")
    assert run.reply("a-1") == ["succeeded"]
    reopen(run, "a-0")
    assert run.states == {"a": "running", "a-0": "ready", "a-1": "committed"}
    assert run.reply("a-0") == ["succeeded"]


def test_an_item_of_a_group_that_had_died_may_ask_a_person():
    run = fan()
    run.begin()
    run.refuse("a-0")
    run.reply("a-1")
    reopen(run, "a-0")
    assert run.ask("a-0") == ["parked: a-0 asks: Really?"]


def test_what_could_not_run_is_no_obstacle_any_more_once_it_has():
    run = Transcript(
        step("a", writes=["a"]),
        step("b", needs=["a"], writes=["b"]),
        step("never", when=Condition("nothing", "exists"), writes=["never"]),
        step("c", needs=["b", "never"], writes=["c"]),
    )
    run.begin()
    run.refuse("a")
    assert run.machine.reasons[run.machine.number["b"]] == "it needs a, which is dead"
    reopen(run, "a")
    run.reply("a")
    assert run.reply("b") == ["call ann for c #1"]


def test_a_list_that_is_none_is_looked_for_again():
    run = Transcript(step("a", for_each="q", writes=["out.{step}"]))
    run.begin()
    assert reopen(run, "a")[0] == "buried a: for_each: there is nothing at q"


def test_beside_a_question():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.refuse("a")
    assert run.ask("b") == ["parked: b asks: Really?"]
    assert reopen(run, "a") == ["call ann for a #2"]
    assert run.reply("a") == ["parked: b asks: Really?"]


def test_where_more_has_come_after_it_the_run_can_not_go_on():
    run = Transcript(
        step("a", writes=["a"], on_dead="continue"), step("b", needs=["a"], writes=["b"]), step("c", writes=["c"])
    )
    run.begin()
    run.reply("c")
    run.refuse("a")
    assert obstacle(run.machine, ["a"]) == "step b comes after a, and has started already"
    run.reply("b")
    assert obstacle(run.machine, ["a"]) == "step b comes after a, and has started already"
    with pytest.raises(AssertionError, match="b: committed -> waiting"):
        reopen(run, "a")


def test_what_was_cancelled_stays_so():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.refuse("a")
    run.say(e.RunCancelled(run.tick(), "ann"))
    assert obstacle(run.machine, ["a"]) == "the run was cancelled, which is final"
    with pytest.raises(AssertionError, match="b: cancelled -> ready"):
        reopen(run, "b")


def test_only_dead_steps_are_tried_again():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.reply("a")
    with pytest.raises(AssertionError, match="a: committed -> ready"):
        reopen(run, "a")


def test_what_is_reopened_had_ended_or_was_skipped():
    assert set(REOPENED) <= TERMINAL - {"cancelled"}
    assert all(not LEGAL[state] for state in REOPENED)


# --- forks ---


ANN = {"ann": Role(Scope(["act"], [], ["a"]), ONCE)}


def fork(run, *changes):
    """A run that shares with this one what doesn't come after its dead steps."""
    dead = dead_steps(run.machine)
    events = [e.decode(told) for told in run.journal]
    facts = taken_over(run.machine, "run", events, dead, 90_000_000)
    request = Raw(values.encode(run.request))
    for path, value in changes:
        request = change(run.machine, request, facts, dead[0], path, value)
    other = Transcript(
        *run.rules.plan.declared, roles=run.rules.roles, reducers=run.rules.sharing.reducers, effects=run.rules.effects
    )
    origin = e.Origin("run", tuple(dead), "ann", "", tuple(path for path, _ in changes))
    return other, other.say(e.RunStarted(90_000_000, request, "team", "plan", origin=origin), *facts)


def outlived(**given):
    """`b` died, `c` came after it all the same; `a` and `d` have nothing to do with that."""
    given.setdefault("request", {"q": {"x": 1}})
    run = Transcript(
        step("a", writes=["a"]),
        step("b", needs=["a"], writes=["b"], on_dead="continue"),
        step("c", needs=["b"], writes=["c"]),
        step("d", needs=["a"], when=Condition("q.x", "==", 2), writes=["d"]),
        step("e", for_each="list", needs=["a"], writes=["e.{index}"], stale_ok=True),
        **given,
    )
    run.begin()
    run.reply("a", {"a": {"one": [1], "two": 2}})
    return run


def died(**given):
    run = outlived(**{"request": {"q": {"x": 1}, "list": ["i", "j"]}, **given})
    run.reply("e-1", {"e.1": 1})
    run.reply("e-0", {"e.0": 0})
    run.refuse("b")
    run.reply("c", c=1)
    assert run.machine.status == "succeeded"
    return run


def test_a_fork_shares_what_does_not_come_after_a_dead_step():
    other, said = fork(died())
    assert said == ["call ann for b #1"]
    assert end(other) == {"b": "ready", "c": "waiting", "d": "skipped"}
    assert other.context == {"q": {"x": 1}, "list": ["i", "j"], "a": {"one": [1], "two": 2}, "e": {"1": 1, "0": 0}}
    assert other.machine.cost.calls == 0
    other.reply("b", b=1)
    assert other.reply("c", c=2) == ["succeeded"]
    again, said = fork_of_a_fork(other)
    assert again.context["a"] == {"one": [1], "two": 2}


def fork_of_a_fork(run):
    """As if its `b` had died as well."""
    events = [e.decode(told) for told in run.journal]
    facts = taken_over(run.machine, "run", events, ["b"], 95_000_000)
    assert {fact.at_us for fact in facts} == {95_000_000}
    other = Transcript(*run.rules.plan.declared, roles=run.rules.roles)
    request = Raw(values.encode({"q": {"x": 1}, "list": ["i", "j"]}))
    return other, other.say(e.RunStarted(95_000_000, request, "team", "plan"), *facts)


def test_a_fork_shares_what_people_and_deadlines_have_written():
    run = Transcript(
        step("a", writes=["a"], escalate={"deadline": "1h", "then": "default", "default": {"a": 0}}),
        step("b", writes=["b"]),
        step("c", needs=["a"], writes=["c"], on_dead="continue"),
        step("d", needs=["c"], writes=["d"]),
    )
    run.begin()
    run.ask("a", "How many?")
    run.say(e.QuestionExpired(run.tick(), "a", 1, "default", writes={"a": Raw(b"0")}))
    run.ask("b", "Which?")
    written = {"b": Raw(b"1")}, ("old",), ("*",)
    run.say(e.QuestionAnswered(run.tick(), "b", 1, "person:eve", "write", "", *written))
    run.refuse("c")
    run.reply("d", d=1)
    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["c"], 90_000_000)
    assert facts == [
        e.StepShared(90_000_000, "a", 1, "default", {"a": Raw(b"0")}),
        e.StepShared(90_000_000, "b", 1, "person:eve", *written),
    ]
    other, said = fork(run, ("a", 5))
    assert said == ["call ann for c #1"]
    assert other.context == {"a": 5, "b": 1}


def test_a_dead_item_runs_again_and_its_siblings_are_shared():
    run = Transcript(
        step("a", for_each="q", writes=["a.{index}"], on_dead="skip"),
        step("b", needs=["a"], writes=["b"]),
        request={"q": [1, 2]},
    )
    run.begin()
    run.refuse("a-0")
    run.reply("a-1", {"a.1": 1})
    run.reply("b", b=1)
    other, said = fork(run)
    assert said == ["call ann for a-0 #1"]
    assert other.states == {"a": "running", "b": "waiting", "a-0": "ready", "a-1": "committed"}


def test_what_was_skipped_and_done_later_is_shared_as_done():
    run = Transcript(
        step("a", writes=["a"]),
        step("b", needs=["a"], when=Condition("a", "exists"), writes=["b"], join="any_outcome"),
        step("c", writes=["c"], on_dead="continue"),
        step("d", needs=["c"], writes=["d"]),
    )
    run.begin()
    run.refuse("a")
    assert run.states["b"] == "skipped"
    reopen(run, "a")
    run.reply("a", a=1)
    run.reply("b", b=1)
    run.refuse("c")
    run.reply("d", d=1)
    other, said = fork(run)
    assert said == ["call ann for c #1"]
    assert other.context == {"a": 1, "b": 1}


def test_what_the_request_or_a_commit_holds_can_be_changed():
    run = died(request={"q": {"x": 1, "y": 1}, "list": ["i", "j"]})
    other, _ = fork(
        run, ("a.two", "two"), ("a.new.deep", {"k": 1}), ("q.y", 2), ("z", 3), ("n.one", 4), ("n.two.deep", 5)
    )
    view = other.machine.bank.view(other.machine.number["b"], other.rules.first_duties[2].sight)
    assert view["a"] == {"one": [1], "two": "two", "new": {"deep": {"k": 1}}}
    assert (view["q"], view["z"], view["n"]) == ({"x": 1, "y": 2}, 3, {"one": 4, "two": {"deep": 5}})
    shared = next(f for f in map(e.decode, other.journal) if isinstance(f, e.StepShared) and f.step == "a")
    assert shared.changed == ("a.two", "a.new.deep")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        *((path, 5, "it has decided about step d, which is not tried again") for path in ("q", "q.x", "q.x.y")),
        *((path, [], "it has decided about step e, which is not tried again") for path in ("list", "list.0")),
        ("a.one.deep", 1, "it lies inside of a value that is no object"),
        *((path, ["x"], "several steps write it, and it is merged") for path in ("log", "log.all", "log.all.x")),
        ("secret", 1, "step b is not shown it; it is shown: q, list, a, log, b, c, d, e.*"),
    ],
)
def test_what_nobody_may_change(path, value, said):
    scope = Scope(["act"], ["q", "list", "a", "log"], ["a", "b", "c", "d", "e.*", "log"])
    run = died(roles={"ann": Role(scope, ONCE)}, reducers={"log.all": "append"})
    with pytest.raises(InputError) as refused:
        fork(run, (path, value))
    assert str(refused.value) == f"{path} can't be changed: {said}"


def test_of_what_a_step_compares_that_reconciles_all_can_be_changed_and_nothing_else():
    settle = Step("settle", reconcile={"among": "said", "policy": "vote"}, writes=["deal"])
    run = Transcript(settle, roles=ANN, request={"said": {"a": 1, "b": 2}, "q": 1})
    run.begin()
    assert run.states == {"settle": "dead"}
    other, _ = fork(run, ("said.b", 1))
    assert other.context == {"said": {"a": 1, "b": 1}, "q": 1, "deal": 1}
    with pytest.raises(InputError) as refused:
        fork(run, ("q", 2))
    assert str(refused.value) == "q can't be changed: step settle is not shown it; it is shown: said"


def test_the_time_that_a_step_waits_for_can_be_changed_and_nothing_else():
    run = Transcript(Step("w", wait={"until": "due"}), roles=ANN, request={"due": "tomorrow"})
    run.begin()
    assert run.states == {"w": "dead"}
    _, said = fork(run, ("due", "1970-01-02T00:00:00Z"))
    assert said[0] == "w waits until 1970-01-02T00:00:00Z"
    with pytest.raises(InputError) as refused:
        fork(run, ("q", 2))
    assert str(refused.value) == "q can't be changed: step w is not shown it; it is shown: due"


def test_what_is_shown_nothing_can_not_be_given_anything():
    run = Transcript(step("a", writes=[]), roles={"ann": Role(Scope(["act"], [], []), ONCE)}, request={"q": 1})
    run.begin()
    run.refuse("a")
    with pytest.raises(InputError) as refused:
        fork(run, ("q", 2))
    assert str(refused.value) == "q can't be changed: step a is not shown it; it is shown: nothing"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("a.n", "five", "a.n: Expected `int`, got `str`"),
        (
            "a.t",
            {"k": "x" * 200, "l": 1},
            "the context would grow past 200 bytes; the writes hold more than 2 fields or 1,000 characters of paths",
        ),
    ],
)
def test_a_commit_is_changed_only_to_what_its_step_could_have_written(path, value, said):
    schema = {"properties": {"a.n": {"type": "integer"}}}
    limits = Limits(context_bytes_max=200, commit_fields_max=2, commit_bytes_max=500)
    run = Transcript(step("a", writes=["a"], schema=schema), step("b", needs=["a"]), limits=limits)
    run.begin()
    run.reply("a", {"a.n": 1, "a.t": "five"})
    run.refuse("b")
    with pytest.raises(InputError) as refused:
        fork(run, (path, value))
    assert str(refused.value) == f"{path} can't be changed so: step a wrote it, and could not write this: {said}"


def test_only_json_takes_the_place_of_a_value():
    with pytest.raises(InputError) as refused:
        fork(died(), ("a", float("nan")))
    assert str(refused.value) == "the value for a can't be used: it is nan, which JSON doesn't have"


def test_who_has_written_it_must_have_been_able_to_write_the_change():
    scopes = {"ann": Scope(["act"], ["*"], ["a.n", "b"]), "bob": Scope(["act"], ["*"], ["a.t", "b"])}
    roles = {"ann": Role(scopes["ann"], ONCE, fallback="bob"), "bob": Role(scopes["bob"], ONCE)}
    for writer, path in (("ann", "a.n"), ("bob", "a.t")):
        run = Transcript(step("a"), step("b", needs=["a"]), roles=roles)
        run.begin()
        if writer == "bob":
            run.refuse("a")
        run.reply("a", {path: 1})
        run.refuse("b")
        run.refuse("b")
        other, _ = fork(run, (path, 2))
        assert other.context == {"a": {path[2:]: 2}}


def test_where_nothing_is_shared_the_request_is_changed():
    run = Transcript(step("a", writes=["a"]), request={"q": 1})
    run.begin()
    run.refuse("a")
    other, _ = fork(run, ("q", 2))
    assert other.context == {"q": 2}


def test_what_a_step_is_not_shown_is_not_changed_in_its_place():
    run = Transcript(step("a", writes=["x.a"]), step("b", writes=["b"]), request={"x": {"a": 0}})
    run.begin()
    run.reply("a", {"x.a": 1})
    run.refuse("b")
    other, _ = fork(run, ("x.a", 5))
    seen = other.machine.bank.view(other.machine.number["b"], other.rules.first_duties[2].sight)
    assert (other.context, seen["x.a"]) == ({"x": {"a": 1}}, 5)


def test_an_item_that_others_read_can_be_changed_and_what_was_deleted_stays_so():
    run = Transcript(
        step("a", for_each="q", writes=["a.{index}"]),
        step("b", needs=["a"], writes=["b", "a.old"]),
        step("c", needs=["b"], writes=["c"], on_dead="continue"),
        step("d", needs=["c"], writes=["d"]),
        request={"q": [1, 2], "b": 1},
    )
    run.begin()
    run.reply("a-0", {"a.0": 1})
    run.reply("a-1", {"a.1": 1})
    run.reply("b", {"b": DELETE, "a.old": 1})
    run.refuse("c")
    run.reply("d", d=1)
    other, _ = fork(run, ("a.0", 5), ("a.1", 6), ("a.old", 2))
    assert other.context == {"q": [1, 2], "a": {"0": 5, "1": 6, "old": 2}}
    other, _ = fork(run, ("b", 3))
    assert other.context == {"q": [1, 2], "a": {"0": 1, "1": 1, "old": 1}, "b": 3}


# --- at a step that somebody names ---


def shared_at(run, *steps, **given):
    """What a fork of this run at these steps takes over, as (kind, step)."""
    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], steps, 90_000_000, **given)
    assert {fact.at_us for fact in facts} <= {90_000_000}
    return [(type(fact).__name__, fact.step) for fact in facts]


def test_a_step_that_has_committed_runs_again_with_all_that_comes_after_it():
    run = died()
    items = [("StepExpanded", "e"), ("StepShared", "e-1"), ("StepShared", "e-0")]
    assert shared_at(run, "d", "b") == [("StepShared", "a"), *items]
    assert shared_at(run, "a") == []


def test_how_sure_an_agent_was_is_shared_only_where_scores_decide():
    run = Transcript(step("a", writes=["a"]), step("z", writes=["z"]))
    run.begin()
    run.reply("a", Reply(writes={"a": 1}, confidence=0.9))
    [fact] = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["z"], 90_000_000)
    assert fact == e.StepShared(90_000_000, "a", 1, "ann", {"a": Raw(b"1")})


def test_what_is_shared_comes_in_the_order_in_which_it_was_last_so():
    run = Transcript(
        step("a", writes=["a"], on_dead="continue"),
        step("b", needs=["a"], when=Condition("a", "==", 2), writes=["b"]),
        step("z", writes=["z"]),
    )
    run.begin()
    run.refuse("a")
    run.refuse("z")
    assert shared_at(run, "z") == [("StepSkipped", "b")]
    reopen(run, "a")
    run.reply("a", a=1)
    assert shared_at(run, "z") == [("StepShared", "a"), ("StepSkipped", "b")]


def test_an_item_runs_again_alone_and_a_for_each_with_all_its_items():
    run = died()
    others = [("StepShared", "a"), ("StepSkipped", "d")]
    assert {*shared_at(run, "e-1", "b")} == {*others, ("StepExpanded", "e"), ("StepShared", "e-0")}
    assert {*shared_at(run, "e", "b")} == {*others}


# --- steps that are skipped ---


def skip(run, *steps):
    return run.say(e.RunReopened(run.tick(), steps, "person:ann", "it will do", skip=True))


def test_a_dead_step_is_skipped_and_what_needs_others_too_runs():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.reply("b")
    run.refuse("a")
    assert skip(run, "a") == ["call ann for c #1"]
    assert (run.states["a"], run.machine.reasons[1]) == ("skipped", "person:ann has skipped it: it will do")
    assert run.reply("c") == ["succeeded"]
    assert run.fold().state == run.machine.state


def test_what_needs_nothing_else_is_skipped_with_it_and_the_run_succeeds():
    run = Transcript(step("a", writes=["a"]), step("b", needs=["a"], writes=["b"]))
    run.begin()
    run.refuse("a")
    assert skip(run, "a") == ["succeeded"]
    assert run.states == {"a": "skipped", "b": "skipped"}
    assert dead_steps(run.machine) == []


def test_a_dead_item_is_skipped():
    run = fan()
    run.begin()
    run.refuse("a-0")
    run.refuse("a-1")
    assert skip(run, "a-0")[-1].startswith("failed: a: a-1: ")
    assert skip(run, "a-1") == ["call ann for b #1"]
    assert run.states == {"a": "committed", "b": "ready", "a-0": "skipped", "a-1": "skipped"}


def test_a_dead_item_that_is_skipped_makes_no_room_for_another():
    run = Transcript(step("a", for_each="q", width=1, writes=["out.{step}"]), request={"q": [1, 2, 3]})
    run.begin()
    run.refuse("a-0")
    assert run.ask("a-1") == ["parked: a-1 asks: Really?"]
    assert skip(run, "a-0") == ["parked: a-1 asks: Really?"]
    assert run.states == {"a": "running", "a-0": "skipped", "a-1": "escalated", "a-2": "waiting"}


def test_a_step_that_has_committed_is_not_skipped():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.reply("a")
    with pytest.raises(AssertionError, match="a: committed -> ready"):
        skip(run, "a")


@pytest.mark.parametrize(
    ("name", "why", "instead"),
    [
        ("b", "", ""),
        ("a", "it has committed", "run it again in a new run: interlock fork run --at a"),
        ("c", "it was skipped", "run it again in a new run: interlock fork run --at c"),
        ("q", "it is dead of its items: q-0, q-2", "name one of them"),
        ("q-0", "", ""),
        ("q-1", "it has committed", "run it again in a new run: interlock fork run --at q-1"),
        ("d", "it waits for a person", "decide about it: interlock inbox show run/d"),
        ("e", "it has not begun", "see what comes before it: interlock show run"),
        ("f", "it is ready: neither dead nor waiting for a person", "see how the run stands: interlock show run"),
        ("qq", "there is no such step; did you mean q?", "its steps: a, b, q, d, c, e, f"),
    ],
)
def test_why_a_step_can_not_be_tried_again_or_skipped(name, why, instead):
    run = Transcript(
        step("a", writes=["a"]),
        step("b", writes=["b"]),
        step("q", for_each="list", writes=["q.{index}"]),
        step("d", writes=["d"]),
        step("c", needs=["b"], writes=["c"]),
        step("e", needs=["d"], writes=["e"]),
        step("f", writes=["f"]),
        request={"list": [1, 2, 3]},
    )
    run.begin()
    run.reply("a")
    run.refuse("b")
    run.refuse("q-0")
    run.reply("q-1")
    run.refuse("q-2")
    run.ask("d")
    for skipped in (False, True):
        found = why_not_again(run.machine, "run", name, skip=skipped)
        assert found == ((why, instead) if why else None)


def test_where_more_has_come_after_it_or_its_run_was_cancelled_only_a_fork_helps():
    run = Transcript(step("a", writes=["a"], on_dead="continue"), step("b", needs=["a"], writes=["b"]))
    run.begin()
    run.refuse("a")
    run.start("b")
    anew = "run it again in a new run: interlock fork run --at a"
    assert why_not_again(run.machine, "run", "a") == ("step b comes after a, and has started already", anew)
    run.say(e.RunCancelled(run.tick(), "ann"))
    assert why_not_again(run.machine, "run", "b")[0] == "the run was cancelled, which is final"


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, ", ...")])
def test_of_many_steps_some_are_named(count, more):
    run = Transcript(*(step(f"s{n}", writes=[f"s{n}"]) for n in range(count)))
    run.begin()
    assert why_not_again(run.machine, "run", "x")[1] == f"its steps: s0, s1, s2, s3, s4, s5, s6, s7{more}"


def test_what_a_person_has_skipped_is_skipped_in_a_fork_as_well():
    steps = (
        step("a", writes=["a"]),
        step("b", writes=["b"]),
        step("each", for_each="list", width=1, writes=["q.{index}"]),
        step("z", needs=["a", "b", "each"], join="any_outcome", writes=["z"]),
    )
    run = Transcript(*steps, request={"list": [1, 2]})
    run.begin()
    run.refuse("a")
    run.ask("b")
    run.refuse("each-0")
    run.reply("each-1")
    run.say(e.RunReopened(run.tick(), ("a", "each-0"), "person:ann", "gone", skip=True))
    run.say(e.QuestionAnswered(run.tick(), "b", 1, "person:ann", "skip", reason="gone"))
    run.refuse("z")
    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], ["z"], 90_000_000)
    skipped = {fact.step: (fact.reason, fact.by) for fact in facts if isinstance(fact, e.StepSkipped)}
    assert skipped == dict.fromkeys(("a", "b", "each-0"), ("person:ann has skipped it: gone", "person:ann"))
    fork = Transcript(*steps, request={"list": [1, 2]})
    started = e.RunStarted(90_000_000, Raw(values.encode(fork.request)), "", "")
    assert fork.say(started, *facts) == ["call ann for z #1"]


def test_an_item_that_a_person_has_skipped_takes_no_room_in_a_fork():
    """Nor does one that is shared, whether it waits for its turn there or has come to it."""
    each = step("each", for_each="list", width=1, writes=["q.{index}"])
    run = Transcript(each, request={"list": [1, 2, 3, 4]})
    run.begin()
    run.reply("each-0")
    run.refuse("each-1")
    run.reply("each-2")
    run.reply("each-3")
    run.say(e.RunReopened(run.tick(), ("each-1",), "person:ann", "gone", skip=True))
    events = [e.decode(told) for told in run.journal]
    for again in (["each-0", "each-3"], ["each-2", "each-3"]):
        facts = taken_over(run.machine, "run", events, again, 90_000_000)
        fork = Transcript(each, request={"list": [1, 2, 3, 4]})
        started = e.RunStarted(90_000_000, Raw(values.encode(fork.request)), "", "")
        assert fork.say(started, *facts) == [f"call ann for {again[0]} #1"]
        assert fork.reply(again[0]) == [f"call ann for {again[1]} #1"]
        assert fork.reply(again[1]) == ["succeeded"]
        assert fork.states["each-1"] == "skipped"
        assert [*fork.machine.reasons.values()] == ["person:ann has skipped it: gone"]
