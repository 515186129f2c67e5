"""How values spread: their number, their percentiles and the largest, in bounded memory whatever their number.

Up to EXACT_MAX values are kept as they are, and every percentile is one of them. With one more, they go into buckets
whose bounds grow by a constant factor, so that what a percentile tells is within ERROR_MAX of the value that stands at
its rank (Masson, Rim, Lee: DDSketch, VLDB 2019, section 2). The number and the largest are always exact.
"""

import math
from array import array
from collections import Counter
from typing import Any

import msgspec

EXACT_MAX = 1_000
ERROR_MAX = 0.01
# What lies below counts as nothing, and what lies above as this: so there are at most 2,900 buckets.
SMALLEST, LARGEST = 1e-6, 1e18
_GROWTH = (1 + ERROR_MAX) / (1 - ERROR_MAX)
_PER_LOG = 1 / math.log(_GROWTH)
_NOTHING = math.floor(math.log(SMALLEST) * _PER_LOG) - 1


class Spread(msgspec.Struct):
    """Some values, none of them negative. values: all of them while they are few; buckets: how many lie in which."""

    count: int = 0
    largest: float = 0.0
    values: "array[float]" = msgspec.field(default_factory=lambda: array("d"))
    buckets: Counter[int] = msgspec.field(default_factory=Counter)

    @property
    def is_exact(self) -> bool:
        """Whether its percentiles are values that were added, and no estimates."""
        return not self.buckets

    def add(self, value: float) -> None:
        """One more value."""
        value = max(0.0, value)
        self.count += 1
        self.largest = max(self.largest, value)
        if self.buckets:
            self.buckets[_bucket(value)] += 1
            return
        self.values.append(value)
        if len(self.values) > EXACT_MAX:
            self._into_buckets()

    def include(self, other: "Spread") -> None:
        """All values of another."""
        self.count += other.count
        self.largest = max(self.largest, other.largest)
        self.values.extend(other.values)
        self.buckets.update(other.buckets)
        if self.buckets or len(self.values) > EXACT_MAX:
            self._into_buckets()

    def _into_buckets(self) -> None:
        self.buckets.update(map(_bucket, self.values))
        self.values = array("d")

    def percentile(self, percent: float) -> float | None:
        """The smallest value that at least so many percent of all don't exceed (nearest rank); None without any."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        if not self.buckets:
            return sorted(self.values)[rank - 1]
        return self.largest if rank == self.count else self._estimate(rank)

    def _estimate(self, rank: int) -> float:
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                break
        # In the middle of a bucket, seen by what it is off at most.
        middle = 0.0 if bucket == _NOTHING else 2 * _GROWTH**bucket / (_GROWTH + 1)
        return min(middle, self.largest)

    def to_dict(self, digits: int = 3) -> dict[str, Any]:
        """The spread as `stats --json` prints it."""
        p50, p95 = (_rounded(self.percentile(percent), digits) for percent in (50, 95))
        largest = _rounded(self.largest, digits) if self.count else None
        return {"count": self.count, "p50": p50, "p95": p95, "max": largest, "exact": self.is_exact}


def _bucket(value: float) -> int:
    """The bucket whose upper bound is the first power of the growth that the value doesn't exceed."""
    return _NOTHING if value < SMALLEST else math.ceil(math.log(min(value, LARGEST)) * _PER_LOG)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
