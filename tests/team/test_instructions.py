"""Instructions in a file of their own."""

import textwrap

import pytest

import interlock as il
from interlock.errors import TeamError
from interlock.team.instructions import FILE_BYTES_MAX


@pytest.fixture
def declared(tmp_path):
    """A team file whose agent has its instructions in sort.md."""
    path = tmp_path / "team.yaml"
    path.write_text(
        textwrap.dedent("""\
            agents:
              triage:
                allowed_actions: [sort]
                write_permissions: [ticket.category]
                llm:
                  model: openai:gpt-5-mini
                  instructions_file: sort.md
            """)
    )
    return path


def test_the_text_takes_the_place_of_its_file(declared):
    declared.with_name("sort.md").write_text("Sort the ticket.\n")
    team = il.Team.load(declared)
    assert team.agents["triage"].llm == {"model": "openai:gpt-5-mini", "instructions": "Sort the ticket."}


def test_another_text_is_another_team(declared):
    hashes = set()
    for text in ("Sort the ticket.", "Throw it away."):
        declared.with_name("sort.md").write_text(text)
        hashes.add(il.Team.load(declared).hash)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "sort.md is no file; it is looked for in"),
        (b" \n", "sort.md is empty"),
        (b"\xff\xfe", "sort.md is not UTF-8"),
        (b"x" * (FILE_BYTES_MAX + 1), "sort.md has more than 100,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(declared, content, message):
    if content is not None:
        declared.with_name("sort.md").write_bytes(content)
    with pytest.raises(TeamError) as raised:
        il.Team.load(declared)
    assert raised.value.line == 7
    assert f"agents.triage.llm.instructions_file: {message}" in str(raised.value)


@pytest.fixture
def named(declared, tmp_path):
    """The error of a team whose instructions file has this name; beside the team's folder lies outside.md."""

    def error(name):
        folder = tmp_path / "team"
        folder.mkdir()
        (tmp_path / "outside.md").write_text("Outside.")
        (folder / "link.md").symlink_to("../outside.md")
        (folder / "circle.md").symlink_to("circle.md")
        (folder / "team.yaml").write_text(declared.read_text().replace("sort.md", name.format(outside=tmp_path)))
        with pytest.raises(TeamError) as raised:
            il.Team.load(folder)
        return raised.value

    return error


@pytest.mark.parametrize("name", ["../outside.md", "{outside}/outside.md", "link.md", "team/../../outside.md"])
def test_no_file_is_read_from_outside_of_the_teams_folder(named, name):
    error = named(name)
    assert error.line == 7
    assert "lies outside of" in str(error)
    assert "put it beside the team file" in str(error)


@pytest.mark.parametrize("name", ["circle.md", '"a\\0b"'])
def test_a_name_that_leads_nowhere_is_no_file(named, name):
    assert "is no file" in str(named(name))


def test_a_file_may_lie_below_the_teams_folder_and_be_a_link_in_it(declared):
    text = declared.with_name("texts") / "sort.md"
    text.parent.mkdir()
    text.write_text("Sort the ticket.")
    declared.with_name("sort.md").symlink_to("texts/sort.md")
    assert il.Team.load(declared).agents["triage"].llm["instructions"] == "Sort the ticket."


def test_there_are_not_two_kinds_of_instructions(declared):
    declared.write_text(declared.read_text() + "      instructions: Sort it.\n")
    declared.with_name("sort.md").write_text("Sort the ticket.")
    with pytest.raises(TeamError, match=r"triage\.llm has instructions and instructions_file"):
        il.Team.load(declared)
