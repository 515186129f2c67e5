"""`regex` refuses texts that lack their form."""

import pytest

from interlock.core.job import DELETE

from .drafts import draft, made, refusal, says


def told(value, **options):
    return says({"regex": {"path": "x", "pattern": "[A-Z]-[0-9]{3}", **options}}, draft({"x": value}))


def test_a_text_has_a_form_from_end_to_end():
    assert told("A-123") == []
    assert told("A-1234") == ["x does not have the form [A-Z]-[0-9]{3}"]
    assert told("see A-123") == ["x does not have the form [A-Z]-[0-9]{3}"]


def test_a_text_contains_it_or_does_not():
    assert told("see A-123", must="contain") == []
    assert told("see A-12", must="contain") == ["x does not contain [A-Z]-[0-9]{3}"]
    assert told("see A-12", must="avoid") == []
    assert told("see A-123", must="avoid") == ["x contains 'see A-123', which it must not"]


@pytest.mark.parametrize(("value", "kind"), [(5, "a number"), (None, "null"), (["A-123"], "a list"), ({}, "an object")])
def test_what_is_no_text_has_no_form(value, kind):
    for must in ("match", "contain", "avoid"):
        assert told(value, must=must) == [f"x is {kind}, not a text"]


def test_missing_deleted_and_written_in_part():
    declared = {"regex": {"path": "x", "pattern": "a"}}
    required = {"regex": {"path": "x", "pattern": "a", "required": True}}
    for writes in ({}, {"x": DELETE}):
        assert says(declared, draft(writes)) == []
        assert says(required, draft(writes)) == ["x is missing: write it"]
    assert says(declared, draft({"x.y": "a"})) == ["x.y is a part of what is checked as a whole: write x itself"]


def test_what_is_no_pattern_or_no_path_is_refused():
    assert "is no regular expression" in refusal({"regex": {"path": "x", "pattern": "("}})
    assert "is not a dotted path" in refusal({"regex": {"path": "x..y", "pattern": "a"}})
    declared = {"path": "x", "pattern": "a", "must": "have"}
    assert "must is 'have', not one of: avoid, contain, match" in refusal({"regex": declared})
    assert made({"regex": {"path": "x", "pattern": "a"}}).watches == ("x",)
