"""A JSON Schema over the writes of a reply, compiled to msgspec types.

    {required: [ticket.category], properties: {ticket.category: {enum: [billing, cards]}}}

The keywords below are supported, and any other is refused when the team is loaded: a schema that is silently ignored
is worse than none.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, Union

import msgspec

from interlock.errors import PlanError

from . import paths
from .values import ABSENT, at

_NUMBER = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
_TEXT = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
_ARRAY = {"minItems": "min_length", "maxItems": "max_length"}
_PLAIN: dict[str, Any] = {"boolean": bool, "null": None}
_ANNOTATIONS = frozenset({"title", "description", "examples", "default", "$comment"})
_OBJECT = frozenset({"properties", "required", "additionalProperties"})
# Which keywords say something about which type.
_KEYWORDS: dict[str, frozenset[str]] = {
    "string": frozenset(_TEXT),
    "integer": frozenset(_NUMBER),
    "number": frozenset(_NUMBER),
    "array": frozenset(_ARRAY) | {"items"},
    "object": _OBJECT,
}
SCHEMA_DEPTH_MAX = 16
# What no field of a msgspec type may have in its name, beside what can't be printed.
_UNNAMEABLE = frozenset('"\\')


class WritesSchema:
    """Checks the writes of a reply against a JSON Schema whose properties are dotted paths."""

    __slots__ = ("_closed", "_types", "_whole", "required")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises PlanError for a keyword or a shape that is not supported."""
        _known(schema, _OBJECT | _ANNOTATIONS | {"type"}, "the schema")
        if schema.get("type", "object") != "object":
            raise PlanError("the schema of a reply's writes is an object schema", fix="use properties and required")
        properties = _mapping(schema.get("properties", {}), "properties")
        self._types = {paths.canonical(path): _type(inner, path, 1) for path, inner in properties.items()}
        self.required = tuple(paths.canonical(path) for path in _names(schema.get("required", [])))
        self._whole = self._as_one_type()
        self._closed = _is_closed(schema, "the writes")
        for path in self.required:
            if self._closed and self._types.keys().isdisjoint((path, *paths.prefixes(path))):
                message = f"the schema requires {path}, and allows nothing but its properties, among which it is not"
                raise PlanError(message, fix=f"add {path} to the properties")

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that the schema speaks of."""
        return tuple(dict.fromkeys((*self._types, *self.required)))

    def findings(self, writes: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with the writes: pairs of path and sentence; empty when all is well."""
        return [] if self._fits(writes) else [*self._missing(writes), *self._wrong(writes), *self._strays(writes)]

    def _fits(self, writes: Mapping[str, Any]) -> bool:
        """Whether the writes are of just these paths, and all is well, as with most."""
        try:
            msgspec.convert(writes, self._whole)
        except msgspec.ValidationError:
            return False
        for path in writes:  # noqa: SIM110 - a generator would take longer than all else here
            if path not in self._types:
                return False
        return True

    def _as_one_type(self) -> Any:
        """One type for all writes together: msgspec compiles it once, but that of a choice or a list at each use.

        Not every path can name one of its fields, and one field can't be a part of another; writes never fit the type
        that there is then, and are looked at one by one.
        """
        apart = self._types.keys().isdisjoint(prefix for path in self.paths for prefix in paths.prefixes(path))
        if not apart or not all(path.isprintable() and _UNNAMEABLE.isdisjoint(path) for path in self.paths):
            return None
        kinds = {f"field_{number}": path for number, path in enumerate(self.paths)}
        optional = [(field, self._types[path], None) for field, path in kinds.items() if path not in self.required]
        required = [(field, self._types.get(path, Any)) for field, path in kinds.items() if path in self.required]
        return msgspec.defstruct("Writes", [*required, *optional], rename=kinds)

    def _missing(self, writes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for path in self.required:
            if _written(path, writes) is ABSENT:
                yield path, f"{path} is missing; the schema requires it"

    def _wrong(self, writes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for path, kind in self._types.items():
            value = _written(path, writes)
            try:
                if value is not ABSENT:
                    msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                yield path, f"{path}: {error}"

    def _strays(self, writes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for path in writes:
            if path in self._types:
                continue
            whole = next((prefix for prefix in paths.prefixes(path) if prefix in self._types), None)
            if whole is not None:
                yield path, f"{path} is a part of {whole}, which has a schema: write {whole} as a whole"
            elif self._closed:
                yield path, f"{path} is not in the schema"


def _written(path: str, writes: Mapping[str, Any]) -> Any:
    """What the writes put at a path, or inside a value that is written further up."""
    if path in writes:
        return writes[path]
    for prefix in paths.prefixes(path):
        if prefix in writes:
            return at(writes[prefix], paths.split(path)[len(paths.split(prefix)) :])
    return ABSENT


def _type(schema: Any, at: str, depth: int) -> Any:
    """The msgspec type of a schema. msgspec compiles it at its first use: here, not in the middle of a run."""
    if depth > SCHEMA_DEPTH_MAX:
        raise PlanError(f"the schema of {at} is nested deeper than {SCHEMA_DEPTH_MAX}")
    try:
        kind = _kind(_mapping(schema, at), at, depth)
        with suppress(msgspec.ValidationError):
            msgspec.convert(None, kind)
    except (TypeError, ValueError, NotImplementedError, re.error) as error:
        raise PlanError(f"the schema of {at}: {error}") from error
    return kind


def _kind(schema: Mapping[str, Any], at: str, depth: int) -> Any:
    if "enum" in schema or "const" in schema:
        return _choice(schema, at, depth)
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return _one_of(schema, kinds, at, depth)
    match kinds:
        case "string":
            return _bounded(str, schema, _TEXT, at)
        case "integer":
            return _bounded(int, schema, _NUMBER, at)
        case "number":
            return _bounded(float, schema, _NUMBER, at)
        case "array":
            items: Any = _type(schema["items"], f"{at}[]", depth + 1) if "items" in schema else Any
            return _bounded(list.__class_getitem__(items), schema, _ARRAY, at, {"items"})
        case "object":
            return _object(schema, at, depth)
        case "boolean" | "null":
            _known(schema, _ANNOTATIONS | {"type"}, at)
            return _PLAIN[kinds]
        case None if "type" not in schema:
            _known(schema, _ANNOTATIONS | {"type"}, at)
            return Any
    raise PlanError(f"the schema of {at} has the type {kinds!r}, which JSON Schema doesn't have")


def _one_of(schema: Mapping[str, Any], kinds: list[Any], at: str, depth: int) -> Any:
    """Several types. As in JSON Schema, a keyword of one of them says nothing about the others."""
    keywords = [(kind, _KEYWORDS.get(str(kind), frozenset()) | _ANNOTATIONS) for kind in kinds]
    _known(schema, frozenset({"type"}).union(*(known for _, known in keywords)), at)
    types = [
        _type({key: schema[key] for key in schema if key in known} | {"type": kind}, at, depth + 1)
        for kind, known in keywords
    ]
    return Union[tuple(types)]  # noqa: UP007 - built at run time


def _choice(schema: Mapping[str, Any], at: str, depth: int) -> Any:
    only = "enum" if "enum" in schema else "const"
    _known(schema, _ANNOTATIONS | {"type", only}, at)
    choices = schema["enum"] if only == "enum" else [schema["const"]]
    if not isinstance(choices, list) or not choices or not all(type(c) in {str, int, type(None)} for c in choices):
        raise PlanError(f"the schema of {at} has choices other than strings, integers and null")
    if "type" in schema:
        kind = _type({"type": schema["type"]}, at, depth + 1)
        for choice in choices:
            msgspec.convert(choice, kind)  # a choice of another type could never be made
    return Literal[tuple(choices)]


def _bounded(
    kind: Any, schema: Mapping[str, Any], bounds: dict[str, str], at: str, also: set[str] | None = None
) -> Any:
    _known(schema, _ANNOTATIONS | {"type", *bounds, *(also or ())}, at)
    given = {name: schema[keyword] for keyword, name in bounds.items() if keyword in schema}
    return Annotated[kind, msgspec.Meta(**given)] if given else kind


def _object(schema: Mapping[str, Any], at: str, depth: int) -> Any:
    _known(schema, _OBJECT | _ANNOTATIONS | {"type"}, at)
    properties, required = _mapping(schema.get("properties", {}), at), set(_names(schema.get("required", [])))
    others = schema.get("additionalProperties", True)
    if not properties and not required and others is not False:
        values: Any = Any if others is True else _type(others, f"{at}.*", depth + 1)
        return dict.__class_getitem__((str, values))
    fields: list[Any] = []
    renamed = {}
    for number, name in enumerate([*properties, *sorted(required - set(properties))]):
        kind = _type(properties.get(name, {}), f"{at}.{name}", depth + 1)
        renamed[f"field_{number}"] = name
        fields.append((f"field_{number}", kind) if name in required else (f"field_{number}", kind, None))
    closed = _is_closed(schema, at)
    return msgspec.defstruct("Shape", fields, rename=renamed, kw_only=True, forbid_unknown_fields=closed)


def _is_closed(schema: Mapping[str, Any], at: str) -> bool:
    others = schema.get("additionalProperties", True)
    if not isinstance(others, bool):
        raise PlanError(
            f"the schema of {at} has additionalProperties of their own type beside named ones",
            fix="use true or false, or name no properties",
        )
    return not others


def _known(schema: Mapping[str, Any], keywords: frozenset[str] | set[str], at: str) -> None:
    unknown = sorted(set(map(str, schema)) - keywords)
    if unknown:
        raise PlanError(
            f"the schema of {at} uses {', '.join(unknown)}, which is not supported there",
            fix=f"supported: {', '.join(sorted(keywords - _ANNOTATIONS))}",
        )


def _mapping(schema: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        raise PlanError(f"the schema of {at} is not an object")
    return schema


def _names(names: Any) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PlanError("required is not a list of names")
    return names
