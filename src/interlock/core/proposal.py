"""A plan that an agent proposes: `{"steps": [{"id", "agent", "action", "needs", "reads", "writes", ...}]}`.

What a step of it may hold is a part of what a step of a team file may: an agent that proposes work doesn't choose how
it is checked, how often it is tried, what it may cost, whom it asks and what a failure means. Its size is bounded
before it is read, its names before they are repeated, and then it is proved like the plan of a team file.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, get_args

import msgspec

from interlock.errors import InterlockError, ValueRefused

from . import paths
from .bounds import DEFAULT_BOUNDS, Bounds
from .flaws import Flaws, listed, shown, shown_length
from .naming import is_id
from .role import Role, stand_ins
from .step import SAMPLES_MAX, WIDTH_MAX, Condition, Operator, Step
from .values import Limits, encode

Roles = Mapping[str, Role]

_PLAIN_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?", re.ASCII)
_SEGMENT = re.compile(r"(?:[\w-]|\{step\}|\{index\}){1,80}")
_OPERATORS = frozenset(get_args(Operator))
# Many at once, a line each.
_are_ids = re.compile(r"(?:[A-Za-z0-9_-]{1,80}+\n)*+").fullmatch
_are_plain_paths = re.compile(r"(?:[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){0,30}+(?:\.\*)?+\n)*+").fullmatch
_given = msgspec.structs.force_setattr
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class ProposedCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`when` of a proposed step; see Condition."""

    path: str
    op: str = "=="
    value: Any = msgspec.UNSET


class ProposedStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What an agent may say of a step; see Step."""

    id: str
    agent: str
    action: str
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    instructions: str = ""
    when: ProposedCondition | None = None
    for_each: str | None = None
    samples: int = 0
    width: int = 0
    batch: int = 0


class _Proposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    steps: list[ProposedStep]


class _RawProposal(msgspec.Struct, frozen=True):
    steps: list[msgspec.Raw]


_decode = msgspec.json.Decoder(_Proposal).decode
_decode_raw = msgspec.json.Decoder(_RawProposal).decode


def proposed_steps(
    raw: bytes | Mapping[str, Any], roles: Roles, bounds: Bounds = DEFAULT_BOUNDS, known: Collection[str] = ()
) -> list[Step]:
    """The steps of a proposal, each of which is right by itself: known agents, their actions, names, paths, sizes.

    known: ids of steps that they may need beside their own. Raises ProposalRefused.
    """
    flaws = Flaws(bounds)
    proposed = _read(raw, flaws)
    steps = _Examination(roles, flaws, proposed, known).steps()
    flaws.raise_if_any()
    return steps


# --- reading ---


def _read(raw: bytes | Mapping[str, Any], flaws: Flaws) -> list[ProposedStep]:
    bounds = flaws.bounds
    text = raw if isinstance(raw, bytes) else _written(raw, flaws)
    if len(text) > bounds.bytes_max:
        flaws.add("$", f"it is {len(text):,} bytes of JSON", f"{bounds.bytes_max:,} at most")
        flaws.raise_if_any()
    try:
        steps = _decode(text).steps
    except _UNREADABLE:
        _explain(text, flaws)
        raise flaws.refusal() from None
    _check_count(len(steps), flaws)
    return steps


def _written(raw: Any, flaws: Flaws) -> bytes:
    """An object that was read already, as JSON: so all of it goes one way."""
    try:
        return encode(raw, Limits(depth_max=16), flaws.bounds.bytes_max)
    except (ValueRefused, RecursionError):
        most = f"an object of texts, numbers, lists and objects, {flaws.bounds.bytes_max:,} bytes at most"
        flaws.add("$", "it is no plain JSON, or too large, or nested too deeply", most)
        raise flaws.refusal() from None


def _check_count(steps: int, flaws: Flaws) -> None:
    if not 0 < steps <= flaws.bounds.steps_max:
        flaws.add("$.steps", f"there are {steps:,} steps", f"1 to {flaws.bounds.steps_max:,}")
        flaws.raise_if_any()


def _explain(text: bytes, flaws: Flaws) -> None:
    """Why JSON can't be read as a proposal: value by value, for what a decoder says may repeat what it has read."""
    wanted = 'write {"steps": [{"id": ..., "agent": ..., "action": ...}]}'
    try:
        raws = _decode_raw(text).steps
        extra = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).keys() - {"steps"}
    except msgspec.ValidationError:
        flaws.add("$", "it is no object with a list of steps", wanted)
        return
    except _UNREADABLE:
        flaws.add("$", "it is no JSON, or nested too deeply", wanted)
        return
    for name in sorted(extra)[: flaws.bounds.flaws_max]:
        flaws.add("$", f"it has the key {shown(name)}", "its key: steps")
    _check_count(len(raws), flaws)
    for n, raw in enumerate(raws):
        if flaws.full:
            return
        try:
            value = msgspec.json.decode(raw)
        except _UNREADABLE:
            flaws.add(f"$.steps[{n}]", "it is no JSON, or nested too deeply")
            continue
        _explain_record(value, ProposedStep, f"$.steps[{n}]", flaws)


def _explain_record(value: Any, kind: type[msgspec.Struct], where: str, flaws: Flaws) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if not isinstance(value, dict):
        flaws.add(where, "it is no object", f"its keys: {', '.join(fields)}")
        return
    for name in value:
        if name not in fields:
            flaws.add(where, f"it has the key {shown(name)}", f"its keys: {', '.join(fields)}")
        elif name == "when" and isinstance(value[name], dict):
            _explain_record(value[name], ProposedCondition, f"{where}.when", flaws)
        else:
            _explain_value(value[name], fields[name].type, f"{where}.{name}", flaws)
    for name, field in fields.items():
        if field.required and name not in value:
            flaws.add(where, f"it has no {name}", "add it")


def _explain_value(value: Any, kind: Any, where: str, flaws: Flaws) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # With plain types it names types alone: "Expected `str`, got `int` - at `$[0]`".
        what, _, at = str(error).partition(" - at `$")
        flaws.add(where + at.removesuffix("`"), what.replace("`", ""))


# --- each step by itself ---


class _Examination:
    """Holds proposed steps against the team, each by itself."""

    def __init__(self, roles: Roles, flaws: Flaws, proposed: list[ProposedStep], known: Collection[str]) -> None:
        self._flaws, self._bounds, self._proposed = flaws, flaws.bounds, proposed
        self._known = known
        self._roles = roles
        agents = [name for name in roles if self._bounds.agents is None or name in self._bounds.agents]
        self._actions = {name: frozenset(roles[name].scope.allowed_actions) for name in agents}
        self._team_segments = frozenset(_segments_of(roles))
        self._stand_ins = stand_ins(roles)
        self._fitting: set[str] = set()
        self._readable: dict[str, tuple[paths.Patterns, ...]] = {}

    def steps(self) -> list[Step]:
        """The steps, as far as they are right."""
        if self._are_ordinary():
            kinds = {(one.agent, one.action) for one in self._proposed}
            patterns = {kind: Step("", *kind) for kind in kinds}
            return [_like(patterns[one.agent, one.action], one) for one in self._proposed]
        places: dict[str, int] = {}
        made: list[Step] = []
        for n, one in enumerate(self._proposed):
            if self._flaws.full:
                return []
            if places.setdefault(one.id, n) != n:
                self._flaw(n, "id", f"two steps have the id {shown(one.id)}", "rename one of them")
            self._examine(n, one)
            if not self._flaws.found:
                made += self._made(n, one)
        self._check_needs(places)
        return made

    def _are_ordinary(self) -> bool:
        """Whether all are right, and hold no more than most do. That is told at once, and flaws then one by one."""
        steps, bounds = self._proposed, self._bounds
        said = {(o.agent, o.action, o.samples, o.instructions, _is_bare(o)) for o in steps}
        ids = {one.id for one in steps}
        needs = [one.needs for one in steps]
        given = [one.writes for one in steps if one.writes] + [one.reads for one in steps if one.reads]
        patterns: set[str] = set().union(*given)
        return (
            len(ids) == len(steps)
            and _fit([one.id for one in steps], _are_ids)
            and _fit(patterns, _are_plain_paths)
            and max(map(len, patterns), default=0) <= min(bounds.path_chars_max, paths.PATH_CHARS_MAX)
            and max(map(len, given), default=0) <= bounds.patterns_max
            and set().union(*needs) <= ids
            and max(map(len, needs)) <= bounds.needs_max
            and all(
                is_bare
                and action in self._actions.get(agent, ())
                and 0 <= samples <= bounds.samples_max
                and (not text or _is_text(text, bounds.instructions_chars_max))
                for agent, action, samples, text, is_bare in said
            )
        )

    def _flaw(self, n: int, key: str, what: str, allowed: str) -> None:
        self._flaws.add(f"$.steps[{n}].{key}", what, allowed, self._proposed[n].id)

    def _examine(self, n: int, one: ProposedStep) -> None:
        bounds = self._bounds
        if not is_id(one.id):
            self._flaw(n, "id", f"{shown(one.id)} is no id", "letters, digits, _ and -, 80 at most")
        actions = self._actions.get(one.agent)
        if actions is None:
            self._flaw(n, "agent", f"there is no agent {shown(one.agent)}", f"agents: {listed(self._actions)}")
        elif one.action not in actions:
            allowed = listed(self._roles[one.agent].scope.allowed_actions)
            what = f"{one.agent} may not do {shown(one.action)}"
            self._flaw(n, "action", what, f"allowed_actions of {one.agent}: {allowed}")
        if len(one.needs) > bounds.needs_max:
            self._flaw(n, "needs", f"it has {len(one.needs):,} needs", f"{bounds.needs_max:,} at most")
        if one.instructions and not _is_text(one.instructions, bounds.instructions_chars_max):
            most = f"{bounds.instructions_chars_max:,} characters at most, none of them a control character"
            self._flaw(n, "instructions", f"it is {shown_length(one.instructions)}", most)
        if not 0 <= one.samples <= bounds.samples_max:
            self._flaw(n, "samples", "there are too many or too few", f"1 to {bounds.samples_max:,}")
        elif one.samples and one.for_each is not None:
            self._flaw(n, "samples", "it has both samples and for_each", "keep one")
        self._examine_shares(n, one)
        self._examine_patterns(n, "reads", one.reads or ())
        self._examine_patterns(n, "writes", one.writes or ())
        if one.for_each is not None:
            self._examine_dependence(n, "for_each", one.for_each)
        if one.when is not None:
            self._examine_condition(n, one.when)

    def _examine_shares(self, n: int, one: ProposedStep) -> None:
        """What bounds the copies of a for_each."""
        for key in ("width", "batch"):
            number = getattr(one, key)
            if number and one.for_each is None:
                self._flaw(n, key, f"it has a {key}, but no for_each", "remove it")
            elif not 0 <= number <= WIDTH_MAX:
                self._flaw(n, key, "it is too large or too small", f"1 to {WIDTH_MAX:,}")

    def _examine_patterns(self, n: int, key: str, patterns: Sequence[str]) -> None:
        if len(patterns) > self._bounds.patterns_max:
            most = f"{self._bounds.patterns_max:,} at most"
            self._flaw(n, key, f"there are {len(patterns):,} paths", most)
            return
        for at, pattern in enumerate(patterns):
            if not self._is_fitting(pattern):
                self._flaw(n, f"{key}[{at}]", f"{shown(pattern)} is no path that a plan may name", _PATHS)

    def _is_fitting(self, pattern: str) -> bool:
        """Whether a path or pattern consists of names, not of prose: its segments become keys that agents read."""
        if len(pattern) > self._bounds.path_chars_max:
            return False
        if _PLAIN_PATH.fullmatch(pattern) or pattern in self._fitting:
            return True
        try:
            segments = paths.split(paths.base(paths.parse_pattern(pattern))) if pattern != "*" else ()
        except InterlockError:
            return False
        if not all(_SEGMENT.fullmatch(segment) or segment in self._team_segments for segment in segments):
            return False
        self._fitting.add(pattern)
        return True

    def _examine_dependence(self, n: int, key: str, path: str) -> None:
        """What decides about a step must be readable to its agents: nothing may be learnt past their scopes."""
        if not self._is_fitting(path) or paths.is_open(path):
            self._flaw(n, key, f"{shown(path)} is no path that a plan may name", _PATHS)
            return
        agent = self._proposed[n].agent
        if agent not in self._actions:
            return
        try:
            may_read = all(patterns.cover(paths.canonical(path)) for patterns in self._readable_by(agent))
        except InterlockError as error:
            self._flaw(n, key, f"{shown(path)} is no path", error.fix)
            return
        if not may_read:
            allowed = listed(self._roles[agent].scope.readable)
            self._flaw(n, key, f"{agent} may not read {shown(path)}", f"it may read {allowed}")

    def _readable_by(self, agent: str) -> tuple[paths.Patterns, ...]:
        if agent not in self._readable:
            chain = (agent, *self._stand_ins.get(agent, ()))
            self._readable[agent] = tuple(paths.Patterns(self._roles[name].scope.readable) for name in chain)
        return self._readable[agent]

    def _examine_condition(self, n: int, when: ProposedCondition) -> None:
        self._examine_dependence(n, "when.path", when.path)
        if when.op not in _OPERATORS:
            self._flaw(n, "when.op", f"there is no operator {shown(when.op)}", ", ".join(get_args(Operator)))
            return
        bare = when.op in {"exists", "absent"}
        if bare != (when.value is msgspec.UNSET):
            allowed = "remove it" if bare else "add value, or op: exists"
            self._flaw(n, "when.value", f"{when.op} {'takes no' if bare else 'needs a'} value", allowed)
            return
        try:
            if not bare:
                encode(when.value, bytes_max=self._bounds.condition_bytes_max)
        except ValueRefused:
            most = f"{self._bounds.condition_bytes_max:,} bytes of JSON at most"
            self._flaw(n, "when.value", "it is too large, or no JSON", most)

    def _made(self, n: int, one: ProposedStep) -> Iterator[Step]:
        """The step as the runtime has it, where it can be one."""
        when = one.when
        value = {} if when is None or when.value is msgspec.UNSET else {"value": when.value}
        try:
            yield Step(
                one.id,
                one.agent,
                one.action,
                one.needs,
                one.reads,
                one.writes,
                instructions=one.instructions,
                samples=one.samples,
                for_each=one.for_each,
                width=one.width,
                batch=one.batch,
                when=None if when is None else Condition(when.path, when.op, **value),  # type: ignore[arg-type]
            )
        except InterlockError:
            self._flaw(n, "id", "it can't be made a step", "look at its paths")

    def _check_needs(self, places: Mapping[str, int]) -> None:
        """Needs that are no steps, be it steps of the proposal, copies of them, or known ones."""
        needed = {need for one in self._proposed for need in one.needs}
        if needed <= places.keys():
            return
        copies = {f"{one.id}-{n}" for one in self._proposed for n in range(1, min(one.samples, SAMPLES_MAX) + 1)}
        for n, one in enumerate(self._proposed):
            if self._flaws.full:
                return
            for at, need in enumerate(one.needs):
                if need not in places and need not in copies and need not in self._known:
                    self._flaw(n, f"needs[{at}]", f"{shown(need)} is no step", "name steps of this plan")


def _is_bare(one: ProposedStep) -> bool:
    """Whether a step says nothing of when it runs, and how often."""
    return one.for_each is None and one.when is None and not one.width and not one.batch


def _fit(texts: Collection[str], are_fitting: Callable[[str], object]) -> bool:
    """Whether these texts, a line each, and none of them several lines, are all as they should be."""
    lines = "".join([f"{text}\n" for text in texts])
    return lines.count("\n") == len(texts) and are_fitting(lines) is not None


def _like(pattern: Step, one: ProposedStep) -> Step:
    """An ordinary step, which was found right: as `Step` would make it, without looking at all of it once more."""
    step = copy(pattern)
    _given(step, "id", one.id)
    if one.needs:
        _given(step, "needs", one.needs)
    if one.reads is not None:
        _given(step, "reads", one.reads)
    if one.writes is not None:
        _given(step, "writes", one.writes)
    if one.instructions:
        _given(step, "instructions", one.instructions)
    if one.samples:
        _given(step, "samples", one.samples)
    return step


_PATHS = "dotted names of letters, digits, _ and -, such as ticket.category or ticket.*"


def _segments_of(roles: Roles) -> Iterator[str]:
    """The keys that the team's own scopes name."""
    for role in roles.values():
        for pattern in role.scope.readable:
            if pattern != "*":
                yield from paths.split(paths.base(pattern))


def _is_text(text: str, chars_max: int) -> bool:
    if len(text) > chars_max:
        return False
    return text.isprintable() or all(c.isprintable() or c in "\n\t" for c in text)
