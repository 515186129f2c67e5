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


def test_there_are_not_two_kinds_of_instructions(declared):
    declared.write_text(declared.read_text() + "      instructions: Sort it.\n")
    declared.with_name("sort.md").write_text("Sort the ticket.")
    with pytest.raises(TeamError, match=r"triage\.llm has instructions and instructions_file"):
        il.Team.load(declared)
