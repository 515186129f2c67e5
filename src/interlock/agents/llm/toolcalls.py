"""The tools that a model calls while it works on a job: only those it was offered, within bounds, and written down."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from interlock.agents.secret import excerpt
from interlock.agents.tools import Performing, Tool
from interlock.core.effects import effect_of
from interlock.core.job import Job, performing
from interlock.core.values import encode_canonical
from interlock.errors import AgentError, AgentRefused, ReplyRefused, describe

from .model import Offer, ToolCall

ROUNDS_MAX = 10
CALLS_MAX = 50
RESULT_CHARS_MAX = 50_000
ARGUMENTS_CHARS_MAX = 100_000
ARGUMENTS_KEPT_CHARS_MAX = 2_000
NAME_CHARS_MAX = 64


class ToolCalls:
    """The calls of one job. made: what is kept of each, the same whenever the model asks the same.

    What changes something out there is performed as an effect: in a run, what is done is not done again by an attempt
    that asks for the same.
    """

    def __init__(self, tools: Sequence[Tool], job: Job | None = None) -> None:
        self._job, self._done = job, Counter[str]()
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self._tools[_name(tool.name, self._tools)] = tool
        self.made: list[dict[str, Any]] = []
        self._rounds = 0

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What the model is offered, under names that every provider takes."""
        return tuple(Offer(name, tool.description, tool.parameters) for name, tool in self._tools.items())

    async def answered(self, calls: Sequence[ToolCall]) -> tuple[tuple[ToolCall, str], ...]:
        """Each call with what it returned, or with what was wrong with it, for the model.

        Raises ReplyRefused for a tool that was not offered: then none of them is called; and for too many of them.
        """
        self._rounds += 1
        strangers = [call.name for call in calls if call.name not in self._tools]
        if strangers:
            offered = f"its tools: {', '.join(self._tools)}" if self._tools else "it has no tools"
            stranger = excerpt(strangers[0], NAME_CHARS_MAX)
            raise ReplyRefused(f"the model called {stranger!r}, which it was not offered; {offered}")
        if self._rounds > ROUNDS_MAX or len(self.made) + len(calls) > CALLS_MAX:
            message = f"the model asked for tools more than {ROUNDS_MAX} times, or for more than {CALLS_MAX} calls"
            raise ReplyRefused(f"{message}, and didn't answer")
        # One after another: what a tool does out there is done in the order that the model asked for.
        return tuple([(call, await self._result(call)) for call in calls])

    async def _result(self, call: ToolCall) -> str:
        tool = self._tools[call.name]
        arguments = _arguments(call)
        failed = arguments is None
        if arguments is None:
            text = f"error: the arguments are no JSON object of at most {ARGUMENTS_CHARS_MAX:,} characters"
        else:
            text, failed = await _called(partial(self._call, tool), arguments)
        kept = excerpt(call.arguments, ARGUMENTS_KEPT_CHARS_MAX)
        self.made.append({"tool": tool.name, "arguments": kept, "effect": tool.effect, "failed": failed})
        return _bounded(text)

    async def _call(self, tool: Tool, arguments: dict[str, Any]) -> Any:
        perform = None if self._job is None else performing(self._job)
        if self._job is None or perform is None or not tool.effect:
            if tool.approve:
                raise AgentRefused(f"{tool.name} needs a person's approval, which only a run can wait for")
            return await tool.call(arguments)
        same = f"{tool.name} {digest(arguments)}"
        # The same again after it was done is another one; after it failed, it is the same.
        key = f"{same} #{self._done[same] + 1}"
        result = await perform(effect_of(self._job.agent, tool.name), arguments, key, by=Performing(tool))
        self._done[same] += 1
        return result


def digest(arguments: dict[str, Any]) -> str:
    """By what the same arguments are known again."""
    return blake2b(encode_canonical(arguments), digest_size=8).hexdigest()


async def _called(call: Callable[[dict[str, Any]], Awaitable[Any]], arguments: dict[str, Any]) -> tuple[str, bool]:
    """What a tool returns as JSON, or its error, and whether it is one. It bounds itself, from when its work begins."""
    try:
        return msgspec.json.encode(await call(arguments)).decode(), False
    except AgentError as error:
        return f"error: {error}", True
    except Exception as error:  # noqa: BLE001 - tools raise anything; the model is told, and may go on without
        return f"error: {describe(error)}", True


def _arguments(call: ToolCall) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(call.arguments[: ARGUMENTS_CHARS_MAX + 1] or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) and len(call.arguments) <= ARGUMENTS_CHARS_MAX else None


def _bounded(text: str) -> str:
    """What the model is told of a result."""
    told, left_out = excerpt(text, RESULT_CHARS_MAX), len(text) - RESULT_CHARS_MAX
    return told if left_out <= 0 else f"{told} ({left_out:,} more characters are left out)"


def _name(action: str, taken: dict[str, Tool]) -> str:
    """An action as the name of a tool, of which providers take letters, digits, _ and - only."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", action)[:NAME_CHARS_MAX]
    number = 2
    while name in taken:
        end = f"_{number}"
        name, number = name[: NAME_CHARS_MAX - len(end)].removesuffix(f"_{number - 1}") + end, number + 1
    return name
