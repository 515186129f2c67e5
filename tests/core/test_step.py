"""A step by itself: how it may be written, and what of that is refused."""

import pytest

from interlock.core import step as step_module
from interlock.core.step import Condition, Step
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
    ("condition", "text"),
    [
        (Condition("ticket.category", "==", "billing"), 'ticket.category == "billing"'),
        (Condition('"score"', ">=", 0.5), "score >= 0.5"),
        (Condition("x", "in", ["a", None]), 'x in ["a",null]'),
        (Condition("x", "absent"), "x absent"),
        (Condition("x", "exists"), "x exists"),
    ],
)
def test_a_condition_reads_as_it_was_written(condition, text):
    assert str(condition) == text


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        (("a..b",), PathError, "'a..b' is not a dotted path"),
        (("a", "=~", "x"), PlanError, "the condition on a has the operator '=~'; use one of: ==, !=, <, <=, >, >=, in"),
        (("a", "in", ("x", "y")), PlanError, "the value of the condition on a: it is a tuple, which is not JSON"),
        (("a", "==", {"b": float("nan")}), PlanError, "the value of the condition on a: b is nan"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(arguments, error, complaint):
    with pytest.raises(error) as refused:
        Condition(*arguments)
    assert str(refused.value).startswith(complaint)
    if error is PlanError:
        assert refused.value.place == ("plan",)


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
