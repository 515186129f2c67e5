"""A schema over the writes of a reply: what it accepts, what it finds, and what it refuses to be."""

import pytest

from interlock.core.schema import SCHEMA_DEPTH_MAX, WritesSchema
from interlock.errors import PathError, PlanError


def schema_of(inner):
    return WritesSchema({"properties": {"x": inner}})


# --- what a reply is checked for ---------------------------------------------------------------------------------

NAMED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}


@pytest.mark.parametrize(
    ("inner", "good", "bad"),
    [
        ({}, [None, 1, [{}], "x"], []),
        ({"title": "Any", "description": "thing", "default": 1, "examples": [2], "$comment": ""}, [None, 1], []),
        ({"type": "string"}, ["", "x"], [1, None, ["x"]]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "abc"], ["a", "abcd"]),
        ({"type": "string", "pattern": "^[a-z]+$"}, ["ab"], ["", "A1"]),
        ({"type": "integer"}, [1, -(2**63)], [1.0, True, "1", None]),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 4, "multipleOf": 3}, [3], [0, 1, 6]),
        ({"type": "number"}, [1, 1.5], [True, "1", None]),
        ({"type": "number", "exclusiveMinimum": 0.5, "maximum": 2}, [0.6, 1, 2.0], [0.5, 2.1]),
        ({"type": "boolean"}, [True, False], [0, None, "true"]),
        ({"type": "null"}, [None], [0, ""]),
        ({"type": "array"}, [[], [1, "x"]], [{}, "x", None]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2}, [[None]], [[], [1], [None] * 3]),
        ({"type": "object"}, [{}, {"a": 1}], [[], None]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [{"a": "x"}]),
        ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
        (NAMED, [{"a": 1, "b": None}, {"a": 1, "b": 2, "c": 3}], [{"a": 1}, {"b": 2}, {"a": "1", "b": 2}]),
        (NAMED | {"additionalProperties": False}, [{"a": 1, "b": 2}], [{"a": 1, "b": 2, "c": 3}]),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, [{}, {"a": 1}], [{"a": None}]),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}, [{"b": 1}], [{}, {"a": 1}]),
        ({"type": ["string", "null"]}, ["x", None], [1, []]),
        ({"type": ["integer"]}, [1], ["x"]),
        ({"enum": ["billing", 2, None]}, ["billing", 2, None], ["cards", "2", True, 2.0]),
        ({"type": ["string", "null"], "enum": ["a", None]}, ["a", None], ["b"]),
        ({"const": "yes"}, ["yes"], ["no", None]),
        ({"const": None}, [None], ["no"]),
    ],
)
def test_a_value_fits_its_schema_or_is_found(inner, good, bad):
    schema = schema_of(inner)
    for value in good:
        assert schema.findings({"x": value}) == [], value
    for value in bad:
        [(path, sentence)] = schema.findings({"x": value})
        assert path == "x"
        assert sentence.startswith("x: "), value


def test_a_finding_names_the_place_inside_the_value():
    schema = schema_of({"type": "array", "items": NAMED})
    assert schema.findings({"x": [{"a": "1", "b": 0}]}) == [("x", "x: Expected `int`, got `str` - at `$[0].a`")]


CATEGORY = {"properties": {"ticket.category": {"enum": ["billing"]}, "note": {}}, "required": ["ticket.category"]}


@pytest.mark.parametrize(
    ("writes", "findings"),
    [
        ({"ticket.category": "billing", "other": 1}, []),
        ({"ticket": {"category": "billing"}}, []),
        ({}, [("ticket.category", "ticket.category is missing; the schema requires it")]),
        ({"ticket": {}}, [("ticket.category", "ticket.category is missing; the schema requires it")]),
        ({"ticket": "billing"}, [("ticket.category", "ticket.category is missing; the schema requires it")]),
        ({"ticket": {"category": "cards"}}, [("ticket.category", "ticket.category: Invalid enum value 'cards'")]),
        (
            {"ticket.category": "billing", "note.text": "x"},
            [("note.text", "note.text is a part of note, which has a schema: write note as a whole")],
        ),
    ],
)
def test_a_field_is_checked_wherever_the_reply_writes_it(writes, findings):
    assert WritesSchema(CATEGORY).findings(writes) == findings


@pytest.mark.parametrize(("path", "key"), [("note.size", "size"), ('note."a.b"', "a.b"), ("note.\x01", "\x01")])
def test_a_field_that_is_not_required_is_checked_wherever_the_reply_writes_it(path, key):
    schema = WritesSchema({"properties": {path: {"type": "integer"}}})
    for value, findings in ((1, []), ("big", [(path, f"{path}: Expected `int`, got `str`")])):
        assert schema.findings({path: value}) == findings
        assert schema.findings({"note": {key: value}}) == findings
    assert schema.findings({"other": 1}) == []


def test_a_part_of_a_value_that_has_a_schema_may_have_another():
    schema = WritesSchema({"properties": {"a": {}, "a.b": {"type": "integer"}}})
    assert schema.findings({"a": {"b": 1}}) == schema.findings({"a": {"c": "x"}}) == []
    assert schema.findings({"a": {"b": "x"}}) == [("a.b", "a.b: Expected `int`, got `str`")]


def test_a_closed_schema_finds_every_other_path():
    schema = WritesSchema(CATEGORY | {"type": "object", "additionalProperties": False})
    assert schema.findings({"ticket.category": "billing", "b": 1, "a": 1}) == [
        ("b", "b is not in the schema"),
        ("a", "a is not in the schema"),
    ]
    assert schema.findings({"ticket": {"category": "billing"}}) == [("ticket", "ticket is not in the schema")]


def test_a_schema_speaks_of_paths_in_their_one_spelling():
    schema = WritesSchema({"properties": {'"ticket".draft': {}, 'a."b.c"': {}}, "required": ["ticket.draft", '"z"']})
    assert schema.paths == ("ticket.draft", 'a."b.c"', "z")
    assert WritesSchema({}).paths == ()


# --- what a schema may not be ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        (
            {"allOf": []},
            "the schema of the schema uses allOf, which is not supported there; supported: additionalProperties",
        ),
        ({"type": "array"}, "the schema of a reply's writes is an object schema; use properties and required"),
        ({"properties": []}, "the schema of properties is not an object"),
        ({"required": "a"}, "required is not a list of names"),
        ({"required": [1]}, "required is not a list of names"),
        (
            {"additionalProperties": {"type": "string"}},
            "the schema of the writes has additionalProperties of their own type beside named ones; use true or false",
        ),
    ],
)
def test_a_schema_of_writes_that_would_be_ignored_is_refused(schema, complaint):
    with pytest.raises(PlanError) as refused:
        WritesSchema(schema)
    assert str(refused.value).startswith(complaint)


def test_the_paths_of_a_schema_are_paths():
    for schema in ({"properties": {"a..b": {}}}, {"required": ["*"]}):
        with pytest.raises(PathError):
            WritesSchema(schema)


@pytest.mark.parametrize(
    ("inner", "complaint"),
    [
        ("string", "the schema of x is not an object"),
        (False, "the schema of x is not an object"),
        ({"type": "text"}, "the schema of x has the type 'text', which JSON Schema doesn't have"),
        ({"type": 5}, "the schema of x has the type 5"),
        ({"type": None}, "the schema of x has the type None"),
        ({"type": []}, "the schema of x: Cannot take a Union of no types"),
        ({"minLength": 1}, "the schema of x uses minLength, which is not supported there; supported: type"),
        ({"type": "string", "format": "email", "minimum": 1}, "the schema of x uses format, minimum, which is not"),
        ({"type": "string", "pattern": "["}, "the schema of x: unterminated character set"),
        ({"type": "string", "minLength": -1}, "the schema of x: "),
        ({"type": "boolean", "minimum": 1}, "the schema of x uses minimum"),
        ({"type": "integer", "pattern": "x"}, "the schema of x uses pattern"),
        ({"type": "number", "minLength": 1}, "the schema of x uses minLength"),
        ({"type": ["string", "text"]}, "the schema of x has the type 'text'"),
        ({"type": "text", "enum": ["a"]}, "the schema of x has the type 'text'"),
        ({"type": "object", "properties": []}, "the schema of x is not an object"),
        ({"type": "integer", "minimum": "1"}, "the schema of x: `ge` must be an int or float, got str"),
        ({"type": "integer", "minimum": 0.5}, "the schema of x: "),
        ({"type": "integer", "maximum": 2**70}, "the schema of x: "),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": 1}, "the schema of x: "),
        ({"type": "array", "items": {"type": "integer", "minimum": 0.5}}, "the schema of x[]: "),
        ({"type": "array", "uniqueItems": True}, "the schema of x uses uniqueItems"),
        ({"type": "object", "patternProperties": {}}, "the schema of x uses patternProperties"),
        ({"type": "object", "properties": {"a": {"type": "set"}}}, "the schema of x.a has the type 'set'"),
        ({"type": "object", "properties": {1: {}}}, "the schema of x: "),
        ({"type": "object", "properties": {'say "hi"': {}}}, "the schema of x: Renamed field names must not contain"),
        ({"type": "object", "additionalProperties": {"type": "set"}}, "the schema of x.* has the type 'set'"),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}},
            "the schema of x has additionalProperties of their own type beside named ones; use true or false",
        ),
        ({"enum": []}, "the schema of x has choices other than strings, integers and null"),
        ({"enum": "ab"}, "the schema of x has choices other than strings, integers and null"),
        ({"enum": [True]}, "the schema of x has choices other than strings, integers and null"),
        ({"const": 1.5}, "the schema of x has choices other than strings, integers and null"),
        ({"enum": [2**64]}, "the schema of x: Integer values"),
        ({"type": "string", "enum": ["a", 1]}, "the schema of x: Expected `str`, got `int`"),
        ({"enum": ["a"], "const": "a"}, "the schema of x uses const, which is not supported there"),
        ({"enum": ["a"], "minLength": 1}, "the schema of x uses minLength"),
    ],
)
def test_a_schema_that_would_be_ignored_or_fail_later_is_refused_at_once(inner, complaint):
    with pytest.raises(PlanError) as refused:
        schema_of(inner)
    assert str(refused.value).startswith(complaint)


def test_the_keywords_of_a_type_are_told_to_whoever_mistypes_one():
    with pytest.raises(PlanError) as refused:
        schema_of({"type": "array", "maxLength": 1})
    assert refused.value.fix == "supported: items, maxItems, minItems, type"


def nested(depth, wrap=lambda inner: {"type": "array", "items": inner}, inmost=None):
    schema = inmost or {"type": "string"}
    for _ in range(depth - 1):
        schema = wrap(schema)
    return schema


def test_a_schema_is_nested_to_a_limit():
    schema_of(nested(SCHEMA_DEPTH_MAX))
    with pytest.raises(PlanError, match=r"the schema of x(\[\]){16} is nested deeper than 16"):
        schema_of(nested(SCHEMA_DEPTH_MAX + 1))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"type": "object", "properties": {"a": inner}},
        lambda inner: {"type": "object", "required": ["a"], "properties": {"a": inner}},
        lambda inner: {"type": "object", "additionalProperties": inner},
    ],
)
def test_objects_are_nested_to_the_same_limit(wrap):
    schema_of(nested(SCHEMA_DEPTH_MAX, wrap))
    with pytest.raises(PlanError, match="is nested deeper than 16"):
        schema_of(nested(SCHEMA_DEPTH_MAX + 1, wrap))


@pytest.mark.parametrize("inmost", [{"type": ["string", "null"]}, {"type": "string", "enum": ["a"]}])
def test_each_of_several_types_and_the_type_of_a_choice_lie_one_deeper(inmost):
    schema_of(nested(SCHEMA_DEPTH_MAX - 1, inmost=inmost))
    with pytest.raises(PlanError, match="is nested deeper than 16"):
        schema_of(nested(SCHEMA_DEPTH_MAX, inmost=inmost))


def test_a_keyword_of_one_type_says_nothing_about_the_others():
    schema = WritesSchema({"properties": {"x": {"type": ["string", "null"], "minLength": 2}}})
    assert [bool(schema.findings({"x": value})) for value in ("ab", None, "a", 1)] == [False, False, True, True]
    with pytest.raises(PlanError, match="the schema of x uses minItems, which is not supported there"):
        WritesSchema({"properties": {"x": {"type": ["string", "null"], "minItems": 2}}})


@pytest.mark.parametrize("required", ["b", "b.c", "ab"])
def test_a_closed_schema_requires_only_what_it_allows(required):
    closed = {"required": [required], "properties": {"a": {}}, "additionalProperties": False}
    with pytest.raises(PlanError) as refused:
        WritesSchema(closed)
    assert str(refused.value) == (
        f"the schema requires {required}, and allows nothing but its properties, among which it is not;"
        f" add {required} to the properties"
    )
    WritesSchema(closed | {"additionalProperties": True})


@pytest.mark.parametrize("required", ["a", "a.b"])
def test_a_closed_schema_may_require_a_part_of_what_it_allows(required):
    schema = WritesSchema({"required": [required], "properties": {"a": {}}, "additionalProperties": False})
    assert schema.findings({"a": {"b": 1}}) == []
