"""Shapes of declared data.

Each can name what is wrong with a value, and describe itself as a JSON Schema: so the loader, the Python declarations
and the schema for editors can't disagree.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from interlock.core.naming import hint
from interlock.core.values import encode
from interlock.errors import InterlockError, TeamError, ValueRefused

SHOWN_CHARS_MAX = 60
# Python refuses to write out whole numbers of thousands of digits.
_LONG_NUMBER = 10**SHOWN_CHARS_MAX

Place = tuple[str, ...]


class Shape(Protocol):
    """What a declared value must look like."""

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Everything that is wrong with the value that stands at this place."""

    def schema(self) -> dict[str, Any]:
        """The same as a JSON Schema."""


def dotted(place: Place) -> str:
    """A place as a person would write it: `plan[0].steps[1].agent`."""
    text = "".join(f"[{key}]" if key.isdecimal() else f".{key}" for key in place)
    return text.removeprefix(".") or "the file"


def kind_of(value: Any) -> str:
    """What a person would call a value: a text, a number, true, ..."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if not abs(value) >= _LONG_NUMBER else "a number too long to show"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def placed(problem: TeamError, place: Place, *, file: str = "", line: int = 0) -> TeamError:
    """The same problem, found at a place; and in a line of a file, where that is known."""
    agents = problem.agents or (place[1:2] if place[:1] == ("agents",) else ())
    paths = problem.paths
    return type(problem)(
        problem.sentence, fix=problem.fix, place=place, file=file, line=line, agents=agents, paths=paths
    )


def _not(value: Any, what: str, place: Place, fix: str = "") -> TeamError:
    shown = f"{value[:SHOWN_CHARS_MAX]!r}" if isinstance(value, str) else kind_of(value)
    return TeamError(f"{dotted(place)} is {shown}, not {what}", fix=fix, place=place)


class Text(msgspec.Struct, frozen=True):
    """A text, by default any but the empty one.

    accepts: raises an InterlockError, or returns false, for one that is not `what` names.
    """

    what: str = "a text"
    accepts: Callable[[str], Any] = bool
    keywords: Mapping[str, Any] = {}

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a text, or not the right one."""
        if not isinstance(value, str):
            helps = isinstance(value, bool | int | float) and self._takes(str(value))
            yield _not(value, self.what, place, "put it in quotes" if helps else "")
            return
        try:
            if self.accepts(value) is False:
                yield _not(value, self.what, place)
        except TeamError as error:
            yield _not(value, self.what, place, error.fix)
        except InterlockError as error:
            yield TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place)

    def _takes(self, text: str) -> bool:
        try:
            return self.accepts(text) is not False
        except InterlockError:
            return False

    def schema(self) -> dict[str, Any]:
        """A string."""
        return {"type": "string", **self.keywords}


def matching(what: str, pattern: str) -> Text:
    """A text that the pattern describes from end to end."""
    compiled = re.compile(pattern)
    return Text(what, lambda value: compiled.fullmatch(value) is not None, {"pattern": f"^(?:{pattern})$"})


class Choice(msgspec.Struct, frozen=True):
    """One of these texts."""

    options: tuple[str, ...]

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not one of them."""
        if value not in self.options:
            near = hint(value, self.options) if isinstance(value, str) else ""
            yield _not(value, f"one of {', '.join(self.options)}{near}", place)

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"enum": list(self.options)}


class Whole(msgspec.Struct, frozen=True):
    """A whole number within bounds."""

    least: int
    most: int

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a whole number, or out of bounds."""
        if type(value) is not int or not self.least <= value <= self.most:
            yield _not(value, f"a whole number from {self.least:,} to {self.most:,}", place)

    def schema(self) -> dict[str, Any]:
        """A bounded integer."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Number(msgspec.Struct, frozen=True):
    """A number within bounds."""

    least: float
    most: float

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a number, or out of bounds."""
        if type(value) not in {int, float} or not self.least <= value <= self.most:
            yield _not(value, f"a number from {self.least:,.10g} to {self.most:,.10g}", place)

    def schema(self) -> dict[str, Any]:
        """A bounded number."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}


class Flag(msgspec.Struct, frozen=True):
    """True or false."""

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Neither of them."""
        if type(value) is not bool:
            yield _not(value, "true or false", place)

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


class Json(msgspec.Struct, frozen=True):
    """Any JSON value."""

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not JSON."""
        try:
            encode(value)
        except ValueRefused as error:
            yield TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place)

    def schema(self) -> dict[str, Any]:
        """Anything."""
        return {}


class Compiled(msgspec.Struct, frozen=True):
    """A mapping that `compiles` takes without raising a TeamError."""

    compiles: Callable[[Any], Any]
    what: str

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a mapping of JSON values, or refused."""
        if not isinstance(value, Mapping):
            yield _not(value, self.what, place)
            return
        try:
            encode(value)
            self.compiles(value)
        except InterlockError as error:
            yield TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place)

    def schema(self) -> dict[str, Any]:
        """An object."""
        return {"type": "object"}


class Switch(msgspec.Struct, frozen=True):
    """true or false, or a mapping that says more."""

    more: Shape

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Neither, or what is wrong with the mapping."""
        if not isinstance(value, bool):
            yield from self.more.problems(value, place)

    def schema(self) -> dict[str, Any]:
        """Either of them."""
        return {"anyOf": [{"type": "boolean"}, self.more.schema()]}


class Many(msgspec.Struct, frozen=True):
    """A list of values of one shape."""

    item: Shape
    least: int = 0

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a list, too short, or whatever is wrong with its items."""
        if not isinstance(value, list | tuple):
            yield _not(value, "a list", place, "write [...] around it" if isinstance(value, str) else "")
            return
        if len(value) < self.least:
            yield TeamError(f"{dotted(place)} has {len(value)} items; at least {self.least} are needed", place=place)
        for number, item in enumerate(value):
            yield from self.item.problems(item, (*place, str(number)))

    def schema(self) -> dict[str, Any]:
        """An array."""
        least = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": self.item.schema(), **least}


class Listed(msgspec.Struct, frozen=True):
    """One value of a shape, or a list of them."""

    item: Shape

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """What is wrong with the one, or with its items."""
        is_list = isinstance(value, list | tuple)
        yield from (Many(self.item).problems(value, place) if is_list else self.item.problems(value, place))

    def schema(self) -> dict[str, Any]:
        """Either."""
        return {"anyOf": [self.item.schema(), Many(self.item).schema()]}


class Named(msgspec.Struct, frozen=True):
    """A mapping from keys of one shape to values of one shape."""

    key: Text
    value: Shape
    least: int = 0
    most: int = 10_000

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a mapping, too small or too large, or whatever is wrong with its keys and values."""
        if not isinstance(value, Mapping):
            yield _not(value, "a mapping", place)
            return
        if not self.least <= len(value) <= self.most:
            size = f"has {len(value):,} entries; at most {self.most:,} are possible" if value else "is empty"
            yield TeamError(f"{dotted(place)} {size}", fix="" if value else "give it at least one entry", place=place)
        for name, inner in value.items():
            at = (*place, str(name))
            for problem in self.key.problems(name, at):
                yield TeamError(f"the key {problem.sentence}", fix=problem.fix, place=at)
            yield from self.value.problems(inner, at)

    def schema(self) -> dict[str, Any]:
        """An object with free keys."""
        least = {"minProperties": self.least} if self.least else {}
        value = self.value.schema()
        sizes = {**least, "maxProperties": self.most}
        return {"type": "object", "propertyNames": self.key.schema(), "additionalProperties": value, **sizes}


class Field(msgspec.Struct, frozen=True):
    """One key of a record. lone: nothing else is judged by its value, so that a wrong one hides no other problem."""

    shape: Shape
    description: str
    required: bool = False
    lone: bool = False


class Record(msgspec.Struct, frozen=True):
    """A mapping with known keys. later: keys that are planned, and not part of this version.

    rivals: of these keys, a mapping has one at most.
    """

    what: str
    fields: Mapping[str, Field]
    later: frozenset[str] = frozenset()
    rivals: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any], Place], Iterator[TeamError]] | None = None

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a mapping, keys that are missing, unknown or planned, and whatever is wrong with the values."""
        if not isinstance(value, Mapping):
            yield _not(value, f"a mapping with the keys of {self.what}", place)
            return
        for name in value:
            if name in self.fields:
                yield from self.fields[name].shape.problems(value[name], (*place, name))
            else:
                yield self._unknown(name, place)
        for name in self.fields:
            if self.fields[name].required and name not in value:
                yield TeamError(f"{dotted(place)} has no {name}", fix=self._missing(name), place=place)
        if self.check is not None:
            yield from self.check(value, place)

    def _missing(self, name: str) -> str:
        description = self.fields[name].description
        return f"add it: {description[0].lower()}{description[1:].rstrip('.')}"

    def _unknown(self, name: str, place: Place) -> TeamError:
        at = (*place, name)
        if name in self.later:
            return TeamError(f"{dotted(at)}: {name} is not part of this version", fix="remove it", place=at)
        known = ", ".join(self.fields)
        near = hint(name, self.fields)
        return TeamError(f"{dotted(at)}: {self.what} has no key {name}{near}", fix=f"its keys: {known}", place=at)

    def schema(self) -> dict[str, Any]:
        """An object that is closed."""
        properties = {name: {**f.shape.schema(), "description": f.description} for name, f in self.fields.items()}
        required = [name for name, f in self.fields.items() if f.required]
        closed: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**closed, **({"required": required} if required else {}), **self._one_at_most()}

    def _one_at_most(self) -> dict[str, Any]:
        """Draft 2020-12 has no word for it: one of the rivals stands there alone, or none does."""
        if not self.rivals:
            return {}
        alone = [{"required": [name]} for name in self.rivals]
        return {"oneOf": [*alone, {"not": {"anyOf": alone}}]}


class Brief(msgspec.Struct, frozen=True):
    """A record, or the one value that is enough for most: that of its key `key`, alone."""

    key: str
    record: Record

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """What is wrong with it as the one value, or as the record."""
        if isinstance(value, Mapping):
            yield from self.record.problems(value, place)
        else:
            yield from self.record.fields[self.key].shape.problems(value, place)

    def schema(self) -> dict[str, Any]:
        """Either."""
        return {"anyOf": [self.record.fields[self.key].shape.schema(), self.record.schema()]}


class Either(msgspec.Struct, frozen=True):
    """One of two shapes: the first where the value has a key that marks it."""

    marks: tuple[str, ...]
    marked: Record
    other: Shape

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """What is wrong with it as the record that it is."""
        marked = isinstance(value, Mapping) and not value.keys().isdisjoint(self.marks)
        yield from (self.marked if marked else self.other).problems(value, place)

    def schema(self) -> dict[str, Any]:
        """One or the other."""
        marked = {"anyOf": [{"required": [mark]} for mark in self.marks]}
        return {"if": marked, "then": self.marked.schema(), "else": self.other.schema()}
