"""Items of which only some may be under way at a time, and batches of them, in simulated worlds."""

from collections import Counter

import pytest

from interlock.testing.simulation.crashes import explore_crashes

from .mutants import NARROW
from .scenes_of import episodes, every_fault, scene, scenes


@pytest.mark.parametrize(
    ("faults", "more"), [((), set()), (every_fault(), {"StepEscalated"})], ids=["calm", "every fault"]
)
def test_nothing_breaks_and_everything_happens(faults, more):
    made, seen, sizes = scenes(NARROW, faults=faults), Counter(), set()
    for episode in episodes(made, range(40)):
        for account in episode.runs.values():
            seen.update(type(event).__name__ for event in account.events)
            sizes |= {len(items) for name, items in account.items_of.items() if name == "work"}
    assert {"StepExpanded", "EffectDone"} | more <= seen.keys()
    assert max(sizes) > 2


def test_a_crash_at_any_write_comes_to_the_same_end():
    report = explore_crashes(scene(NARROW, runs=1), seed=1)
    assert report.ok, report.differences[0].message
    assert report.writes > 10
