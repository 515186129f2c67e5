"""How a step reconciles what others have said of one thing, as declared: the candidates, and who decides."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, Self, get_args

import msgspec

from interlock.errors import PathError, PlanError

from . import paths
from .sameness import Form

CANDIDATES_MAX = 1_000
QUORUM = 2

Way = Literal["first", "score", "vote", "judge", "person", "dead"]
Missing = Literal["fill", "conflict"]
# Those that may leave a contradiction open, and what may follow each.
_FOLLOWING: dict[str, tuple[Way, ...]] = {
    "vote": ("first", "score", "judge", "person", "dead"),
    "judge": ("person", "dead"),
}
_KEYS = ("among", "policy", "otherwise", "same", "missing", "quorum", "anew")
EXAMPLE = "such as {among: extractions, policy: vote, otherwise: person}"


class Reconcile(msgspec.Struct, frozen=True):
    """What is reconciled, and how.

    among: the paths of the candidates; each: the values at the one path are. ways: who decides about a contradiction,
    one after another. same: by pattern, inside the candidates, in which form values are compared. missing: whether a
    field that only some have is taken from them (`fill`), or is a contradiction. quorum: so many candidates must be
    there. anew: whoever is asked may give a value that no candidate has.
    """

    among: tuple[str, ...]
    each: bool
    ways: tuple[Way, ...]
    same: tuple[tuple[str, Form], ...] = ()
    missing: Missing = "fill"
    quorum: int = QUORUM
    anew: bool = False

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> Self:
        """What `reconcile` declares. Raises PlanError."""
        stray = next((key for key in declared if key not in _KEYS), None)
        if stray is not None:
            raise PlanError(f"reconcile has {stray!r:.80}", fix=f"it has {', '.join(_KEYS)}")
        among, each = _among(declared.get("among"))
        ways = _ways(declared.get("policy"), declared.get("otherwise", "dead"))
        missing, anew = declared.get("missing", "fill"), declared.get("anew", False)
        if missing not in get_args(Missing):
            raise PlanError(f"missing is {missing!r:.80}", fix=f"one of {', '.join(get_args(Missing))}")
        if type(anew) is not bool:
            raise PlanError(f"anew is {anew!r:.80}", fix="true or false")
        if anew and not {"judge", "person"} & {*ways}:
            raise PlanError("anew lets a judge or a person write a new value, and neither is asked", fix="remove it")
        most = CANDIDATES_MAX if each else len(among)
        quorum = declared.get("quorum", min(QUORUM, most))
        if type(quorum) is not int or not 1 <= quorum <= most:
            raise PlanError(f"quorum is {quorum!r:.80}", fix=f"a number from 1 to {most:,}")
        return cls(among, each, ways, _same(declared.get("same", {})), missing, quorum, anew)

    def form_at(self, path: str) -> Form | None:
        """The form in which the values at a path inside the candidates are compared; None for as they stand."""
        return next((form for pattern, form in self.same if paths.covers(pattern, path)), None)

    @property
    def described(self) -> str:
        """What it does, in a few words."""
        of = self.among[0] if self.each else f"{len(self.among)} candidates"
        told = [_TOLD[way] for way in self.ways if way != "dead"]
        return f"reconciles {of}: {', else '.join(told)}"


_TOLD: dict[Way, str] = {
    "first": "the first in the plan",
    "score": "the higher score",
    "vote": "by vote",
    "judge": "by a judge",
    "person": "by a person",
}


def _among(declared: Any) -> tuple[tuple[str, ...], bool]:
    each = isinstance(declared, str)
    listed: Any = [declared] if each else declared
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(path, str) for path in listed):
        raise PlanError("among doesn't say which candidates", fix="a path, whose values they are, or a list of paths")
    if len(listed) > CANDIDATES_MAX:
        raise PlanError(f"among has {len(listed):,} paths", fix=f"{CANDIDATES_MAX:,} at most")
    try:
        found = tuple(map(paths.canonical, listed))
    except PathError as error:
        raise PlanError(f"among: {error.message}", fix=error.fix) from error
    known = {*found}
    nested = next((path for path in found if not known.isdisjoint(paths.prefixes(path))), None)
    if nested is not None or len(known) < len(found):
        again = nested or next(path for path in found if found.count(path) > 1)
        raise PlanError(f"among has {again} twice, by itself or in another", fix="keep one of them")
    return found, each


def _ways(policy: Any, otherwise: Any) -> tuple[Way, ...]:
    several = isinstance(otherwise, Sequence) and not isinstance(otherwise, str)
    listed = [policy, *(otherwise if several else [otherwise])]
    known = get_args(Way)
    if policy == "dead" or not all(isinstance(way, str) and way in known for way in listed):
        raise PlanError(f"policy is {policy!r:.80}, and otherwise {otherwise!r:.80}", fix=f"of {', '.join(known)}")
    for way, following in pairwise(listed):
        if following not in _FOLLOWING.get(way, ("dead",)):
            if way not in _FOLLOWING:
                raise PlanError(
                    f"otherwise: {way} leaves nothing open", fix=f"let {way} be the last: nothing comes after"
                )
            raise PlanError(f"otherwise: {way} is not followed by {following}")
    return tuple(listed)


def _same(declared: Any) -> tuple[tuple[str, Form], ...]:
    if not isinstance(declared, Mapping) or not all(form in get_args(Form) for form in declared.values()):
        fix = f"by path one of {', '.join(get_args(Form))}, such as {{amount: number}}"
        raise PlanError("same doesn't say in which form values are compared", fix=fix)
    try:
        return tuple((paths.parse_pattern(pattern), form) for pattern, form in declared.items())
    except PathError as error:
        raise PlanError(f"same: {error.message}", fix=error.fix) from error
