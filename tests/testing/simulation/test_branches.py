"""Requests in simulated worlds: whatever strikes, a branch runs where its request was granted, and nowhere else."""

from collections import Counter

import pytest

from interlock.core import events as e
from interlock.core.events import BranchRequested
from interlock.core.job import Request
from interlock.team import Team
from interlock.testing.simulation.account.branches import BranchesAccount
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scene, scenes

REQUESTS = TEAMS / "requests.yaml"


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_nothing_breaks_and_branches_run_and_are_skipped(faults):
    made, seen = scenes(REQUESTS, faults=faults), Counter()
    for episode in episodes(made, range(60)):
        for account in episode.runs.values():
            for event in account.events:
                if isinstance(event, e.AttemptCommitted):
                    seen[event.step] += event.step in {"decide-1", "help-0", "close"}
                    seen["granted"] += event.request is not None
                elif isinstance(event, e.StepSkipped):
                    seen["skipped"] += event.reason.startswith("it was not requested by ")
                elif isinstance(event, e.AttemptRefused):
                    seen["refused"] += any(finding.code == "request" for finding in event.findings)
    assert {"decide-1", "help-0", "close", "granted", "skipped"} <= (+seen).keys()
    assert bool(seen["refused"]) == bool(faults)


def test_a_crash_at_any_write_comes_to_the_same_end():
    report = explore_crashes(scene(REQUESTS, runs=1), seed=0)

    assert report.ok, report.differences[0].message
    assert report.writes > 5


def test_with_a_real_journal():
    episode = World(scene(REQUESTS, faults=every_fault(), sqlite=True, seed=5), 5).play()

    assert episode.broken is None


# --- the account ---


def account():
    found = []

    def require(invariant, holds, message):
        assert invariant == "requests"
        if not holds:
            found.append(message)

    rules = Team.load(REQUESTS).rules
    return BranchesAccount(rules, require), {step.id: step for step in rules.plan.steps[1:]}, found


@pytest.mark.parametrize(
    ("agent", "request_", "message"),
    [
        ("beginner", BranchRequested("escalate", "expert", "decide"), "beginner requests escalate, which is none of"),
        ("reader", BranchRequested("escalate", "expert", "close"), "read runs close, which is no branch of it"),
        ("reader", BranchRequested("escalate", "helper", "decide"), "read requests decide of helper, who doesn't do"),
    ],
)
def test_a_request_that_could_not_be_granted_is_noticed(agent, request_, message):
    mine, steps, found = account()
    mine.hear(steps["read"], agent, request_)
    assert [sentence.startswith(message) for sentence in found] == [True], found


def test_a_branch_is_wanted_once_it_was_requested():
    mine, steps, found = account()
    assert [name for name, step in steps.items() if mine.is_wanted(step)] == ["read", "note", "after"]
    mine.hear(steps["read"], "reader", BranchRequested("escalate", "expert", "decide"))
    assert mine.is_wanted(steps["decide-1"])
    assert not found


def test_what_a_reply_may_mean():
    mine, steps, _ = account()
    assert mine.meant(steps["read"], Request("escalate", "decide")) == ("escalate", "decide")
    assert mine.meant(steps["read"], Request("get_help", "helper")) == ("get_help", "help")
    for request in (None, Request("escalate", "helper"), Request("refund", "helper")):
        assert mine.meant(steps["read"], request) is None
