"""Ctrl-C, kill -9 and readers that go away; and how work is resumed after them."""

import json
import signal
import subprocess
import sys
from contextlib import suppress

import pytest


def interrupt(process, number=signal.SIGINT):
    process.send_signal(number)


def read_until(stream, text):
    """Read lines until one has this text."""
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"{text!r} never came")


def test_ctrl_c_lets_calls_finish_and_says_how_to_go_on(desk):
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", "wait", "a"), "--concurrency", "1", "--json")
    desk.until("waiting", process)
    interrupt(process)
    line = read_until(process.stderr, "stopping")
    assert line == "stopping: letting the calls in flight of 1 run finish (Ctrl-C again to stop at once)\n"
    desk.go()
    ended = desk.finish(process)
    assert (ended.code, ended.out) == (130, "")
    assert "interrupted: 0 of 2 runs done; go on with: interlock resume " in ended.err

    resumed = desk.run("resume", "--json")
    assert resumed.code == 0, resumed.err
    assert sorted(run["input"] for run in resumed.runs) == [0, 1]
    assert len(desk.calls) == len(set(desk.calls)) == 4


LOST = """
import time, weakref
from interlock import cli
from interlock.cli import app

class Held:
    pass

def command(prog_name):
    def let_go(_):
        raise KeyboardInterrupt  # as one that comes while the lock of an import is let go
    held = Held()
    watched = weakref.ref(held, let_go)
    del held
    time.sleep(30)

app.app = command
cli.main()
"""


def test_a_ctrl_c_that_nothing_can_raise_comes_again():
    ended = subprocess.run([sys.executable, "-c", LOST], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGINT
    assert ended.stderr.endswith("KeyboardInterrupt\n")


def test_ctrl_c_twice_stops_at_once_and_the_lost_call_is_repeated_with_its_number(desk):
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", "wait"))
    desk.until("waiting", process)
    interrupt(process)
    read_until(process.stderr, "stopping")
    interrupt(process)
    ended = desk.finish(process)
    assert ended.code == 130
    assert "stopping at once" in ended.err
    assert "was stopped before its end; go on with: interlock resume " in ended.err
    desk.go()
    run_id = ended.err.split()[-1]
    assert desk.run("resume", run_id).code == 0
    assert desk.calls[:2] == [(run_id, "work", "1")] * 2
    attempts = desk.json("show", run_id)["attempts"]
    assert [(a["step"], a["attempt"], a["outcome"]) for a in attempts] == [
        ("work", 1, "interrupted"),
        ("work", 1, "committed"),
        ("close", 1, "committed"),
    ]


def test_what_does_not_end_within_the_grace_period_is_cancelled(desk):
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", "hang"), "--grace", "100ms", "--json")
    desk.until("waiting", process)
    interrupt(process, signal.SIGTERM)
    assert desk.finish(process).code == 130


def test_a_blocked_loop_does_not_keep_the_process_alive(desk):
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", "block"))
    desk.until("waiting", process)
    read_until(process.stderr, "agent worker has blocked the event loop")
    for _ in range(3):
        # Signals of one kind that come before the first is handled count as one.
        interrupt(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    assert desk.finish(process).code == 130


def test_kill_9_in_the_middle_of_a_batch_repeats_no_committed_step(desk):
    texts = [f"t{n}" for n in range(20)]
    desk.write("in.jsonl", *texts[:10], "hold", *texts[10:])
    process = desk.start("run", ".", "--input", "in.jsonl", "--concurrency", "4", "--json")
    done = [read_until(process.stdout, "run_id") for _ in range(12)]
    desk.until("waiting", process)
    process.kill()
    done += process.communicate()[0].splitlines()
    before = desk.calls
    desk.go()

    resumed = desk.run("resume", "--json")
    assert resumed.code == 0, resumed.err
    rows = desk.json("runs", "--limit", "0")["runs"]
    assert len(rows) == 21
    assert {row["status"] for row in rows} == {"succeeded"}
    # A run that ended just before the kill may have had no time to be printed.
    assert len({*map(run_id, done), *(run["run_id"] for run in resumed.runs)}) >= 21 - 4
    again = {call[:2] for call in desk.calls[len(before) :]} & {call[:2] for call in before}
    assert again == {step for step in again if was_lost(desk, *step)}
    assert len(again) <= 4
    assert desk.run("resume").err == "nothing to resume\n"


def run_id(line):
    return json.loads(line)["run_id"]


def was_lost(desk, run_id, step):
    """Whether a call for this step was in flight at the kill, so that it had to be repeated."""
    attempts = desk.json("show", run_id)["attempts"]
    return [a["outcome"] for a in attempts if a["step"] == step] == ["interrupted", "committed"]


def test_what_another_process_drives_is_left_alone(desk):
    driver = desk.start("run", ".", "--input", desk.write("in.jsonl", "wait"), "--json")
    desk.until("waiting", driver)
    ended = desk.run("resume")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "1 run left alone: driven by another process\nnothing to resume\n"
    run_id = desk.json("runs")["runs"][0]["run_id"]
    ended = desk.run("resume", run_id)
    assert ended.code == 1
    assert "driven by another process" in ended.err
    desk.go()
    assert desk.finish(driver).code == 0


def killed(desk, *texts):
    """A batch whose driver was killed while an agent waited; returns its id."""
    process = desk.start("run", ".", "--input", desk.write("in.jsonl", *texts), "--concurrency", "1")
    desk.until("waiting", process)
    process.kill()
    process.communicate()
    (desk.folder / "waiting").unlink()
    return desk.json("runs")["runs"][0]["batch"]


# Found by then, but not yet taken over.
SLOW_TO_LOAD = """
import os

if os.environ.get("SLOW"):
    (HERE / "loading").touch()
    while not (HERE / "loaded").exists():
        time.sleep(0.01)
"""


def test_what_another_process_takes_at_the_same_moment_is_not_called_interrupted(desk):
    killed(desk, "wait", "a")
    agents = desk.folder / "agents.py"
    agents.write_text(agents.read_text() + SLOW_TO_LOAD)
    slow = desk.start("resume", env={"SLOW": "1"})
    desk.until("loading", slow)
    quick = desk.start("resume", "--json")
    desk.until("waiting", quick)
    (desk.folder / "loaded").touch()
    ended = desk.finish(slow)
    assert (ended.code, ended.out, ended.err) == (0, "", "2 runs left alone: driven by another process\n")
    desk.go()
    assert [run["status"] for run in desk.finish(quick).runs] == ["succeeded", "succeeded"]


def test_one_batch_of_several_is_resumed(desk):
    first, second = killed(desk, "wait", "a"), killed(desk, "wait", "b")
    desk.go()
    resumed = desk.run("resume", second, "--json")
    assert resumed.code == 0, resumed.err
    assert sorted(run["run_id"] for run in resumed.runs) == [f"{second}-0", f"{second}-1"]
    shown = desk.run("resume", first)
    assert shown.code == 0
    assert shown.out.startswith("2 runs in ")


def test_a_team_that_has_changed_is_not_resumed_but_the_others_are(desk, tmp_path):
    batch = killed(desk, "wait", "a")
    desk.go()
    team = desk.folder / "team.yaml"
    same = (desk.folder / "as_it_was.yaml").write_text(team.read_text())
    assert same
    team.write_text(team.read_text().replace("retries: 1", "retries: 3"))
    ended = desk.run("resume", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "2 runs left alone: started under another version of " in ended.err
    assert "agents.worker.retries: 1 -> 3" in ended.err
    assert desk.run("resume", f"{batch}-0").code == 2
    assert len(desk.run("resume", "--team", "as_it_was.yaml", "--json").runs) == 2


def test_a_team_that_is_gone_does_not_hold_up_the_others(desk):
    (desk.folder / "old.yaml").write_text((desk.folder / "team.yaml").read_text())
    process = desk.start("run", "old.yaml", "--input", desk.write("in.jsonl", "wait"))
    desk.until("waiting", process)
    process.kill()
    process.communicate()
    (desk.folder / "waiting").unlink()
    killed(desk, "wait")
    (desk.folder / "old.yaml").unlink()
    desk.go()
    ended = desk.run("resume", "--json")
    assert ended.code == 2
    assert len(ended.runs) == 1
    assert "old.yaml can't be resumed: " in ended.err


def test_what_has_ended_is_shown_as_it_is(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "ask"))
    run_id = desk.json("runs")["runs"][0]["run_id"]
    ended = desk.run("resume", run_id, "--json")
    assert (ended.code, ended.runs[0]["status"]) == (3, "parked")
    assert "is not waiting for a driver: work asks: may I?" in ended.err


@pytest.mark.parametrize("command", [["run", ".", "--input", "in.jsonl", "--json"], ["runs", "--limit", "0"]])
def test_a_reader_that_goes_away_ends_it_quietly(desk, command):
    # More than a pipe holds, so that it can't all have been written before the reader goes.
    desk.write("in.jsonl", *["some text" * 50] * 1_200)
    if command[0] == "runs":
        desk.run("run", ".", "--input", "in.jsonl", "--json")
    process = desk.start(*command)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(30) == 130
    assert desk.finish(process).err == ""
