"""What an LLM agent answers: as it declares, or as its job asks; and how that becomes a reply."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from interlock.agents.answer import SAID_CHARS_MAX, Form, parts_in
from interlock.agents.secret import excerpt
from interlock.agents.setting import Setting
from interlock.core import paths
from interlock.core.job import Job, Reply
from interlock.core.schema import WritesSchema
from interlock.errors import PathError, ReplyRefused, TeamError, describe
from interlock.team.output import schema_of

FORMS_MAX = 256
STRAYS_MAX = 5
KEY_CHARS_MAX = 80


class Answers:
    """How the answers of one agent are asked for and read.

    schema: of the answer, where the agent declares one; writes: the patterns of what the agent may write; kind: the
    pydantic model that the schema is of. Raises TeamError for a field that is none of the writes.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None, writes: Sequence[str] = (), kind: Any = None) -> None:
        self._schema, self._kind = schema, kind
        self._fields = _fields((schema or {}).get("properties", {}), writes)
        self._checked = lru_cache(FORMS_MAX)(_checked)

    @classmethod
    def declared(cls, setting: Setting) -> "Answers":
        """As the team file says. Raises TeamError."""
        output = setting.declared.get("output")
        writes = setting.agent.scope.write_permissions
        try:
            if output is None:
                return cls()
            if isinstance(output, str):
                kind = setting.find(output)
                return cls(_schema_of_class(output, kind), writes, kind)
            return cls(schema_of(output), writes)
        except (TeamError, PathError) as error:
            sentence = error.sentence if isinstance(error, TeamError) else error.message
            raise TeamError(f"its output: {sentence}", fix=error.fix, place=("output",)) from None

    def form(self, job: Job) -> Form:
        """What the model is asked for."""
        if self._schema is None:
            return Form.of(job)
        return Form(self._fields, dict(self._schema), open=False).with_requests(job.requests)

    def reply(self, text: str, job: Job, *, held: bool = False) -> Reply:
        """The reply in what the model said. Raises ReplyRefused, which says all that is wrong with it.

        held: the model was given the schema to answer in. Then, or where the agent declares one, prose is no answer.
        """
        form = self.form(job)
        try:
            writes, request = parts_in(text, form, strict=held or self._schema is not None)
        except ReplyRefused as refused:
            raise _refused([refused.message], text) from None
        _refuse([*_strays(writes, form)], text)
        if self._kind is not None:
            writes = self._validated(writes, text)
        else:
            _refuse(self._findings(writes, form), text)
        if self._schema is not None:
            # The whole answer was asked for; a step may write less than its agent.
            writes = {path: value for path, value in writes.items() if _may(job, path)}
        return Reply(writes=writes, request=request)

    def _findings(self, writes: Mapping[str, Any], form: Form) -> list[str]:
        """What is wrong with the writes, as the schema of the form has it."""
        properties = {name: inner for name, inner in form.schema["properties"].items() if name in form.fields}
        key = msgspec.json.encode((form.fields, properties, form.schema.get("required", [])))
        try:
            return [sentence for _, sentence in self._checked(key, form.open).findings(writes)]
        except PathError as error:  # it made up a key
            return [error.message]

    def _validated(self, writes: Mapping[str, Any], text: str) -> dict[str, Any]:
        """The writes as the pydantic model has them."""
        answer = {name: writes[path] for name, path in self._fields.items() if path in writes}
        try:
            made = self._kind.model_validate(answer).model_dump(mode="json", by_alias=True)
        except ValueError as error:
            raise _refused(_complaints(error), text) from None
        return {path: made[name] for name, path in self._fields.items() if name in made}


def _fields(names: Iterable[str], writes: Sequence[str]) -> dict[str, str]:
    """Name of a field -> path. Raises TeamError where two are written to one path."""
    fields: dict[str, str] = {}
    for name in names:
        path = place_of(name, writes)
        if path in fields.values():
            raise TeamError(f"{name} is written to {path}, and so is another field", fix="keep one of them")
        fields[name] = path
    return fields


def place_of(name: str, writes: Sequence[str]) -> str:
    """The path that a field of an answer is written to. Raises TeamError: none, or one of several.

    A field is called by the whole path, by the end of it, or by what it is below the one pattern that ends in `.*`.
    """
    path = paths.canonical(name)
    if any(paths.covers(pattern, path) for pattern in writes):
        return path
    ends = [pattern for pattern in writes if not paths.is_open(pattern) and pattern.endswith("." + path)]
    below = [f"{paths.base(pattern)}.{path}" for pattern in writes if paths.is_open(pattern)]
    found = ends or below
    if len(found) == 1:
        return found[0]
    what = f"may be {' or '.join(found)}" if found else "is none of the fields that the agent may write"
    raise TeamError(f"{name} {what}", fix="call it by its whole path" if found else "add it to write_permissions")


def _strays(writes: Mapping[str, Any], form: Form) -> Iterator[str]:
    """A sentence for each of the first fields that nobody asked for."""
    if not form.open:
        known = set(form.fields.values())
        for path in islice((path for path in writes if path not in known), STRAYS_MAX):
            yield f"{excerpt(path, KEY_CHARS_MAX)!r} is none of the fields: {', '.join(form.fields)}"


def _may(job: Job, path: str) -> bool:
    return not job.writes or any(paths.covers(pattern, path) for pattern in job.writes)


def _checked(key: bytes, is_open: bool) -> WritesSchema:  # noqa: FBT001 - a part of the key
    """What checks the writes of a form."""
    fields, properties, required = msgspec.json.decode(key)
    schema = {fields[name]: inner for name, inner in properties.items()}
    return WritesSchema(
        {"properties": schema, "required": [fields[name] for name in required], "additionalProperties": is_open}
    )


def _schema_of_class(name: str, kind: Any) -> dict[str, Any]:
    if not isinstance(kind, type) or not hasattr(kind, "model_json_schema"):
        raise TeamError(f"{name} is no pydantic model", fix="name a class that is made from pydantic.BaseModel")
    try:
        schema = _unfolded(kind.model_json_schema())
    except Exception as error:  # noqa: BLE001 - pydantic raises its own, and calls what the class defines
        cause = describe(error).partition("\n")[0]
        raise TeamError(f"{name} has no JSON Schema: {cause}", fix="use types that JSON has") from None
    if not schema.get("properties"):
        raise TeamError(f"{name} has no fields", fix="name what the agent is to answer")
    return {**schema, "additionalProperties": False}


def _unfolded(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its fields on top: that of a model which contains itself is a reference to a definition."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return {**schema["$defs"][name], "$defs": schema["$defs"]} if name else schema


def _complaints(error: ValueError) -> list[str]:
    """What a pydantic model finds wrong, without the values: those are in what the model said."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return [describe(error)]
    found = errors(include_url=False, include_context=False, include_input=False)
    return [f"{'.'.join(map(str, one['loc'])) or 'the answer'}: {one['msg']}" for one in found]


def _refuse(sentences: Sequence[str], text: str) -> None:
    if sentences:
        raise _refused(sentences, text)


def _refused(sentences: Sequence[str], text: str) -> ReplyRefused:
    return ReplyRefused("; ".join(sentences), said=excerpt(text, SAID_CHARS_MAX))
