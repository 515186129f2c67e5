"""Runs wait in simulated worlds: time passes, events come in every way, and nothing breaks."""

from collections import Counter

import pytest

from interlock.core import events as e
from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scene, scenes

WAITS, ONCE = TEAMS / "waits.yaml", TEAMS / "waits_once.yaml"


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_waits_end_once_in_their_time_and_by_one_event(faults):
    made, seen = scenes(WAITS, faults=faults), Counter()
    for episode in episodes(made, range(25)):
        events = [event for account in episode.runs.values() for event in account.events]
        seen.update(type(event).__name__ for event in events)
        ended = [event for event in events if isinstance(event, e.WaitEnded)]
        seen.update("by an event" if event.event_id else f"in time: {event.then}" for event in ended)
    assert {
        "WaitBegun",
        "EventReceived",
        "EventRefused",
        "by an event",
        "in time: ",
        "in time: skip",
        "in time: dead",
        "in time: continue",
    } <= seen.keys()


@pytest.mark.slow
def test_whenever_the_process_dies_a_run_that_waits_comes_to_the_same_end():
    report = explore_crashes(scene(ONCE, seed=3), seed=3)
    assert report.ok, report.differences
    assert report.points > 50


def test_two_worlds_of_one_seed_are_the_same():
    made = scenes(WAITS, faults=every_fault())
    assert World(made.of(4), 4).play().digest == World(made.of(4), 4).play().digest


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (lambda us: e.WaitEnded(us, "pause"), "waits no more, and did not wait"),
        (lambda us: e.WaitBegun(us, "pause"), "begins to wait although it is committed"),
        (lambda us: e.EventReceived(us, "nobody", "x", "me"), "nothing will ever wait for it"),
        (lambda us: e.EventReceived(us, "payment_received", "payment_received-paid", "me"), "has come before"),
        (lambda us: e.EventRefused(us, "nobody", "x", "me", (), "pause"), "is refused for pause, and was not kept"),
    ],
)
def test_the_account_tells_what_must_not_be(event, message):
    account = World(scene(ONCE, calm=True), 0).play().runs["sim-0"]
    account.status = "running"
    with pytest.raises(Broken, match=message):
        account.hear(event(account.at_us))
