"""The pages about frameworks: their code runs as it stands, against the model server."""

import os
import subprocess
import sys

from tests.test_docs import prepared

from .model_server import ModelServer


def run_page(page: str, folder: object, server: ModelServer) -> None:
    """Run a page's program, for which the server is OpenAI's."""
    program = folder / "page.py"
    program.write_text(prepared(page, folder))
    told = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": server.key}
    done = subprocess.run(
        [sys.executable, program.name], cwd=folder, env=os.environ | told, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert server.requests, "the page asks no model"
