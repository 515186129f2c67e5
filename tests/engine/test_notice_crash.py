"""kill -9 between a question and its delivery, and right after that: people are told, no more often than need be."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from interlock.journal.sqlite import SqliteJournal

SCRIPT = Path(__file__).with_name("notice_process.py")


class Sink(ThreadingHTTPServer):
    """Keeps what it is told; it is no child of the processes that are killed."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Keeping)
        self.told = []


class _Keeping(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"])
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


def live(folder, sink, kill_at="never"):
    command = [sys.executable, SCRIPT, folder, str(sink.server_address[1]), kill_at]
    done = subprocess.run(command, timeout=50, check=False, capture_output=True, text=True)
    assert done.returncode == (0 if kill_at == "never" else -signal.SIGKILL), done.stderr


def left(folder):
    async def look():
        journal = SqliteJournal(folder / "journal.db")
        found = journal._store.db.execute("SELECT count(*) FROM notice").get
        await journal.close()
        return found

    return asyncio.run(look())


@pytest.mark.slow
@pytest.mark.parametrize(("kill_at", "told_before"), [("asked", 0), ("sent", 1)])
def test_a_process_that_dies_before_it_knows_that_people_are_told_has_another_tell_them(
    tmp_path, sink, kill_at, told_before
):
    live(tmp_path, sink, kill_at)
    assert (len(sink.told), left(tmp_path)) == (told_before, 1)
    live(tmp_path, sink)
    assert (len(sink.told), left(tmp_path)) == (told_before + 1, 0)
    live(tmp_path, sink)
    assert len(sink.told) == told_before + 1
    assert f"interlock inbox show r/s --journal {tmp_path.resolve()}/journal.db" in sink.told[-1]
