"""A job as JSON, for agents that are other programs, and the JSON that they answer with: see docs/agents-http.md.

A job travels with all that its step shows. An answer is a reply, or the fields alone: `{"category": "billing"}`.
"""

from typing import Any

import msgspec

from interlock.core.job import DELETE, Effect, Job, Question, Reply, Request, Usage
from interlock.errors import DESCRIPTION_CHARS_MAX, FAILURES, AgentError, AgentRefused, ReplyRefused

from .answer import PATH_CHARS_SHOWN, SAID_CHARS_MAX, Form, reply_of
from .json_text import NotJson, decoded
from .prompt import tree_of
from .secret import excerpt

# Of what is sent: raised when a field changes its meaning or goes, not when one is added.
FORMAT = 1
KIND_CHARS_SHOWN = 80


class Failure(msgspec.Struct, forbid_unknown_fields=True):
    """Why there is no reply. kind: a word of interlock.errors.FAILURES; retry_after: seconds."""

    message: str
    kind: str = "error"
    retry_after: float | None = None

    def of(self, usage: Usage | None) -> AgentError:
        """The error that it means. Raises ReplyRefused for a kind that there isn't."""
        kind = FAILURES.get(self.kind)
        if kind is None:
            shown = excerpt(self.kind, KIND_CHARS_SHOWN)
            raise ReplyRefused(f"error.kind is {shown!r}, not one of {', '.join(FAILURES)}")
        return kind(excerpt(self.message, DESCRIPTION_CHARS_MAX), usage=usage, retry_after=self.retry_after)


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """A reply as JSON: the fields of interlock.Reply, with `deletes` for paths that are deleted.

    refused: why asking again would not help; error: why there is no reply this time.
    """

    writes: dict[str, Any] = {}
    deletes: list[str] = []
    output: Any = None
    usage: Usage | None = None
    confidence: float | None = None
    ask: Question | None = None
    effects: tuple[Effect, ...] = ()
    request: Request | None = None
    refused: str = ""
    error: Failure | None = None


def posted(job: Job) -> bytes:
    """A job as JSON."""
    told = {"format": FORMAT} | {name: getattr(job, name) for name in _AS_THEY_ARE}
    told["view"] = tree_of(job)
    for name in ("draft", "progress", "conflicts"):
        if told[name] is None:
            del told[name]
    told["schemas"] = [msgspec.Raw(text.encode()) for text in job.schemas]
    return msgspec.json.encode(told)


_AS_THEY_ARE = [name for name in Job.__struct_fields__ if name not in {"view", "schemas"}]


def opened(raw: bytes, job: Job) -> Reply:
    """The reply in an answer. Raises ReplyRefused where there is none, AgentError where the answer says that."""
    answer = _decoded(raw)
    if not isinstance(answer, dict) or not _is_envelope(answer, Form.of(job)):
        return reply_of(answer, job)
    usage = _usage(answer)
    try:
        return _reply(msgspec.convert(answer, Envelope), job, usage)
    except (msgspec.ValidationError, ReplyRefused) as error:
        raise ReplyRefused(f"this is no reply: {error}", usage=usage, said=_said(raw)) from None


def _reply(envelope: Envelope, job: Job, usage: Usage | None) -> Reply:
    if envelope.error is not None:
        raise envelope.error.of(usage)
    if envelope.refused:
        raise AgentRefused(excerpt(envelope.refused, DESCRIPTION_CHARS_MAX), usage=usage)
    for path in envelope.deletes:
        if path in envelope.writes:
            raise ReplyRefused(f"{excerpt(path, PATH_CHARS_SHOWN)} is written and deleted; do one of them")
    said = reply_of(envelope.writes | dict.fromkeys(envelope.deletes, DELETE), job)
    return Reply(
        writes=said.writes,
        output=envelope.output,
        usage=usage,
        confidence=envelope.confidence,
        ask=envelope.ask,
        effects=envelope.effects,
        request=envelope.request or said.request,
    )


def _decoded(raw: bytes) -> Any:
    if not raw.strip():
        raise ReplyRefused("the answer is empty; answer with a JSON object")
    try:
        return decoded(raw)
    except NotJson as error:
        raise ReplyRefused(f"the answer is no JSON: {error}", said=_said(raw)) from None
    except ReplyRefused as refused:
        raise ReplyRefused(refused.message, said=_said(raw)) from None


def _is_envelope(answer: dict[str, Any], form: Form) -> bool:
    """Whether an object is a reply, and not the fields of one: a field may be called `output`, too."""
    return "writes" in answer or any(key in answer and not form.knows(key) for key in Envelope.__struct_fields__)


def _usage(answer: dict[str, Any]) -> Usage | None:
    """What the call consumed, even where the rest is wrong."""
    try:
        return msgspec.convert(answer.get("usage"), Usage | None)
    except msgspec.ValidationError:
        return None


def _said(raw: bytes) -> str:
    return excerpt(raw[: 4 * SAID_CHARS_MAX].decode("utf-8", "replace"), SAID_CHARS_MAX)
