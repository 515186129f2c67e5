"""The clients below a framework: asked once, and let go of without being closed."""

import asyncio
from types import SimpleNamespace

import pytest
from openai import AsyncOpenAI

from interlock.agents.clients import LAYERS_MAX, forbid_retries, let_go

from .model_server import KEY, ModelServer
from .scenes import in_loop


class Connection:
    def __init__(self, *, idle, error=None):
        self.idle, self.error, self.closed = idle, error, False

    def is_idle(self):
        return self.idle

    async def aclose(self):
        self.closed = True
        if self.error:
            raise self.error


def pooled(*connections):
    return SimpleNamespace(_pool=SimpleNamespace(connections=connections))


def test_retries_are_switched_off_wherever_they_lie():
    client = AsyncOpenAI(api_key="k", max_retries=5)
    forbid_retries(SimpleNamespace(_client=client))
    assert client.max_retries == 0


@pytest.mark.parametrize("client", [None, object(), SimpleNamespace(max_retries="many")])
def test_a_client_that_is_built_otherwise_stays_as_it_is(client):
    forbid_retries(client)
    asyncio.run(let_go(client))
    assert getattr(client, "max_retries", "many") == "many"


def test_a_client_that_holds_itself_has_an_end():
    client = SimpleNamespace(max_retries=LAYERS_MAX)
    client._client = client
    forbid_retries(client)
    assert client.max_retries == 0


def test_idle_connections_are_closed_those_of_proxies_too():
    idle, busy, proxied = Connection(idle=True), Connection(idle=False), Connection(idle=True)
    client = SimpleNamespace(_transport=pooled(idle, busy), _mounts={"http://": pooled(proxied), "https://": None})
    asyncio.run(let_go(SimpleNamespace(_client=client)))
    assert [idle.closed, busy.closed, proxied.closed] == [True, False, True]


def test_a_connection_whose_loop_is_gone_is_no_error():
    lost, next_one = Connection(idle=True, error=RuntimeError("Event loop is closed")), Connection(idle=True)
    asyncio.run(let_go(SimpleNamespace(_transport=pooled(lost, next_one))))
    assert next_one.closed


@in_loop
async def test_the_layers_of_a_real_client_are_where_they_are_looked_for():
    with ModelServer() as server:
        client = AsyncOpenAI(api_key=KEY, base_url=server.url, max_retries=5)
        for _ in range(2):
            await client.chat.completions.create(model="normal", messages=[{"role": "user", "content": "hello"}])
        first, second = server.requests
        assert first.wire is second.wire  # which is kept
        assert second.closed_at is None
        await let_go(SimpleNamespace(_client=client))
        await server.closed(second)
        await client.close()
