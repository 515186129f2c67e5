"""Plans with parameters: written once, and made anew with other values of them before anything else is judged."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from interlock.core.naming import hint
from interlock.errors import TeamError

from .shapes import Place, dotted, kind_of
from .source import NODES_MAX, Source

_PARAMETER = re.compile(r"\$\{([A-Za-z0-9_-]{1,80})\}")
_VALUES = (str, int, float, bool)


def expanded(source: Source) -> tuple[Source, list[TeamError]]:
    """The source with a list of steps in the place of each plan that is a template, or like one; what is wrong.

    `plans.NAME` is a list of steps; `{parameters, steps}`, where `${name}` in the steps stands for a parameter; or
    `{like, with}`, which is such a plan with other values.
    """
    declared = source.data.get("plans") if isinstance(source.data, dict) else None
    if not isinstance(declared, dict) or all(isinstance(plan, list) for plan in declared.values()):
        return source, []
    found = _Expansion(declared)
    plans = {name: found.plan(name) for name in declared}
    lines = dict(source.lines) | dict(_lines(source.lines, {name: found.origin(name) for name in plans}))
    data = {**source.data, "plans": {name: plan for name, plan in plans.items() if plan is not None}}
    return msgspec.structs.replace(source, data=data, lines=lines), found.problems


def _lines(lines: Mapping[Place, int], origins: Mapping[str, str]) -> Iterator[tuple[Place, int]]:
    """Where the steps of each plan stand that is made of a template."""
    for place, line in lines.items():
        for name, origin in origins.items():
            if origin and place[:3] == ("plans", origin, "steps"):
                yield ("plans", name, *place[3:]), line


class _Expansion:
    """Makes plans of the templates of a file. problems: what was found wrong on the way, each thing once."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        self._declared = declared
        self._nodes = 0
        self._found: dict[str, TeamError] = {}

    @property
    def problems(self) -> list[TeamError]:
        return [*self._found.values()]

    def origin(self, name: str) -> str:
        """The template that a plan is made of; "" for one that is written out."""
        plan = self._declared[name]
        like = plan.get("like", name) if isinstance(plan, dict) else ""
        return like if isinstance(like, str) else ""

    def plan(self, name: str) -> Any:
        """The steps of a plan; None where what it is made of is wrong. What is no template is left as it is."""
        declared, place = self._declared[name], ("plans", name)
        if not isinstance(declared, dict):
            return declared
        try:
            return self._like(declared, place) if "like" in declared else self._itself(name, declared, place)
        except TeamError as error:
            self._found.setdefault(error.sentence, error)
            return None

    def _itself(self, name: str, declared: Mapping[str, Any], place: Place) -> Any:
        _check_keys(declared, ("parameters", "steps"), place)
        values = _checked(declared.get("parameters", {}), (*place, "parameters"))
        steps, used = self._filled(name, values)
        idle = next((name for name in values if name not in used), None)
        if idle is not None:
            message = f"nothing in the steps of {dotted(place)} uses its parameter {idle}"
            fix = f"write ${{{idle}}} where it is meant, or remove it"
            raise TeamError(message, fix=fix, place=(*place, "parameters", idle))
        return steps

    def _like(self, declared: Mapping[str, Any], place: Place) -> Any:
        _check_keys(declared, ("like", "with"), place)
        like = declared["like"]
        names = [name for name, plan in self._declared.items() if isinstance(plan, dict) and "steps" in plan]
        if like not in names:
            near = hint(like, names) if isinstance(like, str) else ""
            fix = f"name one of: {', '.join(names)}" if names else "give a plan parameters and steps"
            message = f"{dotted(place)} is like no plan with parameters{near}"
            raise TeamError(message, fix=fix, place=(*place, "like"))
        own = _checked(self._declared[like].get("parameters", {}), ("plans", like, "parameters"))
        other = _checked(declared.get("with", {}), (*place, "with"))
        unknown = next((name for name in other if name not in own), None)
        if unknown is not None:
            message = f"{dotted((*place, 'with'))} gives {unknown}, which is no parameter of {like}{hint(unknown, own)}"
            fix = f"its parameters: {', '.join(own) or 'none'}"
            raise TeamError(message, fix=fix, place=(*place, "with", unknown))
        return self._filled(like, {**own, **other})[0]

    def _filled(self, template: str, values: Mapping[str, Any]) -> tuple[Any, set[str]]:
        """The steps of a template with these values in the place of its parameters; and which of these it uses."""
        used: set[str] = set()
        return self._fill(self._declared[template].get("steps"), values, used, ("plans", template, "steps")), used

    def _fill(self, value: Any, values: Mapping[str, Any], used: set[str], place: Place) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            message = f"the plans hold more than {NODES_MAX:,} values, with their parameters filled in"
            raise TeamError(message, fix="fewer plans, or shorter ones", place=("plans",))
        if isinstance(value, list):
            return [self._fill(item, values, used, (*place, str(n))) for n, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._fill(inner, values, used, (*place, key)) for key, inner in value.items()}
        if not isinstance(value, str) or "${" not in value:
            return value
        named = _PARAMETER.findall(value)
        unknown = next((name for name in named if name not in values), None)
        if unknown is not None:
            message = f"{dotted(place)} uses ${{{unknown}}}, which is no parameter{hint(unknown, values)}"
            raise TeamError(message, fix=f"the parameters: {', '.join(values) or 'none'}", place=place)
        used.update(named)
        if _PARAMETER.fullmatch(value):
            return values[named[0]]
        return _PARAMETER.sub(lambda found: _written(values[found[1]]), value)


def _check_keys(declared: Mapping[str, Any], wanted: tuple[str, ...], place: Place) -> None:
    stray = next((key for key in declared if key not in wanted), None)
    if stray is not None:
        message = f"{dotted(place)} has no key {stray}{hint(stray, wanted)}"
        raise TeamError(message, fix=f"its keys: {', '.join(wanted)}", place=(*place, stray))


def _checked(given: Any, place: Place) -> Mapping[str, Any]:
    """Parameters and their values. Raises TeamError for what can't be filled in."""
    if not isinstance(given, dict):
        raise TeamError(f"{dotted(place)} is {kind_of(given)}, not a mapping", fix="write name: value", place=place)
    for name, value in given.items():
        if not isinstance(value, _VALUES):
            message = f"{dotted((*place, name))} is {kind_of(value)}, not a text, a number, true or false"
            raise TeamError(message, fix="write a list or a mapping out in the steps", place=(*place, name))
        if _PARAMETER.fullmatch(f"${{{name}}}") is None:
            message = f"{dotted(place)} has the name {name!r:.100}"
            raise TeamError(message, fix="use letters, digits, _ and -, at most 80", place=(*place, name))
    return given


def _written(value: Any) -> str:
    """A value inside a text, as it is written in the file."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
