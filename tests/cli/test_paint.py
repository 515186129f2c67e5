"""How results are drawn for people."""

import re
from io import StringIO

import pytest
from rich.console import Console

from interlock.cli import paint_dlq, paint_inbox, paint_lists
from interlock.cli.bar import BatchBar
from interlock.cli.config import Settings
from interlock.cli.paint import marked
from interlock.cli.paint_run import json_lines
from interlock.cli.tally import Tally
from interlock.core import events as e
from interlock.core.budget import BudgetPolicy
from interlock.core.events import AT_US_MAX
from interlock.history import Shortage
from interlock.ports import LetterRow, RunRow, WaitingQuestion


def test_json_that_fits_stands_on_one_line_and_the_rest_is_broken_up():
    value = {"a": [1, 2], "long": {"text": "x" * 20, "list": ["y" * 20, {}]}, "empty": []}
    assert [*json_lines(value, 40)] == [
        "{",
        '  "a": [1, 2],',
        '  "long": {',
        f'    "text": "{"x" * 20}",',
        f'    "list": ["{"y" * 20}", {{}}]',
        "  },",
        '  "empty": []',
        "}",
    ]
    assert [*json_lines({"a": None}, 40)] == ['{"a": null}']


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_long_reason_never_costs_a_run_its_id_or_its_status(width, monkeypatch):
    out = Console(width=width, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_lists, "console", lambda: out)
    ids = [f"1k0t6fvh8fermd6xjm4rza-{n}" for n in (7, 39)]
    rows = [RunRow(i, "parked", "why " * 50, "t", "p", "/a/team.yaml", "", 0, 1, 0) for i in ids]
    paint_lists.show_runs(rows, 2_000_000)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.file.getvalue()).splitlines()
    assert all(len(line) <= width for line in lines)
    for run_id in ids:
        (line,) = [line for line in lines if f"{run_id} " in line]
        assert "? parked" in line
        assert "why why" in line or width == 60


def test_a_run_with_faults_is_marked_beside_its_status(monkeypatch):
    out = Console(width=60, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_lists, "console", lambda: out)
    faults = {"r0": "f" * 64, "r1": ""}
    rows = [RunRow(name, "failed", "why " * 50, "t", "p", "", "", 0, 1, 0, faults[name]) for name in faults]
    paint_lists.show_runs(rows, 2_000_000)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", out.file.getvalue())
    assert re.findall(r"(r\d) +✗ failed( !)?", shown) == [("r0", " !"), ("r1", "")]
    assert shown.splitlines()[-1] == "! faults were injected on purpose"


def test_a_status_that_nobody_knows_is_shown_as_it_is():
    assert marked("redriven").plain == "! redriven"
    assert marked("a\x1b[2J\nb").plain == "! a\\u001b[2J b"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_damaged_row_costs_no_other_run_its_line(terminal, monkeypatch, capsys):
    out = Console(width=200, force_terminal=terminal, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_lists, "console", lambda: out)
    times = (0, AT_US_MAX, -(2**63), 2**63 - 1)
    rows = [RunRow(f"r{n}", "redriven", "", "t", "p", "", "", 0, at_us, at_us) for n, at_us in enumerate(times)]
    paint_lists.show_runs(rows, 2_000_000)
    shown = out.file.getvalue() if terminal else capsys.readouterr().out
    for run_id, started in (("r0", "1970-01-01"), ("r1", "999"), ("r2", f"-{2**63} us"), ("r3", f"{2**63 - 1} us")):
        (line,) = [line for line in shown.splitlines() if f"{run_id} " in line]
        assert "redriven" in line
        assert started in line


def test_large_amounts_are_proposed_in_digits():
    budget = BudgetPolicy(tokens=12_345_678, usd=10_000_000, when_spent="ask")
    short = Shortage("run_budget", "", budget, {"tokens": 12_345_678, "usd": 0.25}, None, ())
    assert paint_inbox.raise_command("r", short) == "inbox approve r --more tokens=1234567 --more usd=0.025"


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_asked_can_be_read_in_the_list(width, monkeypatch):
    out = Console(width=width, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_inbox, "console", lambda: out)
    said = "resolver was not called: agent resolver: its budget is 0.10 USD, of which 0.02 USD are left; consumed: 2"
    one = WaitingQuestion("1k0t6fvh8fermd6xjm4rza", "resolve", 3, said, 1, 2 * 10**9, "t", "/a/team.yaml")
    paint_inbox.show_inbox([(one.run_id, one)], 1, 2_000_000, Settings(".interlock/journal.db"), {})
    shown = re.sub(r"\x1b\[[0-9;]*m", "", out.file.getvalue()).splitlines()
    assert any("its budget is 0.10 USD" in line for line in shown)
    assert all(len(line.rstrip()) <= width for line in shown)
    assert [line.split() for line in shown if line.split()[:1] == ["question"]] == [
        ["question", "asked", "until", *(["text"] if width == 120 else [])]
    ]


def shown_letters(width, rows, monkeypatch):
    out = Console(width=width, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_dlq, "console", lambda: out)
    paint_dlq.show_letters(rows, 2_000_000)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.file.getvalue()).splitlines()


def test_where_there_is_no_room_beside_them_reasons_stand_below_their_letters(monkeypatch):
    fork = "1k0t6fvh8fermd6xjm4rza-9"
    rows = [
        LetterRow("1k0t6fvh8fermd6xjm4rza-7", "classify", "triage", "why " * 50, 12, 1, "", ""),
        LetterRow("1k0t6fvh8fermd6xjm4rza-8", "classify", "triage", "no luck", 3, 1, "", "", fork, 2, outcome="failed"),
    ]
    head, first, why, second, forked = shown_letters(80, rows, monkeypatch)[1:]
    assert head.split() == ["letter", "outcome", "given", "up", "agent", "tries"]
    assert first == "1k0t6fvh8fermd6xjm4rza-7/classify   ✗ waits    just now   triage      12"
    assert why.startswith("  why why")
    assert why.endswith("…")
    assert len(why) <= 80
    assert second == "1k0t6fvh8fermd6xjm4rza-8/classify   ✗ failed   just now   triage       3"
    assert forked == f"  redriven in {fork}: no luck"
    wide = shown_letters(200, rows, monkeypatch)
    assert any(f"✗ failed in {fork}" in line for line in wide)


def test_of_columns_that_do_not_fit_the_first_are_shown(monkeypatch):
    rows = [LetterRow("r" * 40, "step", "triage", "", 12, 1, "", "")]
    lines = shown_letters(60, rows, monkeypatch)
    assert lines[-1] == f"{'r' * 40}/step   ✗ waits"


def test_a_bar_says_until_when_the_first_step_waits():
    tally = Tally(2)
    tally.happened("one", [e.CallHeld(1, "s", "ann", "rate", "", 9_000_000), e.CallHeld(1, "t", "ann", "rate", "", 0)])
    assert tally.until_us == 9_000_000
    said = BatchBar(tally)._progress.columns[2].render(None).plain
    assert re.fullmatch(r"✓ 0  ↻ 2 held until (\d\d-\d\d )?\d\d:\d\d:\d\d", said)
    tally.happened("one", [e.RunCancelled(2, "ann")])
    assert tally.until_us == 0
