"""Where a value came from, drawn as a tree: who wrote it, what that step had read, who wrote that."""

from collections.abc import Sequence

import msgspec
from rich.text import Text
from rich.tree import Tree

from interlock.history import Lineage, Origin, Record, settled_line, some

from .paint import MARKS, console, injected
from .paint_run import indented_json
from .text import duration, line, plain, plural

VALUE_CHARS_MAX = 200
VALUES_SHOWN = 8
WRITERS_SHOWN = 100
DEPTH_SHOWN = 12


def show_lineage(run: Record, found: Lineage) -> None:
    """The value, and the tree of those it goes back to."""
    out = console()
    out.print(Text.assemble(("run ", "dim"), (run.run_id, "bold"), "  ", (plain(found.path), "bold")))
    if found.faults:
        out.print(injected(found.faults))
    out.print(indented_json(found.value, out))
    out.print()
    drawing = _Drawing(found, run.events[0].at_us)
    out.print(drawing.tree())
    left = len({*map(_place, found.origins)} - drawing.drawn)
    if left:
        out.print(Text(f"{plural(left, 'writer')} further back left out: add --json for all of them", "dim"))


class _Drawing:
    """A tree in which each writer's reads are drawn once: drawn anew under every reader they would be without end."""

    def __init__(self, found: Lineage, started_us: int) -> None:
        self._found, self._started_us = found, started_us
        # Writers, and in whose place somebody has set what they wrote.
        self.drawn: set[tuple[int, str]] = set()

    def tree(self) -> Tree:
        root = Tree(Text("written by", "bold"), guide_style="dim", highlight=False)
        level: list[tuple[Tree, Sequence[Origin]]] = [(root, self._found.first)]
        # Level by level, so that what is left out of a large tree is what lies furthest back.
        for _ in range(DEPTH_SHOWN):
            level = [deeper for node, origins in level for deeper in self._add(node, origins)]
        return root

    def _add(self, node: Tree, origins: Sequence[Origin]) -> list[tuple[Tree, Sequence[Origin]]]:
        by_writer: dict[tuple[int, str], list[Origin]] = {}
        for origin in origins:
            by_writer.setdefault(_place(origin), []).append(origin)
        deeper: list[tuple[Tree, Sequence[Origin]]] = []
        for writer in sorted(by_writer, reverse=True):
            again = writer in self.drawn
            if not again and len(self.drawn) >= WRITERS_SHOWN:
                continue
            self.drawn.add(writer)
            leads_on = bool(writer[0]) and not writer[1]
            inner = node.add(self._label(by_writer[writer], again=again and leads_on))
            if leads_on and not again:
                deeper.append((inner, self._found.before(by_writer[writer][0])))
        return deeper

    def _label(self, origins: Sequence[Origin], *, again: bool) -> Text:
        origin = origins[0]
        text = Text(no_wrap=True, overflow="ellipsis").append(
            origin.step, MARKS["committed"][1] if origin.writer else "cyan"
        )
        if origin.forked_from:
            text.append(f"  {line(_set_by(origin))}", "dim")
        elif origin.writer:
            when = duration((origin.at_us - self._started_us) / 1e6)
            attempt = f" · attempt {origin.attempt}" if origin.attempt else ""
            text.append(f"  {line(origin.agent)}{attempt} · {when}", "dim")
            text.append(f" · requested by {some(origin.requested_by)}" if origin.requested_by else "", "dim")
            text.append(f" · told by {', '.join(map(line, origin.told_by))}" if origin.told_by else "", "dim")
        text.append("  (its reads are drawn elsewhere)" if again else "", "dim")
        for leaf in origins[:VALUES_SHOWN]:
            text.append(f"\n{plain(leaf.path)} ").append(shortened(leaf.value), "dim")
            text.append(f"\n  {line(settled_line(leaf.settled))}" if leaf.settled else "", "yellow")
            if leaf.run_id:
                text.append(f"\n  came from {plain(leaf.path_there)} of run {leaf.run_id}", "dim")
        left = len(origins) - VALUES_SHOWN
        return text.append(f"\nand {plural(left, 'more path')}" if left > 0 else "", "dim")


def _place(origin: Origin) -> tuple[int, str]:
    return origin.writer, f"{origin.agent} {origin.forked_from}" if origin.forked_from else ""


def _set_by(origin: Origin) -> str:
    """Who has set a value in a fork."""
    if origin.agent:
        return f"set by {origin.agent}, when {origin.forked_from} was forked into this run"
    return f"set in {origin.forked_from}, of which this run is a fork, or before"


def shortened(value: object) -> str:
    """A value as JSON, or as much of it as a line can show."""
    encoded = plain(msgspec.json.encode(value).decode())
    return encoded if len(encoded) <= VALUE_CHARS_MAX else encoded[:VALUE_CHARS_MAX] + " ..."
