"""`bounds`: numbers, lengths and counts that are out of all proportion."""

from collections.abc import Callable, Iterator
from functools import cached_property
from math import inf
from typing import Any, ClassVar

import msgspec

from interlock.core import paths
from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.core.job import DELETE
from interlock.errors import TeamError

from .written import PART, as_a_whole, kind_of, written

_Kind = tuple[str, float | None, float | None]


class Bounds(msgspec.Struct, dict=True, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is written at a path is within bounds.

    path: a path; or a pattern such as `prices.*`, which means each field directly below. min, max: of a number.
    min_chars, max_chars: of a text. min_items, max_items: of a list. required: it must be written.
    """

    path: str
    min: float | None = None
    max: float | None = None
    min_chars: int | None = None
    max_chars: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    required: bool = False

    name: ClassVar[str] = "bounds"
    cost: ClassVar[int] = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", paths.parse_pattern(self.path))
        kinds = [what for what, least, most in self._kinds() if least is not None or most is not None]
        if len(kinds) != 1:
            which = f"bounds of {' and '.join(kinds)}" if kinds else "no bound"
            raise TeamError(f"it has {which}", fix="give min or max, or min_chars ..., or min_items ...: one kind")
        for _, least, most in self._kinds():
            if least is not None and most is not None and least > most:
                raise TeamError(f"nothing lies in {least:g}..{most:g}", fix="swap the bounds")

    @property
    def watches(self) -> tuple[str, ...]:
        """What it looks at in writes."""
        return (self.path,)

    @cached_property
    def _bounded(self) -> _Kind:
        """What it is that is bounded, and how."""
        return next(kind for kind in self._kinds() if kind[1] is not None or kind[2] is not None)

    @cached_property
    def _fits(self) -> Callable[[Any], bool]:
        """Whether a value is of the kind that is bounded, and within its bounds."""
        what, at_least, at_most = self._bounded
        least, most = -inf if at_least is None else at_least, inf if at_most is None else at_most
        if what == "a number":
            return lambda value: (type(value) is int or type(value) is float) and least <= value <= most
        kind = str if what == "a text" else list
        return lambda value: type(value) is kind and least <= len(value) <= most

    def _kinds(self) -> tuple[_Kind, ...]:
        return (
            ("a number", self.min, self.max),
            ("a text", self.min_chars, self.max_chars),
            ("a list", self.min_items, self.max_items),
        )

    def check(self, draft: Draft) -> Opinion:
        """Whether all that is written there is within bounds."""
        if self._fits(draft.writes.get(self.path)):
            return FINE
        found = tuple(Finding(self.name, message, path) for path, message in self._problems(draft))
        return Opinion(0.0, found) if found else FINE

    def _problems(self, draft: Draft) -> Iterator[tuple[str, str]]:
        seen = False
        for path, value in written(self.path, draft.writes):
            seen = seen or value is not DELETE
            problem = as_a_whole(path, self.path) if value is PART else self._problem(path, value)
            if problem:
                yield path, problem
        if self.required and not seen:
            yield paths.base(self.path), f"{self.path} is missing: write it"

    def _problem(self, path: str, value: Any) -> str:
        if value is DELETE:
            return ""
        what, least, most = self._bounded
        kind = kind_of(value)
        if kind != what:
            return f"{path} is {kind}, not {what}"
        size = value if what == "a number" else len(value)
        if least is not None and size < least:
            return f"{path} {_sized(size, what)}; at least {_shown(least)} is needed"
        if most is not None and size > most:
            return f"{path} {_sized(size, what)}; at most {_shown(most)} is allowed"
        return ""


def _sized(size: float, what: str) -> str:
    return f"is {size:,}" if what == "a number" else f"has {size:,} {'characters' if what == 'a text' else 'items'}"


def _shown(bound: float) -> str:
    return f"{int(bound):,}" if float(bound).is_integer() else f"{bound:,}"
