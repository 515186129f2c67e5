"""The purse of a run: what its calls and the runs below it consume, and what that takes of the run's own budgets."""

import pytest

from interlock.core.budget import BudgetPolicy, for_run
from interlock.core.job import Usage
from interlock.core.purse import Cost, Purse

MOST = BudgetPolicy(calls=9, tokens=900, usd=90)
# What a run that does a step may consume of it.
SHARE = for_run(MOST, BudgetPolicy(3, 300, 30))
OF_RUN = [("run_budget", "", SHARE)]


def spent(purse):
    spent = purse.ledger("").spent
    return spent.calls, spent.tokens, spent.usd


def test_calls_of_its_own_and_those_of_runs_below_are_counted_together():
    purse = Purse()
    for n in (1, 2, 3):
        purse.draw(n, 1, OF_RUN, 0)
    purse.settle_run(OF_RUN, Usage(5, 5, 0.25), 2, 0)
    purse.settle_run(OF_RUN, Usage(7, 3, 0.5), 1, 0)
    purse.draw(4, 1, [("run_budget", "", MOST)])
    purse.settle([("run_budget", "", MOST)], Usage(1, 0, 0.0), 0)
    purse.settle_late_run(3, 1, Usage(2, 2, 0.0), 4, 0)
    assert purse.cost == Cost(0.75, 25, 2 + 1 + 1 + 4)


def test_what_calls_consumed_is_added_up():
    purse = Purse()
    for usage in (Usage(1, 2, 0.25, requests=3), None, Usage(10, 20, 0.5, requests=30)):
        purse.draw(1, 1, ())
        purse.settle((), usage, 0)
    assert (purse.usage, purse.cost) == (Usage(11, 22, 0.75, requests=33), Cost(0.75, 33, 3))


@pytest.mark.parametrize("usage", [Usage(1), Usage(0, 1), Usage(requests=1)])
def test_one_price_that_is_unknown_makes_the_sum_unknown_and_nothing_is_for_nothing(usage):
    purse = Purse()
    purse.settle((), Usage(), 0)
    assert (purse.cost.usd, purse.usage.usd) == (0.0, 0.0)
    purse.settle((), usage, 0)
    purse.settle((), Usage(1, 1, 0.5), 0)
    assert (purse.cost.usd, purse.usage.usd) == (None, None)


@pytest.mark.parametrize(
    ("usage", "calls", "charged"),
    [
        (Usage(200, 50, 0.00002), 2, (3, 300, 30)),
        (Usage(400, 50, 0.00006), 5, (5, 450, 60)),
    ],
)
def test_a_run_that_ends_late_is_charged_what_was_not_set_aside_for_it(usage, calls, charged):
    purse = Purse()
    purse.draw(1, 2, OF_RUN, 0)
    purse.settle(OF_RUN, None, 0)
    assert spent(purse) == (3, 300, 30)
    purse.settle_late_run(1, 2, usage, calls, 0)
    assert spent(purse) == charged


def test_a_run_without_any_budget_that_ends_late_is_only_counted():
    purse = Purse()
    purse.draw(1, 1, (), 0)
    purse.settle((), None, 0)
    purse.settle_late_run(1, 1, Usage(2, 3, 0.5), 4, 0)
    assert (purse.cost, purse.ledgers) == (Cost(0.5, 5, 4), {})
