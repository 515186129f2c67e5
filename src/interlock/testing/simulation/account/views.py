"""What a step may see, and the hash it is told by: one hash for one view, and one view for one hash."""

from typing import Any

import msgspec

from interlock.core import paths
from interlock.core.context import View
from interlock.core.scope import Sight
from interlock.core.values import ABSENT, at

from .naive import NaiveContext

_canonical = msgspec.json.Encoder(order="sorted").encode


class Seen:
    """What these steps left, as it is seen through a sight. All of them are over, so that it stays like that.

    tree: as a nested dict; to be looked at, not to be changed. encoded: the same as JSON. leaves: the same by path, and
    the patterns. origin: of the fields with a reducer among them, who contributed what, and in which run; what is
    contributed lies there as it was written, so the same in two runs may have two hashes.
    """

    __slots__ = ("encoded", "leaves", "origin", "tree")

    def __init__(self, context: NaiveContext, visible: int, sight: Sight, run_id: str) -> None:
        self.tree = context.tree(visible, sight.patterns)
        self.encoded: bytes = msgspec.json.encode(self.tree)
        leaves = context.leaves(visible, sight.patterns)
        self.leaves: bytes = _canonical([sorted(sight.patterns), leaves])
        contributed = {path: context.contributions(path, visible) for path in leaves if context.is_reduced(path)}
        self.origin: bytes = _canonical([run_id, contributed]) if contributed else b""


class ViewHashes:
    """Which view each hash was told for, over all runs of a world."""

    def __init__(self) -> None:
        self._leaves: dict[str, bytes] = {}
        self._hashes: dict[tuple[bytes, bytes], str] = {}

    def fit(self, told: str, seen: Seen) -> bool:
        """Whether this hash was never told for another view, nor another hash for this view; both are noted."""
        one_view = self._leaves.setdefault(told, seen.leaves) == seen.leaves
        return one_view and self._hashes.setdefault((seen.leaves, seen.origin), told) == told


def wrong_by_name(view: View, tree: dict[str, Any], name: str) -> str:
    """What is wrong with what a view gives for a path; "" if it gives what is seen."""
    looking = view.unread()
    found, there = looking.get(name, ABSENT), at(tree, paths.split(name))
    if (found is ABSENT) != (there is ABSENT) or (found is not ABSENT and _canonical(found) != _canonical(there)):
        return f"{name} gives {'nothing' if found is ABSENT else repr(found)[:200]}"
    return "" if looking.reads == (name,) else f"{name} was read, and {looking.reads} is remembered"


def lookalike(path: str) -> str:
    """Another path that a careless comparison would take for this one."""
    return path.swapcase() if '"' not in path else path
