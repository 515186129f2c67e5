"""What the pages show works: every block of Python in them is run as it stands.

A page is one program: its blocks run one after another, as `__main__`, in a folder of its own. A block after a line
`<!-- file: NAME -->` is written to that file there instead, whatever its language. A line of a traceback is the line in
the page.
"""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import interlock as il
from interlock.core.guardrail import Draft
from interlock.core.purse import Cost
from interlock.doctor import installed
from tests.agents import contract_table

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/agents.md",
    "docs/agents-http.md",
    "docs/agents-command.md",
    "docs/audit-a-system.md",
    "docs/guardrails.md",
    "docs/grounding.md",
    "docs/breakers.md",
    "docs/effects.md",
    "docs/secrets.md",
    "docs/tools.md",
    "docs/notifications.md",
    "docs/people.md",
    "docs/requests.md",
    "docs/nested-teams.md",
    "docs/planning.md",
    "docs/waits.md",
    "docs/conflicts.md",
    "docs/result.md",
    "docs/dynamic-plans.md",
    "docs/python.md",
    "docs/dead-letters.md",
    "docs/forks.md",
    "docs/versions.md",
    "docs/test-an-agent.md",
]
# Run by the tests of their adapters, against a model.
FRAMEWORK_PAGES = ["docs/agents-autogen.md", "docs/agents-openai-agents.md", "docs/agents-swarm.md"]
LINKED_PAGES = [
    *PAGES,
    *FRAMEWORK_PAGES,
    "docs/adapters.md",
    "docs/agents-crewai.md",
    "docs/agents-langgraph.md",
    "docs/agents-llm.md",
    "docs/authority.md",
    "docs/debugging.md",
    "docs/doctor.md",
    "docs/stats.md",
    "docs/team-file.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
]
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def text_of(page):
    return ROOT.joinpath(page).read_text("utf-8")


def prepared(page, folder):
    """The files of a page, written; and its program, with each block at the line at which it stands in the page."""
    text, program = text_of(page), ""
    for block in BLOCK.finditer(text):
        if block["file"]:
            (folder / block["file"]).write_text(block["code"])
        elif block["language"] == "python":
            program += "\n" * (text.count("\n", 0, block.start("code")) - program.count("\n")) + block["code"]
    return program


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path):
    program = tmp_path / Path(page).name.replace(".md", "_page.py")
    program.write_text(prepared(page, tmp_path))
    done = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_page_installs_from_a_clone_what_there_is():
    extras = {extra.name for extra in installed.extras()}
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")]:
        text = page.read_text("utf-8")
        assert "install 'interlock[" not in text, page
        named = re.findall(r"install '([\w./]+)\[([\w,-]+)\]'", text)
        assert {name for _, names in named for name in names.split(",")} <= extras, page
        assert page.parent.name != "docs" or not named or "](../README.md#install)" in text, page


def test_the_page_of_the_adapters_names_each_and_has_the_place_of_its_table():
    page = text_of("docs/adapters.md")
    assert [file.name for file in ROOT.glob("docs/agents-*.md") if f"({file.name})" not in page] == []
    assert contract_table.END in contract_table.written_into(page, "")


def test_no_block_is_overlooked():
    for page in PAGES + FRAMEWORK_PAGES:
        assert len(BLOCK.findall(text_of(page))) == len(re.findall(r"^```", text_of(page), re.MULTILINE)) / 2


@pytest.mark.parametrize(
    ("page", "kind", "prefix"),
    [
        ("docs/agents.md", il.Job, "job."),
        ("docs/agents.md", il.Reply, ""),
        ("docs/agents.md", il.Usage, ""),
        ("docs/agents.md", il.Question, ""),
        ("docs/guardrails.md", Draft, "draft."),
        ("docs/python.md", il.Run, ""),
        ("docs/python.md", Cost, ""),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_field_is_documented(page, kind, prefix):
    text = text_of(page)
    assert [name for name in kind.__struct_fields__ if not re.search(rf"[`(\s.]{prefix}{name}\b", text)] == []


@pytest.mark.parametrize("made", [il.Agent, il.Team, il.Orchestrator])
def test_every_argument_is_documented(made):
    text = text_of("docs/python.md") + text_of("docs/team-file.md")
    names = inspect.signature(made).parameters
    assert [name for name in names if not re.search(rf"[`(\s]{name}[`=,:)]", text)] == []


def test_every_adapter_is_documented():
    adapters = [name for name in il.__all__ if name.startswith("from_")]
    assert [name for name in adapters if f"`il.{name}(" not in text_of("docs/python.md")] == []


@pytest.mark.parametrize(
    "page",
    [
        *PAGES,
        *FRAMEWORK_PAGES,
        "docs/authority.md",
        "docs/debugging.md",
        "docs/doctor.md",
        "docs/failure-modes.md",
        "docs/patterns.md",
        "docs/plan.md",
        "docs/team-file.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ],
)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text_of(page)):
        path = ROOT.joinpath(page).parent / target if target else ROOT / page
        assert path.exists(), target
        headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, anchor
