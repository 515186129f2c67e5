"""The order desk: clean it is never refused, and on its bad day nothing that its checks can see is committed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from interlock.core import events as e
from interlock.core.values import decode
from interlock.team.load import load
from interlock.testing import Simulator
from interlock.testing.injection.faults import Faults

from .reading import Example

EXAMPLE = Example("order_desk")
ROOT = EXAMPLE.folder.parents[1]
LINES = EXAMPLE.lines()
WORLDS = 100


def writes(run):
    """What was committed: step -> path -> value."""
    committed = [event for event in run.events if isinstance(event, e.AttemptCommitted)]
    return {event.step: {path: decode(raw) for path, raw in event.writes.items()} for event in committed}


@pytest.fixture(scope="module")
def simulator():
    return Simulator(load(EXAMPLE.folder), "real")


@pytest.fixture(scope="module")
def good(simulator):
    """What is right, for each request: the commits of its clean run, and the answer as a form letter."""
    desk = EXAMPLE.module("desk")
    found = []
    for line in LINES:
        run = simulator.run(line)
        order, decision = run.context["order"], run.context["decision"]
        letter = f"Order {order['id']}. {desk.closing(order, decision)}"
        found.append((run, writes(run), {"reply.text": letter}))
    return found


def bad_day(simulator, good, worlds):
    """The commits of a bad day that are not right, and its runs."""
    faults = Faults.load(EXAMPLE.folder / "faults.yaml")
    found, runs = [], []
    for seed in range(worlds):
        n = seed % len(LINES)
        _, right, letter = good[n]
        run = simulator.run(LINES[n], faults=faults, seed=seed)
        runs.append(run)
        found += [what for step, what in writes(run).items() if what not in (right[step], letter)]
    return found, runs


def test_clean_all_forty_succeed_and_nothing_is_refused(good):
    assert len(good) == 40
    assert {run.status for run, _, _ in good} == {"succeeded"}
    assert not [event for run, _, _ in good for event in run.events if isinstance(event, e.AttemptRefused)]


@pytest.mark.timeout(300)
def test_nothing_wrong_is_committed_on_a_bad_day(simulator, good):
    found, runs = bad_day(simulator, good, WORLDS)
    assert found == []
    assert sum(isinstance(event, e.FaultInjected) for run in runs for event in run.events) > WORLDS
    for run in runs:
        buried = any(isinstance(event, e.StepBuried) for event in run.events)
        assert run.status == ("failed" if buried else "succeeded")


@pytest.mark.timeout(300)
def test_without_its_guardrails_it_would_be(good, tmp_path):
    bare = tmp_path / "desk"
    bare.mkdir()
    for file in EXAMPLE.folder.iterdir():
        if file.is_file():
            (bare / file.name).write_bytes(file.read_bytes())
    team = EXAMPLE.table("team")
    for agent in team["agents"].values():
        del agent["guardrails"]
    (bare / "team.yaml").write_text(yaml.safe_dump(team))
    found, _ = bad_day(Simulator(load(bare), "real"), good, len(LINES))
    assert found


def test_who_forgot_the_number_is_asked_and_the_answer_is_used(simulator):
    run = simulator.run({"request": {"message": "I want my money back."}})
    assert run.status == "parked"
    [asked] = [event for event in run.events if isinstance(event, e.QuestionAsked)]
    assert asked.question.text == "Which order is this about?"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_of_the_readme_work(tmp_path):
    interlock = str(Path(sys.executable).with_name("interlock"))
    environment = os.environ | {"INTERLOCK_JOURNAL": str(tmp_path / "runs.db")}
    text = (EXAMPLE.folder / "README.md").read_text()
    commands = re.findall(r"^interlock ([^#\n]+)", text, re.MULTILINE)
    assert len(commands) == 6
    for n, words in enumerate(commands):
        command = [interlock, *words.split(), "--json"]
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode in {0, 1}, ended.stderr
        if n == 0:
            assert [json.loads(line)["status"] for line in ended.stdout.splitlines()] == 40 * ["succeeded"]
