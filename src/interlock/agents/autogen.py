"""Agents and teams of AutoGen.

They keep what they were told. So each job gets one of its own from a factory; an object that was made beforehand takes
one job at a time, and is reset before and after each.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from interlock.core.job import Job
from interlock.errors import AgentError, AgentRefused, ReplyRefused, TeamError, describe

from .autogen_events import Hearing
from .clients import forbid_retries, let_go
from .extras import load
from .foreign import ForeignAdapter, Meter, Translation
from .secret import excerpt, hidden
from .setting import Setting

EXTRA = "autogen"
MESSAGES_MAX = 1_000
MEMBERS_DEPTH_MAX = 5
# How long one may take to stop by its token, before its task is cancelled; and to stop then, or to forget.
TOKEN_SECONDS_MAX = 0.4
STOP_SECONDS_MAX = 5.0
REASON_CHARS_MAX = 500
NAME_CHARS_MAX = 200
# What AutoGen's own instructions tell an agent to end with.
END_WORD = "TERMINATE"

_locks: WeakKeyDictionary[Any, tuple[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()


def from_autogen(
    agent: Any,
    *,
    instructions: str = "",
    input: Callable[[Job], Any] | None = None,  # noqa: A002 - the word of the team file
    output: Callable[[Any, Job], Any] | None = None,
    price: Mapping[str, float] | None = None,
) -> ForeignAdapter:
    """The adapter of an AutoGen agent or team, or of a function that makes a fresh one for each job.

    An agent or team itself takes one job at a time. instructions: a template of what it is told beside its own
    instructions. input: a function of the job that gives the task, a text or messages. output: a function of the
    TaskResult and the job that gives the reply. price: dollars per million tokens. Raises MissingExtra, TeamError.
    """
    return _adapter(agent, Translation(instructions, input, output), price)


def declared(setting: Setting) -> ForeignAdapter:
    """The adapter of an agent that a team declares."""
    load("autogen_agentchat.base", EXTRA)
    return _adapter(setting.target, setting.translation, setting.declared.get("price"))


def _adapter(target: Any, translation: Translation, price: Any) -> ForeignAdapter:
    load("autogen_agentchat.base", EXTRA)
    is_runner = hasattr(target, "run_stream") and not isinstance(target, type)
    if not is_runner and (isinstance(target, type) or not callable(target)):
        what = f"the class {target.__name__}" if isinstance(target, type) else f"a {type(target).__name__}"
        raise TeamError(
            f"what stands for the agent is {what}", fix="name an AutoGen agent or team, or a function that makes one"
        )
    source = _Object(target) if is_runner else _Factory(target)
    adapter = ForeignAdapter(_Chats(source, translation), price)
    adapter.slots = 1 if is_runner else None
    return adapter


class _Factory:
    """Makes a runner, an agent or a team, for each job."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._clients: dict[int, Any] = {}

    @asynccontextmanager
    async def runner(self) -> AsyncIterator[Any]:
        """One that nobody has used."""
        made = self._make()
        runner = await made if inspect.isawaitable(made) else made
        if not hasattr(runner, "run_stream"):
            raise AgentRefused(f"its function makes a {type(runner).__name__}, not an AutoGen agent or team")
        try:
            yield runner
        finally:
            with suppress(Exception):  # the answer is there
                if hasattr(runner, "close"):
                    await runner.close()
            await self._keep({id(client): client for client in _clients(runner)})

    async def _keep(self, clients: dict[int, Any]) -> None:
        """Keep the connections of these clients, which the next runner may have, too, and no others."""
        before, self._clients = self._clients, clients
        for key in before.keys() - clients.keys():
            await let_go(before[key])

    async def close(self) -> None:
        """Close the connections that were kept."""
        await self._keep({})


class _Object:
    """The runner that was made beforehand. Whoever uses it, under whatever name, has it alone."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    @asynccontextmanager
    async def runner(self) -> AsyncIterator[Any]:
        """It, without a memory."""
        async with _lock_of(self._runner):
            await _forgotten(self._runner)
            try:
                yield self._runner
            finally:
                with suppress(Exception):  # it is reset before it is used again, or isn't used
                    await _forgotten(self._runner)

    async def close(self) -> None:
        """Close the connections that were kept; it stays usable."""
        for client in _clients(self._runner):
            await let_go(client)


class _Chats:
    """Has runners answer jobs."""

    def __init__(self, source: _Factory | _Object, translation: Translation) -> None:
        self._source, self._translation = source, translation

    async def answer(self, job: Job, meter: Meter) -> Any:
        """What the last message says: a text, or an object of the agent's output type."""
        from autogen_core import CancellationToken

        async with self._source.runner() as runner:
            for client in _clients(runner):
                forbid_retries(client)
            task, token = self._task(runner, job), CancellationToken()
            with Hearing(meter) as hearing:
                try:
                    result = await _stoppable(_run(runner, task, token, hearing), token.cancel, TOKEN_SECONDS_MAX)
                except Exception as error:
                    raise _meant(error, hearing) from error
        if hearing.refusal:
            raise AgentRefused(_refused(hearing))
        return self._translation.answer(result, job, _last_word)

    def _task(self, runner: Any, job: Job) -> Any:
        if self._translation.input is not None:
            return self._translation.input(job)
        from autogen_agentchat.messages import StructuredMessage

        is_typed = StructuredMessage in getattr(runner, "produced_message_types", ())
        return self._translation.prompt(job, form=not is_typed).text

    async def close(self) -> None:
        """Give up what the source keeps."""
        await self._source.close()


# --- a run ---


async def _run(runner: Any, task: Any, token: Any, hearing: Hearing) -> Any:
    """Run to the end. Raises AgentError where that doesn't come."""
    from autogen_agentchat.base import TaskResult
    from autogen_agentchat.messages import ModelClientStreamingChunkEvent

    result, messages = None, 0
    stream = runner.run_stream(task=task, cancellation_token=token, output_task_messages=False)
    try:
        async with aclosing(stream):
            async for said in stream:
                if isinstance(said, TaskResult):
                    result = said
                elif not isinstance(said, ModelClientStreamingChunkEvent):
                    hearing.said(said)
                    messages += 1
                if messages > MESSAGES_MAX:
                    token.cancel()  # nothing else stops a team
                    break
    except asyncio.CancelledError:
        if messages <= MESSAGES_MAX:
            raise
    if messages > MESSAGES_MAX:
        raise AgentError(f"no end after {MESSAGES_MAX:,} messages", fix="give the team a termination condition")
    return result


async def _stoppable(work: Coroutine[Any, Any, Any], stop: Callable[[], None], seconds: float) -> Any:
    """Do the work in a task of its own. Where this is cancelled, `stop` ends it, or some seconds later a cancellation.

    Cancelled at once, a team would wait for its members, and could not be used again.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        stop()
        await asyncio.wait({task}, timeout=seconds)
        task.cancel()
        await asyncio.wait({task}, timeout=STOP_SECONDS_MAX)
        raise
    if task.cancelled():
        raise AgentError("it was cancelled from inside")
    return task.result()


def _lock_of(runner: Any) -> asyncio.Lock:
    """The lock of a runner in this event loop. Raises AgentRefused for a team from another one."""
    loop = asyncio.get_running_loop()
    known = _locks.get(runner)
    if known is None or known[0] is not loop:
        if known is not None and not hasattr(runner, "on_reset"):
            message = "an AutoGen team works only in the event loop that it was first used in"
            raise AgentRefused(message, fix="name a function that makes the team: then each job has its own")
        known = _locks[runner] = (loop, asyncio.Lock())
    return known[1]


async def _forgotten(runner: Any) -> None:
    """Have a runner forget everything, to the end: reset by half, a team could not be used again."""
    from autogen_core import CancellationToken

    work = runner.on_reset(CancellationToken()) if hasattr(runner, "on_reset") else runner.reset()
    await _stoppable(work, lambda: None, STOP_SECONDS_MAX)


def _clients(runner: Any, depth: int = 0) -> Iterator[Any]:
    """The model clients of an agent, and of the members of a team."""
    if depth < MEMBERS_DEPTH_MAX:
        yield getattr(runner, "_model_client", None)
        for member in (*getattr(runner, "_participants", ()), getattr(runner, "_team", None)):
            yield from _clients(member, depth + 1)


# --- what it means ---


def _last_word(result: Any) -> Any:
    """What the last message says, with the word left out that says that it was the last. Raises ReplyRefused."""
    from autogen_agentchat.messages import BaseChatMessage

    for message in reversed(result.messages):
        if isinstance(message, BaseChatMessage):
            content = _content(message)
            if content != END_WORD:
                return content.rstrip().removesuffix(END_WORD) if isinstance(content, str) else content
    return None


def _content(message: Any) -> Any:
    from autogen_agentchat.messages import HandoffMessage, StructuredMessage, ToolCallSummaryMessage

    if isinstance(message, HandoffMessage):
        whom = excerpt(message.target, NAME_CHARS_MAX)
        raise ReplyRefused(f"the task was handed to {whom}, who isn't there: answer it yourself")
    if isinstance(message, ToolCallSummaryMessage):
        failed = next((result for result in message.results if result.is_error), None)
        if failed is not None:
            name, reason = excerpt(failed.name, NAME_CHARS_MAX), excerpt(failed.content, REASON_CHARS_MAX)
            raise ReplyRefused(f"the tool {name} failed: {reason}")
    return message.content if isinstance(message, StructuredMessage) else message.to_model_text()


def _meant(error: Exception, hearing: Hearing) -> Exception:
    """What an error means: that of a team is the one of its member."""
    from pydantic import ValidationError

    if isinstance(error, RuntimeError) and hearing.error is not None:
        error = hearing.error
    completion = getattr(error, "completion", None)  # which OpenAI's client would not hand on
    if completion is not None:
        told = completion.model_dump()
        usage = told.get("usage") or {}
        hearing.answered(told, usage.get("prompt_tokens"), usage.get("completion_tokens"))
    if hearing.refusal:
        return AgentRefused(_refused(hearing))
    if isinstance(error, ValidationError):
        return ReplyRefused(hidden(describe(error)))
    return error


def _refused(hearing: Hearing) -> str:
    return f"the model refused: {excerpt(hearing.refusal, REASON_CHARS_MAX)}"
