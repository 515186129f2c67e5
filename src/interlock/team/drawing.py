"""A plan as a graph, in the languages of Mermaid and of Graphviz. Nothing that a team file says is read as theirs.

Where several steps need the same several, a small circle stands between them: a wide phase after a wide phase would be
all lines. A step of a nested team is a frame, in which that team's plan stands.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import msgspec

from interlock.errors import cut_short

from .outline import Outline, StepOutline

STEPS_SHOWN_MAX = 200
# More than these, Mermaid refuses to draw.
EDGES_SHOWN_MAX = 500
LABEL_CHARS_MAX = 80
INDENT = "    "
_PLAIN = frozenset(" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:=()/!'+")

# request: a branch, which runs where somebody asks for it. wait: a step without an agent. more: what is left out.
Shape = Literal["step", "copies", "branch", "wait", "junction", "more"]


class Node(msgspec.Struct, frozen=True):
    """A step, or a junction. lines: what is written into it. inner: the plan of the nested team that it is."""

    id: str
    shape: Shape
    lines: tuple[str, ...] = ()
    inner: "Graph | None" = None


class Edge(msgspec.Struct, frozen=True):
    """One is needed by the other. label: what that hangs on. requested: only where it is asked for."""

    start: str
    end: str
    label: str = ""
    requested: bool = False


class Graph(msgspec.Struct, frozen=True):
    """What is drawn. Node ids are ours."""

    nodes: list[Node]
    edges: list[Edge]


class _Room:
    """How much more may be drawn."""

    def __init__(self) -> None:
        self.steps, self.edges = STEPS_SHOWN_MAX, EDGES_SHOWN_MAX


def graph_of(outline: Outline) -> Graph:
    """The graph of a plan; of a large one, the first steps, and how many are left out."""
    return _graph(outline, "", _Room())


def _graph(outline: Outline, prefix: str, room: _Room) -> Graph:
    """The graph of a plan. prefix: that of its ids."""
    shown = outline.steps[: room.steps]
    room.steps -= len(shown)
    names = {step.id: f"{prefix}s{number}" for number, step in enumerate(shown, 1)}
    alike = Counter(step.needs for step in shown)
    nodes, edges = list[Node](), list[Edge]()
    junctions: dict[tuple[str, ...], str] = {}
    for step in shown:
        starts: tuple[str, ...] = tuple(names[need] for need in step.needs)
        if len(step.needs) > 1 and alike[step.needs] > 1:
            if step.needs not in junctions:
                junctions[step.needs] = f"{prefix}j{len(junctions) + 1}"
                nodes.append(Node(junctions[step.needs], "junction"))
                edges += [Edge(start, junctions[step.needs]) for start in starts]
            starts = (junctions[step.needs],)
        nodes.append(Node(names[step.id], _shape(step), tuple(_lines(step))))
        edges += _edges(step, starts, names)
    if outline.decides is not None:
        _draw_decisions(outline, nodes, edges, names, prefix)
    drawn = edges[: room.edges]
    room.edges -= len(drawn)
    left = {"steps": len(outline.steps) - len(shown), "arrows": len(edges) - len(drawn)}
    if any(left.values()):
        more = tuple(f"and {number:,} more {what}" for what, number in left.items() if number)
        nodes.append(Node(f"{prefix}more", "more", more))
    inner = {names[step.id]: next(iter(step.nested.values())) for step in shown if step.nested}
    return Graph([_framed(node, inner.get(node.id), room) for node in nodes], drawn)


def _framed(node: Node, plan: Outline | None, room: _Room) -> Node:
    """A node, with the plan of its team inside; where there is no room left for that, without."""
    if plan is None or not room.steps:
        return node
    return msgspec.structs.replace(node, inner=_graph(plan, f"{node.id}_", room))


def _draw_decisions(outline: Outline, nodes: list[Node], edges: list[Edge], names: dict[str, str], prefix: str) -> None:
    """Who decides comes after all that is there, and again after what was added."""
    decides = outline.decides
    assert decides is not None
    needed = {need for step in outline.steps for need in step.needs}
    times = "once" if decides.times == 1 else f"{decides.times:,} times at most"
    who, added = f"{prefix}d1", f"{prefix}d2"
    nodes.append(Node(who, "step", ("decides", " or ".join(decides.agents), times)))
    nodes.append(Node(added, "copies", ("what is added", f"{decides.steps:,} steps at most")))
    edges += [Edge(names[step.id], who) for step in outline.steps if step.id in names and step.id not in needed]
    edges.append(Edge(who, added, "adds", requested=True))
    if not decides.before:
        edges.append(Edge(added, who))


def _shape(step: StepOutline) -> Shape:
    if step.requested_by:
        return "branch"
    if step.waits:
        return "wait"
    return "copies" if step.for_each is not None or step.samples else "step"


def _lines(step: StepOutline) -> Iterator[str]:
    yield step.id
    if step.agents or not step.reconciles:
        yield step.waits or " or ".join((*step.agents, *(["a person"] if step.asks else [])))
    if step.reconciles:
        yield step.reconciles
    if step.for_each is not None:
        yield f"for each {step.batch:,} of {step.for_each}" if step.batch else f"for each of {step.for_each}"
        if step.width:
            yield f"{step.width:,} at a time"
    if step.samples:
        yield f"{step.samples} samples"
    if step.when and not step.needs:
        yield f"if {step.when}"


def _edges(step: StepOutline, starts: tuple[str, ...], names: dict[str, str]) -> Iterator[Edge]:
    """The lines that lead to a step: one from whoever may request it says so, the others say on what it hangs."""
    label = f"if {step.when}" if step.when else ""
    asked: dict[str, list[str]] = {}
    for name, action in step.requested_by:
        asked.setdefault(names[name], []).append(action)
    for start, actions in asked.items():
        yield Edge(start, names[step.id], f"requests {' or '.join(actions)}", requested=True)
    for start in starts:
        if start not in asked:
            yield Edge(start, names[step.id], label)


# --- Mermaid ---


_MERMAID: dict[Shape, tuple[str, str]] = {
    "step": ("[", "]"),
    "copies": ("[[", "]]"),
    "branch": ("(", ")"),
    "wait": ("{{", "}}"),
    "junction": ("((", "))"),
    "more": (">", "]"),
}


def mermaid(outline: Outline) -> str:
    """The plan as a Mermaid flowchart."""
    return "\n".join(["flowchart TD", *_mermaid(graph_of(outline), INDENT)]) + "\n"


def _mermaid(graph: Graph, indent: str) -> Iterator[str]:
    for node in graph.nodes:
        opens, closes = _MERMAID[node.shape] if node.inner is None else ("[", "]")
        text = "<br/>".join(_escaped(line, _entity) for line in node.lines) or " "
        yield f'{indent}{"subgraph " if node.inner else ""}{node.id}{opens}"{text}"{closes}'
        if node.inner is not None:
            yield from _mermaid(node.inner, indent + INDENT)
            yield f"{indent}end"
    for edge in graph.edges:
        arrow = "-.->" if edge.requested else "-->"
        label = f'|"{_escaped(edge.label, _entity)}"|' if edge.label else ""
        yield f"{indent}{edge.start} {arrow}{label} {edge.end}"


def _entity(character: str) -> str:
    return f"#{ord(character)};"


# --- Graphviz ---

_DOT: dict[Shape, str] = {
    "step": "shape=box",
    "copies": "shape=box, peripheries=2",
    "branch": 'shape=box, style="rounded"',
    "wait": "shape=hexagon",
    "junction": "shape=point",
    "more": "shape=plaintext",
}


def dot(outline: Outline) -> str:
    """The plan in Graphviz' language."""
    graph = graph_of(outline)
    lines = ["digraph plan {", '    node [fontname="sans-serif"];', '    edge [fontname="sans-serif"];']
    if any(node.inner for node in graph.nodes):
        lines.append("    compound=true;")
    return "\n".join([*lines, *_dot(graph, INDENT), "}"]) + "\n"


def _dot(graph: Graph, indent: str) -> Iterator[str]:
    frames = {node.id: node.inner for node in graph.nodes if node.inner is not None}
    for node in graph.nodes:
        text = "\\n".join(_escaped(line, _html) for line in node.lines)
        if node.inner is None:
            yield f'{indent}{node.id} [{_DOT[node.shape]}, label="{text}"];'
            continue
        yield f"{indent}subgraph cluster_{node.id} {{"
        yield f'{indent}{INDENT}label="{text}"; fontname="sans-serif";'
        yield from _dot(node.inner, indent + INDENT)
        yield f"{indent}}}"
    for edge in graph.edges:
        style = ", style=dashed" if edge.requested else ""
        head = f", lhead=cluster_{edge.end}" if edge.end in frames else ""
        tail = f", ltail=cluster_{edge.start}" if edge.start in frames else ""
        start, end = _anchor(edge.start, frames, -1), _anchor(edge.end, frames, 0)
        yield f'{indent}{start} -> {end} [label="{_escaped(edge.label, _html)}"{style}{head}{tail}];'


def _anchor(name: str, frames: Mapping[str, Graph], which: int) -> str:
    """A node that an arrow can lead to: Graphviz draws none to a frame, but cuts one off at it."""
    while name in frames:
        graph = frames[name]
        frames = {node.id: node.inner for node in graph.nodes if node.inner is not None}
        name = graph.nodes[which].id
    return name


def _html(character: str) -> str:
    return f"&#{ord(character)};"


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    """A text of somebody else, of bounded length, in which nothing means anything but itself."""
    shown = cut_short(" ".join(text.split()), LABEL_CHARS_MAX)
    return "".join(character if character in _PLAIN else escape(character) for character in shown)
