"""Values where no schema speaks: what the team's conditions, lists and paths call for, or else a short text."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import chain, count
from random import Random
from typing import Any, cast

from interlock.core.conditions import holds
from interlock.core.moments import time_text
from interlock.core.step import Condition
from interlock.core.values import encode
from interlock.errors import ValueRefused

from .interests import Interest
from .texts import Make, pick, text

ITEMS_MAX = 5
# When a simulation begins, and how long after that the times are that somebody waits for.
SIMULATED_US = 1_700_000_000_000_000
TIMED_SECONDS = (-3_600, 5, 50, 300, 4_000, 90_000)
OFTEN = 0.8
HALF = 0.5


def free(interest: Interest | None, width: int) -> Make:
    """What makes values for a place. width: how many items a list to expand may have."""
    if interest is None:
        return text
    if interest.children or interest.branch:
        return _tree(interest, width)
    if interest.listed:
        return listed(width)
    if interest.timed:
        return lambda random: time_text(SIMULATED_US + 1_000_000 * pick(random, TIMED_SECONDS))
    choices = [choice for choice in map(candidates, interest.conditions) if all(choice)]
    if not choices:
        return text
    return lambda random: fresh(pick(random, pick(random, pick(random, choices))))


def share(interest: Interest | None) -> float:
    """How often a place is written that need not be."""
    if interest is None:
        return OFTEN
    if any(node.listed or node.timed for _, node in interest.below()):
        return 1.0  # where the list or the time is missing, the step is a dead letter
    return HALF if interest.sometimes else OFTEN


def listed(width: int) -> Make:
    """What makes lists for a for_each."""
    choices = min(ITEMS_MAX, width) + 1
    return lambda random: [text(random) for _ in range(int(choices * random.random()))]


def _tree(interest: Interest, width: int) -> Make:
    parts = [(name, share(child), free(child, width)) for name, child in interest.sought() if not child.merged]
    if not parts:
        return details(interest)

    def make(random: Random) -> dict[str, Any]:
        luck = random.random
        return {name: part(random) for name, often, part in parts if luck() < often}

    return make


def details(interest: Interest) -> Make:
    """What makes objects for a place of which no part is asked for: each with a text, under a name not in use."""
    name = next(name for name in map("details{}".format, chain([""], count(2))) if name not in interest.children)
    return lambda random: {name: text(random)}


# --- conditions ---


class _Only:
    """A bank in which one value stands at every path."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def value(self, _path: str, _visible: int) -> Any:
        return self._found


def candidates(condition: Condition) -> tuple[list[Any], list[Any]]:
    """Values for which a condition holds, and values for which it does not; rather of the type it asks for."""
    holding: list[Any] = []
    failing: list[Any] = []
    if condition.op in {"exists", "absent"}:
        return holding, failing
    for value in _variations(condition):
        if _is_json(value):
            fits = holds(condition, cast("Any", _Only(value)), 0)
            (holding if fits else failing).append(value)
    kinds = {type(value) for value in holding} | {type(condition.value)}
    alike = [value for value in failing if type(value) in kinds]
    return holding[:4], (alike or failing)[:4]


def _variations(condition: Condition) -> Iterator[Any]:
    value = condition.value
    if condition.op in {"in", "not in"} and isinstance(value, list):
        yield from value
    if condition.op == "contains":
        yield from ([value], ["first", value], [])
    yield from _near(value)
    yield from (0, "other", "", True, False, None, [], {})


def _near(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, value * 2)
    elif isinstance(value, str):
        yield from (f"{value} and more", f"before {value}", value[:-1], "~" + value)


def _is_json(value: Any) -> bool:
    try:
        encode(value)
    except ValueRefused:
        return False
    return True


def fresh(value: Any) -> Any:
    """The value, or a copy of one that its receiver could change."""
    return deepcopy(value) if isinstance(value, list | dict) else value
