"""Chance by name: one seed and one name give the same draw, whatever was drawn before, in any process.

So the luck of one call doesn't hang on the order of calls, and a failure stays the same while other faults are taken
away from around it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

_DIGEST_BYTES = 8
_SCALE = float(1 << 8 * _DIGEST_BYTES)
_BLANK = blake2b(digest_size=_DIGEST_BYTES)

Item = TypeVar("Item")


class Chance:
    """All draws of one seed. A name is made of texts and whole numbers."""

    __slots__ = ("seed",)

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def share(self, *name: str | int) -> float:
        """A number from 0 up to, but not including, 1."""
        return self._number(name) / _SCALE

    def pick(self, items: Sequence[Item], *name: str | int) -> Item:
        """One of several things."""
        return items[self._number(name) % len(items)]

    def stream(self, *name: str | int) -> Random:
        """Many draws under one name. Costs more than `share`, so for what needs more than one."""
        return Random(self._number(name))  # noqa: S311 - reproducible on purpose; nothing here is a secret

    def _number(self, name: tuple[str | int, ...]) -> int:
        text = "\0".join(map(str, (self.seed, *name)))
        digest = _BLANK.copy()
        digest.update(text.encode())
        return int.from_bytes(digest.digest(), "big")
