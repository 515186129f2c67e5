"""What a model's server sends is bounded, whatever client reads it, and whatever it says of it."""

import asyncio
import gzip
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from interlock import ports
from interlock.agents.failure import classified
from interlock.agents.llm import providers
from interlock.agents.llm.providers import PROVIDERS, Place
from interlock.errors import AgentRefused, RateLimited
from tests.agents.scenes import in_loop, job, nothing

from .desk import adapter_of

JOB = job(view={"ticket": {"text": "Where is my card?"}}, writes=("ticket.category",))
PIECE = b" " * 10_000
LONG = 100_000


@asynccontextmanager
async def server(*headers, status="200 OK", piece=PIECE):
    """A server that sends without end; sent: how many bytes of each body it could."""
    sent = []

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write("\r\n".join((f"HTTP/1.1 {status}", *headers, "connection: close", "", "")).encode())
        sent.append(0)
        try:
            while True:
                writer.write(piece)
                await writer.drain()
                sent[-1] += len(piece)
        except ConnectionError:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", sent=sent)
    finally:
        listening.close()


@pytest.fixture(autouse=True)
def bounds(monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "sk-planted-5f1d0c7e9b3a4286")
    monkeypatch.setattr(providers, "ANSWER_BYTES_MAX", LONG)
    monkeypatch.setattr(providers, "STREAM_BYTES_MAX", 2 * LONG)


async def refused(endless, kind=AgentRefused):
    adapter = adapter_of(endless)
    try:
        with pytest.raises(kind) as caught:
            await adapter.call(JOB, nothing)
    finally:
        await adapter.close()
    assert len(endless.sent) == 1  # and not asked again
    return caught.value


@in_loop
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
async def test_an_answer_without_end_is_refused_while_it_comes(status):
    async with server("content-type: application/json", status=status) as endless:
        error = await refused(endless)
    assert error.message == "the model's server sends more than 100,000 bytes"
    assert not error.retryable


@in_loop
async def test_a_stream_of_nothing_is_refused_while_it_comes():
    ports.listen(lambda text: None)
    async with server("content-type: text/event-stream", piece=b": still here\n\n" * 1_000) as endless:
        assert (await refused(endless)).message == "the model's server sends more than 200,000 bytes"


@in_loop
async def test_what_could_unpack_to_gigabytes_is_not_unpacked():
    headers = ("content-type: application/json", "content-encoding: gzip")
    async with server(*headers, piece=gzip.compress(b" " * 10_000_000)) as endless:
        assert "compresses what it sends, which it was asked not to" in (await refused(endless)).message


@in_loop
async def test_a_packed_complaint_is_told_by_its_status():
    headers = ("content-type: application/json", "content-encoding: gzip", "retry-after: 7")
    async with server(*headers, status="429 Too Many Requests", piece=gzip.compress(b" " * 10_000_000)) as endless:
        error = await refused(endless, RateLimited)
    assert error.retry_after == 7


@in_loop
async def test_a_redirect_is_not_followed():
    async with server("location: http://elsewhere.example/v1", status="307 Temporary Redirect") as endless:
        error = await refused(endless)
    assert error.message == "the model's server sends us to another address; redirects are not followed"
    assert not error.retryable


@in_loop
@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "mistral"])
async def test_every_provider_is_bounded(provider, monkeypatch):
    async with server("content-type: application/json") as endless:
        address = endless.url.removesuffix("/v1")
        monkeypatch.setenv("OPENAI_BASE_URL", endless.url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", address)
        client = PROVIDERS[provider].make(Place(provider, "m"), "sk-planted-5f1d0c7e9b3a4286")
        if provider == "mistral":
            client.model.client.sdk_configuration.server_url = address
        try:
            await client.list_models()
        except Exception as error:  # noqa: BLE001 - each client has errors of its own
            told = classified(error)
        await client.close()
    assert type(told) is AgentRefused
    assert told.message == "the model's server sends more than 100,000 bytes"
