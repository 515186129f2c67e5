"""Dotted paths into a context, and patterns over them.

A path is segments joined by dots: `ticket.category`. A segment that is empty or holds `.`, `*`, `"` or NUL is written
as a JSON string: `ticket."a.b"`. Each path has one spelling (`canonical`), so paths are compared as strings.

A pattern is a path, which grants the subtree at it, or a path and `.*`, which grants every strict descendant; `*`
alone grants all.
"""

import re
from collections.abc import Collection
from functools import lru_cache

import msgspec

from interlock.errors import PathError, cut_short

PATH_CHARS_MAX = 1_024
SHOWN_CHARS_MAX = 80
SEGMENTS_MAX = 32
PIECE_BYTES = 512
FEW = 4
_SPECIAL = re.compile(r'[.*"\0]')
# Most patterns: written as they are kept.
_plain = re.compile(r"[A-Za-z0-9_{}-]+(?:\.[A-Za-z0-9_{}-]+){0,31}(?:\.\*)?").fullmatch
# Up to the closing quote, without a step back: a key may be of a megabyte.
_quoted = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL).match
_decode_segment = msgspec.json.Decoder(str).decode
_encode_segment = msgspec.json.Encoder().encode


def parse(path: str) -> tuple[str, ...]:
    """The segments of a path, unquoted. Raises PathError."""
    if not isinstance(path, str) or not path or len(path) > PATH_CHARS_MAX:
        raise PathError(
            f"{cut_short(str(path), SHOWN_CHARS_MAX)!r} is not a dotted path of 1 to {PATH_CHARS_MAX} characters"
        )
    if not path.isascii() and any("\ud800" <= character <= "\udfff" for character in path):
        raise PathError(f"{path!r} has a lone surrogate, which is not Unicode")
    if "\0" in path:
        raise PathError(f"{path!r} has a NUL", fix="write the key as a JSON string, with \\u0000 in it")
    segments = split(path)
    if len(segments) > SEGMENTS_MAX:
        raise PathError(f"{path!r} has more than {SEGMENTS_MAX} segments")
    return segments


def split(path: str) -> tuple[str, ...]:
    """The segments of a path of any length: that of a leaf is as long as its keys are. Raises PathError."""
    # A leaf under a key of a megabyte must not stay in memory after its run.
    return _cached_split(path) if len(path) <= PATH_CHARS_MAX else _split(path)


def _split(path: str) -> tuple[str, ...]:
    if '"' in path:
        return tuple(_quoted_segments(path))
    segments = path.split(".")
    if "*" in path or not all(segments):
        raise PathError(
            f"{path!r} is not a dotted path: it has {'a *' if '*' in path else 'an empty segment'}",
            fix="write a key that is empty or holds . or * in double quotes",
        )
    return tuple(segments)


_cached_split = lru_cache(65_536)(_split)


def _quoted_segments(path: str) -> list[str]:
    segments, rest = [], path
    while True:
        if rest.startswith('"'):
            quoted = _quoted(rest)
            if quoted is None:
                raise PathError(f"{path!r} has an unclosed quote")
            try:
                segments.append(_decode_segment(quoted[0].encode()))
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                raise PathError(f"{path!r} has a quoted segment that is not a JSON string") from error
            rest = rest[quoted.end() :]
        else:
            head, _, _ = rest.partition(".")
            if not head or _SPECIAL.search(head):
                raise PathError(f"{path!r} has a segment that needs double quotes")
            segments.append(head)
            rest = rest[len(head) :]
        if not rest:
            return segments
        if not rest.startswith("."):
            raise PathError(f"{path!r} lacks a dot after a quoted segment")
        rest = rest[1:]


def segment(key: str) -> str:
    """How one key is written inside a path: as it is, or as a JSON string where it must be quoted."""
    if key and _SPECIAL.search(key) is None:
        return key
    return _encode_segment(key).decode()


def join(segments: tuple[str, ...]) -> str:
    """The canonical path of these segments."""
    return ".".join(segment(key) for key in segments)


@lru_cache(65_536)
def canonical(path: str) -> str:
    """The one spelling of a path. Raises PathError."""
    return join(parse(path))


def respelled(path: str) -> str:
    """The one spelling of a path of any length, such as that of a leaf below a long key. Raises PathError."""
    if len(path) <= PATH_CHARS_MAX and path.count(".") < SEGMENTS_MAX:
        return canonical(path)
    if "\0" in path or any("\ud800" <= character <= "\udfff" for character in path):
        raise PathError(f"{cut_short(path, SHOWN_CHARS_MAX)!r} has a NUL or a lone surrogate")
    return join(split(path))


def prefixes(path: str) -> tuple[str, ...]:
    """Strict prefixes of a canonical path, longest first: `a.b.c` -> (`a.b`, `a`)."""
    return _cached_prefixes(path) if len(path) <= PATH_CHARS_MAX else _prefixes(path)


def _prefixes(path: str) -> tuple[str, ...]:
    segments = path.split(".") if '"' not in path else [segment(key) for key in split(path)]
    return tuple(".".join(segments[:n]) for n in range(len(segments) - 1, 0, -1))


_cached_prefixes = lru_cache(65_536)(_prefixes)


def parse_pattern(pattern: str) -> str:
    """The one spelling of a pattern. Raises PathError."""
    if pattern == "*":
        return pattern
    if isinstance(pattern, str) and len(pattern) <= PATH_CHARS_MAX and _plain(pattern):
        return pattern
    if isinstance(pattern, str) and pattern.endswith(".*"):
        return canonical(pattern[:-2]) + ".*"
    return canonical(pattern)


def base(pattern: str) -> str:
    """The path a pattern starts from: `a.*` -> `a`, `*` -> the empty string."""
    return "" if pattern == "*" else pattern.removesuffix(".*")


def is_open(pattern: str) -> bool:
    """Whether a pattern grants the strict descendants of its base only."""
    return pattern == "*" or pattern.endswith(".*")


def inside(path: str, root: str) -> bool:
    """Whether a path is `root` or below it; the empty root holds everything."""
    return not root or path == root or path.startswith(root + ".")


def covers(pattern: str, path: str) -> bool:
    """Whether a pattern grants a path."""
    if is_open(pattern):
        root = base(pattern)
        return not root or path.startswith(root + ".")
    return inside(path, pattern)


def intersection(one: str, other: str) -> str | None:
    """The pattern that grants exactly what both grant; None where they share nothing.

    Two patterns share a field exactly when the base of one is at or below the base of the other, since every base has
    descendants.
    """
    if base(one) == base(other):
        return one if is_open(one) else other
    if inside(base(one), base(other)):
        return one
    if inside(base(other), base(one)):
        return other
    return None


class Patterns:
    """A set of patterns compiled to one set lookup and one `str.startswith(tuple)`."""

    __slots__ = ("_exact", "_starts", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = tuple(dict.fromkeys(patterns))
        self._exact = frozenset(p for p in patterns if not is_open(p))
        self._starts = ("",) if "*" in patterns else tuple(base(p) + "." for p in patterns)

    def cover(self, path: str) -> bool:
        """Whether one of the patterns grants this canonical path."""
        return path in self._exact or path.startswith(self._starts)

    def contain(self, pattern: str) -> bool:
        """Whether one of the patterns grants all that this one grants."""
        if pattern.startswith(self._starts):
            return True
        return self.reach(pattern) if is_open(pattern) else self.cover(pattern)

    def reach(self, pattern: str) -> bool:
        """Whether one of the patterns starts from the path that this one starts from, or above it."""
        return (base(pattern) + ".").startswith(self._starts)


class PatternIndex:
    """Which of many numbered holders hold a pattern that overlaps with a given one: by path.

    The holders at a path are a list, and a bitset only once somebody asks: most paths have one holder.
    """

    def __init__(self) -> None:
        self._at: dict[str, _Holders] = {}
        self._below: dict[str, _Holders] = {}

    def add(self, pattern: str, holder: int) -> None:
        """Note that this holder holds this pattern."""
        root = base(pattern)
        _note(self._at, root, holder)
        for prefix in _above(root):
            _note(self._below, prefix, holder)

    def meeting(self, pattern: str) -> int:
        """The bitset of the holders of patterns that overlap with this one."""
        found = 0
        for holders in self._met(base(pattern)):
            found |= holders.bitset()
        return found

    def _met(self, root: str) -> list["_Holders"]:
        found = [self._at.get(root), self._below.get(root), *map(self._at.get, _above(root))]
        return [holders for holders in found if holders is not None]


class _Holders:
    """Numbers, and their bitset once it is asked for."""

    __slots__ = ("_bits", "_counted", "numbers")

    def __init__(self, number: int) -> None:
        self.numbers = [number]
        self._bits = self._counted = 0

    def bitset(self) -> int:
        if self._counted < len(self.numbers):
            self._bits |= bitset_of(self.numbers[self._counted :])
            self._counted = len(self.numbers)
        return self._bits


def _note(table: dict[str, _Holders], path: str, holder: int) -> None:
    holders = table.get(path)
    if holders is None:
        table[path] = _Holders(holder)
    else:
        holders.numbers.append(holder)


def _above(root: str) -> list[str]:
    """What lies above a path, longest first, and the empty path last.

    It is cut at the dots inside of quotes, too: with an open quote, what comes out of that is the path of nothing.
    """
    parts = root.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, -1, -1)]


def bitset_of(numbers: Collection[int]) -> int:
    """These numbers as bits."""
    if len(numbers) <= FEW:
        found = 0
        for number in numbers:
            found |= 1 << number
        return found
    flags = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        flags[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(flags, "little")


def bits(bitset: int) -> list[int]:
    """The numbers in a bitset, in rising order."""
    found: list[int] = []
    data = bitset.to_bytes(bitset.bit_length() // 8 + 1, "little")
    # To take one bit off a large number is to copy it: go piece by piece.
    for first in range((len(data) - 1) // PIECE_BYTES * PIECE_BYTES, -1, -PIECE_BYTES):
        left = int.from_bytes(data[first : first + PIECE_BYTES], "little")
        below = 8 * first - 1
        while left:
            length = left.bit_length()
            found.append(below + length)
            left ^= 1 << length - 1
    found.reverse()
    return found
