"""What AutoGen tells of a call while it goes on: its loggers hear of every request to a model and of every error.

There is no other way to count what a failed call consumed: only the messages of one that ends well say it. And a team
makes text of what its members raise, in which a status or a Retry-After can't be found again.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Self

from .foreign import Meter
from .secret import hidden

EVENTS, RUNTIME = "autogen_core.events", "autogen_core"
# A level that no program sets: as long as it stands, nobody else has asked for the events.
LEVEL = logging.INFO - 1
_REQUESTS = {"LLMCall", "LLMStreamEnd"}


class Hearing:
    """What is heard of one call, while it is entered; also by the tasks that are started meanwhile.

    error: the first that was raised inside. refusal: why the model said nothing the last time it was asked.
    """

    def __init__(self, meter: Meter) -> None:
        self.error: Exception | None = None
        self.refusal = ""
        self._meter = meter
        self._heard = False
        self._told: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        _listen()
        self._token: Token[Hearing | None] = _hearing.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _hearing.reset(self._token)
        if not self._heard:  # its client tells no events, or logging is off
            for read, written in self._told:
                self._meter.add("", read, written)

    def hear(self, record: logging.LogRecord) -> None:
        """Take in what was logged."""
        told = getattr(record.msg, "kwargs", None)
        if isinstance(told, dict) and told.get("type") in _REQUESTS:
            self.answered(told.get("response"), told.get("prompt_tokens"), told.get("completion_tokens"))
        error = sys.exc_info()[1]  # what goes wrong is logged where it is caught
        if self.error is None and isinstance(error, Exception):
            self.error = error

    def answered(self, response: Any, read: Any, written: Any) -> None:
        """A model has answered."""
        self.refusal = _refusal(response)
        if _whole(read) or _whole(written):  # else it is a stream that doesn't say
            self._heard = True
            cached = _whole(_at(response, "usage", "prompt_tokens_details", "cached_tokens"))
            self._meter.add(str(_at(response, "model") or ""), _whole(read), _whole(written), cached=cached)

    def said(self, message: Any) -> None:
        """A message came, with what it has cost."""
        usage = getattr(message, "models_usage", None)
        if usage is not None:
            self._told.append((_whole(usage.prompt_tokens), _whole(usage.completion_tokens)))


_hearing: ContextVar[Hearing | None] = ContextVar("interlock_autogen_hearing", default=None)


class _Ear(logging.Filter):
    """Hears what a logger is told, and lets through what would have come through without it."""

    def filter(self, record: logging.LogRecord) -> bool:
        hearing, logger = _hearing.get(), logging.getLogger(record.name)
        comes_through = logger.level != LEVEL or record.levelno >= _level_above(logger)
        if hearing is None:
            return comes_through
        hearing.hear(record)
        if record.exc_info:  # it becomes the error of the call
            return False
        if comes_through:  # what was said is logged whole, errors of clients with their keys in them
            record.msg, record.args = _cleaned(record), ()
        return comes_through


_ear = _Ear()


def _level_above(logger: logging.Logger) -> int:
    return logger.parent.getEffectiveLevel() if logger.parent is not None else logging.NOTSET


def _cleaned(record: logging.LogRecord) -> Any:
    """What is logged, as it is where no secret stands in it."""
    said = record.getMessage()
    cleaned = hidden(said)
    return record.msg if cleaned == said and not record.args else cleaned


def _listen() -> None:
    events = logging.getLogger(EVENTS)
    if events.level == logging.NOTSET and not events.isEnabledFor(logging.INFO):
        events.setLevel(LEVEL)
    for name in (EVENTS, RUNTIME):
        logging.getLogger(name).addFilter(_ear)


def _refusal(response: Any) -> str:
    choices = _at(response, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else response
    if _at(choice, "finish_reason") == "content_filter":
        return "what it said was held back by a content filter"
    return str(_at(choice, "message", "refusal") or "")


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _whole(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
