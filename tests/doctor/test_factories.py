"""Functions that make the agents of frameworks. What they make is asked nothing."""

import asyncio
import textwrap

import pytest

import interlock as il
from interlock.doctor import examination, examine, factories
from tests.agents.scenes import children

AUTOGEN = """
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

def client(**given):
    return OpenAIChatCompletionClient(model="gpt-4o-mini-2024-07-18", base_url="http://127.0.0.1:9", **given)

def triage():
    return AssistantAgent("triage", client(api_key="k-12345678"))

async def later():
    return triage()

clerk = triage()

def broken():
    raise ValueError("no desk today")

def keyless():
    return AssistantAgent("triage", client())

def nothing():
    return 5
"""
SWARM = """
from swarm import Agent

clerk = Agent(name="clerk")

def broken():
    raise ValueError("no desk today")
"""


@pytest.fixture
def found(tmp_path, monkeypatch):
    """What is found about one agent of a folder."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def found(kind, use, code):
        (tmp_path / "desk.py").write_text(textwrap.dedent(code))
        (tmp_path / "team.yaml").write_text(
            f"agents: {{ann: {{{kind}: 'desk:{use}', allowed_actions: [act]}}}}\n"
            "plan: [{id: s, agent: ann, action: act}]\n"
        )
        before = children()
        [one] = examine(il.Team.load(tmp_path)).agents
        assert children() == before
        return one

    return found


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("triage", "desk:triage makes an AssistantAgent"),
        ("later", "desk:later makes an AssistantAgent"),
        ("clerk", "desk:clerk is an AssistantAgent"),
    ],
)
def test_an_agent_of_autogen(use, text, found):
    one = found("autogen", use, AUTOGEN)
    assert (one.kind, one.state, one.text) == ("autogen", "ok", text)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("broken", "ValueError: no desk today"),
        ("keyless", "api_key"),
        ("nothing", "desk:nothing makes an int, not an AutoGen agent or team"),
        ("triag", "did you mean triage?"),
    ],
)
def test_a_function_that_makes_no_agent_of_autogen(use, text, found):
    one = found("autogen", use, AUTOGEN)
    assert one.state == "failed"
    assert text in one.text


def test_an_agent_of_swarm_is_loaded_by_a_worker(found, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k-12345678")
    one = found("swarm", "clerk", SWARM)
    assert (one.state, one.text) == ("ok", "desk:clerk is loaded by a worker")


def test_few_workers_are_at_work_at_once(monkeypatch):
    working = []

    async def in_worker(team, agent, declared):
        working.append(len(working))
        await asyncio.sleep(0.01)
        assert len(working) <= 2
        working.pop()
        return declared["use"]

    monkeypatch.setattr(factories, "in_worker", in_worker)
    monkeypatch.setattr(examination, "WORKERS_MAX", 2)
    agents = [il.Agent(f"a{number}", swarm="desk:clerk", scope=il.Scope(["act"])) for number in range(6)]
    found = examine(il.Team(agents, il.Plan([il.Step("s", agent="a0", action="act")]))).agents
    assert [one.state for one in found] == ["ok"] * 6


@pytest.mark.parametrize(("use", "text"), [("broken", "no desk today"), ("clerk", "OPENAI_API_KEY"), ("x", "no func")])
def test_what_no_worker_can_make_of_swarm(use, text, found):
    one = found("swarm", use, SWARM)
    assert one.state == "failed"
    assert text in one.text
