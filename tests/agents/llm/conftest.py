"""What holds for the tests of LLM agents."""

import pytest

from tests.agents.model_server import KEY


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    """The key of the local server."""
    monkeypatch.setenv("MODEL_KEY", KEY)
