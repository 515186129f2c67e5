"""Times as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.moments import MOMENT_US_MAX, time_text, time_us
from interlock.errors import ValueRefused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(min_value=datetime(1970, 1, 3), max_value=datetime(9998, 1, 1), timezones=zones))  # noqa: DTZ001
def test_a_time_is_read_as_python_reads_it(moment):
    us = (moment - EPOCH) // timedelta(microseconds=1)
    assert time_us(moment.isoformat()) == us
    assert time_text(us) == f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z".rjust(20, "0")


# 64 characters
AS_LONG_AS_CAN_BE = f"2026-12-01T09:00:00.{'9' * 38}+01:00"


def test_the_ends_of_what_can_be_told():
    assert time_us("1970-01-01T00:00:00.000001Z") == 1
    assert time_us("2026-12-01t09:00z") == time_us("2026-12-01 10:00:00+01:00") == 1_796_115_600_000_000
    assert time_us("2024-02-29T00:00:00.1234567Z") % 1_000_000 == 123_456
    assert time_us("2024-02-29T00:00:00.5Z") % 1_000_000 == 500_000
    assert time_us(AS_LONG_AS_CAN_BE) % 1_000_000 == 999_999
    assert time_text(time_us("1971-01-01T00:00:00Z")) == "1971-01-01T00:00:00Z"
    assert time_text(time_us("2000-02-29T09:00:00Z")) == "2000-02-29T09:00:00Z"
    assert time_text(0) == "1970-01-01T00:00:00Z"
    assert time_text(time_us("2072-12-31T12:00:00Z")) == "2072-12-31T12:00:00Z"  # so many leap years are behind it
    assert time_text(MOMENT_US_MAX) == "9998-12-31T23:59:59Z"
    assert time_us("9998-12-31T23:59:59.999999Z") == MOMENT_US_MAX


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (12, "a int is no time"),
        ("soon", "'soon' is no time"),
        ("2026-12-01", "'2026-12-01' is no time"),
        ("2026-12-01T09:00:00", "'2026-12-01T09:00:00' doesn't say in which time zone"),
        ("2026-02-29T09:00:00Z", "'2026-02-29T09:00:00Z' is no time"),
        ("2100-02-29T09:00:00Z", "'2100-02-29T09:00:00Z' is no time"),
        ("2026-13-01T09:00:00Z", "'2026-13-01T09:00:00Z' is no time"),
        ("2026-12-00T09:00:00Z", "'2026-12-00T09:00:00Z' is no time"),
        ("2026-12-01T24:00:00Z", "'2026-12-01T24:00:00Z' is no time"),
        ("2026-12-01T09:60:00Z", "'2026-12-01T09:60:00Z' is no time"),
        ("2026-12-01T09:00:60Z", "'2026-12-01T09:00:60Z' is no time"),
        ("2026-12-01T09:00:00+24:00", "'2026-12-01T09:00:00+24:00' is no time"),
        ("2026-12-01T09:00:00+01:60", "'2026-12-01T09:00:00+01:60' is no time"),
        ("1970-01-01T00:00:00Z", "'1970-01-01T00:00:00Z' is out of range"),
        ("1969-12-31T23:59:59Z", "'1969-12-31T23:59:59Z' is out of range"),
        ("9999-12-31T23:59:59Z", "'9999-12-31T23:59:59Z' is out of range"),
        (AS_LONG_AS_CAN_BE.replace(".", ".0"), f"'2026-12-01T09:00:00.0{'9' * 38}+01:00' is no time"),
        ("2026-12-01T09:00:00." + "0" * 60 + "Z", f"'2026-12-01T09:00:00.{'0' * 60}Z' is no time"),
        ("x" * 200, f"'{'x' * 99} is no time"),
        ("2026-12-01T09:00:00Z\n", r"'2026-12-01T09:00:00Z\n' is no time"),
    ],
)
def test_what_is_no_time_is_refused(text, message):
    with pytest.raises(ValueRefused) as caught:
        time_us(text)
    assert caught.value.message == message
    assert caught.value.fix == "write it like 2026-12-01T09:00:00Z"
