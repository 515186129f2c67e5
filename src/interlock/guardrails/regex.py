"""`regex`: texts that must have a form, or must not."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import msgspec

from interlock.core import paths
from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.core.job import DELETE

from .pattern import Pattern
from .written import PART, as_a_whole, kind_of, written


class Regex(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The text that is written at a path has a form.

    path: a path, or a pattern of paths such as `ids.*`, which means each field directly below. pattern: a regular
    expression. must: match (from end to end, the default), contain (somewhere), or avoid (nowhere). required: it must
    be written.
    """

    path: str
    pattern: str
    must: Literal["match", "contain", "avoid"] = "match"
    required: bool = False

    name: ClassVar[str] = "regex"
    cost: ClassVar[int] = 2

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", paths.parse_pattern(self.path))
        Pattern(self.pattern)

    def bound(self, _find: Any) -> "Searching":
        """The guardrail with its pattern compiled."""
        return Searching(self)


class Searching:
    """A regex guardrail that is ready to search."""

    __slots__ = ("_declared", "_pattern", "cost", "name", "watches")

    def __init__(self, declared: Regex) -> None:
        self.name, self.cost, self.watches = Regex.name, Regex.cost, (declared.path,)
        self._declared, self._pattern = declared, Pattern(declared.pattern)

    def check(self, draft: Draft) -> Opinion:
        """Whether each text has that form."""
        found = tuple(Finding(self.name, message, path) for path, message in self._problems(draft))
        return Opinion(0.0, found) if found else FINE

    def _problems(self, draft: Draft) -> Iterator[tuple[str, str]]:
        seen, path_or_pattern = False, self._declared.path
        for path, value in written(path_or_pattern, draft.writes):
            seen = seen or value is not DELETE
            problem = as_a_whole(path, path_or_pattern) if value is PART else self._problem(path, value)
            if problem:
                yield path, problem
        if self._declared.required and not seen:
            yield paths.base(path_or_pattern), f"{path_or_pattern} is missing: write it"

    def _problem(self, path: str, value: Any) -> str:
        if value is DELETE:
            return ""
        if not isinstance(value, str):
            return f"{path} is {kind_of(value)}, not a text"
        pattern = self._pattern.text
        match self._declared.must:
            case "match":
                return "" if self._pattern.matches(value) else f"{path} does not have the form {pattern}"
            case "contain":
                return f"{path} does not contain {pattern}" if self._pattern.found_in(value) is None else ""
        found = self._pattern.found_in(value)
        return "" if found is None else f"{path} contains {found!r}, which it must not"
