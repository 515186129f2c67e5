"""The gates of teams above that of a run, as its calls, its events and people name them."""

import pytest

from interlock.core.above import Above, found_above, is_above, kind_above
from interlock.core.budget import BudgetPolicy
from interlock.core.gate import policy_above
from interlock.core.rate import Rate, RatePolicy

MIDDLE = Above("middle/", RatePolicy(Rate(1, 1_000_000)))
TOP = Above("desk/team.yaml/", None, BudgetPolicy(calls=3, daily=True))


@pytest.mark.parametrize("kind", ["team_budget", "budget", "run_reservation", "rate", ""])
def test_the_gates_of_its_own_team_are_no_others(kind):
    assert (is_above(kind), found_above((), kind)) == (False, None)


def test_a_part_of_a_gate_above_is_told_by_how_far_above_it_is():
    assert kind_above(2, "reservation") == "above_2_reservation"
    assert is_above("above_1_rate")
    assert found_above((MIDDLE, TOP), "above_1_rate") == (MIDDLE, "rate")
    assert found_above((MIDDLE, TOP), "above_2_budget") == (TOP, "budget")


def test_a_team_is_called_by_its_name_or_its_file():
    assert (MIDDLE.whose, TOP.whose) == ("team middle", "team desk/team.yaml")


def test_from_below_a_gate_is_passed_as_it_was_declared():
    policy = policy_above(2, TOP)
    assert (policy.breaker, policy.rate, policy.budget) == (None, None, TOP.budget)
    assert (policy.above, policy.whose, policy.is_shared) == (2, "team desk/team.yaml", False)
    assert policy_above(1, MIDDLE).rate == MIDDLE.rate
