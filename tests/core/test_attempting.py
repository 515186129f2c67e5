"""How a step is tried: what an attempt that did not commit is followed by, and what it has consumed."""

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core.job import Usage
from interlock.core.policy import Policy

from .test_settlement import decide
from .transcripts import Transcript, step


def failed(run: Transcript, **given: object) -> list[str]:
    run.start("a")
    return run.say(e.AttemptFailed(run.tick(), "a", run.calls["a"].attempt, "error", "it broke", **given))


def test_a_server_that_is_busy_is_left_alone_for_as_long_as_it_asks():
    run = Transcript(step("a"), policy=Policy(retries=1, backoff_ms=1_000))
    run.begin()
    assert failed(run, retry_after_ms=5_000) == [f"wake a at {run.at_us + 5_000_000:,}"]


def test_a_call_that_is_held_is_looked_at_again_when_its_gate_says_so():
    for until_us, wait_ms in ((3_500_000, 2_500), (3_500_001, 2_501), (1, 1)):
        run = Transcript(step("a"))
        run.begin()
        held = e.CallHeld(run.tick(), "a", "ann", "rate", "it is full", until_us)
        assert run.machine.advance([held], run.at_us) == [c.StartTimer(1, "a", until_us, wait_ms)]


def test_what_a_call_has_consumed_that_failed_is_paid_for():
    run = Transcript(step("a"), policy=Policy(retries=1, backoff_ms=0))
    run.begin()
    failed(run, usage=Usage(5, 6, 0.5))
    assert run.machine.purse.usage == Usage(5, 6, 0.5)


def test_a_further_attempt_may_begin_at_the_last_moment_of_its_time():
    run = Transcript(step("a"), policy=Policy(retries=9, backoff_ms=1_000, retry_for_ms=2_000))
    run.begin()
    assert failed(run) == [f"wake a at {run.at_us + 1_000_000:,}"]
    run.say(e.BackoffEnded(run.tick(), "a"))
    assert failed(run)[0] == "buried a: it broke; no other attempt may begin after 2 s"


def test_what_a_person_has_tried_again_has_all_its_time_again():
    run = Transcript(step("a", escalate=True), policy=Policy(retries=1, reissues_max=0, retry_for_ms=3_000))
    run.begin()
    run.start("a")
    assert run.crash()[0].startswith("escalated a: ")
    run.at_us += 3_600_000_000
    assert decide(run, "a", "retry") == ["call ann for a #2"]
    assert run.refuse("a") == ["call ann for a #3"]
