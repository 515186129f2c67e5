"""A run whose team has changed: what matters for the steps that remain, and how it goes on all the same."""

import asyncio

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.engine.decisions import decide
from interlock.engine.deliveries import event_request
from interlock.engine.redriving import migrated_id
from interlock.engine.versions import SHOWN_MAX, pinned, versions
from interlock.errors import EventNotTaken, InputError, JournalError, JournalUnavailable, StaleDriver, TeamError
from interlock.history import replay
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Letters
from tests import virtual

from .stage import Ann, chain, engine, kind, step, team
from .test_redrive import Asks, Ill, record

EVE = {"by": "person:eve", "reason": "the new one is better"}


def stopped(of, seconds=1.5, agent=None):
    """A store with a run of this team whose process died after so long; its steps take a second each."""

    async def main():
        store = MemoryStore()
        journal = MemoryJournal(store)
        running = engine(of, agent or Ann(every=1), journal=journal)
        await running.__aenter__()
        going = asyncio.ensure_future(running.run({"q": 1}, run_id="run"))
        await asyncio.sleep(seconds)
        journal.alive, journal.closed = False, True
        going.cancel()
        await asyncio.wait([going])
        return store

    return virtual.run(main())


def compared(old, new, seconds=1.5):
    store = stopped(old, seconds)

    async def main():
        journal = MemoryJournal(store)
        return await versions(journal, await journal.run("run"), new)

    return virtual.run(main())


def two(more=(), bob=None, ann=None, **given):
    """`a` is ann's, `b` after it bob's."""
    agents = [il.Agent("bob", scope=il.Scope(["act"], ["*"], ["out.b"]), **(bob or {})), *more]
    anns = il.Scope(["act"], ["*"], ["out.a", "out.c"])
    return il.Team(
        [il.Agent("ann", scope=anns, retries=0, **(ann or {})), *agents],
        il.Plan([step("a", **given), step("b", "a", agent="bob")]),
    )


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (two(bob={"retries": 5}), {"agents.bob.retries": "bob works at b"}),
        (two(ann={"timeout": "9s"}), {"agents.ann.timeout": ""}),
        (two(instructions="well"), {"plan.a.instructions": ""}),
        (two([il.Agent("eve", scope=il.Scope(["act"], [], ["z"]))]), {"agents.eve": ""}),
    ],
)
def test_what_matters_is_what_a_step_that_remains_is_done_by(new, why):
    found = compared(two(), new)
    assert found.remaining == ["b"]
    assert {change.text.partition(":")[0]: change.why for change in found.changes} == why
    assert found.matters == any(why.values())
    assert len([*found.lines()]) == 1


def with_plan(*steps, **given):
    return il.Team([il.Agent("ann", scope=il.Scope(["act"], ["*"], ["*"]), retries=0)], il.Plan(list(steps)), **given)


def test_a_step_that_is_new_or_changed_and_what_holds_for_all_matters():
    old = with_plan(step("a"), step("b", "a"))
    new = with_plan(step("a"), step("b", "a", retries=3), step("c", "a"), budget={"calls": 9})
    found = {change.text.partition(":")[0]: change.why for change in compared(old, new).changes}
    assert found == {"plan.b.retries": "b remains", "plan.c": "c is new", "budget": "it holds for the whole run"}


def test_where_nothing_remains_nothing_matters_but_what_is_new():
    old = with_plan(step("a"))
    assert compared(old, with_plan(step("a"), budget={"calls": 9}), 0.5).remaining == ["a"]
    parked = stopped(with_plan(step("a")), 5)
    assert parked.rows["run"].status == "succeeded"

    async def main():
        journal = MemoryJournal(parked)
        row = await journal.run("run")
        quiet = await versions(journal, row, with_plan(step("a", retries=2), budget={"calls": 9}))
        more = await versions(journal, row, with_plan(step("a"), step("b", "a"), budget={"calls": 9}))
        return quiet.matters, more.matters

    assert virtual.run(main()) == (False, True)


def test_a_judge_a_fallback_and_an_effect_matter_for_the_step_that_may_need_them():
    def of(**changed):
        deputy = il.Agent("deputy", scope=il.Scope(["act"], ["*"], ["*"]), retries=changed.get("deputy", 0))
        judge = il.Agent("judge", scope=il.Scope(["judge"], ["*"], []), retries=changed.get("judge", 0))
        scope = il.Scope(["act", "mail"], ["*"], ["*"])
        ann = il.Agent("ann", scope=scope, fallback="deputy", guardrails=[{"judge": {"agent": "judge"}}])
        effects = {"mail": {"use": "outside:mail", "retries": changed.get("mail", 0)}}
        return il.Team([ann, deputy, judge], il.Plan([step("a")]), effects=effects)

    found = compared(of(), of(deputy=2, judge=2, mail=2), 0.5)
    assert {change.why for change in found.changes} == {
        "deputy works at a", "judge works at a", "a may have it performed"
    }  # fmt: skip


def test_of_many_differences_the_first_are_shown_and_what_matters_comes_first():
    steps = [step(f"s{n}", writes=[f"out.s{n}"]) for n in range(12)]
    new = [step(f"s{n}", writes=[f"out.s{n}"], retries=1) for n in range(12)]
    found = compared(with_plan(step("z"), *steps), with_plan(step("z", retries=4), *new), 0.5)
    lines = [*found.lines()]
    assert len(lines) == SHOWN_MAX + 1
    assert lines[-1] == "and 5 more"


# --- as pinned ---


def test_a_run_goes_on_with_the_team_that_it_was_started_with():
    store = stopped(chain(3))

    async def main():
        journal = MemoryJournal(store)
        as_it_was = await pinned(journal, (await journal.run("run")).team, None, chain(2))
        agent = Ann()
        async with engine(as_it_was, agent, journal=journal) as running:
            return as_it_was.hash == chain(3).hash, await running.resume_run("run"), agent.calls

    same, run, calls = virtual.run(main())
    assert (same, run.status, calls) == (True, "succeeded", ["s1", "s2"])


def test_what_the_journal_does_not_hold_whole_is_refused(monkeypatch):
    store = stopped(chain(2))
    monkeypatch.setattr(il.Team, "of_document", lambda _: chain(3))

    async def main():
        journal = MemoryJournal(store)
        with pytest.raises(TeamError, match="the journal does not hold all of the team as it was"):
            await pinned(journal, (await journal.run("run")).team, None)

    virtual.run(main())


def test_what_the_journal_holds_no_more_is_no_team():
    store = stopped(chain(2))
    store.blobs[store.rows["run"].team] = b"{"

    async def main():
        journal = MemoryJournal(store)
        with pytest.raises(JournalError, match="the journal is damaged: the team as it was can't be read"):
            await pinned(journal, (await journal.run("run")).team, None)

    virtual.run(main())


# --- migrated ---


def migrated(old, new, agent=None, seconds=1.5, first=None):
    store = stopped(old, seconds, first)

    async def main():
        does, seen = agent or Ann(), []
        observers = [lambda run_id, facts: seen.extend((run_id, kind(fact)) for fact in facts)]
        async with engine(new, does, journal=MemoryJournal(store), observers=observers) as running:
            run = await running.migrate("run", **EVE)
            told = await record(running.journal, run.run_id)
            assert [moment.mismatches for moment in replay(told) if moment.mismatches] == []
            return run, does.calls, told, await record(running.journal, "run"), seen

    return virtual.run(main())


def test_a_run_goes_on_under_another_version_in_a_fork_that_takes_its_place():
    new = chain(4, timeout="9s")
    run, calls, told, origin, seen = migrated(chain(3), new)
    assert (run.status, run.run_id, calls) == ("succeeded", migrated_id("run", new.hash), ["s1", "s2", "s3"])
    found = told.events[0].origin
    assert found == e.Origin("run", (), "person:eve", EVE["reason"], (), origin.row.team, replaces=True)
    assert origin.row.status == "cancelled"
    assert (
        origin.row.reason
        == f"cancelled by person:eve: it goes on as run {run.run_id}, under another version of its team"
    )
    assert [name for name in seen if name[0] == "run"] == [("run", "AttemptInterrupted s1"), ("run", "RunCancelled")]
    assert seen[0] == (run.run_id, "RunStarted")


def test_a_parked_run_is_migrated_and_its_dead_steps_are_tried_again():
    of = team(step("s0"), step("s1"))
    asks = Asks(Ill("s0"))

    async def main():
        store = MemoryStore()
        async with engine(of, asks, journal=MemoryJournal(store)) as running:
            parked = await running.run({}, run_id="run")
        asks.inner.steps.clear()
        new = team(step("s0"), step("s1"), timeout="9s")
        async with engine(new, asks, journal=MemoryJournal(store)) as running:
            run = await running.migrate("run", **EVE)
            return parked, run, await running.inbox(), await running.journal.letters(Letters())

    parked, run, waiting, [letter] = virtual.run(main())
    assert (parked.status, run.status, run.steps) == ("parked", "parked", {"s0": "committed", "s1": "escalated"})
    assert [one.run_id for one in waiting] == [run.run_id]
    assert letter.redriven_run == run.run_id


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (team(step("s1"), step("s2", "s1")), "there is no step s0, which has committed"),
        (team(step("s0", writes=["out.x"]), step("s1", "s0")), "step s0 could not have committed what it has"),
        (team(step("x"), step("s0", "x"), step("s1", "s0")), "step s0 has committed, and needs x, which has not run"),
    ],
)
def test_where_what_was_committed_could_not_be_so_it_is_refused_and_nothing_is_changed(new, said):
    store = stopped(team(step("s0"), step("s1", "s0")))
    before = [*store.events["run"]]

    async def main():
        async with engine(new, Ann(), journal=MemoryJournal(store)) as running:
            with pytest.raises(InputError) as refused:
                await running.migrate("run", **EVE)
            return str(refused.value)

    assert said in virtual.run(main())
    assert (store.events["run"], [*store.rows]) == (before, ["run"])


def test_what_is_over_was_started_under_this_team_or_is_driven_is_not_migrated():
    async def main():
        store = MemoryStore()
        async with engine(chain(2), Ann(every=1), journal=MemoryJournal(store)) as first:
            await first.run({}, run_id="done")
            going = asyncio.ensure_future(first.run({}, run_id="run"))
            await asyncio.sleep(0.5)
            with pytest.raises(InputError, match="run run was started under this very team; go on with it: interlock"):
                await first.migrate("run")
            async with engine(chain(3), journal=MemoryJournal(store)) as other:
                with pytest.raises(StaleDriver, match="run run is being driven; migrate it when it has ended"):
                    await other.migrate("run")
                with pytest.raises(InputError, match="run done is over: it has succeeded; run a step of it again"):
                    await other.migrate("done")
                await first.cancel("run")
                with pytest.raises(InputError, match="run run is over: it was cancelled; run a step of it again"):
                    await other.migrate("run")
            await asyncio.wait([going])

    virtual.run(main())


class Failing(MemoryJournal):
    """A journal whose disk fails at one append."""

    left = 1

    async def append(self, run_id, *given, **more):
        if run_id == "run" and self.left:
            self.left -= 1
            raise JournalUnavailable("no disk")
        return await super().append(run_id, *given, **more)


def test_who_dies_between_the_fork_and_the_end_of_its_origin_does_the_rest_by_asking_again():
    store, new = stopped(chain(3)), chain(4)

    async def main():
        async with engine(new, Ann(), journal=Failing(store)) as running:
            with pytest.raises(JournalUnavailable):
                await running.migrate("run", **EVE)
        rows = sorted((row.run_id, row.status) for row in store.rows.values())
        agent = Ann()
        async with engine(new, agent, journal=MemoryJournal(store)) as running:
            run = await running.migrate("run", **EVE)
            return rows, run, agent.calls, await running.journal.run("run")

    rows, run, calls, origin = virtual.run(main())
    assert rows == [("run", "running"), (migrated_id("run", new.hash), "running")]
    assert (run.status, run.run_id, calls, origin.status) == (
        "succeeded", migrated_id("run", new.hash), ["s1", "s2", "s3"], "cancelled"
    )  # fmt: skip


def test_a_run_that_has_its_id_by_chance_stands_in_the_way():
    store, new = stopped(chain(3)), chain(4)

    async def main():
        async with engine(new, Ann(), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id=migrated_id("run", new.hash))
            with pytest.raises(InputError, match="run run can't be migrated: there is another run run-"):
                await running.migrate("run")

    virtual.run(main())


def waiting(**given):
    ann = il.Agent("ann", scope=il.Scope(["act"], ["*"], ["out"]), retries=0, **given)
    pay = il.Step("pay", await_event="paid", deadline="3d", on_deadline="skip", writes=["payment"])
    return il.Team([ann], il.Plan([il.Step("nap", wait="2h"), pay, step("s0", "nap", "pay", join="any_outcome")]))


def test_a_wait_goes_on_where_the_run_is_migrated():
    async def main():
        store = MemoryStore()
        async with engine(waiting(), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        await asyncio.sleep(3_600)
        async with engine(waiting(timeout="9s"), journal=MemoryJournal(store)) as running:
            run = await running.migrate("run", **EVE)
            due = {one.step: (one.due_us - virtual.START_US) / 3_600e6 for one in await running.journal.waits()}
            told = await record(running.journal, run.run_id)
            wrong = [moment.mismatches for moment in replay(told) if moment.mismatches]
            await asyncio.sleep(3_602)
            return run.status, due, wrong, (await running.resume_run(run.run_id)).steps["nap"]

    assert virtual.run(main()) == ("parked", {"nap": 2.0, "pay": 72.0}, [], "committed")


def test_an_event_reaches_the_run_that_has_taken_the_place_of_its_own():
    def of(**given):
        ann = il.Agent("ann", scope=il.Scope(["act"], ["*"], ["out"]), retries=0, **given)
        first, more = (il.Step(name, await_event="paid", writes=[name]) for name in ("pay", "more"))
        return il.Team([ann], il.Plan([first, msgspec.structs.replace(more, needs=("pay",)), step("s0", "more")]))

    async def main():
        store = MemoryStore()
        async with engine(of(), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
            await running.send_event("run", "paid", 1, event_id="evt_1")
        async with engine(of(timeout="8s"), journal=MemoryJournal(store)) as running:
            second = await running.migrate("run", **EVE)
        async with engine(of(timeout="9s"), journal=MemoryJournal(store)) as running:
            run = await running.migrate(second.run_id, **EVE)
            await running.send_event("run", "paid", 1, event_id="evt_1")  # again: it has come before
            before = (await running.journal.run(run.run_id)).status
            seen = await running.send_event("run", "paid", 2, event_id="evt_2")
            late = event_request("run", "paid", 3, "bank", "evt_3", virtual.now_us())
            with pytest.raises(EventNotTaken, match="has ended: cancelled by person:eve: it goes on as run run-"):
                await decide(running.journal, of().rules, late, now_us=virtual.now_us)
            await virtual.settle()
            return (
                before,
                seen.run_id == run.run_id,
                seen.context["more"],
                (await running.journal.run(run.run_id)).status,
            )

    assert virtual.run(main()) == ("parked", True, 2, "succeeded")


def test_who_asks_something_of_a_run_that_was_replaced_is_told_by_which():
    store, new = stopped(chain(3)), chain(4)

    async def main():
        async with engine(new, Ann(), journal=MemoryJournal(store)) as running:
            heir = (await running.migrate("run", **EVE)).run_id
            told = [running.migrate("run"), running.skip("run", "s2", by="eve"), running.retry("run", "s2", by="eve")]
            for asked, command in zip(
                told, (f"resume {heir} --migrate", f"skip {heir} s2", f"retry {heir} s2"), strict=True
            ):
                with pytest.raises(
                    InputError, match=f"run run goes on as run {heir}; name that one: interlock {command}"
                ):
                    await asked

    virtual.run(main())


def test_a_run_is_migrated_to_and_fro_as_often_as_teams_change():
    teams, found = [waiting(), waiting(timeout="9s")], ["run-" + "x" * 30]

    async def main():
        store = MemoryStore()
        async with engine(teams[0], journal=MemoryJournal(store)) as running:
            await running.run({}, run_id=found[0])
        for n in range(1, 12):
            async with engine(teams[n % 2], journal=MemoryJournal(store)) as running:
                found.append((await running.migrate(found[-1], **EVE)).run_id)

    virtual.run(main())
    assert len(set(found)) == 12
    assert max(map(len, found)) <= 80
