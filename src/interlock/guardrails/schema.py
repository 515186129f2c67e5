"""`schema`: what a model of pydantic or a JSON Schema says of the writes, or of the output."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import msgspec

from interlock.core import paths
from interlock.core.events import Finding
from interlock.core.guardrail import FINDINGS_MAX, FINE, Draft, Opinion
from interlock.core.job import DELETE
from interlock.core.schema import WritesSchema
from interlock.errors import TeamError

from .named import Named

_OUTPUT = "output"


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The writes, or the output, fit a schema.

    model: a pydantic model, as module:class; of writes it describes the object that they make when they are nested.
    json: a JSON Schema; of writes its properties are dotted paths. of: writes (the default) or output. Without any of
    them it stands for the `schema` of the agent and of the step.
    """

    model: str = ""
    json: dict[str, Any] | None = None
    of: Literal["writes", "output"] = "writes"

    name: ClassVar[str] = "schema"
    cost: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.model and self.json is not None:
            raise TeamError("it has model and json", fix="keep one of them")
        if not self.model and self.json is None and self.of == _OUTPUT:
            raise TeamError("it says of: output, and has no schema", fix="give it model, or json")

    def bound(self, find: Callable[[str], Any]) -> Any:
        """The guardrail that checks by what is declared here."""
        if self.model:
            return ModelSchema(Named(self.model, find), self.of)
        return self if self.json is None else JsonSchema(self.json, self.of)

    @property
    def rests_on_schema(self) -> bool:
        """That it has nothing to check by but what agent and step declare, which is checked before it."""
        return True

    def check(self, draft: Draft) -> Opinion:
        """Nothing is left to say: a reply that does not fit the declared schemas gets no further than these."""
        return FINE


class JsonSchema:
    """A JSON Schema over the writes or the output."""

    __slots__ = ("_of", "_schema", "cost", "name", "watches")

    def __init__(self, schema: Mapping[str, Any], of: str) -> None:
        self.name, self.cost, self._of = Schema.name, Schema.cost, of
        # That of an output is one property, so that it can be of any type.
        is_output = of == _OUTPUT
        self._schema = WritesSchema({"properties": {_OUTPUT: schema}, "required": [_OUTPUT]} if is_output else schema)
        self.watches = () if is_output else self._schema.paths

    def check(self, draft: Draft) -> Opinion:
        """Whether it fits."""
        if self._of == _OUTPUT:
            looked_at: Mapping[str, Any] = {_OUTPUT: draft.output}
        elif DELETE in (looked_at := draft.writes).values():
            looked_at = _values(looked_at)
        found = self._schema.findings(looked_at)
        return Opinion(0.0, tuple(Finding(self.name, told, path) for path, told in found)) if found else FINE


class ModelSchema:
    """A pydantic model of the writes or the output."""

    __slots__ = ("_model", "_of", "cost", "name")

    def __init__(self, model: Named, of: str) -> None:
        self.name, self.cost, self._model, self._of = Schema.name, Schema.cost, model, of

    def resolve(self) -> None:
        """Find the model. Raises TeamError: there is none, or it is no model of pydantic."""
        if not callable(getattr(self._model.get(), "model_validate", None)):
            message = f"{self._model.reference} is no pydantic model"
            raise TeamError(message, fix="name a class that derives from pydantic.BaseModel")

    def check(self, draft: Draft) -> Opinion:
        """Whether the model takes it, without changing any type."""
        value = draft.output if self._of == _OUTPUT else nested(_values(draft.writes))
        try:
            self._model.get().model_validate(value, strict=True)
        except ValueError as error:
            return Opinion(0.0, tuple(self._findings(error)))
        return FINE

    def _findings(self, error: ValueError) -> Iterator[Finding]:
        told: Any = getattr(error, "errors", None)
        if told is None:
            raise error
        for found in told(include_url=False, include_context=False, include_input=False)[:FINDINGS_MAX]:
            path = ".".join(paths.segment(str(key)) for key in found["loc"])
            yield Finding(self.name, f"{path or self._of}: {found['msg']}", path if self._of != _OUTPUT else "")


def _values(writes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The writes that delete nothing."""
    return {path: value for path, value in writes.items() if value is not DELETE}


def nested(writes: Mapping[str, Any]) -> dict[str, Any]:
    """The object that these writes make."""
    tree: dict[str, Any] = {}
    for path, value in writes.items():
        *above, last = paths.split(path)
        branch = tree
        for key in above:
            branch = branch.setdefault(key, {})
        branch[last] = value
    return tree
