"""Runs that do steps of another: what the events of that one tell of them, and that their cost is counted once."""

import msgspec

from interlock.core import events as e
from interlock.core.job import Usage
from interlock.core.plan import Plan
from interlock.core.step import Step
from interlock.history import Figures, children
from interlock.ports import RunRow

BEGUN = e.ChildStarted(1, "s", 1, "team", "v", "c", due_us=9)
PLAN = Plan([Step("s", "ann", "act")])


def told(*events):
    return [(one.run_id, one.status, one.reason, one.ended_us, one.given_up) for one in children(events)]


def test_a_run_that_does_a_step_goes_on_until_it_is_told_otherwise():
    assert told(BEGUN) == [("c", "running", "", 0, False)]
    [one] = children([BEGUN])
    assert (one.step, one.attempt, one.agent, one.at_us, one.due_us) == ("s", 1, "team", 1, 9)


def test_what_is_told_last_counts():
    parked = e.ChildParked(2, "s", 1, "c", "it asks", 5)
    assert told(BEGUN, parked) == [("c", "parked", "it asks", 0, False)]
    ended = e.ChildEnded(3, "s", 1, "c", "failed", "no luck")
    assert told(BEGUN, parked, ended) == [("c", "failed", "no luck", 3, False)]
    assert told(BEGUN, parked, ended, msgspec.structs.replace(BEGUN, at_us=4)) == [("c", "running", "", 0, False)]


def test_one_whose_time_was_over_is_waited_for_no_longer():
    given_up = e.ChildAbandoned(2, "s", 1, "c")
    assert told(BEGUN, given_up) == [("c", "running", "", 0, True)]
    late = e.ChildEnded(3, "s", 1, "c", "cancelled", late=True)
    assert told(BEGUN, given_up, late) == [("c", "cancelled", "", 3, True)]


def test_what_was_never_begun_is_passed_over():
    assert told(e.ChildEnded(3, "s", 1, "c", "failed")) == []


def figures(*, only=()):
    """Of a run that calls ann, and one that does a step of it in which bob is called."""
    found = Figures(only)
    start, usage = e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p"), Usage(10, 5, 0.25)
    rows = {name: RunRow(name, "succeeded", "", "t", "p", "", "", 0, 1, 2, parent=above) for name, above in ABOVE}
    ended = e.ChildEnded(8, "s", 1, "c", "succeeded", usage=usage, calls=1)
    for name, agent, more in (("c", "bob", ()), ("r", "ann", (BEGUN, ended))):
        calls = (e.AttemptStarted(1, "s", 1, agent, "v"), e.AttemptCommitted(2, "s", 1, usage=usage))
        found.add(rows[name], PLAN, [start, *calls, *more])
    return found


ABOVE = (("c", "r"), ("r", ""))


def test_what_a_nested_team_has_consumed_is_counted_once_and_is_part_of_the_run_at_the_top():
    found = figures().to_dict()
    assert found["runs"] == {"read": 1, "succeeded": 1, "nested": 1}
    assert found["total"]["usd"] == 0.5
    assert [(found["total"]["per_run"]["usd"][name]) for name in ("count", "max")] == [1, 0.5]
    assert [found["agents"][name]["usd"] for name in ("ann", "bob")] == [0.25, 0.25]


def test_of_some_agents_alone_each_run_is_what_they_cost_in_it():
    found = figures(only=["bob"]).to_dict()
    assert list(found["agents"]) == ["bob"]
    assert found["total"]["usd"] == 0.25
    assert found["total"]["per_run"]["usd"]["max"] == 0.25
