"""`forbidden`: words that must not leave the house, however they are spelled out."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from interlock.core import paths
from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.core.job import DELETE
from interlock.core.values import at
from interlock.errors import TeamError, cut_short

from .pattern import TEXT_CHARS_MAX, Pattern
from .written import texts_in

WORDS_MAX = 1_000
SHOWN_CHARS_MAX = 60


class Forbidden(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No text that is written holds any of these words or patterns.

    words: words and phrases; capitals, accents of form, invisible characters and the width of spaces make no
    difference, and a word inside another is none. patterns: regular expressions, searched in the text as it is. paths:
    where to look, as path patterns; everywhere by default.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    paths: tuple[str, ...] = ("*",)

    name: ClassVar[str] = "forbidden"
    cost: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not self.words and not self.patterns:
            raise TeamError("it forbids nothing", fix="give it words, or patterns")
        if len(self.words) > WORDS_MAX:
            raise TeamError(f"it has more than {WORDS_MAX:,} words", fix="keep those that matter")
        if not all(plain(word) for word in self.words):
            raise TeamError("one of its words is empty", fix="remove it")
        msgspec.structs.force_setattr(self, "paths", tuple(map(paths.parse_pattern, self.paths)))

    def bound(self, _find: Any) -> "Watch":
        """The guardrail with its patterns compiled."""
        return Watch(self)


class Watch:
    """A forbidden guardrail that is ready to search."""

    __slots__ = ("_patterns", "_where", "_words", "cost", "name", "watches")

    def __init__(self, declared: Forbidden) -> None:
        self.name, self.cost, self.watches = Forbidden.name, Forbidden.cost, declared.paths
        self._where = paths.Patterns(self.watches)
        self._patterns = [*map(Pattern, declared.patterns)]
        # Without repeats, Python's own engine has one way through a text.
        words = "|".join(re.escape(plain(word)) for word in sorted(declared.words, key=len, reverse=True))
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None

    def check(self, draft: Draft) -> Opinion:
        """Whether none of it occurs."""
        found = tuple(Finding(self.name, message, path) for path, message in self._problems(draft))
        return Opinion(0.0, found) if found else FINE

    def _problems(self, draft: Draft) -> Iterator[tuple[str, str]]:
        left = TEXT_CHARS_MAX
        for path, value in draft.writes.items():
            for text in texts_in(self._looked_at(path, value)):
                left -= len(text)
                if left < 0:
                    yield path, f"the texts have more than {TEXT_CHARS_MAX:,} characters, too many to be searched"
                    return
                for held in self._held(text):
                    yield path, f"{path} holds {cut_short(held, SHOWN_CHARS_MAX)!r}, which is forbidden: leave it out"

    def _looked_at(self, path: str, value: Any) -> Any:
        """A value, or of one that is written above the paths to look at, what of it lies there."""
        if value is DELETE or self._where.cover(path):
            return value
        keys, roots = paths.split(path), {paths.base(pattern) for pattern in self.watches}
        return [at(value, paths.split(root)[len(keys) :]) for root in roots if paths.inside(root, path)]

    def _held(self, text: str) -> Iterator[str]:
        if self._words is not None:
            yield from dict.fromkeys(found[0] for found in self._words.finditer(plain(text)))
        for pattern in self._patterns:
            found = pattern.found_in(text)
            if found is not None:
                yield found


def plain(text: str) -> str:
    """A text without what is only there to deceive whoever looks for words: one case, one form, one kind of space."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return " ".join(text.casefold().split())
