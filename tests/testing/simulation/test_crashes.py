"""The crash explorer: every crash point of both examples comes to the end without a crash, and a bug is found."""

import shutil

import pytest
import yaml

from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.crashes import explore_crashes

from .scenes_of import ALL_FEATURES, DESK, PIPELINE, fault, scene


@pytest.mark.parametrize("agents", ["real", "generated"])
@pytest.mark.parametrize("team", [DESK, PIPELINE], ids=["support_desk", "document_pipeline"])
def test_every_crash_of_an_example_comes_to_the_same_end(team, agents):
    requests = [(team / "input.jsonl").read_bytes().splitlines()[n] for n in range(2)]
    report = explore_crashes(scene(team, of=agents, requests=requests, runs=2))
    assert report.ok, report.differences[0].message
    assert report.points == 2 * report.writes
    assert report.writes > 5


def without_gates(declared):
    """A team without what a crash may rightly change: a lost call counts in a budget, and for a breaker it is none."""
    if isinstance(declared, list):
        return [without_gates(item) for item in declared]
    if not isinstance(declared, dict):
        return declared
    return {key: without_gates(value) for key, value in declared.items() if key not in {"breaker", "rate", "budget"}}


@pytest.mark.timeout(300)
def test_every_crash_of_a_team_with_every_feature_comes_to_the_same_end(tmp_path):
    folder = shutil.copytree(ALL_FEATURES.parent, tmp_path / "teams")
    team = folder / ALL_FEATURES.name
    team.write_text(yaml.safe_dump(without_gates(yaml.safe_load(team.read_text())), sort_keys=False))
    report = explore_crashes(scene(team), 0)
    assert report.ok, report.differences[0].message


def test_progress_counts_the_points():
    told = []
    report = explore_crashes(scene(DESK), progress=lambda done, of: told.append((done, of)))
    assert told == [(n + 1, report.points) for n in range(report.points)]


def test_faults_of_the_scene_are_left_out():
    assert explore_crashes(scene(DESK, faults=[fault("timeout")])).ok


def test_a_resume_that_forgets_something_is_found(monkeypatch):
    monkeypatch.setattr("interlock.journal.memory.MemoryJournal.batches", _no_batches)
    report = explore_crashes(scene(DESK))
    assert not report.ok
    assert report.differences[0].message.startswith("ends: ")
    assert {difference.when for difference in report.differences} <= {"crash_before_write", "crash_after_write"}


async def _no_batches(self):
    return []


def test_a_world_that_breaks_without_a_crash_is_told_as_such():
    def never(account, event):
        return "never"

    with pytest.raises(Broken, match="never"):
        explore_crashes(scene(DESK, invariants=[never]))
