"""JSON values with the lines they begin in."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from interlock.errors import InputError

_BYTE = re.compile(r" \(byte (\d+)\)")


def _decoded(text: str, origin: str, line: int) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _bad_json(error, text, origin, line) from None


def _bad_json(error: Exception, text: str, origin: str, line: int) -> InputError:
    """The decoder counts bytes; a person counts lines and columns."""
    at = _BYTE.search(str(error))
    said = _BYTE.sub("", str(error)).removeprefix("JSON is malformed: ")
    before = text.encode()[: int(at[1])].decode(errors="replace") if at else text if "truncated" in said else ""
    place = f"{origin}:{line + before.count(chr(10))}"
    column = len(before.rpartition("\n")[2]) + 1
    fix = "one JSON object a line goes into a file named .jsonl" if "trailing" in said else ""
    return InputError(f"{place}: this is not JSON (column {column}: {said})", fix=fix)


def document(text: str, origin: str) -> Iterator[tuple[int, Any]]:
    """The one value of a JSON text, or each item of its list. Raises InputError."""
    start = len(text) - len(text.lstrip())
    if text[start] != "[":
        yield text.count("\n", 0, start) + 1, _decoded(text, origin, 1)
        return
    try:
        items = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _bad_json(error, text, origin, 1) from None
    if not items:
        raise InputError(f"{origin} holds an empty list", fix="write a request into it")
    for line, item in _located(items, text):
        yield line, _decoded(item, origin, line)


def _located(items: list[msgspec.Raw], text: str) -> Iterator[tuple[int, str]]:
    """Each item of a list with its line: the decoder gives the very text of an item, so it is found by it."""
    at, line = text.index("[") + 1, 1 + text.count("\n", 0, text.index("["))
    for item in (bytes(raw).decode() for raw in items):
        found = text.index(item, at)
        line += text.count("\n", at, found)
        yield line, item
        at = found + len(item)
        line += item.count("\n")


def lines(text: str, origin: str) -> Iterator[tuple[int, Any]]:
    """The value of each line that isn't empty. Raises InputError."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _decoded(line, origin, number)


def is_json(text: str) -> bool:
    """Whether a text is a JSON value."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
