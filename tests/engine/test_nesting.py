"""Teams within teams: a step that is a run of its own, which succeeds, fails, waits, or is lost with its process."""

import asyncio
import functools

import pytest

import interlock as il
from interlock.agents.function import FunctionAdapter
from interlock.core import events as e
from interlock.core.budget import BudgetPolicy
from interlock.core.gate import GatePolicy, tell
from interlock.engine.children import child_id
from interlock.engine.decisions import verdict_on
from interlock.engine.engine import Engine
from interlock.engine.family import Crew
from interlock.engine.shares import SHARE_WANTED
from interlock.errors import DecisionRefused, InputError, JournalFull
from interlock.history import Record, lineage
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Request
from tests import virtual

from .stage import kind

pytestmark = pytest.mark.timeout(60)

SCOPE = il.Scope(["act"], ["*"], ["*"])


def in_time(test):
    """A test that is a coroutine, run in virtual time."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        virtual.run(test(*args, **kwargs))

    return run


def inner_team(name="inner", steps=("draft", "check"), **ann):
    ann.setdefault("retries", 0)
    plan = [il.Step(step, "ann", "act", needs=list(steps[:n][-1:])) for n, step in enumerate(steps)]
    return il.Team([il.Agent("ann", scope=SCOPE, **ann)], il.Plan(plan), name=name)


def outer_team(inner=None, *more, plan=None, agents=(), **given):
    scope = il.Scope(["act"], ["question"], ["answer"])
    given = {"inputs": {"topic": "question"}, "outputs": {"answer": "result"}} | given
    lab = il.Agent("lab", use=inner or inner_team(), scope=scope, **given)
    steps = plan or [il.Step("research", "lab", "act"), *more]
    return il.Team(
        [lab, il.Agent("bob", scope=il.Scope(["act"], ["*"], ["done", "aside"]), retries=0), *agents],
        il.Plan(steps),
        name="outer",
    )


AFTER = il.Step("tell", "bob", "act", needs=["research"], writes=["done"])


class Staff:
    """What all agents do: they note who was called, and ask, fail or answer as told."""

    def __init__(self, **does):
        self.does, self.calls = does, []

    async def __call__(self, job):
        self.calls.append(f"{job.agent}:{job.step}")
        do = self.does.get(job.step)
        if callable(do):
            found = do(job)
            return await found if asyncio.iscoroutine(found) else found
        if job.step == "check":
            return {"result": f"all about {job.view['topic']}"}
        return {"done": f"told {job.view.get('answer')}"} if job.agent == "bob" else {f"notes.{job.step}": 1}


def asks(job):
    return {"result": job.answer} if job.answer else il.Reply(ask=il.Question("May I?"))


def adapters(team, staff):
    return {name: FunctionAdapter(staff) for name, agent in team.agents.items() if agent.team is None}


def engine(team, staff=None, journal=None, **given):
    staff = staff or Staff()
    crews = [Crew(inner, adapters(inner, staff)) for inner in [*team.teams.values()][1:]]
    given = {"now_us": virtual.now_us, "watch": False} | given
    return Engine(team, adapters(team, staff), journal or MemoryJournal(), nested=crews, **given)


async def story(engine, run_id):
    return [kind(event) for event in await engine.journal.load(run_id)]


CHILD = child_id("r", "research", 1)


@in_time
async def test_a_step_is_done_by_a_run_of_its_own():
    staff = Staff()
    async with engine(outer_team(None, AFTER), staff) as one:
        run = await one.run({"question": "bees", "secret": 1}, run_id="r")
        assert (run.status, run.context.to_dict()) == (
            "succeeded",
            {"question": "bees", "secret": 1, "answer": "all about bees", "done": "told all about bees"},
        )
        assert staff.calls == ["ann:draft", "ann:check", "bob:tell"]
        assert await story(one, "r") == [
            "RunStarted",
            "ChildStarted research",
            "ChildEnded research",
            "AttemptCommitted research",
            "AttemptStarted tell",
            "AttemptCommitted tell",
            "RunFinished",
        ]
        started = (await one.journal.load(CHILD))[0]
        assert (bytes(started.request), started.parent) == (b'{"topic":"bees"}', e.Parent("r", "research", 1))
        row = await one.journal.run(CHILD)
        assert (row.status, row.parent) == ("succeeded", "r")
        assert run.cost.calls == 3


@in_time
async def test_where_a_value_came_from_is_known_across_the_border():
    inner = inner_team(steps=("check",))
    async with engine(outer_team(inner, AFTER), Staff(check=lambda job: {"result": {"text": "x"}})) as one:
        await one.run({"question": "bees"}, run_id="r")
        row = await one.journal.run("r")
        record = Record(row, row.team, one.team.rules, await one.journal.load("r"))
        [origin] = lineage(record, "answer.text").first
        assert (origin.step, origin.agent, origin.run_id, origin.path_there) == (
            "research",
            "lab",
            CHILD,
            "result.text",
        )
        assert origin.to_dict()["path_there"] == "result.text"
        assert lineage(record, "done").first[0].run_id == ""


@in_time
async def test_several_steps_have_runs_of_their_own_side_by_side():
    plan = [
        il.Step("split", "bob", "act", writes=["aside"]),
        il.Step("research", "lab", "act", needs=["split"], for_each="topics", writes=["answers"]),
    ]
    scope = il.Scope(["act"], ["question"], ["answers"])
    lab = il.Agent("lab", use=inner_team(), scope=scope, inputs={"topic": "{item}"}, outputs={"answers": "result"})
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["done", "aside"]), retries=0)
    team = il.Team([lab, bob], il.Plan(plan), reducers={"answers": "append"})
    async with engine(team, Staff(split=lambda job: {"aside": 1}), calls_max=1, runs_max=1) as one:
        run = await one.run({"topics": ["a", "b", "c"]})
        assert run.context["answers"] == ["all about a", "all about b", "all about c"]


@in_time
async def test_what_a_run_has_come_to_is_assessed_as_a_reply():
    schema = {"properties": {"answer": {"type": "integer"}}}
    async with engine(outer_team(schema=schema)) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert run.status == "failed"
        assert "answer" in run.reason
        assert await story(one, "r") == [
            "RunStarted",
            "ChildStarted research",
            "ChildEnded research",
            "AttemptRefused research",
            "StepBuried research",
            "RunFinished",
        ]


@in_time
async def test_a_run_that_fails_is_a_failure_of_its_step():
    staff = Staff(check=lambda job: 1 / 0)
    async with engine(outer_team(retries=1), staff) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        failed = [event for event in await one.journal.load("r") if isinstance(event, e.AttemptFailed)]
        assert [(one.kind, one.attempt) for one in failed] == [("child_failed", 1), ("child_failed", 2)]
        assert run.status == "failed"
        assert f"run {CHILD} has failed: check: ZeroDivisionError" in run.reason
        # It was tried again in its place: only what was dead, and what it consumed is charged once.
        assert (staff.calls.count("ann:draft"), staff.calls.count("ann:check"), run.cost.calls) == (1, 2, 3)
        assert [row.run_id for row in await one.journal.runs()] == [CHILD, "r"]


@in_time
async def test_a_run_that_cannot_go_on_in_its_place_is_followed_by_another():
    staff = Staff(draft=lambda job: 1 / 0)
    steps = [il.Step("draft", "ann", "act"), il.Step("check", "ann", "act", needs=["draft"], join="any_outcome")]
    inner = il.Team([*inner_team().agents.values()], il.Plan(steps), name="inner")
    async with engine(outer_team(inner, retries=1), staff) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert (run.status, run.cost.calls) == ("failed", 4)
        assert {row.run_id for row in await one.journal.runs()} == {"r", CHILD, child_id("r", "research", 2)}


@in_time
async def test_who_retries_a_dead_step_has_the_run_below_go_on_or_takes_what_it_has_come_to():
    staff = Staff(check=lambda job: 1 / 0)
    async with engine(outer_team(None, AFTER), staff) as one:
        for run_id in ("r", "s"):
            assert (await one.run({"question": "bees"}, run_id=run_id)).status == "failed"
        del staff.does["check"]
        below = await one.redrive(child_id("s", "research", 1), by="ann")
        assert (below.status, (await one.journal.run("s")).status) == ("succeeded", "failed")
        for run_id in ("r", "s"):
            run = await one.retry(run_id, "research", by="ann", reason="mended")
            assert (run.status, run.context["done"], run.cost.calls) == ("succeeded", "told all about bees", 4)
        assert staff.calls.count("ann:draft") == 2


@pytest.mark.parametrize("after", [False, True])
@in_time
async def test_whoever_dies_while_a_run_below_is_tried_again_leaves_what_the_next_one_finishes(after):
    for write in range(1, 100):
        store, staff = MemoryStore(), Staff(check=lambda job: 1 / 0)
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as one:
            await one.run({"question": "bees"}, run_id="r")
        del staff.does["check"]

        def retry(one):
            return one.retry("r", "research", by="ann")

        if await dies(write, staff, store, retry, after=after):
            assert write > 3
            return
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as other:
            async for _ in other.resume():
                pass
            if store.rows["r"].status == "failed":
                await retry(other)
            assert [(row.run_id, row.status) for row in await other.journal.runs()] == [
                (CHILD, "succeeded"),
                ("r", "succeeded"),
            ]
    raise AssertionError("it never ended")


@in_time
async def test_somebody_stands_in_for_a_team_that_fails():
    staff = Staff(check=lambda job: 1 / 0, research=lambda job: {"answer": "by hand"})
    eve = il.Agent("eve", scope=il.Scope(["act"], ["question"], ["answer"]))
    async with engine(outer_team(fallback="eve", agents=[eve]), staff) as one:
        run = await one.run({"question": "bees"})
        assert (run.status, run.context["answer"]) == ("succeeded", "by hand")


@in_time
async def test_a_request_that_is_too_large_for_the_nested_team_is_a_failure():
    inner = inner_team()
    inner = il.Team([*inner.agents.values()], inner.plan, limits=il.Limits(context_bytes_max=1_000))
    async with engine(outer_team(inner)) as one:
        run = await one.run({"question": "x" * 2_000}, run_id="r")
        assert "the request of the nested team" in run.reason
        assert [row.run_id for row in await one.journal.runs()] == ["r"]


@in_time
async def test_a_run_that_asks_a_person_parks_those_above_it_and_goes_on_with_them():
    staff = Staff(check=asks)
    async with engine(outer_team(None, AFTER), staff) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert (run.status, one.in_flight) == ("parked", 0)
        assert run.reason == f"research: run {CHILD} waits: check asks: May I?"
        [asked] = await one.inbox()
        assert (asked.run_id, asked.step) == (CHILD, "check")
        done = await one.decide(CHILD, "check", "answer", text="yes", by="ann")
        assert (done.run_id, done.status) == (CHILD, "succeeded")
        row = await one.journal.run("r")
        assert row.status == "succeeded"
        assert staff.calls.count("ann:draft") == 1
        assert await one.journal.requests("r") == []


@in_time
async def test_a_question_may_be_answered_in_another_process():
    staff, store = Staff(check=asks), MemoryStore()
    async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as one:
        await one.run({"question": "bees"}, run_id="r")
    async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as other:
        with pytest.raises(DecisionRefused):
            await other.decide(CHILD, "draft", "retry", by="ann")
        await other.decide(CHILD, "check", "answer", text="yes", by="ann")
        assert (await other.journal.run("r")).status == "succeeded"
        assert bytes((await other.journal.load("r"))[-2].writes["done"]) == b'"told yes"'


@in_time
async def test_a_parked_run_goes_on_at_resume_when_the_one_below_has_ended_meanwhile():
    staff, store = Staff(check=asks), MemoryStore()
    async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as one:
        await one.run({"question": "bees"}, run_id="r")
    # The inner team alone, which knows nothing of the one above.
    alone = Engine(
        inner_team(), {"ann": FunctionAdapter(staff)}, MemoryJournal(store), now_us=virtual.now_us, watch=False
    )
    async with alone:
        await alone.decide(CHILD, "check", "answer", text="yes", by="ann")
        assert (await alone.journal.run("r")).status == "parked"
    async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as other:
        assert [(run.run_id, run.status) async for run in other.resume()] == [("r", "succeeded")]
        assert [run async for run in other.resume()] == []


@in_time
async def test_who_cancels_a_run_cancels_those_that_do_its_steps():
    staff = Staff(check=lambda job: asyncio.sleep(1_000))
    async with engine(outer_team(None, timeout=None), staff) as one:
        task = asyncio.ensure_future(one.run({"question": "bees"}, run_id="r"))
        await virtual.until(lambda: "ann:check" in staff.calls)
        await one.cancel("r", by="ann", reason="never mind")
        assert (await task).status == "cancelled"
        await virtual.settle()
        row = await one.journal.run(CHILD)
        assert (row.status, row.reason) == (
            "cancelled",
            "cancelled by run:r: run r, whose step it did, does not wait for it any more",
        )
        assert one.in_flight == 0


@in_time
async def test_who_cancels_a_parked_run_cancels_those_that_do_its_steps():
    staff = Staff(check=lambda job: il.Reply(ask=il.Question("May I?")))
    async with engine(outer_team(), staff) as one:
        await one.run({"question": "bees"}, run_id="r")
        await one.cancel("r", by="ann")
        assert [(row.run_id, row.status) for row in await one.journal.runs()] == [
            (CHILD, "cancelled"),
            ("r", "cancelled"),
        ]
        assert await one.journal.questions() == []


@in_time
async def test_a_run_that_is_migrated_leaves_none_below_that_waits_for_ever():
    """What did its step is of the team as it was: no engine of the new one knows that."""
    journals = MemoryStore()
    async with engine(outer_team(), Staff(check=asks), MemoryJournal(journals)) as old:
        assert (await old.run({"question": "bees"}, run_id="r")).status == "parked"
    async with engine(outer_team(inner_team(retries=2)), Staff(check=asks), MemoryJournal(journals)) as new:
        with pytest.raises(InputError, match=r"run n\w+ does a step of run r") as refused:
            await new.migrate(CHILD)
        assert refused.value.fix == "migrate that one: interlock resume r --migrate"
        heir = await new.migrate("r")
        await asyncio.sleep(1)
        assert (heir.status, (await new.journal.run(CHILD)).status) == ("parked", "cancelled")
        assert [one.run_id for one in await new.inbox()] == [child_id(heir.run_id, "research", 1)]


@in_time
async def test_a_run_that_is_cancelled_by_itself_is_a_failure_that_is_not_tried_again():
    staff = Staff(check=lambda job: il.Reply(ask=il.Question("May I?")))
    async with engine(outer_team(retries=2), staff) as one:
        await one.run({"question": "bees"}, run_id="r")
        await one.cancel(CHILD, by="ann", reason="no good")
        row = await one.journal.run("r")
        assert row.status == "failed"
        assert row.reason == f"research: run {CHILD} was cancelled: cancelled by ann: no good"


@in_time
async def test_a_run_that_has_not_ended_in_time_is_cancelled():
    staff = Staff(check=lambda job: asyncio.sleep(1_000))
    async with engine(outer_team(inner_team(timeout="1h"), timeout="10s"), staff) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert virtual.seconds() == pytest.approx(10)
        assert run.reason == f"research: run {CHILD} has not ended in time, and is cancelled"
        await virtual.settle()
        assert (await one.journal.run(CHILD)).status == "cancelled"
        assert one.in_flight == 0


@in_time
async def test_the_time_of_a_run_that_waits_for_a_person_is_bounded_too():
    staff = Staff(check=lambda job: il.Reply(ask=il.Question("May I?")))
    async with engine(outer_team(timeout="2h"), staff) as one:
        assert (await one.run({"question": "bees"}, run_id="r")).status == "parked"
        await asyncio.sleep(7_300)
        assert [(row.run_id, row.status) for row in await one.journal.runs()] == [(CHILD, "cancelled"), ("r", "failed")]


@in_time
async def test_a_full_disk_below_is_told_above():
    class Full(MemoryJournal):
        def append(self, run_id, *given, **more):
            if run_id == CHILD and not more.get("opening"):
                answer = asyncio.get_running_loop().create_future()
                answer.set_exception(JournalFull("full"))
                return answer
            return super().append(run_id, *given, **more)

    store = MemoryStore()
    async with engine(outer_team(), journal=Full(store)) as one:
        with pytest.raises(JournalFull):
            await one.run({"question": "bees"}, run_id="r")
    async with engine(outer_team(), journal=MemoryJournal(store)) as other:
        assert [(run.run_id, run.status) async for run in other.resume()] == [("r", "succeeded")]


class Dying(MemoryJournal):
    """Its process is killed at one of its writes: before or after it."""

    def __init__(self, store, write, *, after):
        super().__init__(store)
        self.died = asyncio.get_running_loop().create_future()
        self.left, self.after = write, after

    def append(self, run_id, *given, **more):
        self.left -= 1
        if self.left > 0:
            return super().append(run_id, *given, **more)
        if not self.left:
            if self.after:
                super().append(run_id, *given, **more)
            self.died.set_result(None)
            self.alive = False
        return asyncio.get_running_loop().create_future()


async def dies(write, staff, store, do, *, after, team=None):
    """Do something with an engine whose process dies at a write; whether it was done before."""
    journal = Dying(store, write, after=after)
    one = engine(team or outer_team(None, AFTER), staff, journal)
    await one.__aenter__()
    task = asyncio.ensure_future(do(one))
    await asyncio.wait([task, journal.died], return_when=asyncio.FIRST_COMPLETED)
    is_done = task.done()
    task.cancel()
    await one.__aexit__(None, None, None)
    return is_done


@pytest.mark.parametrize("after", [False, True])
@in_time
async def test_whoever_dies_at_any_write_leaves_what_the_next_one_finishes(after):
    for write in range(1, 100):
        store, staff = MemoryStore(), Staff()
        if await dies(write, staff, store, lambda one: one.run({"question": "bees"}, run_id="r"), after=after):
            assert write > 5
            return
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as other:
            async for _ in other.resume():
                pass
            if "r" not in store.rows:
                assert write == 1
                continue
            await ended_well(other, staff)
    raise AssertionError("it never ended")


async def ended_well(engine, staff):
    rows = [(row.run_id, row.status) for row in await engine.journal.runs()]
    assert rows == [(CHILD, "succeeded"), ("r", "succeeded")]
    events = await engine.journal.load("r")
    assert [kind(event) for event in events].count("ChildEnded research") == 1
    assert bytes(events[-2].writes["done"]).startswith(b'"told ')
    assert max(staff.calls.count(call) for call in ("ann:draft", "bob:tell")) <= 2


@pytest.mark.parametrize("after", [False, True])
@in_time
async def test_whoever_dies_while_an_answer_is_taken_leaves_what_the_next_one_finishes(after):
    for write in range(1, 100):
        store, staff = MemoryStore(), Staff(check=asks)
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as one:
            await one.run({"question": "bees"}, run_id="r")

        def answer(one):
            return one.decide(CHILD, "check", "answer", text="yes", by="ann")

        if await dies(write, staff, store, answer, after=after):
            assert write > 3
            return
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as other:
            if await other.inbox():
                await answer(other)
            async for _ in other.resume():
                pass
            await ended_well(other, staff)
    raise AssertionError("it never ended")


@pytest.mark.parametrize("after", [False, True])
@in_time
async def test_whoever_dies_while_a_run_is_cancelled_leaves_none_below_it(after):
    for write in range(1, 100):
        store, staff = MemoryStore(), Staff(check=asks)
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as one:
            await one.run({"question": "bees"}, run_id="r")
        if await dies(write, staff, store, lambda one: one.cancel("r", by="ann"), after=after):
            assert write > 2
            return
        async with engine(outer_team(None, AFTER), staff, MemoryJournal(store)) as other:
            async for _ in other.resume():
                pass
            if store.rows["r"].status == "parked":
                await other.cancel("r", by="ann")
            assert {row.status for row in await other.journal.runs()} == {"cancelled"}
    raise AssertionError("it never ended")


# --- what the teams above may consume on one day ---


def above_team(inner=None, name="outer", day=None, **given):
    """A team with another one nested in it, and a budget for a day."""
    scope = il.Scope(["act"], ["question"], ["answer"])
    mapped = {"inputs": {"question": "question", "topic": "question"}, "outputs": {"answer": "result"}}
    lab = il.Agent("lab", use=inner or inner_team(), scope=scope, **mapped)
    budget = {"budget": {"day": day}} if day else {}
    return il.Team([lab], il.Plan([il.Step("research", "lab", "act")]), name=name, **budget, **given)


async def calls_on(one, gate):
    """The calls that a gate has counted today, and those it waits for, once all that was told is folded."""
    at = dict(await one.journal.gates())[gate]
    tell(at.gate, GatePolicy(budget=BudgetPolicy(daily=True)), at.outcomes)
    return at.gate.ledger.spent.calls, len(at.gate.grants)


DAY_IS_SPENT = "team outer: its budget is 3 calls a day, of which 0 calls are left"


@in_time
async def test_the_calls_of_a_nested_team_are_made_within_the_day_of_the_team_above():
    staff = Staff()
    async with engine(above_team(day={"calls": 3}), staff) as one:
        runs = [await one.run({"question": "bees"}, run_id=name) for name in "rs"]
        assert [run.status for run in runs] == ["succeeded", "failed"]
        assert len(staff.calls) == 3
        below = await one.journal.run(child_id("s", "research", 1))
        assert (below.status, below.reason) == ("failed", f"check: ann was not called: {DAY_IS_SPENT}")
        assert await calls_on(one, "outer/") == (3, 0)


@in_time
async def test_many_runs_at_a_time_do_not_exceed_the_day_of_the_team_above():
    staff = Staff(draft=lambda job: asyncio.sleep(1, {"notes.draft": 1}))
    async with engine(above_team(day={"calls": 15}), staff) as one:
        runs = await asyncio.gather(*(one.run({"question": "bees"}) for _ in range(20)))
        assert {run.status for run in runs} == {"failed"}
        assert len(staff.calls) == 15


@pytest.mark.parametrize(("most", "spent"), [(9, "middle: its budget is 3 calls"), (1, "top: its budget is 1 call")])
@in_time
async def test_the_day_of_each_team_above_bounds_the_calls(most, spent):
    staff, middle = Staff(), above_team(name="middle", day={"calls": 3})
    scope = il.Scope(["act"], ["question"], ["answer"])
    mid = il.Agent("mid", use=middle, scope=scope, outputs={"answer": "answer"})
    top = il.Team([mid], il.Plan([il.Step("all", "mid", "act")]), name="top", budget={"day": {"calls": most}})
    async with engine(top, staff) as one:
        runs = [await one.run({"question": "bees"}, run_id=run_id) for run_id in "rs"]
        assert len(staff.calls) == min(3, most)
        assert f"ann was not called: team {spent} a day" in runs[-1].reason
        assert await calls_on(one, "top/") == await calls_on(one, "middle/") == (min(3, most), 0)


@in_time
async def test_a_call_waits_for_the_next_day_of_the_team_above_where_that_says_so():
    async with engine(above_team(day={"calls": 1, "when_spent": "wait"})) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert (run.status, virtual.seconds() > 3_600) == ("succeeded", True)
        assert await story(one, CHILD) == [
            "RunStarted",
            "AttemptStarted draft",
            "AttemptCommitted draft",
            "CallHeld check",
            "BackoffEnded check",
            "AttemptStarted check",
            "AttemptCommitted check",
            "RunFinished",
        ]


@in_time
async def test_the_rate_of_the_team_above_bounds_the_calls_too():
    async with engine(above_team(rate={"requests": "1/min"})) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert (run.status, virtual.seconds() >= 60) == ("succeeded", True)
        [held] = [event for event in await one.journal.load(CHILD) if isinstance(event, e.CallHeld)]
        assert (held.gate, held.reason) == ("above_1_rate", "team outer: its rate is taken up until then")


@pytest.mark.parametrize("alone", [False, True])
@in_time
async def test_more_of_the_day_of_the_team_above_is_approved_below_for_all_its_runs(alone):
    """Also where whoever goes on with the run below knows nothing of the team above."""
    staff, store = Staff(), MemoryStore()
    team = above_team(day={"calls": 3, "when_spent": "ask"})
    async with engine(team, staff, MemoryJournal(store)) as one:
        runs = [await one.run({"question": "bees"}, run_id=name) for name in "rst"]
        assert [run.status for run in runs] == ["succeeded", "parked", "parked"]
        below, other = (child_id(above, "research", 1) for above in "st")
        assert {one.run_id: (one.step, one.text) for one in await one.inbox()} == {
            below: ("check", f"ann was not called: {DAY_IS_SPENT}"),
            other: ("draft", f"ann was not called: {DAY_IS_SPENT}"),
        }
        with pytest.raises(DecisionRefused, match="the budget doesn't bound usd"):
            await one.decide(below, "check", "approve", more={"usd": 1}, by="ann")
    inner = Engine(
        inner_team(), {"ann": FunctionAdapter(staff)}, MemoryJournal(store), now_us=virtual.now_us, watch=False
    )
    async with inner if alone else engine(team, staff, MemoryJournal(store)) as another:
        done = await another.decide(below, "check", "approve", more={"calls": 2}, by="ann")
        assert (done.status, len(staff.calls)) == ("succeeded", 4)
        retried = await another.decide(other, "draft", "retry", by="ann")
        assert (retried.status, len(staff.calls)) == ("parked", 5)
        assert await calls_on(another, "outer/") == (5, 0)


@in_time
async def test_whoever_dies_at_any_write_leaves_the_day_of_the_team_above_as_it_is():
    def run(one):
        return one.run({"question": "bees"}, run_id="r")

    team = above_team(day={"calls": 9})
    for write in range(1, 100):
        store, staff = MemoryStore(), Staff()
        ended = await dies(write, staff, store, run, after=True, team=team)
        async with engine(team, staff, MemoryJournal(store)) as other:
            async for _ in other.resume():
                pass
            row = await other.journal.run("r")
            begun = [one for one in await other.journal.load(CHILD) if isinstance(one, e.AttemptStarted)]
            # A call that was lost with its process counts, and so does the one in its place.
            assert (row.status, await calls_on(other, "outer/")) == ("succeeded", (len(begun), 0))
        if ended:
            assert write > 3
            return
    raise AssertionError("it never ended")


@in_time
async def test_teams_of_one_name_have_one_gate_at_which_a_call_is_counted_once():
    inner = il.Team([*inner_team().agents.values()], inner_team().plan, name="outer", budget={"day": {"calls": 9}})
    async with engine(above_team(inner, day={"calls": 9})) as one:
        await one.run({"question": "bees"}, run_id="r")
        assert await calls_on(one, "outer/") == (2, 0)


@in_time
async def test_a_run_that_is_cancelled_holds_nothing_of_the_day_of_the_team_above():
    staff = Staff(check=lambda job: asyncio.sleep(1_000))
    async with engine(above_team(day={"calls": 9}), staff) as one:
        task = asyncio.ensure_future(one.run({"question": "bees"}, run_id="r"))
        await virtual.until(lambda: "ann:check" in staff.calls)
        await one.cancel("r", by="ann", reason="never mind")
        await task
        await virtual.settle()
        assert await calls_on(one, "outer/") == (2, 0)


# --- more of a share ---


def sharing_team(most=9, share=1, inner=None, **budget):
    """A team that sets calls aside for a run of another, of which a person may approve more."""
    scope = il.Scope(["act"], ["question"], ["answer"])
    mapped = {"inputs": {"topic": "question"}, "outputs": {"answer": "result"}}
    given = {"calls": share, "when_spent": "ask"} | budget
    lab = il.Agent("lab", use=inner or inner_team(), scope=scope, budget=given, **mapped)
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["done"]), retries=0)
    return il.Team(
        [lab, bob], il.Plan([il.Step("research", "lab", "act"), AFTER]), name="outer", budget={"calls": most}
    )


SHARE_IS_SPENT = (
    "ann was not called: its share of what the run above may consume: its budget is 1 call, of which 0 calls are left"
)


@in_time
async def test_more_of_its_share_is_approved_below_and_set_aside_above_first():
    staff = Staff()
    async with engine(sharing_team(), staff) as one:
        run = await one.run({"question": "bees"}, run_id="r")
        assert run.reason == f"research: run {CHILD} waits: check needs a person: {SHARE_IS_SPENT}"
        [asked] = await one.inbox()
        assert (asked.run_id, asked.text) == (CHILD, f"{SHARE_IS_SPENT}; consumed: 1 call")
        done = await one.decide(CHILD, "check", "approve", more={"calls": 2}, by="eve", reason="busy")
        assert (done.run_id, done.status) == (CHILD, "succeeded")
        assert (await one.journal.run("r")).status == "succeeded"
        assert await story(one, "r") == [
            "RunStarted",
            "ChildStarted research",
            "ChildParked research",
            "RunParked",
            "ShareRaised research",
            "ChildEnded research",
            "AttemptCommitted research",
            "AttemptStarted tell",
            "AttemptCommitted tell",
            "RunFinished",
        ]
        [raised] = [event for event in await one.journal.load(CHILD) if isinstance(event, e.BudgetRaised)]
        assert (raised.by, raised.budget, raised.calls, raised.reason) == ("person:eve", "share", 2, "busy")
        assert await one.journal.requests(CHILD) == await one.journal.requests("r") == []


@in_time
async def test_what_the_budget_above_has_no_room_for_is_refused_and_its_question_stays():
    async with engine(sharing_team(most=3)) as one:
        await one.run({"question": "bees"}, run_id="r")
        with pytest.raises(DecisionRefused) as refused:
            await one.decide(CHILD, "check", "approve", more={"calls": 3}, by="eve")
        said = f"run r: 3 calls more can't be set aside for run {CHILD}: the run above: its budget is 3 calls"
        assert refused.value.message == f"{said}, of which 2 calls are left"
        assert refused.value.fix == f"approve less, or see what else may be done: interlock inbox show {CHILD}"
        with pytest.raises(DecisionRefused, match="the budget doesn't bound usd"):
            await one.decide(CHILD, "check", "approve", more={"usd": 3}, by="eve")
        assert "ShareRaised research" not in await story(one, "r")
        assert [asked.step for asked in await one.inbox()] == ["check"]
        done = await one.decide(CHILD, "check", "approve", more={"calls": 2}, by="eve")
        assert done.status == "succeeded"


@in_time
async def test_more_is_approved_while_both_runs_are_driven():
    """Other steps of both are under way meanwhile."""
    ann = il.Agent("ann", scope=SCOPE, retries=0)
    steps = [il.Step(name, "ann", "act", writes=[f"notes.{name}"]) for name in ("slow", "draft")]
    steps += [il.Step("check", "ann", "act", needs=["draft"], writes=["result"])]
    inner = il.Team([ann], il.Plan(steps), name="inner")

    async def slow(job):
        await asyncio.sleep(3)
        return {f"notes.{job.step}": 1}

    staff = Staff(slow=slow, aside=lambda job: asyncio.sleep(4, {"done": 1}))
    team = sharing_team(share=2, inner=inner)
    aside = il.Step("aside", "bob", "act", writes=["done"])
    team = il.Team([*team.agents.values()], il.Plan([team.plan.declared[0], aside]), name="outer", budget={"calls": 9})
    async with engine(team, staff) as one:
        task = asyncio.ensure_future(one.run({"question": "bees"}, run_id="r"))
        await asyncio.sleep(1)
        assert [asked.run_id for asked in await one.inbox()] == [CHILD]
        done = await one.decide(CHILD, "check", "approve", more={"calls": 1}, by="eve")
        assert (done.status, (await task).status, virtual.seconds()) == ("succeeded", "succeeded", 4)
        assert (await story(one, CHILD)).count("BudgetRaised check") == 1


@in_time
async def test_more_is_approved_where_nobody_knows_the_team_above():
    staff, store = Staff(), MemoryStore()
    async with engine(sharing_team(), staff, MemoryJournal(store)) as one:
        await one.run({"question": "bees"}, run_id="r")
    alone = Engine(
        inner_team(), {"ann": FunctionAdapter(staff)}, MemoryJournal(store), now_us=virtual.now_us, watch=False
    )
    async with alone:
        with pytest.raises(DecisionRefused, match="of which 8 calls are left"):
            await alone.decide(CHILD, "check", "approve", more={"calls": 9}, by="eve")
        done = await alone.decide(CHILD, "check", "approve", more={"calls": 1}, by="eve")
        assert (done.status, (await alone.journal.run("r")).status) == ("succeeded", "parked")
    async with engine(sharing_team(), staff, MemoryJournal(store)) as other:
        assert [(run.run_id, run.status) async for run in other.resume()] == [("r", "succeeded")]


@pytest.mark.parametrize("after", [False, True])
@in_time
async def test_whoever_dies_while_more_of_a_share_is_approved_leaves_what_the_next_one_finishes(after):
    team = sharing_team()

    def approve(one):
        return one.decide(CHILD, "check", "approve", more={"calls": 2}, by="eve")

    for write in range(1, 100):
        store, staff = MemoryStore(), Staff()
        async with engine(team, staff, MemoryJournal(store)) as one:
            await one.run({"question": "bees"}, run_id="r")
        ended = await dies(write, staff, store, approve, after=after, team=team)
        async with engine(team, staff, MemoryJournal(store)) as other:
            async for _ in other.resume():
                pass
            if await other.inbox():  # nobody had heard of it
                assert "ShareRaised research" not in await story(other, "r")
                await approve(other)
            assert [(row.run_id, row.status) for row in await other.journal.runs()] == [
                (CHILD, "succeeded"),
                ("r", "succeeded"),
            ]
            told = await story(other, "r"), await story(other, CHILD)
            assert (told[0].count("ShareRaised research"), told[1].count("BudgetRaised check")) == (1, 1)
        if ended:
            assert write > 3
            return
    raise AssertionError("it never ended")


@in_time
async def test_what_is_asked_of_a_run_above_in_a_broken_way_is_refused():
    async with engine(sharing_team()) as one:
        await one.run({"question": "bees"}, run_id="r")
        machine = await one.folded("r")
        verdict = verdict_on(Request("x", "r", SHARE_WANTED, "person:eve", "", b"[]"), machine, machine.at_us)
        assert "what is wanted of a share can't be read" in verdict.findings[0].message


@in_time
async def test_a_run_that_could_not_be_cancelled_on_a_full_disk_is_cancelled_later():
    class Full(MemoryJournal):
        """The first append of a run below that is to be cancelled finds the disk full."""

        left = 1

        def append(self, run_id, seq, events, **more):
            if self.left and run_id == CHILD and isinstance(events[0], e.RunCancelled):
                self.left -= 1
                raise JournalFull("the disk is full")
            return super().append(run_id, seq, events, **more)

    journal = Full()
    async with engine(outer_team(timeout="10s"), Staff(check=asks), journal) as one:
        await one.run({"question": "bees"}, run_id="r")
        await asyncio.sleep(100)
        assert (journal.left, (await one.journal.run(CHILD)).status) == (0, "cancelled")


@in_time
async def test_the_time_that_a_failed_run_had_left_does_not_end_the_wait_before_the_next_one():
    async def late(job):
        await asyncio.sleep(4)
        raise ValueError("no")

    team = outer_team(timeout="5s", retries=1, backoff="30s")
    async with engine(team, Staff(check=late)) as one:
        await one.run({"question": "bees"}, run_id="r")
        begun = [event.at_us for event in await one.journal.load("r") if isinstance(event, e.ChildStarted)]
        assert begun[1] - begun[0] >= 34_000_000
