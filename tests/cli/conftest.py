"""A team whose agents do what the text of the request says, and the command line as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TEAM = """\
agents:
  worker:
    allowed_actions: [work]
    context_access: [text]
    write_permissions: [first]
    use: agents:work
    retries: 1
    backoff: 10ms
    timeout: 60s
  closer:
    allowed_actions: [close]
    context_access: [text, first]
    write_permissions: [second]
    use: agents:close
    timeout: 60s
plan:
  - {id: work, agent: worker, action: work}
  - {id: close, agent: closer, action: close, needs: [work]}
"""

AGENTS = """\
import asyncio
import time
from pathlib import Path

import interlock as il

HERE = Path(__file__).parent


def note(job):
    with (HERE / "calls.log").open("a") as log:
        log.write(f"{job.run_id} {job.step} {job.attempt}\\n")


async def reached(name):
    while not (HERE / name).exists():
        await asyncio.sleep(0.01)


async def work(job):
    note(job)
    text = job.view["text"]
    if text == "ask":
        return il.Reply(ask=il.Question(text="may I?"))
    if text == "fail":
        raise RuntimeError("no \\x1b[31mluck")
    if text == "overreach" and job.attempt == 1:
        return {"second": 1}
    if text == "print":
        print("an agent prints")
    if text == "wait":
        (HERE / "waiting").touch()
        await reached("go")
    if text == "hang":
        (HERE / "waiting").touch()
        await asyncio.sleep(600)
    if text == "block":
        (HERE / "waiting").touch()
        time.sleep(600)
    return il.Reply(writes={"first": text}, usage=il.Usage(input_tokens=10, output_tokens=5, usd=0.25))


async def close(job):
    note(job)
    if job.view["text"] == "hold":
        (HERE / "waiting").touch()
        await reached("go")
    return {"second": job.view["first"].upper()}
"""

DEADLINE_SECONDS = 30.0


class Desk:
    """A folder with a team, where the command line is run."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "team.yaml").write_text(TEAM)
        (folder / "agents.py").write_text(AGENTS)
        self._processes = []

    def write(self, name, *texts):
        """An input file with one request for each text."""
        (self.folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return name

    def parked(self, team, agents):
        """A run of this team that waits for a person, a time or an event; its id. agents: their code."""
        (self.folder / "team.yaml").write_text(team)
        code = self.folder / "agents.py"
        code.write_text(code.read_text() + agents)
        ended = self.run("run", ".", "--input", self.write("in.jsonl", "x"), "--json")
        assert ended.code == 3, ended.err
        return ended.runs[0]["run_id"]

    def start(self, *words, **more):
        environment = {**os.environ, "COLUMNS": "", "NO_COLOR": "1", "TERM": "xterm"} | more.pop("env", {})
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        command = [sys.executable, "-m", "interlock", *words]
        process = subprocess.Popen(command, cwd=self.folder, text=True, env=environment, **pipes)
        self._processes.append(process)
        return process

    def run(self, *words, stdin=None, **more):
        piped = {} if stdin is None else {"stdin": subprocess.PIPE}
        process = self.start(*words, **piped, **more)
        out, err = process.communicate(stdin, timeout=DEADLINE_SECONDS)
        return Ended(process.returncode, out, err)

    def finish(self, process):
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
        return Ended(process.returncode, out, err)

    def json(self, *words, code=0):
        """What a command prints with --json, as one document."""
        ended = self.run(*words, "--json")
        assert ended.code == code, ended.err
        return json.loads(ended.out)

    def until(self, name, process):
        """Wait until an agent has left this file."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (self.folder / name).exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"{name} never came"
            time.sleep(0.01)

    def go(self):
        """Let the agents that wait go on."""
        (self.folder / "go").touch()

    @property
    def calls(self):
        """Every call that an agent noted: (run, step, attempt)."""
        log = self.folder / "calls.log"
        return [tuple(call.split()) for call in log.read_text().splitlines()] if log.exists() else []

    def clear(self):
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


class Ended:
    """A command that has ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def runs(self):
        """The lines of JSON it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def desk(tmp_path):
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(folder)
    yield made
    made.clear()
