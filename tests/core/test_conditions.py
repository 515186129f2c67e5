"""When a `when` holds."""

import json
from typing import get_args

import pytest

from interlock.core.conditions import holds, holds_in, same
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
