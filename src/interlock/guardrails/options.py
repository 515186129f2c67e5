"""Options of a guardrail that are not as it needs them, said in words."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from interlock.errors import TeamError, cut_short

VALUE_CHARS_MAX = 60


def problem(name: str, wanted: type, options: Mapping[str, Any]) -> TeamError:
    """What is wrong with options that this class can't be made of: the first that is missing, or of another kind."""
    fields = msgspec.structs.fields(wanted)
    for field in fields:
        if field.required and field.encode_name not in options:
            option, words = field.encode_name, words_of(inspect.type_info(field.type))
            return TeamError(f"{name}: {option} is missing", fix=f"give it {option}, {words}", place=(name,))
    for field in fields:
        value = options.get(field.encode_name)
        if field.encode_name in options and not _fits(value, field.type):
            shown = cut_short(repr(value), VALUE_CHARS_MAX)
            words = words_of(inspect.type_info(field.type))
            place = (name, field.encode_name)
            return TeamError(f"{name}: {field.encode_name} is {shown}, not {words}", place=place)
    return TeamError(f"{name} can't be made of these options", place=(name,))


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def words_of(kind: Any) -> str:
    """What a value must be, for people."""
    match kind:
        case inspect.LiteralType():
            return f"one of: {', '.join(map(str, kind.values))}"
        case inspect.UnionType():
            return " or ".join(words_of(one) for one in kind.types if not isinstance(one, inspect.NoneType))
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            number = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            bounds = (("from", kind.ge), ("above", kind.gt), ("up to", kind.le), ("below", kind.lt))
            told = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
            return f"{number} {' and '.join(told)}" if told else number
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list{_of_each(kind.item_type)}"
        case inspect.DictType():
            return f"a mapping{_of_each(kind.value_type)}"
    return "a text"


def _of_each(kind: Any) -> str:
    match kind:
        case inspect.StrType():
            return " of texts"
        case inspect.LiteralType():
            return f" of any of: {', '.join(map(str, kind.values))}"
    return ""
