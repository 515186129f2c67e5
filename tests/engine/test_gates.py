"""Breakers, rates and budgets at work: what many runs at a time may do, measured in virtual time."""

import asyncio
from functools import partial

import msgspec
import pytest

import interlock as il
from interlock.agents.function import FunctionAdapter
from interlock.core import events as e
from interlock.core.budget import DAY_US
from interlock.core.gate import GatePolicy, turn
from interlock.engine.gates import Gatekeeper
from interlock.errors import JournalError, StaleDriver
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.ports import Opening
from tests import virtual
from tests.core.test_rate import most_in_a_window

from .stage import Ann, chain, end, engine, fan, scope, step, team
from .test_engine import killed, spawn

S = 1_000_000


class Moody:
    """An agent that is bad until a time, and notes when it was called."""

    def __init__(self, bad_until: float = 0, seconds: float = 0.0, usage: il.Usage | None = None) -> None:
        self.bad_until, self.seconds, self.usage = bad_until, seconds, usage
        self.began: list[float] = []

    async def __call__(self, job):
        self.began.append(virtual.seconds())
        await asyncio.sleep(self.seconds)
        good = virtual.seconds() >= self.bad_until
        return il.Reply(writes={f"out.{job.step}" if good else "": "done"}, usage=self.usage)


class Apart(MemoryJournal):
    """A journal that has no turns at gates within an append."""

    def append(self, *args, also=None, **rest):
        return super().append(*args, **rest)


class SlowGates(Apart):
    """A journal whose turns at gates take a while, like those on a disk."""

    def at_gates(self, names, turn, runs=()):
        loop, taken = asyncio.get_running_loop(), super().at_gates
        later = loop.create_future()

        def take():
            done = taken(names, turn, runs)
            if not later.cancelled():
                later.set_result(done.result()) if done.exception() is None else later.set_exception(done.exception())

        loop.call_later(0.01, take)
        return later


async def told(running, run_id="run"):
    """The story of a run, with what held its calls."""
    lines = []
    for event in await running.journal.load(run_id):
        if isinstance(event, e.CallHeld):
            lines.append(f"held by {event.gate}")
        elif isinstance(event, e.AttemptStarted):
            lines.append(f"{event.agent} called")
        else:
            lines.append(type(event).__name__)
    return lines


async def gate_of(running, name):
    """A gate of a team without a name, with all that it was told folded."""
    rules = running.team.rules
    of = rules.gate if name == "/" else rules.roles["ann"].gate
    await running.journal.at_gates([name], partial(turn, {name: of}, [], virtual.now_us()))
    return dict(await running.journal.gates())[name]


# --- breakers ---

BREAKER = {"trip_after": 3, "cooldown": "30s", "half_open_calls": 2}


def test_a_breaker_trips_probes_and_closes_again():
    ann = Moody(bad_until=50)

    async def main():
        async with engine(chain(1, retries=2, breaker=BREAKER), ann) as running:
            first = await running.run({}, run_id="first")
            rest = [spawn(running.run({}, run_id=f"r{n}")) for n in range(6)]
            rest = await asyncio.gather(*rest)
            moves = await gate_of(running, "/ann")
            return first, rest, moves.moved, await told(running, "r0")

    first, rest, moved, story = virtual.run(main())
    assert first.status == "failed"
    assert [run.status for run in rest] == ["succeeded"] * 6
    # bad at 30 s, so open again; good at 60 s, and then for all that waited
    assert len([at for at in ann.began if at == 0]) == 3
    assert len([at for at in ann.began if 30 <= at < 50]) == 2
    assert sorted({round(at) for at in ann.began}) == [0, 30, 60, 90]
    assert [move.to for move in moved][::-1][:5] == ["open", "half_open", "open", "half_open", "closed"]
    assert story[:3] == ["RunStarted", "held by breaker", "BackoffEnded"]


def test_the_fallback_works_while_the_breaker_is_open():
    ann = Moody(bad_until=1e9)
    backup = il.Agent("bob", scope=scope(), retries=0)

    async def main():
        of = team(step("a"), agents=[backup], retries=2, fallback="bob", breaker=BREAKER)
        async with engine(of, adapters={"ann": FunctionAdapter(ann)}) as running:
            runs = [await running.run({}, run_id=f"r{n}") for n in range(5)]
            return [run.status for run in runs], await told(running, "r4")

    statuses, story = virtual.run(main())
    assert statuses == ["succeeded"] * 5
    assert len(ann.began) == 3
    assert story == ["RunStarted", "held by breaker", "bob called", "AttemptCommitted", "RunFinished"]


@pytest.mark.parametrize(
    ("while_open", "statuses"), [("wait", ["failed", "succeeded"]), ("fail", ["failed", "failed"])]
)
def test_without_a_fallback_a_step_waits_or_fails(while_open, statuses):
    ann = Moody(bad_until=5)

    async def main():
        of = chain(1, retries=2, breaker={**BREAKER, "while_open": while_open})
        async with engine(of, ann) as running:
            runs = [await running.run({}) for _ in range(2)]
            return [run.status for run in runs], virtual.seconds()

    assert virtual.run(main()) == (statuses, pytest.approx(30 if while_open == "wait" else 0, abs=0.1))


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
def test_an_opening_stops_calls_at_once_under_200_runs(journal):
    """At most those in flight then: 8 calls at a time, of which the third bad one opens it."""
    ann = Moody(bad_until=1e9, seconds=1.0)

    async def main():
        of = chain(1, retries=5, breaker={**BREAKER, "cooldown": "1h", "while_open": "fail"}, concurrency=8)
        async with engine(of, ann, journal=journal()) as running:
            await asyncio.gather(*(running.run({}) for _ in range(200)))

    virtual.run(main())
    assert len(ann.began) <= 3 + 8 + 8


def test_no_more_probes_than_declared_under_200_runs():
    ann = Moody(bad_until=1e9, seconds=1.0)

    async def main():
        async with engine(chain(1, retries=0, breaker=BREAKER), ann, journal=SlowGates(), runs_max=300) as running:
            await asyncio.wait([spawn(running.run({})) for _ in range(200)], timeout=29)
            began = len(ann.began)
            await asyncio.wait([spawn(running.run({})) for _ in range(200)], timeout=280)
            return began

    began = virtual.run(main())
    later = [at for at in ann.began[began:] if at > 29]
    assert later
    assert all(len([at for at in later if probe <= at < probe + 29]) <= 2 for probe in later)


# --- rates ---


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
def test_a_rate_is_kept_and_used_to_within_two_percent_over_hours(journal):
    ann = Moody(seconds=3.0)

    async def main():
        of = fan(60, rate={"requests": "30/min"}, timeout="60s")
        async with engine(of, ann, journal=journal()) as running:
            await asyncio.gather(*(running.run({}) for _ in range(90)))

    virtual.run(main())
    assert len(ann.began) == 5_400
    hours = max(ann.began) / 3_600
    assert 5_370 / 1_800 <= hours <= 1.02 * 5_400 / 1_800
    assert most_in_a_window([(at, 1) for at in ann.began], 59.98) <= 30


def test_a_rate_of_tokens_is_kept_and_used_to_within_two_percent():
    ann = Moody(seconds=0.5, usage=il.Usage(1_500, 500, 0.0))

    async def main():
        async with engine(fan(60, rate={"tokens": "40000/min"}), ann) as running:
            await asyncio.gather(*(running.run({}) for _ in range(60)))

    virtual.run(main())
    per_minute = (len(ann.began) - 40) * 2_000 / (max(ann.began) / 60)
    assert 0.98 * 40_000 <= per_minute <= 40_000


def test_first_come_first_served_across_runs():
    order = []

    async def note(job):
        order.append(job.run_id)
        return {f"out.{job.step}": 1}

    async def main():
        async with engine(chain(1, rate={"requests": "1/s"}), note) as running:
            runs = []
            for number in range(30):
                runs.append(spawn(running.run({}, run_id=f"r{number:02}")))
                await asyncio.sleep(0.1)
            await asyncio.gather(*runs)

    virtual.run(main())
    assert order == sorted(order)


def hundredfold(of_rogue):
    """How many calls the others make in ten minutes beside a rogue one."""
    made = {"ann": 0, "rogue": 0}

    async def note(job):
        made[job.agent] += 1
        await asyncio.sleep(0.2)
        return {f"out.{job.step}": 1}

    async def main():
        rate = {"requests": "60/min"}
        rogue = il.Agent("rogue", scope=scope(), retries=0, rate=rate)
        own = team(*(step(f"s{n}") for n in range(10)), rate=rate)
        bad = il.Team([rogue], il.Plan([step(f"s{n}", agent="rogue") for n in range(10)]))
        store = MemoryStore()
        async with (
            engine(own, note, journal=MemoryJournal(store), calls_max=20) as one,
            engine(bad, note, journal=MemoryJournal(store), calls_max=20) as other,
        ):
            runs = [spawn(one.run({})) for _ in range(80)]
            runs += [spawn(other.run({})) for _ in range(of_rogue)]
            await asyncio.wait(runs, timeout=600)
            for run in runs:
                run.cancel()

    virtual.run(main())
    return made


def test_a_rogue_agent_costs_the_others_next_to_nothing():
    alone, beside = hundredfold(0), hundredfold(600)
    assert alone["rogue"] == 0
    assert beside["rogue"] <= 1.02 * 660
    assert beside["ann"] >= 0.95 * alone["ann"]


def test_a_rogue_agent_of_the_same_runs_takes_no_room_from_the_others():
    made = {"ann": 0, "rogue": 0}

    async def note(job):
        made[job.agent] += 1
        await asyncio.sleep(0.2)
        return {}

    async def main():
        rate = {"requests": "60/min"}
        agents = [il.Agent(name, scope=il.Scope(["act"], [], [f"{name}.*"]), retries=0, rate=rate) for name in made]
        steps = [step("mine", writes=["ann.x"])]
        steps += [step(f"s{n}", agent="rogue", writes=[f"rogue.s{n}"]) for n in range(100)]
        async with engine(il.Team(agents, il.Plan(steps)), note, calls_max=5) as running:
            runs = [spawn(running.run({})) for _ in range(60)]
            await asyncio.sleep(62)
            for run in runs:
                run.cancel()

    virtual.run(main())
    assert made["ann"] == 60


# --- budgets ---


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
def test_200_calls_at_a_time_against_a_budget_for_50_make_50_whatever_is_restarted(journal):
    ann = Ann(every=4)

    async def main():
        store = MemoryStore()
        of = chain(1, budget={"day": {"calls": 50}}, concurrency=20)
        async with killed(of, ann, store, after=6) as first:
            for number in range(200):
                spawn(end(spawn(first.run({}, run_id=f"r{number}"))))
        before = len(ann.calls)
        async with engine(of, ann, journal=journal(store)) as second:
            ended = [run.status async for run in second.resume()]
            return before, ended

    before, ended = virtual.run(main())
    assert before == 40  # 20 of which were lost, and count
    assert len(ann.calls) == 50
    assert (ended.count("succeeded"), ended.count("failed")) == (10, 170)


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
def test_what_others_have_reserved_and_did_not_use_is_waited_for(journal):
    """Each call may cost two cents and costs a tenth of one: seven cents are enough for six calls at a time."""
    ann = Moody(seconds=0.05, usage=il.Usage(1, 1, 0.001))

    async def main():
        of = chain(1, budget={"day": {"usd": 0.07, "call": {"usd": 0.02}}})
        async with engine(of, ann, journal=journal(MemoryStore())) as running:
            runs = await asyncio.gather(*(running.run({}) for _ in range(6)))
            return [(run.status, run.reason) for run in runs]

    assert virtual.run(main()) == [("succeeded", "")] * 6


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
def test_what_others_of_the_run_have_reserved_is_waited_for_without_a_word(journal):
    """Sixty calls of an hour each, five at a time: one that is held is held once, and begins when another has ended."""
    ann = Moody(seconds=3_600, usage=il.Usage(1, 1))

    async def main():
        of = il.Team(
            [il.Agent("ann", scope=scope(), timeout="2h")],
            il.Plan([step("s", samples=60, writes=["out.{step}"])]),
            budget={"tokens": 599, "call": {"tokens": 100}},
        )
        async with engine(of, ann, journal=journal(MemoryStore())) as running:
            run = await running.run({}, run_id="run")
            return run.status, await running.journal.load("run")

    status, events = virtual.run(main())
    held = [event.step for event in events if isinstance(event, e.CallHeld)]
    began = [event for event in events if isinstance(event, e.BackoffEnded)]
    assert (status, len(held), len({*held}), len(began)) == ("succeeded", 55, 55, 55)
    assert max(ann.began) < 15 * 3_600  # five or four at a time: all they use is reserved no more


@pytest.mark.parametrize("whose", ["run", "agent", "step"])
def test_a_budget_of_one_run_is_never_exceeded(whose):
    budget, ann = {"calls": 50}, Ann(every=1)

    async def main():
        of = il.Team(
            [il.Agent("ann", scope=scope(), retries=0, budget=budget if whose == "agent" else None)],
            il.Plan([step("s", samples=100, writes=["out.{step}"], budget=budget if whose == "step" else None)]),
            budget=budget if whose == "run" else None,
        )
        store = MemoryStore()
        async with killed(of, ann, store, after=0.5) as first:
            spawn(end(spawn(first.run({}, run_id="run"))))
        async with engine(of, ann, journal=MemoryJournal(store)) as second:
            run = await second.resume_run("run")
            return run.status, run.cost.calls, run.reason

    status, calls, reason = virtual.run(main())
    assert (status, calls, len(ann.calls)) == ("failed", 50, 50)
    assert "its budget is 50 calls, of which 0 calls are left" in reason


def test_a_daily_budget_begins_anew_at_midnight():
    ann = Ann()
    to_midnight = (DAY_US - virtual.START_US % DAY_US) / 1e6

    async def main():
        of = chain(1, budget={"day": {"calls": 3, "when_spent": "wait"}})
        async with engine(of, ann, runs_max=50) as running:
            runs = await asyncio.gather(*(running.run({}, run_id=f"r{n}") for n in range(7)))
            return [run.status for run in runs], await told(running, "r6"), virtual.seconds()

    statuses, story, seconds = virtual.run(main())
    assert statuses == ["succeeded"] * 7
    assert story.count("held by budget") == 2
    assert seconds == pytest.approx(to_midnight + 86_400, abs=1)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"rate": {"requests": "2/min"}}, 61),
        ({"breaker": {"trip_after": 1, "cooldown": "30s", "half_open_calls": 1}}, 31),
        ({"budget": {"day": {"calls": 1, "when_spent": "wait"}}}, 86_400),
    ],
)
def test_a_clock_that_was_ahead_keeps_nobody_away_until_its_time_has_come(given, seconds):
    """Thirty days ahead, and set right again, while one run waits at the gate and others come."""
    ahead_us = [30 * DAY_US]
    agent = Moody(bad_until=0.001)

    async def main():
        store = MemoryStore()
        now_us = lambda: virtual.now_us() + ahead_us[0]  # noqa: E731
        async with engine(chain(3, retries=3, **given), agent, journal=MemoryJournal(store), now_us=now_us) as running:
            first = asyncio.ensure_future(running.run({}, run_id="first"))
            await asyncio.sleep(1)
            ahead_us[0] = 0
            second = await running.run({}, run_id="second")
            took = virtual.seconds()
            return (await first).status, second.status, took, len(await running.journal.load("second"))

    first, second, took, events = virtual.run(main())
    assert (first, second) == ("succeeded", "succeeded")
    assert took <= 7 * seconds
    assert events < 50


def test_an_unknown_price_is_charged_in_full():
    ann = Moody(usage=il.Usage(10, 10))  # says nothing of dollars

    async def main():
        of = chain(1, budget={"day": {"usd": 1, "call": {"usd": 0.25}}})
        async with engine(of, ann) as running:
            return [(await running.run({})).status for _ in range(6)]

    assert virtual.run(main()) == ["succeeded"] * 4 + ["failed"] * 2


def test_a_spent_budget_hands_on_to_a_cheaper_agent():
    async def main():
        backup = il.Agent("bob", scope=scope(), retries=0)
        of = team(step("a"), agents=[backup], fallback="bob", budget={"day": {"calls": 1}})
        async with engine(of) as running:
            for number in range(2):
                await running.run({}, run_id=f"r{number}")
            return await told(running, "r1")

    assert virtual.run(main()) == ["RunStarted", "held by budget", "bob called", "AttemptCommitted", "RunFinished"]


def test_the_team_shares_a_budget_and_what_is_denied_there_is_held_nowhere():
    async def main():
        of = il.Team(
            [il.Agent("ann", scope=scope(), retries=0, rate={"requests": "9/s"}, budget={"day": {"calls": 9}})],
            il.Plan([step(f"s{n}") for n in range(5)]),
            budget={"day": {"calls": 2}},
        )
        async with engine(of) as running:
            await running.run({}, run_id="run")
            story, own = await told(running), await gate_of(running, "/ann")
            shared = await gate_of(running, "/")
            return story.count("ann called"), story.count("held by team_budget"), own.gate, shared.gate

    called, denied, own, shared = virtual.run(main())
    assert (called, denied) == (2, 3)
    assert (own.ledger.spent.calls, own.ledger.reserved.calls, own.grants) == (2, 0, {})
    assert (shared.ledger.spent.calls, shared.ledger.reserved.calls, shared.grants) == (2, 0, {})


# --- kill, resume, cancel ---

ALL = {"breaker": BREAKER, "rate": {"requests": "10/min", "tokens": "90000/min"}}


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
def test_grants_that_were_open_at_a_crash_are_the_same_ones_after_it(journal):
    ann = Ann(every=2)

    async def main():
        store = MemoryStore()
        of = fan(40, **ALL, budget={"day": {"calls": 60}})
        async with killed(of, ann, store, after=1) as first:
            spawn(end(spawn(first.run({}, run_id="run"))))
        before = MemoryJournal(store)
        keys = set((dict(await before.gates())["/ann"]).gate.grants)
        async with engine(of, ann, journal=journal(store)) as second:
            run = await second.resume_run("run")
            at = await gate_of(second, "/ann")
            return keys, run.status, at.gate, virtual.seconds()

    keys, status, gate, seconds = virtual.run(main())
    assert keys == {f"run/s{n}/1" for n in range(40)}
    assert (status, gate.grants, gate.ledger.reserved.calls) == ("succeeded", {}, 0)
    assert gate.ledger.spent.calls == 50  # the 10 that were in flight were made twice
    assert 240 < seconds < 310


@pytest.mark.parametrize("journal", [MemoryJournal, SlowGates])
@pytest.mark.parametrize("after", [0.0, 0.005, 0.012, 0.025, 1.0, 7.0])
def test_a_cancelled_run_holds_nothing_any_more(journal, after):
    ann = Ann(every=5)

    async def main():
        async with engine(fan(30, **ALL, budget={"day": {"calls": 60}}), ann, journal=journal()) as running:
            spawn(end(spawn(running.run({}, run_id="run"))))
            await asyncio.sleep(after)
            await running.cancel("run")
            await asyncio.sleep(1)
            at = await gate_of(running, "/ann")
            return at.gate

    gate = virtual.run(main())
    assert gate.grants == {}
    assert gate.ledger.reserved.calls == 0
    assert gate.ledger.spent.calls == len(ann.calls) <= 20


def test_a_run_that_is_cancelled_after_a_crash_holds_nothing_any_more():
    ann = Ann(every=5)

    async def main():
        store = MemoryStore()
        of = fan(30, **ALL, budget={"day": {"calls": 60}})
        async with killed(of, ann, store, after=1) as first:
            spawn(end(spawn(first.run({}, run_id="run"))))
        async with engine(of, ann, journal=MemoryJournal(store)) as second:
            again = spawn(end(spawn(second.resume_run("run"))))
            await asyncio.sleep(1)
            await second.cancel("run")
            await again
            at = await gate_of(second, "/ann")
            return at.gate

    gate = virtual.run(main())
    assert (gate.grants, gate.ledger.reserved.calls, gate.ledger.spent.calls) == ({}, 0, len(ann.calls))


def test_what_the_budget_of_a_run_keeps_away_is_held_by_no_gate():
    ann = Ann(every=1)

    async def main():
        of = il.Team(
            [il.Agent("ann", scope=scope(), retries=0, rate={"requests": "2/min"}, budget={"day": {"calls": 9}})],
            il.Plan([step(f"s{n}") for n in range(6)]),
            budget={"calls": 3},
        )
        async with engine(of, ann) as running:
            run = await running.run({})
            at = await gate_of(running, "/ann")
            return run.cost.calls, at.gate

    calls, gate = virtual.run(main())
    assert (calls, gate.grants, gate.ledger.spent.calls, gate.ledger.reserved.calls) == (3, {}, 3, 0)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_journal_that_fails_at_a_gate_ends_the_run_with_its_error(at_once):
    class Broken(Apart):
        def at_gates(self, names, turn, runs=()):
            if at_once:
                raise JournalError("the disk is gone")
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(JournalError("the disk is gone"))
            return failed

    async def main():
        async with engine(chain(1, breaker={}), journal=Broken()) as running:
            return [await end(spawn(running.run({}))) for _ in range(2)]

    assert [str(error) for error in virtual.run(main())] == ["the disk is gone"] * 2


def test_in_memory_a_call_that_passes_is_announced_with_the_outcome_before_it():
    class Counted(MemoryJournal):
        appends = 0

        def append(self, *args, **rest):
            self.appends += 1
            return super().append(*args, **rest)

    class SlowCounted(SlowGates, Counted):
        pass

    async def main(of, journal):
        async with engine(of, journal=journal) as running:
            await running.run({}, run_id="run")
            return await told(running), journal.appends

    bare = virtual.run(main(chain(3), Counted()))
    assert virtual.run(main(chain(3, breaker=BREAKER, rate={"requests": "9/s"}), Counted())) == bare
    story, appends = virtual.run(main(chain(3, breaker=BREAKER), SlowCounted()))
    assert (story, appends) == (bare[0], bare[1] + 3)


@pytest.mark.parametrize("gated", [["ann"], ["bob"], ["ann", "bob"]])
def test_calls_that_begin_together_don_t_exceed_the_budget_of_their_run_together(gated):
    async def main():
        ann, bob = (
            il.Agent(name, scope=scope(), fallback=other, breaker=BREAKER if name in gated else None)
            for name, other in (("ann", "bob"), ("bob", None))
        )
        plan = il.Plan([step("a"), step("b", agent="bob"), step("c"), step("d", agent="bob")])
        of = il.Team([ann, bob], plan, budget={"calls": 2})
        async with engine(of, moody) as running:
            return (await running.run({})).cost.calls

    moody = Moody()
    assert (virtual.run(main()), len(moody.began)) == (2, 2)


@pytest.mark.parametrize("journal", [Apart, SlowGates])
def test_a_driver_that_has_lost_its_run_is_not_heard_at_gates_and_those_who_ask_with_it_are(journal):
    async def main():
        mine, theirs = journal(), MemoryJournal()
        theirs.store = mine.store
        for driver, run_id in ((mine, "kept"), (theirs, "lost")):
            started = e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p")
            await driver.append(run_id, 0, [started], opening=Opening("t", "p", ""))
        gates = Gatekeeper(
            mine, {"ann": chain(1, rate={"requests": "9/s"}).rules.roles["ann"].gate}, GatePolicy(), "", int
        )
        answers = {}
        for key, run_id in (("first", "kept"), ("second", "kept"), ("third", "lost"), ("fourth", "kept")):
            gates.ask("ann", run_id, key, partial(answers.setdefault, key))
        await asyncio.sleep(1)
        [(_, at)] = await mine.gates()
        return {key: getattr(answer, "by", answer) for key, answer in answers.items()}, sorted(at.gate.grants)

    answers, grants = virtual.run(main())
    assert isinstance(answers.pop("third"), StaleDriver)
    assert (answers, grants) == (dict.fromkeys(["first", "second", "fourth"]), ["first", "fourth", "second"])


def test_an_agent_without_a_gate_asks_nobody():
    async def main():
        async with engine(chain(3)) as running:
            await running.run({})
            return await running.journal.gates()

    assert virtual.run(main()) == []
