"""How values are written for people."""

import os

import pytest

from interlock.cli import text


def test_nothing_controls_the_terminal():
    hostile = "a\x1b]0;owned\x07b\r\x9b2J\u202ec\td\n"
    assert text.plain(hostile) == "a\\u001b]0;owned\\u0007b\\u000d\\u009b2J\\u202ec\td\n"
    assert text.line("a\n  b\x00") == "a b\\u0000"
    assert [text.first_line(one) for one in ("\n a\x1b b\nc", "a ", "")] == ["a\\u001b b ...", "a", ""]


def test_nothing_is_hidden_from_who_decides():
    hidden = "DE89\u200b37 pay\u00ad \ufeff\u2060 \u3164 \U000e0070\U000e0061 a\U000e0101 b\u2028c"
    assert text.plain(hidden) == (
        "DE89\\u200b37 pay\\u00ad \\ufeff\\u2060 \\u3164 \\udb40\\udc70\\udb40\\udc61 a\\udb40\\udd01 b\\u2028c"
    )
    smuggled = "a\u034f\ufe00\ufe0d \ufff0\ufff9x\ufffb \U0001d173 \U000e0080\U000e0fff"
    assert not {*text.plain(smuggled)} & {*smuggled.replace(" ", "").replace("a", "").replace("x", "")}
    joined = "\U0001f469\u200d\U0001f4bb \u2764\ufe0f نمی\u200cخواهم"
    assert text.plain(joined) == joined


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 ms"), (0.0124, "12 ms"), (3.44, "3.4 s"), (125, "2 m 05 s"), (12_000, "3 h 20 m"), (360_000, "4 d 4 h")],
)
def test_durations(seconds, shown):
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-5, "just now"), (1, "just now"), (40, "40 s ago"), (200, "3 m ago"), (9_000, "2 h ago")]
)
def test_times_past(seconds, shown):
    assert text.ago(0, seconds * 1_000_000) == shown


def test_numbers():
    assert [text.count(n) for n in (0, 9_876, 12_345, 4_500_000)] == ["0", "9,876", "12.3 k", "4.5 M"]
    assert [text.money(n) for n in (None, 0.0, 0.00312, 12.345)] == ["unknown", "$0.00", "$0.0031", "$12.35"]
    assert [text.plural(1, "run"), text.plural(2, "run"), text.plural(0, "batch")] == ["1 run", "2 runs", "0 batches"]


def test_counts_by_name():
    assert text.counted({"refused": 2, "rate_limited": 1_200, "a\nb": 1}) == "1,200 rate limited, 2 refused, 1 a b"


def test_a_team_goes_by_its_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert text.shown_team(str(tmp_path / "desk" / "team.yaml")) == "desk"
    assert text.shown_team(str(tmp_path / "desk" / "other.yaml")) == "desk/other.yaml"
    assert text.shown_team(str(tmp_path / "team.yaml")) == "team.yaml"
    assert text.shown_team("") == "(Python)"


def test_lines_break_between_words_on_a_terminal(monkeypatch):
    class Terminal:
        def __init__(self, is_one):
            self.isatty = lambda: is_one

    monkeypatch.setattr(text.shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    told = f"error: a message that is too long for one line /a/{'path' * 10}\n  fix: mend it"
    assert text.wrapped(told, Terminal(False)) == told
    assert text.wrapped(told, Terminal(True)).split("\n") == [
        "error: a message that is too long for",
        "  one line",
        f"  /a/{'path' * 10}",
        "  fix: mend it",
    ]
