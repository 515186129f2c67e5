"""Where models are, and what is said where something is missing."""

import sys

import pytest

import interlock as il
from interlock.agents.llm.providers import PROVIDERS, Place
from interlock.agents.tools import Workshop
from interlock.errors import MissingExtra, TeamError
from interlock.team.kinds import PROVIDERS as DECLARED
from interlock.wiring import adapters


def adapter(**llm):
    team = il.Team([il.Agent("triage", llm=llm, scope=il.Scope(allowed_actions=["sort"]))])
    return adapters(team, Workshop.of(team))["triage"]


def test_the_team_file_knows_the_providers():
    assert tuple(PROVIDERS) == DECLARED


@pytest.mark.parametrize(
    ("model", "extra", "module"),
    [
        ("openai:gpt-5-mini", "llm", "pydantic_ai.direct"),
        ("openai:gpt-5-mini", "llm", "openai"),
        ("anthropic:claude-sonnet-4-5", "llm-anthropic", "anthropic"),
        ("google:gemini-2.5-flash", "llm-google", "google.genai"),
        ("mistral:mistral-large-latest", "llm-mistral", "mistralai"),
        ("local:smollm2", "local", "xllamacpp"),
    ],
)
def test_a_missing_client_is_named_with_its_extra(model, extra, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra) as raised:
        adapter(model=model)
    assert str(raised.value) == f"{module.partition('.')[0]} is not installed; pip install 'interlock[{extra}]'"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (("openai:gpt-5-mini",), Place("openai", "gpt-5-mini", "", "OPENAI_API_KEY")),
        (("anthropic:claude", "", "MINE"), Place("anthropic", "claude", "", "MINE")),
        (
            ("openai:qwen3:8b", "http://localhost:11434/v1"),
            Place("openai", "qwen3:8b", "http://localhost:11434/v1", ""),
        ),
        (("openai:x", "http://gpu/v1", "GPU_KEY"), Place("openai", "x", "http://gpu/v1", "GPU_KEY")),
        (("local:smollm2",), Place("local", "smollm2", "", "")),
    ],
)
def test_a_place_has_a_key_unless_it_is_ones_own(given, place):
    assert Place.of(*given) == place


@pytest.mark.parametrize(
    ("llm", "message"),
    [
        (
            {"model": "gpt-5-mini"},
            "model is 'gpt-5-mini', not provider:model; put the provider before it, such as open",
        ),
        ({"model": "opnai:x"}, "openai, anthropic, google, mistral, local; did you mean openai?"),
        ({"model": "openai:"}, "model is 'openai:', not provider:model"),
        ({"model": "openai:x", "base_url": "localhost"}, "base_url is 'localhost', not the address of a server"),
        ({"model": "mistral:x", "base_url": "http://x/v1"}, "only an OpenAI-compatible server has one"),
        ({"model": "openai:x", "instructions_file": "sort.md"}, "an instructions_file lies beside a team file"),
        ({"model": "local:smolm2"}, "there is no local model smolm2; did you mean smollm2?"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(llm, message):
    with pytest.raises(TeamError) as raised:
        adapter(**llm)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value"), [("base_url", "http://ann:pass-1234@gpu/v1"), ("key", "sk-proj-1234567890"), ("key", "a b")]
)
def test_what_may_be_a_secret_is_not_shown(key, value):
    with pytest.raises(TeamError) as raised:
        adapter(**{"model": "openai:x", key: value})
    assert value not in str(raised.value)
