"""The plan: a DAG of steps, validated and compiled once, shared by every run that follows it.

Steps are numbered from 1 in plan order: the topological order that keeps to the order of declaration. Number 0 is the
request, an ancestor of every step. `ancestors[n]` is a bitset over these numbers, made when it is asked for. `base[n]`
and `beyond_base(n)` let a sum over ancestors be extended from that of the nearest ancestor:
ancestors(n) = ancestors(base) + beyond_base(n).

`samples` become steps of their own here; `for_each` is one step here and becomes one per item while a run goes on.
Its items all bear its number: they see what it sees, and whoever needs it sees them all.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec

from interlock.errors import PlanError

from .naming import hint
from .paths import bits
from .reach import Reach
from .step import INDEX, REQUEST, Step, checked
from .values import DEFAULT_LIMITS, hash_of

ROUNDS_MAX = 100
NEEDS_MAX = 1_000_000
# Of the steps of a cycle; of a longer one the first and the last.
CIRCLE_SHOWN = 20


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps that run in parallel, after the phase before and before the phase after.

    rounds: so often they run, one round after another; the ids of their steps end with its number: id-1, id-2, ...
    """

    name: str
    steps: Sequence[Step]
    rounds: int = 0

    def unrolled(self) -> Iterator[list[Step]]:
        """The steps of each round. Needs and branches among them are those of the same round."""
        steps = [_a_step(step, f"the phase {self.name} holds steps") for step in self.steps]
        if type(self.rounds) is not int or not 0 <= self.rounds <= ROUNDS_MAX:
            message = f"the phase {self.name} has {self.rounds!r:.20} rounds; 1 to {ROUNDS_MAX} are possible"
            raise PlanError(message, place=("plan",))
        own = {step.id for step in steps}
        for n in range(1, (self.rounds or 1) + 1):
            yield [_of_round(step, own, n) for step in steps] if self.rounds else steps


def _of_round(step: Step, own: Collection[str], n: int) -> Step:
    def named(id_: str) -> str:
        return f"{id_}-{n}" if id_ in own else id_

    given = {"needs": [*map(named, step.needs)], "on_request": {a: named(b) for a, b in step.on_request.items()}}
    return msgspec.structs.replace(step, id=named(step.id), **given)


class Plan:
    """A validated plan. Raises PlanError: unknown or doubled ids, cycles, bad templates, too many steps.

    steps[n] is the step with number n; steps[0] stands for the request. groups: declared id -> numbers of its copies;
    declared_id: the way back, from the id of a copy. requesters: number of a branch -> those of the steps that may
    request it; what is no branch isn't there.
    """

    def __init__(
        self, items: Iterable[Step | Phase], *, steps_max: int = DEFAULT_LIMITS.steps_max, may_be_empty: bool = False
    ) -> None:
        declared = _unroll_phases(items)
        if not declared and not may_be_empty:
            raise PlanError("the plan has no steps", fix="give it at least one", place=("plan",))
        flat, spans = copies_of(declared)
        if len(flat) - 1 > steps_max:
            raise PlanError(f"the plan has {len(flat) - 1:,} steps, more than {steps_max:,}", place=("plan",))
        self.declared = declared
        self.hash = hash_of(declared)
        self._compile(flat, spans)

    def _compile(self, flat: list[Step], spans: Mapping[str, range]) -> None:
        """flat: the request, and all copies in the order of declaration. spans: where those of a declared one are."""
        ids = unique_ids(self.declared, flat)
        needs = needs_of(flat, ids, spans)
        self._groups: Mapping[str, Sequence[int]] = spans
        if any(mine and max(mine) >= position for position, mine in enumerate(needs)):
            order = in_order(flat, needs)
            number = [0] * len(flat)
            for n, position in enumerate(order):
                number[position] = n
            flat = [flat[position] for position in order]
            needs = [tuple([number[need] for need in needs[position]]) for position in order]
            self._groups = {id_: [number[position] for position in span] for id_, span in spans.items()}
            ids = {id_: number[position] for id_, position in ids.items()}
        self.steps: tuple[Step, ...] = tuple(flat)
        self.number, self.needs = ids, needs
        self.requesters: dict[int, dict[int, None]] = {}
        for step in self.declared:
            for action, branch in step.on_request.items():
                self._add_branch(step, action, branch)

    @cached_property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Declared id -> the numbers of its copies."""
        return {id_: tuple(numbers) for id_, numbers in self._groups.items()}

    @cached_property
    def declared_id(self) -> dict[str, str]:
        """The id of a copy -> that of the step that was declared."""
        return {self.steps[n].id: id_ for id_, numbers in self._groups.items() for n in numbers}

    @cached_property
    def sample_index(self) -> dict[str, int]:
        """The id of a sample -> its index, from 1."""
        sampled = [self.groups[step.id] for step in self.declared if step.samples]
        return {self.steps[n].id: index for group in sampled for index, n in enumerate(group, 1)}

    def _add_branch(self, step: Step, action: str, branch: str) -> None:
        place = ("plan", step.id, "on_request", action)
        if branch not in self.groups:
            message = f"step {step.id} runs {branch} on request, which is no step{hint(branch, self.groups)}"
            raise PlanError(message, place=place)
        mine = self.groups[step.id]
        for n in self.groups[branch]:
            if any(not self.ancestors[n] >> number & 1 for number in mine):
                message = f"step {step.id} runs {branch} on request, which does not come after it"
                raise PlanError(message, fix=f"let {branch} need {step.id}", place=place)
            self.requesters.setdefault(n, {}).update(dict.fromkeys(mine))

    @cached_property
    def dependents(self) -> list[list[int]]:
        """Per step those that need it."""
        found: list[list[int]] = [[] for _ in self.steps]
        for n, needs in enumerate(self.needs):
            for need in needs:
                found[need].append(n)
        return found

    @cached_property
    def ancestors(self) -> Reach:
        """Per step the bitset of those that come before it, the request among them."""
        return Reach(self.needs, start=1)

    @cached_property
    def base(self) -> list[int]:
        """Per step that of its needs which has most ancestors; 0 where it needs none."""
        first, found, sizes = self.ancestors.first, [0], [0]
        for n, needs in enumerate(self.needs[1:], 1):
            if len(needs) < 2:  # noqa: PLR2004 - nothing to choose from
                found.append(needs[0] if needs else 0)
                sizes.append(sizes[found[n]] + 1)
            elif first[n] != n:
                found.append(found[first[n]])
                sizes.append(sizes[first[n]])
            else:
                found.append(max(needs, key=sizes.__getitem__))
                sizes.append(self.ancestors[n].bit_count())
        return found

    def beyond_base(self, n: int) -> Sequence[int]:
        """The ancestors that the base of a step doesn't have."""
        needs, first = self.needs[n], self.ancestors.first
        if not needs:
            return (0,)
        if len(needs) == 1 or all(first[need] == first[needs[0]] for need in needs):
            return needs
        return bits(self.ancestors[n] ^ self.ancestors[self.base[n]])

    @cached_property
    def descendants(self) -> Reach:
        """Per step the bitset of those that come after it."""
        return Reach(self.dependents)

    def number_of(self, id_: str) -> int:
        """The number of a step; for an item, that of its for_each step. Raises KeyError."""
        number = self.number.get(id_)
        return self.number[id_.rpartition("-")[0]] if number is None else number

    def related_to(self, n: int) -> int:
        """The bitset of a step, its ancestors and its descendants: those it can't run at the same time as."""
        return self.ancestors[n] | self.descendants[n] | 1 << n


def _unroll_phases(items: Iterable[Step | Phase]) -> list[Step]:
    """Phases as needs: each step of a phase needs every step of the phase before."""
    steps: list[Step] = []
    before: tuple[str, ...] = ()
    for item in items:
        if isinstance(item, Phase):
            if not item.steps:
                message = f"the phase {item.name} has no steps"
                raise PlanError(message, fix="remove it or give it steps", place=("plan",))
            for inner in item.unrolled():
                _check_needs(len(before) * len(inner))
                steps += [
                    msgspec.structs.replace(step, needs=tuple(dict.fromkeys((*step.needs, *before)))) for step in inner
                ]
                before = tuple(step.id for step in inner)
        else:
            steps.append(_a_step(item, "a plan holds steps and phases"))
    for step in steps:
        checked(step)
    return steps


def _a_step(item: Any, wanted: str) -> Step:
    if not isinstance(item, Step):
        raise PlanError(f"{wanted}, not {type(item).__name__}", place=("plan",))
    return item


def copies_of(declared: Sequence[Step]) -> tuple[list[Step], dict[str, range]]:
    """After the request, the steps that the declared ones stand for: themselves, or their samples."""
    flat, spans = [REQUEST], {}
    for step in declared:
        start = len(flat)
        writes = step.writes
        if step.samples:
            names = [f"{step.id}-{n}" for n in range(1, step.samples + 1)]
            flat += [_with_writes(step, name, name, str(n)) for n, name in enumerate(names, 1)]
        elif writes and "{" in "".join(writes):
            # The copies of a for_each are named while a run goes on; their paths keep {index} until then.
            name = f"{step.id}-{INDEX}" if step.for_each else step.id
            flat.append(_with_writes(step, step.id, name, INDEX))
        else:
            flat.append(step)
        spans[step.id] = range(start, len(flat))
    return flat, spans


def _with_writes(step: Step, id_: str, name: str, index: str) -> Step:
    writes = step.writes
    if writes is not None:
        writes = tuple(pattern.replace("{step}", name).replace(INDEX, index) for pattern in writes)
    return msgspec.structs.replace(step, id=id_, writes=writes)


def unique_ids(declared: Sequence[Step], flat: list[Step]) -> dict[str, int]:
    """The position of every step, by its id; the first is the request. Raises PlanError."""
    ids = {step.id: position for position, step in enumerate(flat) if position}
    if len(ids) < len(flat) - 1:
        again = next(step.id for position, step in enumerate(flat) if position and ids[step.id] != position)
        raise PlanError(f"two steps have the id {again}", fix="rename one of them", place=("plan", again))
    for step in declared:
        if step.samples and step.id in ids:
            raise PlanError(f"two steps have the id {step.id}", fix="rename one of them", place=("plan", step.id))
    items = {step.id for step in declared if step.for_each}
    for step in (*flat, *declared) if items else ():
        head, _, tail = step.id.rpartition("-")
        if head in items and tail.isdecimal():
            message = f"the id {step.id} is that of an item of the for_each step {head}"
            raise PlanError(message, fix="rename one of them", place=("plan", step.id))
    return ids


def needs_of(flat: list[Step], ids: Mapping[str, int], groups: Mapping[str, Sequence[int]]) -> list[tuple[int, ...]]:
    """The positions of what each step needs. Raises PlanError."""
    needs: list[tuple[int, ...]] = []
    total = 0
    for step in flat:
        if not step.needs:
            needs.append(())
            continue
        try:
            mine = tuple([ids[need] for need in step.needs])
        except KeyError:
            mine = tuple([position for need in step.needs for position in _positions(step, need, ids, groups)])
        if len(mine) > 1 and len(set(mine)) < len(mine):
            mine = tuple(dict.fromkeys(mine))
        needs.append(mine)
        total += len(mine)
        if total > NEEDS_MAX:
            _check_needs(total)
    return needs


def _positions(step: Step, need: str, ids: Mapping[str, int], groups: Mapping[str, Sequence[int]]) -> Sequence[int]:
    if need in ids:
        return (ids[need],)
    if need not in groups:
        message = f"step {step.id} needs {need}, which is no step{hint(need, {**ids, **groups})}"
        raise PlanError(message, place=("plan", step.id, "needs"))
    return groups[need]


def _check_needs(total: int) -> None:
    if total > NEEDS_MAX:
        message = f"the plan has more than {NEEDS_MAX:,} needs"
        raise PlanError(message, fix="join the steps of a wide phase in one step", place=("plan",))


def in_order(flat: list[Step], needs: list[tuple[int, ...]]) -> list[int]:
    """The positions in plan order. Raises PlanError for a cycle."""
    waiting = [len(mine) for mine in needs]
    dependents: list[list[int]] = [[] for _ in flat]
    for position, mine in enumerate(needs):
        for need in mine:
            dependents[need].append(position)
    free = [position for position, count in enumerate(waiting) if not count]
    heapify(free)
    order = []
    while free:
        position = heappop(free)
        order.append(position)
        for dependent in dependents[position]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                heappush(free, dependent)
    if len(order) < len(flat):
        circle = _cycle(flat, needs, set(order))
        message = f"the plan has a cycle: {' needs '.join(circle)}"
        raise PlanError(message, fix="remove one of these needs", place=("plan", circle[0], "needs"))
    return order


def _cycle(flat: list[Step], needs: list[tuple[int, ...]], done: set[int]) -> list[str]:
    """Walk needs among the steps that never became free: the walk must come back to itself."""
    position = next(p for p in range(len(flat)) if p not in done)
    walk: dict[int, None] = {}
    while position not in walk:
        walk[position] = None
        position = next(need for need in needs[position] if need not in done)
    steps = list(walk)
    circle = [flat[p].id for p in (*steps[steps.index(position) :], position)]
    if len(circle) > CIRCLE_SHOWN:
        circle[CIRCLE_SHOWN // 2 : -CIRCLE_SHOWN // 2] = ["..."]
    return circle
