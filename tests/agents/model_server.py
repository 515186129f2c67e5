"""A model behind a real socket: OpenAI's chat completions and responses, and the plain endpoint of an agent.

It lives in a thread with a loop of its own, so that neither it nor the loop under test ever holds up the other. What it
does hangs on the model that is asked (`model_behaviours`), or on what a test has told it with `behave`. It keeps what
it was asked, what it counted, and when the client hung up, by the clock that `time.monotonic` reads.
"""

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from . import model_answers as answers
from .model_behaviours import Behaviour, canned, named
from .scenes import until

KEY = "sk-planted-5f1d0c7e9b3a4286"
HEAD_BYTES_MAX = 64 << 10
BACKLOG = 512
KEPT = 10_000
ENDLESS_PAUSE_SECONDS = 0.005
STOP_SECONDS_MAX = 10.0
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests", 500: "Internal Server Error"}


class Wire(asyncio.StreamReaderProtocol):
    """A connection; closed_at: when its client hung up, None while it hasn't."""

    def __init__(self, server: "ModelServer", loop: asyncio.AbstractEventLoop) -> None:
        self.reader = asyncio.StreamReader(limit=HEAD_BYTES_MAX, loop=loop)
        super().__init__(self.reader, server._serve, loop=loop)
        self._server = server
        self.closed_at: float | None = None
        self.gone = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._server.connections += 1
        self._server.wires.add(self)
        super().connection_made(transport)

    def eof_received(self) -> bool:
        self._hung_up()
        return bool(super().eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._hung_up()
        self._server.wires.discard(self)
        super().connection_lost(exc)

    def _hung_up(self) -> None:
        if self.closed_at is None:
            self.closed_at = time.monotonic()
        self.gone.set()


@dataclass(eq=False)
class Request:
    """One request, as the server saw it. usage: what it reported for it, None where it reported nothing."""

    number: int
    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]
    at: float
    wire: Wire
    usage: answers.Count | None = None

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def closed_at(self) -> float | None:
        return self.wire.closed_at

    def saw(self, mark: str) -> bool:
        """Whether a piece of ASCII stands in it."""
        return mark.encode() in self.raw


class ModelServer:
    """The server, while it is entered: `with ModelServer() as server`. connections: how many there have been."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self.key = KEY
        self.port = 0
        self.connections = 0
        self.wires: set[Wire] = set()
        self._kept, self._number = kept, 0
        self._requests: list[Request] = []
        self._script: dict[str, list[Behaviour]] = {}
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._thread.start()
        assert self._ready.wait(STOP_SECONDS_MAX), "the model server didn't start"
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS_MAX)
        assert not self._thread.is_alive(), "the model server didn't stop"

    # --- what a test tells it ---

    @property
    def url(self) -> str:
        """Where OpenAI's clients are sent."""
        return f"http://127.0.0.1:{self.port}/v1"

    def agent_url(self, model: str = "normal") -> str:
        """Where an agent lives that takes a job as JSON and answers with the fields of a Reply."""
        return f"http://127.0.0.1:{self.port}/agent/{model}"

    def behave(self, model: str, *behaviours: Behaviour | str) -> None:
        """What a model does with its next requests, one by one; the last goes on. A text names a behaviour."""
        self._script[model] = [named(one) if isinstance(one, str) else one for one in behaviours]

    def answers(self, text: str, model: str = "normal") -> None:
        """What a model says to everything."""
        self.behave(model, canned(text))

    def read_bodies(self, *, yes: bool) -> None:
        """Whether the bodies of requests are read at all; a client may be stuck with half of its own."""
        self._loop.call_soon_threadsafe(self._reads.set if yes else self._reads.clear)

    def hang_up(self) -> None:
        """Cut all connections, so that whoever still hangs on one is set free."""
        self._loop.call_soon_threadsafe(lambda: [wire.transport.abort() for wire in self.wires])

    # --- what it tells a test ---

    @property
    def requests(self) -> list[Request]:
        """All it was asked, in order."""
        return list(self._requests)

    def of(self, mark: str) -> list[Request]:
        """The requests that a mark stands in."""
        return [request for request in self.requests if request.saw(mark)]

    async def asked(self, mark: str = "", within: float = 20.0) -> Request:
        """The first request with this mark, once it is there."""
        try:
            [request, *_] = await until(lambda: self.of(mark), within)
        except TimeoutError:
            raise AssertionError(f"no request came within {within:g} s") from None
        return request

    async def closed(self, request: Request, within: float = 5.0) -> float:
        """When the client hung up, once it has."""
        try:
            return await until(lambda: request.closed_at, within)
        except TimeoutError:
            raise AssertionError(f"the client was still connected after {within:g} s") from None

    # --- its thread ---

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stop, self._reads = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._reads.set()
        server = await self._loop.create_server(lambda: Wire(self, self._loop), "127.0.0.1", 0, backlog=BACKLOG)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for wire in list(self.wires):
            wire.transport.abort()
        while self.wires:  # noqa: ASYNC110 - two turns of the loop, then it is over
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire: Any = writer.transport.get_protocol()
        # Cancelled is only who is still being served when the server stops.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not wire.gone.is_set():
                request = await self._receive(reader, wire)
                goes_on = await self._until_gone(wire, self._answer(request, writer))
                if not goes_on or request.headers.get("connection") == "close":
                    break
        writer.close()

    async def _until_gone(self, wire: Wire, answer: Any) -> bool:
        """Answer as long as somebody listens; whether the connection can be used again."""
        answering, gone = asyncio.create_task(answer), asyncio.create_task(wire.gone.wait())
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not answering.done():
                answering.cancel()
            await asyncio.wait({answering, gone})
        return not answering.cancelled() and answering.exception() is None and bool(answering.result())

    async def _receive(self, reader: asyncio.StreamReader, wire: Wire) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        at = time.monotonic()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        await self._reads.wait()
        raw = await _body(reader, headers)
        path = head[0].split(" ")[1]
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = {}
        if path.startswith("/agent/"):
            body = {"model": path.rpartition("/")[2], "job": body}
        self._number += 1
        request = Request(self._number, path, headers, raw, body, at, wire)
        self._requests.append(request)
        del self._requests[: -self._kept]
        return request

    def _behaviour(self, model: str) -> Behaviour:
        script = self._script.get(model)
        if not script:
            return named(model)
        return script.pop(0) if len(script) > 1 else script[0]

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        behaviour = self._behaviour(request.model)
        await asyncio.sleep(behaviour.seconds)
        if behaviour.ends == "silent":
            await asyncio.Event().wait()
        if behaviour.status != 200:
            return await _send_error(request, behaviour, writer)
        count = answers.Count.of(request.raw)
        turn = answers.turn_of(request.path, request.body, behaviour)
        if request.body.get("stream"):
            stream = answers.streamed(request.path, request.body, turn, count)
            told = behaviour.ends == "" and any(b'_tokens"' in frame for frame in stream.frames)
            request.usage = count if told else None
            return await _send_stream(stream, behaviour, writer)
        request.usage = count if behaviour.ends == "" else None
        payload = answers.whole(request.path, request.body, turn, count)
        return await _send_whole(payload, behaviour, writer)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    raw = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        raw += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return raw


def _head(status: int, headers: dict[str, Any]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unavailable')}", *(f"{key}: {headers[key]}" for key in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


async def _send_error(request: Request, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    message = behaviour.error["message"].replace("{key}", key)
    payload = json.dumps({"error": behaviour.error | {"message": message}}).encode()
    told = {"content-type": "application/json", "content-length": len(payload), **behaviour.headers}
    writer.write(_head(behaviour.status, told) + payload)
    await writer.drain()
    return True


async def _send_whole(payload: bytes, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
    half = payload[: len(payload) // 2]
    if behaviour.ends == "endless":
        writer.write(_head(200, {"content-type": "application/json", "transfer-encoding": "chunked"}))
        while True:
            await _pause(writer, b"1\r\n \r\n")
    if behaviour.ends == "garbage":
        payload = b"<html><body>502 Bad Gateway</body></html>"
    if behaviour.ends == "truncated":
        payload = half
    writer.write(_head(200, {"content-type": "application/json", "content-length": len(payload)}))
    if behaviour.ends in {"hung", "midway", "cut"}:
        writer.write(b"" if behaviour.ends == "hung" else half)
        return await _stop(behaviour, writer)
    writer.write(payload)
    await writer.drain()
    return True


async def _send_stream(stream: answers.Stream, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, {"content-type": "text/event-stream", "connection": "close"}))
    frames = stream.frames
    if behaviour.ends == "garbage":
        frames = [b"data: <html>502 Bad Gateway</html>\n\n"]
    if behaviour.ends in {"midway", "cut", "truncated"}:
        frames = [*frames[: stream.repeats], frames[stream.repeats][:20]]
    if behaviour.ends == "endless":
        frames = frames[: stream.repeats]
    if behaviour.ends != "hung":
        for frame in frames:
            writer.write(frame)
        await writer.drain()
    while behaviour.ends == "endless":
        await _pause(writer, stream.frames[stream.repeats])
    if behaviour.ends in {"hung", "midway", "cut"}:
        return await _stop(behaviour, writer)
    return False


async def _stop(behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
    """Leave an answer as it is: for good, or with the end of the connection."""
    await writer.drain()
    if behaviour.ends != "cut":
        await asyncio.Event().wait()
    return False


async def _pause(writer: asyncio.StreamWriter, piece: bytes) -> None:
    writer.write(piece)
    await writer.drain()
    await asyncio.sleep(ENDLESS_PAUSE_SECONDS)
