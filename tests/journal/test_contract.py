"""The contract, for every journal there is."""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.journal.sqlite import SqliteJournal

from .contract import JournalContract, Opened


class InMemory(Opened):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()

    def new_handle(self) -> MemoryJournal:
        return MemoryJournal(self.store)

    def lose(self, handle: MemoryJournal) -> None:
        handle.alive = False

    def damage(self, run_id: str, seq: int, data: bytes) -> None:
        self.store.events[run_id][seq] = data


class OnDisk(Opened):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def new_handle(self) -> SqliteJournal:
        return SqliteJournal(self.path)

    def lose(self, handle: SqliteJournal) -> None:
        """A lock can be lost without its process dying, where somebody removes its file."""
        handle._store.locks._path(handle._store.epoch).unlink()

    def damage(self, run_id: str, seq: int, data: bytes) -> None:
        where = "run = (SELECT number FROM run WHERE run_id = ?) AND seq = ?"
        with closing(apsw.Connection(str(self.path))) as other:
            other.execute(f"UPDATE event SET data = ? WHERE {where}", (data, run_id, seq))


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def opened(self):
        return InMemory()


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    def opened(self, tmp_path):
        opened = OnDisk(tmp_path / "journal.db")
        yield opened
        asyncio.run(opened.close_all())
        assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]
