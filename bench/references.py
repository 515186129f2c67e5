"""The physical limits that results are compared with: an asyncio task, and a durable commit."""

import asyncio
from pathlib import Path
from time import perf_counter, thread_time

import apsw

COMMIT_BYTES = 250
COMMITS = 200


async def noop(number: int) -> dict[str, int]:
    """The smallest agent imaginable."""
    return {"ok": number}


def task_us(tasks: int) -> float:
    """Microseconds of CPU a task, when each is made and awaited after the other."""

    async def one_after_another() -> float:
        state: dict[str, int] = {}
        started = thread_time()
        for number in range(tasks):
            state.update(await asyncio.create_task(noop(number)))
        return (thread_time() - started) / tasks * 1e6

    return asyncio.run(one_after_another())


def gathered_task_us(tasks: int) -> float:
    """Microseconds of CPU a task, when all are made at once and awaited together."""

    async def together() -> float:
        started = thread_time()
        await asyncio.gather(*[asyncio.create_task(noop(number)) for number in range(tasks)])
        return (thread_time() - started) / tasks * 1e6

    return asyncio.run(together())


def commit_us(folder: Path, commits: int = COMMITS) -> float:
    """Microseconds a durable commit of one row to SQLite: WAL, synchronous=FULL, no Python in between."""
    path = folder / "reference.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE event (position INTEGER PRIMARY KEY, run INTEGER, seq INTEGER, data BLOB)")
    connection.execute("CREATE UNIQUE INDEX event_of_run ON event (run, seq)")
    row = b"x" * COMMIT_BYTES
    started = perf_counter()
    for seq in range(commits):
        connection.execute("INSERT INTO event (run, seq, data) VALUES (1, ?, ?)", (seq, row))
    took = (perf_counter() - started) / commits * 1e6
    connection.close()
    path.unlink()
    return took
