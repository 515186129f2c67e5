"""The table at the end."""

from collections.abc import Sequence

from .figures import Figure, Result

HEADER = ("workload", "figure", "result", "reference", "ratio", "goal", "")
VERDICTS = {True: "ok", False: "SHORT", None: ""}


def table(results: Sequence[Result]) -> str:
    """All figures, a line each; below, what could not be measured."""
    rows = [HEADER, *(_row(result, figure) for result in results for figure in result.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths).rstrip())
    notes = [f"{result.workload}: {result.note}" for result in results if result.note]
    return "\n".join([*lines, *notes])


def _row(result: Result, figure: Figure) -> tuple[str, ...]:
    return (
        result.workload,
        figure.name,
        f"{number(figure.value)} {figure.unit}",
        "" if figure.reference is None else f"{number(figure.reference)} ({figure.reference_name})",
        "" if figure.ratio is None else number(figure.ratio),
        "" if figure.goal is None else str(figure.goal),
        VERDICTS[figure.ok],
    )


def number(value: float) -> str:
    """Three digits that count, and no more."""
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
