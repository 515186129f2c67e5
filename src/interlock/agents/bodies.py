"""Bodies of HTTP that a framework's client reads to their end: bounded while they come, and never unpacked."""

from collections.abc import AsyncIterator
from functools import cache
from importlib import import_module
from typing import Any


def ask_unpacked(request: Any) -> None:
    """Ask for an answer as it is: a few bytes may unpack to gigabytes."""
    request.headers["accept-encoding"] = "identity"


def is_packed(response: Any) -> bool:
    """Whether a server has compressed its answer all the same."""
    return bool(response.headers.get("content-encoding", "identity") != "identity")


def bound(response: Any, bytes_max: int, error: Exception) -> None:
    """Have the body of a response, of httpx or httpx2, end in an error when it grows larger than that."""
    library = type(response).__module__.partition(".")[0]
    response.stream = _body(library)(response.stream, bytes_max, error)


@cache
def _body(library: str) -> Any:
    class Body(import_module(library).AsyncByteStream):  # type: ignore[misc]  # clients insist on one of their own
        def __init__(self, stream: Any, bytes_max: int, error: Exception) -> None:
            self._stream, self._bytes_max, self._error = stream, bytes_max, error

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._stream:
                size += len(chunk)
                if size > self._bytes_max:
                    raise self._error
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Body
