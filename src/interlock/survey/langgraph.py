"""Reads a graph of LangGraph: its nodes, edges and channels as objects, and the functions of its nodes as source.

No node is called. LangGraph is imported with this module, which is imported where a graph is read.
"""

import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from langchain_core.runnables import Runnable
from langgraph.channels import AnyValue, EphemeralValue, LastValue, LastValueAfterFinish, Topic, UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END as LAST
from langgraph.graph import START as FIRST
from langgraph.graph import StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from interlock.agents.langgraph.threads import in_threads
from interlock.core import paths
from interlock.errors import InputError

from . import merging, source
from .definition import named
from .parts import TOOLS_MAX, asks, function_of, plain, retries, summed, timeout_ms, tools_in
from .source import Reading
from .system import (
    EDGES_MAX,
    END,
    KEYS_MAX,
    NAME_CHARS_MAX,
    START,
    STEPS_MAX,
    Edge,
    Finding,
    Key,
    Merging,
    Route,
    Sign,
    Step,
    System,
    Worker,
    ids_of,
    listed,
    shown,
)

ROOT = "__root__"
FRAMEWORKS = ("langchain", "langgraph")
FOREIGN = "what it reads and writes, as it is of the framework"
MODULE_NAMES_MAX = 10_000


def system_of(found: Any, reference: str, folder: Path, module: Mapping[str, Any]) -> System:
    """The system that a graph is. module: the names of the module that it comes from. Raises InputError."""
    if isinstance(found, Pregel) and not hasattr(found, "builder"):
        fix = f"declare it as one agent, langgraph: {reference}, or name a graph of nodes"
        raise InputError(f"{reference} is an @entrypoint: what it runs is known to its code alone", fix=fix)
    if not isinstance(found, Pregel | StateGraph):
        fix = "name a graph, or a function without arguments that makes one"
        raise InputError(f"{reference} is no graph of LangGraph: {type(found).__name__}", fix=fix)
    return _Graph(found, reference, folder, module).system()


class _Graph:
    """One graph under reading."""

    def __init__(self, found: Any, reference: str, folder: Path, module: Mapping[str, Any]) -> None:
        self._compiled = found if isinstance(found, Pregel) else None
        self._builder: Any = getattr(found, "builder", found)
        self._reference, self._folder = reference, folder
        self._names_in_module = {id(value): name for name, value in list(module.items())[:MODULE_NAMES_MAX]}
        handlers = {name for name, spec in self._builder.nodes.items() if spec.is_error_handler}
        self._specs: dict[str, Any] = {n: spec for n, spec in self._builder.nodes.items() if n not in handlers}
        self._channels: dict[str, Any] = self._builder.channels
        self._check()
        self._ids, self._findings = ids_of(self._specs, "node")
        self._ids |= {FIRST: START, LAST: END}
        self._paths = {name: paths.join(("state" if name == ROOT else name,)) for name in self._channels}
        self._keys = frozenset(self._channels)
        self._read = {name: self._reading(spec) for name, spec in self._specs.items()}
        self._names = {id(spec): self._read[name].names for name, spec in self._specs.items()}
        self._edges = [*self._found_edges()]
        if len(self._edges) > EDGES_MAX:
            raise InputError(
                f"{reference} has {len(self._edges):,} edges; {EDGES_MAX:,} are read", fix="audit its parts"
            )
        self._stops = self._stopped_before()
        self._held = {name: self._tools(spec) for name, spec in self._specs.items()}
        self._leads = {(edge.source, edge.target) for edge in self._edges}
        self._tool_nodes = [name for name, spec in self._specs.items() if isinstance(spec.runnable, ToolNode)]

    def _check(self) -> None:
        for number, most, what in (
            (len(self._specs), STEPS_MAX, "nodes"),
            (len(self._channels), KEYS_MAX, "keys"),
            (len(self._builder.edges), EDGES_MAX, "edges"),
        ):
            if number > most:
                raise InputError(f"{self._reference} has {number:,} {what}; {most:,} are read", fix="audit its parts")
        if not self._specs:
            raise InputError(f"{self._reference} has no nodes", fix="add some, and name it again")
        odd = (name for name in self._channels if len(name) > NAME_CHARS_MAX or not name.isprintable())
        if name := next(odd, None):
            raise InputError(f"the key {shown(name)} of the state is no name", fix="rename it, as a variable is named")

    def system(self) -> System:
        """All of it."""
        workers = [self._worker(name, spec) for name, spec in self._specs.items()]
        steps = [self._step(name, spec) for name, spec in self._specs.items()]
        self._findings += [*self._of_the_whole(), *(one for name in self._specs for one in self._of_node(name))]
        keys = {self._paths[name]: self._key(name) for name in self._channels}
        limit = (getattr(self._compiled, "config", None) or {}).get("recursion_limit")
        bound = f"its recursion_limit of {limit}" if limit else "LangGraph's recursion limit, 10,007 if nobody sets it"
        return System("langgraph", self._reference, keys, workers, steps, self._edges, self._findings, bound)

    # - nodes -

    def _reading(self, spec: Any) -> Reading:
        runnable = spec.runnable
        keys = frozenset(self._schema(spec))
        if isinstance(runnable, ToolNode):
            messages = frozenset({getattr(runnable, "_messages_key", "messages")}) & self._keys
            return Reading(where="", told="a ToolNode", reads=messages, writes=messages)
        if isinstance(runnable, Pregel):
            return self._of_graph(runnable)
        function = function_of(runnable)
        if function is None:
            kind = type(runnable).__name__
            return Reading(told=f"a {kind}", why=[f"what it reads and writes, as a {kind} has no source"])
        found = source.read(function, self._folder, keys)
        if str(getattr(function, "__module__", "")).startswith(FRAMEWORKS):  # what it does is not the user's to mend
            return Reading(told=f"{found.told} of {function.__module__}", why=[FOREIGN], names=found.names)
        return found

    def _of_graph(self, graph: Any) -> Reading:
        """A graph as a node: the keys that it shares."""
        builder = getattr(graph, "builder", None)
        if builder is None:
            return Reading(told="an @entrypoint", why=["what it reads and writes, as an @entrypoint is code alone"])
        reads, writes = (
            frozenset(builder.schemas.get(schema, ())) & self._keys
            for schema in (builder.input_schema, builder.output_schema)
        )
        return Reading(told="a graph of its own", reads=reads, writes=writes)

    def _schema(self, spec: Any) -> list[str]:
        """The keys that a node is handed."""
        return [key for key in self._builder.schemas.get(spec.input_schema, self._channels) if key in self._channels]

    def _worker(self, name: str, spec: Any) -> Worker:
        found = self._read[name]
        own = [tool for tool in self._held[name] if not self._is_anothers(name, tool)]
        tools = dict.fromkeys(shown(tool).strip() or "tool" for tool in own)
        told = found.told + (", whose tools are those of the agent before it" if self._held[name] and not own else "")
        return Worker(
            self._ids[name],
            told,
            self._where(name),
            tuple(tools),
            self._target(spec),
            timeout_ms(spec) or round((getattr(self._compiled, "step_timeout", None) or 0) * 1_000),
            retries(spec),
        )

    def _target(self, spec: Any) -> tuple[str, str]:
        """Where a node is a runnable with a name in the module, it can be an agent as it is."""
        module = self._reference.partition(":")[0]
        name = self._names_in_module.get(id(spec.runnable))
        return ("langgraph", f"{module}:{name}") if name and isinstance(spec.runnable, Runnable) else ("", "")

    def _where(self, name: str) -> str:
        return self._read[name].where or shown(name)

    def _step(self, name: str, spec: Any) -> Step:
        found = self._read[name]
        reads = self._schema(spec) if found.reads is None else [key for key in self._channels if key in found.reads]
        writes = [key for key in self._channels if key in (found.writes or ())]
        return Step(
            self._ids[name],
            self._ids[name],
            self._where(name),
            tuple(self._paths[key] for key in reads),
            tuple(self._paths[key] for key in writes),
            tuple(found.why),
            tuple(self._effects(name)),
            found.asks or name in self._stops or any(asks(graph) for graph in self._graphs(spec)),
            spec.defer,
        )

    def _is_anothers(self, name: str, tool: str) -> bool:
        """Whether a ToolNode only performs what a node before it has its model choose."""
        own = self._ids[name]
        before = [other for other in self._specs if (self._ids[other], own) in self._leads and other != name]
        return name in self._tool_nodes and any(tool in self._held[other] for other in before)

    def _effects(self, name: str) -> Iterator[Sign]:
        """What it does out there; a tool that a ToolNode after it performs is done there."""
        yield from self._read[name].effects
        after = [other for other in self._tool_nodes if (self._ids[name], self._ids[other]) in self._leads]
        elsewhere = {tool for other in after for tool in self._held[other] if other != name}
        acting = (tool for tool in self._held[name] if source.acts(tool) and tool not in elsewhere)
        yield from (Sign(f"tool {shown(tool)}", self._where(name)) for tool in acting)

    def _graphs(self, spec: Any) -> Iterator[Any]:
        """The graphs that a node is, or calls by their names."""
        things = [spec.runnable, *self._named(spec).values()]
        yield from (thing for thing in things if isinstance(thing, Pregel))

    def _named(self, spec: Any) -> Mapping[str, Any]:
        """What the names in a node's function stand for."""
        function = None if isinstance(spec.runnable, ToolNode) else function_of(spec.runnable)
        return {} if function is None else named(function, self._names[id(spec)])

    def _tools(self, spec: Any) -> list[str]:
        found = [spec.runnable, *self._named(spec).values()]
        return list(dict.fromkeys(name for thing in found for name in tools_in(thing)))[:TOOLS_MAX]

    def _stopped_before(self) -> set[str]:
        """The nodes before which the graph stops for a person: also those that come after one where it stops."""
        before, after = (
            {*self._specs} if names == "*" else {*names}
            for names in (
                getattr(self._compiled, attribute, None) or ()
                for attribute in ("interrupt_before_nodes", "interrupt_after_nodes")
            )
        )
        sources = {self._ids[name] for name in after if name in self._ids}
        targets = {edge.target for edge in self._edges if edge.source in sources}
        return before | {name for name in self._specs if self._ids[name] in targets}

    # - edges -

    def _found_edges(self) -> Iterator[Edge]:
        rank = {name: at for at, name in enumerate((FIRST, *self._specs, LAST))}
        edges = [(one, other, False) for one, other in self._builder.edges]
        edges += [(one, other, True) for several, other in self._builder.waiting_edges for one in several]
        known = [edge for edge in edges if edge[0] in rank and edge[1] in rank]
        for one, other, joint in sorted(known, key=lambda edge: (rank[edge[1]], rank[edge[0]])):
            yield Edge(self._ids[one], self._ids[other], joint=joint)
        for name in (FIRST, *self._specs):
            for label, branch in sorted(self._builder.branches.get(name, {}).items()):
                yield from self._branch(name, label, branch)
            yield from self._commands(name)

    def _branch(self, name: str, label: str, branch: Any) -> Iterator[Edge]:
        """Of add_conditional_edges."""
        function = function_of(branch.path)
        found = source.read(function, self._folder, self._keys) if function is not None else Reading(goes_open=True)
        ends: dict[Any, str] = branch.ends or {goes: goes for goes in found.goes}
        if branch.ends is None and (found.goes_open or not ends):
            self._open_route(name, found.where or shown(label))
        told = f"{found.told} in {found.where}" if found.where else shown(label)
        yield from self._routed(name, ends, found, told)

    def _commands(self, name: str) -> Iterator[Edge]:
        """Of the Commands that a node returns."""
        if name == FIRST:
            return
        found, ends = self._read[name], self._specs[name].ends or ()
        goes = {goes: goes for goes in (*ends, *found.goes)}
        commands = {goes: node for goes, node in goes.items() if node in self._ids}
        yield from self._routed(name, commands, msgspec.structs.replace(found, looks_at=""), self._where(name))

    def _routed(self, name: str, ends: Mapping[Any, str], found: Reading, told: str) -> Iterator[Edge]:
        values: dict[str, list[Any]] = {}
        for value, node in ends.items():
            if node in self._ids and node != FIRST:
                values.setdefault(node, []).append(value)
        path, spread = self._paths.get(found.looks_at, ""), self._paths.get(found.spread, "")
        brings = tuple(self._paths[key] for key in self._channels if key in found.sends)
        for node, chosen in values.items():
            plain = tuple(chosen) if all(isinstance(one, str | bool | int) for one in chosen) else ()
            route = Route(told, path if plain else "", plain, spread, brings, found.many)
            yield Edge(self._ids[name], self._ids[node], route)

    def _open_route(self, name: str, where: str) -> None:
        message = f"it isn't known where the route from {shown(name)} leads: LangGraph takes every node for possible"
        fix = "give add_conditional_edges the names as its third argument, or the function a return type of Literal"
        self._findings.append(Finding("open_route", "warning", where, self._agents(name), (), message, fix))

    def _agents(self, name: str) -> tuple[str, ...]:
        return () if name == FIRST else (self._ids[name],)

    # - keys -

    def _key(self, name: str) -> Key:
        channel, path = self._channels[name], self._paths[name]
        if isinstance(channel, LastValue | LastValueAfterFinish):
            return Key(path)
        if isinstance(channel, EphemeralValue | UntrackedValue):
            return Key(path) if channel.guard else Key(path, "last", f"{type(channel).__name__}(guard=False)")
        if isinstance(channel, AnyValue):
            return Key(path, "last", "AnyValue")
        if isinstance(channel, Topic):
            return Key(path, "append", "Topic")
        reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
        if reducer is None:
            return Key(path, "unknown", type(channel).__name__)
        way, told = self._merging(reducer, plain(getattr(channel, "typ", None)))
        return Key(path, way, told)

    def _merging(self, reducer: Any, kind: Any) -> tuple[Merging, str]:
        told = str(getattr(reducer, "__name__", type(reducer).__name__))
        if "add_messages" in told and str(reducer.__module__).startswith("langgraph"):
            return "append", "add_messages"
        if reducer in (operator.add, operator.iadd, operator.concat):
            return summed(kind), f"operator.{told}"
        if reducer in (operator.or_, operator.ior):
            return ("merge" if kind is dict else "unknown"), f"operator.{told}"
        way, told = merging.merging(reducer, self._folder)
        return (summed(kind) if way == "append" else way), told

    # - what only LangGraph knows of -

    def _of_the_whole(self) -> Iterator[Finding]:
        name = self._reference
        if self._compiled is None:
            message = "it is not compiled, so its checkpointer and timeout are not known"
            yield Finding("not_compiled", "info", name, (), (), message, "name what .compile() returns")
            return
        saver = self._compiled.checkpointer
        asking = tuple(self._ids[n] for n, found in self._read.items() if found.asks or n in self._stops)
        if not saver:
            message = "the graph has no checkpointer: what a crash interrupts begins again, and is paid for again"
            fix = "compile it with a checkpointer that writes to disk; Interlock journals each step by itself"
            yield Finding("no_checkpoint", "warning", name, (), (), message, fix)
        elif isinstance(saver, InMemorySaver):
            message = "its checkpoints are in memory: they are gone with the process that they should outlast"
            fix = "use a saver that writes to a database; Interlock journals each step by itself"
            yield Finding("no_checkpoint", "warning", name, (), (), message, fix)
        if asking and not saver:
            message = f"{listed(asking)} asks a person, and no answer can be given without a checkpointer"
            fix = "compile it with one; in Interlock, an agent returns Reply(ask=Question(...))"
            yield Finding("unsaved_question", "error", name, asking, (), message, fix)
        slow = [self._ids[n] for n, spec in self._specs.items() if not timeout_ms(spec)]
        if slow and not self._compiled.step_timeout:
            message = f"nothing bounds how long {listed(slow)} may take: one that hangs, hangs for ever"
            fix = "set step_timeout on the graph, or timeout on its nodes; an agent of a team has effort or timeout"
            yield Finding("no_timeout", "warning", name, tuple(slow), (), message, fix)
        handled = tuple(self._ids[n] for n, spec in self._specs.items() if spec.error_handler_node)
        if handled:
            message = f"{listed(handled)}: the error handler is left out"
            yield Finding("left_out", "info", name, handled, (), message, "declare it as the agent's fallback")
        blocking = tuple(self._ids[n] for n in in_threads(self._compiled) if n in self._specs)
        if blocking:
            message = f"{listed(blocking)}: not async, so a timeout leaves a thread behind that works on"
            fix = "make them async; in a team, a sync function runs in a process that is killed"
            yield Finding("unstoppable", "info", name, blocking, (), message, fix)

    def _of_node(self, name: str) -> Iterator[Finding]:
        found, agent = self._read[name], (self._ids[name],)
        if found.changes:
            message = f"{shown(name)} changes the state that it was given, which others may see, and no checkpoint does"
            fix = "return the new value instead; in a team, each agent has a copy of its own"
            yield Finding(
                "changed_in_place", "warning", listed(dict.fromkeys(found.changes), 3), agent, (), message, fix
            )
        unknown = sorted((found.writes or frozenset()) - self._keys)
        if unknown:
            message = (
                f"{shown(name)} returns {listed(map(shown, unknown))}, which the state doesn't have: it is dropped"
            )
            fix = "add it to the state, or mend its name"
            yield Finding(
                "dropped_write", "warning", self._where(name), agent, tuple(map(shown, unknown)), message, fix
            )
        if found.writes is None:
            message = f"it isn't known of {shown(name)} {found.why[-1]}"
            fix = "give the agent its write_permissions by hand"
            yield Finding("unknown_writes", "info", self._where(name), agent, (), message, fix)
