"""`simulate`: many seeds, one seed, every crash; what is found and how it is told."""

import json
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest

INVARIANTS = """\
from interlock.core import events as e


def nothing_is_committed(account, event):
    return "something is" if isinstance(event, e.AttemptCommitted) and event.step == "close" else None
"""

FAULTS = "faults:\n  - {fault: timeout, agent: worker, attempt: 1}\n"


@pytest.fixture
def broken(desk):
    (desk.folder / "mine.py").write_text(INVARIANTS)
    return ["simulate", ".", "--seeds", "100", "--invariant", "mine:nothing_is_committed"]


def test_many_seeds_are_summed_up(desk):
    ended = desk.run("simulate", ".", "--seeds", "60", "--workers", "2")
    assert ended.code == 0
    assert ended.out.startswith("60 seeds in ")
    assert "✓ no invariant broken" in ended.out
    assert "simulated hours" in ended.out
    assert "invented_fields" in ended.out
    assert not desk.calls, "an agent's own code was called"


def test_the_same_as_one_document(desk):
    first, second = (desk.json("simulate", ".", "--seeds", "40", "--workers", n) for n in ("1", "2"))
    rates = [found.pop("machine_events_per_second") for found in (first, second)]
    assert all(rate > 0 for rate in rates)
    assert first == second
    assert (first["ok"], first["seeds"], sum(first["runs"].values())) == (True, 40, 120)
    assert first["failure"] is None
    assert set(first["faults"]["timeout"]) == {"struck", "calls", "runs"}


def test_faults_of_a_file(desk):
    (desk.folder / "faults.yaml").write_text(FAULTS)
    found = desk.json("simulate", ".", "--seeds", "10", "--faults", "faults.yaml")
    assert found["faults"].keys() == {"timeout"}
    assert found["faults"]["timeout"]["calls"] == {"timed out": found["faults"]["timeout"]["struck"]}
    assert found["simulated_seconds"] > 60 * 10


def test_no_faults_at_all(desk):
    found = desk.json("simulate", ".", "--seeds", "10", "--faults", "none")
    assert found["faults"] == {}


def test_the_agents_own_code_may_be_called_in_virtual_time(desk):
    desk.write("in.jsonl", "a", "b")
    found = desk.json("simulate", ".", "--seeds", "2", "--faults", "none", "--agents", "real", "--input", "in.jsonl")
    assert found["runs"] == {"succeeded": 6}
    assert len(desk.calls) == 12


def test_a_broken_invariant_is_told_with_its_transcript_and_the_command_that_repeats_it(desk, broken):
    ended = desk.run(*broken)
    assert ended.code == 1
    assert "✗ nothing_is_committed: something is" in ended.out
    assert "1 of 3 runs, 0 of" in ended.out
    assert "BROKEN  nothing_is_committed: something is" in ended.out
    command = ended.out.splitlines()[-1].split()
    assert command[:3] == ["interlock", "simulate", "."]
    again = desk.run(*command[1:])
    assert again.code == 1
    assert "BROKEN  nothing_is_committed: something is" in again.out


@pytest.mark.parametrize(
    ("words", "given"), [([], '{"text": "a"}\n{"text": "b"}\n'), (["--map", "who said=text"], "who said,to\na,x\n")]
)
def test_requests_of_standard_input_are_kept_for_the_command_that_repeats_a_seed(desk, broken, words, given):
    ended = desk.run(*broken, "--input", "-", *words, stdin=given)
    assert ended.code == 1
    [kept] = desk.folder.glob("simulated-*.jsonl")
    assert f"the requests of standard input are kept in {kept.name}\n" in ended.err
    command = ended.out.splitlines()[-1].split()
    assert command[:3] == ["interlock", "simulate", "."]
    again = desk.run(*command[1:])
    assert again.code == 1
    assert "BROKEN  nothing_is_committed: something is" in again.out
    assert (kept.name in command, "-" in command, "--map" in command) == (True, False, False)


def test_requests_that_can_not_be_kept_must_be_given_once_more(desk, monkeypatch, capsys):
    from interlock.cli.simulating import _kept

    monkeypatch.chdir(desk.folder)
    shutil.rmtree(desk.folder)
    assert _kept([b"{}"]) == "-"
    assert "can't be kept in simulated-" in capsys.readouterr().err


def test_nothing_is_kept_where_nothing_breaks(desk):
    assert desk.run("simulate", ".", "--seeds", "3", "--input", "-", stdin='{"text": "a"}').code == 0
    assert not [*desk.folder.glob("simulated-*")]


def test_a_broken_invariant_as_json(desk, broken):
    failure = desk.json(*broken, code=1)["failure"]
    assert (failure["invariant"], failure["message"]) == ("nothing_is_committed", "something is")
    assert failure["transcript"][-1].endswith("BROKEN  nothing_is_committed: something is")


def test_one_seed_is_told_line_by_line_and_is_always_the_same(desk):
    first, second = (desk.json("simulate", ".", "--seed", "7") for _ in range(2))
    assert first == second
    assert first["digest"]
    assert "started" in first["transcript"][1]
    shown = desk.run("simulate", ".", "--seed", "7")
    assert first["digest"] in shown.out
    assert all(line in shown.out for line in first["transcript"])


def test_every_crash_is_tried(desk):
    found = desk.json("simulate", ".", "--every-crash")
    assert (found["ok"], found["points"], found["differences"]) == (True, 2 * found["writes"], [])
    shown = desk.run("simulate", ".", "--every-crash")
    assert shown.out.startswith(
        f"✓ {found['points']} crashes, before and after each of {found['writes']} journal writes"
    )


def test_a_world_that_breaks_without_a_crash_has_none_to_explore(desk, broken):
    ended = desk.run(*broken, "--every-crash")
    assert ended.code == 1
    assert "without any crash" in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere"),
        ([".", "--agents", "fake"], "--agents is 'fake'"),
        ([".", "--faults", "missing.yaml"], "missing.yaml"),
        ([".", "--invariant", "mine:check"], "the invariant mine:check can't be imported"),
        ([".", "--input", "missing.jsonl"], "missing.jsonl"),
    ],
)
def test_bad_usage_says_how_to_mend_it(desk, words, says):
    ended = desk.run("simulate", *words)
    assert ended.code == 2
    assert says in ended.err
    assert "Traceback" not in ended.err


def test_a_fault_that_fits_no_agent_is_named_with_its_line(desk):
    (desk.folder / "faults.yaml").write_text("faults:\n  - fault: timeout\n    agent: wroker\n")
    ended = desk.run("simulate", ".", "--faults", "faults.yaml")
    assert ended.code == 2
    assert "faults.yaml:3" in ended.err
    assert "did you mean worker?" in ended.err


def test_all_typos_of_a_faults_file_are_told_at_once(desk):
    (desk.folder / "faults.yaml").write_text(
        "faults:\n  - {fault: timeout, agent: wroker}\n  - {fault: timeuot}\n  - {fault: slow, step: wrok}\n"
    )
    for command in ("simulate", "run"):
        ended = desk.run(command, ".", "--faults", "faults.yaml", "--input", desk.write("in.jsonl", "hi"))
        assert ended.code == 2
        for said in ("3 problems", "faults.yaml:2: ", "mean worker?", "faults.yaml:3", "mean timeout?", "mean work?"):
            assert said in ended.err


def test_an_interrupted_simulation_says_how_far_it_came_and_how_to_go_on(desk):
    (desk.folder / "mine.py").write_text("from pathlib import Path\ndef begun(*_): Path('begun').touch()\n")
    words = ["--seeds", "1000000", "--workers", "2", "--invariant", "mine:begun"]
    process = desk.start("simulate", ".", *words)
    desk.until("begun", process)
    process.send_signal(signal.SIGINT)
    ended = desk.finish(process)
    assert ended.code == 130
    assert " seeds in " in ended.out
    assert "of 1,000,000 seeds; go on with: interlock simulate . --invariant mine:begun --first " in ended.err
    assert "Traceback" not in ended.err


SLOW = """\
import os
import time
from pathlib import Path


def slow(*_):
    Path("begun").touch()
    time.sleep(0.05 if os.environ.get("ONE") else 600)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_simulation_ends_at_once(desk, workers):
    (desk.folder / "mine.py").write_text(SLOW)
    words = ["--workers", workers, "--invariant", "mine:slow", "--runs", "1"]
    process = desk.start("simulate", ".", *words, env={"ONE": "1" if workers == "1" else ""})
    desk.until("begun", process)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    ended = desk.finish(process)
    assert time.monotonic() - asked < 2
    assert ended.code == 130
    assert "interrupted after 0 of 1,000 seeds" in ended.err
    assert "Traceback" not in ended.err


def test_a_second_ctrl_c_reaches_an_agent_that_hangs(desk):
    (desk.folder / "mine.py").write_text(SLOW)
    process = desk.start("simulate", ".", "--workers", "1", "--invariant", "mine:slow", env={"ONE": ""})
    desk.until("begun", process)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    ended = desk.finish(process)
    assert ended.code == 130
    assert "interrupted after 0 of 1,000 seeds" in ended.err


def test_its_workers_end_when_it_is_killed(desk):
    (desk.folder / "mine.py").write_text(SLOW)
    process = desk.start("simulate", ".", "--workers", "2", "--invariant", "mine:slow", start_new_session=True)
    desk.until("begun", process)
    process.kill()
    try:
        assert desk.finish(process).code == -signal.SIGKILL  # once nobody holds its pipes any more
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8, 1.1, 1.4])
def test_ctrl_c_at_a_terminal_shows_no_stack_of_any_process(desk, seconds):
    """A terminal sends it to all processes, be they ready for it or just starting."""
    process = desk.start("simulate", ".", "--seeds", "100000", "--workers", "4", start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    ended = desk.finish(process)
    assert "multiprocessing" not in ended.err
    assert ended.code in {130, -signal.SIGINT, 1}


def test_the_transcript_in_json_is_plain_text(desk):
    for line in json.loads(json.dumps(desk.json("simulate", ".", "--seed", "1")["transcript"])):
        assert line == line.rstrip()
        assert line.isprintable()
