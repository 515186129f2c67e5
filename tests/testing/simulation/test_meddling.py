"""People meddle in simulated worlds: whatever strikes, runs forked at steps, and steps skipped, break no promise."""

from collections import Counter

import msgspec
import pytest

from interlock.core import events as e
from interlock.engine import forks
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import ALL_FEATURES, TEAMS, every_fault, scene, scenes

EFFECTS = TEAMS / "effects.yaml"
REQUESTS = TEAMS / "requests.yaml"
BUDGETS_ASKED = TEAMS / "budgets_asked.yaml"


def origins(episode):
    """Of the forks at a step, where they came from."""
    first = (account.events[0] for account in episode.runs.values())
    return [one.origin for one in first if isinstance(one, e.RunStarted) and one.origin and one.origin.at]


def test_nothing_breaks_whatever_strikes():
    seen = Counter()
    for team in (ALL_FEATURES, EFFECTS, REQUESTS, BUDGETS_ASKED):
        made = scenes(team, faults=every_fault())
        for seed in range(20):
            episode = World(msgspec.structs.replace(made.of(seed), meddling=True), seed).play()
            assert episode.broken is None, (team.name, seed, episode.broken)
            for origin in origins(episode):
                seen["forks"] += 1
                seen["of forks"] += origin.run_id.startswith("fork-")
                seen["repeated"] += origin.repeats_effects
            for event in (event for account in episode.runs.values() for event in account.events):
                if isinstance(event, e.RunReopened):
                    seen["skipped" if event.skip else "tried again"] += event.reason == "it will do"
                elif isinstance(event, e.QuestionAnswered):
                    seen["asked, and skipped"] += event.decision == "skip"
    assert {"forks", "of forks", "repeated", "skipped", "tried again", "asked, and skipped"} == (+seen).keys()


def test_a_day_that_is_over_does_not_come_back_with_a_clock_that_is_set_back():
    """Half of the calls of this world are made after that: their budget is that of the next day."""
    made = scenes(faults=every_fault()).of(58)
    episode = World(msgspec.structs.replace(made, meddling=True), 58).play()
    assert episode.broken is None, episode.broken


def test_nobody_meddles_where_that_is_not_said():
    assert origins(World(scene(EFFECTS, 1), 1).play()) == []


@pytest.mark.parametrize("seed", [3, 11])
def test_a_crash_at_any_write_comes_to_the_same_end(seed):
    forking = msgspec.structs.replace(scene(REQUESTS, seed, runs=2), people=False, meddling=True)
    assert len(origins(World(forking, seed).play())) == 2
    report = explore_crashes(forking, seed)
    assert report.ok, report.differences[0].message


def without_writes(facts):
    return [msgspec.structs.replace(one, writes={}) if isinstance(one, e.StepShared) else one for one in facts]


def without_effects(facts):
    return [one for one in facts if not isinstance(one, e.EffectShared)]


def first_found():
    """What is found first in worlds where runs are forked."""
    worlds = (World(msgspec.structs.replace(scene(EFFECTS, seed), meddling=True), seed) for seed in range(30))
    return next(filter(None, (world.play().broken for world in worlds)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(without_writes, "what a fork takes over"), (without_effects, "the effects that a fork knows to be done")],
)
def test_a_fork_that_forgets_something_is_found(monkeypatch, wrong, said):
    share = forks.taken_over
    monkeypatch.setattr(forks, "taken_over", lambda *args, **given: wrong(share(*args, **given)))
    broken = first_found()
    assert broken.invariant == "redrive"
    assert said in str(broken)


def test_a_fork_that_shares_what_it_does_again_is_found(monkeypatch):
    share = forks.taken_over

    def too_much(machine, run_id, events, steps, *args, **given):
        dead = [step for step in steps if machine.state[machine.number[step]] == "dead"]
        return share(machine, run_id, events, dead, *args, **given)

    monkeypatch.setattr(forks, "taken_over", too_much)
    assert "what a fork takes over" in str(first_found())
