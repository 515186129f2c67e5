"""Where models are: the providers, what each of them needs, and the clients that ask them, their own retries off."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from interlock.agents import extras
from interlock.agents.bodies import ask_unpacked, bound, is_packed
from interlock.agents.failure import of_status
from interlock.errors import AgentRefused
from interlock.prices import dollars

# An OpenAI client wants a key, even for a server that asks for none; without one it takes that of the environment.
NO_KEY = "none"
# Of what a server answers: as much as the longest answer can be in JSON; and in pieces, each with much around it.
ANSWER_BYTES_MAX = 16 << 20
STREAM_BYTES_MAX = 256 << 20


class Place(msgspec.Struct, frozen=True):
    """Where a model is. base_url: that of an OpenAI-compatible server, or empty. key: the name of a secret."""

    provider: str
    name: str
    base_url: str = ""
    key: str = ""

    @classmethod
    def of(cls, model: str, base_url: str = "", key: str = "") -> "Place":
        """The place of `provider:model`. A server of one's own is asked without a key unless one is named."""
        provider, _, name = model.partition(":")
        return cls(provider, name, base_url, key or ("" if base_url else PROVIDERS[provider].key))

    def load(self) -> None:
        """Import what it needs, which takes seconds. Raises MissingExtra."""
        provider = PROVIDERS[self.provider]
        for module in ("pydantic_ai.direct", *provider.modules):
            extras.load(module, provider.extra)
        dollars(self.name, 0, 0)  # the price list

    def client(self, key: str) -> "Client":
        """A client for it. key: the secret itself, empty for none."""
        return PROVIDERS[self.provider].make(self, key)


class Client(msgspec.Struct, frozen=True):
    """A model of pydantic-ai. list_models: asks the server which it has, as the cheapest question there is."""

    model: Any
    close: Callable[[], Awaitable[None]]
    list_models: Callable[[], Awaitable[Any]]


class Provider(msgspec.Struct, frozen=True):
    """extra: brings its modules. key: the name of the secret that it asks for, unless another is named."""

    extra: str
    make: Callable[[Place, str], Client]
    modules: tuple[str, ...]
    key: str = ""


def _http_client() -> Any:
    """What all clients send their requests with: what a server answers is bounded, since they read it to its end."""
    from pydantic_ai import models

    # Earlier versions build on httpx, and have no such thing for httpx2.
    make = getattr(models, "create_async_httpx2_client", None) or models.create_async_http_client
    client: Any = make(timeout=None)  # the engine bounds calls and their time
    client.follow_redirects = False  # what a prompt holds is for nobody else
    client.event_hooks = {"request": [_before], "response": [_after]}
    return client


async def _before(request: Any) -> None:
    ask_unpacked(request)


async def _after(response: Any) -> None:
    if response.has_redirect_location:
        fix = "give the address that is meant as base_url"
        raise AgentRefused("the model's server sends us to another address; redirects are not followed", fix=fix)
    if is_packed(response):
        if response.is_error:  # its status says all that is needed
            raise of_status(response.status_code, response.reason_phrase, response.headers)
        raise AgentRefused("the model's server compresses what it sends, which it was asked not to")
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    most = STREAM_BYTES_MAX if is_stream else ANSWER_BYTES_MAX
    bound(response, most, AgentRefused(f"the model's server sends more than {most:,} bytes"))


def _openai(place: Place, key: str) -> Client:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    made = AsyncOpenAI(
        api_key=key or NO_KEY,
        base_url=place.base_url or None,
        max_retries=0,
        timeout=None,
        http_client=_http_client(),
    )
    profile: Any = {"openai_chat_streaming_requires_finish_reason": True}
    if place.base_url:
        # Such servers know the older name of that setting, and may take a `<|im_start|>` in a text for the real one.
        profile |= {"openai_chat_supports_max_completion_tokens": False, "may_tokenize_special_tokens_in_content": True}
    model = OpenAIChatModel(place.name, provider=OpenAIProvider(openai_client=made), profile=profile)
    return Client(model, made.close, made.models.list)


def _anthropic(place: Place, key: str) -> Client:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    made = AsyncAnthropic(api_key=key, max_retries=0, timeout=None, http_client=_http_client())
    model = AnthropicModel(place.name, provider=AnthropicProvider(anthropic_client=made))
    return Client(model, made.close, made.models.list)


def _google(place: Place, key: str) -> Client:
    from google.genai import Client as Google
    from google.genai.types import HttpOptions
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    http_client = _http_client()
    made = Google(api_key=key, http_options=HttpOptions(httpx_async_client=http_client))
    model = GoogleModel(place.name, provider=GoogleProvider(client=made))
    return Client(model, http_client.aclose, made.aio.models.list)


def _mistral(place: Place, key: str) -> Client:
    from pydantic_ai.models.mistral import MistralModel
    from pydantic_ai.providers.mistral import MistralProvider

    http_client = _http_client()
    provider = MistralProvider(api_key=key, http_client=http_client)
    return Client(MistralModel(place.name, provider=provider), http_client.aclose, provider.client.models.list_async)


# What clients import only when they are first used.
_LATE = ("openai.resources.chat.completions.completions", "openai.resources.models")


def _modules(name: str, *clients: str) -> tuple[str, ...]:
    return (*clients, f"pydantic_ai.models.{name}", f"pydantic_ai.providers.{name}")


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("llm", _openai, _modules("openai", "openai", *_LATE), "OPENAI_API_KEY"),
    "anthropic": Provider("llm-anthropic", _anthropic, _modules("anthropic", "anthropic"), "ANTHROPIC_API_KEY"),
    "google": Provider("llm-google", _google, _modules("google", "google.genai"), "GOOGLE_API_KEY"),
    "mistral": Provider("llm-mistral", _mistral, _modules("mistral", "mistralai"), "MISTRAL_API_KEY"),
    "local": Provider("local", _openai, _modules("openai", "openai", *_LATE, "xllamacpp")),
}
