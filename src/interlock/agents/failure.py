"""How a foreign error becomes one of ours: a framework wraps the error of its client, which wraps what a server said.

The whole chain is looked through for a status, a code and a Retry-After; the text is told without what is secret in it.
"""

import asyncio
import math
import re
import signal
from collections.abc import Iterable, Iterator
from typing import Any

from interlock.core.job import Usage
from interlock.errors import (
    DESCRIPTION_CHARS_MAX,
    AccessDenied,
    AgentError,
    BadRequest,
    ContextTooLong,
    InterlockError,
    Overloaded,
    RateLimited,
    Unreachable,
    describe,
)

from .secret import excerpt, hidden

LINKS_MAX = 20
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context window|prompt is too long|too many tokens in the prompt",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"Timeout|TimedOut|Connect|Network|ReadError|WriteError|RemoteProtocol|Disconnected|IncompleteRead|ServerClosed"
)
_OF_STATUS: dict[int, type[AgentError]] = {
    401: AccessDenied,
    402: AccessDenied,
    403: AccessDenied,
    408: Overloaded,
    409: Overloaded,
    413: ContextTooLong,
    429: RateLimited,
}
_STATUSES, _CLIENT_ERRORS, _SERVER_ERRORS = range(100, 600), range(400, 500), range(500, 600)


def classified(error: BaseException, usage: Usage | None = None) -> AgentError:
    """The failure that a framework's error means. usage: what the call consumed up to then.

    An error of ours is kept as it is, wherever in the chain it lies.
    """
    links = [*_links(error)]
    for link in links:
        if isinstance(link, AgentError):
            link.usage = usage if link.usage is None else link.usage
            return link
        if isinstance(link, InterlockError):
            return BadRequest(excerpt(str(link), DESCRIPTION_CHARS_MAX), usage=usage)
    said = hidden(describe(links[-1] if type(error).__module__ == "builtins" else error))
    kind = _kind(links)
    return kind(said, usage=usage, retry_after=_retry_after(links) if kind in {RateLimited, Overloaded} else None)


def of_status(status: int, said: str, headers: Any = None, usage: Usage | None = None) -> AgentError:
    """The failure that an HTTP status means. said: what the server wrote; headers: a mapping of any kind."""
    kind = _of_status(status, said)
    seconds = _seconds(_header(headers, "retry-after")) if kind in {RateLimited, Overloaded} else None
    told = excerpt(f"HTTP {status}: {said}".rstrip(": "), DESCRIPTION_CHARS_MAX)
    return kind(told, usage=usage, retry_after=seconds)


def ending(code: int) -> str:
    """How a process has ended, from its return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # one of those that have no name
        return f"killed by signal {-code}"


def _links(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was caused by, those in groups included, the outermost first."""
    waiting: list[BaseException] = [error]
    seen: list[BaseException] = []
    while waiting and len(seen) < LINKS_MAX:
        link = waiting.pop(0)
        if any(link is known for known in seen):
            continue
        seen.append(link)
        yield link
        inner: Iterable[BaseException | None] = (link.__cause__, link.__context__, *getattr(link, "exceptions", ()))
        waiting += [one for one in inner if isinstance(one, BaseException)]


def _kind(links: list[BaseException]) -> type[AgentError]:
    for link in links:
        status = _status(link)
        if status is not None:
            return _of_status(status, str(link))
    if any(_TOO_LONG.search(str(link)) for link in links):
        return ContextTooLong
    if any(isinstance(link, OSError | EOFError | asyncio.IncompleteReadError) for link in links):
        return Unreachable
    if any(_UNREACHABLE.search(type(link).__name__) for link in links):
        return Unreachable
    return AgentError


def _of_status(status: int, said: str) -> type[AgentError]:
    if status in _CLIENT_ERRORS and _TOO_LONG.search(said):
        return ContextTooLong
    if status in _CLIENT_ERRORS:
        return _OF_STATUS.get(status, BadRequest)
    return Overloaded if status in _SERVER_ERRORS else AgentError


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "http_status"):
            found = getattr(holder, name, None)
            if type(found) is int and found in _STATUSES:
                return found
    return None


def _retry_after(links: list[BaseException]) -> float | None:
    for link in links:
        for holder in (link, getattr(link, "response", None)):
            seconds = _seconds(_header(getattr(holder, "headers", None), "retry-after"))
            if seconds is not None:
                return seconds
    return None


def _header(headers: Any, name: str) -> str | None:
    try:
        found = next((value for key, value in headers.items() if str(key).lower() == name), None)
    except (AttributeError, TypeError):
        return None
    return None if found is None else str(found)


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; None for the other form, a date by a clock that isn't ours."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
