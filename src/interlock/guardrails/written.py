"""What a draft puts at a path, wherever in its writes that stands."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from interlock.core import paths
from interlock.core.job import DELETE
from interlock.core.values import ABSENT, at


class _Part:
    """Stands for a value of which a part is written alone, so that nobody can judge the whole."""

    def __repr__(self) -> str:
        return "PART"


PART = _Part()


def written(pattern: str, writes: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Each path that a pattern means, with what is written there: a JSON value, DELETE, or PART.

    `a.b` means itself; `a.*` each field directly below `a`; `*` each field at the top. No write lies inside another:
    such a reply is refused before.
    """
    return ((pattern, writes[pattern]),) if pattern in writes else _written(pattern, writes)


def _written(pattern: str, writes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    root = paths.base(pattern)
    if not paths.is_open(pattern):
        value = _at(root, writes)
        if value is not ABSENT:
            yield root, value
        yield from ((path, PART) for path in writes if path != root and paths.inside(path, root))
        return
    above = _at(root, writes) if root else ABSENT
    if isinstance(above, Mapping):
        yield from ((f"{root}.{paths.segment(key)}", value) for key, value in above.items())
    elif above is not ABSENT:
        yield root, above
    depth = len(paths.split(root)) + 1 if root else 1
    for path, value in writes.items():
        if path != root and paths.inside(path, root):
            yield path, value if len(paths.split(path)) == depth else PART


def _at(path: str, writes: Mapping[str, Any]) -> Any:
    if path in writes:
        return writes[path]
    for prefix in paths.prefixes(path):
        if prefix in writes:
            found = writes[prefix]
            return DELETE if found is DELETE else at(found, paths.split(path)[len(paths.split(prefix)) :])
    return ABSENT


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    pending = [value]
    while pending:
        inner = pending.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, Mapping):
            pending += [*inner.keys(), *inner.values()]
        elif isinstance(inner, list):
            pending += inner


def kind_of(value: Any) -> str:
    """What a person would call a JSON value."""
    return "deleted" if value is DELETE else _NAMES.get(type(value), "an object")


_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "null",
}


def as_a_whole(path: str, pattern: str) -> str:
    """What an agent is told that wrote a part of what is judged as a whole."""
    return f"{path} is a part of what is checked as a whole: write {pattern} itself"
