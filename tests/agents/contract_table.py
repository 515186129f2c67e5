"""What the adapters were measured to keep, as a Markdown table: `python contract_table.py RESULTS [PAGE]`.

RESULTS is what the contract noted, one JSON object a line. The table is printed, or written into PAGE between the lines
BEGIN and END.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- contract: begin -->", "<!-- contract: end -->"
SIGNS = {"kept": "✓", "broken": "✗", "not applicable": "–"}


def table(results: Iterable[dict[str, Any]]) -> str:
    """A row for each promise, a column for each adapter; below it, why a promise isn't for one."""
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        cells.setdefault((result["promise"], result["lane"]), []).append(result)
    promises, lanes = ([*dict.fromkeys(key[n] for key in cells)] for n in (0, 1))
    lines = [_row(["", *lanes]), _row(["---"] * (len(lanes) + 1))]
    lines += [_row([promise, *(_cell(cells.get((promise, lane), [])) for lane in lanes)]) for promise in promises]
    reasons = {(lane, promise): _reason(cell) for (promise, lane), cell in cells.items() if _outcome(cell) == "–"}
    notes = [f"- {lane}, {promise}: {reason}" for (lane, promise), reason in sorted(reasons.items()) if reason]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _outcome(cell: list[dict[str, Any]]) -> str:
    """Broken where one case is, kept where one is and none is broken."""
    outcomes = {result["outcome"] for result in cell}
    return next((SIGNS[outcome] for outcome in ("broken", "kept", "not applicable") if outcome in outcomes), "")


def _cell(cell: list[dict[str, Any]]) -> str:
    figures = [figure for figure in map(_figure, cell) if figure]
    return " ".join([_outcome(cell), *figures[:1]])


def _figure(result: dict[str, Any]) -> str:
    """What was measured, in a few characters."""
    if "stopped_s" in result:
        return f"{result['stopped_s']:.2f} s of {result['timeout_s']:.2f} s ({result['stops']})"
    if "stall_ms" in result:
        return f"{result['stall_ms']:.0f} ms"
    if "kept_bytes_per_call" in result:
        return f"{result['kept_bytes_per_call']} B a call"
    return f"{result['input_tokens']:,} tokens in {result['calls']} calls" if "calls" in result else ""


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
