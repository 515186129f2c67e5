"""What an LLM agent answers, as its user declares it: a JSON Schema, or fields and their types in a few words.

`text`, `int`, `number`, `bool` and `any` are types; `text 1..80` has so many characters, `int 1..5` lies between;
`[billing, technical]` is one of these; then there are `list of text`, `{name: text}` and `[{name: text}]`. A field
whose name ends in `?` may be left out.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from interlock.core.naming import hint
from interlock.core.schema import WritesSchema
from interlock.errors import InterlockError, TeamError

from .shapes import Place, Text, dotted, kind_of

TYPES: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "any": {},
}
# How others call them.
_OTHER_NAMES = {"str": "text", "string": "text", "integer": "int", "float": "number", "boolean": "bool"}
_BOUNDS = {"text": ("minLength", "maxLength"), "int": ("minimum", "maximum"), "number": ("minimum", "maximum")}
_TYPE = re.compile(r"(?P<list>list of )?(?P<name>\w+)(?: (?P<least>-?\d+(?:\.\d+)?)\.\.(?P<most>-?\d+(?:\.\d+)?))?")
_HOW = "write text, int 1..5, [one, of, these], list of text, {field: type} or [{field: type}]"


class Output(msgspec.Struct, frozen=True):
    """What an agent answers, declared in one of these ways, or by the name of a class."""

    name: Text

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Whatever is wrong with the name, the schema or the fields."""
        if not isinstance(value, Mapping):
            yield from self.name.problems(value, place)
            return
        try:
            schema_of(value, place)
        except TeamError as error:
            yield from error.problems

    def schema(self) -> dict[str, Any]:
        """A name or an object."""
        return {"anyOf": [self.name.schema(), {"type": "object", "minProperties": 1}]}


def schema_of(declared: Mapping[str, Any], place: Place = ()) -> dict[str, Any]:
    """The JSON Schema of an answer that is declared as one, or as fields. Raises TeamError with all that is wrong."""
    schema = dict(declared) if _is_schema(declared) else _object(declared, place)
    try:
        WritesSchema(schema)
    except InterlockError as error:
        raise TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place) from None
    return schema


def _is_schema(declared: Mapping[str, Any]) -> bool:
    return declared.get("type") == "object" and isinstance(declared.get("properties"), Mapping)


def _object(declared: Mapping[str, Any], place: Place) -> dict[str, Any]:
    if not declared:
        raise TeamError(f"{dotted(place)} has no fields", fix="name what the agent is to answer", place=place)
    properties: dict[str, Any] = {}
    problems: list[TeamError] = []
    for key, inner in declared.items():
        name, at = key.removesuffix("?"), (*place, key)
        if name in properties:
            problems.append(TeamError(f"{dotted(place)} has {name} twice", fix="keep one of them", place=at))
        try:
            properties[name] = _typed(inner, at)
        except TeamError as error:
            problems += error.problems
    if problems:
        raise TeamError.of(problems)
    required = [key for key in declared if not key.endswith("?")]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _typed(declared: Any, place: Place) -> dict[str, Any]:
    match declared:
        case str():
            return _named(declared, place)
        case Mapping():
            return _object(declared, place)
        case [Mapping() as item]:
            return {"type": "array", "items": _object(item, (*place, "0"))}
        case list() | tuple() if declared:
            return _choice(declared, place)
    raise TeamError(f"{dotted(place)} is {kind_of(declared)}, not a type", fix=_HOW, place=place)


def _choice(options: Any, place: Place) -> dict[str, Any]:
    for number, option in enumerate(options):
        if type(option) not in {str, int}:
            fix = "put it in quotes" if isinstance(option, bool | float) else "choices are texts and whole numbers"
            raise TeamError(f"{dotted(place)} has {kind_of(option)} as a choice", fix=fix, place=(*place, str(number)))
    kinds = [*dict.fromkeys("string" if isinstance(option, str) else "integer" for option in options)]
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": list(options)}


def _named(text: str, place: Place) -> dict[str, Any]:
    found = _TYPE.fullmatch(text.strip())
    name = found["name"] if found else text
    if found is None or name not in TYPES:
        known = _OTHER_NAMES.get(name)
        near = f"; did you mean {known}?" if known else hint(name, TYPES)
        raise TeamError(f"{dotted(place)}: there is no type {text[:60]}{near}", fix=_HOW, place=place)
    schema = {**TYPES[name], **dict(_bounds(found, name, place))}
    return {"type": "array", "items": schema} if found["list"] else schema


def _bounds(found: re.Match[str], name: str, place: Place) -> Iterator[tuple[str, Any]]:
    if found["least"] is None:
        return
    whole = name != "number"
    if name not in _BOUNDS or (whole and "." in found["least"] + found["most"]):
        message = f"{dotted(place)}: {name} takes no bounds {found['least']}..{found['most']}"
        raise TeamError(message, fix="write text 1..80, int 1..5 or number 0..1", place=place)
    least, most = (int(found[end]) if whole else float(found[end]) for end in ("least", "most"))
    if least > most:
        raise TeamError(f"{dotted(place)}: nothing lies in {least}..{most}", fix="swap the bounds", place=place)
    yield from zip(_BOUNDS[name], (least, most), strict=True)
