"""A row of input: one request with the place it was read from, shaped by a mapping."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from interlock.core import paths
from interlock.core.naming import hint
from interlock.errors import InputError, PathError

Mapped = Mapping[str, tuple[str, ...]]


class Row(msgspec.Struct, frozen=True):
    """One request, and where it was read: file and line."""

    place: str
    request: dict[str, Any]


def parse_mapping(mapping: Sequence[str]) -> Mapped:
    """`column=path` pairs as column -> segments. Raises InputError: not such a pair, or two paths that collide."""
    mapped: dict[str, tuple[str, ...]] = {}
    for pair in mapping:
        column, equals, path = pair.rpartition("=")
        if not equals or not column:
            raise InputError(f"--map {pair}: that is no column=path", fix="such as --map question=ticket.message")
        if column in mapped:
            raise InputError(f"--map names the column {column} twice", fix="keep one of them")
        try:
            mapped[column] = paths.parse(path)
        except PathError as error:
            raise InputError(f"--map {pair}: {error.message}", fix=error.fix) from error
    _refuse_collisions(mapped)
    return mapped


def _refuse_collisions(mapped: Mapped) -> None:
    taken: dict[tuple[str, ...], str] = {}
    for column, path in sorted(mapped.items(), key=lambda item: len(item[1])):
        for length in range(1, len(path) + 1):
            other = taken.get(path[:length])
            if other is not None:
                where = paths.join(path[:length])
                raise InputError(f"--map puts {other} and {column} both at {where}", fix="give them different paths")
        taken[path] = column


def request_of(value: Any, place: str, mapped: Mapped) -> dict[str, Any]:
    """The request that a JSON value stands for. Raises InputError."""
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number or boolean")
        raise InputError(f"{place}: a request is an object, not {kind}", fix='such as {"ticket": {...}}')
    if not mapped:
        return value
    missing = next((key for key in mapped if key not in value), None)
    if missing is not None:
        raise InputError(f"{place}: there is no key {missing}, which --map names{hint(missing, value)}")
    return nested([(path, value[key]) for key, path in mapped.items()])


def nested(values: Sequence[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """Values put at their paths."""
    tree: dict[str, Any] = {}
    for path, value in values:
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = value
    return tree
