"""The requests that `run` is given: a JSON object or array, JSON lines, or CSV; from a file or standard input.

All of it is read and checked before anything starts. A mistake is named with file and line, and with the mend.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from interlock.core.naming import hint
from interlock.errors import InputError

from .rows import Mapped, Row, parse_mapping, request_of
from .rows_csv import csv_rows
from .rows_json import document, is_json, lines

INPUT_BYTES_MAX = 1 << 30
STDIN, STDIN_NAME = "standard input", "-"
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class Given(msgspec.Struct, frozen=True):
    """All requests of one input. origin: the file, or standard input."""

    origin: str
    rows: Sequence[Row]


def read(name: str | None, mapping: Sequence[str] = ()) -> Given:
    """The requests in a file; in standard input for `-`, or where nothing is named and it is no terminal.

    mapping: `column=path` for each column of a CSV file, or key of an object, that goes into the request; without any,
    objects go in as they are. Raises InputError.
    """
    mapped = parse_mapping(mapping)
    if name is None and sys.stdin.isatty():
        raise InputError("there is no input", fix="name a file: --input FILE.jsonl, or pipe it in: --input -")
    if name in {None, STDIN_NAME}:
        origin, suffix, data = STDIN, "", _bounded(sys.stdin.buffer, STDIN)
    else:
        assert name is not None
        path = Path(name)
        origin, suffix, data = name, path.suffix.lower(), _file(path)
    return Given(origin, [*parse(data, origin, suffix, mapped)])


def parse(data: bytes, origin: str, suffix: str, mapped: Mapped) -> Iterator[Row]:
    """The requests in these bytes. suffix: of the file's name; where it says nothing, the content decides."""
    text = _text(data, origin)
    if not text.strip():
        raise InputError(f"{origin} is empty", fix='write a request into it, such as {"ticket": {...}}')
    kind = _KINDS.get(suffix) or _sniffed(text, origin, mapped)
    if kind == "csv":
        yield from csv_rows(text, origin, mapped)
        return
    objects = document(text, origin) if kind == "document" else lines(text, origin)
    for line, value in objects:
        yield Row(f"{origin}:{line}", request_of(value, f"{origin}:{line}", mapped))


# --- reading ---


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _bounded(file, str(path))
    except FileNotFoundError:
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"there is no file {path}{hint(path.name, near)}") from None
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error


def _bounded(stream: BinaryIO, origin: str) -> bytes:
    data = stream.read(INPUT_BYTES_MAX + 1)
    if len(data) > INPUT_BYTES_MAX:
        raise InputError(f"{origin} is larger than {INPUT_BYTES_MAX >> 20:,} MiB", fix="split it")
    return data


def _text(data: bytes, origin: str) -> str:
    encoding = _BOMS.get(data[:2])
    if encoding:
        raise InputError(f"{origin}:1: this is {encoding}", fix="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{origin}:{line}: this is not UTF-8", fix="save the file as UTF-8") from None


_KINDS = {".json": "document", ".jsonl": "lines", ".ndjson": "lines", ".csv": "csv"}


def _sniffed(text: str, origin: str, mapped: Mapped) -> str:
    """What an input of unknown kind holds."""
    first = text.lstrip().split("\n", 1)[0].strip()
    if first.startswith("["):
        return "document"
    if first.startswith("{"):
        lines = sum(1 for line in text.split("\n") if line.strip())
        return "lines" if lines > 1 and is_json(first) else "document"
    if mapped:
        return "csv"
    fix = "give JSON objects, one a line; for CSV say where its columns go: --map column=path"
    raise InputError(f"{origin}:1: this is no JSON object", fix=fix)
