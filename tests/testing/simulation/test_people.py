"""People of simulated worlds: they raise budgets, and approve the effects of what was judged, and nothing breaks."""

from collections import Counter

import pytest

from interlock.core import events as e
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scenes

ASKED = TEAMS / "budgets_asked.yaml"
JUDGED = TEAMS / "effects_judged.yaml"


def told(team, faults):
    """What the runs of some worlds tell."""
    made = scenes(team, faults=faults)
    for episode in episodes(made, range(25)):
        yield from (account.events for account in episode.runs.values())


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_they_raise_budgets_reject_and_miss_deadlines(faults):
    seen = Counter()
    for events in told(ASKED, faults):
        seen.update(f"raised {event.budget}" for event in events if isinstance(event, e.BudgetRaised))
        seen.update(event.decision for event in events if isinstance(event, e.QuestionAnswered))
        seen.update(type(event).__name__ for event in events)
    assert {
        "raised run_budget",
        "raised agent_budget",
        "reject",
        "retry",
        "QuestionExpired",
    } <= seen.keys()


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_they_approve_effects_of_what_was_judged(faults):
    seen = Counter()
    for events in told(JUDGED, faults):
        drafted = {
            (event.step, event.attempt) for event in events if isinstance(event, e.ReplyDrafted) and event.effects
        }
        for event in events:
            if isinstance(event, e.AttemptCommitted | e.AttemptRefused) and (event.step, event.attempt) in drafted:
                seen[type(event).__name__, bool(event.effects)] += 1
            elif isinstance(event, e.QuestionAnswered):
                seen[event.decision, "an effect" if event.effect else "a reply" if event.effects else ""] += 1
    assert {("AttemptCommitted", True), ("AttemptRefused", True)} <= seen.keys()
    assert {("approve", "an effect"), ("approve", "a reply")} <= seen.keys()
    assert ("AttemptRefused", False) not in seen


def test_a_run_that_went_on_while_it_waited_for_room_is_returned_as_it_is():
    assert World(scenes(JUDGED, faults=every_fault()).of(88), 88).play().broken is None
