"""Times as people write them: RFC 3339, as in 2026-12-01T09:00:00Z, to and from microseconds since 1970.

Written here since what Python has for it is where clocks are, too.
"""

import re
from bisect import bisect_right
from typing import Any

from interlock.errors import ValueRefused

FIX = "write it like 2026-12-01T09:00:00Z"
# The end of the year 9998: in any time zone, it can be written as a date.
MOMENT_US_MAX = 253_370_764_799_999_999
TIME_CHARS_MAX = 64
DAY_US, SECOND_US = 86_400_000_000, 1_000_000

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.]([0-9]{1,40}))?)?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?"
)
_YEARS, _IN_YEAR = range(1970, 10_000), range(1, 13)
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY = 2
_HOURS, _SIXTY = 24, 60


def time_us(text: Any) -> int:
    """A time with its zone, in microseconds since 1970. Raises ValueRefused."""
    if not isinstance(text, str):
        raise ValueRefused(f"a {type(text).__name__} is no time", fix=FIX)
    found = _TIME.fullmatch(text) if len(text) <= TIME_CHARS_MAX else None
    if found is None:
        raise ValueRefused(f"{text!r:.100} is no time", fix=FIX)
    year, month, day, hour, minute = map(int, found.groups()[:5])
    second, zone_hour, zone_minute = (int(part or 0) for part in (found[6], found[10], found[11]))
    of_clock = max(hour, zone_hour) < _HOURS and max(minute, second, zone_minute) < _SIXTY
    if not 1 <= month <= len(_MONTHS) or not 1 <= day <= days_in(year, month) or not of_clock:
        raise ValueRefused(f"{text!r:.100} is no time", fix=FIX)
    if found[8] is None and found[9] is None:
        raise ValueRefused(f"{text!r:.100} doesn't say in which time zone", fix=FIX)
    ahead = (zone_hour * _SIXTY + zone_minute) * (-1 if found[9] == "-" else 1)
    minutes = hour * _SIXTY + minute - ahead
    fraction = int((found[7] or "0")[:6].ljust(6, "0"))
    us = _days_since_1970(year, month, day) * DAY_US + (minutes * _SIXTY + second) * SECOND_US + fraction
    if not 0 < us <= MOMENT_US_MAX:
        raise ValueRefused(f"{text!r:.100} is out of range", fix=FIX)
    return us


def time_text(us: int) -> str:
    """A time as people write it, in UTC, without fractions of a second."""
    days, rest = divmod(us, DAY_US)
    minutes, second = divmod(rest // SECOND_US, _SIXTY)
    year = _YEARS[bisect_right(_YEARS, days, key=lambda one: _days_since_1970(one, 1, 1)) - 1]
    month = bisect_right(_IN_YEAR, days, key=lambda one: _days_since_1970(year, one, 1))
    day = days - _days_since_1970(year, month, 1) + 1
    return f"{year:04}-{month:02}-{day:02}T{minutes // _SIXTY:02}:{minutes % _SIXTY:02}:{second:02}Z"


def _days_since_1970(year: int, month: int, day: int) -> int:
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400 - 477
    return (year - 1970) * 365 + leap_days + sum(days_in(year, one) for one in range(1, month)) + day - 1


def days_in(year: int, month: int) -> int:
    """How many days a month has."""
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _MONTHS[month - 1] + (month == _FEBRUARY and is_leap)
