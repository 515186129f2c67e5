"""Rates: no window of a period ever holds more than is allowed, and a busy agent gets nearly all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.rate import (
    AMOUNT_MAX,
    SLOTS,
    SOON_US,
    Booked,
    Rate,
    RatePolicy,
    book,
    book_at_once,
    bring_forward,
    correct,
    earliest,
    rate_of,
    taken,
)
from interlock.errors import TeamError

S = 1_000_000
MINUTE = 60 * S


def take(booked, rate, now_us, amount=1):
    at_us = earliest(booked, rate, amount, now_us)
    book(booked, rate, amount, at_us, now_us)
    return at_us


def most_in_a_window(begun, period_us):
    """The largest amount that any window of this length holds. begun: (when, how much)."""
    begun = sorted(begun)
    most = first = held = 0
    for at_us, amount in begun:
        held += amount
        while begun[first][0] <= at_us - period_us:
            held -= begun[first][1]
            first += 1
        most = max(most, held)
    return most


RATES = st.builds(Rate, st.integers(1, 30), st.sampled_from([S, MINUTE, 1_000, 7]))


@given(RATES, st.lists(st.tuples(st.integers(0, 3 * S), st.integers(0, 30)), max_size=120))
def test_no_window_holds_more_than_the_rate_whatever_asks(rate, asking):
    booked, now_us, begun = Booked(), 0, []
    for passes_us, amount in asking:
        now_us += passes_us
        fitting = min(amount, rate.amount)
        begun.append((take(booked, rate, now_us, fitting), fitting))
        assert begun[-1][0] >= now_us

    assert most_in_a_window(begun, rate.period_us) <= rate.amount


@given(RATES, st.lists(st.integers(0, S), min_size=2, max_size=60))
def test_first_come_first_served(rate, passes):
    booked, now_us, times = Booked(), 0, []
    for passes_us in passes:
        now_us += passes_us
        times.append(take(booked, rate, now_us))

    assert times == sorted(times)


@given(RATES, st.lists(st.tuples(st.integers(0, S), st.booleans()), max_size=60))
def test_what_was_booked_is_kept_in_order_and_never_negative(rate, asking):
    booked, now_us, mine = Booked(), 0, []
    for passes_us, takes in asking:
        now_us += passes_us
        if takes or not mine:
            mine.append(take(booked, rate, now_us))
        else:
            correct(booked, rate, -1, mine.pop())
        assert booked.slots == sorted(booked.slots)
        assert all(taken > 0 for _, taken in booked.slots)


@pytest.mark.parametrize("text", ["60/min", "5/s", "1000/h", "7/day"])
def test_a_busy_agent_gets_nearly_all_of_its_rate(text):
    rate, booked = rate_of(text), Booked()
    last_us = [take(booked, rate, 0) for _ in range(20 * rate.amount + 1)][-1]

    assert 20 * rate.period_us < last_us <= 20.2 * rate.period_us + 20 * SOON_US


def test_what_was_booked_takes_little_room():
    rate, booked, now_us = Rate(100_000, MINUTE), Booked(), 0
    for _ in range(3_000):
        now_us += 50_000
        take(booked, rate, now_us)
    assert len(booked.slots) <= SLOTS + 2


def test_a_burst_at_the_turn_of_a_minute_does_not_pass():
    rate, booked = rate_of("60/min"), Booked()
    assert {take(booked, rate, 59 * S) for _ in range(60)} == {59 * S}

    assert earliest(booked, rate, 1, 61 * S) >= 59 * S + MINUTE


def test_what_exceeds_the_rate_by_itself_waits_until_nothing_else_counts():
    rate, booked = Rate(10, S), Booked()
    take(booked, rate, 0, 3)
    at_us = take(booked, rate, 0, 50)
    assert at_us > S
    assert take(booked, rate, 0, 1) > at_us + S


def test_nothing_takes_no_room():
    rate, booked = Rate(1, S), Booked()
    assert [take(booked, rate, 0, 0) for _ in range(3)] == [0, 0, 0]


WIDTH = S // SLOTS


@pytest.mark.parametrize(
    ("slots", "last_us", "amount", "at_us"),
    [
        ([], 9 * WIDTH, 9, 10),
        ([(0, 5)], 20, 4, 20),  # not before what was booked earlier
        ([(3, 7)], 9 * WIDTH, 1, 4 * WIDTH - 1),  # what was booked last is not wanted any more
        ([(0, 4), (1, 3), (2, 2)], 2 * WIDTH, 6, 2 * WIDTH + S + SOON_US),  # two slots must be a period old
        ([(0, 4), (1, 3), (2, 2)], 2 * WIDTH, 9, 3 * WIDTH + S + SOON_US),
    ],
)
def test_when_a_call_fits(slots, last_us, amount, at_us):
    assert earliest(Booked(slots, last_us), Rate(9, S), amount, 10) == at_us


def test_a_slot_counts_until_all_of_it_is_a_period_old_for_a_timer_that_rings_too_early():
    booked, gone_us = Booked([(4, 3)], 4 * WIDTH), 5 * WIDTH + S + SOON_US
    assert [taken(booked, Rate(9, S), now_us) for now_us in (gone_us - 1, gone_us)] == [(3, 0), (0, 0)]


def test_one_that_is_due_waits_for_what_has_begun_and_not_for_what_is_booked_for_later():
    booked = Booked([(10, 9), (11, 9)], 11 * WIDTH)
    assert earliest(booked, Rate(9, S), 1, 10 * WIDTH + WIDTH // 2, is_due=True) == 11 * WIDTH + S + SOON_US


@pytest.mark.parametrize(
    ("slots", "last_us", "then"),
    [
        ([], 0, [(2, 2)]),
        ([(1, 7)], WIDTH, [(1, 7), (2, 2)]),
        ([(2, 7)], 2 * WIDTH + 5, [(2, 9)]),  # there is just room
        ([(2, 8)], 2 * WIDTH, None),
        ([(2, 1)], 2 * WIDTH + 6, None),  # somebody waits
        ([(3, 1)], WIDTH, None),  # so it was booked while the period was shorter
    ],
)
def test_a_call_is_made_at_once_where_there_is_room_and_nobody_waits(slots, last_us, then):
    booked = Booked(slots.copy(), last_us)
    assert book_at_once(booked, Rate(9, S), 2, 2 * WIDTH + 5) == (then is not None)
    assert booked == (Booked(slots, last_us) if then is None else Booked(then, 2 * WIDTH + 5))


# --- corrections ---


def test_what_a_call_leaves_is_free_again_and_what_it_takes_more_is_not():
    rate, booked = Rate(10, S), Booked()
    assert take(booked, rate, 0, 8) == 0
    correct(booked, rate, -5, 0)
    assert take(booked, rate, 0, 7) == 0
    correct(booked, rate, 20, 0)
    assert booked.slots == [(0, 30)]


def test_what_is_withdrawn_keeps_nobody_waiting():
    rate, booked = Rate(1, S), Booked()
    times = [take(booked, rate, 0) for _ in range(50)]
    for at_us in times[1:]:
        correct(booked, rate, -1, at_us)

    assert take(booked, rate, 0) == times[1]


def test_what_counts_no_longer_is_not_corrected():
    rate, booked = Rate(1, S), Booked()
    take(booked, rate, 0)
    take(booked, rate, 9 * S)
    correct(booked, rate, 5, 0)
    correct(booked, rate, 5, 20 * S)
    assert booked.slots == [(9 * SLOTS, 1)]


# --- calls whose time has come ---


def begins(booked, rate, was_us, now_us):
    """A call that was booked asks again; it begins, or is booked for later."""
    correct(booked, rate, -1, was_us)
    at_us = earliest(booked, rate, 1, now_us, is_due=True)
    book(booked, rate, 1, at_us, now_us)
    return at_us


def test_what_has_begun_and_what_is_booked_for_later_are_told_apart():
    booked, rate = Booked(), Rate(10, S)
    assert taken(booked, rate, 0) == (0, 0)
    take(booked, rate, 0, 10)
    later_us = take(booked, rate, 0)
    assert taken(booked, rate, 0) == (10, 1)
    assert taken(booked, rate, S // 2) == (10, 1)
    assert taken(booked, rate, later_us + SOON_US) == (1, 0)
    assert taken(booked, rate, later_us + 3 * S) == (0, 0)


@pytest.mark.parametrize(
    ("later", "now_holds"),
    [
        ([], 3),
        ([(11, 4), (12, 5)], 3 + 9),
        ([(11, 99)], 3 + 20),  # no more than a period allows
    ],
)
def test_what_a_clock_that_was_ahead_has_booked_is_taken_for_now_and_the_rest_stays(later, now_holds):
    rate, booked = Rate(20, S), Booked([(8, 1), (9, 2), (10, 3), *later], 12 * S // SLOTS)
    now_us = 10 * S // SLOTS + 1
    bring_forward(booked, rate, now_us)
    assert booked == Booked([(8, 1), (9, 2), (10, now_holds)], now_us)


@pytest.mark.parametrize("since_us", [0, 7 * S, 10_000 * MINUTE])
def test_what_was_booked_while_the_period_was_shorter_holds_nobody_longer_than_a_period(since_us):
    booked, begun_us = Booked(), 20_000 * 60 * MINUTE
    for _ in range(60):
        take(booked, rate_of("60/min"), begun_us)
    rate, now_us = rate_of("50/h"), begun_us + since_us
    at_us = take(booked, rate, now_us)
    assert at_us == now_us if since_us > 60 * MINUTE else begun_us < at_us <= begun_us + 61 * MINUTE
    assert booked.slots == sorted(booked.slots)


@given(RATES, st.integers(1, 40), st.data())
def test_late_calls_keep_to_the_rate_and_come_to_their_turn(rate, count, data):
    """All are booked at once, and each is late by some: what begins together then must still fit."""
    booked = Booked()
    waiting = [take(booked, rate, 0) for _ in range(count)]
    begun, now_us = [], 0
    for _ in range(50 * count):
        if not waiting:
            break
        due_us = min(waiting)
        waiting.remove(due_us)
        now_us = max(now_us, due_us + data.draw(st.integers(0, 2 * rate.period_us)))
        at_us = begins(booked, rate, due_us, now_us)
        if at_us <= now_us:
            begun.append((now_us, 1))
        else:
            waiting.append(at_us)

    assert not waiting
    assert most_in_a_window(begun, rate.period_us) <= rate.amount


def test_a_call_that_is_late_begins_at_once_where_there_is_room():
    rate, booked = Rate(2, S), Booked()
    times = [take(booked, rate, 0) for _ in range(6)]
    assert begins(booked, rate, times[4], times[4] + 300_000) == times[4] + 300_000


@given(RATES, st.lists(st.tuples(st.integers(0, 3 * S), st.integers(0, 30)), max_size=60))
def test_what_is_booked_at_once_is_booked_as_if_it_had_stood_in_line(rate, asking):
    quick, slow, now_us = Booked(), Booked(), 0
    for passes_us, amount in asking:
        now_us += passes_us
        fitting = min(amount, rate.amount)
        is_booked, at_us = book_at_once(quick, rate, fitting, now_us), take(slow, rate, now_us, fitting)
        assert is_booked == (at_us == now_us)
        if not is_booked:
            take(quick, rate, now_us, fitting)
        assert quick == slow


def test_nobody_is_booked_at_once_who_would_overtake_another():
    rate = Rate(9, S)
    assert not book_at_once(Booked([], last_us=S), rate, 1, 0)
    assert not book_at_once(Booked([(1, 1)], last_us=0), rate, 1, 0)
    assert book_at_once(Booked([(0, 1)], last_us=0), rate, 1, 0)


# --- declarations ---


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60/min", Rate(60, MINUTE)),
        ("5 / s", Rate(5, S)),
        ("40_000/h", Rate(40_000, 3_600 * S)),
        ("1/day", Rate(1, 86_400 * S)),
        (f"{AMOUNT_MAX}/day", Rate(AMOUNT_MAX, 86_400 * S)),
    ],
)
def test_a_rate_is_so_many_per_period(text, rate):
    assert rate_of(text) == rate


@pytest.mark.parametrize(
    "text", ["", "60", "0/min", "-1/s", "1.5/s", "60/minute", "_/s", f"{AMOUNT_MAX + 1}/s", 60, None]
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(TeamError) as refused:
        rate_of(text)
    assert refused.value.message == f"{text!r} is not a rate"
    assert refused.value.fix == "write how many, and per what: 60/min, 5/s, 40000/min, 1000/h"


def test_a_call_that_a_rate_holds_always_waits():
    assert RatePolicy().waits
