"""The adapter of HTTP endpoints keeps the contract."""

import os

import pytest

from interlock.agents.http import from_http

from .bench import Lane
from .contract import AdapterContract


def make(server, model):
    os.environ["DESK_API_KEY"] = server.key
    return from_http(server.agent_url(model), headers={"authorization": "Bearer ${DESK_API_KEY}"})


class TestOfHttp(AdapterContract):
    lane = Lane("http", make, usage_of_errors=False)

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch):
        monkeypatch.setenv("DESK_API_KEY", "")
