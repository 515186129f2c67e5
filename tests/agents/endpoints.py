"""An endpoint of an agent on this machine, in the test's own loop; it keeps what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Posted:
    """One request, and the connection it came over (from 1)."""

    connection: int
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def job(self) -> Any:
        return json.loads(self.body)


@dataclass
class Endpoint:
    """Answers each request with the bytes that `answer` makes of it."""

    answer: Callable[[Posted], bytes]
    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    connections: int = 0
    open: set[int] = field(default_factory=set)
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open.add(number)
        task = asyncio.current_task()
        assert task is not None
        self.serving[task] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            answer = b"HTTP/"
            while answer.startswith(b"HTTP/"):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.posted.append(Posted(number, head[0].split()[1], headers, body))
                answer = self.answer(self.posted[-1])
                writer.write(answer)
                await writer.drain()
        self.open.discard(number)
        writer.close()
        del self.serving[task]


@asynccontextmanager
async def endpoint(answer: Callable[[Posted], bytes]) -> AsyncIterator[Endpoint]:
    """An endpoint, while it is entered."""
    made = Endpoint(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/triage"
    try:
        yield made
    finally:
        server.close()
        for writer in made.serving.values():
            writer.transport.abort()
        await asyncio.gather(*made.serving)


def http(body: Any, status: int = 200, **headers: str) -> bytes:
    """A response; what isn't bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"content-length": str(len(raw)), **{key.replace("_", "-"): value for key, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Told", *(f"{key}: {value}" for key, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + raw
