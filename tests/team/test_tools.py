"""Tools and MCP servers in the team file: every mistake with its line."""

from textwrap import dedent

import pytest

from interlock.core.scope import Scope
from interlock.errors import TeamError
from interlock.team import Agent, Team
from interlock.team.values import FILLED_IN

HEAD = """\
mcp_servers:
  crm: {command: [python, crm.py], env: {TOKEN: "${CRM_TOKEN}"}}
  web: {url: "https://example.com/mcp", headers: {Authorization: "Bearer ${WEB_TOKEN}"}}
agents:
  support:
    allowed_actions: [answer, lookup, refund]
    llm:
      model: openai:gpt-5-mini
      tools:
"""
HEAD_LINES = HEAD.count("\n")


def load(folder, text):
    file = folder / "team.yaml"
    file.write_text(text)
    return Team.load(file)


def problems(folder, text):
    with pytest.raises(TeamError) as caught:
        load(folder, text)
    return [(problem.line, problem.sentence, problem.fix) for problem in caught.value.problems]


def only(folder, tool):
    """The one thing that is wrong with the first tool, in the line after the head."""
    ((line, sentence, fix),) = problems(folder, f"{HEAD}        {tool}\n")
    assert line == HEAD_LINES + 1
    return f"{sentence}; {fix}"


def test_tools_of_both_kinds_are_declared(tmp_path):
    team = load(
        tmp_path,
        HEAD
        + """\
        lookup: {mcp: crm, tool: find_customer, timeout: 2s}
        refund: {use: "shop:refund", description: Gives money back., effect: true}
""",
    )
    assert team.agents["support"].llm["tools"]["lookup"] == {"mcp": "crm", "tool": "find_customer", "timeout": "2s"}
    assert team.mcp_servers["crm"]["command"] == ["python", "crm.py"]
    assert Team.of_document(team.document).hash == team.hash


AT = "agents.support.llm.tools."


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        (
            "refunds: {mcp: crm}",
            (
                f"{AT}refunds: refunds is none of the agent's allowed actions; did you mean refund?; "
                "add it to allowed_actions, or remove the tool"
            ),
        ),
        ("lookup: {}", f"{AT}lookup has neither use nor mcp; name a Python function or a tool of an MCP server"),
        (
            "lookup: {mcp: crm, use: 'a:b'}",
            f"{AT}lookup has use and mcp: it is a Python function or a tool of an MCP server; keep one of them",
        ),
        ("lookup: {use: 'a:b', tool: find}", f"{AT}lookup.tool says nothing without mcp; remove it"),
        (
            "lookup: {mcp: crn}",
            (
                "the tool lookup of agent support is on crn, and there is no such MCP server; did you mean crm?; "
                "its mcp_servers: crm, web"
            ),
        ),
        ("lookup: {use: a.b}", f"{AT}lookup.use is 'a.b', not module:function; "),
        (
            "lookup: {mcp: crm, timeout: soon}",
            f"{AT}lookup.timeout is 'soon', not a duration of more than 0 and up to 7d, such as 500ms, 2s, 1m or 1h",
        ),
        ("lookup: shop:lookup", f"{AT}lookup is 'shop:lookup', not a mapping with the keys of a tool; "),
    ],
)
def test_a_mistake_in_a_tool_is_told_with_its_line(tool, told, tmp_path):
    assert only(tmp_path, tool).startswith(told[:90])


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("{}", "mcp_servers.crm has neither command nor url"),
        ("{command: [a], url: http://b}", "mcp_servers.crm has command and url: it is a program or an address"),
        ("{command: []}", "mcp_servers.crm.command has 0 items; at least 1 are needed"),
        ("{url: http://a, env: {B: c}}", "mcp_servers.crm.env says nothing without command"),
        ("{command: [a], headers: {B: c}}", "mcp_servers.crm.headers says nothing without url"),
        ("{command: [a], env: {CRM_TOKEN: tk-5f1d}}", "mcp_servers.crm.env.CRM_TOKEN holds a secret itself"),
        ("{command: [a], env: {PASSPHRASE: open sesame}}", "mcp_servers.crm.env.PASSPHRASE holds a secret itself"),
        (
            "{url: http://a, headers: {Authorization: Bearer b}}",
            "mcp_servers.crm.headers.Authorization holds a secret itself",
        ),
        ("{url: 'https://ann:hunter2@a'}", "mcp_servers.crm.url: the address has a password in it"),
        (
            "{command: [a], env: {B: '${C'}}",
            "mcp_servers.crm.env.B is '${C', not a text in which ${NAME} stands for a secret",
        ),
        ("{command: [a], env: {B: 1}}", f"mcp_servers.crm.env.B is the number 1, not {FILLED_IN.what}"),
        ("crm.py", "mcp_servers.crm is 'crm.py', not a mapping with the keys of an MCP server"),
    ],
)
def test_a_mistake_in_a_server_is_told_once_and_hides_no_other(server, told, tmp_path):
    text = f"""\
    mcp_servers:
      crm: {server}
    agents:
      support:
        allowed_actions: [lookup]
        llm: {{model: openai:m, tools: {{lookup: {{mcp: crm}}, refund: {{mcp: crm}}}}}}
    """
    found = [(line, sentence) for line, sentence, _ in problems(tmp_path, dedent(text))]
    assert found == [
        (2, told),
        (6, "agents.support.llm.tools.refund: refund is none of the agent's allowed actions"),
    ]


def test_a_team_without_servers_says_what_to_declare(tmp_path):
    text = "agents: {support: {allowed_actions: [lookup], llm: {model: openai:m, tools: {lookup: {mcp: crm}}}}}"
    assert problems(tmp_path, text) == [
        (1, "the tool lookup of agent support is on crm, and there is no such MCP server", "declare crm in mcp_servers")
    ]


def test_a_team_of_python_is_checked_in_the_same_way():
    tools = {"lookup": {"mcp": "crm"}}
    with pytest.raises(TeamError, match="lookup is none of the agent's allowed actions"):
        Agent("support", llm={"model": "openai:m", "tools": tools})
    agent = Agent("support", llm={"model": "openai:m", "tools": tools}, scope=Scope(allowed_actions=["lookup"]))
    with pytest.raises(TeamError, match="there is no such MCP server"):
        Team([agent])
    assert Team([agent], mcp_servers={"crm": {"url": "http://localhost/mcp"}}).mcp_servers
