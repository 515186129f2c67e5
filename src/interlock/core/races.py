"""The race proof: no two steps that can run at the same time may write the same field.

Steps are bits. For each pattern that a step may write, the steps that may write an overlapping pattern are one bitset,
found by path; minus the steps it is ordered with (`Plan.related_to`), what remains are races. That is near-linear in
the size of the plan, where comparing pairs is not; and most steps write what nobody else does, which one sort tells.

A pattern with `{index}` stands for many paths. It is compared with its digits blurred: `out.item-{index}` may meet
`out.item-7`, never `out.other-7`. Since no digit may follow the index in its segment, equal paths are equal blurred.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations

import msgspec

from . import paths
from .paths import bits
from .plan import Plan
from .step import INDEX

_LAST_DIGITS = re.compile(r"\d+(?=\D*$)")
_INDEX = re.compile(r"\d*\{index\}")


class Race(msgspec.Struct, frozen=True):
    """Two unordered steps, and the pattern at which they meet. Items of one for_each meet as its first two."""

    steps: tuple[str, str]
    path: str


class Writers:
    """All writers of a plan, by exact and by blurred path. Fields with a reducer are left out: they can't race."""

    def __init__(self, writes: Sequence[Sequence[str]], reducers: Mapping[str, object]) -> None:
        self.reducers = tuple(reducers)
        self._writes = writes
        self._templated = any(INDEX in pattern for patterns in writes for pattern in patterns)

    def _racing(self) -> Iterator[tuple[int, str]]:
        for step, patterns in enumerate(self._writes):
            for pattern in patterns:
                if not self.reducers or not self.merged(pattern):
                    yield step, pattern

    def merged(self, pattern: str) -> bool:
        """Whether all that a pattern grants lies in fields with a reducer."""
        return any(paths.inside(paths.base(pattern), field) for field in self.reducers)

    def meets_another(self, pattern: str) -> bool:
        """Whether one of these patterns overlaps with another of them, or may: no race without that."""
        return self._root(pattern) in self.crowded

    def _root(self, pattern: str) -> str:
        root = paths.base(_blur(pattern) if self._templated else pattern)
        return root + "." if root else ""

    @cached_property
    def crowded(self) -> set[str]:
        """Of all roots those that lie inside each other. In order, what lies inside a root comes right after it."""
        racing = [pattern for _, pattern in self._racing()]
        if self._templated or "*" in racing:
            roots = sorted(map(self._root, racing))
        else:
            roots = sorted([pattern.removesuffix(".*") + "." for pattern in racing])
        crowded: set[str] = set()
        if not any(map(str.startswith, roots[1:], roots)):
            return crowded
        head = None
        for root in roots:
            if head is not None and root.startswith(head):
                crowded |= {head, root}
            else:
                head = root
        return crowded

    def meeting(self, pattern: str) -> int:
        """The steps that may write something that this pattern grants."""
        if INDEX in pattern:
            return self._blurred.meeting(_blur(pattern))
        exact = self._exact.meeting(pattern)
        return exact | self._templates.meeting(_blur(pattern)) if self._templated else exact

    @cached_property
    def _exact(self) -> paths.PatternIndex:
        return _index(self._racing())

    @cached_property
    def _blurred(self) -> paths.PatternIndex:
        return _index((step, _blur(pattern)) for step, pattern in self._racing())

    @cached_property
    def _templates(self) -> paths.PatternIndex:
        return _index((step, _blur(pattern)) for step, pattern in self._racing() if INDEX in pattern)


def _index(held: Iterable[tuple[int, str]]) -> paths.PatternIndex:
    index = paths.PatternIndex()
    for holder, pattern in held:
        index.add(pattern, holder)
    return index


def _blur(pattern: str) -> str:
    """A pattern's base, blurred: patterns overlap or not by their bases alone."""
    return "*" if pattern == "*" else paths.join(tuple(map(_blur_segment, paths.split(paths.base(pattern)))))


def _blur_segment(segment: str) -> str:
    return (_INDEX if INDEX in segment else _LAST_DIGITS).sub("#", segment)


def races(plan: Plan, writes: Sequence[Sequence[str]], writers: Writers) -> Iterator[Race]:
    """Pairs of unordered steps that may write the same field, in plan order; `writes` holds each step's patterns."""
    for n, patterns in enumerate(writes):
        mine = [pattern for pattern in patterns if not writers.merged(pattern)] if writers.reducers else patterns
        if plan.steps[n].for_each:
            items = (f"{plan.steps[n].id}-0", f"{plan.steps[n].id}-1")
            yield from (Race(items, pattern) for pattern in _shared_by_items(mine))
        if not writers.crowded:
            continue
        for pattern in mine:
            if not writers.meets_another(pattern):
                continue
            for other in bits(writers.meeting(pattern) & ~plan.related_to(n)):
                if other > n:
                    theirs = (theirs for theirs in writes[other] if not writers.merged(theirs))
                    yield Race((plan.steps[n].id, plan.steps[other].id), _shared(pattern, theirs))


def _shared_by_items(patterns: Sequence[str]) -> Iterator[str]:
    """What two items of one for_each may both write: `a{index}` of item 11 is `a1{index}` of item 1."""
    yield from (pattern for pattern in patterns if INDEX not in pattern)
    for one, other in combinations((pattern for pattern in patterns if INDEX in pattern), 2):
        if paths.intersection(_blur(one), _blur(other)) and not _differ_by_index(one, other):
            yield one


def _differ_by_index(one: str, other: str) -> bool:
    """Whether two templates have the same segment with an index in the same place: of two items that one differs."""
    pairs = zip(paths.split(paths.base(one)), paths.split(paths.base(other)), strict=False)
    return any(mine == theirs and INDEX in mine for mine, theirs in pairs)


def _shared(pattern: str, others: Iterable[str]) -> str:
    met = (paths.intersection(pattern, other) for other in others)
    return next((shared for shared in met if shared is not None), pattern)


def unordered_reads(plan: Plan, reads: Sequence[Sequence[str]], writers: Writers) -> Iterator[Race]:
    """Reads of what an unordered step may write; the reader comes first in `steps`."""
    for n, patterns in enumerate(reads):
        for pattern in patterns:
            if not (met := writers.meeting(pattern)):
                continue
            for other in bits(met & ~plan.related_to(n)):
                yield Race((plan.steps[n].id, plan.steps[other].id), pattern)
