"""Where two runs part, drawn: the root first, then all that is otherwise."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from interlock.core.values import ABSENT
from interlock.history import Contrast, Difference, Divergence

from .paint import MARKS, console, injected, marked
from .paint_lineage import shortened
from .paint_replay import named
from .paint_run import INDENT
from .text import line, plain, plural

ROWS_SHOWN = 40
TEAM_LINES_SHOWN = 10
_A, _B = "red", "green"
_WHY = {
    "answer": "same input, different answer",
    "view": "it was shown something else",
    "job": "it was declared otherwise",
    "state": "it came to another state",
    "only": "only one run has it",
}


def show_difference(found: Difference, team: Sequence[str]) -> None:
    """Two runs, and where they part."""
    out = console()
    sides = zip("ab", (_A, _B), found.runs, found.statuses, found.faults, strict=True)
    for name, style, run_id, status, faults in sides:
        out.print(Text.assemble((f"{name} ", style), (run_id, "bold"), "  ", marked(status)))
        if faults:
            out.print(_row(injected(faults)))
    out.print(Text("the same team" if found.same_team else "two versions of the team, or two teams", "dim"))
    for change in team[:TEAM_LINES_SHOWN]:
        out.print(Text(f"  {line(change)}", "dim"))
    if len(team) > TEAM_LINES_SHOWN:
        out.print(Text(f"  and {plural(len(team) - TEAM_LINES_SHOWN, 'more change')}", "dim"))
    if found.equal:
        out.print(Text(f"\n{MARKS['succeeded'][0]} no difference: request, views, answers and context", "green"))
        return
    out.print(Text("\nthey part here", "bold"))
    _root(out, found)
    _section(out, "other steps", [_of_step(step) for step in found.steps if step is not found.root])
    _section(out, "request", [_sides(contrast) for contrast in found.request if contrast is not found.root])
    at_first = {contrast.path for contrast in found.request}
    _section(
        out, "context at the end", [_sides(contrast) for contrast in found.context if contrast.path not in at_first]
    )


def _root(out: Console, found: Difference) -> None:
    root = found.root
    mark, style = MARKS["failed"]
    if root is None:
        out.print(_row(Text(f"{mark} only in how they ended", style)))
    elif isinstance(root, Contrast):
        out.print(_row(Text.assemble((f"{mark} the request", style), "  they were asked for different things")))
        out.print(_row(*_sides(root), indent=2 * INDENT))
    else:
        attempt = f", attempt {root.attempt}" if root.attempt else ""
        out.print(_row(Text.assemble((f"{mark} step {plain(root.step)}{attempt}", style), f"  {_WHY[root.kind]}")))
        for contrast in root.contrasts[:ROWS_SHOWN]:
            out.print(_row(*_sides(contrast), indent=2 * INDENT))


def _sides(contrast: Contrast) -> list[Text]:
    """A path on a line of its own, and below it what either run has there."""
    name = contrast.path if contrast.part in {"request", "context", "writes", "view"} else f"({contrast.path})"
    return [Text(plain(name)), _side("a", _A, contrast.a), _side("b", _B, contrast.b)]


def _side(name: str, style: str, value: Any) -> Text:
    shown = ("nothing", "dim") if value is ABSENT else (shortened(value), "")
    return Text.assemble((f"  {name} ", style), shown)


def _of_step(step: Divergence) -> list[Text]:
    mark, style = MARKS["failed"] if step.kind == "answer" else MARKS["waiting"]
    text = Text.assemble((f"{mark} {plain(step.step)}", style), f"  {_WHY[step.kind]}  ")
    if step.kind in {"state", "only"}:
        return [text.append("; ".join(map(_apart, step.contrasts)), "dim")]
    return [text.append(named([contrast.path for contrast in step.contrasts]), "dim")]


def _apart(contrast: Contrast) -> str:
    sides = ("no such step" if side is ABSENT else str(side).replace("_", " ") for side in (contrast.a, contrast.b))
    return f"{contrast.path} {' / '.join(sides)}"


def _section(out: Console, title: str, parts: Sequence[Sequence[Text]]) -> None:
    if not parts:
        return
    out.print(Text(f"\n{title}", "bold"))
    shown = parts[:ROWS_SHOWN] if out.is_terminal else parts
    for part in shown:
        out.print(_row(*part))
    if len(parts) > len(shown):
        out.print(Text(f"  and {len(parts) - len(shown):,} more: add --json for all of them", "dim"))


def _row(*lines: Text, indent: int = INDENT) -> Padding:
    """Lines that are cut, not wrapped: the whole values are in --json."""
    for text in lines:
        text.no_wrap, text.overflow = True, "ellipsis"
    return Padding(Group(*lines), (0, 0, 0, indent), expand=False)
