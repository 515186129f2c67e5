"""The worker process itself, spoken to over its pipes."""

import asyncio
import os
import subprocess
import sys

import msgspec
import pytest

import interlock as il
from interlock.agents.wire import (
    LENGTH_BYTES,
    NONCE_BYTES,
    Load,
    Loaded,
    Setup,
    WorkerJob,
    WorkerReply,
    answer_of,
    job_message,
    reply_bytes_max,
)
from interlock.core.values import DEFAULT_LIMITS
from interlock.errors import AgentError, AgentRefused, RateLimited, ReplyRefused

from .scenes import Module, alive, job, until

NONCE = b"n" * NONCE_BYTES


class Spoken:
    """A worker at the other end of two pipes."""

    def __init__(self, folder, parent=None):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "interlock.agents.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.say(msgspec.json.encode(Setup(parent or os.getpid(), str(folder), sys.path, DEFAULT_LIMITS)))

    def say(self, payload):
        self.process.stdin.write(len(payload).to_bytes(LENGTH_BYTES, "big") + NONCE + payload)
        self.process.stdin.flush()

    def hear(self, kind):
        size = int.from_bytes(self.process.stdout.read(LENGTH_BYTES), "big")
        assert self.process.stdout.read(NONCE_BYTES) == NONCE
        return msgspec.json.decode(self.process.stdout.read(size), type=kind)

    def load(self, reference):
        self.say(msgspec.json.encode(Load(reference)))
        return self.hear(Loaded)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def test_it_loads_calls_and_ends_with_its_input(tmp_path):
    Module(tmp_path, "def agent(job): return {'out.s0': job.view['n'] + 1}")
    with Spoken(tmp_path) as worker:
        assert worker.load("agents_under_test:agent") == Loaded()
        for n in range(3):
            worker.say(job_message("agents_under_test:agent", job(view={"n": n})))
            assert answer_of(worker.hear(WorkerReply)) == il.Reply(writes={"out.s0": n + 1})
        worker.process.stdin.close()
        worker.process.wait(5)


def test_it_says_why_an_agent_cannot_be_loaded(tmp_path):
    with Spoken(tmp_path) as worker:
        assert "there is no module nowhere" in worker.load("nowhere:agent").error
        assert worker.load("os:no_such_function").error
        assert worker.load("os.path:join") == Loaded()


def test_what_it_started_ends_with_it(tmp_path):
    """Even when nobody kills it: its input ends because the engine was killed."""
    Module(
        tmp_path,
        """
        import subprocess
        def agent(job):
            return {"pid": subprocess.Popen(["sleep", "3600"]).pid}
        """,
    )
    with Spoken(tmp_path) as worker:
        worker.load("agents_under_test:agent")
        worker.say(job_message("agents_under_test:agent", job()))
        child = answer_of(worker.hear(WorkerReply)).writes["pid"]
        assert alive(child)
        worker.process.stdin.close()
        worker.process.wait(5)
        asyncio.run(until(lambda: not alive(child)))


def test_what_it_started_ends_with_it_when_nobody_hears_its_answer(tmp_path, capfd):
    """The engine was killed while the agent worked: that is no error, and leaves no traceback."""
    Module(
        tmp_path,
        """
        import subprocess
        import time
        from pathlib import Path
        here = Path(__file__).parent
        def agent(job):
            (here / "child").write_text(str(subprocess.Popen(["sleep", "3600"]).pid))
            (here / "child").rename(here / "started")
            while not (here / "go").exists():
                time.sleep(0.01)
            return {}
        """,
    )
    with Spoken(tmp_path) as worker:
        worker.load("agents_under_test:agent")
        worker.say(job_message("agents_under_test:agent", job()))
        asyncio.run(until((tmp_path / "started").exists))
        child = int((tmp_path / "started").read_text())
        worker.process.stdout.close()
        (tmp_path / "go").touch()
        worker.process.wait(5)
        asyncio.run(until(lambda: not alive(child)))
    assert capfd.readouterr().err == ""


def test_it_ends_if_its_parent_is_gone_already(tmp_path):
    """The engine was killed while the worker was starting: nothing else would end it, its pipes are ours."""
    Module(tmp_path, "while True: pass")
    with Spoken(tmp_path, parent=1) as worker:
        worker.say(msgspec.json.encode(Load("agents_under_test:agent")))
        worker.process.wait(5)


def test_it_ends_if_it_is_given_no_setup():
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "interlock.agents.worker"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.communicate(timeout=10) == (b"", None)


def test_what_stands_around_a_reply_has_room():
    assert reply_bytes_max(DEFAULT_LIMITS) > DEFAULT_LIMITS.commit_bytes_max + DEFAULT_LIMITS.value_bytes_max


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (WorkerReply(error="bad"), AgentError),
        (WorkerReply(error="closed", kind="refused"), AgentRefused),
        (WorkerReply(error="slow down", kind="rate_limited"), RateLimited),
        (WorkerReply(error="what?", kind="made_up"), AgentError),
        (WorkerReply(no_reply="a poem"), ReplyRefused),
    ],
)
def test_replies_that_are_errors(reply, kind):
    with pytest.raises(AgentError) as raised:
        answer_of(msgspec.json.decode(msgspec.json.encode(reply), type=WorkerReply))
    assert type(raised.value) is kind


def test_a_job_survives_the_journey():
    given = job(view={"a": {"b": 1}}, feedback=("one", "two"), item=[1], index=0, instructions="go")
    arrived = msgspec.json.decode(job_message("m:f", given), type=WorkerJob)
    assert arrived.reference == "m:f"
    again = arrived.job()
    assert again.view.to_dict() == {"a": {"b": 1}}
    assert all(getattr(again, name) == getattr(given, name) for name in type(given).__struct_fields__ if name != "view")
