"""What holds for the tests of the adapters."""

import pytest

# The contract says what was expected and what came instead, as a test does.
pytest.register_assert_rewrite("tests.agents.contract")
