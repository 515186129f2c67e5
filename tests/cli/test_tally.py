"""What many runs come to."""

import pytest

from interlock.cli.tally import Tally
from interlock.core import events as e
from interlock.core.job import Usage
from interlock.core.machine import Cost
from interlock.engine.run import Run


def started(step, agent, attempt=1):
    return e.AttemptStarted(1, step, attempt, agent, "view")


def test_calls_are_counted_by_agent_and_by_how_they_ended():
    tally = Tally(2)
    tally.happened("one", [started("sort", "triage"), e.AttemptFailed(2, "sort", 1, "timeout", "too slow")])
    tally.happened("one", [e.BackoffEnded(3, "sort"), started("sort", "backup", 2)])
    tally.happened("two", [started("sort", "triage")])
    tally.happened("one", [e.AttemptFailed(4, "sort", 2, "rate_limited", "later")])
    tally.happened("two", [e.AttemptCommitted(5, "sort", 1)])
    assert tally.outcomes == {"triage": {"timed out": 1, "committed": 1}, "backup": {"rate_limited": 1}}


def test_a_call_that_began_in_another_process_is_nobodys():
    tally = Tally(1)
    tally.happened("one", [e.AttemptInterrupted(1, "sort", 1), started("sort", "triage")])
    assert tally.outcomes == {}


@pytest.mark.parametrize(
    "end", [e.RunCancelled(3, "ann", "enough"), e.RunFinished(3, "failed", "no")], ids=["run", "step"]
)
def test_calls_of_a_run_that_is_over_are_cancelled(end):
    tally = Tally(1)
    tally.happened("one", [started("sort", "triage"), started("check", "triage")])
    tally.happened("one", [e.AttemptCommitted(2, "check", 1), end])
    assert tally.outcomes == {"triage": {"committed": 1, "cancelled": 1}}
    assert tally.in_flight == {}


def held(step):
    return e.CallHeld(1, step, "triage", "breaker", "its breaker is open", 9)


def test_steps_that_wait_at_gates_are_counted_until_they_go_on():
    tally = Tally(3)
    tally.happened("one", [held("sort"), held("check")])
    tally.happened("two", [held("sort")])
    assert tally.waiting == 3
    tally.happened("one", [e.ReplyArrivedLate(2, "sort", 1)])
    assert tally.waiting == 3
    tally.happened(
        "one", [e.BackoffEnded(2, "sort"), held("sort"), e.BackoffEnded(3, "sort"), started("sort", "triage")]
    )
    assert tally.waiting == 2
    tally.happened("one", [e.StepBuried(3, "check", "given up")])
    tally.happened("two", [e.RunCancelled(4, "ann")])
    assert tally.waiting == 0


def test_what_is_counted_is_what_was_done_now():
    tally = Tally(1)
    usage = Usage(10, 5, 0.25)
    tally.happened("one", [started("sort", "triage"), e.AttemptCommitted(2, "sort", 1, usage=usage)])
    tally.happened("one", [started("check", "triage"), e.AttemptFailed(3, "check", 1, "error", "no", usage=usage)])
    tally.happened("one", [e.ReplyArrivedLate(4, "check", 1, usage)])
    run = Run("one", "succeeded", "", {}, {}, Cost(9.0, 900, 90), 1.0, 0)
    tally.add(run)
    assert (tally.calls, tally.tokens, tally.usd, tally.done) == (2, 45, 0.75, 1)
    tally.happened("two", [started("sort", "triage"), e.AttemptRefused(5, "sort", 1, (), usage=Usage(1))])
    assert (tally.calls, tally.tokens, tally.usd) == (3, 46, None)
    tally.happened("two", [started("sort", "triage"), e.AttemptCommitted(6, "sort", 2, usage=usage)])
    assert (tally.calls, tally.usd) == (4, None)
