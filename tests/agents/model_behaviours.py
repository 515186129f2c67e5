"""How the model server behaves on a request: well, or badly in one of the ways in which real ones do."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

# Where an answer stops before its end, or isn't one. silent: nothing is sent. hung: headers, then nothing. midway: half
# an answer, then nothing. cut: half an answer, then the connection ends. truncated: half an answer, but a proper end.
# garbage: it isn't JSON. endless: it never ends.
Ends = Literal["", "silent", "hung", "midway", "cut", "truncated", "garbage", "endless"]


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Behaviour:
    """One way to behave.

    seconds: before anything is sent. status, error, headers: an error instead of an answer; {key} in its message is
    the key of the request. says: the text made of the answer that was asked for. knows: answers by the name of the
    field; None as the value echoes what stands between the marks of an echo. refusal, finish: why there is no answer.
    tool: is called, though nobody offered it.
    """

    seconds: float = 0.0
    status: int = 200
    error: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    says: Callable[[Any], str] = as_json
    knows: dict[str, str | None] = field(default_factory=dict)
    refusal: str = ""
    finish: str = ""
    tool: str = ""
    ends: Ends = ""


def canned(text: str) -> Behaviour:
    """Always the same text."""
    return Behaviour(says=lambda value: text)


def slow(seconds: float) -> Behaviour:
    """A good answer, late."""
    return Behaviour(seconds=seconds)


def failing(status: int, message: str, code: str | None = None, **headers: str) -> Behaviour:
    """An HTTP error as OpenAI writes it."""
    kind = "invalid_request_error" if 400 <= status < 429 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Behaviour(status=status, error=error, headers={name.replace("_", "-"): headers[name] for name in headers})


def _in_prose(value: Any) -> str:
    return (
        f"Certainly! I have looked into it.\n\n```json\n{as_json(value)}\n```\n\nIs there anything else {{I}} can do?"
    )


def _with_more(value: Any) -> str:
    return as_json(value | {"unasked": {"owner": "mallory"}})


def _mistyped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mistyped(inner) for key, inner in value.items()}
    return [7, None] if isinstance(value, str) else "seven"


TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
RETRY_AFTER_SECONDS = 7

# By name, and each is what a model of that name does.
BEHAVIOURS = {
    "normal": Behaviour(),
    "echo": Behaviour(knows={"category": None}),
    "prose": Behaviour(says=_in_prose),
    "extra": Behaviour(says=_with_more),
    "mistyped": Behaviour(says=lambda value: as_json(_mistyped(value))),
    "empty": canned(""),
    "surrogate": Behaviour(says=lambda value: as_json(value).replace("billing", r"bil\ud800ling")),
    "refusal": Behaviour(refusal="I can't help with that."),
    "filtered": Behaviour(finish="content_filter"),
    "unoffered": Behaviour(tool="launch_the_rocket"),
    "limited": failing(429, "Rate limit reached", "rate_limit_exceeded", retry_after=str(RETRY_AFTER_SECONDS)),
    "limited-without-end": failing(429, "Rate limit reached", "rate_limit_exceeded"),
    "broken": failing(500, "The server had an error"),
    "unavailable": failing(503, "The engine is currently overloaded"),
    "overloaded": failing(529, "Overloaded", "overloaded_error"),
    "too-long": failing(400, TOO_LONG, "context_length_exceeded"),
    "bad-request": failing(400, "Unrecognized request argument supplied: temprature"),
    "unauthorised": failing(401, "Incorrect API key provided: {key}.", "invalid_api_key"),
    "garbage": Behaviour(ends="garbage"),
    "truncated": Behaviour(ends="truncated"),
    "cut": Behaviour(ends="cut"),
    "silent": Behaviour(ends="silent"),
    "hung": Behaviour(ends="hung"),
    "midway": Behaviour(ends="midway"),
    "endless": Behaviour(ends="endless"),
}


def named(model: str) -> Behaviour:
    """What a model of this name does: as BEHAVIOURS say, late where it is slow-SECONDS, else well."""
    name = model.rpartition("/")[2]
    if name.startswith("slow-"):
        return slow(float(name.removeprefix("slow-")))
    return BEHAVIOURS.get(name, BEHAVIOURS["normal"])
