"""Which steps come before a step, or after it, in a plan of any size.

Such a set is a bitset over the numbers of the steps. To hold one for every step would be quadratic: more than half a
gigabyte for 100,000 steps that come one after another. So a set is made when it is asked for, out of those nearest to
it, and what was asked for last is kept, within a bound. Steps that need the same share one.
"""

from collections.abc import Sequence

from .paths import bitset_of

# Of the sets asked for last; as much again may be left of those before.
KEPT_BYTES_MAX = 16 * 1_024 * 1_024
# What an entry takes beside its bits.
ENTRY_BYTES = 128
# Of what is on a long way, every so many are kept: who comes from the other end doesn't walk it again and again.
STRIDE = 256


class Reach(dict[int, int]):
    """Step -> the bitset of all that is reached from it by going from near to near; it isn't among them itself.

    near: per step. start: what every step but the request reaches. first: per step the first one with the same near.
    """

    def __init__(self, near: Sequence[Sequence[int]], start: int = 0) -> None:
        super().__init__()
        self._near, self._start = near, start
        firsts: dict[tuple[int, ...], int] = {}
        self.first = [0, *(firsts.setdefault(tuple(near[n]), n) for n in range(1, len(near)))]
        self._older: dict[int, int] = {}
        self._bytes = 0

    def __missing__(self, n: int) -> int:
        found = self._older.get(n)
        if found is None:
            found = self._made(n)
        self._keep(n, found)
        return found

    def _made(self, n: int) -> int:
        if self.first[n] != n:
            return self[self.first[n]]
        near = self._near[n]
        if not near:
            return self._start if n else 0
        if len(near) == 1 and near[0] in self:
            return self[near[0]] | 1 << near[0]
        found, unknown = self._walk(n)
        for one in unknown[STRIDE::STRIDE]:
            self._keep(one, self._walk(one)[0])
        return found

    def _walk(self, n: int) -> tuple[int, list[int]]:
        """What is reached from a step; and those on the way of which that wasn't known, the farthest first."""
        found = self._start
        reached: set[int] = set()
        firsts: set[int] = set()
        unknown = [n]
        for one in unknown:
            reached.update(self._near[one])
            for first in {self.first[near] for near in self._near[one]} - firsts:
                firsts.add(first)
                if first in self or first in self._older:
                    found |= self[first]  # which it is kept for once more
                else:
                    unknown.append(first)
        # The numbers of a plan are in its order: farther is lower for what comes before, higher for what comes after.
        return found | bitset_of(reached), sorted(unknown, reverse=n < unknown[-1])

    def _keep(self, n: int, found: int) -> None:
        size = ENTRY_BYTES + (found.bit_length() >> 3)
        if self._bytes + size > KEPT_BYTES_MAX:
            self._older = dict(self)
            self.clear()
            self._bytes = 0
        self._bytes += size
        self[n] = found
