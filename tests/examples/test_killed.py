"""kill -9 at the writes of examples whose plans grow or are nested: the same end, and nothing is asked again."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from interlock.core import events as e
from interlock.core.values import encode_canonical
from interlock.journal.sqlite import SqliteJournal

SCRIPT = Path(__file__).with_name("killed_process.py")
PATTERNS = Path(__file__).parents[2] / "examples" / "patterns"

pytestmark = pytest.mark.slow


class Deaths:
    """One example, run by processes of which one may be killed."""

    def __init__(self, name, folder):
        self.team, self._folder = PATTERNS / name, folder

    def process(self, journal, write=0, when="never"):
        command = [sys.executable, SCRIPT, self.team, self._folder / journal, str(write), when]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        writes = int(done.stdout or 0)
        # What happens at the same time may be one write, so there may be fewer than there were.
        is_late = done.returncode == 0 and writes < write
        assert is_late or done.returncode == (-signal.SIGKILL if write else 0), done.stderr
        return writes

    def ends(self, journal):
        """What the requests have come to, whose runs are looked at; and those of nested teams."""

        async def read():
            read = SqliteJournal(self._folder / journal)
            try:
                return [(row, await read.load(row.run_id)) for row in await read.runs(limit=0)]
            finally:
                await read.close()

        found = asyncio.run(read())
        for row, events in found:
            assert row.status != "running", (journal, row)
            nothing_is_done_again(events)
        return sorted((row.row, row.status, committed(events)) for row, events in found if not row.parent)


def nothing_is_done_again(events):
    """No step is called once it is committed, and no decision is asked for twice."""
    done = Counter()
    for event in events:
        if isinstance(event, e.AttemptStarted | e.ChildStarted):
            assert not done[event.step], event
        done.update([event.step] if isinstance(event, e.AttemptCommitted) else [])
    assert set(done.values()) <= {1}


def committed(events):
    return sorted(
        (event.step, encode_canonical(event.writes)) for event in events if isinstance(event, e.AttemptCommitted)
    )


@pytest.fixture(params=["hierarchical", "supervisor"])
def deaths(request, tmp_path):
    return Deaths(request.param, tmp_path)


def die_at(deaths, every):
    writes = deaths.process("whole")
    end = deaths.ends("whole")
    assert len(end) == len((deaths.team / "input.jsonl").read_text().splitlines())
    for write in range(1, writes + 1, every):
        for when in ("before", "after"):
            journal = f"{write}-{when}"
            deaths.process(journal, write, when)
            deaths.process(journal)
            assert deaths.ends(journal) == end, journal


@pytest.mark.timeout(300)
def test_killed_at_some_writes_it_comes_to_the_same(deaths):
    die_at(deaths, every=9)


@pytest.mark.thorough
@pytest.mark.timeout(1_800)
def test_killed_at_each_write_it_comes_to_the_same(deaths):
    die_at(deaths, every=1)
