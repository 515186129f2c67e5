"""Faults in real runs, in this process: crashes, which kill it, are tested with the command line."""

import asyncio

import pytest

import interlock as il
from interlock.core import events as e
from interlock.errors import FaultsError, JournalError
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.testing.chance import Chance
from interlock.testing.injection import faults as faults_room
from interlock.testing.injection.faults import Fault, Faults
from interlock.testing.injection.orchestrator import FaultyOrchestrator, document, impossible

HOUR_US = 3_600_000_000


async def work(job):
    if job.view["seed"] == "hang" and job.step == "s1":
        await asyncio.sleep(600)
    return {f"out.{job.step}": job.view["seed"]}


def team():
    scope = il.Scope(["work"], context_access=["seed"], write_permissions=["out.*"])
    steps = [il.Step("s0", agent="ann", action="work"), il.Step("s1", agent="ann", action="work", needs=["s0"])]
    return il.Team([il.Agent("ann", use=work, scope=scope, backoff="1ms")], il.Plan(steps))


def faulty(store, *faults, seed=1, **given):
    declared = Faults(Fault(**fault) for fault in faults)
    return FaultyOrchestrator(team(), MemoryJournal(store), faults=declared, seed=seed, **given)


async def batch(engine, rows, *, seed="x"):
    """Run a batch; returns the events of each row."""
    stored = await engine.open_batch([engine.request({"seed": seed}) for _ in range(rows)], "test")
    ended = {run.row: run.run_id async for run in engine.run_batch(stored)}
    return {row: await engine.journal.load(run_id) for row, run_id in sorted(ended.items())}


def injected(told):
    """What was broken: (row, step, attempt, fault)."""
    return [
        (row, event.step, event.attempt, event.fault)
        for row, events in told.items()
        for event in events
        if isinstance(event, e.FaultInjected)
    ]


def ran(*faults, rows=8, seed=1):
    async def main():
        async with faulty(MemoryStore(), *faults, seed=seed) as engine:
            return await batch(engine, rows)

    return asyncio.run(main())


@pytest.fixture
def at_once(monkeypatch):
    """Moments come as soon as they can."""
    monkeypatch.setattr(faults_room, "MOMENT_SECONDS_MAX", 0.0)


# --- what is drawn, and how it is marked ---


def test_a_run_is_marked_with_the_faults_and_the_seed():
    store = MemoryStore()
    told = {"fault": "wrong_shape", "step": "s0", "attempt": 1}

    async def main():
        async with faulty(store, told, seed=7) as engine:
            return await engine.run({"seed": 1})

    run = asyncio.run(main())
    started, *_ = map(e.decode, store.events[run.run_id])
    kept = store.blobs[started.faults]
    assert kept == document(Faults([Fault(**told)]), 7)
    assert kept == b'{"faults":[{"attempt":1,"fault":"wrong_shape","step":"s0"}],"seed":7}'
    assert Faults.of_document(kept) == Faults([Fault(**told)])
    assert run.status == "succeeded"


def test_the_same_seed_breaks_the_same_calls_of_the_same_rows():
    faults = ({"fault": "exception", "probability": 0.3}, {"fault": "garbage", "probability": 0.3})
    first = injected(ran(*faults))
    assert first
    assert {row for row, *_ in first} != set(range(8))
    assert injected(ran(*faults)) == first
    assert injected(ran(*faults, seed=2)) != first


def test_runs_outside_of_batches_are_called_by_their_number():
    store = MemoryStore()

    async def main():
        async with faulty(store, {"fault": "wrong_shape", "attempt": 1, "probability": 0.5}) as engine:
            return {n: await engine.journal.load((await engine.run({"seed": n})).run_id) for n in range(8)}

    alone = injected(asyncio.run(main()))
    assert alone
    assert alone == injected(ran({"fault": "wrong_shape", "attempt": 1, "probability": 0.5}))


@pytest.mark.parametrize("kind", ["exception", "slow", "duplicate", "wrong_type", "oversized", "truncated"])
def test_a_broken_call_has_an_event_of_its_own(kind):
    more = {"seconds": 0.01} if kind == "slow" else {}
    told = ran({"fault": kind, "step": "s0", "attempt": 1, **more}, rows=1)
    assert injected(told) == [(0, "s0", 1, kind)]
    assert told[0][-1].status == "succeeded"


# --- writes ---


def test_a_write_that_fails_leaves_what_is_durable_and_an_orchestrator_goes_on_without_faults(caplog):
    store = MemoryStore()
    fault = {"fault": "write_error", "probability": 0.5}
    declared = Faults([Fault(**fault)])
    seeds = (s for s in range(100) if not declared.of_write(Chance(s), "process-1", 1))
    seed = next(s for s in seeds if declared.of_write(Chance(s), "process-1", 2))

    async def main():
        with pytest.raises(JournalError, match=r"can't be written \(injected\)"):
            async with faulty(store, fault, seed=seed) as engine:
                await engine.run({"seed": 1}, run_id="r")
        assert store.rows["r"].status == "running"
        async with il.Orchestrator(team(), MemoryJournal(store)) as engine:
            return await engine.resume_run("r")

    run = asyncio.run(main())
    assert run.status == "succeeded"
    said = "injected on purpose: 0:process-1/2:write_error; go on without faults: interlock resume"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_the_team_and_the_faults_are_always_written():
    store = MemoryStore()

    async def main():
        with pytest.raises(JournalError):
            async with faulty(store, {"fault": "disk_full"}) as engine:
                await engine.run({"seed": 1})

    asyncio.run(main())
    assert team().document in store.blobs.values()
    assert len(store.blobs) == 2
    assert store.rows == {}


@pytest.mark.parametrize("kind", ["crash_before_write", "crash_after_write"])
def test_a_crash_at_a_write_kills(kind):
    class Dead(BaseException):
        pass

    def die():
        deaths.append(kind)
        raise Dead

    deaths, store = [], MemoryStore()

    async def main():
        async with faulty(store, {"fault": kind}, die=die) as engine:
            await engine.run({"seed": 1})

    with pytest.raises(Dead):
        asyncio.run(main())
    assert deaths == [kind]
    assert len(store.rows) == (kind == "crash_after_write")


# --- moments ---


@pytest.mark.usefixtures("at_once")
def test_a_run_is_cancelled_and_the_others_are_not(caplog):
    declared = Faults([Fault(fault="cancel", probability=0.5)])
    drawn = [row for row in range(8) if declared.of_moment(Chance(2), "cancel", f"run-{row}")]
    assert 0 < len(drawn) < 8

    async def main():
        async with faulty(MemoryStore(), {"fault": "cancel", "probability": 0.5}, seed=2) as engine:
            stored = await engine.open_batch([engine.request({"seed": "hang"})] * 8, "test")
            told = {}
            async for run in engine.run_batch(stored):
                told[run.row] = run.reason
                if len(told) == len(drawn):
                    engine.stop()
                    break
            return told

    assert asyncio.run(main()) == {row: f"cancelled by fault injection: 0:run-{row}:cancel" for row in drawn}
    assert len(caplog.records) == len(drawn)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seconds", [3_600.0, -3_600.0])
def test_the_clock_jumps_and_event_times_never_go_back(seconds):
    async def main():
        async with faulty(MemoryStore(), {"fault": "clock_jump", "seconds": seconds}) as engine:
            began = engine._shell.now_us()
            await asyncio.sleep(0.01)
            jumped = engine._shell.now_us() - began
            return jumped, await batch(engine, 1)

    jumped, told = asyncio.run(main())
    assert abs(jumped - round(seconds * 1e6)) < HOUR_US / 100
    times = [event.at_us for event in told[0]]
    assert times == sorted(times)
    assert told[0][-1].status == "succeeded"


@pytest.mark.usefixtures("at_once")
def test_a_crash_at_a_moment_kills_unless_the_work_is_over_before():
    deaths = []

    async def main(pause):
        async with faulty(MemoryStore(), {"fault": "crash"}, die=lambda: deaths.append("x")):
            await asyncio.sleep(pause)

    asyncio.run(main(0.01))
    assert deaths == ["x"]


def test_a_moment_that_has_not_come_when_the_work_is_over_never_comes():
    deaths = []

    async def main():
        async with faulty(MemoryStore(), {"fault": "crash"}, die=lambda: deaths.append("x")) as engine:
            moments = engine._moments
        assert moments
        assert all(moment.cancelled() for moment in moments)

    asyncio.run(main())
    assert deaths == []


# --- what can't be ---


def test_a_driver_never_becomes_stale_and_that_is_not_told(caplog):
    told = ran({"fault": "stale_driver"}, rows=2)
    assert [events[-1].status for events in told.values()] == ["succeeded"] * 2
    assert caplog.records == []
    assert list(impossible(Faults([Fault(fault="stale_driver"), Fault(fault="timeout")]))) == ["stale_driver"]


def test_faults_that_the_team_can_not_have_leave_no_journal(tmp_path):
    with pytest.raises(FaultsError, match="no agent bob"):
        FaultyOrchestrator(team(), tmp_path / "runs.db", faults=Faults([Fault(fault="slow", agent="bob")]), seed=1)
    assert list(tmp_path.iterdir()) == []
