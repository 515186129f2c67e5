"""How results are drawn for people."""

import re
from io import StringIO

import pytest
from rich.console import Console

from interlock.cli import paint_lists
from interlock.cli.paint import marked
from interlock.cli.paint_run import json_lines
from interlock.core.events import AT_US_MAX
from interlock.ports import RunRow


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
