"""Many seeds: counted, played in several processes, and made small where one breaks something."""

from pathlib import Path

import pytest

from interlock.errors import FaultsError, InputError, TeamError
from interlock.testing.injection.faults import EFFECT, Faults
from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.campaign import Recipe, Report, campaign, named_invariant, play, shrink
from interlock.testing.simulation.world import World

from .invariants import nobody_raises
from .scenes_of import ALL_FEATURES, DESK, every_fault, fault, scene, scenes


def recipe(team=DESK, **given):
    given.setdefault("faults", every_fault().document)
    return Recipe(team=str(team), **given)


def test_every_kind_of_fault_strikes_within_some_hundred_seeds_and_breaks_nothing():
    report = play(recipe().scenes(), range(400))
    assert report.broken == {}
    assert set(report.faults) == {one.fault for one in Faults.everything().faults} - {*EFFECT}, "it has no effects"
    assert report.seeds == 400
    assert sum(report.statuses.values()) == 400 * 3


def test_several_processes_find_what_one_finds():
    one, two = (campaign(recipe(), range(60), workers=workers) for workers in (1, 2))
    assert one == two


def test_progress_is_told_as_it_comes():
    told = []
    campaign(recipe(), range(60), progress=lambda report: told.append(report.seeds))
    assert told == [25, 50, 60]


def test_the_lowest_broken_seed_is_the_first(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    given = recipe(invariants=["tests.testing.simulation.invariants:nobody_is_cancelled"])
    seeds = range(400)
    one, two = (campaign(given, seeds, workers=workers) for workers in (1, 2))
    assert one.first_broken is not None
    assert one.first_broken == two.first_broken
    assert one.broken[one.first_broken].invariant == "nobody_is_cancelled"


def test_a_broken_world_is_made_small():
    """Of three runs and many faults, one of each remains."""
    faults = Faults([fault("exception", probability=0.1), fault("oversized", probability=0.3)])

    def of(seed):
        return scene(ALL_FEATURES, seed, faults=faults, invariants=[nobody_raises])

    seed = next(seed for seed in range(100) if World(of(seed), seed).play().broken)
    failure = shrink(of(seed), seed)

    assert failure is not None
    assert failure.broken.invariant == "nobody_raises"
    assert len(failure.episode.runs) == 1
    assert [struck.kind for struck in failure.episode.struck] == ["exception"]
    assert failure.faults_before > 1
    assert shrink(of(seed), seed).episode.digest == failure.episode.digest


def test_nothing_broken_is_nothing_to_make_small():
    assert shrink(scene(), 0) is None


def test_given_requests_are_used_in_turn():
    given = [b'{"question":"%d"}' % n for n in range(5)]
    made = scenes(requests=given, runs=2)
    assert [list(made.of(seed).requests) for seed in range(3)] == [given[0:2], given[2:4], [given[4], given[0]]]


def test_generated_requests_hang_on_the_seed_alone():
    assert scenes().of(7).requests == scenes().of(7).requests
    assert scenes().of(7).requests != scenes().of(8).requests


def test_a_report_adds_up():
    first, second = play(recipe().scenes(), range(20)), play(recipe().scenes(), range(20, 40))
    both = Report()
    both.merge(first)
    both.merge(second)
    assert both == play(recipe().scenes(), range(40))


def test_the_first_broken_seed_is_the_lowest():
    broken = {seed: Broken("views", "seen") for seed in (9, 4, 7)}
    assert Report(broken=broken).first_broken == 4
    assert Report().first_broken is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no.such.module:check", "can't be imported"),
        ("tests.testing.simulation.invariants:nobody_is_canceled", "did you mean nobody_is_cancelled"),
        ("tests.testing.simulation.invariants", "no function"),
    ],
)
def test_an_invariant_that_is_not_there_is_named(name, says):
    with pytest.raises(InputError, match=says):
        named_invariant(name)


def test_a_recipe_that_fits_no_team_is_refused():
    with pytest.raises(TeamError):
        recipe(team="nowhere").scenes()
    with pytest.raises(FaultsError, match="nobody"):
        recipe(faults=Faults([fault("timeout", agent="nobody")]).document).scenes()
