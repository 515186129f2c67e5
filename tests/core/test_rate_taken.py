"""How much of a rate is taken."""

from interlock.core.rate import Booked, Rate, book, earliest, taken

RATE = Rate(10, 1_000_000)


def test_what_has_begun_counts_for_a_period_and_what_is_booked_for_later_is_told_apart():
    booked = Booked()
    book(booked, RATE, 10, 0)
    later_us = earliest(booked, RATE, 1, 0)
    book(booked, RATE, 1, later_us)
    assert taken(booked, RATE, 0) == (10, 1)
    assert taken(booked, RATE, later_us) == (1, 0)
    assert taken(booked, RATE, later_us + 2_000_000) == (0, 0)
    assert taken(Booked(), RATE, 0) == (0, 0)
