"""How a system flows: the order of its steps once its loops are cut, who may meet whom, and what runs again.

A plan has no loops. An edge that leads back to a step on the way to its source is left out, and told.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

import msgspec

from interlock.core.paths import bits

from .system import END, START, Edge, Route, System

ROUNDS_SHOWN = 2


class Loop(msgspec.Struct, frozen=True):
    """Steps that lead back to the first of them. ends: whether anything leads out of it."""

    steps: tuple[str, ...]
    ends: bool


class Flow:
    """The steps of a system that can be reached, in order.

    order: their ids, each after those that it needs. needs: by step, in that order. backward: the edges that were left
    out. entries: the edges that lead to each step and count. rounds: for the steps that surely run, in which rounds of
    steps at a time they do, as the system has it.
    """

    def __init__(self, system: System) -> None:
        self._ids = [step.id for step in system.steps]
        leaving: dict[str, list[Edge]] = {name: [] for name in (START, *self._ids)}
        for edge in system.edges:
            leaving[edge.source].append(edge)
        self.backward: list[Edge] = []
        reached = self._reached(leaving)
        cut = {id(edge) for edge in self.backward}
        self.entries: dict[str, list[Edge]] = {name: [] for name in self._ids if name in reached}
        for edge in system.edges:
            if edge.source in reached and edge.target in self.entries and id(edge) not in cut:
                self.entries[edge.target].append(edge)
        self.order = self._sorted()
        number = {name: at for at, name in enumerate(self.order)}
        sources = {name: {edge.source for edge in self.entries[name]} - {START} for name in self.order}
        self.needs = {name: sorted(sources[name], key=number.__getitem__) for name in self.order}
        self._number = number
        self._before = self._ancestors()
        late = {step.id for step in system.steps if step.late}
        self.rounds = self._rounds(late)
        self._chosen = self._choices()
        self.loops = [*self._loops(leaving)]

    def _reached(self, leaving: dict[str, list[Edge]]) -> set[str]:
        """START and the steps that can be reached; edges that close a loop are put aside."""
        under_way, seen = {START}, {START, END}
        path = [(START, iter(leaving[START]))]
        while path:
            name, edges = path[-1]
            for edge in edges:
                if edge.target in under_way:
                    self.backward.append(edge)
                elif edge.target not in seen:
                    under_way.add(edge.target)
                    seen.add(edge.target)
                    path.append((edge.target, iter(leaving[edge.target])))
                    break
            else:
                path.pop()
                under_way.discard(name)
        return seen - {END}

    def _sorted(self) -> list[str]:
        """The steps that can be reached, each after those it needs, and else as the system lists them."""
        rank = {name: at for at, name in enumerate(self._ids)}
        missing = {name: {edge.source for edge in edges} - {START} for name, edges in self.entries.items()}
        following: dict[str, list[str]] = {name: [] for name in missing}
        for name, sources in missing.items():
            for source in sources:
                following[source].append(name)
        ready = sorted(rank[name] for name, sources in missing.items() if not sources)
        order = []
        while ready:
            name = self._ids[heappop(ready)]
            order.append(name)
            for later in following[name]:
                missing[later].discard(name)
                if not missing[later]:
                    heappush(ready, rank[later])
        return order

    def _ancestors(self) -> list[int]:
        """By number, the bitset of all steps that come before."""
        before: list[int] = []
        for name in self.order:
            own = 0
            for need in self.needs[name]:
                own |= before[self._number[need]] | 1 << self._number[need]
            before.append(own)
        return before

    def comes_before(self, one: str, other: str) -> bool:
        """Whether a step is always over before another begins."""
        return (
            one in self._number
            and other in self._number
            and bool(self._before[self._number[other]] >> self._number[one] & 1)
        )

    def are_ordered(self, one: str, other: str) -> bool:
        """Whether one of two steps is over before the other begins."""
        return one == other or self.comes_before(one, other) or self.comes_before(other, one)

    def are_exclusive(self, one: str, other: str) -> bool:
        """Whether a route chooses between two steps, so that of a round of it only one of them runs."""
        chosen, others = self._chosen.get(one, {}), self._chosen.get(other, {})
        return any(others.get(decision, target) != target for decision, target in chosen.items())

    def _choices(self) -> dict[str, dict[tuple[str, str], str]]:
        """By step, what routes that choose one target must have chosen for it to run."""
        chosen: dict[str, dict[tuple[str, str], str]] = {START: {}}
        for name in self.order:
            ways = []
            for edge in self.entries[name]:
                own = {(edge.source, edge.route.told): name} if edge.route and not edge.route.many else {}
                ways.append(chosen[edge.source] | own)
            chosen[name] = {key: target for key, target in ways[0].items() if all(w.get(key) == target for w in ways)}
        return chosen

    def is_undecided(self, name: str) -> bool:
        """Whether several conditions lead to a step, or a condition and an edge without one."""
        entries = self.entries[name]
        return len(entries) > 1 and any(edge.route for edge in entries)

    def route_to(self, name: str) -> Route | None:
        """What decides whether a step runs, if that is one route alone."""
        entries = self.entries.get(name, ())
        return entries[0].route if len(entries) == 1 else None

    def before(self, name: str) -> Iterator[str]:
        """The steps that are over before a step begins."""
        if name in self._number:
            yield from (self.order[at] for at in bits(self._before[self._number[name]]))

    def _rounds(self, late: set[str]) -> dict[str, tuple[int, ...]]:
        """Of the steps to which edges lead that no route decides: the rounds in which they run, the first few."""
        rounds: dict[str, tuple[int, ...]] = {START: (0,)}
        for name in self.order:
            sure = [edge for edge in self.entries[name] if edge.route is None and edge.source in rounds]
            if not sure:
                continue
            joint = [rounds[edge.source][-1] + 1 for edge in sure if edge.joint]
            found = {number + 1 for edge in sure if not edge.joint for number in rounds[edge.source]}
            found |= {max(joint)} if joint else set()
            rounds[name] = (max(found),) if name in late else tuple(sorted(found)[:ROUNDS_SHOWN])
        del rounds[START]
        return rounds

    def _loops(self, leaving: dict[str, list[Edge]]) -> Iterator[Loop]:
        """The loops, those that share a step in one."""
        groups: list[set[str]] = []
        for edge in self.backward:
            group = {edge.source, edge.target}
            group |= {name for name in self.before(edge.source) if self.comes_before(edge.target, name)}
            meeting = [other for other in groups if other & group]
            groups = [other for other in groups if not other & group] + [group.union(*meeting)]
        for group in groups:
            ends = any(edge.target not in group for name in group for edge in leaving[name])
            yield Loop(tuple(name for name in self.order if name in group), ends)
