"""A rate: so many requests, or tokens, in any period. Calls are booked for the first moment at which they fit.

What was booked is kept in slots of a two-hundredth of the period, and a slot counts until all of it is a period old. So
no window of a period ever holds more than is allowed, a busy agent gets all but half a percent of it, and a rate of any
size takes the same room.
"""

import re

import msgspec

from interlock.errors import TeamError

SLOTS = 200
AMOUNT_MAX = 10**12
PERIODS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "day": 86_400_000_000}
_RATE = re.compile(r"([0-9_]{1,16})\s*/\s*(s|min|h|day)")


class Rate(msgspec.Struct, frozen=True):
    """So many of something in any window of this length."""

    amount: int
    period_us: int


def rate_of(text: str) -> Rate:
    """`60/min` and the like: so many per s, min, h or day. Raises TeamError."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None or not 0 < (amount := int(match[1].replace("_", "") or 0)) <= AMOUNT_MAX:
        raise TeamError(f"{text!r} is not a rate", fix="write how many, and per what: 60/min, 5/s, 40000/min, 1000/h")
    return Rate(amount, PERIODS_US[match[2]])


class RatePolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many calls, and tokens, of an agent may begin in a window of time; None for as many as come."""

    requests: Rate | None = None
    tokens: Rate | None = None

    @property
    def waits(self) -> bool:
        """A call that is held always waits: it is booked for a time."""
        return True


class Booked(msgspec.Struct, omit_defaults=True):
    """What was booked lately. slots: (number of the slot, how much), the oldest first. last_us: the last booking."""

    slots: list[tuple[int, int]] = []
    last_us: int = 0


def earliest(booked: Booked, rate: Rate, amount: int, now_us: int) -> int:
    """When a call of this size may begin: now, or as soon as enough of what was booked is a period old.

    First come, first served: never before what was booked earlier. What exceeds the rate by itself waits until nothing
    else counts.
    """
    at_us = max(now_us, booked.last_us)
    width = _width(rate)
    counted = [slot for slot in booked.slots if _gone_us(slot[0], width, rate) > at_us]
    room = rate.amount - sum(taken for _, taken in counted)
    for number, taken in counted:
        if room >= amount:
            break
        room += taken
        at_us = _gone_us(number, width, rate)
    return at_us


def book(booked: Booked, rate: Rate, amount: int, at_us: int) -> None:
    """Take this much at a time that `earliest` has given."""
    width = _width(rate)
    number = at_us // width
    kept = [slot for slot in booked.slots if _gone_us(slot[0], width, rate) > min(at_us, booked.last_us)]
    if kept and kept[-1][0] == number:
        number, taken = kept.pop()
        amount += taken
    booked.slots = [*kept, (number, amount)]
    booked.last_us = max(at_us, booked.last_us)


def correct(booked: Booked, rate: Rate, difference: int, at_us: int) -> None:
    """Add what a call that was booked at this time took beyond what was booked for it; less than 0 for what it left."""
    number = at_us // _width(rate)
    booked.slots = [(n, max(0, taken + difference) if n == number else taken) for n, taken in booked.slots]


def _width(rate: Rate) -> int:
    return max(1, rate.period_us // SLOTS)


def _gone_us(number: int, width: int, rate: Rate) -> int:
    """When a slot counts no longer: once its end is a period ago."""
    return (number + 1) * width + rate.period_us
