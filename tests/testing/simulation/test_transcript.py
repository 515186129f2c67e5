"""Worlds as lines of text: what stands in them, and what never does."""

import asyncio

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.testing.injection.faults import Fault, Faults
from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.episode import Happening
from interlock.testing.simulation.transcript import CHARS_MAX, COLUMN_MAX, transcript
from interlock.testing.simulation.world import Scene, World
from tests.engine import stage

HOSTILE = "\x1b[31mred\x07 \u202eback\u2066 \x9b2J\x00\x7f half \ud83d a\u200bb tab\there\r\nnext\u2028line"


async def ann(job):
    await asyncio.sleep(0.25)
    if job.step == "s0" and job.attempt == 1:
        return {"elsewhere": 1}
    return {f"out.{job.step}": "x"}


def played(*requests, agent=ann, faults=(), team=None, **scene):
    team = team or stage.chain(2, retries=2)
    given = {"agents": {"ann": agent}, "requests": requests or [b"{}"], "faults": Faults(faults), "calm": True}
    return World(Scene(team=team, **given, **scene), 1).play()


def told(*story, broken=None, seconds=0.0):
    """The transcript of a world in which just this happened."""
    return transcript(msgspec.structs.replace(ANY, story=[*story], broken=broken, seconds=seconds))


ANY = played()


# --- what it looks like ---


def test_one_run_line_by_line():
    assert transcript(played()) == [
        "     0.0000 s  p1      process started",
        "     0.0000 s  p1      started",
        "     0.0000 s  p1  s0  ann called, attempt 1",
        "     0.2500 s  p1  s0  refused: ann may not write elsewhere; it may write out.s0",
        "     0.2500 s  p1  s0  ann called, attempt 2",
        "     0.5000 s  p1  s0  committed: wrote out.s0",
        "     0.5000 s  p1  s1  ann called, attempt 1",
        "     0.7500 s  p1  s1  committed: wrote out.s1",
        "     0.7500 s  p1      succeeded",
        "     0.7500 s  p1      run succeeded",
        "     0.7500 s  p1      process ended",
    ]


def test_several_runs_are_told_apart():
    lines = transcript(played(b"{}", b"{}", team=stage.chain(1, retries=2)))
    assert lines[:4] == [
        "     0.0000 s  p1            process started",
        "     0.0000 s  p1  sim-0     started",
        "     0.0000 s  p1  sim-0 s0  ann called, attempt 1",
        "     0.0000 s  p1  sim-1     started",
    ]


def test_one_of_several_runs_can_be_told():
    episode = played(b"{}", b"{}", team=stage.chain(1, retries=2))
    lines = transcript(episode, "sim-1")
    assert lines == transcript(played(b"{}", team=stage.chain(1, retries=2)))


def test_faults_and_deaths_are_told():
    faults = [Fault(fault="exception", step="s1", attempt=1), Fault(fault="crash_after_write", probability=0.2)]
    assert transcript(played(faults=faults)) == [
        "     0.0000 s  p1      process started",
        "     0.0000 s  p1      FAULT process 1: crash_after_write",
        "     0.0000 s  p1      process died",
        "     0.0000 s  p2      process started",
        "     0.0000 s  p2      started",
        "     0.0000 s  p2  s0  ann called, attempt 1",
        "     0.2500 s  p2  s0  refused: ann may not write elsewhere; it may write out.s0",
        "     0.2500 s  p2  s0  ann called, attempt 2",
        "     0.5000 s  p2  s0  committed: wrote out.s0",
        "     0.5000 s  p2  s1  ann called, attempt 1",
        "     0.5000 s  p2  s1  injected: exception",
        "     0.5000 s  p2  s1  failed: injected: the agent failed",
        "     0.7000 s  p2  s1  its wait is over",
        "     0.7000 s  p2  s1  ann called, attempt 2",
        "     0.9500 s  p2      FAULT process 2: crash_after_write",
        "     0.9500 s  p2  s1  committed: wrote out.s1",
        "     0.9500 s  p2      succeeded",
        "     0.9500 s  p2      process died",
        "     0.9500 s  p3      process started",
        "     0.9500 s  p3      process ended",
    ]


def test_what_happens_outside_of_all_processes_has_no_number():
    assert told(Happening(0.5, 0, "fault", "", "the clock jumps")) == ["     0.5000 s        FAULT the clock jumps"]


def test_what_broke_comes_last():
    def no_two(account, event):
        return "that is one too many" if getattr(event, "step", "") == "s1" else None

    lines = transcript(played(invariants=[no_two]))
    assert lines[-1] == "     0.5000 s  BROKEN  no_two: that is one too many"


def test_an_empty_world_has_no_lines():
    assert told() == []
    assert told(broken=Broken("ends", "nothing happened"), seconds=2.0) == [
        "     2.0000 s  BROKEN  ends: nothing happened"
    ]


# --- bounds ---


def test_a_line_is_cut():
    lines = told(Happening(0.0, 1, "x" * 1_000), broken=Broken("engine", "y" * 1_000))
    assert [len(line) for line in lines] == [CHARS_MAX, CHARS_MAX]
    assert lines[0].endswith("x")


def test_a_line_has_no_blanks_at_its_end():
    assert told(Happening(0.0, 1, "")) == ["     0.0000 s  p1"]


def test_a_long_name_makes_no_wide_column():
    event = e.BackoffEnded(0, "step_" + "x" * 100)
    lines = told(Happening(0.0, 1, "event", "r", event), Happening(1.0, 1, "process ended"))
    assert lines[0].endswith(f"{event.step}  its wait is over")
    assert lines[1] == "     1.0000 s  p1  " + " " * COLUMN_MAX + "  process ended"


def test_long_times_stay_in_line():
    assert told(Happening(86_400.0, 12, "process ended")) == [" 86400.0000 s  p12    process ended"]


# --- hostile texts ---


def tame(lines):
    return all(line.isprintable() and line.encode() for line in lines)


def test_no_text_controls_the_terminal():
    happening = Happening(0.0, 1, f"process ended: {HOSTILE}")
    (line,) = told(happening)
    assert tame([line])
    assert line == (
        "     0.0000 s  p1    process ended: \\u001b[31mred\\u0007 \\u202eback\\u2066 \\u009b2J\\u0000\\u007f"
        " half \\ud83d a\\u200bb tab here next line"
    )


@pytest.mark.parametrize(
    "detail",
    [
        e.AttemptFailed(0, "s", 1, "error", HOSTILE),
        e.AttemptRefused(0, "s", 1, (e.Finding("shape", HOSTILE),)),
        e.QuestionAsked(0, "s", 1, il.Question(HOSTILE)),
        e.RunCancelled(0, HOSTILE, HOSTILE),
        e.AttemptCommitted(0, "s", 1, {HOSTILE: e.NULL}),
        e.StepBuried(0, "s", HOSTILE),
    ],
)
def test_no_event_controls_the_terminal(detail):
    assert tame(told(Happening(0.0, 1, "event", "r", detail)))


def test_no_fault_and_no_invariant_controls_the_terminal():
    assert tame(told(Happening(0.0, 0, "fault", "", HOSTILE), broken=Broken("views", HOSTILE)))


def test_letters_of_any_script_stay_as_they_are():
    text = "café 日本語 مرحبا 😀"
    assert told(Happening(0.0, 1, text))[0].endswith(text)


@pytest.mark.parametrize("kind", ["injected_prompt", "wrong_shape", "off_topic"])
def test_injected_garbage_stays_harmless(kind):
    for _ in range(3):
        assert tame(transcript(played(faults=[Fault(fault=kind, probability=0.7)])))


def test_an_agent_that_shouts_in_its_errors_is_shown_as_text():
    async def shouting(job):
        raise ValueError(HOSTILE)

    lines = transcript(played(agent=shouting, team=stage.chain(1)))
    assert tame(lines)
    assert any("failed: ValueError: \\u001b[31mred" in line for line in lines)
