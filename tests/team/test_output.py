"""What an LLM agent answers, in a few words."""

import pytest

from interlock.errors import TeamError
from interlock.team.output import schema_of

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        ("text", TEXT),
        ("text 1..80", {"type": "string", "minLength": 1, "maxLength": 80}),
        ("int", {"type": "integer"}),
        ("int -1..5", {"type": "integer", "minimum": -1, "maximum": 5}),
        ("number 0..1", {"type": "number", "minimum": 0, "maximum": 1}),
        ("bool", {"type": "boolean"}),
        ("any", {}),
        (["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        ([1, 2], {"type": "integer", "enum": [1, 2]}),
        (["a", 1], {"type": ["string", "integer"], "enum": ["a", 1]}),
        ("list of text", {"type": "array", "items": TEXT}),
        ("list of int 1..5", {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 5}}),
        (
            [{"name": "text"}],
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": TEXT},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            },
        ),
    ],
)
def test_a_type_is_a_schema(declared, schema):
    assert schema_of({"field": declared})["properties"] == {"field": schema}


def test_fields_are_required_unless_they_end_in_a_question_mark():
    assert schema_of({"a": "text", "b?": {"c?": "int"}}) == {
        "type": "object",
        "properties": {
            "a": TEXT,
            "b": {
                "type": "object",
                "properties": {"c": {"type": "integer"}},
                "required": [],
                "additionalProperties": False,
            },
        },
        "required": ["a"],
        "additionalProperties": False,
    }


def test_a_json_schema_stays_what_it_is():
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]}
    assert schema_of(schema) == schema


def test_a_field_may_be_called_type():
    assert schema_of({"type": "text", "properties": "text"})["required"] == ["type", "properties"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "output has no fields; name what the agent is to answer"),
        ({"a": "texts"}, "output.a: there is no type texts; did you mean text?; write text, int 1..5"),
        ({"a": "string"}, "output.a: there is no type string; did you mean text?"),
        ({"a": "list text"}, "output.a: there is no type list text"),
        ({"a": 5}, "output.a is the number 5, not a type"),
        ({"a": []}, "output.a is a list, not a type"),
        ({"a": [True, False]}, "output.a has true as a choice; put it in quotes"),
        ({"a": ["x", None]}, "output.a has nothing as a choice"),
        ({"a": {"b": {}}}, "output.a.b has no fields"),
        ({"a": "bool 0..1"}, "output.a: bool takes no bounds 0..1"),
        ({"a": "int 0..1.5"}, "output.a: int takes no bounds 0..1.5"),
        ({"a": "int 5..1"}, "output.a: nothing lies in 5..1; swap the bounds"),
        ({"a": "text", "a?": "text"}, "output has a twice; keep one of them"),
        ({"a b": "text", "": "text"}, "output: "),
        (
            {"type": "object", "properties": {"a": {"oneOf": []}}},
            "output: the schema of a uses oneOf, which is not supported there",
        ),
    ],
)
def test_what_is_wrong_is_said(declared, message):
    with pytest.raises(TeamError) as raised:
        schema_of(declared, ("output",))
    assert str(raised.value).startswith(message)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(TeamError) as raised:
        schema_of({"a": "txt", "b": {"c": 5}})
    assert [problem.place for problem in raised.value.problems] == [("a",), ("b", "c")]
