"""`bounds` refuses what is out of proportion, of the wrong kind, or only half there."""

import pytest

from interlock.core.job import DELETE

from .drafts import draft, made, refusal, says


@pytest.mark.parametrize(
    ("bounds", "value", "finding"),
    [
        ({"min": 1}, 0.5, "x is 0.5; at least 1 is needed"),
        ({"max": 100}, 1_000, "x is 1,000; at most 100 is allowed"),
        ({"min": 1, "max": 2}, "1", "x is a text, not a number"),
        ({"max": 2}, True, "x is true or false, not a number"),
        ({"max": 2}, None, "x is null, not a number"),
        ({"max": 2}, {"y": 1}, "x is an object, not a number"),
        ({"min_chars": 2}, "a", "x has 1 characters; at least 2 is needed"),
        ({"max_chars": 2}, "abc", "x has 3 characters; at most 2 is allowed"),
        ({"max_chars": 2}, 1, "x is a number, not a text"),
        ({"min_items": 1}, [], "x has 0 items; at least 1 is needed"),
        ({"max_items": 1}, [1, 2], "x has 2 items; at most 1 is allowed"),
        ({"max_items": 1}, {}, "x is an object, not a list"),
    ],
)
def test_what_is_out_of_bounds_is_refused(bounds, value, finding):
    assert says({"bounds": {"path": "x", **bounds}}, draft({"x": value})) == [finding]


@pytest.mark.parametrize(
    ("bounds", "value"),
    [({"min": 1}, 1), ({"max": 1}, 1.0), ({"min_chars": 1, "max_chars": 1}, "a"), ({"max_items": 0}, [])],
)
def test_what_is_within_bounds_passes(bounds, value):
    assert says({"bounds": {"path": "x", **bounds}}, draft({"x": value})) == []


def test_a_value_inside_one_that_is_written_further_up_is_found():
    assert says({"bounds": {"path": "a.b.c", "max": 1}}, draft({"a": {"b": {"c": 2}}}))
    assert says({"bounds": {"path": "a.b.c", "max": 1}}, draft({"a": {"b": 2}})) == []


def test_a_part_of_it_written_alone_is_refused():
    assert says({"bounds": {"path": "a", "max": 1}}, draft({"a.b": 1})) == [
        "a.b is a part of what is checked as a whole: write a itself"
    ]


def test_a_pattern_means_each_field_directly_below():
    fields = {"bounds": {"path": "prices.*", "max": 9}}
    assert says(fields, draft({"prices": {"a": 10, "b": 9}})) == ["prices.a is 10; at most 9 is allowed"]
    assert says(fields, draft({"prices.a": 10, "prices.b": 9, "x": 11})) == ["prices.a is 10; at most 9 is allowed"]
    assert len(says(fields, draft({"prices.a.deep": 1}))) == 1
    assert len(says(fields, draft({"prices": 5}))) == 0
    assert len(says({"bounds": {"path": "*", "max": 9}}, draft({"a": 10, "b": 1}))) == 1


def test_what_is_not_written_or_deleted_is_only_missed_where_it_is_required():
    for writes in ({}, {"x": DELETE}):
        assert says({"bounds": {"path": "x", "max": 1}}, draft(writes)) == []
        assert says({"bounds": {"path": "x", "max": 1, "required": True}}, draft(writes)) == ["x is missing: write it"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"path": "x"}, "it has no bound"),
        ({"path": "x", "max": 1, "max_chars": 1}, "it has bounds of a number and a text"),
        ({"path": "x", "min": 2, "max": 1}, "nothing lies in 2..1"),
        ({"path": "", "max": 1}, "is not a dotted path"),
        ({"path": "x", "max": "1"}, "bounds: max is '1', not a number"),
        ({"path": "x", "max_chars": 1.5}, "bounds: max_chars is 1.5, not a whole number"),
        ({"path": "x", "maxi": 1}, "bounds has no option maxi; did you mean max?"),
    ],
)
def test_what_cannot_be_a_bound_is_refused(options, part):
    assert part in refusal({"bounds": options})


def test_it_says_what_it_watches():
    assert made({"bounds": {"path": "x.*", "max": 1}}).watches == ("x.*",)
