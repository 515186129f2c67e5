"""`grounded`: every fact in a reply occurs in what its agent was shown. docs/grounding.md says what it can't see."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, get_args

import msgspec

from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.core.paths import Patterns, canonical, parse_pattern
from interlock.errors import TeamError, cut_short

from . import facts
from .facts import Fact, Kind, TooMuch
from .names import names
from .shown import NOT_SHOWN, Shown, leaves, shown_to

KINDS: tuple[Kind, ...] = get_args(Kind)
FACTS_MAX = 2_000
FINDINGS_MAX = 10
FACT_CHARS_MAX = 80
TEXT_CHARS_MAX = 1_000_000
_TOO_MUCH = (
    f"there is more in it than can be checked, which is {FACTS_MAX:,} facts in {TEXT_CHARS_MAX:,} characters of text,"
    " and fewer of them where more than 200,000 characters were shown; write less"
)


class Grounded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Refuses facts that the agent made up: the score is the share of the reply's facts that it was shown.

    paths: patterns of the writes that are checked; all of them by default. kinds: of facts that are checked. sources:
    the paths of the view that count as shown; by default all of it, and the item of a for_each. ignore: texts whose
    facts count as shown everywhere, such as the name of the company. count_max: numbers up to this are not looked for
    in prose, where they count things.
    arithmetic: whether the sum and the difference of two shown numbers, and the total of a list, may stand in a reply.
    output: whether the reply's output is checked like its writes.
    """

    paths: tuple[str, ...] = ("*",)
    kinds: tuple[Kind, ...] = KINDS
    sources: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    count_max: int = 10
    arithmetic: bool = False
    output: bool = False

    name: ClassVar[str] = "grounded"
    cost: ClassVar[int] = 3

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "paths", tuple(map(parse_pattern, self.paths)))
        msgspec.structs.force_setattr(self, "sources", tuple(map(canonical, self.sources)))
        if not self.paths or not self.kinds:
            raise TeamError("it looks at nothing", fix="leave paths and kinds out, or name some")

    @property
    def watches(self) -> tuple[str, ...]:
        """What it looks at in writes; nothing to be proved where it looks at outputs as well."""
        return () if self.output else self.paths

    @property
    def consults(self) -> tuple[str, ...]:
        """What it looks at in the view."""
        return self.sources

    def check(self, draft: Draft) -> Opinion:
        """Look for each fact of the writes in what was shown."""
        shown: Shown | None = None
        summed = _Totals(draft)
        findings: list[Finding] = []
        count = wrong = 0
        try:
            for path, fact in self._stated(draft):
                shown = shown or shown_to(draft, self.sources, self.ignore)
                count += 1
                shown.refuse_too_much(count)
                objection = shown.objection(fact)
                if objection and not (self.arithmetic and _computed(fact, shown, summed)):
                    wrong += 1
                    if len(findings) < FINDINGS_MAX:
                        findings.append(Finding(self.name, _sentence(fact, objection, shown), path))
        except TooMuch:
            return Opinion(0.0, (*findings, Finding(self.name, _TOO_MUCH)))
        return Opinion((count - wrong) / count, tuple(findings)) if wrong else FINE

    def _stated(self, draft: Draft) -> Iterator[tuple[str, Fact]]:
        """The facts that the reply states, each with the field it stands in."""
        kinds = frozenset(self.kinds)
        facts_left, chars_left = FACTS_MAX, TEXT_CHARS_MAX
        for path, value in self._leaves(draft):
            if isinstance(value, str):
                found: Iterator[Fact] = (fact for fact in stated(value, kinds) if not self._is_count(fact))
                chars_left -= len(value)
            else:
                found = iter([facts.of_number(value)] if "number" in kinds else [])
            if chars_left < 0:
                raise TooMuch
            for fact in found:
                yield path, fact
                facts_left -= 1
                if not facts_left:
                    raise TooMuch

    def _leaves(self, draft: Draft) -> Iterator[tuple[str, str | float]]:
        chosen = Patterns(self.paths)
        for path, value in draft.writes.items():
            for leaf, inner in leaves(value, path):
                if chosen.cover(leaf):
                    yield leaf, inner
        if self.output:
            yield from leaves(draft.output, "output")

    def _is_count(self, fact: Fact) -> bool:
        return fact.kind == "number" and "." not in fact.readings[0] and float(fact.readings[0]) <= self.count_max


class _Totals:
    """The totals of all lists that the agent of a draft was shown, summed when they are asked for."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    @cached_property
    def found(self) -> frozenset[str]:
        """Them, as they are read in texts."""
        return frozenset(totals(self._draft.view.unread().to_dict()))


def _computed(fact: Fact, shown: Shown, summed: _Totals) -> bool:
    """Whether a number is a sum or a difference of shown numbers, or the total of a list."""
    if fact.kind not in {"amount", "number", "quantity"}:
        return False
    return shown.is_sum(fact) or not summed.found.isdisjoint(fact.readings)


def stated(text: str, kinds: frozenset[str]) -> Iterator[Fact]:
    """The facts of some kinds in a text, in this order: those with figures or signs, quotations, names."""
    text = facts.plain(text)[:TEXT_CHARS_MAX]
    taken: list[tuple[int, int]] = []
    for fact in facts.marked(text):
        if fact.kind in kinds:
            yield fact
    if "quote" in kinds:
        for fact, start, end in facts.quotes(text):
            taken.append((start, end))
            yield fact
    if "name" in kinds:
        yield from names(facts.without(text, taken))


def totals(value: Any) -> Iterator[str]:
    """The totals of all lists in a tree: of the numbers in them, or of those under one key of their objects."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from totals(inner)
    elif isinstance(value, list):
        columns: dict[str, list[float]] = {}
        for inner in value:
            row = inner.items() if isinstance(inner, dict) else [("", inner)]
            for key, cell in row:
                if isinstance(cell, (int, float)) and not isinstance(cell, bool):
                    columns.setdefault(key, []).append(cell)
            yield from totals(inner)
        yield from (facts.number(round(sum(column), 2)) for column in columns.values())


def _sentence(fact: Fact, objection: str, shown: Shown) -> str:
    """What is wrong with a fact, for the agent that stated it."""
    what = f"the {_NOUNS[fact.kind]} {cut_short(fact.text, FACT_CHARS_MAX)}"
    if objection != "missing":
        return f"{what} stands with another unit or currency {NOT_SHOWN}: {objection}"
    cut = " (of which only the beginning was read: narrow what the step reads)" if shown.cut else ""
    there = ", ".join(cut_short(text, FACT_CHARS_MAX) for text in shown.candidates(fact))
    return f"{what} does not occur {NOT_SHOWN}{cut}" + (f"; {_PLURALS[fact.kind]} there: {there}" if there else "")


_NOUNS = {kind: kind for kind in KINDS} | {"address": "address", "quote": "quotation", "percent": "percentage"}
_PLURALS = {kind: f"{noun}s" for kind, noun in _NOUNS.items()} | {"address": "addresses", "quantity": "quantities"}
