"""A connection to an MCP server, in a thread of its own with a loop of its own.

The MCP client runs in task groups, which one task has to enter and leave: here that is the thread's main task. So
neither the import of the client nor a message of many megabytes holds up the engine's loop, and whatever the client
leaves behind ends with the loop. A thread can't be stopped from outside, but this one only ever waits for its loop.
"""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from interlock.agents.failure import classified
from interlock.agents.secret import excerpt
from interlock.errors import AgentError, Unreachable

if TYPE_CHECKING:
    from .session import Session  # which imports the MCP client

CALLS_MAX = 64
ERROR_CHARS_MAX = 2_000
OPEN_SECONDS_MAX = 60.0
# How long the end of a connection may take before it is forced, and how long news of it may be on its way.
END_SECONDS_MAX = 3.0
NEWS_SECONDS_MAX = 1.0


class Listed(msgspec.Struct, frozen=True):
    """A tool as its server lists it. schema: of its arguments."""

    description: str
    schema: Mapping[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """What a tool answered; `structured` is None where it gave text alone."""

    text: str
    structured: Any
    is_error: bool


class Stale(Exception):
    """The server did not carry out a call; a new connection would mend that."""


class Hangup(Exception):
    """The server has ended a call without an answer, or is ending the connection."""


class Connection:
    """Opens at once. opened: the tools that the server lists, by name; gone: done when nothing is left of it."""

    def __init__(self, name: str, keys: Mapping[str, Any], folder: str) -> None:
        self._name, self._keys, self._folder = name, keys, folder
        self.opened: Future[Mapping[str, Listed]] = Future()
        self.gone: Future[None] = Future()
        for shared in (self.opened, self.gone):
            shared.set_running_or_notify_cancel()  # whoever waits for it may be cancelled, but not the future
        self.is_alive = True
        self._lock = threading.Lock()
        self._asked: set[Future[Answer]] = set()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._room = asyncio.Semaphore(CALLS_MAX)
        self._session: Session | None = None
        self._opening: asyncio.Timeout | None = None
        self._thread = threading.Thread(target=self._run, name=f"mcp-{name}", daemon=True)
        self._thread.start()

    def call(self, tool: str, arguments: dict[str, Any]) -> "Future[Answer]":
        """What a tool answers, to be awaited anywhere; cancelling that cancels the call at the server.

        Raises AgentError, or Stale.
        """
        answer: Future[Answer] = Future()
        with self._lock:
            if not self.is_alive:
                raise Stale("it has just hung up")
            self._asked.add(answer)
            work = asyncio.run_coroutine_threadsafe(self._answer(answer, tool, arguments), self._loop)
        answer.add_done_callback(lambda done: work.cancel() if done.cancelled() else None)
        return answer

    def end(self) -> None:
        """Begin to end it. Calls in flight fail."""
        with self._lock:
            if self.is_alive:
                self._loop.call_soon_threadsafe(self._begin_to_end)

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.wrap_future(self.gone)
        self._thread.join()  # which has nothing left to do

    # --- in the thread ---

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._live())
        except BaseException as raised:  # noqa: BLE001 - told to all who wait
            error = raised
        for waiting in (self.opened, *self._asked):
            _settle(waiting, error=self._lost(error))  # one each: an error is completed by who gets it
        self.gone.set_result(None)

    async def _live(self) -> None:
        try:
            await self._serve()
        finally:
            with self._lock:  # before the loop is closed, since no call may reach it then
                self.is_alive = False

    async def _serve(self) -> None:
        from .session import session  # takes a second

        if self._end.is_set():
            return
        async with asyncio.timeout(OPEN_SECONDS_MAX) as bound:
            self._opening = bound
            async with session(self._keys, self._folder) as opened:
                listed = await opened.tools()
                self._opening, self._session = None, opened
                bound.reschedule(None)
                self.opened.set_result(listed)
                await self._end.wait()
                # A server may never answer to its end.
                bound.reschedule(self._loop.time() + END_SECONDS_MAX)

    def _begin_to_end(self) -> None:
        self._end.set()
        if self._opening is not None:  # a server that isn't ready need not become so
            opening, self._opening = self._opening, None
            if not opening.expired():
                opening.reschedule(self._loop.time())

    async def _answer(self, answer: "Future[Answer]", tool: str, arguments: dict[str, Any]) -> None:
        assert self._session is not None
        try:
            async with self._room:
                _settle(answer, await self._session.call(tool, arguments))
        except Hangup as hangup:
            await asyncio.sleep(NEWS_SECONDS_MAX)  # if the connection ends meanwhile, its end says more
            _settle(answer, error=self._named(Unreachable(str(hangup))))
        except Stale as stale:
            _settle(answer, error=stale)
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            _settle(answer, error=self._named(classified(error)))
        finally:
            if answer.done():
                self._asked.discard(answer)

    def _lost(self, error: BaseException | None) -> AgentError:
        error = first_of(error)
        if isinstance(error, TimeoutError) and not self.opened.done() and not self._end.is_set():
            return self._named(Unreachable(f"it was not ready within {OPEN_SECONDS_MAX:g} s"))
        if error is None or isinstance(error, asyncio.CancelledError | TimeoutError):
            return self._named(Unreachable("the connection was closed"))
        return self._named(classified(error))

    def _named(self, error: AgentError) -> AgentError:
        """The same error, saying which server it is about; what the server said is bounded, and tells no secrets."""
        said = excerpt(error.message.encode("utf-8", "replace").decode(), ERROR_CHARS_MAX)
        return type(error)(f"the MCP server {self._name}: {said}", fix=error.fix, retry_after=error.retry_after)


def first_of(error: BaseException | None) -> BaseException | None:
    """An error, or the first one in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _settle(future: Any, result: Any = None, *, error: BaseException | None = None) -> None:
    """Fulfil a future, unless that is done or nobody waits any more."""
    with suppress(InvalidStateError):
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
