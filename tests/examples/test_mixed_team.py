"""Five frameworks in one team, run by the command line against a model server, killed in the middle and resumed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest

from interlock.core.events import AttemptCommitted
from interlock.journal.sqlite import SqliteJournal
from tests.agents.model_server import ModelServer

TEAM = Path(__file__).parents[2] / "examples" / "mixed_team"
STEPS = {"classify", "look_up", "resolve", "judge", "draft"}
DEADLINE_SECONDS = 120.0

# A worker of CrewAI is slow to start.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Desk:
    """Where the command line is run, with a model server of its own."""

    def __init__(self, folder, server):
        self._folder, self.server, self.journal = folder, server, folder / "runs.db"
        self._environment = {
            **os.environ,
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": server.key,
            "MIXED_TEAM_MODEL": "normal",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def start(self, *words):
        command = [sys.executable, "-m", "interlock", *words, "--journal", str(self.journal), "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self._folder, env=self._environment, **pipes)

    def run(self, *words):
        out, err = (process := self.start(*words)).communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def show(self, run_id):
        [told] = self.run("show", run_id)
        return told


@pytest.fixture
def desk(tmp_path):
    with ModelServer() as server:
        yield Desk(tmp_path, server)


def test_every_framework_does_its_part(desk):
    ended = desk.run("run", str(TEAM), "--input", str(TEAM / "input.jsonl"))
    assert [run["status"] for run in ended] == ["succeeded", "succeeded"]
    for run in ended:
        assert run["context"]["ticket"].keys() >= {"category", "priority", "resolution", "risk", "reply"}
        assert run["context"]["customer"]["plan"]
        # Each is charged for what the server counted, and for nothing else.
        assert run["cost"]["calls"] == 5
    counts = [request.usage for request in desk.server.requests if request.usage is not None]
    counted = sum(count.input_tokens + count.output_tokens for count in counts)
    assert sum(run["cost"]["tokens"] for run in ended) == counted


def test_a_killed_run_asks_for_nothing_again_that_was_committed(desk):
    desk.server.behave("normal", "normal", "normal", "slow-3")
    request = desk._folder / "one.jsonl"
    request.write_text((TEAM / "input.jsonl").read_text("utf-8").splitlines()[0])
    process = desk.start("run", str(TEAM), "--input", str(request))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (committed := _committed(desk)) < {"classify", "look_up"}:
        assert time.monotonic() < deadline, committed
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = _committed(desk)
    desk.server.behave("normal", "normal")
    [run] = desk.run("resume")
    assert run["status"] == "succeeded"
    called = [attempt["step"] for attempt in desk.show(run["run_id"])["attempts"]]
    assert [step for step in before if called.count(step) > 1] == []
    assert set(called) == STEPS


def _committed(desk):
    """The steps of the newest run that are committed, from the journal: a command would take a second to tell them."""

    async def read():
        journal = SqliteJournal(desk.journal)
        try:
            events = [await journal.load(run.run_id) for run in await journal.runs(limit=1)]
        finally:
            await journal.close()
        return {event.step for event in chain(*events) if isinstance(event, AttemptCommitted)}

    return asyncio.run(read())
