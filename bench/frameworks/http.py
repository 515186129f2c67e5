"""An agent behind an address: a server on this machine, in a process of its own, is asked by httpx."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

import interlock as il
from bench.frameworks import ANSWER, MODEL_SECONDS, Call
from interlock.agents.envelope import posted
from interlock.agents.http import from_http


class Sleeps(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # which keeps connections
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(MODEL_SECONDS)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    async with server() as url, httpx2.AsyncClient(timeout=None) as client:
        adapter = from_http(url)
        body, headers = posted(job), {"content-type": "application/json", "idempotency-key": job.idempotency_key}
        yield lambda: adapter(job), lambda: client.post(url, content=body, headers=headers)
        await adapter.close()


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """The address of a server that runs meanwhile."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/"
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Sleeps) as serving:
        print(serving.server_port, flush=True)
        serving.serve_forever()
