"""What a context should be, written as plainly as can be: the writes of ancestors, replayed in plan order.

The bank is fast because it keeps chains of versions, bitsets and sums. This keeps a list of commits. Where the two
disagree, the bank is wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from interlock.core import paths
from interlock.core.job import DELETE
from interlock.core.step import Condition
from interlock.core.values import ABSENT, at

Leaf = tuple[str, ...]

# The paths of a simulated team are few, and looked at after every event.
covers = lru_cache(65_536)(paths.covers)
_join = lru_cache(65_536)(paths.join)


class NaiveContext:
    """All commits of one run. label: a step's number in the plan; index: its place among the items of a for_each.

    The trees that it shows hold the committed values themselves: to be looked at, not to be changed.
    """

    def __init__(self, request: Mapping[str, Any], reducers: Mapping[str, str] | None = None) -> None:
        self.commits: dict[tuple[int, int], dict[str, Any]] = {}
        self._request, self._reducers = request, {paths.parse(path): kind for path, kind in (reducers or {}).items()}
        self._known: dict[int, dict[str, tuple[Leaf, Any]]] = {}
        self._cut: dict[tuple[int, tuple[str, ...]], dict[str, tuple[Leaf, Any]]] = {}

    def commit(self, label: int, index: int, writes: Mapping[str, Any], deletes: Iterable[str] = ()) -> None:
        """Take what a step wrote, and what it deleted."""
        self.commits[label, index] = {**dict.fromkeys(deletes, DELETE), **writes}
        self._known.clear()
        self._cut.clear()

    def tree(self, visible: int, patterns: Sequence[str] = ("*",)) -> dict[str, Any]:
        """What is seen of the commits of these labels (a bitset), cut to the patterns."""
        tree: dict[str, Any] = {}
        for (*inner, last), value in self._covered(visible, patterns).values():
            node = tree
            for key in inner:
                node = node.setdefault(key, {})
            node.setdefault(last, value if value != {} else {})  # what grows in the tree must not grow in a value
        return tree

    def value(self, path: str, visible: int) -> Any:
        """What stands at a path; ABSENT where nothing does."""
        known = self._by_path(visible).get(path)
        if known is not None and known[1] != {}:
            return known[1]
        return at(self.tree(visible), paths.split(path))

    def leaves(self, visible: int, patterns: Sequence[str] = ("*",)) -> dict[str, Any]:
        """Every leaf of these labels by its path, cut to the patterns."""
        return {path: value for path, (_, value) in self._covered(visible, patterns).items()}

    @property
    def size(self) -> int:
        """Bytes of JSON of all that stands there; of a field with a reducer, those of each contribution."""
        held = [value for path, value in self.leaves(-1).items() if not self.is_reduced(path)]
        given = (self.contributions(paths.join(leaf), -1) for leaf in self._reducers)
        held += [value for contributions in given for _, _, value in contributions]
        between = len(held) + 1  # the brackets and commas of a list of them
        return len(msgspec.json.encode(held)) - between if held else 0

    def is_reduced(self, path: str) -> bool:
        """Whether there is a reducer for this very path."""
        return paths.split(path) in self._reducers

    def contributions(self, path: str, visible: int) -> list[tuple[int, int, Any]]:
        """What was contributed to a field with a reducer: label, index and value of each, the request's first."""
        initial, leaf = at(self._request, paths.split(path)), paths.split(path)
        given = [
            (label, index, value)
            for (label, index), writes in sorted(self.commits.items(), key=lambda item: item[0])
            for written, value in writes.items()
            if visible >> label & 1 and paths.split(written) == leaf
        ]
        return given if initial is ABSENT else [(0, 0, initial), *given]

    def _covered(self, visible: int, patterns: Sequence[str]) -> dict[str, tuple[Leaf, Any]]:
        known = self._by_path(visible)
        if "*" in patterns:
            return known
        key = (visible, tuple(patterns))
        cut = self._cut.get(key)
        if cut is None:
            cut = {path: it for path, it in known.items() if any(covers(pattern, path) for pattern in patterns)}
            self._cut[key] = cut
        return cut

    def _by_path(self, visible: int) -> dict[str, tuple[Leaf, Any]]:
        known = self._known.get(visible)
        if known is None:
            known = {_join(leaf): (leaf, value) for leaf, value in self._leaves(visible).items()}
            self._known[visible] = known
        return known

    def _leaves(self, visible: int) -> dict[Leaf, Any]:
        leaves: dict[Leaf, Any] = {}
        for key, value in self._request.items():
            self._write(leaves, (key,), value)
        for (label, _), writes in sorted(self.commits.items(), key=lambda item: item[0]):
            if visible >> label & 1:
                for path, value in writes.items():
                    self._commit(leaves, paths.split(path), value)
        return leaves

    def _commit(self, leaves: dict[Leaf, Any], path: Leaf, value: Any) -> None:
        kind = self._reducers.get(path)
        if kind == "append":
            leaves[path] = [*leaves.get(path, []), value]
        elif kind == "add":
            leaves[path] = leaves.get(path, 0) + value
        elif kind == "merge":
            leaves[path] = {**leaves.get(path, {}), **value}
        else:
            for old in [leaf for leaf in leaves if leaf[: len(path)] == path]:
                del leaves[old]
            if value is not DELETE:
                self._write(leaves, path, value)

    def _write(self, leaves: dict[Leaf, Any], path: Leaf, value: Any) -> None:
        if isinstance(value, dict) and value and path not in self._reducers:
            for key, inner in value.items():
                self._write(leaves, (*path, key), inner)
        else:
            leaves[path] = value


# --- sizes ---


def leaves_in(value: Any) -> int:
    """How many fields a value is, when it is written: every object is cut up."""
    return sum(map(leaves_in, value.values())) if isinstance(value, dict) and value else 1


def depth_of(value: Any) -> int:
    """How deep objects and lists are nested in each other; 0 for what is neither."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


# --- conditions ---


def holds(condition: Condition, found: Any) -> bool:
    """Whether a `when` holds for what stands at its path; ABSENT where nothing does."""
    op, wanted = condition.op, condition.value
    if found is ABSENT:
        return op in {"absent", "!=", "not in"}
    order = _order(found, wanted)
    truths: dict[str, bool] = {
        "exists": True,
        "==": _plain(found) == _plain(wanted),
        "!=": _plain(found) != _plain(wanted),
        "in": _has(wanted, found),
        "not in": not _has(wanted, found),
        "contains": _has(found, wanted),
        "<": order == "less",
        "<=": order in {"less", "equal"},
        ">": order == "more",
        ">=": order in {"more", "equal"},
    }
    return truths.get(op, False)


def _plain(value: Any) -> Any:
    """The value, so that Python's equality is that of JSON: true is not 1, but 1 is 1.0."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _has(container: Any, item: Any) -> bool:
    """Whether a list has an element, an object a key, or a text a part."""
    if isinstance(container, list):
        return _plain(item) in _plain(container)
    return isinstance(container, dict | str) and isinstance(item, str) and item in container


def _order(one: Any, other: Any) -> str:
    """How one number or text stands to another: less, equal or more; "" where they have no order."""
    types = {type(one), type(other)}
    if types == {str} or types <= {int, float}:
        return "less" if one < other else "equal" if one == other else "more"
    return ""
