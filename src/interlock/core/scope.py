"""Scopes: what one agent may do, see and write; and the proof that no two agents own one field.

`Scope` is what a user declares; `Sight` is its reading half, compiled: an agent's, or a step's narrower part of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec

from interlock.errors import TeamError

from . import paths

ReducerKind = Literal["append", "add", "merge"]
_REDUCER_KINDS = get_args(ReducerKind)


class Scope(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one agent may do (`allowed_actions`), read (`context_access`) and write (`write_permissions`).

    The last two are path patterns: `ticket.metadata` is that subtree, `ticket.*` every descendant of `ticket`. Who may
    write a field may read it. Raises PathError for a malformed pattern, TeamError for what is no list of texts.
    """

    allowed_actions: Sequence[str] = ()
    context_access: Sequence[str] = ()
    write_permissions: Sequence[str] = ()

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        set_field(self, "allowed_actions", texts(self.allowed_actions, "allowed_actions"))
        for name in ("context_access", "write_permissions"):
            set_field(self, name, tuple(map(paths.parse_pattern, texts(getattr(self, name), name))))

    @property
    def readable(self) -> tuple[str, ...]:
        """All patterns that may be read: the context access, and what may be written."""
        return (*self.context_access, *self.write_permissions)


def texts(value: Any, what: str) -> tuple[str, ...]:
    """A list of strings as a tuple. Raises TeamError, for a bare string too: `tuple("abc")` would be three patterns."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TeamError(f"{what} is not a list", fix="write [...] around it")
    if not all(isinstance(item, str) for item in value):
        raise TeamError(f"{what} holds something that is not a string")
    return tuple(value)


class Sight:
    """What a step may read: patterns compiled once, and their digest key for the hashes of views.

    narrowed: it belongs to one step alone, so that no other step's view shares its hash sums.
    """

    __slots__ = ("can_read", "key", "narrowed", "patterns")

    def __init__(self, patterns: Sequence[str], *, narrowed: bool = False) -> None:
        compiled = paths.Patterns(tuple(patterns))
        self.patterns, self.can_read, self.narrowed = compiled.patterns, compiled.cover, narrowed
        self.key = "\n".join(sorted(self.patterns)).encode()


class Overlap(msgspec.Struct, frozen=True):
    """Two agents that may write the same field: a finding of the ownership proof."""

    agents: tuple[str, str]
    patterns: tuple[str, str]
    shared: str

    @property
    def message(self) -> str:
        """What is wrong, naming both agents and both patterns."""
        (one, other), (first, second) = self.agents, self.patterns
        return f"agents {one} and {other} both own {self.shared}: {one} may write {first}, {other} may write {second}"

    @property
    def fix(self) -> str:
        """The ways to mend it."""
        one, other = self.agents
        field = paths.base(self.shared)
        sharing = f"or declare a reducer for {field}, or the succession {field}: [{one}, {other}], " if field else ""
        return f"take it from one of them, {sharing}or make one the fallback of the other"


class Sharing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may share a field after all, and how.

    reducers: path -> how several writes are merged. succession: path -> its owners, one after another. stand_ins:
    agent -> the agents that stand in for it when it fails. Raises PathError for a malformed path, TeamError for an
    unknown kind of reducer and for one field with a reducer inside another.
    """

    reducers: Mapping[str, ReducerKind] = {}
    succession: Mapping[str, Sequence[str]] = {}
    stand_ins: Mapping[str, Sequence[str]] = {}

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        for name in ("reducers", "succession"):
            set_field(self, name, {paths.canonical(path): how for path, how in getattr(self, name).items()})
        for key, fields in (("reducers", self.reducers), ("succession", self.succession)):
            template = next((path for path in fields if "{index}" in path or "{step}" in path), None)
            if template is not None:
                message = f"{key} names {template}, but {{step}} and {{index}} belong in the writes of a step"
                raise TeamError(message, fix="name one field", place=(key, template))
        for path, kind in self.reducers.items():
            if kind not in _REDUCER_KINDS:
                fix = f"use one of: {', '.join(_REDUCER_KINDS)}"
                raise TeamError(f"the reducer of {path} is {kind!r}", fix=fix, place=("reducers", path))
            outer = next((prefix for prefix in paths.prefixes(path) if prefix in self.reducers), None)
            if outer is not None:
                message = f"{path} has a reducer and lies inside {outer}, which is merged as a whole"
                raise TeamError(message, fix="keep one of the two reducers", place=("reducers", path))

    def permits(self, one: str, other: str, shared: str) -> bool:
        """Whether two agents may both write the pattern they share."""
        if other in self.stand_ins.get(one, ()) or one in self.stand_ins.get(other, ()):
            return True
        root = paths.base(shared)
        if any(paths.inside(root, field) for field in self.reducers):
            return True
        successions = (owners for field, owners in self.succession.items() if paths.inside(root, field))
        return any({one, other} <= set(owners) for owners in successions)


def overlaps(scopes: Mapping[str, Scope], sharing: Sharing) -> Iterator[Overlap]:
    """The ownership proof: every pair of agents that may write the same field without leave to share it."""
    index = paths.PatternIndex()
    owned: list[tuple[str, str]] = []
    for other, scope in scopes.items():
        patterns = tuple(dict.fromkeys(scope.write_permissions))
        for second in patterns:
            for one, first in (owned[n] for n in paths.bits(index.meeting(second))):
                shared = paths.intersection(first, second)
                if shared is not None and not sharing.permits(one, other, shared):
                    yield Overlap((one, other), (first, second), shared)
        for pattern in patterns:
            index.add(pattern, len(owned))
            owned.append((other, pattern))
