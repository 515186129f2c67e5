"""Rows as they come back from a journal's tables: anybody may have edited them, and a disk may have damaged them.

Who asks about one run gets a JournalError that names table, run and column. In lists such a row stands with what is
wrong in the place of its reason, and hides no other; what can't even be listed is left out, and logged.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import apsw
import msgspec
from apsw.ext import query_info

from interlock.core.events import AT_US_MAX
from interlock.errors import JournalError
from interlock.ports import Batch, LetterRow, Request, RunRow, WaitingQuestion

log = logging.getLogger("interlock")

FIX = "restore it from a copy, or set that right"
GATE_FIX = "restore it from a copy, or delete that row: then its breaker, rate and budget begin anew"
# How many different warnings of one journal are logged.
WARNINGS_MAX = 1_000

Record = TypeVar("Record", bound=msgspec.Struct)
Value = TypeVar("Value")


class Kind(msgspec.Struct, Generic[Record], frozen=True):
    """What the rows of a query are read as: a record with a field for each column, in order.

    columns: of fields that don't have the name of their column in this table, the table and the column. told: the
    fields in which a list says what is wrong; rows that have none are left out.
    """

    table: str
    record: type[Record]
    columns: Mapping[str, str] = {}
    told: tuple[str, ...] = ()

    def damage(self, row: Sequence[Any]) -> dict[str, str]:
        """What is wrong with a row: the message, by field."""
        types = self.record.__annotations__
        given = dict(zip(types, row, strict=False))
        found = {name: what for name, value in given.items() if (what := _wrong(types[name], value, name))}
        whose = _whose(given) if found else ""
        return {name: f"the journal is damaged: {self._column(name)}{whose} is {what}" for name, what in found.items()}

    def _column(self, name: str) -> str:
        return self.columns.get(name) or f"{self.table}.{name}"


RUN = Kind("run", RunRow, {"row": "run.batch_row", "faults": "event.data"}, ("reason", "damage"))
QUESTION = Kind(
    "question",
    WaitingQuestion,
    {"run_id": "run.run_id", "text": "question.question", "team": "run.team", "source": "run.source"},
    ("text",),
)
LETTER = Kind(
    "letter",
    LetterRow,
    {
        "run_id": "run.run_id",
        "source": "run.source",
        "batch": "run.batch",
        "outcome": "run.status",
        "above": "letter.step",
    },
    ("reason",),
)
REQUEST = Kind("request", Request)
BATCH = Kind("batch", Batch, {"rows": "batch.row_count"})


def reread(db: apsw.Connection, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a query finds that finds text which is no UTF-8: SQLite keeps it, Python doesn't read it. It comes as bytes.

    What changes rows can't be asked again, and gives back only what it has compared with text.
    """
    assert sql.startswith("SELECT"), "a change gives back what can be read"
    names = [f"c{number}" for number in range(len(query_info(db, sql).description))]
    pairs = ", ".join(f"typeof({name}), iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in names)
    told = f"WITH found ({', '.join(names)}) AS ({sql}) SELECT {pairs} FROM found"  # noqa: S608 - a query of ours
    return [tuple(map(_text, row[::2], row[1::2])) for row in db.execute(told, values)]


def sound(kind: Kind[Record], row: Sequence[Any]) -> Record:
    """One row. Raises JournalError for a damaged one."""
    for message in kind.damage(row).values():
        raise JournalError(message, fix=FIX)
    return kind.record(*row)


def sound_number(value: Any, column: str, run_id: str) -> int:
    """A number of a run. Raises JournalError where it is none."""
    if what := _wrong(int, value, column):
        raise JournalError(f"the journal is damaged: {column} of run {run_id} is {what}", fix=FIX)
    return int(value)


class Warnings:
    """Logs what is left out, once each."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def warn(self, message: str, fix: str = FIX) -> None:
        """Log what is wrong with a row, and what that means."""
        if message not in self._logged and len(self._logged) < WARNINGS_MAX:
            self._logged.add(message)
            log.warning("%s; fix: %s", message, fix)

    def listed(self, kind: Kind[Record], rows: Iterable[Sequence[Any]]) -> Iterator[Record]:
        """Rows of many runs. In one that is damaged, what is wrong is told, and stands for what can't be read."""
        types = kind.record.__annotations__
        for row in rows:
            damage = kind.damage(row)
            if not damage:
                yield kind.record(*row)
                continue
            message = next(iter(damage.values()))
            self.warn(message)
            if kind.told and not damage.keys() & {"run_id", "step"}:
                told = {name: types[name]() for name in damage} | dict.fromkeys(kind.told, message)
                yield kind.record(**dict(zip(types, row, strict=False)) | told)

    def readable(self, decode: Any, rows: Iterable[tuple[bytes]], where: str) -> Iterator[Any]:
        """What some rows hold. One that can't be read is left out."""
        for (data,) in rows:
            try:
                yield readable(decode, data, where)
            except JournalError as error:
                self.warn(f"{error.message}; it is left out", error.fix)


def readable(decode: Any, data: bytes, where: str, fix: str = FIX) -> Any:
    """What one column holds. Raises JournalError."""
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JournalError(f"the journal is damaged: {where} can't be read ({error})", fix=fix) from error


_NAMES = {str: "a text", int: "a whole number", float: "a number with a fraction", bytes: "bytes", type(None): "empty"}


def _wrong(wanted: Any, value: Any, name: str) -> str:
    if type(value) is not wanted:
        return f"{_NAMES[type(value)]}, not {_NAMES[wanted]}"
    if wanted is int and not 0 <= value <= AT_US_MAX:
        return "no time" if name.endswith("_us") else "out of bounds"
    return ""


def _whose(given: Mapping[str, Any]) -> str:
    run_id, step = given.get("run_id"), given.get("step")
    run = f" of run {run_id:.100}" if isinstance(run_id, str) else ""
    return run + (f", step {step:.100}," if isinstance(step, str) else "")


def _text(kind: str, value: Any) -> Any:
    if kind != "text":
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
