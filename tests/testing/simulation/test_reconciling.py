"""Contradictions in simulated worlds are settled by every policy, and an account of its own comes to the same."""

from collections import Counter

import pytest

from interlock.core import events as e
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scene, scenes

TEAM = TEAMS / "reconciled.yaml"


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_every_contradiction_is_told_and_settled_as_declared(faults):
    made, seen = scenes(TEAM, faults=faults), Counter()
    for episode in episodes(made, range(25)):
        events = [event for account in episode.runs.values() for event in account.events]
        resolved = [event for event in events if isinstance(event, e.ConflictsResolved)]
        seen.update(one.by for event in resolved for one in event.settled)
        seen.update("left out" for event in resolved if event.left_out)
        seen.update("absent" for event in resolved for one in event.settled for said in one.said if said.absent)
    assert {"first", "vote", "score", "judge judge", "person:sim", "absent"} <= seen.keys()
    assert "left out" in seen or not faults


@pytest.mark.slow
def test_whenever_the_process_dies_the_same_is_taken():
    report = explore_crashes(scene(TEAM, seed=3), seed=3)
    assert report.ok, report.differences
    assert report.points > 30


def test_two_worlds_of_one_seed_are_the_same():
    made = scenes(TEAM, faults=every_fault())
    assert World(made.of(4), 4).play().digest == World(made.of(4), 4).play().digest
