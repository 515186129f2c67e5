"""A hundred thousand proposals, most of them malicious: none is accepted that breaks a promise, and none crashes."""

from pathlib import Path

import pytest

from interlock.errors import ProposalRefused
from interlock.planning import Bounds, planned
from interlock.testing import Simulator

ROOT = Path(__file__).resolve().parents[2]
REQUEST = {"mail": ["one", "two"]}


@pytest.fixture
def adversary(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import adversary

    return adversary


def accepted(adversary, seeds):
    """The accepted ones as proved teams, by seed; all others are refused as they should be."""
    team = adversary.team()
    bounds = Bounds(bytes_max=adversary.BYTES_MAX, steps_max=adversary.STEPS_MAX)
    for seed in seeds:
        try:
            yield seed, planned(adversary.proposal(seed)[1], team, bounds)
        except ProposalRefused as refused:
            check(refused, bounds, adversary.PROSE, seed)


def check(refused, bounds, prose, seed):
    """Every refusal says what and where, within bounds, and repeats nothing hostile."""
    said = str(refused)
    assert 0 < len(refused.flaws) <= bounds.flaws_max, seed
    assert prose not in said, seed
    assert said.replace("\n", "").isprintable(), seed
    for flaw in refused.flaws:
        assert flaw.where.startswith("$"), seed
        assert 0 < len(flaw.what) <= bounds.flaw_chars_max, seed
        assert len(flaw.allowed) <= bounds.flaw_chars_max, seed


def hold(adversary, seeds):
    found = 0
    for seed, proved in accepted(adversary, seeds):
        assert list(adversary.broken(proved.plan.declared)) == [], seed
        found += 1
    return found


def test_nothing_is_accepted_that_breaks_a_promise(adversary):
    assert hold(adversary, range(2_000)) > 200


@pytest.mark.thorough
@pytest.mark.timeout(1_200)
def test_nothing_is_accepted_that_breaks_a_promise_in_a_hundred_thousand(adversary):
    assert hold(adversary, range(100_000)) > 10_000


def test_accepted_plans_keep_every_invariant_while_everything_goes_wrong(adversary):
    for seed, proved in accepted(adversary, range(2_000, 2_150)):
        Simulator(proved).seeds(1, runs=2, first=seed, requests=[REQUEST])


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ([{"id": "b", "agent": "reader", "action": "read", "writes": ("facts.a",)}], "race of a and b at facts.a"),
        ([{"id": "b", "agent": "reader", "action": "write"}], "reader does write"),
        ([{"id": "b", "agent": "clerk", "action": "note", "writes": ("answer",)}], "clerk writes answer"),
        ([{"id": "b", "agent": "clerk", "action": "note", "reads": ("answer",)}], "clerk depends on answer"),
        ([{"id": "b", "agent": "editor", "action": "edit", "reads": ("facts.a",)}], "unordered read of a and b"),
        ([{"id": "b", "agent": "reader", "action": "read", "for_each": "mail"}], "race of b and b at facts"),
        ([{"id": "b", "agent": "clerk", "action": "note", "samples": 4}], "the clerk's budget"),
        ([{"id": "b", "agent": "clerk", "action": "note", "retries": 3}], "what is not an agent's to choose"),
    ],
)
def test_the_judge_of_the_validator_sees_what_is_broken(more, complaint, adversary):
    import interlock as il

    steps = [il.Step("a", "reader", "read", writes=["facts.a"]), *(il.Step(**one) for one in more)]
    assert complaint in list(adversary.broken(steps))
