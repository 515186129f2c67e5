"""The table at the end, and the line that closes it."""

from collections.abc import Sequence

from .figures import Figure, Result

HEADER = ("workload", "figure", "result", "reference", "ratio", "goal", "")
VERDICTS = {True: "ok", False: "SHORT", None: ""}


def table(results: Sequence[Result]) -> str:
    """All figures, a line each; below, what could not be measured. A column that nothing stands in is left out."""
    rows = [HEADER, *(_row(result, figure) for result in results for figure in result.figures)]
    used = [column for column in range(len(HEADER)) if any(row[column] for row in rows[1:] or rows)]
    rows = [tuple(row[column] for column in used) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(used))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths).rstrip())
    notes = [f"{result.workload}: {result.note}" for result in results if result.note]
    return "\n".join([*lines, *notes])


def closing(results: Sequence[Result]) -> str:
    """How many goals fall short, and which."""
    judged = [(result, figure) for result in results for figure in result.figures if figure.ok is not None]
    if not judged:
        return "No goal was judged."
    short = [f"{result.workload}: {figure.name}" for result, figure in judged if not figure.ok]
    count = f"{len(short)} of {len(judged)} goals {'falls' if len(short) == 1 else 'fall'} short"
    return f"{count}: {', '.join(short)}." if short else f"{count}."


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
