"""Models through pydantic-ai: the only module that knows it.

Only its plain requests are used. Its agents, with their retries and their loop, are not: Interlock alone retries.
"""

import asyncio
import re
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from interlock.agents.failure import classified
from interlock.agents.secret import secret
from interlock.agents.threads import in_thread
from interlock.errors import BadRequest, ReplyRefused, Unreachable

from . import local
from .model import Finish, Hear, Request, Said, SchemaNotTaken, Tokens, ToolCall
from .providers import Client, Place

ANSWER_CHARS_MAX = 1_000_000
ANSWER_NAME = "answer"
KEYS_MAX = 4
# What servers say that were never taught to hold a model to a schema.
_NO_SCHEMAS = re.compile(r"response_format|json_schema|structured.?output", re.IGNORECASE)
_REJECTED = frozenset({400, 404, 415, 422, 501})
# What of a part, or of a piece of one, a model fills: text, thoughts, calls of tools.
_CARRYING = ("content", "content_delta", "args", "args_delta", "tool_name", "tool_name_delta")
_FINISHES: Mapping[str | None, Finish] = {"length": "cut", "content_filter": "refused"}


class PydanticAiModel:
    """A model that pydantic-ai asks. settings: its ModelSettings, such as temperature and max_tokens."""

    def __init__(self, place: Place, settings: Mapping[str, Any]) -> None:
        usual: dict[str, Any] = {"max_tokens": local.MAX_TOKENS} if place.provider == "local" else {}
        self._place, self._settings = place, {**usual, **settings}
        self._clients: dict[str, Future[Client]] = {}
        self.takes_schema = True

    async def ready(self) -> None:
        """Make the client; and start the server of a local model, if it is one. Raises AgentError."""
        if self._place.provider == "local" and not self._place.base_url:
            url = await local.join(self, self._place.name)
            self._place = msgspec.structs.replace(self._place, base_url=url)
        try:
            await self._open()
        except Exception as error:  # noqa: BLE001 - clients raise anything; classified, it goes on
            raise classified(error) from None

    async def ask(self, request: Request, hear: Hear | None) -> Said:
        """One request to the model."""
        from pydantic_ai.exceptions import ModelHTTPError, UserError

        client = await self._open()
        takes_schema = client.model.profile.get("supports_json_schema_output", False) and self.takes_schema
        if request.schema is not None and not takes_schema:
            self.takes_schema = False
            raise SchemaNotTaken
        try:
            answer = await self._asked(client.model, request, hear)
        except UserError as error:
            if request.schema is None:
                raise BadRequest(str(error)) from None
            self.takes_schema = False  # or not together with tools
            raise SchemaNotTaken from None
        except ModelHTTPError as error:
            if request.schema is not None and error.status_code in _REJECTED and _NO_SCHEMAS.search(str(error)):
                self.takes_schema = False
                raise SchemaNotTaken from None
            raise
        return _said(answer)

    async def close(self) -> None:
        """Close its clients, and leave the server of a local model."""
        while self._clients:
            await self._close_oldest()
        if self._place.provider == "local":
            self._place = msgspec.structs.replace(self._place, base_url="")
            await local.leave(self)

    async def _open(self) -> Client:
        """The client for the key as it is now: a secret may change while calls with the old one go on.

        A client is made in a thread: it reads all the certificates that this machine trusts.
        """
        key = secret(self._place.key) if self._place.key else ""
        made = self._clients.get(key)
        if made is None:
            made = self._clients[key] = in_thread(partial(self._place.client, key))
        if len(self._clients) > KEYS_MAX:
            await self._close_oldest()
        return await asyncio.wrap_future(made)

    async def _close_oldest(self) -> None:
        made = self._clients.pop(next(iter(self._clients)))
        with suppress(Exception):  # it could not be made
            client = await asyncio.wrap_future(made)
            await client.close()

    async def _asked(self, model: Any, request: Request, hear: Hear | None) -> Any:
        from pydantic_ai.direct import model_request, model_request_stream

        asked: dict[str, Any] = {
            "model_settings": self._settings,
            "model_request_parameters": _parameters(request),
            "instrument": False,
        }
        if hear is None:
            return await model_request(model, _messages(request), **asked)
        async with model_request_stream(model, _messages(request), **asked) as stream:
            chars = 0
            async for event in stream:
                chars += _heard(event, hear)
                if chars > ANSWER_CHARS_MAX:
                    raise _too_long()
            answer = stream.get()
        if answer.finish_reason is None:
            raise Unreachable("the answer of the model broke off")
        return answer


def _heard(event: Any, hear: Hear) -> int:
    """Tell the text that came with an event of a stream; how many characters of any kind came with it."""
    if event.event_kind == "part_start":
        kind, come = event.part.part_kind, event.part
    elif event.event_kind == "part_delta":
        kind, come = event.delta.part_delta_kind, event.delta
    else:
        return 0
    if kind == "text" and (text := getattr(come, "content", "") or getattr(come, "content_delta", "")):
        hear(text)
    # Of thoughts and calls of tools nothing is told, but they take as much room.
    return sum(len(str(getattr(come, name, None) or "")) for name in _CARRYING)


def _parameters(request: Request) -> Any:
    from pydantic_ai.messages import InstructionPart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    tools = [
        ToolDefinition(name=o.name, description=o.description, parameters_json_schema=dict(o.parameters))
        for o in request.offers
    ]
    output: dict[str, Any] = {}
    if request.schema is not None:
        form = OutputObjectDefinition(json_schema=dict(request.schema), name=ANSWER_NAME)
        output = {"output_mode": "native", "output_object": form}
    told = [InstructionPart(content=request.instructions)]
    return ModelRequestParameters(function_tools=tools, instruction_parts=told, **output)


def _messages(request: Request) -> list[Any]:
    from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart

    messages: list[Any] = [ModelRequest(parts=[UserPromptPart(request.data)], instructions=request.instructions)]
    for exchange in request.exchanges:
        returned = [ToolReturnPart(call.name, text, call.call_id) for call, text in exchange.results]
        messages += [exchange.said.raw, ModelRequest(parts=returned, instructions=request.instructions)]
    return messages


def _said(answer: Any) -> Said:
    """The answer in our terms."""
    text = "".join(part.content for part in answer.parts if part.part_kind == "text")
    calls = [part for part in answer.parts if part.part_kind == "tool-call"]
    if len(text) > ANSWER_CHARS_MAX:
        raise _too_long()
    finish = _FINISHES.get(answer.finish_reason, "whole")
    if finish == "refused":
        text = str((answer.provider_details or {}).get("refusal") or text)
    return Said(
        text,
        tuple(ToolCall(call.tool_call_id, call.tool_name, _arguments(call)) for call in calls),
        finish=finish,
        model=answer.model_name or "",
        tokens=_tokens(answer.usage),
        raw=answer,
    )


def _arguments(call: Any) -> str:
    """As the model wrote them: pydantic-ai would put what is no JSON into an object of its own."""
    return call.args if isinstance(call.args, str) else str(call.args_as_json_str())


def _tokens(usage: Any) -> Tokens | None:
    if not (usage.input_tokens or usage.output_tokens):
        return None
    return Tokens(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)


def _too_long() -> ReplyRefused:
    return ReplyRefused(f"the answer is longer than {ANSWER_CHARS_MAX:,} characters")
