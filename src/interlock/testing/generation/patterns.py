r"""Texts that match a regular expression: a walk over what Python's own parser makes of it.

The parser is private to Python; where it has moved, and for what can't be made by going forwards (lookarounds,
references back), the error asks for examples instead. What is made is checked with `re.search`, so what the walk leaves
out of account, such as flags and the places that `^` and `\b` match, can only cost tries.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

from interlock.errors import TeamError

from .texts import Make, pick, stretched

PATTERN_CHARS_MAX = 10_000
REPEATS_MAX = 4
PROBES = 1_000
POOL = 16
TRIES = 16
_RANGE_MAX = 64

_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SIGNS = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_ORDINARY = _LETTERS + _DIGITS + _SIGNS
_ALL = _ORDINARY + "\t\n\u00e9\u65e5\U0001f600"
_CATEGORIES = {
    "CATEGORY_DIGIT": (r"\d", _DIGITS),
    "CATEGORY_NOT_DIGIT": (r"\D", _LETTERS + _SIGNS),
    "CATEGORY_SPACE": (r"\s", "   \t\n"),
    "CATEGORY_NOT_SPACE": (r"\S", _ORDINARY.replace(" ", "")),
    "CATEGORY_WORD": (r"\w", _LETTERS + _DIGITS + "_"),
    "CATEGORY_NOT_WORD": (r"\W", _SIGNS.replace("_", "")),
}


class _UnsupportedError(Exception):
    """What of a pattern can't be made."""


def matching(pattern: str, least: int = 0, most: int | None = None, where: str = "") -> Make:
    """What makes texts in which a pattern is found, of `least` to `most` characters.

    Raises TeamError: no regular expression, one with parts that can't be made, or one for which no text of that length
    came up in PROBES tries.
    """
    try:
        walk = _walk(pattern, least)
    except _UnsupportedError as unsupported:
        raise _needs_examples(pattern, where, str(unsupported)) from None
    except (re.error, RecursionError, OverflowError) as error:
        raise _needs_examples(pattern, where, str(error)) from None
    fits = _fitting(pattern, least, most)
    padded = _padded(walk, least)
    pool = _pool(padded, fits)
    if not pool:
        length = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
        raise _needs_examples(pattern, where, f"none of {PROBES:,} tries had {length} characters and matched")

    def make(random: Random) -> str:
        for _ in range(TRIES):
            made: str = padded(random)
            if fits(made):
                return made
        return pick(random, pool)

    return make


def _needs_examples(pattern: str, where: str, why: str) -> TeamError:
    of = f" of {where}" if where else ""
    message = f"no text can be made for the pattern {pattern[:200]!r}{of}: {why}"
    return TeamError(message, fix=f"add examples: [...] to the schema{of}")


def _fitting(pattern: str, least: int, most: int | None) -> Callable[[str], bool]:
    search = re.compile(pattern).search

    def fits(made: str) -> bool:
        if len(made) < least or (most is not None and len(made) > most) or search(made) is None:
            return False
        return made.isascii() or not any("\ud800" <= character <= "\udfff" for character in made)

    return fits


def _padded(walk: Make, least: int) -> Make:
    """Where a match is too short, go on before or after it: many patterns are not tied to both ends."""
    if not least:
        return walk

    def make(random: Random) -> str:
        made: str = walk(random)
        if len(made) >= least:
            return made
        return pick(random, (stretched(made, least), stretched("", least - len(made)) + made))

    return make


def _pool(make: Make, fits: Callable[[str], bool]) -> list[str]:
    random = Random(0)  # noqa: S311 - reproducible on purpose
    pool: list[str] = []
    for _ in range(PROBES):
        made = make(random)
        if fits(made):
            pool.append(made)
            if len(pool) == POOL:
                break
    return pool


# --- the walk ---


def _walk(pattern: str, least: int) -> Make:
    try:
        parse = importlib.import_module("re._parser").parse
    except (ImportError, AttributeError):
        raise _UnsupportedError("this version of Python keeps its parser elsewhere") from None
    parsed = parse(pattern)
    if parsed.getwidth()[0] > PATTERN_CHARS_MAX:
        raise _UnsupportedError(f"what matches has more than {PATTERN_CHARS_MAX:,} characters")
    return _sequence(parsed, least)


def _sequence(parsed: Iterable[Any], least: int) -> Make:
    parts = [_part(op.name, argument, least) for op, argument in parsed]
    if len(parts) == 1:
        return parts[0]
    return lambda random: "".join([part(random) for part in parts])


def _part(name: str, argument: Any, least: int) -> Make:
    match name:
        case "LITERAL":
            return _one_of(chr(argument))
        case "NOT_LITERAL":
            return _one_of(_ALL.replace(chr(argument), ""))
        case "ANY":
            return _one_of(_ORDINARY)
        case "IN":
            return _one_of(_class(argument))
        case "AT":
            return lambda _random: ""
        case "BRANCH":
            branches = [_sequence(branch, least) for branch in argument[1]]
            return lambda random: pick(random, branches)(random)
        case "SUBPATTERN":
            return _sequence(argument[-1], least)
        case "ATOMIC_GROUP":
            return _sequence(argument, least)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = argument
            return _repeat(int(low), int(high), _sequence(inner, least), least)
    raise _UnsupportedError(f"{_NAMES.get(name, name)} can't be made")


_NAMES = {
    "ASSERT": "a lookaround",
    "ASSERT_NOT": "a lookaround",
    "GROUPREF": "a reference back to a group",
    "GROUPREF_EXISTS": "a choice that hangs on a group",
}


def _repeat(low: int, high: int, part: Make, least: int) -> Make:
    """Few times more than the fewest; every second time as often as the shortest text may need."""
    few, many = min(high - low, REPEATS_MAX), min(high - low, max(REPEATS_MAX, least))

    def make(random: Random) -> str:
        more = pick(random, (few, many))
        return "".join([part(random) for _ in range(low + int((more + 1) * random.random()))])

    return make


def _one_of(characters: str) -> Make:
    if not characters:
        raise _UnsupportedError("a class that no ordinary character is in")
    if len(characters) == 1:
        return lambda _random: characters
    return lambda random: pick(random, characters)


def _class(items: list[tuple[Any, Any]]) -> str:
    """The characters that a class such as [a-z_] holds, or the ordinary ones among them."""
    kinds = [(op.name, argument) for op, argument in items]
    if kinds[0][0] == "NEGATE":
        return "".join(c for c in _ALL if not any(_holds(name, argument, c) for name, argument in kinds[1:]))
    return "".join(dict.fromkeys(c for name, argument in kinds for c in _members(name, argument)))


def _members(name: str, argument: Any) -> Iterator[str]:
    if name == "CATEGORY":
        yield from _CATEGORIES[argument.name][1]
    elif name == "RANGE":
        first, last = argument
        ordinary = [c for c in _ORDINARY if first <= ord(c) <= last]
        yield from ordinary or map(chr, range(first, min(last, first + _RANGE_MAX) + 1))
    else:
        yield chr(argument)


def _holds(name: str, argument: Any, character: str) -> bool:
    if name == "CATEGORY":
        return re.match(_CATEGORIES[argument.name][0], character) is not None
    if name == "RANGE":
        return bool(argument[0] <= ord(character) <= argument[1])
    return bool(ord(character) == argument)
