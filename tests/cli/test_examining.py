"""`doctor`: what people and scripts are told."""

import json
from pathlib import Path

from interlock.cli.paint_doctor import show_doctor
from interlock.doctor import Diagnosis, Examination, Extra


def test_it_tells_what_is_installed(desk):
    ended = desk.run("doctor")
    assert ended.code == 0
    assert "Python 3." in ended.out
    assert "mcp" in ended.out


def test_what_is_too_old_has_no_tick(capsys):
    parts = [Extra("mcp", {"mcp": "2.1.0"}, {"mcp": "<3,>=2.3"}), Extra("http", {"httpx2": "2.16"})]
    show_doctor({"interlock": "1", "python": "3", "system": "linux"}, parts, Examination(), "")
    old, fix, http = [line.split() for line in capsys.readouterr().out.splitlines()][-3:]
    assert old == ["?", "mcp", "mcp", "2.1.0", "where", "<3,>=2.3", "is", "needed"]
    assert " ".join(fix) == "fix: pip install --upgrade 'interlock[mcp]'"
    assert http == ["✓", "http", "httpx2", "2.16"]


def test_a_team_that_can_work(desk):
    ended = desk.run("doctor", ".")
    assert (ended.code, "✓ every agent can work" in ended.out) == (0, True), ended.out


def test_a_team_that_cannot_work_yet(desk):
    text = (desk.folder / "team.yaml").read_text("utf-8")
    (desk.folder / "team.yaml").write_text(text.replace("agents:close", "agents:clsoe"))
    ended = desk.run("doctor", ".")
    assert ended.code == 1
    assert "did you mean close?" in ended.out
    assert "✗ 1 agent can't work yet" in ended.out


def test_scripts_get_one_document(desk):
    told = desk.json("doctor", ".")
    assert {"interlock", "python", "system", "extras", "agents", "mcp_servers", "notify"} == told.keys()
    assert {agent["state"] for agent in told["agents"]} == {"ok"}
    assert {"name", "installed", "packages", "unfit"} == told["extras"][0].keys()


def test_a_server_that_cannot_be_started(desk):
    with (desk.folder / "team.yaml").open("a") as file:
        file.write("mcp_servers: {crm: {command: [no-such-program]}}\n")
    ended = desk.run("doctor", ".")
    assert ended.code == 1
    assert "✗ 1 MCP server can't work yet" in ended.out
    told = json.loads(desk.run("doctor", ".", "--json").out)
    assert [(one["subject"], one["state"]) for one in told["mcp_servers"]] == [("crm", "failed")]


def test_nothing_moves_where_nobody_watches(desk):
    assert desk.run("doctor", ".").err == ""


def test_a_team_that_is_no_team(desk):
    (desk.folder / "team.yaml").write_text("agents: 5")
    ended = desk.run("doctor", ".", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "agents" in ended.err


def test_the_page_speaks_of_every_field(desk):
    page = Path(__file__).parents[2].joinpath("docs", "doctor.md").read_text("utf-8")
    told = desk.json("doctor", ".")
    named = [*told, *told["extras"][0], *Diagnosis.__struct_fields__]
    assert [name for name in named if f"`{name}`" not in page] == []
