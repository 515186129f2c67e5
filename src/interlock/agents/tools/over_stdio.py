"""MCP over the standard input and output of a process.

The client has a transport of its own, which reads lines of any length, shows what the server writes to standard error,
and takes seconds to end a server that doesn't end by itself.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter

from interlock.agents.failure import ending
from interlock.agents.secret import hidden
from interlock.errors import AgentRefused, Unreachable

MESSAGE_BYTES_MAX = 8 << 20
# What a server last wrote to standard error says why it died.
LAST_WORDS_BYTES_MAX = 2_000
# Of what a server asks us; each waits in memory until the server has read its answer.
UNANSWERED_MAX = 100
# How long a server may be too busy to read what it is sent.
UNREAD_SECONDS_MAX = 60.0
# A server whose input has ended gets this long to end, and as long again after SIGTERM.
GRACE_SECONDS = 0.5
GUARD = Path(__file__).with_name("guard.py")


@asynccontextmanager
async def stdio(command: Sequence[str], env: Mapping[str, str], folder: str) -> AsyncIterator[Any]:
    """The streams of a connection. Its end is raised inside as Unreachable, with the server's last words.

    The server's environment is PATH, HOME and their like, and `env`: no secrets that it isn't given.
    """
    try:
        process = await anyio.open_process(
            [*command], env={**get_default_environment(), **env}, cwd=folder or None, start_new_session=True
        )
    except OSError as error:
        raise AgentRefused(f"{command[0]} can't be started: {error.strerror}") from None
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    last_words = bytearray()
    requests = _Requests()
    incoming_end, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, outgoing_end = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        with incoming_end, incoming, outgoing, outgoing_end:
            async with _guarded(process), anyio.create_task_group() as tasks:
                tasks.start_soon(_keep_last, process.stderr, last_words)
                tasks.start_soon(_read, process, incoming_end, last_words, requests)
                tasks.start_soon(_write, process, outgoing_end, requests)
                try:
                    yield incoming, outgoing
                finally:
                    tasks.cancel_scope.cancel()
                    with anyio.CancelScope(shield=True):
                        await _end(process)
    finally:
        with anyio.CancelScope(shield=True):
            await _close(process)


@asynccontextmanager
async def _guarded(process: Process) -> AsyncIterator[None]:
    """Have the server end, too, if this process is killed meanwhile."""
    command = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(process.pid)]
    nothing = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}
    try:
        guard = await anyio.open_process(command, **nothing, cwd="/", start_new_session=True)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _end(process)
        raise
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            guard.kill()
        with anyio.CancelScope(shield=True):
            await guard.wait()


class _Requests:
    """Counts what a server has asked and not been answered."""

    def __init__(self) -> None:
        self._open = 0

    def come(self, message: Any) -> None:
        """A message came from the server. Raises Unreachable where it leaves too many requests open."""
        self._open += isinstance(message, JSONRPCRequest)
        if self._open > UNANSWERED_MAX:
            raise Unreachable(
                f"it has more than {UNANSWERED_MAX} requests of its own open, and doesn't read the answers"
            )

    def went(self, message: Any) -> None:
        """A message was sent to the server."""
        self._open -= isinstance(message, JSONRPCResponse | JSONRPCError)


async def _read(process: Process, messages: Any, last_words: bytearray, requests: _Requests) -> None:
    assert process.stdout is not None
    lines = BufferedByteReceiveStream(process.stdout)
    try:
        while True:
            line = await lines.receive_until(b"\n", MESSAGE_BYTES_MAX)
            with suppress(ValueError):  # what isn't JSON was printed by mistake
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                requests.come(message)
                await messages.send(SessionMessage(message))
    except anyio.DelimiterNotFound:
        raise Unreachable(f"it sent a message of more than {MESSAGE_BYTES_MAX:,} bytes") from None
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, OSError):
        raise Unreachable(await _cause(process, last_words)) from None


async def _write(process: Process, messages: Any, requests: _Requests) -> None:
    assert process.stdin is not None
    async for message in messages:
        line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        with anyio.move_on_after(UNREAD_SECONDS_MAX) as bound:
            with suppress(anyio.BrokenResourceError, OSError):  # whoever reads will notice
                await process.stdin.send(line.encode() + b"\n")
        if bound.cancelled_caught:
            raise Unreachable(f"it didn't read what it was sent for {UNREAD_SECONDS_MAX:g} s")
        requests.went(message.message)


async def _keep_last(stream: ByteReceiveStream, last_words: bytearray) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            last_words += await stream.receive()
            del last_words[:-LAST_WORDS_BYTES_MAX]


async def _cause(process: Process, last_words: bytearray) -> str:
    code: int | None = None
    with anyio.move_on_after(GRACE_SECONDS):
        code = await process.wait()
    said = hidden(last_words.decode(errors="replace").strip())
    how = "it closed its output" if code is None else ending(code)
    return f"its process ended: {how}" + (f"; its last words: {said}" if said else "")


async def _end(process: Process) -> None:
    """Stop a server as the protocol has it, and then with all that it has started."""
    assert process.stdin is not None
    with suppress(OSError, anyio.BrokenResourceError):
        await process.stdin.aclose()
    with anyio.move_on_after(GRACE_SECONDS):
        await process.wait()
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with anyio.move_on_after(GRACE_SECONDS):
            await process.wait()
    _signal(process, signal.SIGKILL)


async def _close(process: Process) -> None:
    """Read what has ended to its end: a pipe with something left in it stays open until garbage is collected."""
    for output in (process.stdout, process.stderr):
        assert output is not None
        with anyio.move_on_after(GRACE_SECONDS), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await output.receive()
    await process.aclose()


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
