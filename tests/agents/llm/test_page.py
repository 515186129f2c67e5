"""What docs/agents-llm.md shows works, with the local server in the place of the provider."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import interlock as il
from interlock.team.kinds import LLM
from tests.agents.model_server import ModelServer

ROOT = Path(__file__).parents[3]
PAGE = ROOT.joinpath("docs/agents-llm.md").read_text("utf-8")
FILE = re.compile(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START = """
import asyncio, json, sys
import interlock as il

async def main():
    async with il.Orchestrator(il.Team.load("."), ":memory:", on_partial=lambda partial: None) as orchestrator:
        run = await orchestrator.run({"ticket": {"customer": "Ada", "text": "I was charged twice."}})
        print(run.status, run.context["ticket.category"])

asyncio.run(main())
"""


@pytest.mark.parametrize("program", ["sort.py", "team.yaml"])
def test_what_the_page_shows_runs(program, tmp_path):
    for name, text in FILE.findall(PAGE):
        (tmp_path / name).write_text(text)
    (tmp_path / "start.py").write_text(START)
    with ModelServer() as server:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": server.key,
            "PYTHONPATH": str(ROOT / "src"),
        }
        command = [sys.executable, "start.py" if program == "team.yaml" else program]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("succeeded billing\n", "")


def test_the_page_and_the_reference_speak_of_every_key():
    reference = ROOT.joinpath("docs/team-file.md").read_text("utf-8")
    for text in (PAGE, reference):
        assert [key for key in LLM.fields if f"`{key}`" not in text] == []


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", PAGE):
        assert ROOT.joinpath("docs", target).exists(), target


def test_the_page_speaks_of_all_that_a_partial_tells():
    assert [name for name in il.Partial.__struct_fields__ if f"`{name}`" not in PAGE] == []
