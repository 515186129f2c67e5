"""JSON values, and nothing else: a strict validator, the canonical form and its digest.

An encoder turns a datetime, a set or a NaN silently into something else, so what comes back differs from what went
in. Here such values are refused. Objects keep the order in which their keys were written; the digest doesn't see it:
it is taken over the canonical form (UTF-8, keys sorted by code point, shortest floats; `1` differs from `1.0`).
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import isfinite
from typing import Any

import msgspec

from interlock.errors import ValueRefused, cut_short

INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)
DIGEST_BYTES = 32
# Of the keys that lead to a place inside a value; of more, only the first and the last are told.
PLACE_KEYS_SHOWN = 8
KEY_CHARS_SHOWN = 80

encode_written: Any = msgspec.json.Encoder().encode
encode_canonical: Any = msgspec.json.Encoder(order="sorted").encode


def described(function: Any) -> str:
    """A callable as "module:qualname"; an object that isn't a function by its type."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _code(value: Any) -> str:
    if not callable(value):
        raise TypeError(f"a {type(value).__name__} is not JSON")
    return described(value)


# Declarations may hold code, which is declared by where it is found.
encode_declared: Any = msgspec.json.Encoder(order="sorted", enc_hook=_code).encode
decode: Any = msgspec.json.decode


ABSENT = object()


def at(tree: Any, keys: Iterable[str]) -> Any:
    """What stands in a tree of objects where these keys lead; ABSENT where they lead nowhere."""
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return ABSENT
        tree = tree[key]
    return tree


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Bounds on what a run may hold. Sizes are bytes of JSON."""

    value_bytes_max: int = 1 << 20
    commit_bytes_max: int = 4 << 20
    commit_fields_max: int = 10_000
    context_bytes_max: int = 64 << 20
    depth_max: int = 32
    steps_max: int = 10_000
    for_each_width_max: int = 1_000


DEFAULT_LIMITS = Limits()


def encode(value: Any, limits: Limits = DEFAULT_LIMITS, bytes_max: int | None = None) -> bytes:
    """The value as JSON, keys in written order. Raises ValueRefused, naming the place inside the value."""
    most = limits.value_bytes_max if bytes_max is None else bytes_max
    try:
        _Check(most, limits.depth_max).value(value, 0)
    except _NotJsonError as refused:
        raise ValueRefused(refused.sentence()) from None
    raw: bytes = encode_written(value)
    if len(raw) > most:
        raise ValueRefused(f"it is {len(raw):,} bytes of JSON, more than {most:,}")
    return raw


class _NotJsonError(Exception):
    """What is wrong with a value, and where inside it (filled in on the way out, so that good values pay nothing)."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.place: list[str | int] = []

    def sentence(self) -> str:
        return f"{self._where() or 'it'} is {self.what}"

    def _where(self) -> str:
        """The place, without its middle where it lies deep."""
        keys = [_place(key) for key in reversed(self.place)]
        half = PLACE_KEYS_SHOWN // 2
        ends = [keys] if len(keys) <= PLACE_KEYS_SHOWN else [keys[:half], keys[-half:]]
        return " ... ".join("".join(end).removeprefix(".") for end in ends)


def _place(key: str | int) -> str:
    """One step into a value."""
    if isinstance(key, int):
        return f"[{key}]"
    # The sentence is journaled, so a key that is not Unicode can't stand in it as it is.
    return "." + cut_short(key, KEY_CHARS_SHOWN).encode(errors="replace").decode()


class _Check:
    """Walks a value once; stops as soon as it must be too large, so that a hostile one costs no more than the limit."""

    __slots__ = ("depth_max", "left", "most")

    def __init__(self, most: int, depth_max: int) -> None:
        self.most = self.left = most
        self.depth_max = depth_max

    def value(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is str:
            self.text(value)
        elif kind is int:
            if not INTEGER_MIN <= value <= INTEGER_MAX:
                raise _NotJsonError("an integer outside 64 bits; write it as a string")
        elif kind is dict or kind is list:
            self.composite(value, depth + 1)
        elif kind is float:
            if not isfinite(value):
                raise _NotJsonError(f"{value}, which JSON doesn't have")
        elif kind is not bool and value is not None:
            raise _NotJsonError(f"a {kind.__qualname__}, which is not JSON; convert it first")

    def text(self, value: str) -> None:
        self.spend(len(value))
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _NotJsonError("text with a lone surrogate, which is not Unicode") from None

    def composite(self, value: Any, depth: int) -> None:
        if depth > self.depth_max:
            raise _NotJsonError(f"nested deeper than {self.depth_max}")
        self.spend(2 * len(value))
        keyed = type(value) is dict
        key: Any
        for key, inner in value.items() if keyed else enumerate(value):
            # Such a key may be any object at all, so it isn't shown.
            if keyed and type(key) is not str:
                raise _NotJsonError(f"an object with a key of the type {type(key).__name__}; keys are strings")
            try:
                if keyed:
                    self.text(key)
                self.value(inner, depth)
            except _NotJsonError as refused:
                refused.place.append(key)
                raise

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ValueRefused(f"it is larger than {self.most:,} bytes of JSON")


def canonical_bytes(raw: bytes) -> bytes:
    """The canonical form of JSON bytes that `encode` made."""
    if b"{" not in raw:
        return raw
    canonical: bytes = encode_canonical(decode(raw))
    return canonical


def leaf_digest(path: str, raw: bytes, order: int | None = None) -> int:
    """BLAKE2b-256 of one leaf, as a number that can be added up: path, place among contributions if any, value.

    The parts are joined by NUL, which JSON never holds, so no two leaves join to the same bytes.
    """
    place = b"" if order is None else b"%d\0" % order
    text = b"%b\0%b%b" % (path.encode(), place, canonical_bytes(raw))
    return int.from_bytes(blake2b(text, digest_size=DIGEST_BYTES).digest(), "big")


def content_hash(data: bytes) -> str:
    """BLAKE2b-256 of bytes, in hex."""
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def hash_of(value: Any) -> str:
    """The hash of a declaration by its canonical form, in hex."""
    return content_hash(encode_declared(value))
