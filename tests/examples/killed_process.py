"""A process that test_killed kills: python killed_process.py TEAM JOURNAL WRITE WHEN.

It resumes what there is, or else runs a batch of the team's requests. The WRITE-th transaction of the
journal kills it, `before` or `after` it is durable; 0 is never. It says how many transactions there were.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import interlock as il
from interlock.journal.store import SqliteStore

_transaction = SqliteStore._transaction


class Writes:
    """Counts transactions, and dies at one."""

    def __init__(self, kill_at: int, when: str) -> None:
        self.count, self._kill_at, self._when = 0, kill_at, when

    @contextmanager
    def transaction(self, store: SqliteStore) -> Iterator[None]:
        self.count += 1
        number = self.count
        with _transaction(store):
            yield
            self._die(number, "before")
        self._die(number, "after")

    def _die(self, number: int, when: str) -> None:
        if (number, when) == (self._kill_at, self._when):
            os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, journal: Path, writes: Writes) -> None:
    SqliteStore._transaction = lambda store: writes.transaction(store)  # type: ignore[method-assign]  # noqa: PLW0108 - a method
    requests = [json.loads(line) for line in (folder / "input.jsonl").read_text(encoding="utf-8").splitlines()]
    async with il.Orchestrator(il.Team.load(folder), journal) as orchestrator:
        async for _ in orchestrator.resume():
            pass
        if not await orchestrator.journal.runs(limit=1):
            opened = [orchestrator.request(request) for request in requests]
            async for _ in orchestrator.run_batch(await orchestrator.open_batch(opened, "input")):
                pass
    sys.stdout.write(str(writes.count))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), Writes(int(sys.argv[3]), sys.argv[4])))
