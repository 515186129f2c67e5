"""What a context should be, written as plainly as can be: the writes of ancestors, replayed in plan order.

The bank is fast because it keeps chains of versions, bitsets and sums. This keeps a list of commits. Where the two
disagree, the bank is wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from interlock.core import paths
from interlock.core.job import DELETE
from interlock.core.values import at

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

    def commit(self, label: int, index: int, writes: Mapping[str, Any], deletes: Iterable[str] = ()) -> None:
        """Take what a step wrote, and what it deleted."""
        self.commits[label, index] = {**dict.fromkeys(deletes, DELETE), **writes}
        self._known.clear()

    def tree(self, visible: int, patterns: Sequence[str] = ("*",)) -> dict[str, Any]:
        """What is seen of the commits of these labels (a bitset), cut to the patterns."""
        all_is_seen = "*" in patterns
        tree: dict[str, Any] = {}
        for path, (leaf, value) in self._by_path(visible).items():
            if all_is_seen or any(covers(pattern, path) for pattern in patterns):
                *inner, last = leaf
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

    def leaves(self, visible: int) -> dict[str, Any]:
        """Every leaf of these labels by its path."""
        return {path: value for path, (_, value) in self._by_path(visible).items()}

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
