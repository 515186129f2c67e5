"""The machine, as transcripts: event, what it calls for, event."""

import msgspec
import pytest

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core import values
from interlock.core.context import Bank, Origin
from interlock.core.job import Question, Reply, Usage
from interlock.core.machine import Machine
from interlock.core.plan import Phase
from interlock.core.policy import Policy
from interlock.core.purse import Cost
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.states import LEGAL, TERMINAL
from interlock.core.step import Condition, Step
from interlock.core.values import Limits

from .transcripts import ALL, ONCE, Transcript, step

PATIENT = Policy(retries=2, backoff_ms=200, backoff_ms_max=300)

# --- chains, and what is handed out ---


def test_a_chain_runs_step_by_step():
    run = Transcript(step("a"), step("b", needs=["a"]), request={"q": 1})

    assert run.begin() == ["call ann for a #1"]
    assert run.reply("a", x=1) == ["call ann for b #1"]
    assert run.reply("b", y=2) == ["succeeded"]
    assert run.context == {"q": 1, "x": 1, "y": 2}
    assert run.states == {"a": "committed", "b": "committed"}
    assert (run.machine.status, run.machine.reason, run.machine.seq) == ("succeeded", "", 6)
    assert (run.machine.started_us, run.machine.at_us) == (0, 4_000_000)
    assert run.machine.reasons == {}


def test_independent_steps_are_called_together_and_a_join_waits_for_all():
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]), step("c", needs=["b", "a"], writes=["z"]))

    assert run.begin() == ["call ann for a #1", "call ann for b #1"]
    assert run.reply("b") == []
    assert run.reply("a") == ["call ann for c #1"]
    assert run.reply("c") == ["succeeded"]


def test_nothing_is_called_for_before_the_run_has_started():
    machine = Machine(Transcript(step("a")).rules)

    assert machine.decide() == []
    assert (machine.started, machine.status, machine.reason, machine.faults) == (False, "running", "", "")
    assert (machine.seq, machine.at_us, machine.started_us, machine.cost) == (0, 0, 0, Cost(0, 0, 0))


def test_commands_and_the_facts_that_follow_say_all_that_the_shell_needs():
    run = Transcript(step("a"), policy=Policy(timeout_ms=70, retries=1))
    run.begin()
    assert run.calls["a"] == c.CallAgent(1, "a", "ann", 1, 70)
    run.start("a")

    failed = e.AttemptFailed(run.tick(), "a", 1, "error", "it broke")
    assert run.machine.advance([failed], run.at_us) == [c.StartTimer(1, "a", 2_200_000, 200)]
    run.say(e.BackoffEnded(run.tick(), "a"))
    run.start("a")
    known = [e.AttemptFailed(run.tick(), "a", 2, "error", "it broke")]
    assert run.machine.advance(known, run.at_us) == []
    assert known[1:] == [
        e.StepBuried(5_000_000, "a", "it broke", "ann", 2),
        e.RunFinished(5_000_000, "failed", "a: it broke"),
    ]
    assert (run.machine.status, run.machine.reason) == ("failed", "a: it broke")


@pytest.mark.parametrize("of", [step("a", writes=["a"], escalate={"deadline": "1m"}), Step("a", wait="1m")])
@pytest.mark.parametrize(
    ("later_us", "wait_ms"), [(0, 60_000), (500, 60_000), (1_000, 59_999), (60_000_000, 0), (10**12, 0)]
)
def test_what_is_left_of_a_deadline_or_a_wait_is_told_in_milliseconds_that_are_enough(of, later_us, wait_ms):
    run = Transcript(of, step("b", writes=["b"]))
    run.begin()
    if of.wait is None:
        run.ask("a")
    due_us = (run.machine.questions or run.machine.waits)[1].due_us
    machine = run.fold()
    machine.apply(e.FaultInjected(due_us - 60_000_000 + later_us, "b", 1, "x"))
    assert [one for one in machine.decide() if one.number == 1] == [c.StartTimer(1, "a", due_us, wait_ms)]


def test_a_fault_that_was_injected_is_a_mark_and_nothing_more():
    run = Transcript(step("a"))
    run.begin()
    run.start("a")

    assert run.say(e.FaultInjected(run.tick(), "a", 1, "crash")) == []
    assert run.states == {"a": "running"}
    assert run.reply("a") == ["succeeded"]


def test_each_command_is_handed_out_once_and_again_by_a_folded_machine():
    run = Transcript(step("a"))
    assert run.begin() == ["call ann for a #1"]
    assert run.say() == []

    assert run.crash() == ["call ann for a #1"]


def test_a_finished_run_calls_for_nothing_even_when_folded():
    run = Transcript(step("a"))
    run.begin()
    run.reply("a")

    assert run.fold().decide() == []
    assert run.fold().status == "succeeded"


def test_an_event_out_of_order_is_a_bug_and_stops_the_machine():
    run = Transcript(step("a"), step("b", needs=["a"]))
    run.begin()

    with pytest.raises(AssertionError, match="waiting -> running"):
        run.machine.apply(e.AttemptStarted(1, "b", 1, "ann", ""))
    run.start("a")
    with pytest.raises(AssertionError, match="attempt 2 is not the running one"):
        run.machine.apply(e.AttemptCommitted(1, "a", 2))
    run.reply("a")
    with pytest.raises(AssertionError, match="committed -> dead"):
        run.machine.apply(e.StepBuried(1, "a", "too late"))


def test_no_state_leads_out_of_a_terminal_one():
    assert {state for state, following in LEGAL.items() if not following} == TERMINAL
    assert all(following <= LEGAL.keys() for following in LEGAL.values())


# --- the job ---


def test_the_job_tells_an_agent_all_about_its_attempt():
    schema = {"required": ["out.a"]}
    run = Transcript(step("a", instructions="Be brief.", writes=["out.a"], schema=schema), request={"q": {"n": 1}})
    run.begin()
    run.start("a")
    job = run.jobs["a"]

    assert (job.run_id, job.step, job.agent, job.action, job.attempt) == ("run", "a", "ann", "act", 1)
    assert (job.instructions, job.feedback, job.item, job.index) == ("Be brief.", (), None, None)
    assert job.idempotency_key == "run/a/1"
    assert (job.writes, job.schemas) == (("out.a",), ('{"required":["out.a"]}',))
    assert job.view["q.n"] == 1


def test_attempt_started_carries_the_hash_of_the_view():
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]), step("c", needs=["a"], writes=["z"]))
    run.begin()
    first, second = run.start("a", "b")
    assert first.view == second.view
    run.reply("a", x=1)
    (third,) = run.start("c")

    assert third.view != first.view
    assert third.view == run.machine.bank.view_hash(3, run.machine.duty(3).sight)


def test_what_a_step_commits_is_traced_to_it_and_to_what_it_had_read():
    group = step("b", for_each="q", needs=["a"], writes=["out.{step}"])
    run = Transcript(step("a", writes=["x"]), group, request={"q": [7], "r": 1})
    run.begin()
    run.start("a")
    run.jobs["a"].view["r"]
    run.reply("a", x=1)
    run.start("b-0")
    run.jobs["b-0"].view["x"]
    run.reply("b-0", {"out.b-0": 2})

    item = run.machine.number["b-0"]
    assert run.machine.bank.lineage("out") == [
        Origin("out.b-0", item, ("x",)),
        Origin("x", 1, ("r",)),
        Origin("r", 0, ()),
    ]


def test_a_step_contributes_as_it_would_to_a_bank_of_its_own():
    run = Transcript(step("a", writes=["log"]), step("b", needs=["a"], writes=["x"]), reducers={"log": "append"})
    run.begin()
    run.reply("a", log="seen")
    (started,) = run.start("b")

    bank = Bank(run.machine.plan, {"log": "append"})
    bank.commit(1, {"log": values.encode("seen")})
    assert started.view == bank.view_hash(2, run.machine.duty(2).sight)


# --- refusals, failures, fallbacks ---


def test_a_refused_reply_is_tried_again_at_once_with_the_latest_feedback():
    run = Transcript(step("a"), policy=PATIENT)
    run.begin()

    assert run.refuse("a") == ["call ann for a #2"]
    run.start("a")
    assert run.jobs["a"].feedback == ("'' is not a dotted path",)
    assert run.reply("a", {"x": float("inf")}) == ["call ann for a #3"]
    run.start("a")
    assert run.jobs["a"].feedback == ("x: it is inf, which JSON doesn't have",)
    assert run.reply("a", x=1) == ["succeeded"]


def test_a_step_whose_retries_are_used_up_is_buried_and_the_run_fails():
    run = Transcript(step("a"), policy=Policy(retries=1))
    run.begin()
    run.refuse("a")

    assert run.refuse("a") == ["buried a: '' is not a dotted path", "failed: a: '' is not a dotted path"]
    assert run.states == {"a": "dead"}
    assert run.context == {}


def test_a_step_is_buried_for_all_that_its_last_reply_was_refused_for():
    run = Transcript(step("a"))
    run.begin()

    reasons = "'' is not a dotted path; x: it is inf, which JSON doesn't have"
    assert run.reply("a", {"": 1, "x": float("inf")}) == [f"buried a: {reasons}", f"failed: a: {reasons}"]


def test_a_failed_call_waits_longer_each_time_counted_from_the_events_own_time():
    run = Transcript(step("a"), policy=PATIENT)
    run.begin()

    assert run.fail("a") == ["wake a at 2,200,000"]
    assert run.states == {"a": "backing_off"}
    assert run.say() == []
    assert run.say(e.BackoffEnded(run.tick(), "a")) == ["call ann for a #2"]
    assert run.fail("a", "timeout") == ["wake a at 5,300,000"]
    run.say(e.BackoffEnded(run.tick(), "a"))
    assert run.fail("a") == ["buried a: it broke", "failed: a: it broke"]


def test_a_crash_does_not_start_a_wait_anew():
    run = Transcript(step("a"), policy=PATIENT)
    run.begin()
    run.fail("a")

    assert run.crash() == ["wake a at 2,200,000"]
    assert run.crash() == ["wake a at 2,200,000"]


def test_a_failure_that_asking_again_would_not_mend_is_not_retried():
    run = Transcript(step("a"), policy=PATIENT)
    run.begin()

    assert run.fail("a", retryable=False) == ["buried a: it broke", "failed: a: it broke"]


def test_no_attempt_is_made_once_the_time_for_them_is_over():
    run = Transcript(step("a"), policy=Policy(retries=9, retry_for_ms=4_000))
    run.begin()

    assert run.refuse("a") == ["call ann for a #2"]
    assert run.refuse("a") == ["call ann for a #3"]
    because = "'' is not a dotted path; no other attempt may begin after 4 s"
    assert run.refuse("a") == [f"buried a: {because}", f"failed: a: {because}"]


def test_a_wait_that_would_end_after_the_time_for_attempts_is_not_waited_for():
    run = Transcript(step("a"), policy=Policy(retries=9, backoff_ms=1_500, retry_for_ms=2_000))
    run.begin()

    because = "it broke; no other attempt may begin after 2 s"
    assert run.fail("a") == [f"buried a: {because}", f"failed: a: {because}"]


def test_whoever_stands_in_has_a_time_of_its_own():
    quick = Policy(retries=9, retry_for_ms=1_000)
    run = Transcript(step("a"), roles={"ann": Role(ALL, quick, fallback="bob"), "bob": Role(ALL, quick)})
    run.begin()

    run.refuse("a")
    assert run.refuse("a") == ["call bob for a #3"]
    assert run.refuse("a") == ["call bob for a #4"]
    assert run.crash() == ["call bob for a #4"]
    assert run.refuse("a")[0].startswith("buried a")


def test_a_refusal_does_not_make_the_next_wait_longer():
    run = Transcript(step("a"), policy=PATIENT)
    run.begin()
    run.refuse("a")

    assert run.fail("a") == ["wake a at 4,200,000"]


def test_fallbacks_follow_one_another_each_with_its_own_retries_and_sight():
    scope = Scope(["act"], ["q.shown"], ["x"])
    roles = {
        "ann": Role(ALL, Policy(retries=1), fallback="bob"),
        "bob": Role(scope, PATIENT, fallback="cid"),
        "cid": Role(scope, ONCE),
    }
    run = Transcript(step("a", writes=["x"]), roles=roles, request={"q": {"shown": 1, "hidden": 2}})
    run.begin()

    assert run.refuse("a") == ["call ann for a #2"]
    assert run.fail("a") == ["call bob for a #3"]
    (started,) = run.start("a")
    assert started.agent == run.jobs["a"].agent == "bob"
    assert run.jobs["a"].feedback == ("'' is not a dotted path",)
    assert run.jobs["a"].view.to_dict() == {"q": {"shown": 1}}
    assert run.reply("a", y=1) == ["call bob for a #4"]
    assert run.fail("a", retryable=False) == ["call cid for a #5"]
    assert run.crash() == ["call cid for a #5"]
    assert run.refuse("a")[0].startswith("buried a: ")


# --- crashes ---


def test_a_call_lost_in_a_crash_is_issued_again_under_the_same_key_and_costs_no_retry():
    run = Transcript(step("a"))
    run.begin()
    run.start("a")
    key = run.jobs["a"].idempotency_key
    (lost,) = run.fold().running()
    assert run.machine.step_id(lost) == "a"

    assert run.crash() == ["call ann for a #1"]
    assert run.crash() == ["call ann for a #1"]
    run.start("a")
    assert run.jobs["a"].idempotency_key == key
    assert run.reply("a") == ["succeeded"]
    assert run.machine.cost.calls == 2


def test_a_retry_after_a_lost_call_has_a_number_of_its_own():
    run = Transcript(step("a"), policy=Policy(retries=1))
    run.begin()
    run.start("a")
    run.crash()

    assert run.refuse("a") == ["call ann for a #2"]
    assert run.refuse("a")[0].startswith("buried a: ")


def test_a_call_that_kills_the_process_kills_it_a_bounded_number_of_times():
    run = Transcript(step("a"), policy=Policy(retries=9, reissues_max=1))
    run.begin()
    run.start("a")
    assert run.crash() == ["call ann for a #1"]
    run.start("a")

    reason = "its call was lost 2 times: whatever it does kills the process"
    assert run.crash() == [f"buried a: {reason}", f"failed: a: {reason}"]


def test_what_was_committed_before_a_crash_is_not_called_again():
    run = Transcript(step("a"), step("b", needs=["a"]))
    run.begin()
    run.reply("a", x=1)
    run.start("b")

    assert run.crash() == ["call ann for b #1"]
    assert run.context == {"x": 1}
    assert run.reply("b") == ["succeeded"]


# --- questions, cancelling ---


def test_a_run_parks_when_only_a_person_can_move_it():
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]), step("c", needs=["a"], writes=["z"]))
    run.begin()

    assert run.ask("a", "Refund?") == []
    assert run.states["a"] == "escalated"
    assert run.reply("b") == ["parked: a asks: Refund?"]
    assert (run.machine.status, run.machine.reason) == ("parked", "a asks: Refund?")
    assert run.states == {"a": "escalated", "b": "committed", "c": "waiting"}
    assert run.say() == run.crash() == []


def test_a_run_parks_after_a_group_has_ended_too():
    run = Transcript(step("a", for_each="q", writes=["out.{step}"]), step("b", needs=["a"]), request={"q": [1]})
    run.begin()
    assert run.reply("a-0") == ["call ann for b #1"]

    assert run.ask("b", "Refund?") == ["parked: b asks: Refund?"]


def test_what_an_agent_used_to_ask_is_charged():
    run = Transcript(step("a"))
    run.begin()
    run.reply("a", Reply(ask=Question("Refund?"), usage=Usage(1, 2, 0.5)))

    assert run.machine.cost == Cost(0.5, 3, 1)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (e.RunCancelled(5, "person:eve"), "cancelled by person:eve"),
        (e.RunCancelled(5, "eve", "too dear"), "cancelled by eve: too dear"),
    ],
)
def test_cancelling_ends_every_step_that_has_not_ended(event, reason):
    steps = [step(name, writes=[name]) for name in "abcd"]
    run = Transcript(*steps, step("e", needs=["a"], writes=["e"]), policy=PATIENT)
    run.begin()
    run.reply("a", a=1)
    run.start("b")
    run.fail("c")

    assert run.say(event) == []
    assert run.states == {"a": "committed", **dict.fromkeys("bcde", "cancelled")}
    assert (run.machine.status, run.machine.reason) == ("cancelled", reason)
    assert run.context == {"a": 1}
    assert run.crash() == []


def test_a_late_reply_is_charged_and_never_committed():
    run = Transcript(step("a"), policy=PATIENT)
    run.begin()
    run.fail("a", "timeout")

    assert run.say(e.ReplyArrivedLate(run.tick(), "a", 1, Usage(3, 4, 0.5))) == []
    assert run.machine.cost == Cost(0.5, 7, 1)
    assert run.context == {}


# --- cost ---


def test_cost_adds_up_what_every_attempt_used():
    run = Transcript(step("a"), step("b", needs=["a"]), policy=PATIENT)
    run.begin()
    run.reply("a", Reply(writes={"": 1}, usage=Usage(1, 2, 0.25)))
    run.reply("a", Reply(usage=Usage(3, 4, 0.5)))
    run.reply("b", Reply())

    assert run.machine.cost == run.fold().cost == Cost(0.75, 10, 3)


def test_an_unknown_price_is_never_taken_for_zero():
    run = Transcript(step("a"), step("b", needs=["a"]))
    run.begin()
    run.reply("a", Reply(usage=Usage(0, 0)))
    assert run.machine.cost.usd == 0
    run.reply("b", Reply(usage=Usage(1, 0)))

    assert run.machine.cost == Cost(None, 1, 2)


def test_requests_of_which_nothing_is_told_have_an_unknown_price():
    run = Transcript(step("a"))
    run.begin()
    run.reply("a", Reply(usage=Usage(requests=1)))
    assert run.machine.cost == run.fold().cost == Cost(None, 0, 1)


# --- when, skips, joins ---


def test_a_step_whose_condition_does_not_hold_is_skipped_and_what_needs_it_alone_as_well():
    run = Transcript(
        step("a", when=Condition("q", ">", 1)), step("b", needs=["a"]), step("c", needs=["b"]), request={"q": 1}
    )

    assert run.begin() == ["skipped a: its condition did not hold: q > 1", "succeeded"]
    assert run.states == {"a": "skipped", "b": "skipped", "c": "skipped"}
    assert run.machine.reasons[1] == "its condition did not hold: q > 1"
    assert run.machine.reasons[2] == "every step it needs was skipped"
    assert run.crash() == []


def test_a_condition_that_holds_is_looked_at_once():
    run = Transcript(step("a", when=Condition("q", "exists")), request={"q": None}, policy=PATIENT)

    assert run.begin() == ["call ann for a #1"]
    assert run.refuse("a") == ["call ann for a #2"]


def test_a_condition_sees_what_ancestors_wrote_and_nothing_else():
    run = Transcript(
        step("a", writes=["x"]),
        step("b", writes=["y"]),
        step("c", needs=["a"], when=Condition("x", "==", 1), writes=["c"]),
        step("d", needs=["a"], when=Condition("y", "==", 1), writes=["d"], stale_ok=True),
    )
    run.begin()
    run.reply("b", y=1)

    assert run.reply("a", x=1) == [
        "skipped d: its condition did not hold: y == 1 (there is nothing there)",
        "call ann for c #1",
    ]


def test_a_skipped_need_counts_as_done_where_another_was_committed():
    run = Transcript(
        step("a", writes=["x"]), step("b", when=Condition("q"), writes=["y"]), step("c", needs=["a", "b"], writes=["z"])
    )
    run.begin()

    assert run.reply("a") == ["call ann for c #1"]


def test_a_dead_need_blocks_all_that_comes_after_it():
    run = Transcript(
        step("a", writes=["x"]),
        step("b", writes=["y"]),
        step("c", needs=["a", "b"], writes=["z"]),
        step("d", needs=["c"], writes=["d"]),
        step("e", needs=["b", "d"], writes=["e"]),
    )
    run.begin()
    run.reply("b")

    assert [said.partition(":")[0] for said in run.refuse("a")] == ["buried a", "failed"]
    assert run.states == {"a": "dead", "b": "committed", "c": "skipped", "d": "skipped", "e": "skipped"}
    assert run.machine.reasons[3] == "it needs a, which is dead"
    assert run.machine.reasons[4] == "it needs c, which can't run"


def test_what_needs_no_dead_step_goes_on():
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]), step("c", needs=["b"], writes=["z"]))
    run.begin()
    run.refuse("a")

    assert run.reply("b") == ["call ann for c #1"]
    assert run.reply("c") == ["failed: a: '' is not a dotted path"]


def test_any_outcome_runs_although_a_need_died_or_never_ran():
    run = Transcript(
        step("a", writes=["x"]),
        step("b", needs=["a"], join="any_outcome", writes=["b"]),
        step("c", needs=["a"], writes=["c"]),
        step("d", needs=["c"], join="any_outcome", writes=["d"]),
    )
    run.begin()

    assert run.refuse("a")[1:] == ["call ann for b #1", "call ann for d #1"]
    assert run.states["c"] == "skipped"
    run.reply("b", b=1)
    assert run.reply("d", d=1)[0].startswith("failed: a: ")
    assert run.context == {"b": 1, "d": 1}


def test_any_outcome_is_skipped_where_every_need_was():
    run = Transcript(step("a", when=Condition("q")), step("b", needs=["a"], join="any_outcome"))

    assert run.begin()[-1] == "succeeded"
    assert run.states["b"] == "skipped"


@pytest.mark.parametrize(
    ("on_dead", "after", "beside", "any_outcome", "end"),
    [
        ("fail_run", "skipped", "skipped", "ready", "failed"),
        ("skip", "skipped", "ready", "ready", "succeeded"),
        ("continue", "ready", "ready", "ready", "succeeded"),
    ],
)
def test_what_a_dead_step_means_for_those_that_need_it_and_for_the_run(on_dead, after, beside, any_outcome, end):
    """`after` needs only the dead step, `beside` a committed one as well; `handler` takes any outcome."""
    run = Transcript(
        step("a", writes=["x"], on_dead=on_dead),
        step("b", writes=["y"]),
        step("after", needs=["a"], writes=["after"]),
        step("beside", needs=["a", "b"], writes=["beside"]),
        step("handler", needs=["a"], join="any_outcome", writes=["handler"]),
    )
    run.begin()
    run.reply("b")
    run.refuse("a")

    assert run.states == {"a": "dead", "b": "committed", "after": after, "beside": beside, "handler": any_outcome}
    for one in ("after", "beside", "handler"):
        if run.states[one] == "ready":
            run.reply(one)
    assert run.machine.status == end
    assert run.crash() == []
    assert run.machine.status == end


def test_a_step_says_on_dead_in_place_of_its_agent():
    roles = {"ann": Role(ALL, ONCE, on_dead="skip")}
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"], on_dead="fail_run"), roles=roles)
    run.begin()
    run.refuse("a")

    assert run.refuse("b")[-1] == "failed: b: '' is not a dotted path"


def test_what_counts_as_skipped_does_not_block_what_comes_later():
    run = Transcript(
        step("a", writes=["x"], on_dead="skip"),
        step("b", needs=["a"], writes=["y"]),
        step("c", writes=["z"]),
        step("d", needs=["b", "c"], writes=["d"]),
    )
    run.begin()
    run.refuse("a")

    assert run.machine.reasons[run.machine.number["b"]] == "every step it needs was skipped"
    assert run.reply("c") == ["call ann for d #1"]


def test_phases_wait_for_one_another():
    run = Transcript(
        Phase("one", [step("a", writes=["a"]), step("b", writes=["b"])]), Phase("two", [step("c", writes=["c"])])
    )

    assert run.begin() == ["call ann for a #1", "call ann for b #1"]
    assert run.reply("a") == []
    assert run.reply("b") == ["call ann for c #1"]


# --- samples and for_each ---


def test_samples_are_steps_of_their_own_counted_from_one():
    run = Transcript(step("a", samples=2, writes=["out.{step}"]), step("b", needs=["a"], writes=["b"]))

    assert run.begin() == ["call ann for a-1 #1", "call ann for a-2 #1"]
    run.start("a-1", "a-2")
    assert [run.jobs[name].index for name in ("a-1", "a-2")] == [1, 2]
    assert run.reply("a-2", {"out.a-2": 2}) == []
    assert run.reply("a-1", {"out.a-1": 1}) == ["call ann for b #1"]
    assert run.context == {"out": {"a-1": 1, "a-2": 2}}


def fan(**given):
    items = step("a", for_each="q.items", writes=["out.{step}"])
    request = {"q": {"items": [{"n": 1}, "two"]}}
    return Transcript(items, step("b", needs=["a"], writes=["b"]), **{"request": request, **given})


def test_for_each_makes_one_step_per_item_and_what_needs_it_waits_for_all():
    run = fan()

    assert run.begin() == ['expanded a [{"n":1},"two"]', "call ann for a-0 #1", "call ann for a-1 #1"]
    run.start("a-1", "a-0")
    assert [(run.jobs[name].item, run.jobs[name].index) for name in ("a-0", "a-1")] == [({"n": 1}, 0), ("two", 1)]
    assert [run.jobs[name].writes for name in ("a-0", "a-1")] == [("out.a-0",), ("out.a-1",)]
    assert run.jobs["a-0"].idempotency_key == "run/a-0/1"
    assert run.machine.running() == [3, 4]
    assert run.reply("a-1", {"out.a-1": 1}) == []
    assert run.states == {"a": "running", "b": "waiting", "a-0": "running", "a-1": "committed"}
    assert run.reply("a-0", {"out.a-0": 0}) == ["call ann for b #1"]
    assert run.context["out"] == {"a-0": 0, "a-1": 1}
    run.start("b")
    assert run.jobs["b"].view["out"] == {"a-0": 0, "a-1": 1}
    assert run.reply("b") == ["succeeded"]
    assert run.machine.reasons == {}


def test_items_do_not_see_one_another():
    run = fan()
    run.begin()
    (first,) = run.start("a-0")
    run.reply("a-0", {"out.a-0": 0})
    (second,) = run.start("a-1")

    assert second.view == first.view
    assert "out" not in run.jobs["a-1"].view
    assert run.machine.step(4).id == run.machine.step(1).id == "a"


def test_an_item_may_not_write_what_belongs_to_another():
    run = fan()
    run.begin()

    assert run.reply("a-0", {"out.a-1": 0})[0] == "buried a-0: ann may not write out.a-1; it may write out.a-0"


def test_a_changed_list_does_not_change_the_items_that_were_frozen():
    run = fan()
    run.begin()
    run.start("a-0")
    run.jobs["a-0"].item["n"] = 99

    assert run.crash() == ["call ann for a-1 #1", "call ann for a-0 #1"]
    run.start("a-0")
    assert run.jobs["a-0"].item == {"n": 1}


def test_for_each_over_nothing_is_committed_at_once():
    run = fan(request={"q": {"items": []}})

    assert run.begin() == ["expanded a []", "call ann for b #1"]
    assert run.states == {"a": "committed", "b": "ready"}
    assert run.reply("b") == ["succeeded"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "for_each: there is nothing at q.items"),
        ({"q": {"items": {"0": 1}}}, "for_each: q.items holds no list"),
        ({"q": {"items": [1] * 4}}, "for_each: q.items holds 4 items, which is too many"),
    ],
)
def test_for_each_that_cannot_be_expanded_is_buried(request_, reason):
    run = fan(request=request_, limits=Limits(for_each_width_max=3))

    assert run.begin() == [f"buried a: {reason}", f"failed: a: {reason}"]
    assert run.states == {"a": "dead", "b": "skipped"}


def test_for_each_may_be_as_wide_as_the_limit():
    assert fan(limits=Limits(for_each_width_max=2)).begin()[0].startswith("expanded")


def test_items_count_as_steps():
    reason = "for_each: q.items holds 2 items, which is too many"

    assert fan(limits=Limits(steps_max=3)).begin()[0] == f"buried a: {reason}"
    assert fan(limits=Limits(steps_max=4)).begin()[0].startswith("expanded")


def test_for_each_reads_a_list_that_an_ancestor_wrote_past_the_agents_scope():
    roles = {"ann": Role(Scope(["act"], [], ["out", "x"]), ONCE)}
    run = Transcript(step("z", writes=["x"]), step("a", needs=["z"], for_each="x", writes=["out.{step}"]), roles=roles)
    run.begin()

    assert run.reply("z", x=[True]) == ["expanded a [true]", "call ann for a-0 #1"]


def test_a_group_is_dead_when_an_item_is_but_its_other_items_are_done():
    run = fan()
    run.begin()

    assert run.refuse("a-0") == ["buried a-0: '' is not a dotted path"]
    assert run.reply("a-1", {"out.a-1": 1}) == ["failed: a: a-0: '' is not a dotted path"]
    assert run.states == {"a": "dead", "b": "skipped", "a-0": "dead", "a-1": "committed"}
    assert run.context["out"] == {"a-1": 1}


@pytest.mark.parametrize(("on_dead", "after"), [("skip", "skipped"), ("continue", "ready")])
def test_a_group_outlives_a_dead_item_but_not_all_of_them(on_dead, after):
    run = fan(roles={"ann": Role(ALL, ONCE, on_dead=on_dead)})
    run.begin()
    run.refuse("a-0")
    assert run.reply("a-1", {"out.a-1": 1}) == ["call ann for b #1"]
    assert run.states == {"a": "committed", "b": "ready", "a-0": "dead", "a-1": "committed"}
    assert run.reply("b") == ["succeeded"]

    run = fan(roles={"ann": Role(ALL, ONCE, on_dead=on_dead)})
    run.begin()
    run.refuse("a-0")
    run.refuse("a-1")
    assert run.states == {"a": "dead", "b": after, "a-0": "dead", "a-1": "dead"}


def test_an_item_that_asks_parks_the_run():
    run = fan()
    run.begin()
    run.reply("a-1")

    assert run.ask("a-0") == ["parked: a-0 asks: Really?"]
    assert run.states["a"] == "running"


def test_cancelling_ends_groups_and_items():
    run = fan()
    run.begin()
    run.reply("a-0")
    run.start("a-1")
    run.say(e.RunCancelled(run.tick(), "eve"))

    assert run.states == {"a": "cancelled", "b": "cancelled", "a-0": "committed", "a-1": "cancelled"}
    assert run.machine.running() == []


def test_a_lost_item_is_called_again():
    run = fan()
    run.begin()
    run.start("a-1")

    assert run.crash() == ["call ann for a-0 #1", "call ann for a-1 #1"]
    run.start("a-0")
    assert run.reply("a-1", {"out.a-1": 1}) == []
    assert run.crash() == ["call ann for a-0 #1"]


def test_two_groups_expand_on_their_own_and_leave_the_shared_plan_alone():
    one = step("a", for_each="q", writes=["out.{step}"])
    two = step("b", for_each="q", when=Condition("q", "exists"), writes=["out.{step}"])
    run = Transcript(one, two, request={"q": [7]})

    assert run.begin() == ["expanded a [7]", "expanded b [7]", "call ann for a-0 #1", "call ann for b-0 #1"]
    assert run.machine.plan.number == {"a": 1, "b": 2}
    run.reply("b-0")
    assert run.reply("a-0") == ["succeeded"]


def test_items_append_in_the_order_of_the_list_whenever_they_end():
    group = step("a", for_each="q", writes=["log"])
    run = Transcript(group, request={"q": [1, 2, 3]}, reducers={"log": "append"})
    run.begin()
    for name in ("a-2", "a-0", "a-1"):
        run.reply(name, log=name)

    assert run.context["log"] == ["a-0", "a-1", "a-2"]


# --- verdicts ---


def test_events_survive_their_encoding_so_that_a_folded_machine_is_the_live_one():
    run = fan()
    run.begin()
    run.reply("a-0", Reply(writes={"out.a-0": {"deep": [1.0, -0.0]}}, output="kept", usage=Usage(1, 2, 0.5)))
    run.ask("a-1")

    folded = run.fold()
    assert (folded.state, folded.attempts, folded.cost, folded.seq) == (
        run.machine.state,
        run.machine.attempts,
        run.machine.cost,
        run.machine.seq,
    )
    assert msgspec.json.encode(folded.context.to_dict()) == msgspec.json.encode(run.context)
