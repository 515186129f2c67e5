"""Rows of CSV: comma-separated, with a header."""

import csv
import io
from collections.abc import Iterator

from interlock.core.naming import hint
from interlock.errors import InputError

from .rows import Mapped, Row, nested

FIELD_CHARS_MAX = 1 << 20


def csv_rows(text: str, origin: str, mapped: Mapped) -> Iterator[Row]:
    """The requests in a CSV text. Raises InputError."""
    if not mapped:
        raise InputError(f"{origin} is CSV", fix="say where its columns go: --map column=path, once for each column")
    records = _records(text, origin)
    header_line, header = next(records)
    _check_header(header, f"{origin}:{header_line}", mapped)
    places = [(header.index(column), path) for column, path in mapped.items()]
    empty = True
    for line, record in records:
        if len(record) != len(header):
            raise _wrong_width(record, header, f"{origin}:{line}")
        yield Row(f"{origin}:{line}", nested([(path, record[at]) for at, path in places]))
        empty = False
    if empty:
        raise InputError(f"{origin} has a header and no rows")


def _records(text: str, origin: str) -> Iterator[tuple[int, list[str]]]:
    """The records with the line they begin in; a quoted field may go over several lines."""
    csv.field_size_limit(FIELD_CHARS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{origin}:{line}: this is not CSV: {error}", fix="look for a quote not closed") from None
        if any(field.strip() for field in record):
            yield line, record


def _check_header(header: list[str], place: str, mapped: Mapped) -> None:
    doubled = next((name for name in header if header.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"{place}: two columns are called {doubled or 'nothing'}", fix="rename one of them")
    for column in mapped:
        if column not in header:
            separator = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
            fix = (
                f"separate the columns with commas, not {separator!r}" if separator else f"it has: {', '.join(header)}"
            )
            raise InputError(f"{place}: there is no column {column}, which --map names{hint(column, header)}", fix=fix)


def _wrong_width(record: list[str], header: list[str], place: str) -> InputError:
    fix = "put a field that holds a comma in double quotes" if len(record) > len(header) else "add what is missing"
    return InputError(f"{place}: {len(record)} fields under a header of {len(header)}", fix=fix)
