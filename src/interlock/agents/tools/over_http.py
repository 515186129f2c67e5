"""MCP over streamable HTTP, with bounds that the client's own transport doesn't have."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from interlock.agents.bodies import bound, is_packed

from .over_stdio import MESSAGE_BYTES_MAX

CONNECT_SECONDS_MAX = 10.0


@asynccontextmanager
async def http(
    url: str, headers: Mapping[str, str], answered: "ContextVar[list[httpx2.Response]]"
) -> AsyncIterator[Any]:
    """The streams of a connection. answered: collects the responses to what the asking task sends."""

    async def look_at(response: httpx2.Response) -> None:
        answered.get([]).append(response)
        if is_packed(response):
            raise httpx2.DecodingError("it compresses what it sends, which it was asked not to")
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            too_large = httpx2.StreamError(f"it is larger than {MESSAGE_BYTES_MAX:,} bytes")
            bound(response, MESSAGE_BYTES_MAX, too_large)

    # How long an answer may take is up to each tool.
    timeout = httpx2.Timeout(CONNECT_SECONDS_MAX, read=None, pool=None)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    asked = {**headers, "Accept-Encoding": "identity"}
    async with (
        httpx2.AsyncClient(
            headers=asked, timeout=timeout, cookies=no_cookies, event_hooks={"response": [look_at]}
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MESSAGE_BYTES_MAX) as streams,
    ):
        yield streams
