"""kill -9 around an effect on a real server: what is done is not sent again, what is unknown follows its rule."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from interlock.core.events import EffectBecameUnknown, EffectDone, QuestionAnswered
from interlock.journal.sqlite import SqliteJournal

SCRIPT = Path(__file__).with_name("effect_process.py")


class Sink(ThreadingHTTPServer):
    """Counts what it is sent, by idempotency key; it is no child of the processes that are killed."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Counting)
        self.sent = Counter()


class _Counting(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.sent[self.headers["Idempotency-Key"]] += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def sink():
    with Sink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def live(folder, sink, on_unknown, kill_at="never"):
    command = [sys.executable, SCRIPT, folder, str(sink.server_address[1]), on_unknown, kill_at]
    code = subprocess.run(command, timeout=50, check=False).returncode
    assert code == (0 if kill_at == "never" else -signal.SIGKILL)


def ended(folder):
    async def look():
        journal = SqliteJournal(folder / "journal.db")
        row, events = await journal.run("r"), await journal.load("r")
        await journal.close()
        return row.status, events

    return asyncio.run(look())


ONE, TWO = "r/one/effect:mail", "r/two/effect:mail"


@pytest.mark.parametrize(
    ("kill_at", "on_unknown", "status", "times"),
    [
        ("sent", "retry", "succeeded", 2),
        ("sent", "ask", "parked", 1),
        ("sent", "fail", "failed", 1),
        ("done", "retry", "succeeded", 2),
        ("done", "ask", "parked", 1),
        ("told", "ask", "succeeded", 1),
    ],
)
def test_killed_around_an_effect(tmp_path, sink, kill_at, on_unknown, status, times):
    live(tmp_path, sink, on_unknown, kill_at)
    _, before = ended(tmp_path)
    done_before = {event.step for event in before if isinstance(event, EffectDone)}
    sent_before = Counter(sink.sent)
    live(tmp_path, sink, on_unknown)

    found, events = ended(tmp_path)
    again = sink.sent - sent_before
    assert {f"r/{step}/effect:mail" for step in done_before} & again.keys() == set(), "a done effect was sent again"
    unknown = {event.step for event in events if isinstance(event, EffectBecameUnknown)}
    assert all(sink.sent[f"r/{step}/effect:mail"] <= (2 if step in unknown else 1) for step in ("one", "two"))
    assert max(sink.sent.values()) <= times
    if kill_at != "told":
        assert found == status, "one of them, at least, was begun and not ended"
        assert unknown
    elif not unknown:
        assert found == status


@pytest.mark.parametrize("kill_at", ["asked", "approved", "sent", "done", "told"])
def test_killed_around_an_approval(tmp_path, sink, kill_at):
    live(tmp_path, sink, "approve", kill_at)
    _, before = ended(tmp_path)
    approved = {event.step for event in before if isinstance(event, QuestionAnswered)}
    assert {key.split("/")[1] for key in sink.sent} <= approved, "sent without approval"
    live(tmp_path, sink, "approve")

    found, events = ended(tmp_path)
    unknown = {event.step for event in events if isinstance(event, EffectBecameUnknown)}
    approvals = [event.step for event in events if isinstance(event, QuestionAnswered)]
    assert max(sink.sent.values()) == 1
    assert sorted(approvals) == ["one", "two"], "each is approved once, however often it is killed"
    assert found == ("parked" if unknown else "succeeded")
    assert unknown or sink.sent == {ONE: 1, TWO: 1}


def test_a_run_that_nobody_kills_sends_each_once(tmp_path, sink):
    live(tmp_path, sink, "ask")

    assert sink.sent == {ONE: 1, TWO: 1}
    assert ended(tmp_path)[0] == "succeeded"
