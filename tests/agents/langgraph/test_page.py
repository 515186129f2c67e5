"""What the page about LangGraph shows works, against a model server."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.agents.model_server import ModelServer

PAGE = Path(__file__).parents[3] / "docs" / "agents-langgraph.md"
BLOCK = re.compile(r"^(?:<!-- file: (\S+) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_code_of_the_page_runs(tmp_path):
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    for name, language, code in blocks:
        if name or language == "python":
            (tmp_path / (name or "page.py")).write_text(code)
    with ModelServer() as server:
        environment = os.environ | {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": server.key}
        command = [sys.executable, "page.py"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 1
    assert [language for name, language, _ in blocks if name or language == "python"] == ["python", "yaml", "python"]
