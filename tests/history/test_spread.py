"""Percentiles: exact while values are few, within a percent of the true one afterwards, in bounded memory always."""

import random

import pytest

from interlock.history.spread import ERROR_MAX, EXACT_MAX, LARGEST, SMALLEST, Spread


def spread(values):
    made = Spread()
    for value in values:
        made.add(value)
    return made


def ranked(values, percent):
    """The nearest rank, counted."""
    ordered = sorted(values)
    return next(value for n, value in enumerate(ordered, 1) if 100 * n >= percent * len(ordered))


def test_without_values_there_is_nothing_to_tell():
    assert spread([]).percentile(50) is None
    assert spread([]).to_dict() == {"count": 0, "p50": None, "p95": None, "max": None, "exact": True}


def test_of_few_values_each_percentile_is_one_of_them():
    assert spread([7.12345]).to_dict() == {"count": 1, "p50": 7.123, "p95": 7.123, "max": 7.123, "exact": True}
    values = [*range(1, 101)]
    random.Random(1).shuffle(values)
    told = spread(values)
    assert [told.percentile(percent) for percent in (0, 1, 50, 95, 99.5, 100)] == [1, 1, 50, 95, 100, 100]


def test_below_nothing_there_is_nothing():
    assert spread([-1.0]).percentile(50) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("draw", ["expovariate", "lognormvariate", "uniform"])
def test_of_many_values_a_percentile_is_within_its_error(seed, draw):
    chance = random.Random(seed)
    arguments = {"expovariate": (0.01,), "lognormvariate": (3, 3), "uniform": (0, 1_000)}[draw]
    values = [getattr(chance, draw)(*arguments) for _ in range(20_000)]
    told = spread(values)
    assert not told.is_exact
    for percent in (1, 50, 90, 95, 99, 99.9):
        assert told.percentile(percent) == pytest.approx(ranked(values, percent), rel=ERROR_MAX * 1.0001)
    assert told.percentile(100) == told.largest == max(values)
    assert told.count == 20_000


def test_the_last_exact_value_and_the_first_that_is_not():
    told = spread(range(EXACT_MAX))
    assert told.is_exact
    assert told.percentile(50) == EXACT_MAX / 2 - 1
    told.add(EXACT_MAX)
    assert not told.is_exact
    assert not told.values
    assert told.percentile(50) == pytest.approx(EXACT_MAX / 2, rel=ERROR_MAX)


def test_values_of_any_size_take_bounded_memory():
    chance = random.Random(1)
    told = spread(10 ** chance.uniform(-30, 30) for _ in range(50_000))
    told.add(0.0)
    assert len(told.buckets) < 2_900
    assert told.percentile(1) == 0, "what is smaller than any duration counts as none"
    assert told.percentile(60) == pytest.approx(1e6, rel=1)
    assert told.percentile(99) == pytest.approx(LARGEST, rel=0.02)


def test_the_smallest_value_is_no_more_than_it_is():
    told = spread([SMALLEST] * (EXACT_MAX + 1))
    assert told.percentile(50) == pytest.approx(SMALLEST, rel=ERROR_MAX)


@pytest.mark.parametrize(
    "sizes", [(3, 4), (EXACT_MAX, 1), (1, EXACT_MAX), (2_000, 5), (5, 2_000), (2_000, 3_000), (0, 2)]
)
def test_two_together_are_as_one_of_all_values(sizes):
    chance = random.Random(2)
    first, second = ([chance.expovariate(1) for _ in range(size)] for size in sizes)
    together = spread(first)
    together.include(spread(second))
    assert together == spread([*first, *second])
