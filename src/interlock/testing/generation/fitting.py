"""Values that must please several at once: two schemas, a reducer, those who write below, a condition, a for_each.

They are made for one and tried on the others. That something fits all is shown once, when the maker is made; what was
found then is kept for the calls in which luck fails.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from interlock.core.schema import WritesSchema
from interlock.core.values import ABSENT, at
from interlock.errors import TeamError

from .free import OFTEN, candidates, fresh
from .from_schema import maker
from .interests import Interest
from .texts import Make, pick

PROBES = 300
POOL = 16
TRIES = 16

Keys = tuple[str, ...]
Fits = Callable[[Any], bool]


class Part:
    """A path below another one that a schema describes as well: where it lies, and what makes its values."""

    __slots__ = ("always", "keys", "make")

    def __init__(self, keys: Keys, make: Make, *, always: bool) -> None:
        self.keys, self.make, self.always = keys, make, always


def fitting(makes: Sequence[Make], must: Fits, like: Fits) -> Make | None:
    """What makes values that fit; those that are liked as well, if there are any. None where no value was found."""
    for fits in (lambda value: must(value) and like(value), must):
        for make in makes:
            pool = _pool(make, fits)
            if pool:
                return _filtered(make, fits, pool)
    return None


def _pool(make: Make, fits: Fits) -> list[Any]:
    random = Random(0)  # noqa: S311 - reproducible on purpose
    pool: list[Any] = []
    for _ in range(PROBES):
        value = make(random)
        if fits(value):
            pool.append(value)
            if len(pool) == POOL:
                break
    return pool


def _filtered(make: Make, fits: Fits, pool: list[Any]) -> Make:
    def filtered(random: Random) -> Any:
        for _ in range(TRIES):
            value = make(random)
            if fits(value):
                return value
        return fresh(pick(random, pool))

    return filtered


# --- several schemas ---


def makers(schemas: Sequence[Mapping[str, Any]], where: str) -> list[Make]:
    """What makes values for all of these schemas, best first: for what they say together, then for each alone."""
    made: list[Make] = []
    problem: TeamError | None = None
    for schema in (*_joined(schemas), *schemas):
        try:
            made.append(maker(schema, where))
        except TeamError as error:
            problem = error
    if problem is not None and not made:
        raise problem
    return made


_STRICTER: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
    "enum": lambda one, other: [choice for choice in one if choice in other],
    "required": lambda one, other: [*dict.fromkeys((*one, *other))],
}


def _joined(schemas: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """One schema for what several say, where their keywords can be joined; it is only a guess, to be tried on all."""
    if len(schemas) < 2:  # noqa: PLR2004 - two are several
        return
    joined: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key in joined and joined[key] != value:
                if key not in _STRICTER:
                    return
                joined[key] = _STRICTER[key](joined[key], value)
            else:
                joined[key] = value
    yield joined


# --- what a value is tried on ---


def narrowed(schema: Mapping[str, Any], inside: Fits) -> WritesSchema | None:
    """What a schema says about some of its paths."""
    properties = {path: inner for path, inner in schema.get("properties", {}).items() if inside(path)}
    required = [path for path in schema.get("required", []) if inside(path)]
    return WritesSchema({"properties": properties, "required": required}) if properties or required else None


def shaped(interest: Interest | None, width: int) -> Fits:
    """Whether a value has objects where others write below, and lists that a for_each can expand."""
    places = [] if interest is None else [(keys, node) for keys, node in interest.below() if node.branch or node.listed]

    def fits(value: Any) -> bool:
        for keys, node in places:
            found = at(value, keys)
            if node.branch and found is not ABSENT and not isinstance(found, dict):
                return False
            if node.listed and not (isinstance(found, list) and len(found) <= width):
                return False
        return True

    return fits


# --- changing a value afterwards ---


def with_parts(make: Make, parts: Iterable[Part]) -> Make:
    """Values in which these parts are set."""
    listed = list(parts)
    if not listed:
        return make

    def whole(random: Random) -> Any:
        value = make(random)
        for part in listed:
            if part.always or random.random() < OFTEN:
                value = _placed(value, part.keys, part.make(random))
        return value

    return whole


def swayed(make: Make, interest: Interest | None, fits: Fits) -> Make:
    """Values for which the conditions that look at them hold about every second time, as far as that fits."""
    leads = [] if interest is None else list(_leads(interest, fits))
    if not leads:
        return make

    def sway(random: Random) -> Any:
        value = make(random)
        for keys, choices in leads:
            wanted = pick(random, pick(random, choices))
            changed = _placed(value, keys, fresh(pick(random, wanted))) if wanted else value
            if fits(changed):
                value = changed
        return value

    return sway


def _leads(interest: Interest, fits: Fits) -> Iterator[tuple[Keys, list[tuple[list[Any], list[Any]]]]]:
    """The places that conditions look at, each with values for which they hold and for which they don't."""
    for keys, node in interest.below():
        choices = [candidates(condition) for condition in node.conditions]
        if not keys:
            choices = [(list(filter(fits, holding)), list(filter(fits, failing))) for holding, failing in choices]
        choices = [choice for choice in choices if any(choice)]
        if choices:
            yield keys, choices


def _placed(value: Any, keys: Keys, inner: Any) -> Any:
    """The value with this in place; the value as it is where no object leads there."""
    if not keys:
        return inner
    if not isinstance(value, dict):
        return value
    below = value.get(keys[0], {} if len(keys) > 1 else None)
    return {**value, keys[0]: _placed(below, keys[1:], inner)}
