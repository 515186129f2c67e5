"""Agents behind an address: the job is posted as JSON, the answer is the reply (extra http)."""

import asyncio
import re
from collections.abc import Mapping
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.request import getproxies, proxy_bypass

from interlock.core.job import Job, Reply
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import AgentRefused, BadRequest, ReplyRefused, TeamError, Unreachable

from . import extras
from .bodies import is_packed
from .envelope import opened, posted
from .failure import of_status
from .foreign import ForeignAdapter, Meter, ProbedAdapter
from .secret import check_placeholders, excerpt, filled_in
from .setting import Setting
from .wire import reply_bytes_max

ERROR_BYTES_MAX = 2_000
SHOWN_CHARS_MAX = 200
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
# Whole answers only, and none that unpacks to something larger than what was read.
_HEADERS = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity"}
_OURS = frozenset({*_HEADERS, "content-length", "host", "idempotency-key", "transfer-encoding"})
_ERRORS = range(400, 600)
_PORTS = {"http": 80, "https": 443}


def declared(setting: Setting) -> ForeignAdapter:
    """The adapter of an agent that a team file declares by `http`. Raises TeamError, MissingExtra."""
    told = setting.declared
    return from_http(told["url"], headers=told.get("headers", {}), limits=setting.team.limits)


def from_http(url: str, *, headers: Mapping[str, str] | None = None, limits: Limits = DEFAULT_LIMITS) -> ForeignAdapter:
    """The endpoint at an address as an agent.

    headers: sent with each job; `${NAME}` in a value stands for the secret with this name. limits: on what it answers.
    Raises TeamError for an address or a header that can't be, MissingExtra.
    """
    httpx = extras.load("httpx2", "http")
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise TeamError(f"{excerpt(repr(url), SHOWN_CHARS_MAX)} is no address", place=("url",)) from None
    _check_address(address)
    headers = dict(headers or {})
    for name, value in headers.items():
        _check_header(name, value)
    _trust()
    return ProbedAdapter(Endpoint(address, headers, reply_bytes_max(limits)))


def _check_address(address: Any) -> None:
    if address.scheme not in {"http", "https"} or not address.host:
        fix = "such as https://agents.example.com/triage"
        shown = excerpt(repr(str(address)), SHOWN_CHARS_MAX)
        raise TeamError(f"{shown} is no address of the web", fix=fix, place=("url",))
    if address.userinfo or "${" in str(address) or "$%7B" in str(address):
        fix = "send it in headers, such as Authorization: Bearer ${NAME}"
        raise TeamError("an address holds no secret: addresses are logged", fix=fix, place=("url",))


def _check_header(name: str, value: str) -> None:
    place = ("headers", name)
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
        shown = excerpt(repr(name), SHOWN_CHARS_MAX)
        raise TeamError(f"{shown} is no header to be set here", fix="leave it out", place=place)
    check_placeholders(value, f"the header {name}", place)
    if not _HEADER_VALUE.fullmatch(value):
        raise TeamError(f"the header {name} holds characters that no header may hold", place=place)


class Endpoint:
    """What answers at one address. Its connections are kept between calls, its cookies aren't."""

    def __init__(self, address: Any, headers: Mapping[str, str], bytes_max: int) -> None:
        self._address, self._headers, self._bytes_max = address, headers, bytes_max
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def answer(self, job: Job, meter: Meter) -> Reply:
        """The reply to a job."""
        headers = {**_HEADERS, "idempotency-key": job.idempotency_key, **self._filled_headers()}
        client = self._connected()
        async with client.stream("POST", self._address, content=posted(job), headers=headers) as response:
            if is_packed(response) and response.status_code not in _ERRORS:
                raise AgentRefused("it compresses what it sends, which it was asked not to")
            if response.is_success:
                return opened(await self._read(response), job)
            said = str(response.reason_phrase) if is_packed(response) else await _beginning(response)
        if response.status_code not in _ERRORS:
            raise AgentRefused(f"HTTP {response.status_code}: no answer, and redirects are not followed")
        raise of_status(response.status_code, said, response.headers)

    def _filled_headers(self) -> dict[str, str]:
        headers = {name: filled_in(value) for name, value in self._headers.items()}
        for name, value in headers.items():
            if not _HEADER_VALUE.fullmatch(value):
                raise BadRequest(f"the secret in the header {name} holds characters that no header may hold")
        return headers

    def _connected(self) -> Any:
        """The client of this loop: one whose loop has ended can't even be closed."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            httpx = extras.load("httpx2", "http")
            limits = httpx.Limits(max_connections=None)  # the engine bounds calls and their time
            no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
            self._client = httpx.AsyncClient(verify=_trust(), timeout=None, limits=limits, cookies=no_cookies)
            self._loop = loop
        return self._client

    async def _read(self, response: Any) -> bytes:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > self._bytes_max:
                raise ReplyRefused(f"the answer is larger than {self._bytes_max:,} bytes")
        return bytes(body)

    async def probe(self) -> str:
        """The address, if its secrets are there and something takes connections at it; nothing is sent.

        Behind a proxy, that is all there is to see.
        """
        self._filled_headers()
        host, port = self._address.host, self._address.port or _PORTS[self._address.scheme]
        if {"all", self._address.scheme} & {*getproxies()} and not proxy_bypass(host):
            return f"{self._address}, through a proxy"
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise Unreachable(f"nothing takes connections at {host}:{port}: {error.strerror or error}") from None
        writer.transport.abort()
        return str(self._address)

    async def close(self) -> None:
        """Close its connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()


async def _beginning(response: Any) -> str:
    """The beginning of what a server says about an error."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > ERROR_BYTES_MAX:
            break
    return body[:ERROR_BYTES_MAX].decode("utf-8", "replace") or str(response.reason_phrase)


@cache
def _trust() -> Any:
    """The authorities that may vouch for a server. Reading them takes a while, so it is done once, before a call."""
    return extras.load("httpx2", "http").create_ssl_context()
