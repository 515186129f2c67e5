"""The plan: a DAG of steps, validated and compiled once, shared by every run that follows it.

Steps are numbered from 1 in plan order: the topological order that keeps to the order of declaration. Number 0 is the
request, an ancestor of every step. `ancestors[n]` is a bitset over these numbers. `base[n]` and `extra[n]` let a sum
over ancestors be extended from that of the nearest ancestor: ancestors(n) = ancestors(base) + extra.

`samples` become steps of their own here; `for_each` is one step here and becomes one per item while a run goes on.
Its items all bear its number: they see what it sees, and whoever needs it sees them all.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import Any, Literal, get_args

import msgspec

from interlock.errors import PlanError, ValueRefused

from . import paths
from .paths import bits
from .policy import RETRIES_MAX, TIMEOUT_MS_MAX, duration_ms
from .scope import texts
from .states import OnDead
from .values import DEFAULT_LIMITS, encode, hash_of
from .waits import WAITS, Wait

SAMPLES_MAX = 100
WIDTH_MAX = 100_000
ROUNDS_MAX = 100
NEEDS_MAX = 1_000_000
# Of the steps of a cycle; of a longer one the first and the last.
CIRCLE_SHOWN = 20
_is_id = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch
INDEX = "{index}"
_INDEX_THEN_DIGIT = re.compile(r"\{index\}.*(\d|\{index\})", re.DOTALL)

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "exists", "absent"]
Join = Literal["all", "any_outcome"]
# Defaults are left out of what is hashed, and msgspec knows a default by identity: equal text must be this very text.
_EQUAL: Operator = "=="
_ALL: Join = "all"
_JOINS, _ON_DEAD = get_args(Join), get_args(OnDead)


class Condition(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`when`: a step runs only where the committed value at `path` compares so with `value`.

    An absent path fulfils `absent` and `!=` and `not in` alone; values of different JSON types are unequal and have no
    order, so `<` between a string and a number does not hold. Raises PathError; PlanError for an unknown operator, and
    for a value that is not JSON: nothing committed could equal it.
    """

    path: str
    op: Operator = _EQUAL
    value: Any = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", paths.canonical(self.path))
        if self.op not in get_args(Operator):
            fix = f"use one of: {', '.join(get_args(Operator))}"
            raise PlanError(f"the condition on {self.path} has the operator {self.op!r}", fix=fix, place=("plan",))
        if self.op == _EQUAL:
            msgspec.structs.force_setattr(self, "op", _EQUAL)
        try:
            encode(self.value)
        except ValueRefused as error:
            message = f"the value of the condition on {self.path}: {error.message}"
            raise PlanError(message, place=("plan",)) from error

    def __str__(self) -> str:
        tail = "" if self.op in {"exists", "absent"} else f" {msgspec.json.encode(self.value).decode()}"
        return f"{self.path} {self.op}{tail}"


class Step(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One agent doing one action, or a wait.

    needs: ids of steps that must be done first. reads, writes: path patterns that narrow the agent's scope for this
    step; in `writes`, `{step}` is the step's id and `{index}` its number. stale_ok: it may read what an unordered step
    writes. samples: that many independent copies, named id-1, id-2, ... for_each: one copy per item of the list at
    this path, named id-0, id-1, ... width: how many of these may be under way at a time; 0 for all. batch: so many
    items go to one copy, as a list; 0 for one item, as it is. when: run only where this holds. join: `any_outcome`
    runs although a need died.
    on_dead: what its being given up means for the run: `fail_run`, `skip` (it counts as skipped) or `continue` (who
    needs it runs all the same); by default what its agent says.
    timeout, backoff, retry_for: durations such as `2s`; with `retries` they override the agent's. schema: a JSON
    Schema over the writes, beside the agent's. guardrails: checks on its replies, beside the agent's. threshold: the
    score they must reach, in place of the agent's. budget: what its calls may consume in one run, such as `{calls:
    3}`. escalate: what a person is asked for, in place of the agent's; see Escalation.of. on_request: which step runs
    when this one's agent requests an action, such as `{escalate: resolve}`: a branch of the plan, which comes after
    this step and is skipped where nobody has requested it.

    A step without an agent waits. wait: a duration such as `2h`, or `{until: TIME}`, where TIME is like
    `2026-12-01T09:00:00Z`, or the path of such a text in the context. await_event: the name of an event that comes from
    outside; what it brings is written at the one path in `writes`. deadline: how long for; on_deadline: what becomes of
    the step then: `dead`, `skip`, `continue`, or `{default: {path: value}}`.
    """

    id: str
    agent: str = ""
    action: str = ""
    needs: Sequence[str] = ()
    reads: Sequence[str] | None = None
    writes: Sequence[str] | None = None
    stale_ok: bool = False
    instructions: str = ""
    samples: int = 0
    for_each: str | None = None
    when: Condition | None = None
    join: Join = _ALL
    on_dead: OnDead | None = None
    timeout: str | None = None
    retries: int | None = None
    backoff: str | None = None
    retry_for: str | None = None
    schema: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None
    guardrails: Sequence[Any] = ()
    threshold: float | None = None
    escalate: bool | Mapping[str, Any] | None = None
    on_request: Mapping[str, str] = {}
    width: int = 0
    batch: int = 0
    wait: str | Mapping[str, Any] | None = None
    await_event: str = ""
    deadline: str | None = None
    on_deadline: str | Mapping[str, Any] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits, and nobody does anything."""
        return self.wait is not None or self.await_event != ""

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        if self.needs != ():
            set_field(self, "needs", _texts(self.needs, "needs", self.id))
        if self.reads is not None:
            set_field(self, "reads", tuple(map(paths.parse_pattern, _texts(self.reads, "reads", self.id))))
        if self.writes is not None:
            set_field(self, "writes", tuple(map(paths.parse_pattern, _texts(self.writes, "writes", self.id))))
        if self.for_each is not None:
            set_field(self, "for_each", paths.canonical(self.for_each))
        if self.join is not _ALL and self.join == _ALL:
            set_field(self, "join", _ALL)
        when: Any = self.when
        if when is not None and isinstance(when, Mapping):
            set_field(self, "when", _condition(when, self.id))
        if tuple(map(type, msgspec.structs.astuple(self))) not in _RIGHT_KINDS:
            self._check_kinds()
        if self.writes is None and self.waits:
            set_field(self, "writes", ())
        if self.guardrails != ():
            set_field(self, "guardrails", listed(self.guardrails))
        if self.on_request or type(self.on_request) is not dict:
            set_field(self, "on_request", _branches(self.on_request, self.id))
        if self.threshold is not None and not 0 < self.threshold <= 1:
            message = f"the threshold of step {self.id} is {self.threshold}"
            raise PlanError(message, fix="more than 0, up to 1", place=("plan", self.id, "threshold"))

    def deciding(self) -> "Step":
        """This step as a decision about the plan: it writes nothing by itself, and runs whatever became of others."""
        return msgspec.structs.replace(self, writes=(), join="any_outcome")

    def _check_kinds(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                found = type(getattr(self, name)).__name__
                raise PlanError(f"{name} of step {self.id} is a {found}", place=("plan", self.id, name))
        if len(_RIGHT_KINDS) < KINDS_MAX:
            _RIGHT_KINDS.add(tuple(map(type, msgspec.structs.astuple(self))))

    def batched(self, items: list[Any]) -> list[Any]:
        """The items that its copies get, of those in its list."""
        if not self.batch:
            return items
        return [items[first : first + self.batch] for first in range(0, len(items), self.batch)]


def _texts(value: Any, name: str, step: str) -> tuple[str, ...]:
    if type(value) is tuple and {*map(type, value)} <= _STR:
        return value
    return texts(value, f"{name} of step {step}")


def listed(guardrails: Sequence[Any]) -> tuple[Any, ...]:
    """Declared guardrails, where code alone is written as in a team file."""
    return tuple({"use": guardrail} if callable(guardrail) else guardrail for guardrail in guardrails)


def _condition(when: Mapping[str, Any], step: str) -> Condition:
    """A condition that was written as a mapping, as in a team file."""
    try:
        return Condition(**when)
    except TypeError as error:
        message = f"when of step {step}: {error}"
        raise PlanError(message, fix="give it a path, an op and a value", place=("plan", step, "when")) from error


def _branches(on_request: Mapping[Any, Any], step: str) -> dict[str, str]:
    if not all(isinstance(text, str) for text in (*on_request, *on_request.values())):
        message = f"on_request of step {step} holds something that is not a string"
        raise PlanError(message, fix="name a step for each action", place=("plan", step, "on_request"))
    return dict(on_request)


# The types of the fields of steps that were found right: those of most steps are the same.
KINDS_MAX = 1_000
_RIGHT_KINDS: set[tuple[type, ...]] = set()
_STR = {str}
_NONE = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "agent": (str,),
    "action": (str,),
    "instructions": (str,),
    "samples": (int,),
    "width": (int,),
    "batch": (int,),
    "retries": (int, _NONE),
    "timeout": (str, _NONE),
    "backoff": (str, _NONE),
    "retry_for": (str, _NONE),
    "when": (Condition, _NONE),
    "schema": (Mapping, _NONE),
    "budget": (Mapping, _NONE),
    "guardrails": (list, tuple),
    "threshold": (int, float, _NONE),
    "escalate": (bool, Mapping, _NONE),
    "on_request": (Mapping,),
    "wait": (str, Mapping, _NONE),
    "await_event": (str,),
    "deadline": (str, _NONE),
    "on_deadline": (str, Mapping, _NONE),
}


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
        if not all(max(mine, default=-1) < position for position, mine in enumerate(needs)):
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
    def ancestors(self) -> list[int]:
        """Per step the bitset of those that come before it, the request among them."""
        found = [0] * len(self.steps)
        for n in range(1, len(found)):
            seen = 1
            for need in self.needs[n]:
                seen |= found[need] | 1 << need
            found[n] = seen
        return found

    @cached_property
    def base(self) -> list[int]:
        """Per step that of its needs which has most ancestors; 0 where it needs none."""
        sizes = [ancestors.bit_count() for ancestors in self.ancestors]
        return [max(needs, key=sizes.__getitem__, default=0) for needs in self.needs]

    @cached_property
    def extra(self) -> list[tuple[int, ...]]:
        """Per step the ancestors that its base doesn't have."""
        bases = map(self.ancestors.__getitem__, self.base)
        return [tuple(bits(mine & ~theirs)) for mine, theirs in zip(self.ancestors, bases, strict=True)]

    @cached_property
    def descendants(self) -> list[int]:
        """Per step the bitset of those that come after it."""
        found = [0] * len(self.steps)
        for n in range(len(self.steps) - 1, 0, -1):
            for need in self.needs[n]:
                found[need] |= found[n] | 1 << n
        return found

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


def checked(step: Step) -> Step:
    """A step that nothing is wrong with by itself. Raises PlanError."""
    place = ("plan", step.id)
    if not _is_id(step.id):
        raise PlanError(f"{step.id!r} is not a step id", fix="use letters, digits, _ and -, at most 80", place=place)
    _check_kind(step)
    if step.samples and step.for_each:
        raise PlanError(f"step {step.id} has both samples and for_each", fix="keep one", place=(*place, "samples"))
    if not 0 <= step.samples <= SAMPLES_MAX:
        message = f"step {step.id} wants {step.samples} samples; 1 to {SAMPLES_MAX} are possible"
        raise PlanError(message, place=(*place, "samples"))
    for name in ("width", "batch"):
        _check_share(step, name)
    if step.retries is not None and not 0 <= step.retries <= RETRIES_MAX:
        message = f"step {step.id} wants {step.retries} retries; 0 to {RETRIES_MAX} are possible"
        raise PlanError(message, place=(*place, "retries"))
    if step.join not in _JOINS:
        fix = f"use one of: {', '.join(_JOINS)}"
        raise PlanError(f"step {step.id} has the join {step.join!r}", fix=fix, place=(*place, "join"))
    if step.on_dead is not None and step.on_dead not in _ON_DEAD:
        fix = f"use one of: {', '.join(_ON_DEAD)}"
        raise PlanError(f"step {step.id} has the on_dead {step.on_dead!r}", fix=fix, place=(*place, "on_dead"))
    for name, text in (("timeout", step.timeout), ("backoff", step.backoff), ("retry_for", step.retry_for)):
        if text is not None and not 0 < duration_ms(text) <= TIMEOUT_MS_MAX:
            message = f"the {name} of step {step.id} is {text}; more than 0 and up to 7d is possible"
            raise PlanError(message, place=(*place, name))
    for pattern in step.writes or ():
        if "{" in pattern:
            _check_template(step, pattern)
    return step


def _check_share(step: Step, name: str) -> None:
    """What bounds the copies of a for_each says something only of one."""
    number, place = getattr(step, name), ("plan", step.id, name)
    if number and step.for_each is None:
        raise PlanError(f"step {step.id} has a {name}, but no for_each", fix="remove it", place=place)
    if not 0 <= number <= WIDTH_MAX:
        message = f"the {name} of step {step.id} is {number:,}; 1 to {WIDTH_MAX:,} is possible"
        raise PlanError(message, place=place)


def _check_kind(step: Step) -> None:
    """A step is done by an agent, or waits."""
    place = ("plan", step.id)
    if step.waits:
        _check_wait(step)
    elif not (step.agent and step.action):
        lacking = "action" if step.agent else "agent"
        raise PlanError(f"step {step.id} has no {lacking}", fix=f"name one; {WAITS}", place=(*place, lacking))
    elif step.deadline is not None or step.on_deadline is not None:
        message = f"step {step.id} has a deadline, and awaits no event"
        raise PlanError(message, fix="remove it, or ask a person with escalate", place=(*place, "deadline"))


def wait_of(step: Step) -> Wait:
    """What a step waits for. Raises PlanError."""
    return Wait.of(step.wait, step.await_event, step.deadline, step.on_deadline)


def _check_wait(step: Step) -> None:
    place, key = ("plan", step.id), "wait" if step.wait is not None else "await_event"
    for name in _OF_AGENTS:
        if getattr(step, name) != getattr(_NOTHING_SAID, name):
            message = f"step {step.id} waits, and has {name}, which is said of agents"
            raise PlanError(message, fix="remove it, or make it two steps", place=(*place, name))
    try:
        wait = wait_of(step)
    except PlanError as error:
        raise PlanError(f"step {step.id}: {error.message}", fix=error.fix, place=(*place, key)) from error
    bare = not step.await_event and (step.writes or step.schema is not None)
    if bare:
        raise PlanError(f"step {step.id} writes nothing: it only waits", fix="remove it", place=(*place, "writes"))
    if len(step.writes or ()) > 1 or any(paths.base(pattern) != pattern for pattern in step.writes or ()):
        message = f"step {step.id} awaits an event, and what that brings is written at one path"
        raise PlanError(message, fix="name one field in writes", place=(*place, "writes"))
    stray = next((path for path in wait.default if path not in (step.writes or ())), None)
    if stray is not None:
        message = f"step {step.id} does not write {stray}, which its default has"
        raise PlanError(message, fix="name the path that stands in its writes", place=(*place, "on_deadline"))


def _check_template(step: Step, pattern: str) -> None:
    place = ("plan", step.id, "writes")
    if INDEX in pattern and not step.samples and step.for_each is None:
        message = f"step {step.id} writes {pattern}, but only samples and for_each have an {INDEX}"
        raise PlanError(message, place=place)
    # The race proof knows the paths of items by the last digits of a segment: those must be the index.
    expanded = pattern.replace("{step}", f"{step.id}-{INDEX}") if step.for_each is not None else ""
    if INDEX in expanded and any(map(_INDEX_THEN_DIGIT.search, paths.split(paths.base(expanded)))):
        message = f"step {step.id} writes {pattern}: in one segment no digit may follow the index of an item"
        raise PlanError(message, fix="put the digits before it, or into a segment of their own", place=place)


def copies_of(declared: Sequence[Step]) -> tuple[list[Step], dict[str, range]]:
    """After the request, the steps that the declared ones stand for: themselves, or their samples."""
    flat, spans = [REQUEST], {}
    for step in declared:
        start = len(flat)
        if step.samples:
            names = [f"{step.id}-{n}" for n in range(1, step.samples + 1)]
            flat += [_with_writes(step, name, name, str(n)) for n, name in enumerate(names, 1)]
        elif any("{" in pattern for pattern in step.writes or ()):
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
            mine = [ids[need] for need in step.needs]
        except KeyError:
            mine = [position for need in step.needs for position in _positions(step, need, ids, groups)]
        needs.append(tuple(mine if len(mine) == 1 else dict.fromkeys(mine)))
        total += len(needs[-1])
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


def is_id(text: object) -> bool:
    """Whether this may be the id of a step, or of a run: letters, digits, `_` and `-`, at most 80."""
    return isinstance(text, str) and _is_id(text) is not None


def hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, where there is one."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely means."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for the import

    matches = get_close_matches(name, list(known), 1)
    return matches[0] if matches else None


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


# What is said of agents, and says nothing of a step that waits.
_OF_AGENTS = (
    "agent",
    "action",
    "reads",
    "stale_ok",
    "instructions",
    "samples",
    "for_each",
    "width",
    "batch",
    "timeout",
    "retries",
    "backoff",
    "retry_for",
    "budget",
    "guardrails",
    "threshold",
    "escalate",
    "on_request",
)
REQUEST = _NOTHING_SAID = Step("")
