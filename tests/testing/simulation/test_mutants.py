"""Deliberate bugs in the runtime are found by simulation, and the runtime without them breaks nothing."""

import pytest

from .mutants import MUTANTS, SEEDS_MAX, caught, hunt

# Some bugs make worlds that take long, and the machine may have other work.
pytestmark = pytest.mark.timeout(300)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant",
    [pytest.param(bug, id=bug.name, marks=pytest.mark.thorough if bug.takes_minutes else ()) for bug in MUTANTS],
)
def test_a_deliberate_bug_is_caught(mutant):
    catch = hunt(mutant, [*filter(None, [caught().get(mutant.name)]), *range(SEEDS_MAX)])
    assert catch.invariant, f"{SEEDS_MAX:,} seeds did not find this bug: {mutant.name}"


@pytest.mark.slow
def test_without_a_bug_nothing_is_caught():
    catch = hunt(None, range(100))
    assert not catch.invariant, catch
