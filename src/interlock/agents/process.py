"""Agents in processes of their own: the only way to stop a function that doesn't cooperate.

Workers are kept warm and take one call at a time over a pair of pipes: a length, then JSON. A worker is hostile: what
it sends is bounded before it is read. When a call is cancelled or its worker misbehaves, the worker is killed with
all that it started, and the next call gets a fresh one.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from interlock.core.job import Job, Perform, performing
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import AgentCrashed, AgentError, AgentRefused, ReplyRefused, describe, failure_of
from interlock.ports import Began

from .failure import ending
from .wire import (
    LENGTH_BYTES,
    NO_REPLY,
    NONCE_BYTES,
    Binding,
    Load,
    Loaded,
    Setup,
    WorkerAsks,
    WorkerEffect,
    WorkerPerformed,
    WorkerReply,
    answer_of,
    job_message,
    reply_bytes_max,
    tool_message,
)

# Of one pool or one program at once, unless somebody says otherwise.
PROCESSES_MAX = max(2, os.cpu_count() or 1)
LOAD_SECONDS_MAX = 60.0
END_SECONDS_MAX = 5.0
PIPE_BYTES = 1 << 20

Message = TypeVar("Message")


class ProcessPool:
    """Warm worker processes for the agents of one team.

    folder: goes first on their import path. binding: what they make of references, where those don't name functions.
    python: the interpreter of another environment, which has an Interlock of its own; "" for this one's.
    """

    def __init__(
        self,
        folder: str = "",
        *,
        limits: Limits = DEFAULT_LIMITS,
        idle_max: int | None = None,
        binding: Binding | None = None,
        python: str = "",
    ) -> None:
        self._folder, self._limits, self._binding, self._python = folder, limits, binding, python
        self.idle_max = idle_max or PROCESSES_MAX
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()

    async def lease(self, reference: str) -> "Worker":
        """A worker that has loaded this agent. Raises AgentRefused where it can't be loaded."""
        self._forget_dead()
        worker = self._take(reference) or await self._start()
        try:
            async with asyncio.timeout(LOAD_SECONDS_MAX):
                await worker.load(reference)
        except TimeoutError as error:
            worker.kill()
            raise AgentRefused(f"{reference} could not be imported within {LOAD_SECONDS_MAX:g} s") from error
        except BaseException:
            worker.kill()
            raise
        return worker

    def knows(self, reference: str) -> bool:
        """Whether a worker has loaded this agent."""
        self._forget_dead()
        return any(reference in worker.loaded for worker in self._workers)

    async def _start(self) -> "Worker":
        import_path = [] if self._python else [str(entry or Path.cwd()) for entry in sys.path]
        setup = Setup(os.getpid(), self._folder, import_path, self._limits, self._binding)
        worker = await Worker.start(setup, self._python or sys.executable)
        self._workers.add(worker)
        return worker

    def _forget_dead(self) -> None:
        """An agent may have left something behind that ends its process later."""
        self._workers = {worker for worker in self._workers if worker.process.returncode is None}
        self._idle = [worker for worker in self._idle if worker in self._workers]

    def _take(self, reference: str) -> "Worker | None":
        if not self._idle:
            return None
        known = [worker for worker in self._idle if reference in worker.loaded]
        worker = known[-1] if known else self._idle[-1]
        self._idle.remove(worker)
        return worker

    def give_back(self, worker: "Worker") -> None:
        """Keep a worker for the next call, unless enough are kept."""
        if len(self._idle) < self.idle_max:
            self._idle.append(worker)
        else:
            worker.kill()

    async def close(self) -> None:
        """Stop all workers and wait until they have ended."""
        workers, self._workers, self._idle = self._workers, set(), []
        for worker in workers:
            worker.kill()
        for worker in workers:
            await worker.ended()


class ProcessAdapter:
    """Calls `module:function` in a worker of a pool; slots: in how many at once, as many as are kept by default.

    Whoever made the pool closes it.
    """

    def __init__(self, pool: ProcessPool, reference: str, slots: int | None = None) -> None:
        self._pool, self._reference = pool, reference
        self.slots: int | None = slots or pool.idle_max

    async def call(self, job: Job, began: Began) -> Any:
        """The function's answer. Raises AgentCrashed when its process dies, AgentError when it raises."""
        worker = await self._pool.lease(self._reference)
        try:
            began()
            reply = await worker.ask(self._reference, job)
        except BaseException:
            worker.kill()
            raise
        self._pool.give_back(worker)
        return answer_of(reply)

    async def close(self) -> None:
        """The pool is others' as well."""


class Worker:
    """One worker process. loaded: the agents it has imported."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self.process = process
        self.loaded: set[str] = set()
        self._reply_bytes_max = reply_bytes_max(limits)
        self._pipes: Any = process._transport  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way to it

    @classmethod
    async def start(cls, setup: Setup, python: str = sys.executable) -> "Worker":
        """Start a process that waits for work. Raises AgentRefused where there is no such Python."""
        # -P keeps the working folder off the import path; a session of its own lets all that it starts be killed.
        try:
            process = await asyncio.create_subprocess_exec(
                python,
                "-P",
                "-m",
                "interlock.agents.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=PIPE_BYTES,
            )
        except OSError as error:
            raise AgentRefused(f"{python} can't be started: {error.strerror}", fix="name a Python") from error
        worker = cls(process, setup.limits)
        worker._send(msgspec.json.encode(setup))
        return worker

    async def load(self, reference: str) -> None:
        """Import an agent, once."""
        if reference not in self.loaded:
            loaded = await self._exchange(msgspec.json.encode(Load(reference)), Loaded)
            if loaded.error:
                raise AgentRefused(loaded.error)
            self.loaded.add(reference)

    async def ask(self, reference: str, job: Job) -> WorkerReply:
        """Hand over a job, receive its reply; the effects that it waits for are performed meanwhile."""
        reply = await self._exchange(job_message(reference, job), WorkerReply)
        while reply.asks is not None:
            performed = await _performed(reply.asks, performing(job))
            reply = await self._exchange(msgspec.json.encode(performed), WorkerReply)
        return reply

    async def use(self, reference: str, arguments: dict[str, Any], job: Job | None) -> WorkerReply:
        """Call a function that is a tool, receive its result as the output of a reply."""
        return await self._exchange(tool_message(reference, arguments, job), WorkerReply)

    async def perform(self, reference: str, payload: Any, idempotency_key: str) -> WorkerReply:
        """Have a function perform an effect, receive its result as the output of a reply."""
        return await self._exchange(msgspec.json.encode(WorkerEffect(reference, payload, idempotency_key)), WorkerReply)

    async def _exchange(self, payload: bytes, kind: type[Message]) -> Message:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            nonce = self._send(payload)
            await stdin.drain()
            size = int.from_bytes(await stdout.readexactly(LENGTH_BYTES), "big")
            if size > self._reply_bytes_max:
                raise AgentCrashed(f"its process sent {size:,} bytes, more than {self._reply_bytes_max:,}")
            if await stdout.readexactly(NONCE_BYTES) != nonce:
                raise AgentCrashed("its process sent something that was not asked for")
            return msgspec.json.decode(await stdout.readexactly(size), type=kind)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise AgentCrashed(f"its process died: {await self._cause()}") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise AgentCrashed("its process sent something that is no reply") from error

    def _send(self, payload: bytes) -> bytes:
        assert self.process.stdin is not None
        nonce = os.urandom(NONCE_BYTES)
        self.process.stdin.write(len(payload).to_bytes(LENGTH_BYTES, "big") + nonce + payload)
        return nonce

    async def ended(self) -> None:
        """Wait until a process that was killed has ended, and asyncio has let go of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS_MAX):
                await self.process.wait()
                while not self._pipes.is_closing():  # noqa: ASYNC110 - asyncio has no event for it
                    await asyncio.sleep(0.001)

    async def _cause(self) -> str:
        self.kill()  # it may have closed its pipe and live on
        return ending(await self.process.wait())

    def kill(self) -> None:
        """Stop the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        # A daemon that left the session may hold the pipes open for ever, so they are closed from this side.
        for pipe, close in ((self._pipes.get_pipe_transport(0), "abort"), (self._pipes.get_pipe_transport(1), "close")):
            if not pipe.is_closing():
                getattr(pipe, close)()


async def _performed(asks: WorkerAsks, perform: Perform | None) -> WorkerPerformed:
    if perform is None:
        return WorkerPerformed(error="no effect can be performed: the team has none")
    try:
        return WorkerPerformed(await perform(asks.effect, asks.payload, asks.key))
    except AgentError as error:
        kind = NO_REPLY if isinstance(error, ReplyRefused) else failure_of(error).kind
        return WorkerPerformed(error=describe(error), kind=kind)
