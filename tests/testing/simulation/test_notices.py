"""Notices in simulated worlds: whatever fails, hangs or dies, everybody is told everything once, and it is checked."""

from shutil import copy

import pytest

from interlock.engine import noticing
from interlock.journal.memory import MemoryJournal
from interlock.ports import Posting
from interlock.testing.simulation.notices import Notices
from interlock.testing.simulation.world import World

from .scenes_of import ALL_FEATURES, TEAMS, every_fault, scenes

NOTIFY = """
notify:
  - {url: "json://nowhere/all", name: all, on: [question, dead, breaker]}
  - {url: "json://nowhere/some", name: some, on: [question]}
"""


def telling(name, folder):
    """One of the teams of the simulation, with people who are told."""
    copy(TEAMS / "checks.py", folder)
    path = folder / "team.yaml"
    path.write_text((TEAMS / f"{name}.yaml").read_text() + NOTIFY)
    return path


@pytest.fixture(params=["all_features", "budgets_asked", "effects_approved"])
def team(request, tmp_path):
    return telling(request.param, tmp_path)


def told_of(team, monkeypatch, seeds=12, **given):
    """What came through in some worlds, by kind; and what broke in the first that broke."""
    seen = []
    came_through = Notices.came_through

    def noted(self, process, recipient, notice):
        seen.append((recipient, notice.kind))
        came_through(self, process, recipient, notice)

    monkeypatch.setattr(Notices, "came_through", noted)
    made = scenes(team, **given)
    for seed in range(seeds):
        broken = World(made.of(seed), seed).play().broken
        if broken is not None:
            return seen, broken
    return seen, None


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_everybody_is_told_once_whatever_strikes(team, faults, monkeypatch):
    seen, broken = told_of(team, monkeypatch, faults=faults)
    assert broken is None
    assert {("all", "question"), ("some", "question")} <= {*seen}
    assert ("some", "dead") not in seen


def test_dead_letters_and_breakers_are_told_where_that_is_wanted(tmp_path, monkeypatch):
    seen, broken = told_of(telling("all_features", tmp_path), monkeypatch, seeds=25, faults=every_fault())
    assert broken is None
    assert ("all", "dead") in seen


def test_a_notice_that_is_never_posted_is_found(team, monkeypatch):
    monkeypatch.setattr(noticing, "_TOLD", frozenset())
    _, broken = told_of(team, monkeypatch)
    assert (broken.invariant, "is never told of" in broken.message) == ("notices", True)


def test_one_that_is_told_twice_is_found(tmp_path, monkeypatch):
    async def forgets(self, numbers, again_us=0):
        pass

    monkeypatch.setattr(MemoryJournal, "settle_notices", forgets)
    _, broken = told_of(telling("budgets_asked", tmp_path), monkeypatch)
    assert (broken.invariant, "is told twice of" in broken.message) == ("notices", True)


def test_one_that_its_recipient_does_not_want_is_found(tmp_path, monkeypatch):
    def to_everybody(self, notices):
        return Posting(self.team, [(to, notice) for notice in notices for to in ("all", "some")])

    monkeypatch.setattr(noticing.Noticing, "_posting", to_everybody)
    _, broken = told_of(telling("budgets_asked", tmp_path), monkeypatch, faults=every_fault())
    assert (broken.invariant, "some is told what isn't so" in broken.message) == ("notices", True)


def test_a_team_that_tells_nobody_is_simulated_as_before():
    made = scenes(ALL_FEATURES, faults=every_fault())
    assert World(made.of(3), 3).notices.notifier(None) is None
