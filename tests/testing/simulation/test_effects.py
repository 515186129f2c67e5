"""Effects in simulated worlds: whatever strikes, none is done twice, too early, or for a reply that was refused."""

from collections import Counter

import pytest

from interlock.core import events as e
from interlock.testing.injection.faults import EFFECT
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, fault, scene, scenes

EFFECTS = TEAMS / "effects.yaml"
APPROVED = TEAMS / "effects_approved.yaml"
RETRIED = TEAMS / "effects_retried.yaml"


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_nothing_breaks_and_everything_happens(faults):
    made, seen = scenes(EFFECTS, faults=faults), Counter()
    for episode in episodes(made, range(60)):
        seen.update(type(event).__name__ for account in episode.runs.values() for event in account.events)
    assert {"EffectStarted", "EffectDone", "EffectFailed", "EffectBecameUnknown"} <= seen.keys()


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_people_approve_reject_and_miss_deadlines_and_nothing_breaks(faults):
    made, seen = scenes(APPROVED, faults=faults), Counter()
    for episode in episodes(made, range(25)):
        for account in episode.runs.values():
            seen.update(_decided(event) for event in account.events)
    assert {"approve an effect", "reject", "QuestionExpired", "EffectDone"} <= seen.keys()


def _decided(event):
    if not isinstance(event, e.QuestionAnswered):
        return type(event).__name__
    return event.decision + (" an effect" if event.effect else "")


@pytest.mark.parametrize("kind", EFFECT)
def test_a_broken_effect_is_told_for_what_it_is(kind):
    made, told, struck = scenes(RETRIED, faults=[fault(kind, step="first", attempt=1)]), [], []
    for episode in episodes(made, range(8)):
        struck += [one.kind for one in episode.struck]
        told += [type(event).__name__ for account in episode.runs.values() for event in account.events]
    assert set(struck) == {kind}
    assert told.count("EffectFailed" if kind == "effect_error" else "EffectBecameUnknown") >= len(struck)


def test_a_crash_at_any_write_comes_to_the_same_end_where_what_is_unknown_is_retried():
    report = explore_crashes(scene(RETRIED, runs=1), seed=3)

    assert report.ok, report.differences[0].message
    assert report.writes > 10


def test_with_a_real_journal():
    episode = World(scene(EFFECTS, faults=every_fault(), sqlite=True, seed=5), 5).play()

    assert episode.broken is None


def test_the_world_outside_sees_each_effect_that_is_done():
    episode = World(scene(EFFECTS, seed=1), 1).play()
    for account in episode.runs.values():
        done = [event for event in account.events if isinstance(event, e.EffectDone)]
        effects = account.effects.known.values()
        assert len(done) == sum(one.done for one in effects)
        assert all(one.completed for one in effects if one.done)
