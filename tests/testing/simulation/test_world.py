"""One world: the same seed is the same world, faults strike and are survived, and what is broken is told."""

import asyncio
import os
import subprocess
import sys

import pytest

from interlock.core import events as e
from interlock.core.job import Reply
from interlock.engine.calls import Call
from interlock.engine.driver import Driver
from interlock.engine.engine import Engine
from interlock.engine.slots import Slots
from interlock.testing.injection.faults import GARBAGE, MOMENT, WRITE
from interlock.testing.simulation import world
from interlock.testing.simulation.process import Watched
from interlock.testing.simulation.transcript import transcript
from interlock.testing.simulation.world import World

from .scenes_of import ALL_FEATURES, DESK, every_fault, fault, scene

PRINT_DIGESTS = """
import sys
from interlock.testing.simulation.campaign import Recipe
from interlock.testing.injection.faults import Faults
from interlock.testing.simulation.world import World
from interlock.testing.simulation.transcript import transcript
scenes = Recipe(team=sys.argv[1], faults=Faults.everything().document).scenes()
for seed in range(6):
    episode = World(scenes.of(seed), seed).play()
    print(episode.digest, episode.seconds, *transcript(episode), sep="\\n")
"""


def play(seed=0, team=ALL_FEATURES, **given):
    return World(scene(team, seed, **given), seed).play()


def kinds(episode):
    return {struck.kind for struck in episode.struck}


def told(episode, what):
    return [happening for happening in episode.story if what in happening.what]


# --- the same seed is the same world ---


def test_one_seed_is_the_same_byte_for_byte_in_any_process_and_under_any_hash_seed():
    """Everything that is written, its order, its time, and the transcript."""
    outputs = set()
    for hash_seed in ("0", "1", "random"):
        command = [sys.executable, "-c", PRINT_DIGESTS, str(ALL_FEATURES)]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1_000


def test_other_seeds_are_other_worlds():
    assert len({play(seed, faults=every_fault()).digest for seed in range(5)}) == 5


def test_what_an_agent_answers_does_not_hang_on_the_schedule():
    """Calm or not, each attempt of a world without faults answers the same."""
    lively, calm = play(3), play(3, calm=True)
    assert calm.digest != lively.digest
    assert [account.context for account in calm.runs.values()] == [a.context for a in lively.runs.values()]


# --- time ---


def test_a_world_ends_however_often_processes_die_and_hours_of_waiting_take_no_time():
    episode = play(team=DESK, faults=[fault("crash_before_write")])
    assert episode.seconds > 3_600
    assert episode.statuses == {"succeeded": 3}


@pytest.mark.parametrize("kind", ["timeout", "late"])
def test_a_call_that_hangs_is_over_at_its_timeout(kind):
    episode = play(team=DESK, faults=[fault(kind, step="classify", attempt=1)])
    failed = [one.detail for one in episode.story if isinstance(one.detail, e.AttemptFailed)]
    assert {(event.kind, event.attempt) for event in failed} == {("timeout", 1)}
    assert episode.seconds >= 5
    assert episode.statuses == {"succeeded": 3}


def test_a_late_reply_is_charged_and_not_committed():
    episode = play(team=DESK, faults=[fault("late", step="classify", attempt=1, seconds=0.5)])
    told = [one.detail for one in episode.story if getattr(one.detail, "step", "") == "classify"]
    assert any(isinstance(event, e.ReplyArrivedLate) and event.attempt == 1 for event in told)
    assert {event.attempt for event in told if isinstance(event, e.AttemptCommitted)} == {2}


# --- every kind of fault strikes, and is survived ---


@pytest.mark.parametrize("kind", ["exception", "refusal", "slow", "duplicate", *GARBAGE])
def test_a_broken_call_is_marked_and_its_outcome_is_counted(kind):
    episode = play(team=DESK, faults=[fault(kind, step="classify", attempt=1)])
    marks = [one.detail.fault for one in episode.story if isinstance(one.detail, e.FaultInjected)]
    assert episode.broken is None
    assert marks == [kind] * 3
    assert all(struck.kind == kind and struck.outcome for struck in episode.struck)


@pytest.mark.parametrize("kind", WRITE)
def test_a_broken_write_is_survived_by_the_next_process(kind):
    episodes = [play(seed, faults=[fault(kind, probability=0.2)]) for seed in range(3)]
    assert {kind for episode in episodes for kind in kinds(episode)} == {kind}
    assert all(episode.broken is None for episode in episodes)
    assert any(len(told(episode, "process started")) > 1 for episode in episodes)


@pytest.mark.parametrize("kind", MOMENT)
def test_whatever_happens_at_any_moment_is_survived(kind):
    episodes = [play(seed, faults=[fault(kind)]) for seed in range(5)]
    assert {kind for episode in episodes for kind in kinds(episode)} == {kind}
    assert all(episode.broken is None for episode in episodes)


def test_a_cancelled_run_is_cancelled():
    statuses = [play(seed, faults=[fault("cancel")]).statuses for seed in range(5)]
    assert any("cancelled" in found for found in statuses)


# --- what only the world can see ---


def first_broken(seeds=40, **given):
    """The first invariant that some seed breaks."""
    return next(filter(None, (play(seed, **given).broken for seed in range(seeds))), None)


def test_who_is_asked_to_cancel_does_so(monkeypatch):
    assert first_broken(10, faults=[fault("cancel")]) is None
    monkeypatch.setattr(Engine, "_hear", lambda *_: None)
    broken = first_broken(faults=[fault("cancel")])
    assert broken.invariant == "cancels"
    assert broken.message == "the run goes on, although somebody has asked to cancel it"


def test_what_times_out_is_stopped(monkeypatch):
    monkeypatch.setattr(Call, "stop", lambda _self, _shell, _run_id: None)
    broken = first_broken(faults=[fault("timeout", probability=0.2)])
    assert broken.invariant == "timeouts"
    assert "timed out, but its task was not cancelled" in broken.message


def test_what_belongs_to_a_run_that_is_over_is_stopped(monkeypatch):
    monkeypatch.setattr(Driver, "_abandon", lambda _self: None)
    broken = first_broken(faults=[fault("cancel"), fault("slow", probability=0.3)])
    assert broken.invariant == "stopped"
    assert "goes on although the run is over" in broken.message


def test_no_more_calls_are_in_flight_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(Slots, "_has_room", lambda self, agent: self._free_of.get(agent, 1) > 0)
    broken = first_broken()
    assert (broken.invariant, broken.message) == ("limits", "more than 3 calls in flight")


def test_who_ignores_its_cancellation_keeps_no_room():
    assert play(682, faults=every_fault()).broken is None


def test_no_more_runs_are_driven_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(world, "RUNS_MAX", (1,))
    assert first_broken(3) is None
    init = Engine.__init__
    monkeypatch.setattr(Engine, "__init__", lambda *given, **more: init(*given, **{**more, "runs_max": 3}))
    broken = first_broken()
    assert (broken.invariant, broken.message) == ("limits", "2 runs at once, more than 1")


def test_an_outcome_belongs_to_a_call(monkeypatch):
    monkeypatch.setattr(Watched, "call", lambda self, job, began: self._inner.call(job, began))
    broken = first_broken()
    assert broken.invariant == "durable"
    assert "has an outcome, but was never made" in broken.message


def test_generated_agents_ask_now_and_then_and_the_run_is_parked():
    statuses = [play(seed, team=DESK).statuses for seed in range(60)]
    assert any("parked" in found for found in statuses)


def test_only_some_of_the_requests_keep_their_luck():
    """What strikes a run doesn't hang on which others are there: so a failure can be made small."""
    faults = [fault("garbage", probability=0.5)]
    whole, part = play(faults=faults), play(faults=faults, rows=[2])
    third = [struck.name for struck in whole.struck if ":run-2/" in struck.name]
    assert third
    assert [struck.name for struck in part.struck] == third


# --- what is broken is told ---


def test_an_invariant_of_ones_own_is_held_against_every_event():
    seen = []

    def no_notes(account, event):
        seen.append(type(event).__name__)
        return "there are notes" if "notes" in account.context else None

    episode = play(invariants=[no_notes])
    assert episode.broken is not None
    assert (episode.broken.invariant, episode.broken.message) == ("no_notes", "there are notes")
    assert seen[0] == "RunStarted"
    assert transcript(episode)[-1].endswith("BROKEN  no_notes: there are notes")


def test_an_invariant_that_raises_is_a_broken_one():
    def wrong(account, event):
        raise ValueError("oops")

    episode = play(invariants=[wrong])
    assert episode.broken is not None
    assert "oops" in episode.broken.message


def test_agents_that_never_answer_in_order_leave_a_run_that_failed_but_ended():
    async def silent(job):
        raise RuntimeError("no")

    agents = dict.fromkeys(scene().team.agents, silent)
    episode = play(agents=agents)
    assert episode.broken is None
    assert episode.statuses == {"failed": 3}


def test_sync_agents_are_called_in_virtual_time_too():
    agents = dict.fromkeys(scene(DESK).team.agents, lambda job: Reply())
    assert play(team=DESK, agents=agents).statuses == {"failed": 3}  # triage's schema requires its writes


def test_an_agent_that_would_leave_virtual_time_is_refused():
    async def threaded(job):
        return await asyncio.to_thread(dict)

    episode = play(team=DESK, agents=dict.fromkeys(scene(DESK).team.agents, threaded))
    assert episode.broken is not None
    assert episode.broken.invariant == "virtual_time"
    assert "triage: an agent in simulated time can't use a thread" in episode.broken.message


async def _spins(job):
    while True:  # noqa: ASYNC110 - badly written on purpose
        await asyncio.sleep(0)


async def _exits(job):
    raise SystemExit(0)


@pytest.mark.parametrize("agent", [_spins, _exits])
def test_a_hostile_agent_is_a_failed_attempt_and_the_world_ends(agent):
    episode = play(team=DESK, agents=dict.fromkeys(scene(DESK).team.agents, agent), faults=[fault("duplicate")])
    assert episode.broken is None
    assert episode.statuses == {"failed": 3}


def test_an_invariant_that_returns_no_text_is_told():
    episode = play(invariants=[lambda account, event: True])
    assert "returns what is wrong as a text, or None; it returned True" in episode.broken.message


def test_an_invariant_that_would_leave_is_a_broken_one():
    def leaves(account, event):
        raise SystemExit(0)

    assert "SystemExit" in play(invariants=[leaves]).broken.message


def test_what_nobody_catches_in_a_process_breaks_its_world():
    async def careless(job):
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        return {}

    episode = play(team=DESK, agents=dict.fromkeys(scene(DESK).team.agents, careless))
    assert "nobody caught this: ZeroDivisionError" in episode.broken.message
