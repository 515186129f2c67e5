"""The worker process: imports agents and calls them, one job at a time, until its input ends.

Started by ProcessPool. Agents may print: their output goes to standard error, away from the pipe that carries replies.
"""

import asyncio
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from interlock.core.assess import excerpt, no_reply, usage_of
from interlock.core.job import DELETE, Effect, Job, Question, Reply, Request, connect
from interlock.core.values import Limits, encode
from interlock.errors import AgentError, AgentRefused, InterlockError, ReplyRefused, ValueRefused, describe, failure_of
from interlock.team.registry import find, resolve

from .secret import hidden
from .tools.signature import Signature
from .wire import (
    LENGTH_BYTES,
    NONCE_BYTES,
    Load,
    Loaded,
    Setup,
    WorkerAsks,
    WorkerEffect,
    WorkerJob,
    WorkerPerformed,
    WorkerReply,
    WorkerTool,
    reply_bytes_max,
    seen,
)
from .worker_loop import WorkerLoop

ORPHAN_POLL_SECONDS = 1.0

Message = Setup | Load | WorkerJob | WorkerTool | WorkerEffect | WorkerPerformed


def main() -> None:
    """Serve until standard input ends."""
    requests, replies = _take_pipes()
    received = _receive(requests)
    if received is None or not isinstance(setup := received[1], Setup):
        return
    process = os.getpid()
    threading.Thread(target=_die_with_parent, args=(setup.parent,), daemon=True).start()
    sys.path[:] = setup.import_path or sys.path
    functions: dict[str, Callable[..., Any]] = {}
    loop = WorkerLoop()
    line = _Line(requests, replies, process)
    while (message := line.next()) is not None:
        if isinstance(message, Load):
            answer = _load(message.reference, setup, functions)
        elif isinstance(message, WorkerEffect):
            answer = _answer(partial(_perform, functions[message.reference], message, loop), setup.limits)
        elif isinstance(message, WorkerTool):
            answer = _answer(partial(_use, functions[message.reference], message, setup.limits, loop), setup.limits)
        else:
            assert isinstance(message, WorkerJob)
            answer = _answer(
                partial(_call, functions[message.reference], message, loop, line, setup.limits), setup.limits
            )
        line.answer(answer)
    _end()


class _Line:
    """The pipes of this process, and the nonce of the message that was heard last."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO, process: int) -> None:
        self._requests, self._replies, self._process = requests, replies, process
        self._nonce = b""
        self._lock = threading.Lock()

    def next(self) -> Message | None:
        """The next message; None where the input has ended."""
        received = _receive(self._requests)
        if received is None:
            return None
        self._nonce, message = received
        return message

    def answer(self, payload: bytes) -> None:
        """Answer the last message."""
        if os.getpid() != self._process:  # the agent has forked, and this is the child
            os._exit(0)
        try:
            _send(self._replies, self._nonce, payload)
        except BrokenPipeError:  # nobody hears it: the engine was killed
            _end()

    def perform(self, limits: Limits, effect: str, payload: Any, key: str) -> Any:
        """Have the engine perform an effect, while the agent waits. Raises AgentError."""
        asks = WorkerAsks(_text(effect), _encoded("the payload", payload, limits), _text(key))
        with self._lock:
            self.answer(msgspec.json.encode(WorkerReply(asks=asks)))
            performed = self.next()
        if performed is None:
            _end()
        assert isinstance(performed, WorkerPerformed)
        result = performed.outcome()
        return _awaited(result) if asyncio._get_running_loop() is not None else result  # noqa: SLF001 - the public one raises


async def _awaited(result: Any) -> Any:
    return result


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ReplyRefused(f"the name and the key of an effect are texts, not a {type(value).__name__}")
    return value


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for ourselves; the agent gets an empty input, and standard error as its output."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a worker is killed, never finalised
    return requests, replies


def _die_with_parent(parent: int) -> None:
    """A busy worker would not notice that its input has ended because the engine was killed."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_POLL_SECONDS)
    _end()


def _end() -> None:
    """Take along whatever the agents have started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _receive(requests: BinaryIO) -> tuple[bytes, Message] | None:
    """The next message and its nonce; None where the input has ended."""
    head = requests.read(LENGTH_BYTES + NONCE_BYTES)
    if len(head) < LENGTH_BYTES + NONCE_BYTES:
        return None
    payload = requests.read(int.from_bytes(head[:LENGTH_BYTES], "big"))
    return head[LENGTH_BYTES:], msgspec.json.decode(payload, type=Message)


def _send(replies: BinaryIO, nonce: bytes, payload: bytes) -> None:
    replies.write(len(payload).to_bytes(LENGTH_BYTES, "big") + nonce + payload)
    replies.flush()


def _load(reference: str, setup: Setup, functions: dict[str, Callable[..., Any]]) -> bytes:
    loaded = Loaded()
    try:
        functions[reference] = _function(reference, setup)
    except InterlockError as error:
        loaded = Loaded(describe(AgentError(error.message)))
    return msgspec.json.encode(loaded)


def _function(reference: str, setup: Setup) -> Callable[..., Any]:
    folder = Path(setup.folder) if setup.folder else None
    if setup.binding is None:
        return resolve(reference, folder)
    bound: Callable[..., Callable[[Job], Any]] = import_module(setup.binding.module).bound
    return bound(reference, setup.binding.options, partial(find, folder=folder))


def _call(function: Callable[..., Any], message: WorkerJob, loop: WorkerLoop, line: _Line, limits: Limits) -> Any:
    job = message.job()
    connect(job, partial(line.perform, limits))
    return _done(function(job), loop)


def _use(function: Callable[..., Any], message: WorkerTool, limits: Limits, loop: WorkerLoop) -> Reply:
    job = None if message.job is None else seen(message.job)
    return Reply(output=_done(function(**Signature(function).arguments(message.arguments, job, limits)), loop))


def _perform(function: Callable[..., Any], message: WorkerEffect, loop: WorkerLoop) -> Reply:
    return Reply(output=_done(function(message.payload, message.idempotency_key), loop))


def _done(answer: Any, loop: WorkerLoop) -> Any:
    return loop.result(answer) if inspect.isawaitable(answer) else answer


def _answer(work: Callable[[], Any], limits: Limits) -> bytes:
    try:
        return _payload(_reply(work(), limits), limits)
    except ReplyRefused as refused:
        said = hidden(excerpt(refused))
        return msgspec.json.encode(WorkerReply(no_reply=describe(refused), said=said, usage=usage_of(refused)))
    except AgentError as error:
        return msgspec.json.encode(_failed(error))
    except BaseException as error:  # noqa: BLE001 - an agent may raise anything; the engine is told
        return msgspec.json.encode(WorkerReply(error=describe(error)))


def _failed(error: AgentError) -> WorkerReply:
    kind = failure_of(error)
    if bool(error.retryable) is not kind.retryable:
        kind = AgentError if error.retryable else AgentRefused
    wait = error.retry_after if type(error.retry_after) in {int, float} else None
    return WorkerReply(error=describe(error), kind=kind.kind, usage=usage_of(error), retry_after=wait)


def _payload(reply: WorkerReply, limits: Limits) -> bytes:
    payload, most = msgspec.json.encode(reply), reply_bytes_max(limits)
    if len(payload) > most:
        raise ReplyRefused(f"the reply is {len(payload):,} bytes of JSON, more than {most:,}")
    return payload


def _reply(answer: Any, limits: Limits) -> WorkerReply:
    """An answer as it travels: only plain JSON, so that nothing changes its type on the way. Raises ReplyRefused."""
    reply = Reply(writes=answer) if type(answer) is dict else answer
    if not isinstance(reply, Reply):
        raise ReplyRefused(no_reply(answer))
    if type(reply.writes) is not dict:
        raise ReplyRefused(f"writes is a {type(reply.writes).__name__}, not a dict of dotted paths")
    if reply.usage is not None and usage_of(reply) is None:
        raise ReplyRefused("usage is not an interlock.Usage with counts and a price from 0 up")
    writes: dict[str, Any] = {}
    deletes: list[str] = []
    for path, value in reply.writes.items():
        if type(path) is not str:
            raise ReplyRefused(f"a {type(path).__name__} is not a dotted path")
        _encoded("a path", path, limits)
        if value is DELETE:
            deletes.append(path)
        else:
            writes[path] = _encoded(path, value, limits)
    return WorkerReply(
        writes,
        tuple(deletes),
        _encoded("output", reply.output, limits),
        reply.usage,
        _encoded("confidence", reply.confidence, limits),
        _question(reply.ask, limits),
        effects=_effects(reply.effects, limits),
        request=_request(reply.request, limits),
    )


def _encoded(name: str, value: Any, limits: Limits) -> msgspec.Raw:
    try:
        return msgspec.Raw(encode(value, limits))
    except ValueRefused as error:
        raise ReplyRefused(f"{name[:200]}: {error.message}") from None


def _effects(effects: Any, limits: Limits) -> tuple[Effect, ...]:
    if type(effects) not in {tuple, list}:
        raise ReplyRefused(f"effects is a {type(effects).__name__}, not a list of interlock.Effects")
    for effect in effects:
        if type(effect) is not Effect or type(effect.effect) is not str or type(effect.key) is not str:
            raise ReplyRefused("an effect is not an interlock.Effect with a name, a payload and a key")
        _encoded("an effect", [effect.effect, effect.payload, effect.key], limits)
    return tuple(effects)


def _request(request: Any, limits: Limits) -> Request | None:
    if request is None:
        return None
    if type(request) is not Request or type(request.action) is not str or type(request.to) is not str:
        raise ReplyRefused("request is not an interlock.Request with an action and to")
    _encoded("request", [request.action, request.to], limits)
    return request


def _question(ask: Any, limits: Limits) -> Question | None:
    if ask is None:
        return None
    if not isinstance(ask, Question) or type(ask.text) is not str or not isinstance(ask.choices, tuple | list):
        raise ReplyRefused("ask is not an interlock.Question with a text and choices")
    for text in (ask.text, *ask.choices):
        if type(text) is not str:
            raise ReplyRefused(f"a choice of the question is a {type(text).__name__}, not text")
        _encoded("ask", text, limits)
    return ask


if __name__ == "__main__":
    main()
