"""The client of a model's server that a framework brings along: what it must not do by itself, and what it keeps.

The SDKs of OpenAI and Anthropic, and the models of frameworks above them, are layered alike: each holds the next as
`_client`, down to the one of httpx with its pool. A client that is built otherwise is left as it is.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

LAYERS_MAX = 4


def forbid_retries(client: Any) -> None:
    """Switch off a client's own retries: the engine alone tries again, within its limits."""
    for layer in _layers(client):
        if type(getattr(layer, "max_retries", None)) is int:
            layer.max_retries = 0


async def let_go(client: Any) -> None:
    """Close the idle connections of an async client. It can be used again, in another event loop too."""
    for layer in _layers(client):
        transports = [getattr(layer, "_transport", None), *getattr(layer, "_mounts", {}).values()]
        for connection in (one for transport in transports for one in _connections(transport)):
            with suppress(Exception):  # one whose loop is gone can't be closed any better
                await connection.aclose()


def _layers(client: Any) -> Iterator[Any]:
    for _ in range(LAYERS_MAX):
        if client is None:
            return
        yield client
        client = getattr(client, "_client", None)


def _connections(transport: Any) -> list[Any]:
    pool = getattr(transport, "_pool", None)
    return [one for one in getattr(pool, "connections", ()) if hasattr(one, "aclose") and one.is_idle()]
