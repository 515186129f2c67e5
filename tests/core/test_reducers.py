"""What may be contributed to a field with a reducer, and what the contributions add up to."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.reducers import ADDEND_MAX, FLOAT_ADDEND_MAX, REDUCERS
from interlock.core.scope import ReducerKind


def test_every_declared_kind_has_a_reducer_and_a_type_of_initial_value():
    assert set(REDUCERS) == set(get_args(ReducerKind))
    for reducer in REDUCERS.values():
        assert isinstance(reducer.empty(), reducer.initial_types)
        assert reducer.fold(reducer.empty(), []) == reducer.empty()


@pytest.mark.parametrize(
    ("kind", "initial", "given", "folded"),
    [
        ("append", [], ["b", ["a"], None], ["b", ["a"], None]),
        ("append", ["first"], ["second"], ["first", "second"]),
        ("add", 0, [1, 2, -4], -1),
        ("add", 0.5, [1], 1.5),
        ("merge", {}, [{"a": 1}, {"b": {"c": 2}}, {"a": 1}], {"a": 1, "b": {"c": 2}}),
        ("merge", {"a": 1}, [{"b": 2}], {"a": 1, "b": 2}),
    ],
)
def test_contributions_are_folded_onto_the_initial_value_in_order(kind, initial, given, folded):
    before = repr(initial)
    assert REDUCERS[kind].fold(initial, given) == folded
    assert repr(initial) == before


@pytest.mark.parametrize(
    ("kind", "value", "others", "problem"),
    [
        ("append", {"any": "thing"}, [1], ""),
        ("add", 1, ["ignored"], ""),
        ("add", -0.5, [], ""),
        ("add", ADDEND_MAX, [], ""),
        ("add", -ADDEND_MAX - 1, [], "the number is too large"),
        ("add", FLOAT_ADDEND_MAX, [], ""),
        ("add", 1.1e300, [], "the number is too large"),
        ("add", True, [], "a number is needed"),
        ("add", "1", [], "a number is needed"),
        ("merge", [], [], "an object is needed"),
        ("merge", {"a": 1}, [{"b": 2}, {"a": 1, "c": 3}], ""),
        ("merge", {"b": 0, "a": 1}, [{"c": 3}, {"a": 2}], "the key 'a' has another value already"),
        ("merge", {"a": True}, [{"a": 1}], "the key 'a' has another value already"),
        ("merge", {"a": [1]}, [{"a": [1.0]}], "the key 'a' has another value already"),
        ("merge", {"a": {"x": 1, "y": 2}}, [{"a": {"y": 2, "x": 1}}], ""),
    ],
)
def test_a_contribution_that_cannot_be_folded_is_named(kind, value, others, problem):
    assert REDUCERS[kind].problem(value, others) == problem


@given(st.lists(st.sampled_from([ADDEND_MAX, -ADDEND_MAX]), min_size=1, max_size=10))
def test_ten_thousand_addends_stay_inside_64_bits(addends):
    assert abs(REDUCERS["add"].fold(0, addends * (10_000 // len(addends)))) < 2**63


@given(st.permutations([{"a": 1}, {"b": 2}, {"c": 3}, {"a": 1, "c": 3}]))
def test_a_merge_without_problems_does_not_depend_on_the_order(contributions):
    reducer = REDUCERS["merge"]
    for n, contribution in enumerate(contributions):
        assert not reducer.problem(contribution, contributions[:n])
    assert reducer.fold({}, contributions) == {"a": 1, "b": 2, "c": 3}
