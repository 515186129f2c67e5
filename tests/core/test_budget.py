"""Budgets: reserved before a call, settled after it, and exceeded by nothing that calls do together."""

import pytest

from interlock.core.budget import (
    DAY_US,
    NOTHING_USED,
    Amounts,
    BudgetPolicy,
    Ledger,
    budget_of,
    for_run,
    is_only_reserved,
    left_of,
    next_day_us,
    raise_by,
    release,
    reserve,
    settle,
    settle_late,
    shortfall,
)
from interlock.core.job import Usage


def spent(ledger):
    return ledger.spent.calls, ledger.spent.tokens, ledger.spent.usd


def reserved(ledger):
    return ledger.reserved.calls, ledger.reserved.tokens, ledger.reserved.usd


def made(ledger, policy, calls, now_us=0):
    """How many of these calls are made at once."""
    count = 0
    for _ in range(calls):
        if not shortfall(ledger, policy, now_us):
            reserve(ledger, policy)
            count += 1
    return count


@pytest.mark.parametrize(
    ("policy", "calls"),
    [
        (BudgetPolicy(calls=50), 50),
        (BudgetPolicy(calls=0), 0),
        (BudgetPolicy(tokens=1_000, call_tokens=300), 3),
        (BudgetPolicy(tokens=900, call_tokens=300), 3),
        (BudgetPolicy(usd=100_000, call_usd=20_000), 5),
        (BudgetPolicy(tokens=0), 0),
        (BudgetPolicy(usd=0), 0),
        (BudgetPolicy(calls=7, tokens=1_000, usd=100_000, call_tokens=200, call_usd=20_001), 4),
        (BudgetPolicy(tokens=1), 200),  # nobody knows what a call will consume
        (BudgetPolicy(), 200),
    ],
)
def test_as_many_calls_are_made_together_as_are_paid_for(policy, calls):
    assert made(Ledger(), policy, 200) == calls


def test_a_call_is_made_while_anything_is_left_where_its_most_is_unknown():
    ledger, policy = Ledger(), BudgetPolicy(tokens=100)
    for tokens, lacking in ((99, ""), (1, "its budget is 100 tokens, of which 0 tokens are left")):
        assert not shortfall(ledger, policy, 0)
        reserve(ledger, policy)
        settle(ledger, policy, Usage(tokens, 0), 0)
        assert shortfall(ledger, policy, 0) == lacking


@pytest.mark.parametrize(
    ("policy", "usage", "expected"),
    [
        (BudgetPolicy(call_tokens=9, call_usd=7), Usage(2, 3, 0.000_004), (1, 5, 4)),
        (BudgetPolicy(call_tokens=9, call_usd=7), Usage(2, 3), (1, 5, 7)),  # an unknown price is not 0
        (BudgetPolicy(call_tokens=9, call_usd=7), Usage(requests=1), (1, 0, 7)),
        (BudgetPolicy(call_tokens=9, call_usd=7), NOTHING_USED, (1, 0, 0)),
        (BudgetPolicy(call_tokens=9, call_usd=7), Usage(), (1, 0, 0)),
        (BudgetPolicy(call_tokens=9, call_usd=7), None, (1, 9, 7)),  # nobody knows
        (BudgetPolicy(), None, (1, 0, 0)),
        (BudgetPolicy(call_tokens=1), Usage(50, 0, 0.0), (1, 50, 0)),  # more than it might
    ],
)
def test_what_a_call_consumed_is_spent_and_nothing_is_reserved_any_more(policy, usage, expected):
    ledger = Ledger()
    reserve(ledger, policy)
    assert reserved(ledger) == (1, policy.call_tokens, policy.call_usd)

    settle(ledger, policy, usage, 0)
    assert (spent(ledger), reserved(ledger)) == (expected, (0, 0, 0))


def test_what_is_released_is_free_again():
    ledger, policy = Ledger(), BudgetPolicy(calls=1, tokens=5, usd=5, call_tokens=5, call_usd=5)
    reserve(ledger, policy)
    assert shortfall(ledger, policy, 0) == "its budget is 1 call, of which 0 calls are left"
    release(ledger, policy)
    assert not shortfall(ledger, policy, 0)
    assert ledger == Ledger()


@pytest.mark.parametrize(
    ("policy", "usage", "expected"),
    [
        (BudgetPolicy(), Usage(3, 4, 0.000_005), (1, 7, 5)),
        (BudgetPolicy(call_tokens=9, call_usd=9), Usage(3, 4, 0.000_005), (1, 9, 9)),
        (BudgetPolicy(call_tokens=3, call_usd=2), Usage(3, 4, 0.000_005), (1, 7, 5)),
        (BudgetPolicy(call_usd=9), Usage(3, 4), (1, 7, 9)),
    ],
)
def test_a_call_that_tells_too_late_is_charged_what_it_was_not_charged_yet(policy, usage, expected):
    ledger = Ledger()
    reserve(ledger, policy)
    settle(ledger, policy, None, 0)

    settle_late(ledger, policy, usage, 0)
    assert (spent(ledger), reserved(ledger)) == (expected, (0, 0, 0))


# --- days ---


def test_a_day_begins_anew_and_only_what_goes_on_is_carried_over():
    ledger, policy = Ledger(), BudgetPolicy(calls=2, daily=True)
    assert made(ledger, policy, 5, DAY_US - 1) == 2
    settle(ledger, policy, NOTHING_USED, DAY_US - 1)
    assert shortfall(ledger, policy, DAY_US - 1) == "its budget is 2 calls a day, of which 0 calls are left"

    assert made(ledger, policy, 5, DAY_US) == 1
    settle(ledger, policy, NOTHING_USED, DAY_US)
    settle(ledger, policy, NOTHING_USED, DAY_US)
    assert made(ledger, policy, 5, DAY_US) == 0
    assert (ledger.day, spent(ledger)) == (1, (2, 0, 0))


def test_a_day_never_comes_back():
    ledger, policy = Ledger(), BudgetPolicy(calls=2, daily=True)
    made(ledger, policy, 2, DAY_US)
    assert made(ledger, policy, 2, DAY_US - 1) == 0
    assert ledger.day == 1


def test_a_clock_that_was_days_ahead_is_believed_no_longer_than_it_must_be():
    ledger, policy = Ledger(day=5, spent=Amounts(calls=2)), BudgetPolicy(calls=3, daily=True)
    for now_us, day in ((4 * DAY_US, 5), (5 * DAY_US - 1, 5), (4 * DAY_US - 1, 3)):
        assert not shortfall(ledger, policy, now_us)
        assert (ledger.day, ledger.spent.calls) == (day, 2)


def test_what_ends_on_another_day_is_spent_on_that_day():
    ledger, policy = Ledger(), BudgetPolicy(tokens=10, daily=True)
    made(ledger, policy, 2)
    settle(ledger, policy, Usage(6, 0), DAY_US - 1)
    settle_late(ledger, policy, Usage(4, 0), DAY_US)
    assert (ledger.day, ledger.spent.tokens) == (1, 4)
    settle(ledger, policy, Usage(3, 0), 2 * DAY_US)
    assert (ledger.day, ledger.spent.tokens) == (2, 3)


def test_what_is_not_daily_knows_no_days():
    ledger, policy = Ledger(), BudgetPolicy(calls=2)
    made(ledger, policy, 2, 0)
    settle(ledger, policy, Usage(3, 0, 0.000_007), 0)
    assert made(ledger, policy, 1, 9 * DAY_US) == 0
    settle(ledger, policy, Usage(4, 0, 0.000_005), 9 * DAY_US)
    settle_late(ledger, policy, Usage(5, 0, 0.000_001), 9 * DAY_US)
    raise_by(ledger, policy, Amounts(calls=1), 9 * DAY_US)
    assert ledger == Ledger(spent=Amounts(2, 12, 13), raised=Amounts(1), raised_us=9 * DAY_US, at_once=Amounts(1))


@pytest.mark.parametrize(("name", "most"), [("calls", "3 calls"), ("tokens", "3 tokens"), ("usd", "0.000003 USD")])
def test_what_people_approve_is_there_for_calls(name, most):
    ledger, policy = Ledger(spent=Amounts(**{name: 2})), BudgetPolicy(**{name: 2})
    assert shortfall(ledger, policy, 0).startswith("its budget is ")
    raise_by(ledger, policy, Amounts(**{name: 1}), 0)
    assert shortfall(ledger, policy, 0) == ""
    setattr(ledger.spent, name, 3)
    assert shortfall(ledger, policy, 0).startswith(f"its budget is {most}, of which ")


@pytest.mark.parametrize(("now_us", "next_us"), [(0, DAY_US), (DAY_US - 1, DAY_US), (DAY_US, 2 * DAY_US)])
def test_the_next_day(now_us, next_us):
    assert next_day_us(now_us) == next_us


# --- declarations ---


def test_a_declaration():
    assert budget_of({}) == BudgetPolicy()
    declared = {"calls": 3, "tokens": 40, "usd": 0.1, "call": {"tokens": 4, "usd": 0.02}, "when_spent": "wait"}
    policy = budget_of(declared, daily=True)
    assert policy == BudgetPolicy(3, 40, 100_000, True, 4, 20_000, "wait")
    assert (policy.waits, BudgetPolicy().waits) == (True, False)
    assert policy.call == Amounts(1, 4, 20_000)


def test_a_run_sets_aside_all_that_it_may_consume_and_at_least_one_call():
    most = BudgetPolicy(9, 900, 90, True, 5, 5, "ask")
    assert for_run(most, None) == BudgetPolicy(9, 900, 90, True, 0, 0, "ask", 1)
    assert for_run(most, BudgetPolicy(3, 300, 30)) == BudgetPolicy(9, 900, 90, True, 300, 30, "ask", 3)


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_of_what_several_runs_have_set_aside_all_but_one_call_each_may_come_back(calls):
    policy, ledger = BudgetPolicy(call_calls=calls), Ledger()
    for runs in (1, 2, 3):
        reserve(ledger, policy)
        assert (ledger.reserved.calls, ledger.returnable) == (runs * calls, runs * (calls - 1))
    for runs in (2, 1):
        settle(ledger, policy, Usage(), 0, 1)
        assert (ledger.reserved.calls, ledger.returnable) == (runs * calls, runs * (calls - 1))
    release(ledger, policy)
    assert ledger == Ledger(spent=Amounts(calls=2))


def test_a_run_that_ends_late_is_charged_for_the_calls_that_were_not_set_aside_for_it():
    ledger, policy = Ledger(), BudgetPolicy(calls=9, call_calls=3)
    for calls, charged in ((5, 3 + 2), (2, 3)):
        reserve(ledger, policy)
        settle(ledger, policy, None, 0)
        settle_late(ledger, policy, Usage(), 0, calls)
        assert (ledger.spent.calls, ledger.reserved.calls) == (charged, 0)
        ledger.spent = Amounts()


def test_what_is_left_of_dollars_is_told_in_dollars():
    policy = BudgetPolicy(usd=1_500_000_000, call_usd=2_000_000_000)
    assert shortfall(Ledger(), policy, 0) == "its budget is 1,500.00 USD, of which 1,500.00 USD are left"


@pytest.mark.parametrize(
    ("policy", "is_only"),
    [
        (BudgetPolicy(tokens=100, call_tokens=60), True),
        (BudgetPolicy(usd=100, call_usd=60), True),
        (BudgetPolicy(calls=1), False),
        (BudgetPolicy(calls=1, tokens=100, call_tokens=60), False),
        (BudgetPolicy(tokens=50, call_tokens=60), False),
    ],
)
def test_what_is_only_reserved_may_come_back_but_no_call_does(policy, is_only):
    ledger = Ledger()
    reserve(ledger, policy)
    assert shortfall(ledger, policy, 0)
    assert is_only_reserved(ledger, policy) == is_only


def test_what_is_spent_does_not_come_back():
    policy, ledger = BudgetPolicy(tokens=100), Ledger(spent=Amounts(tokens=100))
    assert shortfall(ledger, policy, 0)
    assert not is_only_reserved(ledger, policy)


@pytest.mark.parametrize(("most", "is_only"), [(6, False), (7, True), (8, True)])
def test_a_run_makes_one_call_and_may_leave_all_others(most, is_only):
    policy, ledger = BudgetPolicy(calls=most, tokens=9, call_calls=5), Ledger(spent=Amounts(calls=1))
    reserve(ledger, policy)
    assert shortfall(ledger, policy, 0)
    assert is_only_reserved(ledger, policy) == is_only
    settle(ledger, policy, Usage(), 0, 1)
    assert (ledger.spent.calls, ledger.reserved.calls, ledger.returnable) == (2, 0, 0)


@pytest.mark.parametrize(
    ("name", "amount", "said"),
    [("calls", 0, "0 calls are left"), ("calls", 1, "1 call is left"), ("tokens", 2, "2 tokens are left"),
     ("usd", 1, "0.000001 USD are left")],
)  # fmt: skip
def test_what_is_left_is_told_in_a_sentence(name, amount, said):
    assert left_of(name, amount) == said
