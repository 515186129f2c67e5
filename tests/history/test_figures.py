"""What many runs come to, agent by agent."""

import asyncio
import json
import random
import tracemalloc
from collections import Counter, defaultdict

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.core.job import Question, Usage
from interlock.core.plan import Plan
from interlock.core.step import Step
from interlock.history import Figures, figures
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import RunRow
from tests import virtual
from tests.engine.stage import engine
from tests.history.runs import Noting, killed_and_resumed, ran, record, step, team

MS = 1_000
NAMES = ["refused", "committed", "failed", "questions", "interruptions", "cancelled"]


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


def a_row(status="succeeded", at=0):
    return RunRow("r", status, "", "t", "p", "", "", 0, at, at)


def told(events, *steps, status="succeeded", only=()):
    """The figures of one run with these events, after its start."""
    found = Figures(only)
    plan = Plan(steps or [Step("s", "ann", "act"), Step("z", "zoe", "act", needs=["s"])])
    found.add(a_row(status), plan, [e.RunStarted(0, raw({}), "t", "p"), *events])
    return found


def started(at, step="s", attempt=1, agent="ann"):
    return e.AttemptStarted(at * MS, step, attempt, agent, "v")


def committed(at, step="s", attempt=1, usage=None):
    return e.AttemptCommitted(at * MS, step, attempt, usage=usage)


def refused(at, *codes, step="s", attempt=1):
    return e.AttemptRefused(at * MS, step, attempt, tuple(e.Finding(code, "no") for code in codes))


def failed(at, kind="error", step="s", attempt=1):
    return e.AttemptFailed(at * MS, step, attempt, kind, "no")


# --- calls ---


def test_each_outcome_counts_once():
    of = told(
        [
            started(0),
            refused(1, "scope"),
            started(1, attempt=2),
            failed(4, "timeout", attempt=2),
            started(5, attempt=3),
            e.AttemptInterrupted(6 * MS, "s", 3),
            started(7, attempt=3),
            e.QuestionAsked(9 * MS, "s", 3, Question("may I?")),
            started(9, attempt=4),
            committed(10, attempt=4),
            started(10, "z", agent="zoe"),
            e.RunCancelled(20 * MS, "person:ann"),
        ],
        status="cancelled",
    ).to_dict()
    ann, zoe = of["agents"]["ann"], of["agents"]["zoe"]
    assert {name: ann[name] for name in NAMES} == dict.fromkeys(NAMES, 1) | {"cancelled": 0}
    assert (ann["attempts"], ann["ended"], ann["success_rate"]) == (5, 5, 0.2)
    assert (zoe["attempts"], zoe["ended"], zoe["success_rate"], zoe["cancelled"]) == (1, 0, None, 1)
    assert ann["latency_ms"] == {"count": 4, "p50": 1.0, "p95": 3.0, "max": 3.0, "exact": True}, (
        "a lost call took nothing"
    )
    assert (of["total"]["attempts"], of["total"]["ended"], of["total"]["success_rate"]) == (6, 5, 0.2)


def test_a_reply_counts_once_for_each_code_and_once_as_a_hallucination():
    events = [
        *(started(0), refused(1, "scope", "scope", "schema")),
        *(started(1, attempt=2), refused(2, "grounded", "choice", attempt=2)),
        *(started(2, attempt=3), refused(3, "shape", "scope", "path", "value", "size", attempt=3)),
        *(started(3, attempt=4), committed(4, attempt=4)),
    ]
    ann = told(events).to_dict()["total"]
    assert ann["refusals"] == {"scope": 2, "choice": 1, "grounded": 1, "path": 1, "schema": 1} | {
        "shape": 1,
        "size": 1,
        "value": 1,
    }
    assert ann["hallucinations"] == {"refused": 2, "replies": 4, "rate": 0.5}
    assert ann["context_corruption"] == {"attempted": 2, "prevented": 2, "confirmed": 0}


def test_failures_count_by_kind():
    kinds = ["timeout", "crash", "rate_limited", "timeout", "error"]
    events = [
        event for n, kind in enumerate(kinds) for event in (started(n, attempt=n), failed(n + 1, kind, attempt=n))
    ]
    ann = told(events).to_dict()["total"]
    assert ann["errors"] == {"timeout": 2, "crash": 1, "error": 1, "rate_limited": 1}
    assert (ann["failed"], ann["timeouts"], ann["crashes"]) == (5, 2, 1)


def test_a_late_reply_is_charged_to_the_agent_that_gave_it():
    of = told(
        [
            started(0),
            failed(1, "timeout"),
            started(1, attempt=2, agent="bob"),
            e.ReplyArrivedLate(2 * MS, "s", 1, Usage(input_tokens=4, usd=0.5)),
            committed(3, attempt=2, usage=Usage(input_tokens=1, usd=0.25)),
            e.ReplyArrivedLate(4 * MS, "s", 7),
        ]
    ).to_dict()["agents"]
    assert (of["ann"]["late_replies"], of["ann"]["usd"], of["ann"]["tokens"]["input"]) == (1, 0.5, 4)
    assert (of["bob"]["late_replies"], of["bob"]["usd"], of["bob"]["tokens"]["input"]) == (0, 0.25, 1)


# --- steps ---


def test_a_step_counts_for_the_agent_of_the_plan_whoever_helps_out():
    events = [started(2), refused(5, "shape"), started(5, attempt=2, agent="bob"), committed(9, attempt=2)]
    of = told(events).agents
    assert (of["ann"].steps, of["ann"].retries, of["ann"].retries_per_step) == (1, 1, 1.0)
    assert (of["bob"].steps, of["bob"].retries, of["bob"].retries_per_step) == (0, 0, None)
    assert of["ann"].waits_ms.percentile(50) == 2, "without needs it waits since the run began"
    assert of["ann"].recoveries_ms.to_dict()["max"] == 4
    assert of["bob"].recoveries_ms.count == 0


def test_it_recovers_from_its_first_setback():
    events = [started(0), failed(1), started(3, attempt=2), refused(4, "shape", attempt=2), started(4, attempt=3)]
    assert told([*events, committed(10, attempt=3)]).total.recoveries_ms.to_dict()["max"] == 9
    assert told([*events, e.StepBuried(10 * MS, "s", "no")]).total.recoveries_ms.count == 0
    assert told([*events, committed(10, attempt=3)]).total.retries_max == 2


@pytest.mark.parametrize(("decision", "commits"), [("write", True), ("approve", True), ("retry", False)])
def test_what_a_person_commits_ends_the_step(decision, commits):
    events = [started(0), refused(1, "grounded"), started(1, attempt=2)]
    asked = e.QuestionAsked(2 * MS, "s", 2, Question("?"))
    answered = e.QuestionAnswered(9 * MS, "s", 2, "person:eve", decision)
    of = told([*events, asked, answered, started(12, "z", agent="zoe")]).agents
    assert of["ann"].recoveries_ms.largest == (8 if commits else 0)
    assert of["zoe"].waits_ms.largest == (3 if commits else 12)


def test_a_call_that_a_gate_holds_back_waits_there_until_the_step_is_called():
    def held(at, gate, agent="ann", step="s"):
        return e.CallHeld(at * MS, step, agent, gate, "no", at * MS + 1)

    events = [held(1, "rate"), held(3, "rate"), held(4, "breaker"), started(9, agent="bob"), failed(10)]
    of = told([*events, held(10, "usd", "bob"), e.StepBuried(10 * MS, "s", "no"), started(20, attempt=2)]).to_dict()
    ann, bob = of["agents"]["ann"]["gates"], of["agents"]["bob"]["gates"]
    assert ann["held"] == {"rate": 2, "breaker": 1}
    assert (ann["waiting_ms"]["count"], ann["waiting_ms"]["max"]) == (1, 8.0)
    assert (bob["held"], bob["waiting_ms"]["count"]) == ({"usd": 1}, 0), "it was given up there, and waited for nothing"
    assert of["total"]["gates"]["held"] == {"rate": 2, "breaker": 1, "usd": 1}


def test_while_a_person_is_asked_for_more_of_a_budget_nothing_waits_at_its_gate():
    held = e.CallHeld(1 * MS, "s", "ann", "run_budget", "it is spent")
    asked = e.StepEscalated(1 * MS, "s", 0, "it is spent", budget="run_budget")
    raised = e.BudgetRaised(90 * MS, "s", 0, "person:eve", "run_budget", calls=1)
    ann = told([held, asked, raised, started(91)]).to_dict()["agents"]["ann"]["gates"]
    assert (ann["held"], ann["waiting_ms"]["count"]) == ({"run_budget": 1}, 0)


def test_a_step_that_is_redriven_begins_anew():
    again = e.RunReopened(3 * MS, ("s", "z"), "person:eve")
    events = [
        started(0),
        failed(1),
        e.StepBuried(2 * MS, "s", "no"),
        again,
        started(4, attempt=2),
        committed(5, attempt=2),
    ]
    of = told(events).total
    assert (of.dead, of.retries, of.recoveries_ms.largest) == (1, 0, 4)


def test_a_commit_without_a_call_of_its_own_ends_its_step_all_the_same():
    events = [started(0), failed(1), started(1, attempt=2), e.QuestionAsked(2 * MS, "s", 2, Question("?"))]
    of = told([*events, committed(9, attempt=2), started(12, "z", agent="zoe")]).agents
    assert (of["ann"].outcomes["committed"], of["ann"].recoveries_ms.largest, of["zoe"].waits_ms.largest) == (0, 8, 3)


def test_a_call_lost_in_a_crash_is_no_retry_but_a_setback():
    of = told([started(0), e.AttemptInterrupted(0, "s", 1), started(6), committed(7)]).total
    assert (of.steps, of.retries, of.attempts) == (1, 0, 2)
    assert of.recoveries_ms.percentile(50) == 7


def test_what_follows_a_question_is_no_retry():
    of = told(
        [started(0), e.QuestionAsked(1, "s", 1, Question("?")), started(6, attempt=2), committed(7, attempt=2)]
    ).total
    assert (of.retries, of.recoveries_ms.count) == (0, 0)


def waits(events, *steps):
    """How long each agent's steps have waited; every step here has an agent of its own."""
    return {name: of.waits_ms.largest for name, of in told(events, *steps).agents.items() if of.waits_ms.count}


def test_a_step_waits_since_the_last_of_its_needs_has_ended():
    steps = [*(Step(name, name, "act") for name in "ab"), Step("c", "c", "act", needs=["a", "b"])]
    events = [started(1, "a", agent="a"), started(2, "b", agent="b"), committed(10, "b"), committed(20, "a")]
    assert waits([*events, started(26, "c", agent="c")], *steps) == {"a": 1, "b": 2, "c": 6}


def test_a_step_waits_since_its_need_was_skipped_or_given_up():
    steps = [Step("a", "a", "act"), Step("b", "b", "act", needs=["a"], join="any_outcome")]
    for end in (e.StepSkipped(10 * MS, "a", "no"), e.StepBuried(10 * MS, "a", "no")):
        assert waits([end, started(13, "b", agent="b")], *steps) == {"b": 3}


def test_a_need_that_was_skipped_without_a_word_had_ended_with_its_own():
    steps = [
        Step("a", "a", "act"),
        Step("b", "b", "act", needs=["a"]),
        Step("c", "c", "act", needs=["b"], join="any_outcome"),
    ]
    events = [e.StepBuried(10 * MS, "a", "no"), started(15, "c", agent="c")]
    assert waits(events, *steps) == {"c": 5}


def test_items_wait_since_their_list_was_read_and_what_follows_since_the_last_of_them():
    steps = [
        Step("a", "a", "act"),
        Step("each", "e", "act", needs=["a"], for_each="list", writes=["out.{step}"]),
        Step("z", "z", "act", needs=["each"]),
    ]
    before = [started(0, "a", agent="a"), committed(10, "a"), e.StepExpanded(11 * MS, "each", raw([1, 2]))]
    items = [
        *(started(12, "each-0", agent="e"), started(14, "each-1", agent="e")),
        *(committed(40, "each-1"), committed(30, "each-0")),
    ]
    items.sort(key=lambda event: event.at_us)
    found = told([*before, *items, started(45, "z", agent="z")], *steps).agents
    assert found["e"].waits_ms.to_dict()["max"] == 3
    assert (found["e"].steps, found["z"].waits_ms.largest) == (2, 5)
    none = [*before[:2], e.StepExpanded(11 * MS, "each", raw([])), started(18, "z", agent="z")]
    assert waits(none, *steps) == {"a": 0, "z": 7}


def test_a_dead_letter_counts_for_the_agent_that_should_have_done_it():
    of = told([started(0), failed(1), e.StepBuried(2 * MS, "s", "no"), e.StepBuried(2 * MS, "z", "no list")]).agents
    assert (of["ann"].dead, of["zoe"].dead) == (1, 1)


# --- cost ---


def test_an_unknown_price_is_unknown_and_not_nothing():
    events = [
        *(
            started(0),
            committed(1, usage=Usage(input_tokens=10, output_tokens=5, cached_tokens=2, requests=1, usd=0.5)),
        ),
        *(started(1, "z", agent="zoe"), committed(2, "z", usage=Usage(input_tokens=7))),
    ]
    of = told(events).to_dict()
    assert of["agents"]["ann"]["tokens"] == {"input": 10, "output": 5, "cached": 2}
    assert (of["agents"]["ann"]["usd"], of["agents"]["ann"]["requests"]) == (0.5, 1)
    zoe, total = of["agents"]["zoe"], of["total"]
    assert (zoe["usd"], zoe["usd_known"], zoe["unpriced_calls"]) == (None, 0, 1)
    assert (total["usd"], total["usd_known"], total["unpriced_calls"]) == (None, 0.5, 1)
    assert total["per_run"]["usd"]["count"] == 0
    assert total["per_run"]["unpriced_runs"] == 1
    assert (total["per_run"]["tokens"]["p50"], of["agents"]["ann"]["per_run"]["usd"]["p50"]) == (22, 0.5)


def test_what_a_run_costs_is_told_of_runs_that_have_ended():
    events = [started(0), committed(1, usage=Usage(input_tokens=10, usd=0.5))]
    for status in ("succeeded", "failed", "cancelled"):
        assert told(events, status=status).total.per_run.usd.count == 1
    for status in ("running", "parked"):
        assert told(events, status=status).total.per_run.usd.count == 0
        assert told(events, status=status).total.spent.usd == 0.5


# --- many runs ---


def test_only_the_agents_that_were_asked_for_are_told():
    events = [
        *(started(0), committed(1, usage=Usage(input_tokens=10, usd=0.5))),
        *(started(1, "z", agent="zoe"), committed(2, "z", usage=Usage(input_tokens=7, usd=1.0))),
    ]
    of = told(events, only=["zoe"])
    assert [*of.agents] == ["zoe"]
    assert of.names == ["ann", "zoe"]
    assert (of.total.attempts, of.total.per_run.usd.percentile(50)) == (1, 1.0)


def test_nothing_is_told_of_nothing():
    nothing = Figures().to_dict()
    assert (nothing["runs"], nothing["first_started"], nothing["agents"]) == ({"read": 0}, None, {})
    assert nothing["total"]["success_rate"] is None


def test_the_total_of_runs_is_that_of_each():
    both = Figures()
    plan = Plan([Step("s", "ann", "act")])
    both.add(a_row("succeeded", 5), plan, [e.RunStarted(5, raw({}), "t", "p"), started(1), committed(2)])
    both.add(a_row("failed", 3), plan, [e.RunStarted(3, raw({}), "t", "p"), started(1), failed(4)])
    document = both.to_dict()
    assert document["runs"] == {"read": 2, "failed": 1, "succeeded": 1}
    assert document["events"] == 6
    assert document["first_started"].endswith("00.000003Z")
    assert document["last_started"].endswith("00.000005Z")
    assert document["total"]["latency_ms"]["max"] == 3
    json.dumps(document)


class NewsOfTomorrow(e.Event, frozen=True, tag="news_of_tomorrow"):
    """An event that a later Interlock journals."""

    step: str = "s"


def test_events_that_say_nothing_of_agents_are_passed_over():
    others = [NewsOfTomorrow(1), e.BackoffEnded(1, "s"), e.FaultInjected(1, "s", 1, "x"), e.RunParked(1, "?")]
    events = [started(0), committed(2)]
    assert told([*others, *events, *others]).agents == told(events).agents


def test_what_only_a_damaged_journal_holds_is_passed_over():
    for event in (
        committed(1),
        failed(1),
        refused(1, "x"),
        e.AttemptInterrupted(1, "s", 1),
        e.ReplyArrivedLate(1, "s", 9),
    ):
        assert told([event]).agents == {}
    backwards = told([started(5), committed(1)]).total
    assert backwards.latency_ms.largest == 0
    strange = [started(1, "nobody-7"), failed(2, step="nobody-7"), e.StepBuried(3, "nobody-7", "no")]
    assert told(strange).agents["ann"].attempts == 1
    assert told([e.StepExpanded(1, "nobody", raw([1])), e.StepSkipped(1, "nobody", "no")]).agents == {}


def test_names_without_end_are_counted_together(monkeypatch):
    monkeypatch.setattr(figures, "NAMES_MAX", 2)
    monkeypatch.setattr(figures, "AGENTS_MAX", 2)
    events = [
        event
        for n, name in enumerate("abcab")
        for event in (started(n, "s", n, agent=name), failed(n, f"kind-{name}", attempt=n))
    ]
    of = told(events, Step("s", "a", "act"))
    assert {name: one.attempts for name, one in of.agents.items()} == {"(others)": 1, "a": 2, "b": 2}
    assert of.agents["(others)"].errors == {"kind-c": 1}
    kinds = [event for n in range(5) for event in (started(n, attempt=n), failed(n, f"kind-{n}", attempt=n))]
    assert told(kinds).agents["ann"].errors == {"kind-0": 1, "kind-1": 1, "(others)": 3}


def test_memory_does_not_grow_with_the_number_of_runs():
    found, plan = Figures(), Plan([Step("s", "ann", "act")])

    def add(runs):
        for n in range(runs):
            usage = Usage(input_tokens=n % 97, usd=n % 89 / 7)
            events = [e.RunStarted(0, raw({}), "t", "p"), started(n % 7), committed(n % 7 + n % 83, usage=usage)]
            found.add(a_row(), plan, events)

    add(3_000)
    tracemalloc.start()
    try:
        add(3_000)
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


# --- real runs ---


def test_a_run_that_was_killed_and_resumed():
    told_of = killed_and_resumed(team(step("a"), step("b", "a")), Noting(a=[hang, {"out.a": 1}]), after=2)
    found = Figures()
    found.add(told_of.row, told_of.rules.plan, told_of.events)
    assert (found.total.attempts, found.total.outcomes) == (3, {"committed": 2, "interrupted": 1})


async def hang(job):
    await asyncio.sleep(4)


def test_a_run_that_was_cancelled():
    told_of = ran(team(step("a")), Noting(a=[il.Reply(ask=il.Question("?"))]), cancelled=True)
    found = Figures()
    found.add(told_of.row, told_of.rules.plan, told_of.events)
    assert found.to_dict()["runs"] == {"read": 1, "cancelled": 1}
    assert found.total.outcomes == {"asked": 1}


class Rogue:
    """An agent that does by chance all that agents do, and keeps books on what came of it.

    calls: by run and step, each call as (agent, outcome, began, ended). Times are those of the clock, in seconds.
    """

    def __init__(self, seed):
        self._chance = random.Random(seed)
        self.calls = defaultdict(list)
        self.usages = []

    async def __call__(self, job):
        mood = self._chance.choices(*zip(*MOODS.items(), strict=True))[0]
        if mood == "schema" and job.step not in {"a", "b"}:
            mood = "good"  # the others have none
        began = virtual.seconds()
        call = [job.agent, mood, began, began + TIMEOUT_SECONDS]
        self.calls[job.run_id, job.step].append(call)
        await asyncio.sleep(30 if mood == "timeout" else self._chance.random() * 2)
        call[3] = virtual.seconds()
        if mood == "error":
            raise RuntimeError("no luck")
        if mood == "shape":
            return "no reply"
        usage = Usage(input_tokens=self._chance.randrange(100), requests=1, usd=0.25)
        self.usages.append((job.agent, usage))
        if mood == "ask":
            return il.Reply(ask=il.Question("may I?"), usage=usage)
        writes = {f"{'side' if job.agent == 'cid' else 'out'}.{job.step}": 7 if mood == "schema" else "done"}
        if mood == "scope":
            writes["secret"] = 1
        return il.Reply(writes=writes, usage=usage)


TIMEOUT_SECONDS = 5
RUNS = 150
# What an agent may do, and how often; what of it is a setback.
MOODS = {"good": 60, "scope": 8, "schema": 8, "shape": 6, "error": 6, "timeout": 6, "ask": 2}
SETBACKS = {"scope", "schema", "shape", "error", "timeout"}


def faulty_runs(seed):
    """The store of many runs of a team that goes wrong in every way, and the books of its agents."""
    rogue, store = Rogue(seed), MemoryStore()
    out, side = (il.Scope(["act"], ["*"], [f"{name}.*"]) for name in ("out", "side"))
    given = {"retries": 1, "backoff": "1s", "timeout": f"{TIMEOUT_SECONDS}s"}
    ann, bob = il.Agent("ann", scope=out, fallback="bob", **given), il.Agent("bob", scope=out, **given)
    steps = [
        step("a", schema={"properties": {"out.a": {"type": "string"}}}),
        step("b", "a", agent="cid", writes=["side.b"], schema={"properties": {"side.b": {"type": "string"}}}),
        step("each", "a", agent="cid", for_each="list", writes=["side.{step}"]),
        step("z", "b", "each"),
    ]
    of = il.Team([ann, bob, il.Agent("cid", scope=side, **given)], il.Plan(steps))

    async def main():
        async with engine(of, rogue, journal=MemoryJournal(store), calls_max=40) as running:
            requests = ({"list": [0] * (n % 3)} for n in range(RUNS))
            await asyncio.gather(*(running.run(request, run_id=f"r{n}") for n, request in enumerate(requests)))

    virtual.run(main())
    return store, rogue


@pytest.mark.parametrize("seed", range(3))
def test_the_books_of_a_faulty_team_say_the_same(seed):
    store, rogue = faulty_runs(seed)
    found = Figures()
    for run_id in store.rows:
        told_of = record(store, run_id)
        found.add(told_of.row, told_of.rules.plan, told_of.events)

    owner = {"a": "ann", "z": "ann"}
    moods = defaultdict(Counter)
    latencies, recoveries = defaultdict(list), defaultdict(list)
    dead, retries, steps = Counter(), Counter(), Counter()
    for (_, step_id), calls in rogue.calls.items():
        mine = owner.get(step_id, "cid")
        steps[mine] += 1
        retries[mine] += len(calls) - 1
        for agent, mood, began, ended in calls:
            moods[agent][mood] += 1
            latencies[agent].append(1_000 * (ended - began))
        last = calls[-1]
        dead[mine] += last[1] in SETBACKS
        if len(calls) > 1 and last[1] == "good":
            recoveries[mine].append(1_000 * (last[3] - calls[0][3]))

    assert found.runs == RUNS
    for name in ("ann", "bob", "cid"):
        of, mood = found.agents[name], moods[name]
        assert min(mood.values()) > 0
        assert of.attempts == of.ended == mood.total()
        assert of.outcomes["committed"] == mood["good"]
        assert of.outcomes["asked"] == mood["ask"]
        assert of.outcomes["refused"] == mood["scope"] + mood["schema"] + mood["shape"]
        assert of.success_rate == mood["good"] / mood.total()
        assert of.refusals == {code: mood[code] for code in ("scope", "schema", "shape") if mood[code]}
        assert of.hallucinations == mood["schema"]
        assert of.errors == {kind: mood[kind] for kind in ("error", "timeout") if mood[kind]}
        assert of.spent.tokens == sum(usage.input_tokens for agent, usage in rogue.usages if agent == name)
        assert of.spent.requests == sum(agent == name for agent, _ in rogue.usages)
        assert of.spent.usd == 0.25 * of.spent.requests
        same_spread(of.latency_ms, latencies[name])
        same_spread(of.recoveries_ms, recoveries[name])
        assert (of.steps, of.retries, of.dead) == (steps[name], retries[name], dead[name])
    assert found.total.attempts == sum(mood.total() for mood in moods.values())
    same_spread(found.total.recoveries_ms, [value for values in recoveries.values() for value in values])


def test_a_step_ends_with_its_effects_and_a_question_about_one_is_no_outcome_of_a_call():
    asked = e.QuestionAsked(30 * MS, "s", 1, Question("was it?"), effect="pay")
    of = told(
        [
            started(0),
            e.EffectDone(1 * MS, "s", "look"),
            committed(10),
            e.EffectStarted(10 * MS, "s", "mail", "mail"),
            e.EffectDone(20 * MS, "s", "mail"),
            e.EffectStarted(20 * MS, "s", "pay", "pay"),
            e.EffectBecameUnknown(30 * MS, "s", "pay", "timed out"),
            asked,
            e.QuestionAnswered(50 * MS, "s", 1, "person:eve", "answer", "it was performed"),
            started(57, "z", agent="zoe"),
        ]
    )

    assert (of.agents["ann"].outcomes, of.agents["ann"].attempts) == ({"committed": 1}, 1)
    assert of.agents["zoe"].waits_ms.percentile(50) == 7


def same_spread(told_of, values):
    assert told_of.count == len(values)
    for percent in (50, 95, 100) if values else ():
        rank = max(1, -(-len(values) * percent // 100))
        assert told_of.percentile(percent) == pytest.approx(sorted(values)[rank - 1], rel=0.011, abs=0.01)


# --- judges ---


def test_a_judges_call_is_its_own_and_the_verdict_its_authors():
    usage = Usage(5, 5, usd=0.5)
    drafted = e.ReplyDrafted(10 * MS, "s", 1, usage=usage)
    judged = e.ReplyJudged(40 * MS, "s", 2, 0.1, usage=usage)
    figures = told(
        [
            started(0),
            drafted,
            started(10, attempt=2, agent="eve"),
            judged,
            e.AttemptRefused(40 * MS, "s", 1, (e.Finding("judge", "no"),)),
            started(40, attempt=3),
            committed(50, attempt=3),
        ]
    ).agents
    ann, eve = figures["ann"], figures["eve"]
    assert (ann.outcomes, ann.refusals) == ({"refused": 1, "committed": 1}, {"judge": 1})
    assert (ann.attempts, ann.retries, ann.spent.usd) == (2, 1, 0.5)
    assert (ann.latency_ms.percentile(100), eve.latency_ms.percentile(100)) == (
        pytest.approx(10, rel=0.1),
        pytest.approx(30, rel=0.1),
    )
    assert (eve.outcomes, eve.success_rate, eve.spent.usd, eve.steps) == ({"judged": 1}, 1, 0.5, 0)
    assert eve.to_dict()["judgements"] == 1


def test_that_nobody_could_judge_a_reply_is_no_refusal_of_its_author():
    findings = (e.Finding("judge", "a bit curt"), e.Finding(e.UNJUDGED, "eve could not judge it: slow"))
    of = told(
        [
            *(started(0), e.ReplyDrafted(10 * MS, "s", 1)),
            *(started(10, attempt=2, agent="eve"), failed(20, "timeout", attempt=2)),
            e.AttemptRefused(20 * MS, "s", 1, findings),
            *(started(20, attempt=3), committed(30, attempt=3)),
        ]
    ).to_dict()["agents"]
    ann, eve = of["ann"], of["eve"]
    assert (ann["refused"], ann["unjudged"], ann["refusals"], ann["success_rate"]) == (0, 1, {}, 0.5)
    assert ann["hallucinations"] == {"refused": 0, "replies": 2, "rate": 0.0}
    assert (ann["ended"], ann["retries"]["total"]) == (2, 1)
    assert (eve["failed"], eve["errors"]) == (1, {"timeout": 1})


@pytest.mark.parametrize(
    "setback",
    [
        e.AttemptRefused(20 * MS, "s", 2, (e.Finding("schema", "no score"),)),
        e.AttemptFailed(20 * MS, "s", 2, "timeout", "slow"),
        e.AttemptInterrupted(20 * MS, "s", 2),
    ],
)
def test_what_goes_wrong_with_a_judge_is_no_setback_of_its_authors_step(setback):
    events = [started(0), e.ReplyDrafted(10 * MS, "s", 1), started(10, attempt=2, agent="eve"), setback]
    figures = told([*events, started(30, attempt=3, agent="eve"), e.ReplyJudged(40 * MS, "s", 3, 1.0), committed(40)])
    assert figures.agents["ann"].retries == 0
    assert figures.agents["ann"].recoveries_ms.count == 0
    assert figures.agents["ann"].outcomes == {"committed": 1}


def test_a_draft_without_its_call_is_passed_over():
    assert told([e.ReplyDrafted(0, "s", 1), committed(5)]).agents == {}
