"""kill -9 at any point: no committed step runs again, no commit is lost, only calls in flight are repeated."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from interlock.core.events import AttemptCommitted, AttemptInterrupted, AttemptStarted
from interlock.journal.sqlite import SqliteJournal
from tests.agents.scenes import alive, pid_in, until

from .crash_process import CALLS_MAX, RUNS

SCRIPT = Path(__file__).with_name("crash_process.py")
# Three kills at most: a call that is lost more often is dead, for it may be what kills the process.
STEPS = {"first", "left", "flaky", "each-0", "each-1", "join", "last"}


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


class Crashes:
    """Runs the process in a folder again and again, and looks at what it leaves."""

    def __init__(self, folder):
        self.folder = folder
        self.crashes = 0

    @property
    def calls(self):
        return lines(self.folder / "calls")

    def start(self, kill_at="never"):
        return subprocess.Popen([sys.executable, SCRIPT, self.folder, kill_at])

    def run(self, kill_at="never"):
        """Returns the keys of the calls made in this life; asserts that none of them had been committed before."""
        committed = self.committed
        before = len(self.calls)
        with self.start(kill_at) as process:
            code = process.wait(30)
        assert code == (0 if kill_at == "never" else -signal.SIGKILL)
        self.note(before, committed, killed=code != 0)

    def note(self, before, committed, *, killed):
        self.crashes += killed
        again = [key for key in self.calls[before:] if key.rpartition("/")[0] in committed]
        assert again == [], "steps that were committed were called again"

    @property
    def committed(self):
        told = [line.split() for line in lines(self.folder / "told")]
        return {f"{run}/{step[0]}" for run, kind, *step in told if kind == "AttemptCommitted"}

    def check(self):
        """What must hold at the end, however often it was killed."""
        lost = asyncio.run(self._check_journal())
        repeated = Counter(self.calls) - Counter(set(self.calls))
        assert repeated <= lost, "calls were repeated that were not in flight"
        # At most so many calls are in flight, and some more have ended but are not durable yet.
        assert lost.total() <= self.crashes * 3 * CALLS_MAX

    async def _check_journal(self):
        journal = SqliteJournal(self.folder / "journal.db")
        rows = await journal.runs(limit=0)
        assert [row.status for row in rows] == ["succeeded"] * RUNS
        assert sorted(row.row for row in rows) == list(range(RUNS))
        calls, all_lost = Counter(self.calls), Counter()
        for row in rows:
            events = await journal.load(row.run_id)
            times = [event.at_us for event in events]
            assert times == sorted(times)
            done = [event.step for event in events if isinstance(event, AttemptCommitted)]
            assert sorted(done) == sorted(STEPS), "each step is committed once"
            started = Counter((e.step, e.attempt) for e in events if isinstance(e, AttemptStarted))
            lost = Counter((e.step, e.attempt) for e in events if isinstance(e, AttemptInterrupted))
            for (step, attempt), times_started in started.items():
                assert times_started == lost[step, attempt] + 1
                key = f"{row.run_id}/{step}/{attempt}"
                called = calls[key]
                all_lost[key] += lost[step, attempt]
                assert times_started - lost[step, attempt] <= called <= times_started
        await journal.close()
        return all_lost


@pytest.mark.parametrize("kill_at", ["call:1", "call:23", "event:1", "event:40"])
def test_killed_once(tmp_path, kill_at):
    crashes = Crashes(tmp_path)
    crashes.run(kill_at)
    crashes.run()
    crashes.check()


def test_killed_as_often_as_a_call_may_be_lost(tmp_path):
    crashes = Crashes(tmp_path)
    for kill_at in ("event:3", "call:9", "event:20"):
        crashes.run(kill_at)
    crashes.run()
    crashes.check()


def test_killed_from_outside_at_any_moment(tmp_path):
    """Not by itself at a call or an event: somewhere between, while its threads are at work."""
    crashes, dice = Crashes(tmp_path), random.Random(7)
    for life in range(3):
        committed, before = crashes.committed, len(crashes.calls)
        goal = before + dice.randrange(1, 30)
        with crashes.start() as process:
            while len(crashes.calls) < goal and process.poll() is None:
                pass
            process.kill()
            code = process.wait()
        crashes.note(before, committed, killed=code != 0)
        assert code, f"it was not killed in its life {life}"
    crashes.run()
    crashes.check()


HANGING = """
import os, subprocess, sys, time

def hang(job):
    child = subprocess.Popen(["sleep", "3600"])
    for name, pid in (("worker", os.getpid()), ("child", child.pid)):
        with open(os.path.join(job.view["folder"], name), "w") as file:
            file.write(f"{pid}\\n")
    if job.view["busy"]:
        time.sleep(3600)
    return {"out.s0": 1}
"""

ENGINE = """
import asyncio, sys
import interlock as il
from hanging import hang

async def main():
    scope = il.Scope(["act"], ["*"], ["*"])
    steps = [il.Step("s0", agent="ann", action="act"), il.Step("s1", agent="bob", action="act", needs=["s0"])]

    async def bob(job):
        await asyncio.sleep(3600)

    team = il.Team([
        il.Agent("ann", use=hang, timeout="1h", scope=il.Scope(["act"], ["*"], ["out.*"])),
        il.Agent("bob", use=bob, timeout="1h", scope=il.Scope(["act"], ["*"], ["bob"])),
    ], il.Plan(steps))
    async with il.Orchestrator(team, sys.argv[1] + "/journal.db") as orchestrator:
        await orchestrator.run({"folder": sys.argv[1], "busy": sys.argv[2] == "busy"})

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_workers_and_what_they_started_do_not_outlive_a_killed_engine(tmp_path, state):
    (tmp_path / "hanging.py").write_text(HANGING)
    (tmp_path / "engine.py").write_text(ENGINE)
    with subprocess.Popen([sys.executable, tmp_path / "engine.py", tmp_path, state]) as process:
        pids = [asyncio.run(until(lambda name=name: pid_in(tmp_path / name))) for name in ("worker", "child")]
        assert all(map(alive, pids))
        process.kill()
    for pid in pids:
        asyncio.run(until(lambda pid=pid: not alive(pid)))
