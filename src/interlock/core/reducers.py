"""Reducers: how the writes of several steps to one field are merged.

Each write is a contribution. A view folds those of its ancestors, in plan order, onto the field's initial value.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from .values import encode_canonical

# Bounds that keep a sum of 10,000 contributions inside 64 bits, or finite.
ADDEND_MAX = 2**48
FLOAT_ADDEND_MAX = 1e300
INITIAL_MAX = 2**62
FLOAT_INITIAL_MAX = 1e307


class Reducer(msgspec.Struct, frozen=True):
    """How the writes of one field become one value.

    empty: the value without any write. initial_types, initial_fits: what a request may bring. problem: what is wrong
    with a contribution beside the others, or ''.
    """

    empty: Callable[[], Any]
    initial_types: tuple[type, ...]
    initial_fits: Callable[[Any], bool]
    problem: Callable[[Any, Iterable[Any]], str]
    fold: Callable[[Any, Iterable[Any]], Any]


def _list_problem(_value: Any, others: Iterable[Any]) -> str:
    del others
    return ""


def _append(initial: Any, given: Iterable[Any]) -> Any:
    return [*initial, *given]


def _number_problem(value: Any, others: Iterable[Any]) -> str:
    del others
    if type(value) not in {int, float}:
        return "a number is needed"
    return "" if abs(value) <= (ADDEND_MAX if type(value) is int else FLOAT_ADDEND_MAX) else "the number is too large"


def _add(initial: Any, given: Iterable[Any]) -> Any:
    return sum(given, initial)


def _object_problem(value: Any, others: Iterable[Any]) -> str:
    if type(value) is not dict:
        return "an object is needed"
    for other in others:
        for key in value:
            # Compared as JSON: for Python, true is 1.
            if key in other and encode_canonical(value[key]) != encode_canonical(other[key]):
                return f"the key {key!r} has another value already"
    return ""


def _merge(initial: Any, given: Iterable[Any]) -> Any:
    merged = dict(initial)
    for contribution in given:
        merged |= contribution
    return merged


def _starts_in_range(value: Any) -> bool:
    return bool(abs(value) <= (INITIAL_MAX if type(value) is int else FLOAT_INITIAL_MAX))


def _any(_value: Any) -> bool:
    return True


REDUCERS = {
    "append": Reducer(list, (list,), _any, _list_problem, _append),
    "add": Reducer(int, (int, float), _starts_in_range, _number_problem, _add),
    "merge": Reducer(dict, (dict,), _any, _object_problem, _merge),
}
