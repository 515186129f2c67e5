"""`doctor`: what people and scripts are told."""


def test_it_tells_what_is_installed(desk):
    ended = desk.run("doctor")
    assert ended.code == 0
    assert "Python 3." in ended.out
    assert "mcp" in ended.out


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
    assert {"interlock", "python", "system", "extras", "agents"} == told.keys()
    assert {agent["state"] for agent in told["agents"]} == {"ok"}
    assert {"name", "installed", "packages"} == told["extras"][0].keys()


def test_a_team_that_is_no_team(desk):
    (desk.folder / "team.yaml").write_text("agents: 5")
    ended = desk.run("doctor", ".", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "agents" in ended.err
