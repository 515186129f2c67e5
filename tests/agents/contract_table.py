"""What the adapters were measured to keep, as Markdown tables: `python contract_table.py RESULTS [PAGE]`.

RESULTS is what the contract noted, one JSON object a line. The table is printed, or written into PAGE between the lines
BEGIN and END.
"""

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- contract: begin -->", "<!-- contract: end -->"
# By promise and lane, what the contract noted.
Cells = dict[tuple[str, str], list[dict[str, Any]]]
SIGNS = {"kept": "✓", "broken": "✗", "not applicable": "–"}


def table(results: Iterable[dict[str, Any]]) -> str:
    """A row of figures for each adapter, then one for each promise; below, why a promise isn't for an adapter."""
    cells: Cells = {}
    for result in results:
        cells.setdefault((result["promise"], result["lane"]), []).append(result)
    promises, lanes = ([*dict.fromkeys(key[n] for key in cells)] for n in (0, 1))
    measured = [[lane, *(_figure(cells, lane, tell) for tell in FIGURES.values())] for lane in lanes]
    kept = [[promise, *(_outcome(cells.get((promise, lane), [])) for lane in lanes)] for promise in promises]
    notes: dict[str, list[str]] = {}
    for (promise, lane), cell in cells.items():
        if _outcome(cell) == SIGNS["not applicable"] and (reason := _reason(cell)):
            notes.setdefault(f"{promise}: {reason}", []).append(lane)
    lines = [*_rows(["", *FIGURES], measured), "", *_rows(["", *lanes], kept), ""]
    return "\n".join([*lines, *(f"- {note}: {', '.join(who)}" for note, who in notes.items())]).rstrip() + "\n"


def _rows(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _outcome(cell: list[dict[str, Any]]) -> str:
    """Broken where one case is, kept where one is and none is broken."""
    outcomes = {result["outcome"] for result in cell}
    return next((SIGNS[outcome] for outcome in ("broken", "kept", "not applicable") if outcome in outcomes), "")


FIGURES = {
    "cancelled after": lambda result: f"{result['timeout_s']:.2f} s",
    "work stopped after": lambda result: f"{result['stopped_s']:.2f} s ({result['stops']})",
    "counted right": lambda result: f"{result['input_tokens']:,} tokens of {result['calls']} calls at once",
    "loop held up": lambda result: f"{result['stall_ms']:.0f} ms",
    "kept of a call": lambda result: f"{max(0, result['kept_bytes_per_call'])} B",
}


def _figure(cells: Cells, lane: str, tell: Callable[[dict[str, Any]], str]) -> str:
    """The first figure of this kind that was measured of an adapter."""
    for (_, owner), cell in cells.items():
        for result in cell if owner == lane else ():
            with suppress(KeyError):
                return tell(result)
    return ""


def _reason(cell: list[dict[str, Any]]) -> str:
    return next((result["reason"] for result in cell if result.get("reason")), "")


def written_into(page: str, text: str) -> str:
    """The page with the table in its place. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{begin}\n{text}{end}{after}"


def main(results: str, page: str = "") -> None:
    """Print the table, or write it into a page."""
    lines = Path(results).read_text("utf-8").splitlines()
    text = table(map(json.loads, lines))
    if page:
        Path(page).write_text(written_into(Path(page).read_text("utf-8"), text), "utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
