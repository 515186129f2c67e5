"""What an agent was shown, as the facts in it: those of its view, item and instructions, and of what people told it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import combinations, islice
from typing import Any

from interlock.core.guardrail import Draft
from interlock.core.paths import segment
from interlock.core.values import ABSENT

from . import facts
from .facts import BREAK, CURRENCIES, Fact
from .names import words_of

# Past this, what was shown is not read: a guardrail must not hold up everybody else.
SHOWN_CHARS_MAX = 2_000_000
# Each fact is looked for in all that was shown: of a long text, fewer of them.
SEARCHED_CHARS_MAX = 400_000_000
CACHED_CHARS_MAX = 65_536
CACHED_SOURCES_MAX = 64
CANDIDATES_MAX = 5
COMPARED_MAX = 200
SUMMED_MAX = 300
# `gift card 1725971` may stand there as gift_card_1725971; shorter parts prove nothing.
PART_CHARS_MIN = 4
DIGITS_MAX = 40
# How sentences tell an agent where to look.
NOT_SHOWN = "in what you were shown"


class Shown:
    """The facts of some texts and numbers, by their readings. cut: whether not all of it was read."""

    def __init__(self, text: str, numbers: tuple[float | str, ...], *, cut: bool = False) -> None:
        self.cut = cut
        self._text = text = facts.plain(text)[:SHOWN_CHARS_MAX]
        self.measures: dict[str, set[str]] = {}
        self.currencies: set[str] = set()
        self._written: dict[str, dict[str, str]] = {}
        self._loose: set[str] = set()
        self._parts: set[str] = set()
        self._days: set[str] = set()
        self._yearless: set[str] = set()
        try:
            for fact in facts.marked(text):
                self._add(fact)
        except facts.TooMuch:
            self.cut = True
        for value in numbers:
            reading = facts.digits(value) if isinstance(value, str) else facts.number(value)
            self.measures.setdefault(reading, set()).add("")
            self._written.setdefault("number", {}).setdefault(reading, str(value))
        self.words = words_of(text)
        self.currencies |= {code for code in CURRENCIES if code.lower() in self.words and code.isupper()}
        self._numbers, self._folded = numbers, ""

    def refuse_too_much(self, count: int) -> None:
        """Raise TooMuch where so many facts can't be looked for in a text of this length in bounded time."""
        if count * len(self._text) > SEARCHED_CHARS_MAX:
            raise facts.TooMuch

    def _add(self, fact: Fact) -> None:
        kind = "number" if fact.kind in _NUMBERS else fact.kind
        written = self._written.setdefault(kind, {})
        for reading in fact.readings:
            written.setdefault(reading, fact.text)
            if kind == "number":
                self.measures.setdefault(reading, set()).add(fact.measure)
                if fact.measure in CURRENCIES:
                    self.currencies.add(fact.measure)
            elif kind == "date":
                self._add_date(reading)
            elif kind == "id":
                self._parts.update(part for part in _ID_MARKS.split(reading) if len(part) >= PART_CHARS_MIN)

    def _add_date(self, reading: str) -> None:
        """A day counts with and without its year, its month with the year, and in prose the numbers of both alone."""
        year, month, day = (*reading.rsplit("-", 2 if len(reading) > len("2026-03") else 1), "")[:3]
        self._days |= {reading, f"{year}-{month}", f"--{month}-{day}"}
        if year == "-":
            self._yearless.add(reading)
        self._loose.update(part.lstrip("0") for part in (year, day))

    @property
    def folded(self) -> str:
        """All of it as a text, as quotations are compared."""
        if not self._folded:
            self._folded = facts.folded(BREAK.join([self._text, *map(str, self._numbers)]))
        return self._folded

    # --- is it there? ---

    def objection(self, fact: Fact) -> str:
        """What speaks against a fact; '' where it is there: `missing`, or the measure it is there with."""
        if fact.kind in _NUMBERS:
            found = self._number(fact)
        elif fact.kind == "name":
            found = "" if all(self._word(word) for word in fact.readings) else "missing"
        elif fact.kind == "quote":
            found = "" if fact.readings[0] in self.folded else "missing"
        elif fact.kind == "date":
            found = "" if any(map(self._day, fact.readings)) else "missing"
        else:
            found = "" if self._known(fact) else "missing"
        return found and ("" if self._literally(fact) else found)

    def _known(self, fact: Fact) -> bool:
        written, reading = self._written.get(fact.kind, {}), fact.readings[0]
        if any(reading in written for reading in fact.readings):
            return True
        return fact.kind == "id" and (reading in self.measures or reading in self._parts)

    def _number(self, fact: Fact) -> str:
        worst = "missing"
        for reading in fact.readings:
            measures = self.measures.get(reading)
            if measures is None:
                if fact.in_prose and not fact.measure and reading in self._loose:
                    return ""
                if not fact.measure and (reading in self._parts or reading in self._written.get("id", {})):
                    return ""
                continue
            if not fact.measure or any(facts.agree(fact.measure, measure) for measure in measures):
                return ""
            if "" in measures and self._may_be(fact.measure):
                return ""
            worst = next(iter(sorted(measures - {""})), "other currency")
        if fact.measure == "%" and any("" in self.measures.get(share, ()) for share in _shares(fact)):
            return ""
        return worst

    def _may_be(self, measure: str) -> bool:
        """Whether a number that stands there bare may be meant with this measure."""
        if measure not in CURRENCIES or not self.currencies:
            return True
        return any(facts.agree(measure, currency) for currency in self.currencies)

    def _word(self, word: str) -> bool:
        return any(
            part in self.words or part.removesuffix("s") in self.words or part.removesuffix("es") in self.words
            for part in (word, word.replace("'", ""))
        ) or all(part in self.words for part in word.replace("'", "-").split("-"))

    def _day(self, reading: str) -> bool:
        return reading in self._days or "-" + reading[4:] in self._yearless

    def _literally(self, fact: Fact) -> bool:
        """Whether it stands there as it is written, whatever it may be."""
        if fact.kind in {"quote", "name"}:
            return False
        text, wanted = self.folded, facts.folded(fact.text)
        at = text.find(wanted)
        for _ in range(_PLACES_MAX):
            if at < 0:
                return False
            before, after = text[at - 1 : at], text[at + len(wanted) : at + len(wanted) + 2]
            if not _joins(before) and not _goes_on(after):
                return True
            at = text.find(wanted, at + 1)
        return False

    def is_sum(self, fact: Fact) -> bool:
        """Whether a number is the sum or the difference of two that were shown."""
        return any(round(float(reading), 2) in self._sums for reading in fact.readings)

    @cached_property
    def _sums(self) -> frozenset[float]:
        pairs = combinations([float(reading) for reading in islice(self.measures, SUMMED_MAX)], 2)
        return frozenset(value for a, b in pairs for value in (round(a + b, 2), round(abs(a - b), 2)))

    # --- what is there instead? ---

    def candidates(self, fact: Fact) -> list[str]:
        """What was shown of the kind of a fact, as it is written there, the nearest first."""
        kind = "number" if fact.kind in _NUMBERS else fact.kind
        if kind == "name":
            return []
        written = self._written.get(kind, {})
        readings = list(written)[:COMPARED_MAX]
        if kind == "number":
            near = float(fact.readings[0])
            pool = [r for r in readings if self._fits(fact, r)] or readings
            chosen = sorted(pool, key=lambda reading: abs(float(reading) - near))
        elif kind in {"date", "time"}:
            chosen = readings
        else:
            chosen = get_close_matches(fact.readings[0][:80], readings, CANDIDATES_MAX, 0.5)
        return list(dict.fromkeys(written[reading] for reading in chosen))[:CANDIDATES_MAX]

    def _fits(self, fact: Fact, reading: str) -> bool:
        measures = self.measures[reading]
        return fact.measure in measures if fact.kind != "amount" else "" in measures or bool(measures & CURRENCIES)


_ID_MARKS = re.compile("[-_.]")
_NUMBERS = frozenset({"amount", "percent", "quantity", "number"})
_PLACES_MAX = 50


def _shares(fact: Fact) -> Iterator[str]:
    """15 % may stand there as 0.15."""
    for reading in fact.readings:
        yield facts.number_of_scaled(reading, -2)


def _joins(before: str) -> bool:
    return before.isalnum() or (before in {"_", "-", ".", ","} and before != "")


def _goes_on(after: str) -> bool:
    return after[:1].isalnum() or after[:1] in {"_", "-"} or (after[:1] in {".", ","} and after[1:].isdigit())


# --- collecting ---


def shown_to(draft: Draft, paths: Iterable[str] = (), known: Iterable[str] = ()) -> Shown:
    """What the agent of a draft was shown; of its view only what stands at these paths, if any are given."""
    texts: list[str] = [draft.instructions, draft.answer, *known]
    numbers: list[float | str] = []
    view = draft.view.unread()
    chosen = tuple(paths)
    if chosen:
        for path in chosen:
            value = view.get(path, ABSENT)
            if value is not ABSENT:
                collect(value, texts, numbers)
    else:
        collect(view.to_dict(), texts, numbers)
        collect(draft.item, texts, numbers)
    text = BREAK.join(texts)
    if len(text) <= CACHED_CHARS_MAX:
        return _cached(text, tuple(numbers))
    return Shown(text[:SHOWN_CHARS_MAX], tuple(numbers), cut=len(text) > SHOWN_CHARS_MAX)


_cached = lru_cache(CACHED_SOURCES_MAX)(Shown)


def collect(value: Any, texts: list[str], numbers: list[float | str]) -> None:
    """Add the texts (with the keys) and the numbers of a JSON value to what there is; texts of digits are numbers."""
    kind = type(value)
    if kind is str:
        if len(value) <= DIGITS_MAX and value.isdecimal():
            numbers.append(value)
        else:
            texts.append(value)
    elif kind is dict:
        texts.extend(value)
        for inner in value.values():
            collect(inner, texts, numbers)
    elif kind is list:
        for inner in value:
            collect(inner, texts, numbers)
    elif kind is int or kind is float:
        numbers.append(value)


def leaves(value: Any, path: str) -> Iterator[tuple[str, str | float]]:
    """The texts and the numbers of a JSON value, each with the path of the field it stands in."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{segment(key)}")
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    elif isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        yield path, value
