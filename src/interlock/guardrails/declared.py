"""From what a team declares as a guardrail to the guardrail: by its name, or a function of the user's own."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import msgspec

from interlock.core.guardrail import COST_MAX, Seat
from interlock.core.naming import hint
from interlock.errors import InterlockError, TeamError

from .function import COST, Function
from .named import Named

WEIGHT_MAX = 1_000.0
# Where each is found, by name: the one place that knows them all.
KINDS = {
    "bounds": "bounds:Bounds",
    "choice": "choice:Choice",
    "confidence": "confidence:Confidence",
    "forbidden": "forbidden:Forbidden",
    "grounded": "grounded:Grounded",
    "injection": "injection:Injection",
    "judge": "judge:Judge",
    "on_topic": "on_topic:OnTopic",
    "regex": "regex:Regex",
    "schema": "schema:Schema",
    "unchanged": "unchanged:Unchanged",
}
_OF_FUNCTIONS = ("use", "weight", "cost")

Find = Callable[[str], Any]


def seat_of(declared: Any, find: Find) -> Seat:
    """The guardrail that is declared, and its weight. Raises TeamError, whose place counts from the declaration.

    find: the object that "module:name" names; it is asked when the guardrail is first needed, or told to resolve.
    """
    if isinstance(declared, str):
        return _seat(declared, {}, find)
    if isinstance(declared, Mapping):
        if "use" in declared:
            return _function(declared, find)
        if len(declared) == 1:
            [(name, options)] = declared.items()
            return _seat(name, {} if options is None else options, find)
    elif callable(declared):
        return Seat(Function(Named(declared, find)))
    raise TeamError("it is no guardrail", fix="write its name, {name: {...its options}}, or use: module:function")


def kind(name: Any) -> Any:
    """The class of the guardrail with this name. Raises TeamError."""
    if name not in KINDS:
        near = hint(name, KINDS) if isinstance(name, str) else ""
        fix = f"there are: {', '.join(KINDS)}; a function of your own goes by use: module:function"
        raise TeamError(f"there is no guardrail {name}{near}", fix=fix)
    module, _, attribute = KINDS[name].partition(":")
    return getattr(import_module(f"{__package__}.{module}"), attribute)


def _seat(name: Any, options: Any, find: Find) -> Seat:
    wanted = kind(name)
    if not isinstance(options, Mapping):
        raise TeamError(f"the options of {name} are no mapping", fix=f"write {name}: {{...}}", place=(name,))
    known = (*(field.encode_name for field in msgspec.structs.fields(wanted)), "weight")
    for option in options:
        if option not in known:
            near = hint(option, known) if isinstance(option, str) else ""
            raise TeamError(
                f"{name} has no option {option}{near}",
                fix=f"its options: {', '.join(known)}",
                place=(name, str(option)),
            )
    weight = _weight(options, (name, "weight"))
    own = {key: value for key, value in options.items() if key != "weight"}
    try:
        made = msgspec.convert(own, wanted)
    except msgspec.ValidationError:
        from .options import problem  # noqa: PLC0415 - only a mistake pays for the import

        raise problem(name, wanted, own) from None
    except InterlockError as error:
        raise TeamError(f"{name}: {error.message}", fix=error.fix, place=(name,)) from None
    bind = getattr(made, "bound", None)
    return Seat(made if bind is None else bind(find), weight)


def _function(declared: Mapping[str, Any], find: Find) -> Seat:
    for option in declared:
        if option == "isolation":
            message = "a guardrail runs in the loop: one with an isolation of its own is not part of this version"
            raise TeamError(message, fix="remove isolation, and keep the function quick", place=("isolation",))
        if option not in _OF_FUNCTIONS:
            near = hint(option, _OF_FUNCTIONS) if isinstance(option, str) else ""
            fix = f"its options: {', '.join(_OF_FUNCTIONS)}"
            raise TeamError(f"a function has no option {option}{near}", fix=fix, place=(str(option),))
    use, cost = declared["use"], declared.get("cost", COST)
    if type(cost) is not int or not 0 <= cost <= COST_MAX:
        raise TeamError(f"cost is {cost!r}, not a whole number from 0 to {COST_MAX}", place=("cost",))
    if not callable(use) and not (isinstance(use, str) and use.count(":") == 1):
        raise TeamError(f"use is {use!r}, not module:function", place=("use",))
    return Seat(Function(Named(use, find), cost), _weight(declared, ("weight",)))


def _weight(options: Mapping[str, Any], place: tuple[str, ...]) -> float:
    weight = options.get("weight", 1.0)
    if type(weight) not in {int, float} or not 0 < weight <= WEIGHT_MAX:
        raise TeamError(f"weight is {weight!r}, not a number above 0 and up to {WEIGHT_MAX:g}", place=place)
    return float(weight)


def json_schema() -> dict[str, Any]:
    """What can be declared as one guardrail, as a JSON Schema."""
    weight = {"type": "number", "exclusiveMinimum": 0, "maximum": WEIGHT_MAX, "description": "How much it counts (1)."}
    function = {
        "type": "object",
        "properties": {
            "use": {"type": "string", "description": "A function of a Draft, as module:function."},
            "weight": weight,
            "cost": {"type": "integer", "minimum": 0, "maximum": COST_MAX, "description": "0 (asked first) to 9."},
        },
        "required": ["use"],
        "additionalProperties": False,
    }
    return {"anyOf": [{"enum": [*KINDS]}, function, *(_one_schema(name, weight) for name in KINDS)]}


def _one_schema(name: str, weight: dict[str, Any]) -> dict[str, Any]:
    wanted = kind(name)
    _, parts = msgspec.json.schema_components([wanted])
    options = dict(parts[wanted.__name__])
    about = {"description": options.pop("description", "").partition("\n")[0]}
    named = {"type": "object", **about, "required": [name], "additionalProperties": False}
    closed = {key: value for key, value in options.items() if key != "title"}
    closed["properties"] = {**closed["properties"], "weight": weight}
    return {**named, "properties": {name: {**closed, "additionalProperties": False}}}
