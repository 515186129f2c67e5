"""Ids sort by time, and are safe wherever a name can stand."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from interlock.ids import new_id, row_run_id

NOW_US = 1_790_000_000_000_000  # in 2026
YEAR_US = 31_556_952_000_000


@given(st.integers(0, 2**55 - 1))
def test_an_id_is_22_characters_that_are_safe_anywhere(at_us):
    assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{22}", new_id(at_us))


@given(st.integers(0, 2**55 - 2), st.integers(1, 1_000 * YEAR_US))
def test_a_later_id_sorts_after_an_earlier_one(at_us, later_us):
    assert new_id(at_us) < new_id(min(at_us + later_us, 2**55 - 1))


def test_ids_sort_by_time_for_the_next_thousand_years():
    for earlier, later in pairwise([NOW_US + year * YEAR_US for year in range(1_000)]):
        assert new_id(earlier) < new_id(later)


def test_ids_of_one_microsecond_differ():
    assert len({new_id(NOW_US) for _ in range(10_000)}) == 10_000


def test_the_time_can_be_read_from_an_id():
    # Compatibility data: ids of today are compared with ids of later versions.
    assert new_id(NOW_US)[:11] == "1jvzvd2br00"


def test_a_row_has_the_same_run_on_every_resume():
    assert row_run_id("1jvzvd2br00", 0) == "1jvzvd2br00-0"
    assert row_run_id("1jvzvd2br00", 12) == "1jvzvd2br00-12"
    assert re.fullmatch(r"[A-Za-z0-9_-]+", row_run_id(new_id(NOW_US), 10**9))
