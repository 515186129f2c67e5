"""What counts as the same: values that say one thing in several ways, where a plan declares in which.

Whatever could mean two things keeps its own form, so that a contradiction is told rather than merged: `1,200` may be
twelve hundred or one and a fifth, and `04/05/2026` is in April or in May.
"""

import re
import unicodedata
from collections.abc import Hashable
from decimal import Decimal
from typing import Any, Literal

from .moments import days_in
from .values import encode_canonical

Form = Literal["number", "date", "text"]
# A longer text is neither a number nor a date.
CHARS_MAX = 80

_SPACES = " \u00a0\u202f'"
_THOUSANDS = re.compile(rf"[-+]?[1-9]\d{{0,2}}(?:([,.{_SPACES}])\d{{3}})(?:\1\d{{3}})*(?:([,.])\d+)?", re.ASCII)
_DECIMAL = re.compile(r"[-+]?\d+(?:([,.])\d+)?", re.ASCII)
_AMBIGUOUS = re.compile(r"[-+]?0*[1-9]\d{0,2}[,.]\d{3}", re.ASCII)
_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d+)?[eE][-+]?\d{1,3}", re.ASCII)
# Digits above and below the line, and fractions, which would be digits of the number before them.
_OFF_LINE = re.compile("[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u215f\u2189]")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_ISO = re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})", re.ASCII)
_DOTTED = re.compile(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})", re.ASCII)
_SLASHED = re.compile(r"(?P<one>\d{1,2})[/-](?P<two>\d{1,2})[/-](?P<y>\d{4})", re.ASCII)
_DAY_FIRST = re.compile(r"(?P<d>\d{1,2})(?:st|nd|rd|th)?\.? (?:of )?(?P<name>[a-z]{3,9})\.?,? (?P<y>\d{4})", re.ASCII)
_MONTH_FIRST = re.compile(r"(?P<name>[a-z]{3,9})\.? (?P<d>\d{1,2})(?:st|nd|rd|th)?,? (?P<y>\d{4})", re.ASCII)
_MONTHS_IN_YEAR = 12


def sense(value: Any, form: Form | None = None) -> Hashable:
    """What a value says: equal for values that say the same. Without a form, that is its canonical JSON."""
    if form == "number":
        found: Hashable = _number(value)
    elif form == "date":
        found = _date(value)
    else:
        found = _text(value) if form == "text" and isinstance(value, str) else None
    return encode_canonical(value) if found is None else (form, found)


def _text(value: str) -> str:
    """Without regard to case and space, and to how a letter is drawn. A raised digit is no digit: 10² isn't 102."""
    plain = unicodedata.normalize("NFKC", _OFF_LINE.sub(r"^\g<0>", value))
    return " ".join(plain.casefold().split())


def _number(value: Any) -> Decimal | None:
    """A number, or a text that can only be one; exact, however long. None for anything else."""
    if type(value) in {int, float}:
        return Decimal(repr(value))
    if not isinstance(value, str) or len(value) > CHARS_MAX:
        return None
    text = value.strip()
    if _AMBIGUOUS.fullmatch(text):
        return None
    if _EXPONENT.fullmatch(text):
        return Decimal(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text.replace(",", "."))
    grouped = _THOUSANDS.fullmatch(text)
    if grouped is None or grouped[1] == grouped[2]:
        return None
    return Decimal(text.replace(grouped[1], "").replace(",", "."))


def _date(value: Any) -> tuple[int, int, int] | None:
    """A day of the calendar, of a text that can only be that one; None for anything else."""
    if not isinstance(value, str) or len(value) > CHARS_MAX:
        return None
    text = _text(value)
    for pattern in (_ISO, _DOTTED, _DAY_FIRST, _MONTH_FIRST):
        if found := pattern.fullmatch(text):
            parts = found.groupdict()
            month = _month(parts["name"]) if "name" in parts else int(parts["m"])
            return _day(int(parts["y"]), month, int(parts["d"]))
    if found := _SLASHED.fullmatch(text):
        year, one, two = int(found["y"]), int(found["one"]), int(found["two"])
        readings = {day for day in (_day(year, one, two), _day(year, two, one)) if day is not None}
        return readings.pop() if len(readings) == 1 else None
    return None


def _month(name: str) -> int:
    """The number of a month; 0 for what is none."""
    if name in _NAMES:
        return _NAMES.index(name) + 1
    return _MONTHS.index(name[:3]) + 1 if name in {*_MONTHS, "sept"} else 0


def _day(year: int, month: int, day: int) -> tuple[int, int, int] | None:
    is_there = 1 <= month <= _MONTHS_IN_YEAR and 1 <= day <= days_in(year, month)
    return (year, month, day) if is_there else None
