"""Contexts by hand: what a list of commits comes to."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core import conditions
from interlock.core.context import Bank
from interlock.core.job import DELETE
from interlock.core.plan import Plan
from interlock.core.step import Condition, Operator, Step
from interlock.core.values import ABSENT, encode
from interlock.testing.simulation.account.naive import NaiveContext, depth_of, holds, leaves_in

ALL = -1


def context(request=None, *commits, **reducers):
    """A context whose commits are by the steps 1, 2, 3, ..."""
    found = NaiveContext(request or {}, reducers)
    for label, writes in enumerate(commits, 1):
        found.commit(label, 0, writes)
    return found


def seen_by(*labels):
    return sum(1 << label for label in labels)


# --- writing ---


def test_the_request_is_what_it_begins_with():
    assert context({"q": {"text": "hi", "n": [1]}}).tree(ALL) == {"q": {"text": "hi", "n": [1]}}
    assert context({"q": {"text": "hi"}}).leaves(0) == {"q.text": "hi"}


def test_a_write_overwrites():
    assert context({"a": 1}, {"a": 2}, {"a": 3}).tree(ALL) == {"a": 3}


def test_a_write_replaces_the_whole_subtree():
    assert context({"a": {"x": 1, "y": 2}}, {"a": {"z": 3}}).tree(ALL) == {"a": {"z": 3}}
    assert context({"a": {"x": {"deep": 1}}}, {"a": "flat"}).tree(ALL) == {"a": "flat"}
    assert context({"a": {"x": 1}}, {"a": {}}).tree(ALL) == {"a": {}}


def test_a_write_below_leaves_its_neighbours():
    assert context({"a": {"x": 1, "y": 2}}, {"a.y": 3, "a.z.deep": 4}).tree(ALL) == {
        "a": {"x": 1, "y": 3, "z": {"deep": 4}}
    }


def test_a_field_of_the_same_beginning_is_no_descendant():
    assert context({"a": 1, "ab": 2}, {"a": 3}).tree(ALL) == {"a": 3, "ab": 2}


def test_an_empty_object_makes_room_for_what_is_below():
    empty = context({"a": {}}, {"a.x": 1})
    assert empty.tree(ALL) == {"a": {"x": 1}}
    assert empty.tree(seen_by(0)) == {"a": {}}
    assert empty.value("a", ALL) == {"x": 1}


def test_what_grows_in_the_tree_does_not_grow_in_a_value():
    given = {}
    both = context({"a": given}, {"a.x": 1})
    both.tree(ALL)
    assert given == {}


def test_a_deleted_field_is_gone():
    both = context({"a": {"x": 1, "y": 2}, "b": 3}, {"a.x": DELETE}, {"b": DELETE})
    assert both.tree(ALL) == {"a": {"y": 2}}
    assert both.value("b", ALL) is ABSENT
    assert both.tree(seen_by(1)) == {"a": {"y": 2}, "b": 3}


def test_deleting_takes_all_that_is_below():
    assert context({"a": {"x": 1, "y": {"z": 2}}}, {"a": DELETE}).tree(ALL) == {}
    assert context({"a": 1}, {"nothing": DELETE}).tree(ALL) == {"a": 1}


def test_deletes_can_be_given_by_themselves():
    both = NaiveContext({"a": 1, "b": 2})
    both.commit(1, 0, {"b": 3}, ["a"])
    assert both.tree(ALL) == {"b": 3}


def test_a_commit_is_seen_at_once():
    both = context({"a": 1})
    assert both.tree(ALL) == {"a": 1}
    both.commit(1, 0, {"a": 2})
    assert both.tree(ALL) == {"a": 2}


# --- reducers ---


def test_append_adds_to_a_list_in_the_order_of_the_plan():
    both = NaiveContext({"log": ["first"]}, {"log": "append"})
    both.commit(3, 0, {"log": {"by": "c"}})
    both.commit(1, 0, {"log": "a"})
    both.commit(2, 0, {"log": ["b"]})
    assert both.tree(ALL) == {"log": ["first", "a", ["b"], {"by": "c"}]}
    assert both.value("log", seen_by(3)) == ["first", {"by": "c"}]


def test_items_of_one_step_are_in_the_order_of_their_index():
    both = NaiveContext({}, {"log": "append"})
    for index in (10, 2, 0):
        both.commit(1, index, {"log": index})
    assert both.tree(ALL) == {"log": [0, 2, 10]}


def test_add_adds_up():
    both = context({"sum": 10}, {"sum": 1.5}, {"sum": 2}, sum="add")
    assert both.tree(ALL) == {"sum": 13.5}
    assert both.tree(seen_by(2)) == {"sum": 12}
    assert context({}, {"sum": 4}, sum="add").tree(ALL) == {"sum": 4}


def test_merge_puts_keys_together_and_whole():
    both = context({"facts": {"a": {"x": 1}}}, {"facts": {"b": 2}}, {"facts": {"c": {}}}, facts="merge")
    assert both.tree(ALL) == {"facts": {"a": {"x": 1}, "b": 2, "c": {}}}
    assert both.leaves(ALL) == {"facts": {"a": {"x": 1}, "b": 2, "c": {}}}, "the field is one leaf"


def test_a_reducer_may_lie_deep_in_the_request():
    both = NaiveContext({"a": {"log": ["first"], "x": 1}}, {"a.log": "append"})
    both.commit(1, 0, {"a.log": "next"})
    assert both.tree(ALL) == {"a": {"log": ["first", "next"], "x": 1}}


# --- seeing ---


def test_only_the_commits_of_these_labels_are_seen():
    both = context({"q": 0}, {"a": 1}, {"b": 2}, {"a": 3})
    assert both.tree(seen_by()) == {"q": 0}
    assert both.tree(seen_by(0, 1)) == {"q": 0, "a": 1}
    assert both.tree(seen_by(2)) == {"q": 0, "b": 2}
    assert both.tree(seen_by(1, 3)) == {"q": 0, "a": 3}


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        (["*"], {"a": {"x": 1, "y": {"z": 2}}, "ab": 3, "e": {}}),
        (["a"], {"a": {"x": 1, "y": {"z": 2}}}),
        (["a.*"], {"a": {"x": 1, "y": {"z": 2}}}),
        (["a.y"], {"a": {"y": {"z": 2}}}),
        (["a.x", "ab"], {"a": {"x": 1}, "ab": 3}),
        (["e"], {"e": {}}),
        (["e.*"], {}),
        (["a.x.*"], {}),
        (["nothing"], {}),
        ([], {}),
    ],
)
def test_a_view_is_cut_by_patterns(patterns, shown):
    both = context({"a": {"x": 1, "y": {"z": 2}}, "ab": 3, "e": {}})
    assert both.tree(ALL, patterns) == shown


def test_a_value_is_a_leaf_a_branch_or_absent():
    both = context({"a": {"x": 1, "y": None}, "list": [{"x": 1}]})
    assert both.value("a.x", ALL) == 1
    assert both.value("a.y", ALL) is None
    assert both.value("a", ALL) == {"x": 1, "y": None}
    assert both.value("a.nothing", ALL) is ABSENT
    assert both.value("list.x", ALL) is ABSENT


def test_keys_that_are_no_words_are_quoted():
    both = context({"a": {"b.c": 1, "": 2, "*": 3}}, {'a."b.c"': 4, '""."x.y"': 5})
    assert both.tree(ALL) == {"a": {"b.c": 4, "": 2, "*": 3}, "": {"x.y": 5}}
    assert both.value('a."b.c"', ALL) == 4
    assert both.leaves(0) == {'a."b.c"': 1, 'a.""': 2, 'a."*"': 3}
    assert both.tree(0, ['a."b.c"']) == {"a": {"b.c": 1}}


def test_keys_stand_in_the_order_in_which_they_were_written():
    both = context({"b": 1, "a": {"y": 1, "x": 2}}, {"c": 3, "a.w": 4}, {"b": 5, "a.y": 6})
    assert [*both.leaves(ALL)] == ["a.x", "c", "a.w", "b", "a.y"]
    assert repr(both.tree(ALL)) == "{'a': {'x': 2, 'w': 4, 'y': 6}, 'c': 3, 'b': 5}"


def test_a_field_with_a_reducer_stands_where_it_was_first_written():
    both = context({}, {"log": 1}, {"b": 2}, {"log": 3}, log="append")
    assert [*both.tree(ALL)] == ["log", "b"]


def test_contributions_are_told_by_whom_they_are():
    log = context({"log": [0]}, {"log": 1}, {"other": 2}, {"log": 3}, log="append")
    assert log.contributions("log", ALL) == [(0, 0, [0]), (1, 0, 1), (3, 0, 3)]
    assert log.contributions("log", seen_by(0, 1)) == [(0, 0, [0]), (1, 0, 1)]
    assert log.is_reduced("log")
    assert not log.is_reduced("other")


# --- sizes ---


@pytest.mark.parametrize(
    ("value", "leaves", "depth"),
    [
        (1, 1, 0),
        ("text", 1, 0),
        ([], 1, 1),
        ({}, 1, 1),
        ([[1], {"a": [2]}], 1, 3),
        ({"a": 1, "b": {"c": 2, "d": 3}}, 3, 2),
    ],
)
def test_a_value_has_leaves_and_a_depth(value, leaves, depth):
    assert (leaves_in(value), depth_of(value)) == (leaves, depth)


def test_the_size_counts_each_contribution():
    assert context({"q": "xx"}, {"a": {"b": [1, 2]}}, {"q": 1}).size == len("[1,2]") + len("1")
    assert context({"log": [0]}, {"log": "x"}, {"log": "y"}, log="append").size == len("[0]") + len('"x"') + len('"y"')


# --- conditions ---


@pytest.mark.parametrize(
    ("found", "op", "value", "expected"),
    [
        (1, "==", 1.0, True),
        (1, "==", True, False),
        ([{"a": True}], "==", [{"a": 1}], False),
        ("x", "!=", "x", False),
        ("cards", "in", ["billing", "cards"], True),
        (1, "in", [True], False),
        (1, "in", "1", False),
        ("a", "not in", {"a": 1}, False),
        ("billing", "contains", "bill", True),
        (7, "contains", 7, False),
        (1, "<", 2, True),
        (2, "<=", 2.0, True),
        ("b", ">", "a", True),
        (2, ">=", 3, False),
        (True, ">", 0, False),
        ("1", "<", 2, False),
        (None, "exists", None, True),
        (False, "absent", None, False),
    ],
)
def test_a_condition_compares_as_json(found, op, value, expected):
    assert holds(Condition("here", op, value), found) is expected


@pytest.mark.parametrize("op", get_args(Operator))
def test_where_nothing_stands_only_absence_and_difference_hold(op):
    assert holds(Condition("here", op, 1), ABSENT) is (op in {"absent", "!=", "not in"})


SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 1.5]) | st.sampled_from(["", "a"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("a"), inner))


@given(VALUES, st.sampled_from(get_args(Operator)), VALUES)
def test_conditions_hold_where_they_hold_for_the_machine(found, op, value):
    bank = Bank(Plan([Step("only", "agent", "act")]))
    bank.commit_request(encode({"here": found}))
    condition = Condition("here", op, value)
    assert holds(condition, found) is conditions.holds(condition, bank, 1)
