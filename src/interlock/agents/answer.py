"""How what an agent of another framework answers becomes a reply: which fields it is asked for, and what it wrote.

A model is asked for short names (`category`) and not for paths (`ticket.category`); both are understood.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from interlock.core import paths
from interlock.core.job import Job, Reply, Request, Usage
from interlock.core.values import ABSENT
from interlock.errors import ReplyRefused, describe

from .json_text import NotJson, decoded
from .secret import excerpt

SAID_CHARS_MAX = 10_000
FORMS_KEPT_MAX = 256
PATTERNS_SHOWN = 5
PATH_CHARS_SHOWN = 200
# The field of an answer that makes a request, where the agent may make one and writes no field of that name.
REQUEST = "request"
_FENCED = re.compile(r"\s*```(?:json)?[^\S\n]*\n(.*)\n[^\S\n]*```\s*", re.DOTALL)
# What begins like this was to be JSON, even where it is none.
_LIKE_JSON = re.compile(r"[\s\ufeff]*(?:[{[]|```)")


class Form(msgspec.Struct, frozen=True):
    """What a job asks to be written. fields: short name -> path; schema: of the answer, a JSON Schema over the names.

    open: whether paths of its own may be written beside the fields. requests: those that may be made in the field
    `request`. All jobs of a step share one, so it stays as it is.
    """

    fields: dict[str, str]
    schema: dict[str, Any]
    open: bool
    requests: tuple[Request, ...] = ()

    @classmethod
    def of(cls, job: Job) -> "Form":
        """The form for a job: the fields that its schemas name, and those of its writes that they say nothing about."""
        return _form(tuple(job.schemas), tuple(job.writes), tuple(job.requests))

    def with_requests(self, requests: tuple[Request, ...]) -> "Form":
        """The same, and a field for a request."""
        if not requests or REQUEST in self.fields:
            return self
        whom = ", ".join(f"{one.action} has {one.to} go on" for one in requests)
        offered = {"enum": [one.action for one in requests], "description": f"Only where it is called for: {whom}."}
        schema = {**self.schema, "properties": {**self.schema["properties"], REQUEST: offered}}
        return Form(self.fields, schema, self.open, requests)

    def knows(self, key: str) -> bool:
        """Whether a key of an answer is one that is asked for."""
        return key in self.fields or (key == REQUEST and bool(self.requests))

    @property
    def takes_text(self) -> bool:
        """Whether it is one field that is asked for, and a text."""
        kinds = [inner.get("type") for name, inner in self.schema["properties"].items() if name in self.fields]
        return not self.open and kinds == ["string"]

    @property
    def request(self) -> str:
        """The sentence that asks for it, for agents that are not given the schema by other means."""
        if not self.fields and not self.requests:
            return "Answer with one JSON object and nothing else; its keys are dotted paths."
        schema = msgspec.json.encode(self.schema).decode()
        return f"Answer with one JSON object and nothing else, no prose around it, that fits this JSON Schema: {schema}"


@lru_cache(FORMS_KEPT_MAX)
def _form(texts: tuple[str, ...], writes: tuple[str, ...], requests: tuple[Request, ...]) -> Form:
    """The form for jobs with these schemas, writes and requests."""
    schemas = [msgspec.json.decode(text) for text in texts]
    described = {
        paths.canonical(path): inner for schema in schemas for path, inner in schema.get("properties", {}).items()
    }
    required = [paths.canonical(path) for schema in schemas for path in schema.get("required", ())]
    known = dict.fromkeys((*described, *required))
    plain = [p for p in writes if not paths.is_open(p) and not any(paths.inside(path, p) for path in known)]
    names = _names([*known, *plain])
    properties = {name: described.get(path, {"type": "string"}) for name, path in names.items()}
    needed = [name for name, path in names.items() if path in required or not schemas]
    is_open = any(paths.is_open(pattern) for pattern in writes)
    schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": is_open}
    return Form(names, schema, is_open).with_requests(requests)


def _names(known: Sequence[str]) -> dict[str, str]:
    """Short name -> path: as many of the last segments as it takes to tell the paths apart."""
    names: dict[str, str] = {}
    for path in known:
        segments = paths.split(path)
        tails = (paths.join(segments[-length:]) for length in range(1, len(segments) + 1))
        name = next((tail for tail in tails if sum(_ends(other, tail) for other in known) == 1), path)
        names[name] = path
    return names


def _ends(path: str, tail: str) -> bool:
    return path == tail or path.endswith("." + tail)


def reply_of(answer: Any, job: Job, usage: Usage | None = None) -> Reply:
    """The reply that an answer means: a Reply, an object of fields in whatever form, or a text with one.

    A text that is no object is taken whole, where it is one field that is asked for. Raises ReplyRefused, which carries
    the usage and what was said.
    """
    if isinstance(answer, Reply):
        return answer if answer.usage is not None else msgspec.structs.replace(answer, usage=usage)
    try:
        asked = Form.of(job)
        writes, request = _parts(_object(answer, asked), asked)
        _refuse_strays(writes, job)
        return Reply(writes=writes, usage=usage, request=request)
    except ReplyRefused as refused:
        raise ReplyRefused(refused.message, usage=usage, said=_said(answer)) from None
    except Exception as error:  # noqa: BLE001 - an answer's own methods may raise anything when it is looked at
        raise ReplyRefused(f"the answer can't be read: {describe(error)}", usage=usage, said=_said(answer)) from None


def _object(answer: Any, form: Form) -> Mapping[str, Any]:
    if isinstance(answer, str):
        return _of_text(answer, form)
    if isinstance(answer, Mapping):
        return answer
    if hasattr(answer, "model_dump"):  # pydantic, which is never imported here
        dumped: Any = answer.model_dump(mode="json")
        return _object(dumped, form)
    if isinstance(answer, msgspec.Struct) or (dataclasses.is_dataclass(answer) and not isinstance(answer, type)):
        return _object(msgspec.to_builtins(answer), form)
    if len(form.fields) == 1 and not form.open and answer is not None:
        return {next(iter(form.fields)): answer}
    what = "nothing" if answer is None else f"a {type(answer).__name__}"
    raise ReplyRefused(f"the agent answered {what}, not an object with {_wanted(form)}")


def parts_in(text: str, form: Form, *, strict: bool) -> tuple[dict[str, Any], Request | None]:
    """The writes in a text, strays included, and its request. strict: it must be the object that the form describes.

    Raises ReplyRefused.
    """
    return _parts(_of_text(text, form, strict=strict), form)


def _of_text(text: str, form: Form, *, strict: bool = False) -> Mapping[str, Any]:
    if not text.strip():
        raise ReplyRefused(f"the answer is empty; answer with a JSON object with {_wanted(form)}")
    found = _json_in(text)
    if isinstance(found, dict):
        return found
    if len(form.fields) == 1 and not form.open and not strict:
        is_text = form.takes_text and (found is not ABSENT or not _LIKE_JSON.match(text))
        value = text if is_text else found
        if value is not ABSENT:
            return {next(iter(form.fields)): value}
    raise ReplyRefused(f"the answer is no JSON object; answer with one that has {_wanted(form)}, and nothing around it")


def _json_in(text: str) -> Any:
    """The JSON that a text is, or the block of it that the text is; ABSENT where it's neither."""
    fenced = _FENCED.fullmatch(text)
    try:
        return decoded(fenced[1] if fenced else text)
    except NotJson:
        return ABSENT


def _wanted(form: Form) -> str:
    return ", ".join(form.fields) or "dotted paths as its keys"


def _parts(found: Mapping[str, Any], form: Form) -> tuple[dict[str, Any], Request | None]:
    if not form.requests or REQUEST not in found:
        return _writes(found, form), None
    rest = {key: value for key, value in found.items() if key != REQUEST}
    return _writes(rest, form), _request(found[REQUEST], form)


def _request(said: Any, form: Form) -> Request | None:
    """The request that a field means: the name of an action, or an object as interlock.Request has it."""
    if said is None or said == "":
        return None
    action, to = (said.get("action"), said.get("to")) if isinstance(said, Mapping) else (said, None)
    known = next((one for one in form.requests if one.action == action), None)
    if known is None:
        may = ", ".join(one.action for one in form.requests)
        raise ReplyRefused(f"request is {excerpt(str(action), PATH_CHARS_SHOWN)!r}, not one of: {may}")
    return known if to is None else Request(known.action, to)


def _writes(found: Mapping[str, Any], form: Form) -> dict[str, Any]:
    writes: dict[str, Any] = {}
    for key, value in found.items():
        path = form.fields.get(key, key) if isinstance(key, str) else key
        if path in writes:
            raise ReplyRefused(f"{path} is given twice, once under its short name")
        writes[path] = value
    return writes


def _refuse_strays(writes: Mapping[str, Any], job: Job) -> None:
    """Refuse what may not be written at once, in words that help whoever made it up."""
    allowed = paths.Patterns(job.writes)
    for path in writes if job.writes else ():
        if not (isinstance(path, str) and allowed.cover(path)):
            wanted = ", ".join(job.writes[:PATTERNS_SHOWN])
            raise ReplyRefused(f"{excerpt(str(path), PATH_CHARS_SHOWN)} was not asked for; write {wanted}")


def _said(answer: Any) -> str:
    if isinstance(answer, str):
        return excerpt(answer, SAID_CHARS_MAX)
    return f"a {type(answer).__name__}"
