"""A journal in a file of its own."""

from contextlib import asynccontextmanager

import pytest

from interlock.journal.sqlite import SqliteJournal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@asynccontextmanager
async def opened(path):
    journal = SqliteJournal(path)
    try:
        yield journal
    finally:
        await journal.close()
