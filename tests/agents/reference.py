"""An adapter as small as an honest one can be, over plain sockets; what tests break is a method of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import interlock as il
from interlock.errors import (
    AgentError,
    AgentRefused,
    BadRequest,
    ContextTooLong,
    Overloaded,
    RateLimited,
    ReplyRefused,
)

FIELDS = {"category": {"type": "string"}, "priority": {"type": "string"}}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": {"type": "object", "properties": FIELDS, "required": [*FIELDS]}},
}
STATUS_ERRORS = {429: RateLimited, 500: Overloaded, 503: Overloaded, 529: Overloaded}


class Honest:
    """Asks for a chat completion over a connection of its own."""

    slots: int | None = None

    def __init__(self, port: int, key: str, model: str, *, stream: bool = False) -> None:
        self.port, self.key, self.model, self.stream = port, key, model, stream

    async def call(self, job: il.Job, began: Any) -> Any:
        began()
        status, headers, payload = await self.exchange(self.request(self.messages(job)))
        if status != 200:
            raise self.error(status, headers, _decoded(payload))
        message, finish, usage = _streamed(payload) if self.stream else _whole(payload)
        return self.reply(message, finish, self.usage(usage))

    async def close(self) -> None:
        """Nothing is kept."""

    def messages(self, job: il.Job) -> list[dict[str, str]]:
        told = {"view": job.view.to_dict(), "feedback": job.feedback}
        return [{"role": "system", "content": job.instructions}, {"role": "user", "content": json.dumps(told)}]

    def request(self, messages: Any) -> bytes:
        asked = {"model": self.model, "messages": messages, "response_format": FORMAT}
        if self.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        body = json.dumps(asked).encode()
        head = [
            "POST /v1/chat/completions HTTP/1.1",
            "host: model",
            "connection: close",
            f"authorization: Bearer {self.key}",
            f"content-length: {len(body)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + body

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body of the answer."""
        try:
            async with self.connected() as (reader, writer):
                writer.write(request)
                await writer.drain()
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.partition(":") for line in head[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                length = headers.get("content-length")
                payload = await (reader.read() if length is None else reader.readexactly(int(length)))
                return int(head[0].split()[1]), headers, payload
        except (OSError, asyncio.IncompleteReadError):
            raise AgentError("the connection to the model was lost") from None

    def usage(self, told: dict[str, Any] | None) -> il.Usage | None:
        if told is None:
            return None
        cached = told["prompt_tokens_details"]["cached_tokens"]
        tokens = told["prompt_tokens"], told["completion_tokens"]
        return il.Usage(*tokens, cached_tokens=cached, requests=1, model=self.model)

    def error(self, status: int, headers: dict[str, str], told: Any) -> AgentError:
        message = f"the model answered {status}: {told['error']['message']}".replace(self.key, "***")
        if status == 429:
            seconds = headers.get("retry-after")
            return RateLimited(message, retry_after=None if seconds is None else float(seconds))
        if told["error"]["code"] == "context_length_exceeded":
            return ContextTooLong(message)
        return STATUS_ERRORS.get(status, BadRequest)(message)

    def reply(self, message: dict[str, Any], finish: str, usage: il.Usage | None) -> Any:
        if message.get("refusal") or finish == "content_filter":
            raise AgentRefused(f"the model refused: {message.get('refusal') or finish}", usage=usage)
        try:
            answer = json.loads(message.get("content") or "")
            writes = {f"ticket.{name}": answer[name] for name in FIELDS}
        except (ValueError, KeyError, TypeError):
            raise ReplyRefused("the model's answer is not the JSON that was asked for", usage=usage) from None
        return il.Reply(writes=writes, usage=usage)


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        raise AgentError("the model's answer is not JSON") from None


def _whole(payload: bytes) -> tuple[dict[str, Any], str, Any]:
    answer = _decoded(payload)
    choice = answer["choices"][0]
    return choice["message"], choice["finish_reason"], answer["usage"]


def _streamed(payload: bytes) -> tuple[dict[str, Any], str, Any]:
    """The same, put together from events."""
    message: dict[str, str] = {}
    finish, usage = "", None
    for line in payload.decode().split("\n\n"):
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            return message, finish, usage
        event = _decoded(data.encode())
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            finish = choice["finish_reason"] or finish
            for name in ("content", "refusal"):
                message[name] = message.get(name, "") + (choice["delta"].get(name) or "")
    raise AgentError("the model's answer has no end")
