"""What a Python function takes: a JSON Schema for the model, and the arguments that it is called with."""

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Union, get_type_hints

import msgspec

from interlock.core.job import Job
from interlock.core.values import DEFAULT_LIMITS, Limits, encode
from interlock.errors import NotPerformed, ValueRefused

from .tool import SCHEMA_BYTES_MAX

_NAMELESS = {
    inspect.Parameter.POSITIONAL_ONLY: "can't be given by name",
    inspect.Parameter.VAR_POSITIONAL: "has no name of its own",
    inspect.Parameter.VAR_KEYWORD: "stands for any name",
}
_DEFINITIONS = "#/$defs/"


class Signature:
    """The parameters of a function. One that is annotated `Job` is given the job, and the model doesn't see it.

    Raises TypeError or NameError for parameters without a name or with an annotation that names nothing.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        target = function if inspect.isroutine(function) else function.__call__  # type: ignore[operator]
        hints = get_type_hints(target, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
        self._job = next((p.name for p in parameters if hints.get(p.name) is Job), "")
        given = [p for p in parameters if p.name != self._job]
        self._names = {f"field_{number}": p.name for number, p in enumerate(given)}
        fields = [_field(name, p, hints.get(p.name, Any)) for name, p in zip(self._names, given, strict=True)]
        self._struct = msgspec.defstruct(
            "Arguments", fields, rename=self._names, kw_only=True, forbid_unknown_fields=True
        )

    @cached_property
    def schema(self) -> dict[str, Any]:
        """A JSON Schema of all that the model gives. Raises TypeError for types that JSON can't be made into."""
        (reference,), definitions = msgspec.json.schema_components(
            (self._struct,), ref_template=_DEFINITIONS + "{name}"
        )
        schema: dict[str, Any] = definitions.pop(reference["$ref"].removeprefix(_DEFINITIONS))
        del schema["title"]
        if definitions:
            schema["$defs"] = definitions
        size = len(msgspec.json.encode(schema))
        if size > SCHEMA_BYTES_MAX:
            raise TypeError(f"their schema is {size:,} bytes of JSON, more than {SCHEMA_BYTES_MAX:,}")
        return schema

    def arguments(self, given: Mapping[str, Any], job: Job | None, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
        """What to call the function with. Raises AgentError for arguments that the schema refuses."""
        try:
            encode(given, limits)
            made = msgspec.convert(given, self._struct)
        except (ValueRefused, msgspec.ValidationError) as error:
            raise NotPerformed(f"these are no arguments for it: {error}", again=False) from None
        values = {name: getattr(made, field) for field, name in self._names.items()}
        arguments = {name: value for name, value in values.items() if value is not msgspec.UNSET}
        return {**arguments, self._job: job} if self._job else arguments

    @property
    def takes_job(self) -> bool:
        """Whether the function wants the job."""
        return bool(self._job)


def _field(name: str, parameter: inspect.Parameter, annotation: Any) -> tuple[Any, ...]:
    if parameter.kind in _NAMELESS:
        raise TypeError(f"its parameter {parameter} {_NAMELESS[parameter.kind]}")
    if parameter.default is parameter.empty:
        return (name, annotation)
    # What the model leaves out is left to the function's own default, of whatever kind that is.
    return (name, Union[annotation, msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007 - built at run time
