"""Dead steps are tried again: in their run, by one driver, once."""

import asyncio

import pytest

import interlock as il
from interlock.core import events as e
from interlock.core.values import content_hash
from interlock.errors import InputError, JournalError, StaleDriver, TeamChanged
from interlock.history import Record, lineage, replay
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Letters
from interlock.team import Team
from tests import virtual

from .stage import Ann, chain, engine, fan, kind, step, story, team

SINCE = {"by": "person:ann", "reason": "the model is back"}


class Ill:
    """Fails every call of these steps until it is well again."""

    def __init__(self, *steps):
        self.steps, self.calls = set(steps), []

    async def __call__(self, job):
        self.calls.append((job.step, job.attempt))
        if job.step in self.steps:
            raise il.AgentRefused("not today")
        return {f"out.{job.step}": "done"}


def test_a_run_goes_on_with_its_dead_step():
    async def main():
        agent, seen = Ill("s1"), []
        async with engine(chain(3), agent, observers=[lambda run_id, facts: seen.extend(facts)]) as running:
            before = await running.run({}, run_id="run")
            agent.steps.clear()
            after = await running.redrive("run", **SINCE)
            letters = await running.journal.letters(Letters())
            return before, after, agent.calls, letters, seen, await running.journal.load("run")

    before, after, calls, [letter], seen, events = virtual.run(main())
    assert (before.status, after.status, after.run_id) == ("failed", "succeeded", "run")
    assert calls == [("s0", 1), ("s1", 1), ("s1", 2), ("s2", 1)]
    assert (letter.redriven_run, letter.redriven_by, letter.outcome) == ("run", "person:ann", "succeeded")
    [reopened] = [event for event in events if isinstance(event, e.RunReopened)]
    assert (reopened.steps, reopened.by, reopened.reason) == (("s1",), "person:ann", "the model is back")
    assert seen == events


def test_only_the_steps_that_are_named():
    async def main():
        agent = Ill("s0", "s1")
        async with engine(fan(2), agent) as running:
            await running.run({}, run_id="run")
            agent.steps.clear()
            first = await running.redrive("run", ["s1"])
            return first, await running.redrive("run")

    first, second = virtual.run(main())
    assert (first.status, first.steps) == ("failed", {"s0": "dead", "s1": "committed"})
    assert second.status == "succeeded"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["s0"], "step s0 of run run is not dead; its dead steps: s1"),
        (["s11"], "step s11 of run run is not dead; did you mean s1?; its dead steps: s1"),
    ],
)
def test_only_dead_steps_are_tried_again(steps, said):
    async def main():
        async with engine(chain(3), Ill("s1")) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError) as refused:
                await running.redrive("run", steps)
            return str(refused.value)

    assert virtual.run(main()) == said


def test_a_run_without_dead_steps_is_left_alone():
    async def main():
        async with engine(chain(1)) as running:
            await running.run({}, run_id="run")
            with pytest.raises(InputError, match="run run has no dead steps; list them: interlock dlq list"):
                await running.redrive("run")
            return await story(running, "run")

    assert len(virtual.run(main())) == 4


def test_another_version_of_the_team_is_refused():
    async def main():
        store = MemoryStore()
        async with engine(chain(2), Ill("s1"), journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        async with engine(chain(2, timeout="9s"), journal=MemoryJournal(store)) as running:
            with pytest.raises(TeamChanged, match=r"agents\.ann\.timeout"):
                await running.redrive("run")

    virtual.run(main())


def test_a_run_that_somebody_drives_is_left_to_them():
    async def main():
        store, of = MemoryStore(), team(step("a"), step("b"))
        agent = Slow()
        one, other = (engine(of, agent, journal=MemoryJournal(store)) for _ in range(2))
        async with one, other:
            going = asyncio.ensure_future(one.run({}, run_id="run"))
            await asyncio.sleep(1)
            for somebody in (one, other):
                with pytest.raises(StaleDriver, match="run run is being driven; redrive it when it has ended"):
                    await somebody.redrive("run")
            return await going

    assert virtual.run(main()).status == "failed"


class Slow:
    async def __call__(self, job):
        if job.step == "a":
            raise il.AgentRefused("not today")
        await asyncio.sleep(5)
        return {}


def test_after_a_crash_in_its_middle_it_is_resumed_and_not_redriven_again():
    async def main():
        store, agent = MemoryStore(), Ill("s0")
        of = chain(2, timeout="60s")
        async with engine(of, agent, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        slow = Ann(every=10)
        dying = MemoryJournal(store)
        running = engine(of, slow, journal=dying)
        await running.__aenter__()
        going = asyncio.ensure_future(running.redrive("run"))
        await asyncio.sleep(1)
        dying.alive, dying.closed = False, True
        going.cancel()
        await asyncio.wait([going])
        agent.steps.clear()
        async with engine(of, agent, journal=MemoryJournal(store)) as running:
            waiting = await running.journal.letters(Letters(waiting=True))
            [ended] = [run async for run in running.resume()]
            return waiting, ended, [kind(event) for event in await running.journal.load("run")]

    waiting, ended, told = virtual.run(main())
    assert waiting == []
    assert ended.status == "succeeded"
    assert told.count("RunReopened") == 1


# --- forks ---


def outlived():
    """`s1` dies, and `s2` comes after it all the same; `s3` has nothing to do with them."""
    return team(step("s0"), step("s1", "s0", on_dead="continue"), step("s2", "s1"), step("s3"))


def forked(**given):
    async def main():
        agent = Ill("s1")
        async with engine(outlived(), agent) as running:
            before = await running.run({"q": 1}, run_id="run")
            agent.steps.clear()
            calls = len(agent.calls)
            after = await running.redrive("run", **given, **SINCE)
            letters = await running.journal.letters(Letters())
            told = await record(running.journal, after.run_id)
            with pytest.raises(StaleDriver):
                await running.redrive("run")
            return before, after, agent.calls[calls:], letters, told, await running.journal.load("run")

    return virtual.run(main())


async def record(journal, run_id):
    row = await journal.run(run_id)
    document = await journal.blob(row.team)
    return Record(row, content_hash(document), Team.of_document(document).rules, await journal.load(run_id))


def test_where_more_has_come_after_it_the_run_is_forked_and_pays_for_nothing_twice():
    before, after, calls, [letter], told, untouched = forked()
    assert before.status == after.status == "succeeded"
    assert after.run_id != "run"
    assert calls == [("s1", 1), ("s2", 1)]
    assert after.context["out"] == dict.fromkeys(("s0", "s3", "s1", "s2"), "done")
    assert (letter.run_id, letter.redriven_run, letter.outcome) == ("run", after.run_id, "succeeded")
    origin = told.events[0].origin
    assert origin == e.Origin("run", ("s1",), "person:ann", "the model is back")
    assert [moment.mismatches for moment in replay(told) if moment.mismatches] == []
    assert lineage(told, "out.s0").origins[0].step == "s0"
    assert isinstance(untouched[-1], e.RunFinished)


def test_what_is_changed_is_seen_by_what_is_tried_again():
    _, after, _, _, told, _ = forked(changes={"q": 2, "out.s0": "mended"})
    assert after.context["q"] == 2
    assert after.context["out.s0"] == "mended"
    assert told.events[0].origin.changed == ("q", "out.s0")
    assert [event.changed for event in told.events if isinstance(event, e.StepShared) and event.changed] == [
        ("out.s0",)
    ]
    assert [moment.mismatches for moment in replay(told) if moment.mismatches] == []


def test_a_change_makes_a_fork_where_the_run_could_go_on():
    async def main():
        agent = Ill("s1")
        async with engine(chain(3), agent) as running:
            await running.run({"q": 1}, run_id="run")
            agent.steps.clear()
            with pytest.raises(InputError, match="can't be changed: it lies inside"):
                await running.redrive("run", changes={"q.x": 2})
            return await running.redrive("run", changes={"q": 2}), await running.journal.run("run")

    after, origin = virtual.run(main())
    assert (after.status, after.context["q"], origin.status) == ("succeeded", 2, "failed")


def test_a_cancelled_run_is_final_and_is_forked():
    async def main():
        agent = Ill("s0")
        of = team(step("s0", writes=["out.s0"]), step("s1", writes=["out.s1"]))
        async with engine(of, Asks(agent)) as running:
            parked = await running.run({}, run_id="run")
            await running.cancel("run")
            agent.steps.clear()
            return parked, await running.redrive("run"), await running.journal.run("run")

    parked, after, origin = virtual.run(main())
    assert (parked.status, after.status, origin.status) == ("parked", "parked", "cancelled")
    assert after.steps == {"s0": "committed", "s1": "escalated"}


class Asks:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, job):
        return il.Reply(ask=il.Question("may I?")) if job.step == "s1" else await self.inner(job)


def test_a_secret_is_not_brought_in_by_a_change():
    class Secrets:
        def refresh(self):
            pass

        def __bool__(self):
            return True

        def among(self, raw):
            return "KEY" if b"hush" in raw else ""

        def hidden(self, text):
            return text

    async def main():
        agent = Ill("s1")
        async with engine(chain(2), agent, secrets=Secrets()) as running:
            await running.run({"q": 1}, run_id="run")
            for path in ("q", "out.s0"):
                with pytest.raises(InputError, match="holds the value of KEY"):
                    await running.redrive("run", changes={path: "hush"})

    virtual.run(main())


# --- under another team ---


def other_team(**s3):
    """`outlived`, whose dead step `bob` does now."""
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["out.s1"]), retries=0)
    ann = il.Scope(["act"], ["*"], ["out.s0", "out.s2", "out.s3", "out.s4"])
    s1, s3 = step("s1", "s0", agent="bob", on_dead="continue"), step("s3", **s3)
    return il.Team([il.Agent("ann", scope=ann, retries=0), bob], il.Plan([step("s0"), s1, step("s2", "s1"), s3]))


def under(of, **given):
    """A run that dies under `outlived`, redriven under this team; what became of it, and of its letter."""

    async def main():
        store, agent = MemoryStore(), Ill("s1")
        async with engine(outlived(), agent, journal=MemoryJournal(store)) as running:
            await running.run({"q": 1}, run_id="run")
        agent.steps.clear()
        async with engine(of, agent, journal=MemoryJournal(store)) as running:
            with pytest.raises(TeamChanged, match="add --team TEAM to have it tried under that team as it is"):
                await running.redrive("run", **SINCE)
            calls = len(agent.calls)
            after = await running.redrive("run", under_this_team=True, **given, **SINCE)
            [letter] = await running.journal.letters(Letters())
            return after, agent.calls[calls:], letter, await record(running.journal, after.run_id), store

    return virtual.run(main())


def test_another_team_tries_what_the_first_could_not():
    after, calls, letter, told, store = under(other_team())
    assert (after.status, after.steps) == ("succeeded", dict.fromkeys(("s0", "s3", "s1", "s2"), "committed"))
    assert calls == [("s1", 1), ("s2", 1)]
    assert (letter.run_id, letter.redriven_run, letter.outcome) == ("run", after.run_id, "succeeded")
    assert told.events[0].origin.team == store.rows["run"].team != told.row.team
    assert told.row.team == told.events[0].team
    assert [moment.mismatches for moment in replay(told) if moment.mismatches] == []
    [started, *_] = [event for event in told.events if isinstance(event, e.AttemptStarted)]
    assert (started.step, started.agent) == ("s1", "bob")


def test_what_another_team_is_shown_can_be_changed_as_well():
    after, calls, *_, told, _ = under(other_team(), changes={"out.s0": "mended", "q": 2})
    assert (after.context["out.s0"], after.context["q"], calls[0]) == ("mended", 2, ("s1", 1))
    assert told.events[0].origin.changed == ("out.s0", "q")


def test_what_another_team_could_not_have_come_to_is_refused_and_the_letter_waits():
    async def main():
        store, agent = MemoryStore(), Ill("s1")
        async with engine(outlived(), agent, journal=MemoryJournal(store)) as running:
            await running.run({}, run_id="run")
        refused = []
        async with engine(other_team(writes=["out.s4"]), agent, journal=MemoryJournal(store)) as running:
            told = running.redrive_many(
                {"run": []}, under_this_team=True, refused=lambda run_id, error: refused.append(str(error))
            )
            assert [run async for run in told] == []
            assert len(await running.journal.letters(Letters(waiting=True))) == 1
            assert [row.run_id for row in await running.journal.runs()] == ["run"]
        return refused

    [said] = virtual.run(main())
    assert "step s3 could not have committed what it has: ann may not write out.s3; it may write out.s4" in said


def test_under_the_same_team_its_run_goes_on():
    async def main():
        agent = Ill("s1")
        async with engine(chain(2), agent) as running:
            await running.run({}, run_id="run")
            agent.steps.clear()
            return await running.redrive("run", under_this_team=True)

    assert virtual.run(main()).run_id == "run"


def test_a_team_that_the_journal_keeps_no_more_can_not_be_compared():
    async def main():
        store = MemoryStore()
        async with engine(chain(2), Ill("s1"), journal=MemoryJournal(store)) as running:
            row = (await running.run({}, run_id="run"), store.rows["run"])[1]
        store.blobs[row.team] = b"{"
        async with engine(chain(2, timeout="9s"), journal=MemoryJournal(store)) as running:
            with pytest.raises(JournalError, match="the journal is damaged: the team of run run can't be read"):
                await running.redrive("run", under_this_team=True)

    virtual.run(main())


# --- many ---


def test_many_are_tried_again_and_those_that_can_not_be_are_told():
    async def main():
        agent, refused = Ill("s0"), []
        async with engine(fan(1), agent) as running:
            for name in ("one", "two"):
                await running.run({}, run_id=name)
            agent.steps.clear()
            wanted = {"one": ["s0"], "none": ["s0"], "two": []}
            told = running.redrive_many(wanted, refused=lambda run_id, error: refused.append((run_id, str(error))))
            return sorted([(run.run_id, run.status) async for run in told]), refused

    runs, refused = virtual.run(main())
    assert runs == [("one", "succeeded"), ("two", "succeeded")]
    assert refused == [("none", "there is no run none in this journal")]
