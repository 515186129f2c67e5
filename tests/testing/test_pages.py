"""What the pages about testing show works: their tests are run beside the support desk, as a reader would run them."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import interlock as il

ROOT = Path(__file__).parents[2]
PAGES = ["test-a-team", "simulate-a-team", "reproduce-a-failure"]
BLOCK = re.compile(r"^<!-- file: (\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path):
    """A copy of the support desk."""
    ignored = shutil.ignore_patterns("__pycache__", ".interlock")
    return shutil.copytree(ROOT / "examples" / "support_desk", tmp_path / "desk", ignore=ignored)


def text_of(page):
    return ROOT.joinpath("docs", f"{page}.md").read_text("utf-8")


def prepared(page, desk):
    for name, code in BLOCK.findall(text_of(page)):
        desk.joinpath(name).write_text(code, "utf-8")


def called(*command, cwd):
    # Hypothesis, which only our own environment has, takes longer to say goodbye than all of these tests.
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


def record_ticket_4711(desk):
    """The run that the page has found in production."""

    async def urgent(job):
        return {"ticket.category": "card_arrival", "ticket.priority": "urgent", "ticket.needs_person": False}

    declared = il.Team.load(desk)
    agents = [msgspec.structs.replace(agent, use=urgent) for agent in declared.agents.values()]
    request = {"ticket": {"metadata": {"message": "My card has not arrived yet."}}}

    async def main():
        async with il.Orchestrator(il.Team(agents, declared.plan), desk / "failed.db") as orchestrator:
            return await orchestrator.run(request, run_id="ticket-4711")

    assert asyncio.run(main()).status == "failed"


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_of_a_page_pass(page, desk):
    prepared(page, desk)
    if page == "reproduce-a-failure":
        record_ticket_4711(desk)
    if page == "simulate-a-team":
        desk.joinpath("test_mine.py").write_text(
            "import invariants\n"
            "def test_it(simulator):\n"
            "    simulator.seeds(20, agents='real', invariants=[\n"
            "        invariants.never_answered_unclassified, invariants.escalated_tickets_have_no_answer])\n"
        )
    if page == "test-a-team":
        called("pytest", "-q", "--interlock-update", "test_snapshots.py", cwd=desk)
    done = called("pytest", "-q", cwd=desk)
    assert done.returncode == 0, done.stdout


def test_the_first_test_is_short(desk):
    name, code = BLOCK.search(text_of("test-a-team")).groups()
    assert len(code.splitlines()) <= 20
    desk.joinpath(name).write_text(code, "utf-8")
    assert "4 passed" in called("pytest", "-q", cwd=desk).stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_python_is_run(page):
    assert len(BLOCK.findall(text_of(page))) == text_of(page).count("```python")


def test_the_command_takes_an_invariant_of_a_reader(desk):
    prepared("simulate-a-team", desk)
    command = ["interlock", "simulate", ".", "--seeds", "5", "--workers", "1", "--invariant"]
    assert called(*command, "invariants:never_answered_unclassified", cwd=desk).returncode == 0
    wrong = called(*command, "invariants:never_answered_unclasified", cwd=desk)
    assert wrong.returncode == 2
    assert "did you mean never_answered_unclassified?" in wrong.stderr + wrong.stdout


def test_every_invariant_is_in_the_table():
    checked = set()
    for path in (ROOT / "src" / "interlock" / "testing").rglob("*.py"):
        code = path.read_text("utf-8")
        checked |= set(
            re.findall(r"""(?:\.require(?:_same)?|\.broken|\bBroken|SimulationFailed)\(\s*"([a-z_]+)",""", code)
        )
    named = set(re.findall(r"`([a-z_]+)`", text_of("simulate-a-team")))
    assert checked - named == set()
    assert {"views", "permissions", "rows", "schedules", "crashes"} <= checked


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text_of(page)):
        assert ROOT.joinpath("docs", target).exists(), target
