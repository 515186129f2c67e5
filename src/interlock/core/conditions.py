"""Whether a `when` condition holds."""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from . import paths
from .context import Bank
from .step import Condition
from .values import ABSENT, at

_NUMBERS = frozenset({int, float})
_FULFILLED_BY_ABSENCE = frozenset({"absent", "!=", "not in"})
_ORDERS = frozenset({"<", "<=", ">", ">="})


def holds(condition: Condition, bank: Bank, visible: int) -> bool:
    """Whether the condition holds for what these ancestors committed."""
    try:
        found = bank.value(condition.path, visible)
    except KeyError:
        return condition.op in _FULFILLED_BY_ABSENCE
    return _compare(condition, found)


def holds_in(condition: Condition, request: Mapping[str, Any]) -> bool:
    """Whether the condition holds for a request, before there is a run."""
    found = at(request, paths.parse(condition.path))
    return condition.op in _FULFILLED_BY_ABSENCE if found is ABSENT else _compare(condition, found)


def implies(one: Condition, other: Condition) -> bool:
    """Whether whatever fulfils the one fulfils the other, as far as each of them tells: False where nobody knows."""
    if one.path != other.path:
        return False
    if one.op == other.op and same(one.value, other.value):
        return True
    match other.op:
        case "exists":
            return one.op not in _FULFILLED_BY_ABSENCE
        case "!=":
            return not _compare(one, other.value)
        case "not in" if isinstance(other.value, list | dict):
            return not any(_compare(one, value) for value in other.value)
    match one.op:
        case "==":
            return _compare(other, one.value)
        case "in" if isinstance(one.value, list | dict):
            return all(_compare(other, value) for value in one.value)
        case "<" | "<=" | ">" | ">=" if other.op in _ORDERS and other.op[0] == one.op[0]:
            return _compare(other, one.value) or (len(one.op) == 1 and same(one.value, other.value))
    return False


def _compare(condition: Condition, found: Any) -> bool:
    wanted = condition.value
    match condition.op:
        case "exists":
            return True
        case "absent":
            return False
        case "==":
            return same(found, wanted)
        case "!=":
            return not same(found, wanted)
        case "in":
            return _contains(wanted, found)
        case "not in":
            return not _contains(wanted, found)
        case "contains":
            return _contains(found, wanted)
        case "<":
            return _ordered(found, wanted, lambda a, b: a < b)
        case "<=":
            return _ordered(found, wanted, lambda a, b: a <= b)
        case ">":
            return _ordered(found, wanted, lambda a, b: a > b)
        case ">=":
            return _ordered(found, wanted, lambda a, b: a >= b)
        case _:
            assert_never(condition.op)


def same(one: Any, other: Any) -> bool:
    """JSON equality: true is not 1; numbers compare by value."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) in _NUMBERS and type(other) in _NUMBERS:
        return bool(one == other)
    return type(one) is type(other) and bool(one == other)


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, list):
        return any(same(element, item) for element in container)
    return isinstance(container, dict) and isinstance(item, str) and item in container


def _ordered(one: Any, other: Any, compare: Callable[[Any, Any], bool]) -> bool:
    comparable = (type(one) in _NUMBERS and type(other) in _NUMBERS) or (type(one) is str and type(other) is str)
    return comparable and compare(one, other)
