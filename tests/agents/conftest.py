"""What holds for the tests of the adapters."""

import pytest

from interlock.agents.secret import VAULT

# The contract says what was expected and what came instead, as a test does.
pytest.register_assert_rewrite("tests.agents.bench", "tests.agents.contract")


@pytest.fixture(autouse=True)
def _secrets_of_its_own(monkeypatch):
    """What one test was handed out is no secret in the next."""
    monkeypatch.setattr(VAULT, "_handed_out", {})
