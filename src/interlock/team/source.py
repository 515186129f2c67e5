"""Read a YAML file as plain data, and remember the line of every key.

The file is hostile input: its size, depth, nodes (aliases expanded) and scalars are bounded, and what YAML would turn
silently into something else (doubled keys, keys that are numbers, dates) is refused. It is read from parser events,
because building a node tree first would recurse without a bound.
"""

from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from interlock.core.values import INTEGER_MAX, INTEGER_MIN
from interlock.errors import TeamError

from .shapes import Place, kind_of

FILE_BYTES_MAX = 1 << 20
NODES_MAX = 200_000
DEPTH_MAX = 40
# A longer plain scalar is text: YAML's numbers are parsed in quadratic time.
NUMBER_CHARS_MAX = 100

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null"))
_MERGE = _TAG + "merge"


class Source(msgspec.Struct, frozen=True):
    """What a file holds: plain data, and the line of each key and list item by its place.

    A list item's key is its number, as text. steps: the places of the plan's steps, by id; filled in by the loader.
    """

    file: str
    data: Any
    lines: Mapping[Place, int]
    steps: Mapping[str, Place] = {}

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest enclosing one that the file has."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return 1

    def in_file(self, place: Place) -> Place:
        """The place in the file of one that names a step by its id, or by that of a copy of it."""
        match place:
            case ("plan", name, *rest):
                return (*self.steps.get(name, self.steps.get(name.rpartition("-")[0], ("plan",))), *rest)
            case _:
                return place


class _Node(NamedTuple):
    value: Any
    nodes: int
    height: int


def read(path: Path) -> Source:
    """Read one YAML document. Raises TeamError with file and line."""
    file = str(path)
    return parse(_text(path, file), file)


def parse(text: str, file: str) -> Source:
    """Parse the text of one YAML document. Raises TeamError with file and line."""
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        raise TeamError(f"the character {unprintable[0]!r} has no place in YAML", file=file, line=line)
    loader = _Loader(text)
    try:
        return _Reader(loader, file).source()
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from None
    finally:
        loader.dispose()


def _text(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise TeamError(f"it can't be read: {error.strerror or error}", file=file) from error
    if len(raw) > FILE_BYTES_MAX:
        raise TeamError(f"it is larger than {FILE_BYTES_MAX:,} bytes", file=file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TeamError("it is not UTF-8 text", fix="save it as UTF-8", file=file, line=line) from None


def _syntax_error(error: yaml.YAMLError, file: str) -> TeamError:
    begin, end = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    mark, context = end or begin, getattr(error, "context", None)
    sentence = f"this is not YAML: {getattr(error, 'problem', None) or error}"
    if context:
        sentence += f" {context}"
        sentence += f" that begins in line {begin.line + 1}" if begin and end and begin.line < end.line else ""
    fix = "indent with spaces" if "'\\t'" in sentence else ""
    return TeamError(sentence, fix=fix, file=file, line=mark.line + 1 if mark else 0)


class _Reader:
    """Builds data from the events of one document."""

    def __init__(self, loader: Any, file: str) -> None:
        self._loader, self._file = loader, file
        self._lines: dict[Place, int] = {}
        self._anchors: dict[str, _Node] = {}
        self._nodes = 0

    def source(self) -> Source:
        """The whole of the file."""
        self._next()  # the start of the stream
        if self._loader.check_event(yaml.StreamEndEvent):
            raise TeamError("the file is empty", file=self._file)
        self._next()  # the start of the document
        data = self._node((), 0).value
        self._next()  # its end
        if not self._loader.check_event(yaml.StreamEndEvent):
            raise self._error("the file holds several documents", self._next(), fix="keep one: remove the --- lines")
        return Source(self._file, data, self._lines)

    def _next(self) -> Any:
        return self._loader.get_event()

    def _error(self, sentence: str, event: Any, *, fix: str = "", place: Place = ()) -> TeamError:
        return TeamError(sentence, fix=fix, file=self._file, line=event.start_mark.line + 1, place=place)

    def _node(self, place: Place, depth: int) -> _Node:
        event = self._next()
        if isinstance(event, yaml.AliasEvent):
            node = self._alias(event)
        elif depth >= DEPTH_MAX and not isinstance(event, yaml.ScalarEvent):
            raise self._error(f"it is nested deeper than {DEPTH_MAX}", event, place=place)
        else:
            node = self._fresh(event, place, depth)
        if depth + node.height > DEPTH_MAX:
            raise self._error(f"it is nested deeper than {DEPTH_MAX}", event, place=place)
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._error(f"*{event.anchor} stands for nothing: no anchor &{event.anchor} ends before it", event)
        self._count(node.nodes, event)
        return node

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise self._error(f"it has more than {NODES_MAX:,} values, with its aliases written out", event)

    def _fresh(self, event: Any, place: Place, depth: int) -> _Node:
        before = self._nodes
        self._count(1, event)
        if isinstance(event, yaml.ScalarEvent):
            return _Node(self._scalar(event, place), 1, 0)
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in {None, "!", _TAG + ("map" if mapping else "seq")}:
            raise self._error(f"the tag {event.tag} has no meaning here", event, fix="remove it", place=place)
        value, height = self._mapping(place, depth) if mapping else self._sequence(place, depth)
        return _Node(value, self._nodes - before, height + 1)

    def _sequence(self, place: Place, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        height = 0
        while not self._loader.check_event(yaml.SequenceEndEvent):
            at = (*place, str(len(items)))
            self._lines[at] = self._loader.peek_event().start_mark.line + 1
            node = self._node(at, depth + 1)
            items.append(node.value)
            height = max(height, node.height)
        self._next()
        return items, height

    def _mapping(self, place: Place, depth: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        merged: dict[str, Any] | None = None
        height = 0
        while not self._loader.check_event(yaml.MappingEndEvent):
            event = self._next()
            key = self._key(event, place)
            at = (*place, key or "<<")
            if key in items or (key is None and merged is not None):
                message = f"the key {at[-1]} stands here twice, first in line {self._lines[at]}"
                raise self._error(message, event, fix="remove one", place=at)
            self._lines[at] = event.start_mark.line + 1
            node = self._node(at, depth + 1)
            height = max(height, node.height)
            if key is None:
                merged = self._merged(node.value, event, at)
            else:
                items[key] = node.value
        self._next()
        for key in (merged or {}).keys() - items.keys():
            self._lines[*place, key] = self._lines[*place, "<<"]
        return {**(merged or {}), **items}, height

    def _key(self, event: Any, place: Place) -> str | None:
        """The text of a key; None for the merge key `<<`."""
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error("a key is a text, not a list, a mapping or an alias", event, place=place)
        self._count(1, event)
        if self._tag(event) == _MERGE:
            return None
        key = self._scalar(event, place)
        if key is True and event.value == "on":
            return "on"  # a key of team files, which today's YAML reads as the text that it is
        if not isinstance(key, str):
            message = f"YAML reads the key {event.value or 'that is missing here'} as {kind_of(key)}"
            raise self._error(message, event, fix="put it in quotes", place=place)
        if not key:
            raise self._error("a key is empty", event, place=place)
        return key

    def _merged(self, value: Any, event: Any, place: Place) -> dict[str, Any]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._error("<< takes in a mapping or a list of them", event, place=place)
        return {key: inner for part in reversed(parts) for key, inner in part.items()}

    def _tag(self, event: Any) -> str:
        if event.tag is not None and event.tag != "!":
            return str(event.tag)
        if len(event.value) > NUMBER_CHARS_MAX or not event.implicit[0]:
            return _TAG + "str"
        return str(self._loader.resolve(yaml.ScalarNode, event.value, (True, False)))

    def _scalar(self, event: Any, place: Place) -> Any:
        tag = self._tag(event)
        if tag not in _SCALARS:
            if event.tag is not None:
                raise self._error(f"the tag {event.tag} has no meaning here", event, fix="remove it", place=place)
            what = f"YAML reads {event.value[:40]!r} as a {tag.removeprefix(_TAG)}"
            raise self._error(what, event, fix="put it in quotes", place=place)
        if tag == _TAG + "str":
            value: Any = event.value
        else:
            value = self._constructed(event, tag, place)
        if not _plain(value):
            raise self._error(f"{event.value[:40]!r} is not a value that JSON has", event, place=place)
        return value

    def _constructed(self, event: Any, tag: str, place: Place) -> Any:
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        with suppress(ValueError, LookupError):
            if len(event.value) <= NUMBER_CHARS_MAX:
                return self._loader.construct_object(node)
        raise self._error(f"{event.value[:40]!r} is no {tag.removeprefix(_TAG)}", event, place=place)


def _plain(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, int):
        return INTEGER_MIN <= value <= INTEGER_MAX
    if isinstance(value, str) and not value.isascii():
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return True
