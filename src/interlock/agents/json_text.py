"""The JSON that agents write, read strictly: parsers differ on a key that is given twice, so that is no answer."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.errors import ReplyRefused

# Of longer texts the keys aren't compared, which takes a multiple of the time that reading takes.
COMPARED_CHARS_MAX = 1_000_000
KEY_CHARS_SHOWN = 80


class NotJson(Exception):
    """Why a text is none."""


def decoded(text: str | bytes) -> Any:
    """The value that a text holds. Raises NotJson, and ReplyRefused for a key that stands twice in one object."""
    try:
        found = msgspec.json.decode(text)
        if isinstance(found, dict | list) and len(text) <= COMPARED_CHARS_MAX:
            json.loads(text, object_pairs_hook=_compare, parse_int=len, parse_float=len)  # the numbers don't matter
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotJson(str(error)) from None
    return found


def _compare(pairs: Sequence[tuple[str, Any]]) -> None:
    if len(pairs) == len(dict(pairs)):
        return
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ReplyRefused(f"the key {key[:KEY_CHARS_SHOWN]!r} is given twice; give it once")
        seen.add(key)
