"""Values that fit a JSON Schema: the keywords that the schema of a reply may use, compiled to closures."""

from collections.abc import Mapping
from math import fmod, inf, isfinite, nextafter
from random import Random
from typing import Any

from interlock.core import paths
from interlock.core.schema import WritesSchema
from interlock.core.values import INTEGER_MAX, INTEGER_MIN, decode, encode
from interlock.errors import PathError, TeamError, ValueRefused

from .patterns import matching
from .texts import WORDS, Make, pick, text, texts

EXAMPLES_SHARE = 0.75
PROPERTY_SHARE = 0.8
EDGE_SHARE = 0.15
EXTREME_SHARE = 0.02
# Characters and items that the smallest value of a schema may have.
LEAST_SIZE_MAX = 100_000
# How many items more than the fewest, by how deep the list lies.
_MORE_ITEMS = (5, 3, 2, 1)
_SPAN = 1_000
_MULTIPLES = 200
_FLOAT_MAX = 1e300


def maker(schema: Mapping[str, Any], where: str = "") -> Make:
    """What makes values that fit a schema, from a Random; compiled once.

    where: the path that the schema is of, for messages. The `examples` and the `default` of a schema are taken three
    times out of four. Raises TeamError: a schema that is not supported, that nothing fits, or that needs examples.
    """
    _check(schema, where)
    return _maker(schema, where or "the value", LEAST_SIZE_MAX, 0)


def _check(schema: Mapping[str, Any], where: str) -> None:
    try:
        name = paths.canonical(where)
    except PathError:
        name = "value"
    WritesSchema({"properties": {name: schema}})


def _maker(schema: Mapping[str, Any], where: str, room: int, depth: int) -> Make:
    given = _examples(schema, where)
    if given is None:
        return _made(schema, where, room, depth)
    examples = given
    try:
        made = _made(schema, where, room, depth)
    except TeamError:
        return examples
    return lambda random: examples(random) if random.random() < EXAMPLES_SHARE else made(random)


def _examples(schema: Mapping[str, Any], where: str) -> Make | None:
    examples = schema.get("examples", [])
    if not isinstance(examples, list):
        raise TeamError(f"the examples in the schema of {where} are no list", fix="write [...] around them")
    examples = [*examples, schema["default"]] if "default" in schema else examples
    if not examples:
        return None
    kind = WritesSchema({"properties": {"value": schema}})
    for example in examples:
        wrong = _not_json(example) or next((sentence for _, sentence in kind.findings({"value": example})), "")
        if wrong:
            message = f"the schema of {where} has an example that does not fit it: {wrong.removeprefix('value: ')}"
            raise TeamError(message, fix="mend or remove the example (a default counts as one)")
    encoded = [encode(example) for example in examples]
    return lambda random: decode(pick(random, encoded))


def _not_json(example: Any) -> str:
    try:
        encode(example)
    except ValueRefused as error:
        return error.message
    return ""


def _made(schema: Mapping[str, Any], where: str, room: int, depth: int) -> Make:
    if "enum" in schema or "const" in schema:
        choices = schema["enum"] if "enum" in schema else [schema["const"]]
        return lambda random: pick(random, choices)
    kinds = schema.get("type")
    if isinstance(kinds, list):
        makes = [_made({**schema, "type": kind}, where, room, depth) for kind in kinds]
        return lambda random: pick(random, makes)(random)
    match kinds:
        case "string":
            return _text(schema, where, room)
        case "integer":
            return _integer(schema, where)
        case "number":
            return _number(schema, where)
        case "boolean":
            return lambda random: pick(random, (True, False))
        case "null":
            return lambda _random: None
        case "array":
            return _array(schema, where, room, depth)
        case "object":
            return _object(schema, where, room, depth)
    return anything


def anything(random: Random) -> Any:
    """Any JSON value; every second time a text."""
    return pick(random, _ANYTHING)(random)


def _few(make: Make) -> Make:
    return lambda random: [make(random) for _ in range(int(4 * random.random()))]


def _dictionary(value: Make) -> Make:
    return lambda random: {pick(random, WORDS): value(random) for _ in range(int(4 * random.random()))}


def _scalar(random: Random) -> Any:
    return pick(random, _SCALARS)


_SCALARS = (None, True, False, 0, 1, -1, 7, 42, 1_000, 0.5, -2.25, 1e-9, 2**53 + 1, INTEGER_MIN, INTEGER_MAX)
_ANYTHING = (text, text, text, text, text, _scalar, _scalar, _scalar, _few(text), _dictionary(_scalar))


def _impossible(where: str, what: str) -> TeamError:
    return TeamError(f"nothing fits the schema of {where}: {what}", fix="mend its bounds")


def _too_large(where: str) -> TeamError:
    message = f"the smallest value of the schema of {where} has more than {LEAST_SIZE_MAX:,} characters or items"
    return TeamError(message, fix="lower minLength or minItems, or add examples: [...] to it")


def _text(schema: Mapping[str, Any], where: str, room: int) -> Make:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None and least > most:
        raise _impossible(where, f"no text has at least {least} and at most {most} characters")
    if least > room:
        raise _too_large(where)
    if "pattern" in schema:
        return matching(schema["pattern"], least, most, where)
    return texts(least, most)


# --- numbers ---


def _integer(schema: Mapping[str, Any], where: str) -> Make:
    """Counted in multiples: from `first` times to `last` times what the schema wants a multiple of."""
    unit = schema.get("multipleOf", 1)
    low = max(schema.get("minimum", INTEGER_MIN), schema.get("exclusiveMinimum", INTEGER_MIN - 1) + 1)
    high = min(schema.get("maximum", INTEGER_MAX), schema.get("exclusiveMaximum", INTEGER_MAX + 1) - 1)
    first, last = -(-low // unit), high // unit
    if first > last:
        raise _impossible(where, f"no multiple of {unit} lies between {low} and {high}")
    start, end = _window(first, last)
    edges = _edges(first, last, INTEGER_MAX // unit // 2)

    def make(random: Random) -> Any:
        luck = random.random()
        if luck < EXTREME_SHARE:
            return unit * pick(random, (first, last))
        if luck < EDGE_SHARE:
            return unit * pick(random, edges)
        return unit * (start + int((end - start + 1) * random.random()))

    return make


def _edges(low: Any, high: Any, far: Any) -> list[Any]:
    """The ends of a range and the numbers about 0; an end that is merely that of all numbers is left to luck."""
    inside = [n for n in (low, high, 0, 1, -1) if low <= n <= high]
    return [n for n in inside if abs(n) < far] or inside


def _window(first: Any, last: Any) -> tuple[Any, Any]:
    """The part of a range in which ordinary numbers lie: near to 0, and rather above it."""
    if first >= 0:
        return first, min(last, first + _SPAN)
    if last <= 0:
        return max(first, last - _SPAN), last
    return max(first, -10), min(last, _SPAN)


def _number(schema: Mapping[str, Any], where: str) -> Make:
    low, high = schema.get("minimum", -_FLOAT_MAX), schema.get("maximum", _FLOAT_MAX)
    low = max(low, nextafter(schema.get("exclusiveMinimum", -inf), inf))
    high = min(high, nextafter(schema.get("exclusiveMaximum", inf), -inf))
    if not low <= high:
        raise _impossible(where, f"no number lies between {low} and {high}")
    if "multipleOf" in schema:
        return _multiples(schema["multipleOf"], low, high, where)
    start, end = _window(low, high)
    edges = _edges(low, high, _FLOAT_MAX)

    def make(random: Random) -> Any:
        luck = random.random()
        if luck < EXTREME_SHARE:
            return pick(random, (low, high))
        if luck < EDGE_SHARE:
            return pick(random, edges)
        made = start + (end - start) * random.random()
        short = pick(random, (round(made), round(made, 1), round(made, 2)))
        return short if low <= short <= high else min(max(made, low), high)

    return make


def _multiples(unit: Any, low: Any, high: Any, where: str) -> Make:
    """Few multiples of a fraction are still multiples once they are rounded: find some beforehand."""
    start, end = _window(low / unit, high / unit)
    first = int(start) if isfinite(start) else 0
    counts = [*range(first - 1, first + _MULTIPLES), *(2**n for n in range(12)), int(end)]
    found = dict.fromkeys(n * unit for n in counts if low <= n * unit <= high and fmod(n * unit, unit) == 0)
    if not found:
        raise _impossible(where, f"no multiple of {unit} was found between {low} and {high}")
    pool = tuple(found)
    return lambda random: pick(random, pool)


# --- lists and objects ---


def _array(schema: Mapping[str, Any], where: str, room: int, depth: int) -> Make:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is not None and least > most:
        raise _impossible(where, f"no list has at least {least} and at most {most} items")
    if least > room:
        raise _too_large(where)
    more = _MORE_ITEMS[min(depth, len(_MORE_ITEMS) - 1)]
    choices = 1 + (more if most is None else min(more, most - least))
    item: Make = anything
    if "items" in schema and most != 0:
        item = _maker(schema["items"], f"{where}[]", room // max(1, least), depth + 1)
    return lambda random: [item(random) for _ in range(least + int(choices * random.random()))]


def _object(schema: Mapping[str, Any], where: str, room: int, depth: int) -> Make:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    others = schema.get("additionalProperties", True)
    if not properties and not required and others is not False:
        return _dictionary(anything if others is True else _maker(others, f"{where}.*", room, depth + 1))
    named = [
        (name, name in required, _maker(properties.get(name, {}), f"{where}.{name}", room, depth + 1))
        for name in dict.fromkeys((*properties, *required))
    ]

    def make(random: Random) -> dict[str, Any]:
        luck = random.random
        return {name: one(random) for name, always, one in named if always or luck() < PROPERTY_SHARE}

    return make
