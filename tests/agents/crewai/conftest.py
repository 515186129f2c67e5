"""These tests need CrewAI, which has an environment of its own: `make test` runs them there."""

from importlib.util import find_spec

import pytest

from tests.agents.model_server import KEY

from .crews import WarmCrews

collect_ignore_glob = [] if find_spec("crewai") else ["test_*.py"]


@pytest.fixture(scope="session")
def crews(tmp_path_factory):
    """Importing CrewAI takes seconds, so the tests share workers, and the loop that these belong to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        crews = WarmCrews(tmp_path_factory.mktemp("crews"))
        yield crews
        crews.close()
