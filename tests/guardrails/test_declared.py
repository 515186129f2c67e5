"""Every guardrail has a name, options that are documented, and a place in the schema of team files."""

import ast
from pathlib import Path

import msgspec
import pytest

from interlock.core.guardrail import COST_MAX
from interlock.guardrails.declared import KINDS, json_schema, kind, seat_of

from .drafts import made, nothing, refusal

DOCS = Path(__file__).parents[2].joinpath("docs", "guardrails.md").read_text()


@pytest.mark.parametrize("name", KINDS)
def test_each_is_found_by_its_name(name):
    assert kind(name).name == name
    assert 0 <= kind(name).cost <= COST_MAX


@pytest.mark.parametrize("name", KINDS)
def test_each_is_documented_with_all_its_options(name):
    assert f"\n## `{name}`" in DOCS
    section = DOCS.partition(f"\n## `{name}`")[2].partition("\n## ")[0]
    assert [
        field.encode_name for field in msgspec.structs.fields(kind(name)) if f"`{field.encode_name}`" not in section
    ] == []


@pytest.mark.parametrize("name", KINDS)
def test_each_is_in_the_schema_of_team_files(name):
    [mine] = [one for one in json_schema()["anyOf"] if one.get("required") == [name]]
    options = mine["properties"][name]["properties"]
    assert {*options} == {*(field.encode_name for field in msgspec.structs.fields(kind(name))), "weight"}


def test_weights_are_kept_apart_from_options():
    assert seat_of({"confidence": {"weight": 3, "min": 0.9}}, nothing).weight == 3
    assert seat_of("confidence", nothing).weight == 1
    assert seat_of({"confidence": None}, nothing).guardrail == made("confidence")
    assert seat_of({"use": "a:b", "weight": 0.5}, nothing).weight == 0.5


@pytest.mark.parametrize(
    ("declared", "part"),
    [
        (5, "it is no guardrail"),
        (None, "it is no guardrail"),
        ([], "it is no guardrail"),
        ({}, "it is no guardrail"),
        ({"choice": {}, "bounds": {}}, "it is no guardrail"),
        ("choise", "there is no guardrail choise; did you mean choice?"),
        ({5: {}}, "there is no guardrail 5"),
        ({"confidence": []}, "the options of confidence are no mapping"),
        ({"confidence": {5: 1}}, "confidence has no option 5"),
        ({"confidence": {"weight": True}}, "weight is True, not a number above 0"),
        ({"confidence": {"weight": 1_001}}, "weight is 1001, not a number above 0"),
        ({"judge": {}}, "judge: agent is missing"),
        ({"judge": {"agent": "x", "threshold": 7}}, "judge: threshold is 7, not a number above 0 and up to 1"),
        ({"judge": {"agent": "x", "on_error": 5}}, "judge: on_error is 5, not one of: pass, refuse"),
        ({"injection": {"replies": 3}}, "injection: replies is 3, not true or false"),
        ({"schema": {"json": [1]}}, "schema: json is [1], not a mapping"),
        ({"unchanged": {"copies": {"x": 3}}}, "unchanged: copies is {'x': 3}, not a mapping of texts"),
        ({"choice": {"path": "x", "among": 3}}, "choice: among is 3, not a text or a list"),
        ({"grounded": {"paths": "x" * 200}}, "xxx..., not a list of texts"),
        ({"use": 5}, "use is 5, not module:function"),
        ({"use": "a:b", 5: 1}, "a function has no option 5"),
        ({"use": "a:b", "weight": "1"}, "weight is '1', not a number above 0"),
    ],
)
def test_what_is_no_guardrail_is_refused(declared, part):
    assert part in refusal(declared)


def test_a_team_without_guardrails_imports_none():
    team = Path(__file__).parents[2] / "src" / "interlock" / "team"
    for file in team.glob("*.py"):
        tops = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ImportFrom)]
        assert [node.module for node in tops if "guardrails" in (node.module or "")] == []
