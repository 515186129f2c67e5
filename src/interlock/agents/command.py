"""Agents that are programs: the job comes on standard input as JSON, the reply goes to standard output.

A program has a session of its own. When its call ends, however it ends, whatever it has started is killed with it.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from interlock.core.job import Job, Reply
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import (
    AccessDenied,
    AgentCrashed,
    AgentError,
    AgentRefused,
    BadRequest,
    Overloaded,
    ReplyRefused,
    TeamError,
    Unreachable,
)

from .envelope import opened, posted
from .failure import ending
from .foreign import ForeignAdapter, Meter, ProbedAdapter
from .process import PROCESSES_MAX
from .secret import check_placeholders, excerpt, filled_in, hidden
from .setting import Setting
from .wire import reply_bytes_max

ERROR_BYTES_MAX = 2_000
SHOWN_CHARS_MAX = 200
# How long what has left the session may hold on to the pipes.
END_SECONDS_MAX = 1.0
# What a program gets of this one's environment; all else is declared.
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# Exit codes that say more than that it failed: those of sysexits.h, and the shell's for what can't be run.
OF_EXIT: dict[int, type[AgentError]] = {
    os.EX_USAGE: BadRequest,
    os.EX_DATAERR: BadRequest,
    os.EX_UNAVAILABLE: Unreachable,
    os.EX_TEMPFAIL: Overloaded,
    os.EX_NOPERM: AccessDenied,
    os.EX_CONFIG: AgentRefused,
    126: AgentRefused,
    127: AgentRefused,
}


def declared(setting: Setting) -> ForeignAdapter:
    """The adapter of an agent that a team file declares by `command`. Raises TeamError."""
    told, team = setting.declared, setting.team
    return from_command(told["run"], env=told.get("env", {}), folder=team.folder or "", limits=team.limits)


def from_command(
    run: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    folder: str | Path = "",
    limits: Limits = DEFAULT_LIMITS,
) -> ForeignAdapter:
    """A program as an agent.

    run: the program and its arguments, as they are: no shell reads them. env: what it gets beside INHERITED; `${NAME}`
    in a value stands for the secret with this name. folder: where it runs. limits: on what it answers. Raises TeamError
    for a program that isn't there.
    """
    program = Program([*run], dict(env or {}), str(folder or Path.cwd()), reply_bytes_max(limits))
    program.check()
    adapter = ProbedAdapter(program)
    adapter.slots = PROCESSES_MAX
    return adapter


class Program:
    """A program that is started for each job."""

    def __init__(self, run: list[str], env: Mapping[str, str], folder: str, bytes_max: int) -> None:
        self._run, self._env, self._folder, self._bytes_max = run, env, folder, bytes_max
        self._running: set[_Process] = set()

    def check(self) -> None:
        """Raise TeamError for what can't be run."""
        for name, value in self._env.items():
            check_placeholders(value, f"the variable {name}", ("env", name))
            if not name or "=" in name or "\0" in name + value:
                shown = excerpt(repr(name), SHOWN_CHARS_MAX)
                raise TeamError(f"{shown} is no environment variable", place=("env", name))
        program = self._run[0]
        path = str(Path(self._folder, program)) if "/" in program else program
        if any("\0" in word for word in self._run) or not shutil.which(path, path=self._env.get("PATH")):
            fix = f"look for it in {self._folder}" if "/" in program else "give its path, such as ./triage.sh"
            raise TeamError(f"there is no program {excerpt(repr(program), SHOWN_CHARS_MAX)}", fix=fix, place=("run",))

    async def answer(self, job: Job, meter: Meter) -> Reply:
        """The reply to a job."""
        process = await self._start()
        try:
            process.send(posted(job))
            code = await process.ended
        finally:
            process.kill()
            await process.gone(END_SECONDS_MAX)
        if process.is_too_large:
            raise ReplyRefused(f"the answer is larger than {self._bytes_max:,} bytes")
        if code != 0:
            raise _failure(code, bytes(process.complaint))
        return opened(bytes(process.answer), job)

    async def probe(self) -> str:
        """The program with its arguments, if its secrets are there; it isn't started."""
        self._filled_env()
        return " ".join(self._run)

    def _filled_env(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return inherited | {name: filled_in(value) for name, value in self._env.items()}

    async def _start(self) -> "_Process":
        env = self._filled_env()
        loop = asyncio.get_running_loop()
        try:
            _, process = await loop.subprocess_exec(
                lambda: _Process(loop, self._bytes_max, self._running),
                *self._run,
                cwd=self._folder,
                env=env,
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise AgentRefused(f"{self._run[0]} can't be started: {error.strerror}") from None
        return process

    async def close(self) -> None:
        """Wait for the end of those that were killed a moment ago."""
        for process in [*self._running]:
            process.kill()
            await process.gone(END_SECONDS_MAX)


class _Process(asyncio.SubprocessProtocol):
    """One run of a program. answer: what it wrote; complaint: the end of what it wrote to standard error.

    ended: its exit code, once it has exited and all that it wrote is here. running: holds it until then.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, bytes_max: int, running: "set[_Process]") -> None:
        self.answer, self.complaint = bytearray(), bytearray()
        self.is_too_large = False
        self.ended: asyncio.Future[int] = loop.create_future()
        self._gone = asyncio.Event()
        self._loop, self._bytes_max, self._running = loop, bytes_max, running
        self._transport: Any
        self._closing: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = transport
        self._running.add(self)

    def send(self, job: bytes) -> None:
        """Hand over the job. A program need not read it."""
        stdin = self._transport.get_pipe_transport(0)
        stdin.write(job)
        stdin.write_eof()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It has written something."""
        kept = self.answer if fd == 1 else self.complaint
        kept += data
        if fd != 1:
            del kept[:-ERROR_BYTES_MAX]
        elif len(kept) > self._bytes_max:
            self.is_too_large = True
            self.kill()

    def process_exited(self) -> None:
        """What it has left running may hold its pipes open; what has even left its session, only for a while."""
        self.kill()
        self._closing = self._loop.call_later(END_SECONDS_MAX, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has exited, and its pipes are empty."""
        if not self.ended.done():
            self.ended.set_result(self._transport.get_returncode())
        self._closing.cancel()
        self._transport.close()
        self._running.discard(self)
        self._gone.set()

    def kill(self) -> None:
        """Stop it, with all that it has started."""
        if not self._gone.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), signal.SIGKILL)

    async def gone(self, seconds: float) -> None:
        """Wait until nothing is left of it, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._gone.wait()


def _failure(code: int, complaint: bytes) -> AgentError:
    """What an exit code means, and what the program said about it."""
    said = hidden(complaint.decode("utf-8", "replace").strip())
    kind = AgentCrashed if code < 0 else OF_EXIT.get(code, AgentError)
    return kind(f"{ending(code)}: {said}".rstrip(": "))
