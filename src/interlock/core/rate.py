"""A rate: so many requests, or tokens, in any period. Calls are booked for the first moment at which they fit.

What was booked is kept in slots of a two-hundredth of the period, and a slot counts until all of it is a period old. So
no window of a period ever holds more than is allowed, a busy agent gets all but half a percent of it, and a rate of any
size takes the same room.
"""

import re
from bisect import bisect_left
from functools import cached_property

import msgspec

from interlock.errors import TeamError

SLOTS = 200
AMOUNT_MAX = 10**12
# A timer may ring as much too early.
SOON_US = 1_000
PERIODS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "day": 86_400_000_000}
_RATE = re.compile(r"([0-9_]{1,16})\s*/\s*(s|min|h|day)")


class Rate(msgspec.Struct, frozen=True, dict=True):
    """So many of something in any window of this length."""

    amount: int
    period_us: int

    @cached_property
    def width_us(self) -> int:
        """How long a slot is."""
        return max(1, self.period_us // SLOTS)


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
    """What was booked lately. slots: (number of the slot, how much), the oldest first. last_us: the latest booking."""

    slots: list[tuple[int, int]] = []
    last_us: int = 0


def earliest(booked: Booked, rate: Rate, amount: int, now_us: int, *, is_due: bool = False) -> int:
    """When a call of this size may begin: now, or as soon as enough of what was booked is a period old.

    First come, first served: never before what was booked earlier; but one that is due, because the time it was booked
    for has come, waits only for what has begun. What exceeds the rate by itself waits until nothing else counts.
    """
    width, slots = rate.width_us, booked.slots
    if slots and slots[-1][0] > booked.last_us // width:  # they were booked when the rate had a shorter period
        bring_forward(booked, rate, booked.last_us)
    at_us, end = now_us, len(slots)
    if is_due:
        end = bisect_left(slots, (now_us // width + 1,))
    elif slots:
        at_us = max(now_us, min(booked.last_us, (slots[-1][0] + 1) * width - 1))
    counted = slots[_first(booked, rate, at_us) : end]
    room = rate.amount - sum([taken for _, taken in counted])
    for number, taken in counted:
        if room >= amount:
            break
        room += taken
        at_us = _gone_us(number, width, rate)
    return at_us


def book(booked: Booked, rate: Rate, amount: int, at_us: int, now_us: int) -> None:
    """Take this much at a time that `earliest` has given."""
    slots, number = booked.slots, at_us // rate.width_us
    del slots[: _first(booked, rate, now_us)]
    place = bisect_left(slots, (number,))
    if place < len(slots) and slots[place][0] == number:
        slots[place] = (number, slots[place][1] + amount)
    else:
        slots.insert(place, (number, amount))
    booked.last_us = max(at_us, booked.last_us)


def book_at_once(booked: Booked, rate: Rate, amount: int, now_us: int) -> bool:
    """Take this much now, where nobody waits and there is room for it; whether that is so."""
    slots, number = booked.slots, now_us // rate.width_us
    if slots and slots[0][0] < number - SLOTS:  # so many count in any case
        del slots[: _first(booked, rate, now_us)]
    room, last, taken = rate.amount - amount, -1, 0
    for last, taken in slots:  # noqa: B007 - the last of them is looked at
        room -= taken
    if room < 0 or last > number or booked.last_us > now_us:
        return False
    if last == number:
        slots[-1] = (number, taken + amount)
    else:
        slots.append((number, amount))
    booked.last_us = now_us
    return True


def correct(booked: Booked, rate: Rate, difference: int, at_us: int) -> None:
    """Add what a call that was booked at this time took beyond what was booked for it; less than 0 for what it left."""
    slots, number = booked.slots, at_us // rate.width_us
    place = bisect_left(slots, (number,))
    if place == len(slots) or slots[place][0] != number:
        return  # it counts no longer
    left = slots[place][1] + difference
    slots[place : place + 1] = [(number, left)] if left > 0 else []


def bring_forward(booked: Booked, rate: Rate, now_us: int) -> None:
    """Take what was booked for later for now, as far as a period allows: a clock was ahead that booked it."""
    later = bisect_left(booked.slots, (now_us // rate.width_us + 1,))
    amount = sum(amount for _, amount in booked.slots[later:])
    del booked.slots[later:]
    booked.last_us = min(booked.last_us, now_us)
    if amount:
        book(booked, rate, min(amount, rate.amount), now_us, now_us)


def taken(booked: Booked, rate: Rate, now_us: int) -> tuple[int, int]:
    """How much of what was booked has begun and counts now, and how much is booked for later."""
    width = rate.width_us
    counted = booked.slots[_first(booked, rate, now_us) :]
    begun = sum(amount for number, amount in counted if number * width <= now_us)
    return begun, sum(amount for _, amount in counted) - begun


def _first(booked: Booked, rate: Rate, at_us: int) -> int:
    """The place of the first slot that counts at this time."""
    slots, oldest = booked.slots, (at_us - SOON_US - rate.period_us) // rate.width_us
    return bisect_left(slots, (oldest,)) if slots and slots[0][0] < oldest else 0


def _gone_us(number: int, width: int, rate: Rate) -> int:
    """When a slot counts no longer: once its end is a period ago, for a call that begins a little too early."""
    return (number + 1) * width + rate.period_us + SOON_US
