"""`choice`: who is to choose one of several chooses one of them, and doesn't write a new one."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from interlock.core import paths
from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.core.job import DELETE
from interlock.core.values import encode_canonical
from interlock.errors import TeamError, cut_short

from .written import PART, as_a_whole, written

SHOWN_MAX = 5
SHOWN_CHARS_MAX = 60


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is written at a path is one of the candidates, word for word.

    path: a path, or a pattern such as `choices.*`, which means each field directly below. among: the candidates as a
    list; or the path in the view where they stand, as a list or as the values of an object. required: it must be
    written (by default it must).
    """

    path: str
    among: str | list[Any]
    required: bool = True

    name: ClassVar[str] = "choice"
    cost: ClassVar[int] = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", paths.parse_pattern(self.path))
        if isinstance(self.among, str):
            msgspec.structs.force_setattr(self, "among", paths.canonical(self.among))
        elif not self.among:
            raise TeamError("among is empty", fix="name the candidates, or the path in the view where they stand")

    @property
    def watches(self) -> tuple[str, ...]:
        """What it looks at in writes."""
        return (self.path,)

    @property
    def consults(self) -> tuple[str, ...]:
        """What it looks at in the view."""
        return (self.among,) if isinstance(self.among, str) else ()

    def check(self, draft: Draft) -> Opinion:
        """Whether it is one of them."""
        if self.path in draft.writes and _is_among(draft.writes[self.path], self.candidates(draft.view)):
            return FINE
        chosen = [*written(self.path, draft.writes)]
        if not any(value is not DELETE for _, value in chosen):
            if not self.required:
                return FINE
            return self._against(paths.base(self.path), f"{self.path} is missing: choose {self._which(draft)}")
        for path, value in chosen:
            if value is PART:
                return self._against(path, as_a_whole(path, self.path))
            if not _is_among(value, self.candidates(draft.view)):
                message = f"{path} is not {self._which(draft)}, word for word: copy one of them as it stands"
                return self._against(path, message)
        return FINE

    def _against(self, path: str, message: str) -> Opinion:
        return Opinion(0.0, (Finding(self.name, message, path),))

    def candidates(self, view: Mapping[str, Any]) -> list[Any]:
        """What can be chosen from."""
        if not isinstance(self.among, str):
            return self.among
        try:
            there = view[self.among]
        except KeyError:
            return []
        return there if type(there) is list else [*there.values()] if type(there) is dict else []

    def _which(self, draft: Draft) -> str:
        candidates = self.candidates(draft.view)
        if isinstance(self.among, str):
            return f"one of the {len(candidates):,} at {self.among}"
        shown = [cut_short(str(candidate), SHOWN_CHARS_MAX) for candidate in candidates[:SHOWN_MAX]]
        return f"one of {', '.join(shown)}{', ...' if len(candidates) > SHOWN_MAX else ''}"


def _is_among(value: Any, candidates: list[Any]) -> bool:
    """Equal as JSON: 1 is neither true nor 1.0."""
    if type(value) is str:
        return value in candidates
    if type(value) is int:
        for candidate in candidates:  # noqa: SIM110 - a generator would take longer than all else here
            if candidate == value and type(candidate) is int:
                return True
        return False
    if value is DELETE:
        return False
    encoded = encode_canonical(value)
    return any(encode_canonical(candidate) == encoded for candidate in candidates)
