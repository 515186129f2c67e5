"""A setting comes from the flag, then the environment, then interlock.toml, then the default."""

import pytest

from interlock.cli import config
from interlock.errors import InputError, JournalError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_place_yields_to_the_one_before(folder, monkeypatch):
    assert config.settings() == config.Settings(".interlock/journal.db")
    (folder / "interlock.toml").write_text('journal = "file.db"\nconcurrency = 3\n')
    assert config.settings() == config.Settings("file.db", 3)
    monkeypatch.setenv("INTERLOCK_JOURNAL", "environment.db")
    monkeypatch.setenv("INTERLOCK_CONCURRENCY", " 4 ")
    assert config.settings() == config.Settings("environment.db", 4)
    assert config.settings("flag.db", 5) == config.Settings("flag.db", 5, " --journal flag.db")


def test_a_follow_up_command_repeats_the_flag(folder):
    assert config.settings("my runs.db").command("resume x") == "interlock resume x --journal 'my runs.db'"
    assert config.settings().command("resume x") == "interlock resume x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("journal = 3", "interlock.toml: journal is 3; write a text"),
        ("concurrency = true", "interlock.toml: concurrency is True; write a number"),
        ("concurrency = 0", "interlock.toml: concurrency is 0; write a number from 1 to 10,000"),
        ("concurency = 1", "there is no setting concurency; did you mean concurrency?; known: journal, concurrency"),
        ("journal =", "interlock.toml can't be read: "),
    ],
)
def test_a_bad_file_is_named_with_the_mend(folder, text, message):
    (folder / "interlock.toml").write_text(text)
    with pytest.raises(InputError) as raised:
        config.settings()
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", "10001", "²"])
def test_a_bad_variable_is_named_with_the_mend(folder, monkeypatch, text):
    monkeypatch.setenv("INTERLOCK_CONCURRENCY", text)
    with pytest.raises(InputError, match=r"INTERLOCK_CONCURRENCY is .*; write a number from 1 to 10,000"):
        config.settings()


def test_reading_makes_no_journal(folder):
    for name, message in (("a/b.db", "there is no journal a/b.db"), (":memory:", "ends with its process")):
        with pytest.raises(JournalError, match=message):
            _ = config.settings(name).existing
    assert [*folder.iterdir()] == []


def test_a_duration_has_a_unit():
    assert config.seconds("1.5m") == 90
    with pytest.raises(InputError, match=r"--grace: '10' is not a duration; write a number and a unit"):
        config.seconds("10")
