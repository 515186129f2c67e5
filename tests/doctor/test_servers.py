"""MCP servers: started, and asked for their tools."""

import sys
from pathlib import Path

import pytest

import interlock as il
from interlock.agents import extras
from interlock.doctor import Diagnosis, examine
from tests.agents.scenes import children

from .test_models import LISTED, listing

CRM = [sys.executable, str(Path(__file__).parents[1] / "agents" / "tools" / "crm.py")]


def examined(url, tools, **servers):
    llm = {"model": "openai:llama3", "base_url": url, "tools": tools}
    agent = il.Agent("ann", llm=llm, scope=il.Scope(["act", *tools], [], ["x"]))
    plan = il.Plan([il.Step("s", agent="ann", action="act")])
    return examine(il.Team([agent], plan, mcp_servers=servers))


@pytest.fixture
def url():
    with listing(LISTED) as (url, _):
        yield url


@pytest.fixture
def keys(tmp_path):
    return {"command": CRM, "env": {"LOG": str(tmp_path / "log")}}


def test_a_server_that_has_what_is_asked_of_it(url, keys):
    before = children()
    found = examined(url, {"find": {"mcp": "crm", "tool": "lookup"}}, crm=keys)
    assert found.agents[0].state == "ok"
    [server] = found.mcp_servers
    assert (server.subject, server.kind, server.state) == ("crm", "mcp", "ok")
    assert "tools: lookup, " in server.text
    assert children() == before
    assert not Path(keys["env"]["LOG"]).exists() or "lookup" not in Path(keys["env"]["LOG"]).read_text()


def test_a_tool_that_the_server_does_not_have(url, keys):
    found = examined(url, {"find": {"mcp": "crm", "tool": "lokup"}}, crm=keys)
    assert found.mcp_servers[0].is_fine
    [agent] = found.agents
    assert (agent.state, agent.text) == ("failed", "the MCP server crm has no tool lokup; did you mean lookup?")
    assert agent.fix.startswith("its tools: lookup, ")


def test_a_server_that_cannot_be_started_and_who_needs_it(url):
    found = examined(url, {"find": {"mcp": "crm"}}, crm={"command": ["no-such-program"]})
    [server], [agent] = found.mcp_servers, found.agents
    assert (server.state, "no-such-program" in server.text) == ("failed", True)
    assert agent == Diagnosis("ann", "llm", "failed", "its tool find is on the MCP server crm, which can't be used")
    assert not found.is_fine


def test_a_server_that_nobody_uses_is_looked_at_too(url):
    found = examined(url, {}, crm={"command": ["no-such-program"]})
    assert (found.agents[0].state, found.mcp_servers[0].state) == ("ok", "failed")


def test_a_secret_that_a_server_needs(url, keys):
    keys["env"]["CRM_TOKEN"] = "${NO_SUCH_TOKEN}"
    [server] = examined(url, {}, crm=keys).mcp_servers
    assert (server.state, server.fix) == ("missing", "set NO_SUCH_TOKEN in the environment")


def test_without_the_client_the_extra_is_named(url, keys, monkeypatch):
    monkeypatch.setattr(extras, "_is_installed", lambda module: False)
    [server] = examined(url, {}, crm=keys).mcp_servers
    assert (server.state, server.fix) == ("missing", "pip install 'interlock[mcp]'")
