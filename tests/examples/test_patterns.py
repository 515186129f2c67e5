"""Each pattern: its example runs through the command line and on bad days, and its page shows what it is."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from interlock.team import audit
from interlock.team.load import load
from interlock.testing import Simulator
from interlock.testing.injection.faults import Faults
from interlock.testing.simulation.campaign import Recipe
from interlock.testing.simulation.world import World

from .pattern_page import NAMES, PAGE, PATTERNS, PICTURE, drawn_into

TEXT = PAGE.read_text("utf-8")
SEEDS, SEEDS_SLOW = 12, 300
CHAPTERS = ["Ships", "Storms", "Whales", "Islands", "Pirates", "Maps", "Harbours"]
# Of each input: what its runs come to, in order. None is one that waits for a person.
ENDS = {
    "batches": [("total", 150)],
    "critic": [("draft", ["Lunch"]), ("review.done", True), ("review.done", False)],
    "debate": [("verdict.side", "against")],
    "ladder": [("answer", "Paris"), ("answer", "27 K"), ("answer", "2"), None],
    "map": [("counts", {"good": 2, "bad": 2, "mixed": 2})],
    "map_reduce": [("notes", [f"{what} come first" for what in CHAPTERS])],
    "parallel": [("report", "parties: Acme Ltd, Brook Inc; dates: 2026-01-01, 2027-12-31; sums: 900 EUR")],
    "router": [
        ("answers", {"billing": "A copy of the invoice is on its way."}),
        ("reply", "Somebody comes tomorrow to mend it."),
        ("reply", "Thank you for writing to us."),
    ],
    "select": [
        ("text", "Chess: all that you need to know, in an hour."),
        ("text", "Go: all that you need to know, in an hour."),
    ],
    "sequential": [("answer.facts", "from 12 EUR"), ("answer.text", "About our hours: 9 to 17 o'clock.")],
    "vote": [("queue", "repairs"), None],
}


def requests(name):
    return [json.loads(line) for line in (PATTERNS / name / "input.jsonl").read_text("utf-8").splitlines()]


def test_every_pattern_is_tested_and_has_a_picture_in_the_page():
    assert list(ENDS) == NAMES
    assert sorted(name for _, name, _, _ in PICTURE.findall(TEXT)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_through_the_command_line(name, tmp_path):
    folder = PATTERNS / name
    command = ["run", str(folder), "--input", str(folder / "input.jsonl"), "--journal", str(tmp_path / "runs.db")]
    done = subprocess.run(
        [sys.executable, "-m", "interlock", *command, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == (3 if None in ENDS[name] else 0), done.stderr
    runs = sorted(map(json.loads, done.stdout.splitlines()), key=lambda run: run["input"])
    assert [run["status"] for run in runs] == ["succeeded" if end else "parked" for end in ENDS[name]]


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_to_what_it_should(name):
    simulator = Simulator(load(PATTERNS / name))
    for request, end in zip(requests(name), ENDS[name], strict=True):
        run = simulator.run(request)
        assert run.status == ("succeeded" if end else "parked"), run
        if end:
            assert run.context[end[0]] == end[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_audit_finds_nothing_to_mend(name):
    assert {finding.severity for finding in audit(PATTERNS / name).findings} <= {"info"}


def play(name, seeds, agents):
    given = {"requests": [json.dumps(one).encode() for one in requests(name)]} if agents == "real" else {}
    document = Faults.everything().document
    scenes = Recipe(team=str(PATTERNS / name), agents=agents, faults=document, **given).scenes()
    seen = Counter()
    for seed in range(seeds):
        episode = World(scenes.of(seed), seed).play()
        assert episode.broken is None, (seed, episode.broken)
        seen.update(struck.kind for struck in episode.struck)
    return seen


@pytest.mark.parametrize("agents", ["generated", "real"])
@pytest.mark.parametrize("name", NAMES)
def test_on_bad_days_every_promise_is_kept(name, agents):
    assert len(play(name, SEEDS, agents)) > 5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_on_many_bad_days_every_promise_is_kept(name):
    assert len(play(name, SEEDS_SLOW, "real")) > 15


def test_the_pictures_are_those_of_the_examples():
    assert drawn_into(TEXT) == TEXT, "draw them anew: python -m tests.examples.pattern_page"


def test_what_the_page_shows_of_a_team_file_is_in_it():
    for section in TEXT.split("\n## "):
        for name in re.findall(r"<!-- picture: (\w+) -->", section):
            team = (PATTERNS / name / "team.yaml").read_text("utf-8")
            shown = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
            assert shown
            assert all(block in team + "\n" for block in shown), name


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name):
    lines = (PATTERNS / name / "team.yaml").read_text("utf-8").splitlines()
    assert 10 <= len(lines) <= 50
