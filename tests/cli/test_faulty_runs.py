"""`run --faults`: what is broken on purpose in real processes, how it is marked, and how work goes on after it."""

import itertools
import json
import re
import shutil
import signal
from pathlib import Path

import pytest

from interlock.testing.chance import Chance
from interlock.testing.injection.faults import MOMENT_SECONDS_MAX, Faults
from interlock.testing.injection.orchestrator import PROCESS

EXAMPLES = Path(__file__).parents[2] / "examples"


def faults(desk, *lines):
    """A faults file."""
    (desk.folder / "faults.yaml").write_text("faults:\n" + "".join(f"  - {{{line}}}\n" for line in lines))
    return "--faults", "faults.yaml"


def seeds(desk):
    """The faults of the file, and (seed, its chance) for all seeds."""
    return Faults.load(desk.folder / "faults.yaml"), ((seed, Chance(seed)) for seed in itertools.count())


def seed_that_strikes_write(desk, number):
    """A seed under which this write of the process is the first to be struck."""
    declared, all_seeds = seeds(desk)
    for seed, chance in all_seeds:
        if next(n for n in itertools.count(1) if declared.of_write(chance, PROCESS, n)) == number:
            return "--fault-seed", str(seed)
    raise AssertionError


def seed_that_strikes_early(desk, kind, name):
    """A seed under which this kind of moment comes within a tenth of a second."""
    declared, all_seeds = seeds(desk)
    for seed, chance in all_seeds:
        within = MOMENT_SECONDS_MAX * chance.share("moment", kind, name) ** 3
        if declared.of_moment(chance, kind, name) and 0.01 < within < 0.1:
            return "--fault-seed", str(seed)
    raise AssertionError


def injected(desk):
    """What was broken in all runs: (row, step, attempt, fault)."""
    found = []
    for row in desk.json("runs", "--limit", "0")["runs"]:
        attempts = desk.json("show", row["run_id"])["attempts"]
        found += [(row["input"], a["step"], a["attempt"], a["injected"]) for a in attempts if "injected" in a]
    return sorted(found)


# --- calls ---


def test_a_broken_call_is_marked_and_tried_again(desk):
    words = faults(desk, "fault: wrong_shape, agent: worker, attempt: 1")
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), *words, "--json")
    assert (ended.code, ended.runs[0]["status"]) == (0, "succeeded")
    assert re.fullmatch(r"faults are injected into this run on purpose: faults\.yaml, seed \d+\n", ended.err), ended.err
    told = desk.json("show", "last")
    assert re.fullmatch(r"[0-9a-f]{64}", told["faults"])
    assert [(a["step"], a["attempt"], a["outcome"], a.get("injected")) for a in told["attempts"]] == [
        ("work", 1, "refused", "wrong_shape"),
        ("work", 2, "committed", None),
        ("close", 1, "committed", None),
    ]
    shown = desk.run("show", "last").out
    assert "faults were injected on purpose" in shown
    assert "injected: wrong_shape" in shown


EVERYWHERE = (["runs"], ["explain", "last", "second"], ["diff", "last", "last"], ["show", "last"])


def test_every_command_marks_a_run_with_faults(desk):
    words = faults(desk, "fault: wrong_shape, agent: worker, attempt: 1")
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), *words, "--json")
    hashed = ended.runs[0]["faults"]
    assert re.fullmatch(r"[0-9a-f]{64}", hashed)
    for command in EVERYWHERE:
        shown = desk.run(*command)
        assert shown.code == 0, shown.err
        assert re.search("faults (were )?injected", shown.out), command
        told = desk.json(*command)
        [document] = told.get("runs", []) if command == ["runs"] else [told]
        assert document["faults"] == ([hashed] * 2 if command[0] == "diff" else hashed)


def test_an_ordinary_run_has_no_mark(desk):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), "--json")
    assert "faults" not in ended.runs[0]
    for command in EVERYWHERE:
        assert "injected" not in desk.run(*command).out
        told = desk.json(*command)
        assert "faults" not in (told["runs"][0] if command == ["runs"] else told)
    assert injected(desk) == []


def test_the_seed_that_was_told_breaks_the_same_calls_of_the_same_rows(desk):
    words = faults(desk, "fault: exception, agent: worker, probability: 0.8", "fault: garbage, probability: 0.2")
    desk.write("in.jsonl", *[f"t{n}" for n in range(6)])
    first = desk.run("run", ".", "--input", "in.jsonl", *words)
    seed = re.search(r"seed (\d+)", first.err).group(1)
    told = injected(desk)
    assert told
    (desk.folder / ".interlock").rename(desk.folder / "first")
    desk.run("run", ".", "--input", "in.jsonl", "--concurrency", "1", *words, "--fault-seed", seed)
    assert injected(desk) == told


def test_the_support_desk_deals_with_what_its_agents_do(desk):
    shutil.copytree(EXAMPLES / "support_desk", desk.folder, dirs_exist_ok=True)
    team = desk.folder / "team.yaml"
    team.write_text(team.read_text().replace("effort: simple", "timeout: 1s"))
    words = faults(
        desk,
        "fault: timeout, agent: triage, attempt: 1, probability: 0.5",
        "fault: invented_fields, agent: triage, attempt: 1",
        "fault: truncated, agent: resolution, attempt: 1",
    )
    ended = desk.run("run", ".", "--input", "input.jsonl", "--limit", "4", *words, "--fault-seed", "1", "--json")
    assert {run["status"] for run in ended.runs} <= {"succeeded", "parked"}, ended.err
    kinds = {kind for _, _, _, kind in injected(desk)}
    assert kinds == {"timeout", "invented_fields", "truncated"}


# --- writes ---


@pytest.mark.parametrize(
    ("kind", "write", "lost"), [("crash_after_write", 2, 0), ("crash_before_write", 2, 1), ("crash_after_write", 1, 0)]
)
def test_a_crash_at_a_write_kills_the_process_and_resume_goes_on_without_faults(desk, kind, write, lost):
    words = faults(desk, f"fault: {kind}, probability: 0.3")
    desk.write("in.jsonl", "hi")
    ended = desk.run("run", ".", "--input", "in.jsonl", *words, *seed_that_strikes_write(desk, write), "--json")
    assert (ended.code, ended.out) == (-signal.SIGKILL, "")
    struck = f"warning: injected on purpose: 0:process-1/{write}:{kind}; go on without faults: interlock resume\n"
    assert ended.err.endswith(struck)

    resumed = desk.run("resume", "--json")
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.runs[0]["status"] == "succeeded"
    assert [step for _, step, _ in desk.calls].count("work") == 1 + lost
    assert [step for _, step, _ in desk.calls].count("close") == 1
    assert desk.json("show", "last")["faults"] == resumed.runs[0]["faults"]


def test_no_committed_step_of_a_batch_runs_again_after_a_crash(desk):
    words = faults(desk, "fault: crash_after_write, probability: 0.1")
    desk.write("in.jsonl", *[f"t{n}" for n in range(10)])
    seed = seed_that_strikes_write(desk, 12)
    ended = desk.run("run", ".", "--input", "in.jsonl", "--concurrency", "2", *words, *seed, "--json")
    assert ended.code == -signal.SIGKILL
    resumed = desk.run("resume", "--json")
    assert resumed.code == 0, resumed.err
    rows = desk.json("runs", "--limit", "0")["runs"]
    assert sorted((row["input"], row["status"]) for row in rows) == [(n, "succeeded") for n in range(10)]
    for row in rows:
        attempts = desk.json("show", row["run_id"])["attempts"]
        for step in ("work", "close"):
            outcomes = [a["outcome"] for a in attempts if a["step"] == step]
            assert outcomes in (["committed"], ["interrupted", "committed"])
            assert desk.calls.count((row["run_id"], step, "1")) <= len(outcomes)


@pytest.mark.parametrize(
    ("kind", "code", "said"), [("disk_full", 1, "no space left"), ("write_error", 1, "can't be written")]
)
def test_a_write_that_fails_ends_the_command_and_the_run_can_be_resumed(desk, kind, code, said):
    words = faults(desk, f"fault: {kind}, probability: 0.3")
    desk.write("in.jsonl", "hi")
    ended = desk.run("run", ".", "--input", "in.jsonl", *words, *seed_that_strikes_write(desk, 2))
    assert ended.code == code
    assert f"injected on purpose: 0:process-1/2:{kind}; go on without faults: interlock resume\n" in ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert desk.run("resume").code == 0
    assert desk.json("runs")["runs"][0]["status"] == "succeeded"


# --- moments ---


def test_a_crash_comes_at_any_moment(desk):
    words = faults(desk, "fault: crash")
    seed = seed_that_strikes_early(desk, "crash", PROCESS)
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "wait"), *words, *seed)
    assert ended.code == -signal.SIGKILL
    assert "injected on purpose: 0:process-1:crash; go on without faults" in ended.err
    desk.go()
    assert desk.run("resume").code == 0


def test_somebody_cancels_a_run(desk):
    words = faults(desk, "fault: cancel, probability: 0.5")
    seed = seed_that_strikes_early(desk, "cancel", "run-0")
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hang"), *words, *seed, "--json")
    assert (ended.code, ended.runs[0]["status"]) == (1, "cancelled")
    assert ended.runs[0]["reason"] == "cancelled by fault injection: 0:run-0:cancel"


@pytest.mark.parametrize("jump", [3600, -3600])
def test_the_clock_jumps_and_the_run_ends_all_the_same(desk, jump):
    words = faults(desk, f"fault: clock_jump, seconds: {jump}")
    seed = seed_that_strikes_early(desk, "clock_jump", PROCESS)
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", "wait"), *words, *seed, "--json")
    for line in process.stderr:
        if "clock_jump" in line:
            break
    desk.go()
    ended = desk.finish(process)
    assert ended.code == 0
    milliseconds = json.loads(ended.out)["duration_ms"]
    assert milliseconds > 3_600_000 if jump > 0 else 0 <= milliseconds < 60_000


# --- what is refused, and what is told ---


def test_what_can_not_strike_a_real_run_is_told(desk):
    words = faults(desk, "fault: stale_driver", "fault: wrong_shape, attempt: 1")
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), *words, "--json")
    assert ended.code == 0
    assert "warning: stale_driver never strikes a real run: " in ended.err
    assert [kind for *_, kind in injected(desk)] == ["wrong_shape", "wrong_shape"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["fault: timeout, agent: wroker"], "faults.yaml:2: faults[0].agent: the team has no agent wroker"),
        (["fault: stale_driver"], "faults.yaml: none of its faults can strike a real run"),
    ],
)
def test_faults_that_could_never_strike_are_refused(desk, lines, said):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), *faults(desk, *lines))
    assert ended.code == 2
    assert said in ended.err
    assert "fix: " in ended.err
    assert not (desk.folder / ".interlock").exists()


def test_a_seed_without_faults_is_a_mistake(desk):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), "--fault-seed", "1")
    assert ended.code == 2
    assert "add --faults FILE" in ended.err


def test_every_kind_at_once(desk):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "hi"), "--faults", "all", "--fault-seed", "3")
    assert ended.code in {0, 1, 2, -signal.SIGKILL}
    assert ended.err.startswith("faults are injected into this run on purpose: all, seed 3\n")
    assert "Traceback" not in ended.err
