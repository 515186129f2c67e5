"""When a `when` holds."""

import json
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.core.conditions import holds, holds_in, implies, same
from interlock.core.context import Bank
from interlock.core.plan import Plan
from interlock.core.step import Condition, Operator, Step


def holds_for(found, op, value=None):
    """For what a run committed, and for the request before there is a run: the same."""
    bank = Bank(Plan([Step("only", "agent", "act")]))
    bank.commit_request(json.dumps({"here": found}).encode())
    in_a_run = holds(Condition("here", op, value), bank, 1)
    assert holds_in(Condition("here", op, value), {"here": found}) == in_a_run
    return in_a_run


@pytest.mark.parametrize(
    ("found", "op", "value", "expected"),
    [
        ("billing", "==", "billing", True),
        (1, "==", 1.0, True),
        (1, "==", True, False),
        (None, "==", None, True),
        ({"a": [1, {"b": 2}]}, "==", {"a": [1.0, {"b": 2}]}, True),
        ({"a": [True]}, "==", {"a": [1]}, False),
        ([1, 2], "==", [1], False),
        ({"a": 1}, "==", {"b": 1}, False),
        ("billing", "!=", "cards", True),
        (2**53 + 1, "!=", float(2**53), True),
        ("x", "!=", "x", False),
        (1, "<", 2, True),
        (2, "<", 2, False),
        (2, "<=", 2.0, True),
        (3, ">", 2, True),
        (2, ">=", 3, False),
        (2, ">=", 2.0, True),
        ("b", ">", "a", True),
        ("1", "<", 2, False),
        (1, ">", "0", False),
        (True, ">", 0, False),
        (None, "<=", None, False),
        ([1], "<", [2], False),
        ("cards", "in", ["billing", "cards"], True),
        (1, "in", [True], False),
        ("ill", "in", "billing", True),
        (1, "in", "1", False),
        ("a", "in", {"a": 1}, True),
        (1, "in", {"1": 1}, False),
        ("a", "in", 7, False),
        ("cards", "not in", ["billing"], True),
        ("billing", "not in", ["billing"], False),
        (["a", 1.0], "contains", 1, True),
        (["a"], "contains", "b", False),
        ("billing", "contains", "bill", True),
        ({"a": None}, "contains", "a", True),
        (7, "contains", 7, False),
        (None, "exists", None, True),
        (False, "absent", None, False),
    ],
)
def test_a_condition_compares_as_json(found, op, value, expected):
    assert holds_for(found, op, value) is expected


@pytest.mark.parametrize("op", get_args(Operator))
def test_an_absent_path_fulfils_three_operators_alone(op):
    bank = Bank(Plan([Step("only", "agent", "act")]))
    bank.commit_request(b"{}")
    assert holds(Condition("nowhere", op, 1), bank, 1) is (op in {"absent", "!=", "not in"})
    assert holds_in(Condition("nowhere.at_all", op, 1), {"nowhere": 7}) is (op in {"absent", "!=", "not in"})


def test_a_condition_sees_what_ancestors_committed_and_nothing_else():
    bank = Bank(Plan([Step("first", "a", "act"), Step("second", "a", "act")]))
    bank.commit_request(b"{}")
    bank.commit(1, {"done": b"true"})
    done = Condition("done", "==", value=True)
    assert holds(done, bank, 0b11)
    assert not holds(done, bank, 0b01)


def test_json_equality_does_not_mix_types():
    values = [None, True, False, 1, 0, "", "1", [], {}, [1], {"a": 1}]
    for n, one in enumerate(values):
        for m, other in enumerate(values):
            assert same(one, other) is (n == m)


# --- what follows from what ---


def condition(text):
    op, _, value = text.partition(" ")
    if op == "not":
        op, _, value = "not in", *value.partition(" ")[1:]
    return Condition("here", op, json.loads(value) if value else None)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("> 2000", "> 1000", True),
        ("> 1000", "> 2000", False),
        ("> 1000", "> 1000.0", True),
        ("> 1000", ">= 1000", True),
        (">= 1000", "> 1000", False),
        (">= 1001", "> 1000", True),
        ("< 1", "< 2", True),
        ("< 2", "< 1", False),
        ("< 2", "<= 2", True),
        ("<= 2", "< 2", False),
        ("> 2", "< 3", False),
        ("> 2", '> "1"', False),
        ('> "b"', '> "a"', True),
        ("> 2", "exists", True),
        ("> 2", "absent", False),
        ("> 2", "!= 2", True),
        ("> 2", "!= 3", False),
        ("> 2", "not in [1, 2]", True),
        ("> 2", "not in [1, 3]", False),
        ("== 3", "> 2", True),
        ("== 2", "> 2", False),
        ('== "ab"', 'in ["ab", "c"]', True),
        ('== "ab"', 'contains "a"', True),
        ("in [3, 4]", "> 2", True),
        ("in [2, 3]", "> 2", False),
        ('in {"a": 1}', 'in ["a", "b"]', True),
        ('in {"a": 1}', 'not in {"b": 1}', True),
        ('in "ab"', 'in "abc"', False),  # nobody looks
        ('in "ab"', 'not in "cd"', False),
        ('contains "ab"', 'contains "a"', False),  # a list may have one alone
        ('contains "ab"', 'contains "ab"', True),
        ('contains "ab"', "exists", True),
        ("== 1", "== true", False),
        ("absent", "!= 1", True),
        ("absent", "exists", False),
        ("!= 1", "exists", False),
        ("!= 1", "not in [1]", True),
        ("not in [1, 2]", "!= 2", True),
        ("exists", "> 1", False),
        ("exists", "!= 1", False),
    ],
)
def test_whether_one_condition_implies_another(one, other, expected):
    assert implies(condition(one), condition(other)) == expected


def test_what_stands_elsewhere_implies_nothing():
    assert not implies(Condition("here", "==", 1), Condition("there", "==", 1))


SOME = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from([1.0, 1.5, "", "a", "ab", "b"]))
VALUES = st.one_of(SOME, st.lists(SOME, max_size=3), st.dictionaries(st.sampled_from(["a", "ab"]), SOME, max_size=2))
CONDITIONS = st.builds(Condition, st.just("here"), st.sampled_from(get_args(Operator)), VALUES)


@given(CONDITIONS, CONDITIONS, st.lists(VALUES, max_size=20))
@example(condition("> 1"), condition("> 1.0"), [1, 1.5])
def test_what_is_implied_holds(one, other, found):
    if implies(one, other):
        requests = ({}, *({"here": value} for value in found))
        assert all(holds_in(other, request) for request in requests if holds_in(one, request))
