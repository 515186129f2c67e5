"""The SQLite file of a journal: how it is opened, brought to this format, and written to in transactions."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from interlock.errors import JournalError, JournalTooNew
from interlock.ports import Result

from . import failures
from .decoding import faults_in, step_above_in
from .failures import clear_errors
from .ownership import DriverLocks
from .queries import queries, script
from .rows import Warnings, reread

# What brings a journal from each version to the next, from nothing on. Its format is how many of them it has had.
MIGRATIONS = tuple(
    script(f"{name}.sql") for name in ("schema", "questions", "gates", "letters", "notices", "waits", "parents")
)
APPLICATION_ID = 0x494C4B31  # "ILK1", so that another program's database is never taken for a journal
# A small write-ahead log keeps a live journal near the size of its payload.
CHECKPOINT_PAGES = 100


class Place(msgspec.Struct):
    """Where a run's stream ends, and who owns it."""

    number: int
    owner: int
    next_seq: int


class JournalFile:
    """A connection to the file. Raises JournalError where it can't be opened or is no journal."""

    def __init__(self, path: Path) -> None:
        with clear_errors(path):
            # All who open this file, under whatever name, must see the same lock files.
            self.path = _real(path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.db = apsw.Connection(str(self.path))
        self.epoch = 0
        self.locks = DriverLocks(self.path)
        self._places: dict[str, Place] = {}
        self._data_version = -1
        self._unheard = False
        self._sql = queries()
        self._warnings = Warnings()
        try:
            with clear_errors(self.path, self.db):
                self._prepare()
                self._identity = self._identify()
        except BaseException:
            self.db.close()
            raise

    def _identify(self) -> tuple[int, int]:
        """Which file the name stands for now."""
        found = os.stat(self.path)  # noqa: PTH116 - Path.stat costs four times as much, for every append
        return found.st_dev, found.st_ino

    def _prepare(self) -> None:
        execute = self.db.execute
        self.db.create_scalar_function("faults_in", faults_in, 1, deterministic=True)  # type: ignore[arg-type]
        self.db.create_scalar_function("step_above_in", step_above_in, 1, deterministic=True)  # type: ignore[arg-type]
        execute(f"PRAGMA busy_timeout={failures.BUSY_MS_MAX}").fetchall()
        begun = execute("PRAGMA user_version").get or execute("SELECT count(*) FROM sqlite_schema").get
        if begun and execute("PRAGMA application_id").get != APPLICATION_ID:
            raise JournalError(f"{self.path} is a SQLite database, but no Interlock journal", fix="name another file")
        self._refuse_newer()
        execute("PRAGMA journal_mode=WAL").fetchall()
        execute("PRAGMA synchronous=FULL")
        execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}").fetchall()
        if execute("PRAGMA user_version").get < len(MIGRATIONS):
            with self._transaction():
                self._migrate()

    def _migrate(self) -> None:
        for number, statements in enumerate(MIGRATIONS, 1):
            if self.db.execute("PRAGMA user_version").get < number:
                self.db.execute(statements)
                self.db.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={number}")

    def _refuse_newer(self) -> None:
        version, known = self.db.execute("PRAGMA user_version").get, len(MIGRATIONS)
        if version > known:
            message = f"the journal {self.path} has format {version}, and this Interlock knows formats up to {known}"
            raise JournalTooNew(message, fix="update Interlock")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        epoch = self.epoch
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self._notice_others()
            yield
            self.db.execute("COMMIT")
        except BaseException:
            self._places.clear()
            if self.epoch != epoch:
                # The row of this driver goes with the transaction, and its number will be another's.
                self.locks.drop(self.epoch)
                self.epoch = epoch
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def _notice_others(self) -> None:
        """Forget what another connection may have changed; it may even have brought the journal to a newer format.

        Inside a transaction nobody else can write, so what this finds still holds at its end.
        """
        version = self.db.execute("PRAGMA data_version").get
        if version != self._data_version:
            self._places.clear()
            self._refuse_newer()
            self._data_version = version
            self._unheard = True

    def _run_query(self, name: str, *values: Any) -> list[Any]:
        try:
            return self.db.execute(self._sql[name], values).fetchall()
        except UnicodeDecodeError:
            return reread(self.db, self._sql[name], values)

    def carry_out(self, work: Callable[[], Result]) -> Result:
        """Do something in a transaction of its own, with errors that say what to do."""
        with clear_errors(self.path, self.db), self._transaction():
            return work()

    def read(self, work: Callable[[], Result]) -> Result:
        """Ask one question, whoever is writing at the moment."""
        with clear_errors(self.path, self.db):
            return work()

    def close(self) -> None:
        """Close the connection, then give up ownership."""
        with clear_errors(self.path, self.db):
            try:
                self.db.close()
            finally:
                self.locks.drop_all()


def _real(path: Path) -> Path:
    try:
        str(path).encode()
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise JournalError(f"{str(path)!r} can't be the name of a journal: {error}") from None
