"""The tools of an agent in a team file; those of docs/tools.md among them."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from interlock import wiring
from interlock.agents import extras
from interlock.agents.setting import Setting
from interlock.agents.tools import Toolbox, Workshop
from interlock.errors import AgentError, MissingExtra, TeamError
from interlock.team import Team
from interlock.team.registry import find
from tests.agents.scenes import children, job
from tests.test_docs import prepared


def toolbox(team, workshop=None):
    agent, workshop = team.agents["support"], workshop or Workshop.of(team)
    return Toolbox.of(Setting(agent, agent.llm, partial(find, folder=team.folder), team, workshop))


def team(folder, tools, servers="{}"):
    actions = "[look, refund, count]"
    agents = f"{{support: {{allowed_actions: {actions}, llm: {{model: openai:m, tools: {tools}}}}}}}"
    (folder / "team.yaml").write_text(f"mcp_servers: {servers}\nagents: {agents}\n")
    return Team.load(folder)


@pytest.mark.slow
def test_the_tools_of_the_page_work(tmp_path, monkeypatch):
    prepared("docs/tools.md", tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("CRM_TOKEN", "a-secret-of-pages")
    before = children()

    async def main():
        team = Team.load(tmp_path)
        workshop = Workshop.of(team)
        box = toolbox(team, workshop)
        try:
            found, days, refund = await box.open(job())
            assert await found.call({"customer": "c1"}) == {"customer": "c1", "plan": "pro"}
            assert (found.name, found.description, found.timeout) == (
                "find_customer",
                "Look up a customer by number.",
                2,
            )
            assert await days.call({"country": "DE"}) == 1
            with pytest.raises(AgentError, match="country"):
                await days.call({"country": "Germany"})
            receipt = {"order": "o1", "euros": 20.0, "receipt": "run/s0/1/o1"}
            assert await refund.call({"order": "o1", "euros": 20.0}) == receipt
            assert (refund.effect, refund.description) == (True, "Give a customer money back.")
            with pytest.raises(AgentError, match="<= 100"):
                await refund.call({"order": "o1", "euros": 1e6})
        finally:
            await workshop.close()

    asyncio.run(main())
    assert children() <= before


def test_all_tools_that_can_not_be_called_are_named_with_their_places(tmp_path):
    (tmp_path / "desk.py").write_text("def look(*all): pass\nrefund = 7\n")
    tools = "{look: {use: 'desk:look'}, refund: {use: 'desk:refund'}, count: {use: 'desk:count'}}"
    with pytest.raises(TeamError) as caught:
        toolbox(team(tmp_path, tools))
    assert [(problem.place, problem.sentence) for problem in caught.value.problems] == [
        (
            ("tools", "look", "use"),
            "its tool look uses desk:look: its parameter *all has no name of its own",
        ),
        (
            ("tools", "refund", "use"),
            "its tool refund uses desk:refund: it is a int, not a function",
        ),
        (
            ("tools", "count", "use"),
            "its tool count uses desk:count: the module desk has no function count",
        ),
    ]


def test_without_the_extra_a_tool_of_a_server_is_refused_at_load(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "_is_installed", lambda module: False)
    with pytest.raises(MissingExtra, match=r"mcp_types is not installed; pip install 'interlock\[mcp\]'"):
        toolbox(team(tmp_path, "{look: {mcp: crm}}", "{crm: {url: 'http://localhost/mcp'}}"))
    assert Workshop.of(team(tmp_path, "{}", "{crm: {url: 'http://localhost/mcp'}}")).servers


def test_the_agents_of_a_team_share_a_workshop(tmp_path, monkeypatch):
    settings = []
    monkeypatch.setitem(wiring.KINDS, "llm", "llm_under_test")
    monkeypatch.setitem(sys.modules, "llm_under_test", SimpleNamespace(declared=settings.append))
    llm = "llm: {model: openai:m, tools: {look: {mcp: crm}}}"
    (tmp_path / "team.yaml").write_text(
        f"mcp_servers: {{crm: {{url: 'http://localhost/mcp'}}}}\n"
        f"agents: {{a: {{allowed_actions: [look], {llm}}}, b: {{allowed_actions: [look], {llm}}}}}\n"
    )
    team = Team.load(tmp_path)
    workshop = Workshop.of(team)
    wiring.adapters(team, workshop)
    one, other = settings
    assert one.workshop is other.workshop is workshop
    assert [*one.workshop.servers] == ["crm"]
