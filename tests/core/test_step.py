"""A step by itself: how it may be written, and what of that is refused."""

import pytest

from interlock.core import step as step_module
from interlock.core.step import Condition, Step, checked
from interlock.errors import PathError, PlanError, TeamError


def step(id_, *needs, **more):
    return Step(id_, "agent", "act", needs=needs, **more)


def test_a_step_keeps_its_paths_in_their_one_spelling():
    one = step("a", reads=['"ticket".*'], writes=['out."x"'], for_each='"rows"')
    assert (one.reads, one.writes, one.for_each) == (("ticket.*",), ("out.x",), "rows")


@pytest.mark.parametrize("name", ["needs", "reads", "writes"])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("ticket", "is not a list; write [...] around it"),
        (7, "is not a list; write [...] around it"),
        (["ticket", 7], "holds something that is not a string"),
    ],
)
def test_the_lists_of_a_step_are_lists_of_strings(name, value, complaint):
    with pytest.raises(TeamError) as refused:
        Step("classify", "agent", "act", **{name: value})
    assert str(refused.value) == f"{name} of step classify {complaint}"


@pytest.mark.parametrize("wrong", [{"reads": ["a..b"]}, {"writes": ["a.*.b"]}, {"for_each": "rows.*"}])
def test_the_paths_of_a_step_are_paths(wrong):
    with pytest.raises(PathError, match="is not a dotted path"):
        step("a", **wrong)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("ticket.category", "==", "billing"), 'ticket.category == "billing"'),
        (("x",), "x == null"),
        (('"score"', ">=", 0.5), "score >= 0.5"),
        (("x", "in", ["a", None]), 'x in ["a",null]'),
        (("x", "absent"), "x absent"),
        (("x", "exists"), "x exists"),
    ],
)
def test_a_condition_reads_as_it_was_written(arguments, text):
    assert str(Condition(*arguments)) == text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("a", "=~", "x"),
            (
                "the condition on a has the operator '=~'"
                "; use one of: ==, !=, <, <=, >, >=, in, not in, contains, exists, absent"
            ),
        ),
        (
            ("a", "in", ("x", "y")),
            "the value of the condition on a: it is a tuple, which is not JSON; convert it first",
        ),
        (("a", "==", {"b": float("nan")}), "the value of the condition on a: b is nan, which JSON doesn't have"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(arguments, complaint):
    with pytest.raises(PlanError) as refused:
        Condition(*arguments)
    assert (str(refused.value), refused.value.place) == (complaint, ("plan",))


def test_the_path_of_a_condition_is_one():
    with pytest.raises(PathError, match="is not a dotted path"):
        Condition("a..b")


def test_the_kinds_of_steps_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(step_module, "_RIGHT_KINDS", set())
    monkeypatch.setattr(step_module, "KINDS_MAX", 1)
    for more in ({}, {"retries": 1}, {}):
        step("a", **more)
    assert len(step_module._RIGHT_KINDS) == 1
    with pytest.raises(PlanError, match="retries of step a is a str"):
        step("a", retries="1")


def test_a_condition_may_be_written_as_in_a_team_file():
    assert Step("s", "a", "act", when={"path": "x", "value": 1}).when == Condition("x", "==", 1)
    with pytest.raises(PlanError, match=r"when of step s: .*; give it a path, an op and a value$") as refused:
        Step("s", "a", "act", when={"paht": "x"})
    assert refused.value.place == ("plan", "s", "when")


@pytest.mark.parametrize("wrong", [{"retries": "3"}, {"samples": "x"}, {"schema": 3}, {"timeout": 2}, {"when": "x"}])
def test_a_field_of_the_wrong_type_is_named(wrong):
    (name,) = wrong
    with pytest.raises(PlanError, match=f"{name} of step s is a (str|int)") as refused:
        Step("s", "a", "act", **wrong)
    assert refused.value.place == ("plan", "s", name)


def test_a_step_that_waits_writes_nothing_unless_it_says_so():
    assert Step("s", wait="2h").writes == ()
    assert Step("s", await_event="x", writes=["y"]).writes == ("y",)
    assert step("s").writes is None


def test_a_step_that_decides_writes_nothing_and_runs_whatever_became_of_others():
    assert step("s", "a", writes=["x"]).deciding() == step("s", "a", writes=[], join="any_outcome")


def test_items_go_to_copies_one_by_one_or_in_batches():
    assert step("s", for_each="rows").batched([1, 2, 3]) == [1, 2, 3]
    assert step("s", for_each="rows", batch=2).batched([1, 2, 3]) == [[1, 2], [3]]


def test_code_that_checks_replies_is_kept_as_it_is_written_in_a_team_file():
    assert Step("s", "a", "act", guardrails=[str, {"use": int}, "ref"]).guardrails == (
        {"use": str},
        {"use": int},
        "ref",
    )


# --- what is wrong with a step by itself ---------------------------------------------------------------------------

BY_AGENT = {"agent": "ann", "action": "act"}
ITEMS = {**BY_AGENT, "for_each": "rows"}
SETTLED = {"reconcile": {"among": "said", "policy": "first"}, "writes": ["deal"]}
JUDGED = {**BY_AGENT, "reconcile": {"among": "said", "policy": "judge"}, "writes": ["deal"]}
KINDS = "a step waits for a time (wait: 2h) or for an event (await_event: NAME)"
SPAN = "more than 0 and up to 7d is possible"
NO_SPAN = "write a number and a unit: 500ms, 2s, 1m, 1h, 1d"


def asking(policy, **given):
    """A step that reconciles by this policy."""
    return {**SETTLED, "reconcile": {"among": "said", "policy": policy}, **given}


def at_deadline(then):
    return {"await_event": "x", "deadline": "1d", "on_deadline": then}


@pytest.mark.parametrize(
    ("given", "key", "complaint"),
    [
        ({}, "agent", f"step s has no agent; name one; {KINDS}"),
        ({"action": "act"}, "agent", f"step s has no agent; name one; {KINDS}"),
        ({"agent": "ann"}, "action", f"step s has no action; name one; {KINDS}"),
        ({**ITEMS, "samples": 2}, "samples", "step s has both samples and for_each; keep one"),
        ({**BY_AGENT, "samples": 101}, "samples", "step s wants 101 samples; 1 to 100 are possible"),
        ({**BY_AGENT, "samples": -1}, "samples", "step s wants -1 samples; 1 to 100 are possible"),
        ({**BY_AGENT, "width": 2}, "width", "step s has a width, but no for_each; remove it"),
        ({**BY_AGENT, "batch": 2}, "batch", "step s has a batch, but no for_each; remove it"),
        ({**ITEMS, "width": -1}, "width", "the width of step s is -1; 1 to 100,000 is possible"),
        ({**ITEMS, "batch": 100_001}, "batch", "the batch of step s is 100,001; 1 to 100,000 is possible"),
        ({**BY_AGENT, "retries": 101}, "retries", "step s wants 101 retries; 0 to 100 are possible"),
        ({**BY_AGENT, "retries": -1}, "retries", "step s wants -1 retries; 0 to 100 are possible"),
        ({**BY_AGENT, "join": "any"}, "join", "step s has the join 'any'; use one of: all, any_outcome"),
        (
            {**BY_AGENT, "on_dead": "die"},
            "on_dead",
            "step s has the on_dead 'die'; use one of: fail_run, skip, continue",
        ),
        ({**BY_AGENT, "timeout": "0s"}, "timeout", f"the timeout of step s is 0s; {SPAN}"),
        ({**BY_AGENT, "backoff": "8d"}, "backoff", f"the backoff of step s is 8d; {SPAN}"),
        ({**BY_AGENT, "retry_for": "0ms"}, "retry_for", f"the retry_for of step s is 0ms; {SPAN}"),
        (
            {**BY_AGENT, "writes": ["x.{index}"]},
            "writes",
            "step s writes x.{index}, but only samples and for_each have an {index}",
        ),
        (
            {**ITEMS, "writes": ["x.{step}1"]},
            "writes",
            (
                "step s writes x.{step}1: in one segment no digit may follow the index of an item"
                "; put the digits before it, or into a segment of their own"
            ),
        ),
        (
            {**BY_AGENT, "deadline": "1d"},
            "deadline",
            "step s has a deadline, and awaits no event; remove it, or ask a person with escalate",
        ),
        (
            {**BY_AGENT, "on_deadline": "skip"},
            "deadline",
            "step s has a deadline, and awaits no event; remove it, or ask a person with escalate",
        ),
        ({"wait": "soon"}, "wait", f"step s: 'soon' is not a duration; {NO_SPAN}"),
        (
            {"await_event": "a b"},
            "await_event",
            "step s: 'a b' is not the name of an event; use letters, digits, _ and -, at most 80",
        ),
        (
            {"wait": "2h", "agent": "ann"},
            "agent",
            "step s waits, and has agent, which is said of agents; remove it, or make it two steps",
        ),
        (
            {"await_event": "x", "samples": 2},
            "samples",
            "step s waits, and has samples, which is said of agents; remove it, or make it two steps",
        ),
        ({"wait": "2h", "writes": ["a"]}, "writes", "step s writes nothing: it only waits; remove it"),
        ({"wait": "2h", "schema": {}}, "writes", "step s writes nothing: it only waits; remove it"),
        (
            {"await_event": "x", "writes": ["y", "z"]},
            "writes",
            "step s awaits an event, and what that brings is written at one path; name one field in writes",
        ),
        (
            {"await_event": "x", "writes": ["y.*"]},
            "writes",
            "step s awaits an event, and what that brings is written at one path; name one field in writes",
        ),
        (
            {**at_deadline({"default": {"y": 1, "z": 1}}), "writes": ["y"]},
            "on_deadline",
            "step s does not write z, which its default has; name the path that stands in its writes",
        ),
        (
            at_deadline({"default": {"z": 1}}),
            "on_deadline",
            "step s does not write z, which its default has; name the path that stands in its writes",
        ),
        (
            asking("luck"),
            "reconcile",
            "step s: policy is 'luck', and otherwise 'dead'; of first, score, vote, judge, person, dead",
        ),
        (
            {**SETTLED, "reconcile": {"among": 'a"b', "policy": "first"}},
            "reconcile",
            (
                "step s: among: 'a\"b' has a segment that needs double quotes"
                "; such as {among: extractions, policy: vote, otherwise: person}"
            ),
        ),
        (asking("judge"), "reconcile", "step s has no judge; give it agent and action"),
        (asking("judge", agent="jo"), "reconcile", "step s has no judge; give it agent and action"),
        (asking("judge", action="act"), "reconcile", "step s has no judge; give it agent and action"),
        *(
            (
                {**SETTLED, name: "jo"},
                "reconcile",
                "step s has an agent, and its policy asks none; remove agent and action, or write policy: judge",
            )
            for name in ("agent", "action")
        ),
        ({**SETTLED, "wait": "2h"}, "wait", "step s reconciles, and has wait; remove it"),
        ({**SETTLED, "await_event": "x"}, "await_event", "step s reconciles, and has await_event; remove it"),
        ({**SETTLED, "deadline": "1d"}, "deadline", "step s reconciles, and has deadline; remove it"),
        ({**SETTLED, "on_deadline": "skip"}, "on_deadline", "step s reconciles, and has on_deadline; remove it"),
        ({**SETTLED, "timeout": "1d"}, "timeout", "step s reconciles, and has timeout; remove it"),
        ({**JUDGED, "reads": ["x"]}, "reads", "step s reconciles, and has reads; remove it"),
        (
            {**SETTLED, "escalate": True},
            "escalate",
            "step s has escalate, and whether a person is asked is said by its policy; remove it",
        ),
        (
            asking("person", escalate=False),
            "escalate",
            "step s has escalate, and whether a person is asked is said by its policy; remove it",
        ),
        *(
            (
                {**SETTLED, "writes": writes},
                "writes",
                "step s reconciles, and what that comes to is written at one path; name one field in writes",
            )
            for writes in (None, [], ["a", "b"], ["a.*"])
        ),
        *(
            (
                {**SETTLED, "writes": [target]},
                "writes",
                f"step s writes {target}, which is not apart from the candidates; write it somewhere else",
            )
            for target in ("said", "said.x", "out.{step}")
        ),
        (
            {"reconcile": {"among": ["x", "deal.a"], "policy": "first"}, "writes": ["deal"]},
            "writes",
            "step s writes deal, which is not apart from the candidates; write it somewhere else",
        ),
    ],
)
def test_a_step_that_is_wrong_by_itself_is_refused_with_the_fault_the_place_and_the_mend(given, key, complaint):
    with pytest.raises(PlanError) as refused:
        checked(Step("s", **given))
    assert (str(refused.value), refused.value.place) == (complaint, ("plan", "s", key))


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(PlanError) as refused:
        step("s", threshold=threshold)
    assert str(refused.value) == f"the threshold of step s is {threshold}; more than 0, up to 1"
    assert refused.value.place == ("plan", "s", "threshold")


@pytest.mark.parametrize("on_request", [{"act": 7}, {7: "s"}])
def test_the_branches_of_a_step_are_strings(on_request):
    with pytest.raises(PlanError) as refused:
        step("s", on_request=on_request)
    assert (
        str(refused.value) == "on_request of step s holds something that is not a string; name a step for each action"
    )
    assert refused.value.place == ("plan", "s", "on_request")


@pytest.mark.parametrize("id_", ["", "a.b", "a\n", "ä", "x" * 81])
def test_the_id_of_a_step_is_a_short_word(id_):
    with pytest.raises(PlanError) as refused:
        checked(step(id_))
    assert str(refused.value) == f"{id_!r} is not a step id; use letters, digits, _ and -, at most 80"
    assert refused.value.place == ("plan", id_)


@pytest.mark.parametrize(
    "given",
    [
        {**BY_AGENT, "samples": 1},
        {**BY_AGENT, "samples": 100},
        {**BY_AGENT, "retries": 0},
        {**BY_AGENT, "retries": 100},
        {**BY_AGENT, "threshold": 1},
        {**BY_AGENT, "threshold": 0.01},
        {**BY_AGENT, "timeout": "1ms", "backoff": "7d", "retry_for": "7d"},
        {**ITEMS, "width": 1, "batch": 1},
        {**ITEMS, "width": 100_000, "batch": 100_000, "writes": ["x.1{index}.2"]},
        {"await_event": "x", "schema": {}, "writes": ["y"]},
        {**at_deadline({"default": {"y": 1}}), "writes": ["y"]},
        {
            **JUDGED,
            "timeout": "1d",
            "escalate": True,
            "reconcile": {"among": "said", "policy": "judge", "otherwise": "person"},
        },
        asking("person", escalate={"deadline": "1d"}),
    ],
)
def test_a_step_may_go_to_its_limits(given):
    one = Step("x" * 80, **given)
    assert checked(one) is one
