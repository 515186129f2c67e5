"""A run replayed: what the machine computes again is what was journaled, and what isn't is found."""

import asyncio

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.errors import BrokenPromise, InputError
from interlock.history import handed, replay
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual
from tests.engine.stage import engine
from tests.history.runs import Noting, killed_and_resumed, ran, record, step, tampered, team

FIELDS = (
    "run_id",
    "step",
    "agent",
    "action",
    "attempt",
    "idempotency_key",
    "instructions",
    "feedback",
    "item",
    "index",
)


def wrong(told):
    return [(m.seq, m.step, m.what) for moment in replay(told) for m in moment.mismatches]


def as_it_was(told, noting):
    """Every call as replayed, and as its agent noted it."""
    last = {(job.step, job.attempt): (job, view) for job, view in noting.jobs}
    assert last
    for (step_id, attempt), (job, view) in last.items():
        call = handed(told, step_id, attempt)
        assert call.view == view
        assert not call.mismatches
        assert [getattr(call.job, name) for name in FIELDS] == [getattr(job, name) for name in FIELDS]
        assert call.attempt.view == call.view_hash
    return last


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


# --- what was handed out is handed out again ---


def test_a_chain_with_narrow_reads_and_instructions():
    noting = Noting()
    of = team(step("a", instructions="be brief"), step("b", "a", reads=["out.a"]), step("c", "b", "a"))
    told = ran(of, noting, {"q": 1})
    assert wrong(told) == []
    last = as_it_was(told, noting)
    assert last["b", 1][1] == {"out": {"a": "done"}}
    assert handed(told, "a").job.instructions == "be brief"


def test_items_of_a_for_each_and_samples():
    noting = Noting()
    of = team(
        step("each", for_each="list", writes=["out.{step}"]),
        step("try", samples=2, writes=["out.{step}"]),
        step("join", "each", "try"),
    )
    told = ran(of, noting, {"list": ["x", {"y": 2}]})
    assert wrong(told) == []
    last = as_it_was(told, noting)
    assert (handed(told, "each-1").job.item, handed(told, "each-1").job.index) == ({"y": 2}, 1)
    assert (handed(told, "try-2").job.item, handed(told, "try-2").job.index) == (None, 2)
    assert set(last["join", 1][1]["out"]) == {"each-0", "each-1", "try-1", "try-2"}


def test_a_refusal_is_fed_back_to_the_next_attempt():
    noting = Noting(a=[{"": 1}, {"out.a": "right"}])
    told = ran(team(step("a"), retries=1), noting)
    assert wrong(told) == []
    as_it_was(told, noting)
    first, second = handed(told, "a", 1), handed(told, "a")
    assert first.attempt.outcome == "refused"
    assert first.job.feedback == ()
    assert second.job.feedback == tuple(finding.message for finding in first.attempt.findings)
    assert (second.job.attempt, second.attempt.writes, second.calls) == (2, {"out.a": "right"}, 1)


def test_a_fallback_sees_through_its_own_scope():
    noting = Noting(a=[RuntimeError("no"), {"out.a": "by bob"}])
    bob = il.Agent("bob", scope=il.Scope(["act"], ["q.open"], ["out"]), retries=0)
    told = ran(team(step("a"), agents=[bob], fallback="bob"), noting, {"q": {"open": 1, "secret": 2}})
    assert wrong(told) == []
    as_it_was(told, noting)
    assert handed(told, "a", 2).view == {"q": {"open": 1}}
    assert (handed(told, "a", 1).job.agent, handed(told, "a", 2).job.agent) == ("ann", "bob")


def test_reducers_and_deletes():
    noting = Noting(
        a=[{"log": "a", "draft": "old"}], b=[{"log": "b"}], c=[{"draft": il.DELETE, "log": "c"}], d=[{"out.d": 1}]
    )
    free = {"writes": ["log", "draft"]}
    of = team(
        step("a", **free),
        step("b", "a", writes=["log"]),
        step("c", "a", **free),
        step("d", "b", "c"),
        reducers={"log": "append"},
    )
    told = ran(of, noting, {"log": ["start"]})
    assert wrong(told) == []
    last = as_it_was(told, noting)
    assert last["c", 1][1] == {"log": ["start", "a"], "draft": "old"}
    assert last["d", 1][1] == {"log": ["start", "a", "b", "c"]}


def test_a_call_that_was_lost_and_issued_again_is_told_once():
    async def slow(job):
        await asyncio.sleep(10 if len(noting.jobs) == 1 else 0)
        return {"out.a": "at last"}

    noting = Noting(a=[slow])
    told = killed_and_resumed(team(step("a"), step("b", "a")), noting, after=1)
    assert wrong(told) == []
    as_it_was(told, noting)
    call = handed(told, "a", 1)
    assert (call.calls, call.attempt.outcome, call.attempt.writes) == (2, "committed", {"out.a": "at last"})
    starts = [seq for seq, event in enumerate(told.events) if isinstance(event, e.AttemptStarted)]
    assert call.seq == starts[1]
    assert handed(told, "b").calls == 1


@pytest.mark.parametrize(
    ("answer", "outcome"), [(il.Reply(ask=il.Question("may I?")), "asked"), (ValueError("no"), "failed")]
)
def test_a_parked_and_a_failed_run(answer, outcome):
    told = ran(team(step("a"), step("b", "a")), Noting(a=[answer]))
    assert wrong(told) == []
    assert handed(told, "a").attempt.outcome == outcome
    with pytest.raises(InputError, match="step b of run r was never called"):
        handed(told, "b")


def test_a_cancelled_run():
    told = ran(team(step("a")), Noting(a=[il.Reply(ask=il.Question("may I?"))]), cancelled=True)
    assert wrong(told) == []
    assert (replay(told)[-1].moves[0].step, replay(told)[-1].moves[0].after) == ("a", "cancelled")


def test_a_call_that_was_in_flight_when_its_run_was_cancelled():
    async def for_ever(job):
        await asyncio.sleep(3_600)

    noting, store = Noting(b=[for_ever]), MemoryStore()

    async def main():
        async with engine(team(step("a"), step("b", "a"), step("c")), noting, journal=MemoryJournal(store)) as running:
            going = asyncio.get_running_loop().create_task(running.run({}, run_id="r"))
            await asyncio.sleep(1)
            await running.cancel("r", by="person:ann")
            await going

    virtual.run(main())
    told = record(store)
    assert wrong(told) == []
    as_it_was(told, noting)
    assert handed(told, "b").attempt.outcome == "cancelled"
    assert sorted((move.step, move.after) for move in replay(told)[-1].moves) == [("b", "cancelled")]


def test_an_injected_fault_and_a_late_reply_belong_to_their_call():
    told = ran(team(step("a"), retries=1, backoff="1s"), Noting(a=[ValueError("no"), {"out.a": 1}]))
    at_us = told.events[1].at_us
    events = [*told.events[:2], e.FaultInjected(at_us, "a", 1, "error"), *told.events[2:4]]
    events += [e.ReplyArrivedLate(told.events[3].at_us, "a", 1, None), *told.events[4:]]
    told = msgspec.structs.replace(told, events=events)
    assert wrong(told) == []
    first, second = handed(told, "a", 1).attempt, handed(told, "a", 2).attempt
    assert (first.injected, first.late, second.injected, second.late) == ("error", True, "", False)


def test_conditions_backoffs_and_a_step_that_is_given_up():
    of = team(
        step("a"),
        step("b", "a", when=il.Condition("out.a", "==", "other")),
        step("c", "a", join="any_outcome"),
        retries=1,
        backoff="1s",
    )
    told = ran(of, Noting(c=[ValueError("no")]))
    assert wrong(told) == []
    assert [type(event).__name__ for event in told.events].count("BackoffEnded") == 1
    assert {"StepSkipped", "StepBuried", "RunFinished"} <= {type(event).__name__ for event in told.events}


def test_each_moment_says_what_it_changed():
    told = ran(team(step("each", for_each="list", writes=["out.{step}"]), step("last", "each")), None, {"list": [1]})
    moves = [[(m.step, m.before, m.after) for m in moment.moves] for moment in replay(told)]
    assert moves[0] == [("each", "waiting", "ready")]
    assert sorted(moves[1]) == [("each", "ready", "running"), ("each-0", "", "ready")]
    assert moves[2] == [("each-0", "ready", "running")]
    assert sorted(moves[3]) == [
        ("each", "running", "committed"),
        ("each-0", "running", "committed"),
        ("last", "waiting", "ready"),
    ]
    assert [moment.seq for moment in replay(told)] == list(range(len(told.events)))


# --- what was changed behind the journal's back ---


@pytest.fixture
def told():
    of = team(step("a"), step("b", "a"), step("each", "b", for_each="list", writes=["out.{step}"]))
    return ran(of, Noting(), {"q": 1, "list": [1, 2]})


def test_another_view_hash_is_named_with_both(told):
    changed, place = tampered(told, e.AttemptStarted, {"view": "0" * 64}, nth=1)
    (mismatch,) = [m for moment in replay(changed) for m in moment.mismatches]
    true = told.events[place].view
    assert (mismatch.seq, mismatch.step, mismatch.what) == (place, "b", "view")
    assert (mismatch.recorded, mismatch.computed) == ("0" * 64, true)
    assert mismatch.sentence == (
        f"event {place}, step b: the view in the journal is {'0' * 64}, but its events give {true}"
    )
    assert handed(changed, "b").mismatches == [mismatch]
    assert not handed(changed, "a").mismatches


def test_a_changed_write_is_found_by_the_first_view_that_shows_it(told):
    changed, place = tampered(told, e.AttemptCommitted, {"writes": {"out.a": raw("forged")}})
    assert wrong(changed)[0] == (place + 1, "b", "view")
    assert handed(changed, "b").mismatches
    assert handed(changed, "b").view["out"] == {"a": "forged"}


def test_a_changed_request_is_found(told):
    changed, _ = tampered(told, e.RunStarted, {"request": raw({"q": 2, "list": [1, 2]})})
    assert wrong(changed)[0][1:] == ("a", "view")


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (e.RunStarted, {"team": "other"}, "hash of the team"),
        (e.RunStarted, {"plan": "other"}, "hash of the plan"),
        (e.AttemptStarted, {"agent": "bob"}, "call"),
        (e.StepExpanded, {"items": raw([1, "x" * 100])}, "list of items"),
        (e.RunFinished, {"status": "failed"}, "end of the run"),
    ],
)
def test_what_the_machine_did_not_decide_is_found(told, kind, change, what):
    changed, place = tampered(told, kind, change)
    assert [(seq, found) for seq, _, found in wrong(changed) if not found.startswith("listed")] == [(place, what)]


def test_an_event_that_nothing_called_for_is_found(told):
    events = [*told.events[:-1], e.StepSkipped(told.events[-1].at_us, "a", "no"), told.events[-1]]
    assert len(wrong(msgspec.structs.replace(told, events=events))) == 1
    early = [told.events[0], e.RunFinished(told.events[0].at_us, "succeeded"), *told.events[1:]]
    assert wrong(msgspec.structs.replace(told, events=early))[0] == (1, "", "event")


def test_what_follows_an_event_that_cannot_be_folded_is_still_listed(told):
    changed, place = tampered(told, e.AttemptCommitted, {"step": "nobody"})
    moments = replay(changed)
    assert len(moments) == len(told.events)
    assert wrong(changed) == [(place, "nobody", "event")]
    assert all(not moment.moves for moment in moments[place:])
    assert handed(changed, "a").attempt.outcome == "running"
    with pytest.raises(BrokenPromise, match="can't be replayed to there"):
        handed(changed, "b")
    with pytest.raises(BrokenPromise, match=f"event {place} can't follow"):
        changed.folded()


# --- what lists show of it ---


def test_a_run_whose_last_event_is_missing_is_at_odds_with_what_lists_show(told):
    cut = msgspec.structs.replace(told, events=told.events[:-1])
    last = len(cut.events) - 1
    assert wrong(cut) == [(last, "", "listed status"), (last, "", "listed end")]
    status = replay(cut)[-1].mismatches[0]
    assert status.sentence == (
        f"event {last}: the listed status in the journal is succeeded, but its events give running"
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"status": "cancelled"}, "listed status"),
        ({"reason": "somebody says so"}, "listed reason"),
        ({"started_us": 1}, "listed start"),
        ({"ended_us": 0}, "listed end"),
    ],
)
def test_what_lists_show_otherwise_is_found(told, change, what):
    changed = msgspec.structs.replace(told, row=msgspec.structs.replace(told.row, **change))
    assert wrong(changed) == [(len(told.events) - 1, "", what)]


# --- what can't be replayed ---


@pytest.mark.parametrize(
    ("name", "attempt", "message"),
    [
        ("a", 7, "step a of run r has no attempt 7"),
        ("aa", None, "run r has no step aa; did you mean a?"),
        ("each", None, "step each of run r is called once for each of its copies"),
        ("try", 1, "step try of run r is called once for each of its copies"),
    ],
)
def test_a_call_that_was_not_made_is_refused(name, attempt, message):
    of = team(
        step("a"), step("each", for_each="list", writes=["out.{step}"]), step("try", samples=2, writes=["out.{step}"])
    )
    with pytest.raises(InputError) as refused:
        handed(ran(of, None, {"list": [1, 2, 3]}), name, attempt)
    assert refused.value.message == message
    assert refused.value.fix
