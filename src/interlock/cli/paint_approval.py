"""The steps of a plan that waits for a person's approval, drawn."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from interlock.core.step import Condition
from interlock.errors import cut_short

from .paint import console
from .paint_run import INDENT
from .text import line, plain, plural

STEPS_SHOWN_MAX = 50
CHARS_MAX = 200
_WORDS = {"reads": "reads", "writes": "writes", "for_each": "for each of", "samples": "samples:", "when": "only if"}


def show_steps(steps: Sequence[dict[str, Any]]) -> None:
    """Print them."""
    for part in drawn(steps):
        console().print(part)


def drawn(steps: Sequence[dict[str, Any]]) -> Iterator[Padding | Text]:
    """The steps as a table: what is hostile in them is shown as it is, on one line and cut."""
    if not steps:
        return
    yield Text("\nthe plan", "bold")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for heading in ("step", "who does what", "after", "how"):
        table.add_column(heading, overflow="fold")
    for step in steps[:STEPS_SHOWN_MAX]:
        who = f"{step['agent']}.{step['action']}" if step.get("agent") else "waits"
        after = ", ".join(map(str, step.get("needs", ())))
        table.add_row(*map(Text, (_short(step["id"]), _short(who), _short(after), "; ".join(_details(step)))))
    yield Padding(table, (0, 0, 0, INDENT), expand=False)
    if len(steps) > STEPS_SHOWN_MAX:
        yield Text(f"  and {plural(len(steps) - STEPS_SHOWN_MAX, 'more step')}: --json shows all", "dim")


def _details(step: dict[str, Any]) -> Iterator[str]:
    for key, words in _WORDS.items():
        if value := step.get(key):
            yield f"{words} {_value(value)}"
    if text := step.get("instructions"):
        yield f"told: {_short(text)}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _short(str(msgspec.convert(value, Condition)))
    return _short(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _short(text: str) -> str:
    return cut_short(line(plain(str(text))), CHARS_MAX)
