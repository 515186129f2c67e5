"""The JSON Schema for editors says what the loader says."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from interlock.core.step import Condition, Step
from interlock.core.values import Limits
from interlock.team import Agent, team_file_schema
from interlock.team.steps import CONDITION, RECONCILE_STEP, STEP, WAIT
from interlock.team.tables import AGENT, LIMITS, SCOPE_KEYS

EXAMPLES = Path(__file__).parents[2] / "examples"
KINDS = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def fits(value, schema):
    """A tiny checker of the keywords that the schema uses."""
    if "if" in schema:
        return fits(value, schema["then"] if fits(value, schema["if"]) else schema["else"])
    if "anyOf" in schema and not any(fits(value, inner) for inner in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(fits(value, inner) for inner in schema["oneOf"]) != 1:
        return False
    if "not" in schema and fits(value, schema["not"]):
        return False
    kind = KINDS.get(schema.get("type"), object)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        return bool(re.search(schema.get("pattern", ""), value)) and len(value) >= schema.get("minLength", 0)
    if isinstance(value, int):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if isinstance(value, list):
        enough = len(value) >= schema.get("minItems", 0)
        return enough and all(fits(item, schema.get("items", {})) for item in value)
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return (
        set(schema.get("required", ())) <= value.keys()
        and len(value) >= schema.get("minProperties", 0)
        and all(fits(name, schema.get("propertyNames", {})) for name in value)
        and all(fits(inner, known[name]) for name, inner in value.items() if name in known)
        and all(others is not False and fits(inner, others) for name, inner in value.items() if name not in known)
    )


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/team.yaml")), ids=lambda file: file.parent.name)
def test_the_examples_fit(file):
    assert fits(yaml.safe_load(file.read_text()), team_file_schema())


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "agents: {}",
        "agents: {a: {timeout: 2}}",
        "agents: {a: {timeout: soon}}",
        "agents: {a: {effort: easy}}",
        "agents: {a: {breaker: {trip: 1}}}",
        "agents: {'a b': {}}",
        "agents: {a: {retries: -1}}",
        "agents: {a: {allowed_actions: x}}",
        "agents: {a: {use: 'desk:sort', llm: {model: 'local:smollm2'}}}",
        "agents: {a: {http: 'https://a.example/', command: [sort]}}",
        "agents: {a: {langgraph: 'desk:graph', crewai: 'desk:crew', autogen: 'desk:agent'}}",
        "agents: {a: {}}\nreducers: {x: max}",
        "agents: {a: {}}\nplan: []",
        "agents: {a: {}}\nplan: [{id: a}]",
        "agents: {a: {}}\nplan: [{phase: a}]",
        "agents: {a: {}}\nplan: [{phase: a, steps: [{id: a, agent: a, action: x, samples: 0}]}]",
        "agents: {a: {}}\nplan: [{id: a, agent: a, action: x, when: {path: b, op: is}}]",
    ],
)
def test_what_the_loader_refuses_does_not_fit(text):
    assert not fits(yaml.safe_load(text), team_file_schema())


@pytest.mark.parametrize("text", ["use: 'desk:sort'", "openai_agents: 'desk:clerk'", "swarm: {use: 'desk:clerk'}", ""])
def test_an_agent_of_one_kind_fits_and_so_does_a_bare_scope(text):
    assert fits(yaml.safe_load(f"agents: {{a: {{{text}}}}}"), team_file_schema())


def test_it_says_which_draft_it_is_and_describes_every_key():
    schema = team_file_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    agent = schema["properties"]["agents"]["additionalProperties"]
    assert all(part["description"] for part in agent["properties"].values())
    assert msgspec.json.encode(schema)


def test_the_tables_have_the_fields_of_what_they_make():
    def names(struct):
        return {field.name for field in msgspec.structs.fields(struct)}

    assert set(STEP.fields) | set(WAIT.fields) | set(RECONCILE_STEP.fields) == names(Step)
    assert set(CONDITION.fields) == names(Condition)
    assert set(LIMITS.fields) == names(Limits)
    assert set(AGENT.fields) == (names(Agent) | set(SCOPE_KEYS)) - {"name", "scope"}
