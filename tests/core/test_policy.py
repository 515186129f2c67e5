"""How long and how often an agent is tried."""

import pytest

from interlock.core.policy import BACKOFF_MS_MAX, RETRY_AFTER_MS_MAX, Policy, duration_ms
from interlock.errors import PlanError


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("2s", 2_000),
        ("1.5m", 90_000),
        ("1h", 3_600_000),
        ("7d", 604_800_000),
        (" 2 s ", 2_000),
        ("0s", 0),
        ("1.1s", 1_100),
        ("0.0004s", 0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, milliseconds):
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "2", "s", "-2s", "2 sec", "2S", "1e3s", ".5s", "2s3s", "9" * 400 + "s", 5, None])
def test_what_is_not_a_duration_is_refused_with_an_example(text):
    with pytest.raises(PlanError) as refused:
        duration_ms(text)
    assert str(refused.value) == f"{text!r} is not a duration; write a number and a unit: 500ms, 2s, 1m, 1h, 1d"


@pytest.mark.parametrize(
    ("failures", "milliseconds"),
    [(1, 200), (2, 400), (3, 800), (8, 25_600), (9, BACKOFF_MS_MAX), (10_000, BACKOFF_MS_MAX)],
)
def test_the_wait_doubles_with_each_failure_up_to_a_limit(failures, milliseconds):
    assert Policy().wait_after(failures) == milliseconds


def test_a_further_attempt_begins_within_its_time_or_not_at_all():
    policy, first_us, last_us = Policy(retry_for_ms=3_000), 5, 3_000_005
    assert policy.may_begin(last_us, first_us)
    assert not policy.may_begin(last_us + 1, first_us)
    assert Policy().may_begin(2**60, first_us)


def test_without_a_backoff_nobody_waits():
    assert Policy(backoff_ms=0).wait_after(50) == 0


@pytest.mark.parametrize(
    ("asked", "milliseconds"), [(0, 400), (399, 400), (2_000, 2_000), (RETRY_AFTER_MS_MAX + 1, RETRY_AFTER_MS_MAX)]
)
def test_a_server_may_ask_to_be_left_alone_for_longer(asked, milliseconds):
    assert Policy().wait_after(2, asked) == milliseconds
