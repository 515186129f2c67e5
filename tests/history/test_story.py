"""The story of a run, told from its events."""

import msgspec
import pytest

from interlock import history
from interlock.core import events as e
from interlock.core.breaker import BreakerPolicy
from interlock.core.gate import GatePolicy
from interlock.core.job import Question, Usage
from interlock.core.plan import Plan
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.errors import BrokenPromise
from interlock.ports import RunRow

MS = 1_000


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


def started(at, step, attempt=1, agent="a"):
    return e.AttemptStarted(at, step, attempt, agent, "v" * 8)


def committed(at, step, attempt=1, **more):
    return e.AttemptCommitted(at, step, attempt, **more)


def printed(told):
    """A document as it comes out of --json."""
    return msgspec.json.decode(msgspec.json.encode(told.to_dict()))


def outcomes(events):
    return [(a.step, a.attempt, a.outcome, a.duration_ms) for a in history.attempts(events)]


def test_each_outcome_ends_its_attempt():
    finding = e.Finding("scope", "a may not write x", "x")
    events = [
        started(0, "s"),
        e.AttemptRefused(2 * MS, "s", 1, (finding,), raw({"x": 1}), usage=Usage(input_tokens=3)),
        started(3 * MS, "s", 2),
        e.AttemptFailed(5 * MS, "s", 2, "timeout", "timed out after 2 s", usage=Usage(output_tokens=4)),
        e.BackoffEnded(6 * MS, "s"),
        started(6 * MS, "s", 3, "b"),
        e.AttemptFailed(7 * MS, "s", 3, "crash", "its process died"),
        started(8 * MS, "s", 4, "b"),
        e.AttemptFailed(9 * MS, "s", 4, "error", "ValueError: no"),
        started(10 * MS, "s", 5, "b"),
        committed(11 * MS, "s", 5, writes={"x": raw([1])}, output=raw("why"), confidence=0.5, deletes=("y",)),
    ]
    assert outcomes(events) == [
        ("s", 1, "refused", 2.0),
        ("s", 2, "timed out", 2.0),
        ("s", 3, "crashed", 1.0),
        ("s", 4, "failed", 1.0),
        ("s", 5, "committed", 1.0),
    ]
    refused, timed_out, _, _, done = map(printed, history.attempts(events))
    assert refused["findings"] == [{"code": "scope", "message": "a may not write x", "path": "x"}]
    assert (refused["reply"], refused["usage"]) == ({"x": 1}, {"input_tokens": 3})
    assert (timed_out["error"], timed_out["usage"]) == ("timed out after 2 s", {"output_tokens": 4})
    assert (done["writes"], done["output"], done["confidence"], done["deletes"]) == ({"x": [1]}, "why", 0.5, ["y"])
    assert (done["agent"], done["view"], done["at"]) == ("b", "vvvvvvvv", "1970-01-01T00:00:00.010000Z")


def test_what_guardrails_said_is_told_of_what_was_refused_and_of_what_was_committed():
    finding = e.Finding("taste", "too dull")
    events = [
        started(0, "s"),
        e.AttemptRefused(1, "s", 1, (finding,), score=0.0, scores={"taste": 0.0}),
        started(2, "s", 2),
        committed(3, "s", 2, score=0.75, scores={"taste": 0.75}, findings=(finding,), confidence=0.0),
        started(4, "t"),
        committed(5, "t"),
    ]
    refused, done, unguarded = map(printed, history.attempts(events))
    told = [{"code": "taste", "message": "too dull"}]
    assert (refused["score"], refused["scores"], refused["findings"]) == (0, {"taste": 0}, told)
    assert (done["score"], done["scores"], done["findings"]) == (0.75, {"taste": 0.75}, told)
    assert done["confidence"] == 0
    assert not {"score", "scores", "findings"} & {*unguarded}


def test_a_call_lost_in_a_crash_and_the_one_that_replaced_it_are_two():
    events = [started(0, "s"), e.AttemptInterrupted(5 * MS, "s", 1), started(6 * MS, "s"), committed(7 * MS, "s")]
    assert outcomes(events) == [("s", 1, "interrupted", 5.0), ("s", 1, "committed", 1.0)]


def test_a_late_reply_belongs_to_its_attempt():
    events = [
        started(0, "s"),
        e.AttemptFailed(5 * MS, "s", 1, "timeout", "timed out"),
        started(6 * MS, "s", 2),
        e.ReplyArrivedLate(7 * MS, "s", 1, Usage(output_tokens=4)),
    ]
    first, second = history.attempts(events)
    assert (first.outcome, first.late, first.usage) == ("timed out", True, Usage(output_tokens=4))
    assert (second.outcome, second.late, second.duration_ms) == ("running", False, None)
    assert second.to_dict()["duration_ms"] is None


def test_a_question_and_a_cancelled_run_end_what_was_going_on():
    events = [
        started(0, "s"),
        started(0, "t"),
        e.QuestionAsked(1 * MS, "s", 1, Question("may I?", ("yes", "no"))),
        e.RunCancelled(3 * MS, "person:ann"),
    ]
    assert outcomes(events) == [("s", 1, "asked", 1.0), ("t", 1, "cancelled", 3.0)]
    assert printed(history.attempts(events)[0])["question"] == {"text": "may I?", "choices": ["yes", "no"]}


def rules(*steps):
    scope = Scope(allowed_actions=["do"], context_access=["in"], write_permissions=["out.*"])
    return Rules(Plan(steps), {"a": Role(scope)})


def story(row, plan, events):
    return history.story(history.Record(row, "t", plan, events))


def a_row(**more):
    fields = {"run_id": "r", "status": "running", "reason": "", "team": "t", "plan": "p", "source": "team.yaml"}
    return RunRow(**(fields | {"batch": "b", "row": 7, "started_us": 0, "ended_us": 0} | more))


def test_the_story_of_a_whole_run():
    plan = rules(
        Step("one", "a", "do", writes=["out.one"]),
        Step("many", "a", "do", for_each="in.list", writes=["out.n{index}"]),
        Step("last", "a", "do", needs=["one", "many"], writes=["out.last"]),
    )
    events = [
        e.RunStarted(0, raw({"in": {"list": ["x", "y"]}}), "t", "p"),
        e.StepExpanded(0, "many", raw(["x", "y"])),
        started(0, "one"),
        started(0, "many-0"),
        started(0, "many-1"),
        committed(1 * MS, "one", writes={"out.one": raw(1)}, usage=Usage(input_tokens=5, usd=0.5)),
        committed(2 * MS, "many-1", writes={"out.n1": raw("Y")}),
        committed(3 * MS, "many-0", writes={"out.n0": raw("X")}),
        started(3 * MS, "last"),
    ]
    told = printed(story(a_row(), plan, events))
    assert told["plan"] == [
        {"id": "one", "agent": "a", "action": "do", "needs": [], "state": "committed"},
        {"id": "many", "agent": "a", "action": "do", "needs": [], "state": "committed"},
        {"id": "many-0", "agent": "a", "action": "do", "needs": [], "state": "committed", "item_of": "many"},
        {"id": "many-1", "agent": "a", "action": "do", "needs": [], "state": "committed", "item_of": "many"},
        {"id": "last", "agent": "a", "action": "do", "needs": ["one", "many"], "state": "running"},
    ]
    assert told["context"] == {"in": {"list": ["x", "y"]}, "out": {"one": 1, "n0": "X", "n1": "Y"}}
    assert told["cost"] == {"usd": 0.5, "tokens": 5, "calls": 4}
    assert [attempt["step"] for attempt in told["attempts"]] == ["one", "many-0", "many-1", "last"]
    assert (told["run_id"], told["status"], told["team"], told["input"]) == ("r", "running", "team.yaml", 7)
    assert told["duration_ms"] == 3.0
    assert [step.stage for step in story(a_row(), plan, events).steps] == [0, 0, 0, 0, 1]


def test_why_a_step_is_dead_is_told():
    events = [
        e.RunStarted(0, raw({}), "t", "p"),
        started(0, "one"),
        e.AttemptFailed(1, "one", 1, "error", "no luck", retryable=False),
        e.StepBuried(1, "one", "no luck"),
        e.RunFinished(1, "failed", "one: no luck"),
    ]
    told = printed(story(a_row(status="failed"), rules(Step("one", "a", "do")), events))
    assert told["plan"][0] | {"state": "dead", "reason": "no luck"} == told["plan"][0]
    assert (told["status"], told["reason"]) == ("failed", "one: no luck")


def test_faults_that_were_injected_are_told():
    events = [
        e.RunStarted(0, raw({}), "t", "p", faults="f" * 64),
        started(0, "one"),
        e.FaultInjected(1, "one", 1, "timeout"),
        e.AttemptFailed(2, "one", 1, "timeout", "timed out after 2 s"),
        e.BackoffEnded(3, "one"),
        started(3, "one", 2),
        committed(4, "one", 2),
        e.RunFinished(5, "succeeded"),
    ]
    told = printed(story(a_row(status="succeeded"), rules(Step("one", "a", "do")), events))
    assert told["faults"] == "f" * 64
    assert [attempt.get("injected") for attempt in told["attempts"]] == ["timeout", None]


def test_an_ordinary_run_speaks_of_no_faults():
    told = printed(story(a_row(), rules(Step("one", "a", "do")), [e.RunStarted(0, raw({}), "t", "p")]))
    assert "faults" not in told


def test_what_an_attempt_had_read_is_told():
    question = e.QuestionAsked(1, "s", 1, Question("may I?"), reads=("in",))
    for end in (committed(1, "s", reads=("in",)), e.AttemptRefused(1, "s", 1, (), reads=("in",)), question):
        assert history.attempts([started(0, "s"), end])[0].reads == ("in",)


def test_a_journal_that_cannot_be_folded_is_refused_with_the_event():
    events = [e.RunStarted(0, raw({}), "t", "p"), started(0, "nobody")]
    with pytest.raises(BrokenPromise, match=r"event 1 can't follow .*AttemptStarted: KeyError"):
        story(a_row(), rules(Step("one", "a", "do")), events)


@pytest.mark.parametrize(
    ("at_us", "shown"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
        (e.AT_US_MAX, "9998-12-31T23:59:59.999999Z"),
        (e.AT_US_MAX + 1, f"{e.AT_US_MAX + 1} us"),
        (-1, "-1 us"),
        (-(2**63), f"-{2**63} us"),
    ],
)
def test_a_time_is_told_as_a_date_where_it_is_one(at_us, shown):
    assert history.timestamp(at_us) == shown


# --- waiting at gates ---


def held(at, step, gate="breaker", agent="a", until=0, reason="its breaker is open"):
    return e.CallHeld(at, step, agent, gate, reason, until)


def holds(events):
    return [(h.step, h.agent, h.gate, h.times, h.waited_us // MS, h.goes_on) for h in history.holds(events)]


def test_waits_are_added_up_by_step_agent_and_gate():
    events = [
        held(0, "s", until=5 * MS),
        held(0, "t", "rate", until=3 * MS),
        e.BackoffEnded(3 * MS, "t"),
        started(3 * MS, "t"),
        e.BackoffEnded(5 * MS, "s"),
        held(5 * MS, "s", until=9 * MS, reason="its breaker is half-open"),
        e.BackoffEnded(10 * MS, "s"),
        held(10 * MS, "s", "rate", until=11 * MS),
        e.ReplyArrivedLate(10 * MS, "s", 1),
    ]
    assert holds(events) == [
        ("s", "a", "breaker", 2, 10, False),
        ("t", "a", "rate", 1, 3, False),
        ("s", "a", "rate", 1, 0, True),
    ]
    assert history.holds(events)[0].reason == "its breaker is half-open"


@pytest.mark.parametrize("end", [e.RunCancelled(4 * MS, "ann"), e.RunFinished(4 * MS, "failed")])
def test_nothing_waits_when_its_run_is_over(end):
    assert holds([held(0, "s", until=9 * MS), end]) == [("s", "a", "breaker", 1, 4, False)]


def test_a_call_that_is_held_for_good_is_not_waited_for():
    assert holds([held(0, "s", "run_budget"), e.StepBuried(0, "s", "spent")]) == [("s", "a", "run_budget", 1, 0, False)]


def told_of_held(agents, *events):
    gate = GatePolicy(breaker=BreakerPolicy())
    scope = Scope(allowed_actions=["do"], write_permissions=["out.*"])
    roles = {name: Role(scope, gate=gate, fallback=fallback) for name, fallback in agents.items()}
    plan = Rules(Plan([Step("one", "a", "do", writes=["out.one"])]), roles)
    [step] = printed(story(a_row(), plan, [e.RunStarted(0, raw({}), "t", "p"), *events]))["plan"]
    return step


def test_a_step_tells_which_gate_it_waits_at_and_until_when():
    step = told_of_held({"a": None}, held(MS, "one", until=9 * MS))
    assert (step["state"], step["held"]) == (
        "backing_off",
        [
            {
                "agent": "a",
                "gate": "breaker",
                "reason": "its breaker is open",
                "times": 1,
                "waited_ms": 0.0,
                "since": "1970-01-01T00:00:00.001000Z",
                "until": "1970-01-01T00:00:00.009000Z",
            }
        ],
    )
    step = told_of_held(
        {"a": None}, held(MS, "one", until=9 * MS), e.BackoffEnded(9 * MS, "one"), started(9 * MS, "one")
    )
    assert (step["held"][0]["waited_ms"], step["held"][0].get("until")) == (8.0, None)


def test_until_when_others_have_set_aside_what_a_step_needs_nobody_can_tell():
    step = told_of_held({"a": None}, held(MS, "one", "run_reservation", until=9 * MS))
    assert (step["state"], step["held"][0]["times"], step["held"][0]["until"]) == ("backing_off", 1, None)


def test_a_step_that_goes_to_the_fallback_waits_for_nobody():
    step = told_of_held({"a": "b", "b": None}, held(MS, "one", until=9 * MS))
    assert (step["state"], step["held"][0].get("until")) == ("ready", None)


def test_a_judge_has_an_attempt_of_its_own_and_its_author_keeps_his():
    finding = e.Finding("judge", "too curt")
    told = history.attempts(
        [
            e.AttemptStarted(0, "s", 1, "ann", "v"),
            e.ReplyDrafted(1 * MS, "s", 1, {"x": raw(1)}, usage=Usage(3)),
            e.AttemptStarted(1 * MS, "s", 2, "eve", "w"),
            e.ReplyJudged(5 * MS, "s", 2, 0.2, (finding,), Usage(4), ("q",)),
            e.AttemptRefused(5 * MS, "s", 1, (finding,), raw({"x": 1}), score=0.2, scores={"judge": 0.2}),
        ]
    )
    assert [(one.agent, one.outcome, one.duration_ms) for one in told] == [("ann", "refused", 1), ("eve", "judged", 4)]
    assert [one.usage for one in told] == [Usage(3), Usage(4)]
    assert (told[1].score, told[1].findings, told[1].reads) == (0.2, (finding,), ("q",))


def test_what_is_decided_about_a_judged_reply_and_tried_after_it_is_no_judges():
    refused = e.AttemptRefused(5 * MS, "s", 1, (e.Finding("judge", "too curt"),))
    told = history.attempts(
        [
            e.AttemptStarted(0, "s", 1, "ann", "v"),
            e.ReplyDrafted(1 * MS, "s", 1),
            e.AttemptStarted(1 * MS, "s", 2, "eve", "w"),
            e.FaultInjected(1 * MS, "s", 2, "timeout"),
            e.AttemptFailed(2 * MS, "s", 2, "timeout", "slow"),
            e.AttemptStarted(3 * MS, "s", 3, "eve", "w"),
            e.ReplyJudged(5 * MS, "s", 3, 0.2),
            refused,
            e.StepEscalated(5 * MS, "s", 3, "too curt"),
            e.QuestionAnswered(6 * MS, "s", 3, "person:zoe", "retry"),
            e.AttemptStarted(7 * MS, "s", 4, "ann", "v"),
        ]
    )
    assert [(one.agent, one.judges) for one in told] == [("ann", False), ("eve", True), ("eve", True), ("ann", False)]
    assert [one.decided.by if one.decided else "" for one in told] == ["person:zoe", "", "", ""]
    assert [one.injected for one in told] == ["", "timeout", "", ""]


def test_a_reply_that_waits_for_a_judge_is_drafted():
    told = history.attempts(
        [e.AttemptStarted(0, "s", 1, "ann", "v"), e.ReplyDrafted(MS, "s", 1), e.RunCancelled(9, "eve")]
    )
    assert [one.outcome for one in told] == ["drafted"]
