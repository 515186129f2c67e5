"""Ids, and what a person may have meant by a name that nobody has."""

import re
from collections.abc import Iterable

_is_id = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch


def is_id(text: object) -> bool:
    """Whether this may be the id of a step, or of a run: letters, digits, `_` and `-`, at most 80."""
    return isinstance(text, str) and _is_id(text) is not None


def hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, where there is one."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely means."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for the import

    matches = get_close_matches(name, list(known))
    return matches[0] if matches else None
