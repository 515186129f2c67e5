"""Runs in which an agent had another go on, told afterwards: who requested what, and that it all follows."""

import pytest

import interlock as il
import interlock.core.events as e
from interlock.history import compare, lineage, replay, story

from .runs import Noting, ran, step, tampered

ESCALATE = il.Request("escalate", "eve")
GRANTED = e.BranchRequested("escalate", "eve", "b")


def team():
    agents = [
        il.Agent("ann", scope=il.Scope(["act", "escalate"], ["*"], ["out.a"]), retries=1),
        il.Agent("eve", scope=il.Scope(["act"], ["*"], ["out.b", "out.c"])),
    ]
    steps = [step("a", on_request={"escalate": "b"}), step("b", "a", agent="eve"), step("c", "b", agent="eve")]
    return il.Team(agents, il.Plan(steps))


@pytest.fixture(scope="module")
def told():
    """The first attempt overreaches, the second doesn't."""
    overreaching = il.Reply(writes={"out.a": 1}, request=il.Request("escalate", "ann"))
    agent = Noting(a=[overreaching, il.Reply(writes={"out.a": 2}, request=ESCALATE)])
    return ran(team(), agent)


@pytest.fixture(scope="module")
def unrequested():
    return ran(team(), Noting(a=[{"out.a": 2}]))


def test_an_attempt_tells_what_it_requested(told):
    first, second, *rest = story(told).attempts
    assert [(found.code, found.message) for found in first.findings] == [
        ("request", "escalate is requested of eve (step b), not 'ann'")
    ]
    assert (first.request, second.request) == (None, GRANTED)
    assert second.to_dict()["request"] == {"action": "escalate", "to": "eve", "step": "b"}
    assert not any("request" in attempt.to_dict() for attempt in (first, *rest))


def test_a_step_tells_that_it_is_a_branch_and_why_it_was_skipped(told, unrequested):
    branch = story(told).steps[1].to_dict()
    assert (branch["state"], branch["branch_of"]) == ("committed", ("a",))
    assert "branch_of" not in story(told).steps[0].to_dict()
    skipped = story(unrequested).steps[1]
    assert (skipped.state, skipped.reason) == ("skipped", "it was not requested by a")


def test_lineage_tells_whose_request_a_writer_ran_for(told):
    (origin,) = lineage(told, "out.b").first
    assert origin.to_dict()["requested_by"] == ("a",)
    assert "requested_by" not in lineage(told, "out.a").first[0].to_dict()
    assert "requested_by" not in lineage(told, "out.c").first[0].to_dict()


def test_what_two_runs_requested_otherwise_is_a_difference(unrequested):
    requested = ran(team(), Noting(a=[il.Reply(writes={"out.a": 2}, request=ESCALATE)]))
    first, second, _ = compare(requested, unrequested).steps
    assert [contrast.path for contrast in first.contrasts] == ["request"]
    assert (second.step, second.kind) == ("b", "state")


def test_it_all_follows_from_its_events(told, unrequested):
    assert [moment.mismatches for run in (told, unrequested) for moment in replay(run) if moment.mismatches] == []


@pytest.mark.parametrize(
    "forged",
    [
        {"action": "refund", "to": "eve", "step": "b"},
        {"action": "escalate", "to": "ann", "step": "b"},
        {"action": "escalate", "to": "eve", "step": "c"},
        {"action": "escalate", "to": "eve", "step": "z"},
        None,
    ],
)
def test_a_request_that_was_not_granted_does_not_follow(told, forged):
    changed, _ = tampered(told, e.AttemptCommitted, {"request": forged})
    assert any(moment.mismatches for moment in replay(changed))
