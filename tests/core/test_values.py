"""Values are JSON and nothing else; equal values have equal canonical bytes and hashes, and those never change."""

import datetime as dt
import decimal
import json
from enum import IntEnum
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core import values
from interlock.core.paths import join
from interlock.core.values import (
    Limits,
    canonical_bytes,
    content_hash,
    described,
    encode,
    encode_canonical,
    hash_of,
    leaf_digest,
)
from interlock.errors import ValueRefused

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)


def trees(leaves, keys=texts):
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=10
    )


json_values = trees(st.none() | st.booleans() | integers | floats | texts)
without_floats = trees(st.none() | st.booleans() | integers | texts)


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


class Hostile:
    def __repr__(self):
        raise RuntimeError

    __str__ = __repr__


strangers = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        2**63,
        "\udc00",
        b"bytes",
        (1, 2),
        {1},
        Colour.RED,
        Text("x"),
        dt.date.min,
        object(),
    ]
)
anything = trees(
    st.none() | st.booleans() | integers | floats | texts | strangers,
    texts | st.sampled_from([1, None, "\ud800", Text("k")]),
)


def typed(value):
    """The value with the types spelled out, so that 1, 1.0 and True differ, and -0.0 from 0.0, and orders of keys."""
    if isinstance(value, dict):
        return [(key, typed(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return list(map(typed, value))
    return type(value).__name__, repr(value)


def is_json(value):
    """Strict JSON by definition: exact types, finite numbers of 64 bits, Unicode, keys that are strings."""
    if type(value) is dict:
        return all(type(key) is str and is_json(key) and is_json(inner) for key, inner in value.items())
    if type(value) is list:
        return all(map(is_json, value))
    if type(value) is str:
        return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
    if type(value) is int:
        return -(2**63) <= value < 2**63
    if type(value) is float:
        return value - value == 0
    return value is None or type(value) is bool


# --- encode ------------------------------------------------------------------------------------------------------


@given(json_values)
def test_json_comes_back_as_it_went_in(value):
    raw = encode(value)
    assert typed(values.decode(raw)) == typed(value)
    assert typed(json.loads(raw)) == typed(value)


@given(anything)
def test_exactly_what_is_not_json_is_refused(value):
    if is_json(value):
        encode(value)
    else:
        with pytest.raises(ValueRefused):
            encode(value)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (float("nan"), "it is nan, which JSON doesn't have"),
        ({"price": float("-inf")}, "price is -inf, which JSON doesn't have"),
        ({"a": [0, {"b": 2**63}]}, "a[1].b is an integer outside 64 bits; write it as a string"),
        (-(2**63) - 1, "it is an integer outside 64 bits"),
        (
            {"when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
            "when is a datetime, which is not JSON; convert it first",
        ),
        ([decimal.Decimal(1)], "[0] is a Decimal, which is not JSON"),
        ({"tags": {"a"}}, "tags is a set, which is not JSON"),
        ({"pair": (1, 2)}, "pair is a tuple, which is not JSON"),
        ({"raw": b"x"}, "raw is a bytes, which is not JSON"),
        (Colour.RED, "it is a Colour, which is not JSON"),
        (Text("x"), "it is a Text, which is not JSON"),
        ({"a": "x\ud800"}, "a is text with a lone surrogate, which is not Unicode"),
        ({"a": {"\ud800": 1}}, "a.? is text with a lone surrogate"),
        ({"a": {7: 1}}, "a is an object with a key of the type int; keys are strings"),
        ({None: 1}, "it is an object with a key of the type NoneType"),
        ([{Hostile(): 1}], "[0] is an object with a key of the type Hostile"),
        ({"k" * 500: None, "x": {"k" * 500: {1}}}, "x." + "k" * 77 + "... is a set"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value, complaint):
    with pytest.raises(ValueRefused) as refused:
        encode(value)
    assert complaint in refused.value.message
    assert refused.value.fault == "agent"
    refused.value.message.encode()


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_is_nested_to_a_limit():
    encode(nested(32))
    with pytest.raises(ValueRefused, match=r"is nested deeper than 32$"):
        encode(nested(33))
    encode(nested(33), Limits(depth_max=33))


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("abcdefgh", "a.b.c.d.e.f.g.h"),
        ("abcdefghi", "a.b.c.d ... f.g.h.i"),
        ("abcd" + "x" * 24 + "efgh", "a.b.c.d ... e.f.g.h"),
        ([0] * 9, "[0][0][0][0] ... [0][0][0][0]"),
    ],
)
def test_a_place_that_lies_deep_is_told_without_its_middle(keys, place):
    value = {1, 2}
    for key in reversed(keys):
        value = {key: value} if isinstance(key, str) else [value]
    with pytest.raises(ValueRefused) as refused:
        encode(value, Limits(depth_max=40))
    assert refused.value.message.startswith(f"{place} is a set, which is not JSON")


def test_a_value_that_holds_itself_is_nested_too_deep():
    value = []
    value.append(value)
    with pytest.raises(ValueRefused, match="nested deeper"):
        encode(value)


@given(json_values, st.integers(-3, 3))
def test_a_value_is_refused_exactly_where_its_json_is_too_large(value, room):
    size = len(encode(value))
    bytes_max = size + room
    limits = Limits(value_bytes_max=bytes_max)
    if size <= bytes_max:
        assert len(encode(value, limits)) == size
    else:
        with pytest.raises(ValueRefused, match=rf"(more|larger) than {bytes_max}\b"):
            encode(value, limits)


@pytest.mark.parametrize("value", ["xxxx", [0, 0, 0, 0], [[], []], {"a": 0, "b": 0}, {}, 0])
def test_a_value_fits_a_limit_of_just_its_size(value):
    size = len(encode(value))
    assert len(encode(value, Limits(value_bytes_max=size))) == size
    with pytest.raises(ValueRefused):
        encode(value, Limits(value_bytes_max=size - 1))


def test_another_limit_of_size_can_be_named():
    limits = Limits(value_bytes_max=2)
    assert encode("abc", limits, 5) == b'"abc"'
    with pytest.raises(ValueRefused, match="it is 5 bytes of JSON, more than 4"):
        encode("abc", limits, 4)


def test_a_huge_value_is_refused_before_it_is_encoded():
    shared = ["x" * 1_000] * 1_000
    with pytest.raises(ValueRefused, match="it is larger than 1,048,576 bytes of JSON"):
        encode([[shared] * 1_000] * 1_000)  # a terabyte, were it written out


# --- the canonical form ------------------------------------------------------------------------------------------

CANONICAL = [
    (None, b"null"),
    (True, b"true"),
    (1, b"1"),
    (1.0, b"1.0"),
    (-0.0, b"-0.0"),
    (0.1, b"0.1"),
    (1e16, b"1e16"),
    (1e22, b"1e22"),
    (1e-7, b"1e-7"),
    (5e-324, b"5e-324"),
    (123456789012345680.0, b"1.2345678901234568e17"),
    (2**63 - 1, b"9223372036854775807"),
    (-(2**63), b"-9223372036854775808"),
    ("é/\u2028\x7f", b'"\xc3\xa9/\xe2\x80\xa8\x7f"'),
    ('\b\t\n\f\r\x01\\"', b'"\\b\\t\\n\\f\\r\\u0001\\\\\\""'),
    ([2, [], {}], b"[2,[],{}]"),
    ({"b": 1, "a": {"d": 1, "c": 2}}, b'{"a":{"c":2,"d":1},"b":1}'),
    # By code point: in UTF-16, the emoji would come before the fullwidth tilde.
    ({"😀": 1, "～": 2, "é": 3, "e\u0301": 4}, '{"e\u0301":4,"é":3,"～":2,"😀":1}'.encode()),
]


@pytest.mark.parametrize(("value", "raw"), CANONICAL)
def test_golden_canonical_json(value, raw):
    assert encode_canonical(value) == raw
    assert canonical_bytes(encode(value)) == raw


@given(without_floats)
def test_the_canonical_form_is_what_the_standard_library_sorts_and_writes(value):
    model = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert canonical_bytes(encode(value)) == model


@given(json_values)
def test_the_canonical_form_is_its_own_canonical_form(value):
    raw = canonical_bytes(encode(value))
    assert canonical_bytes(raw) == raw == encode_canonical(values.decode(raw))


@given(st.dictionaries(texts, json_values, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_keys_is_kept_in_the_value_and_not_seen_by_the_hash(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert list(values.decode(encode(dict(items)))) == [key for key, _ in items]
    assert hash_of(dict(items)) == hash_of(value)


# --- digests -----------------------------------------------------------------------------------------------------


def test_a_content_hash_is_plain_blake2b():
    assert content_hash(b"ab") == blake2b(b"ab", digest_size=32).hexdigest()


@pytest.mark.parametrize(
    ("leaf", "golden"),
    [
        (("ticket.category", b'"billing"'), "2892f9d2add32ea81af1367c4e15eee6d8174a42b2f9bcb5e4b4ebcd9e3d6047"),
        (("ticket.notes", b'"seen"', 7), "b783cc1c5bb6735f2793b2c58d93316b05ce978baac44066cda727e724be5dff"),
        (("list", b'[{"b":1,"a":2}]'), "89c4797ff311207f7f7bf8aaefb0652ebc31d174a6e6e1dd37d674b4010014e7"),
    ],
)
def test_golden_leaf_digests(leaf, golden):
    assert f"{leaf_digest(*leaf):064x}" == golden


def test_leaves_that_join_to_the_same_text_have_other_digests():
    leaves = [("a", b"1"), ("a1", b""), ("a", b"1", 1), ("a", b"11"), (join(("a\0" + "1",)), b"1")]
    assert len({leaf_digest(*leaf) for leaf in leaves}) == len(leaves)


def test_the_order_of_keys_inside_a_list_does_not_matter():
    assert leaf_digest("list", b'[{"b":1,"a":2}]') == leaf_digest("list", b'[{"a":2,"b":1}]')


class Point(msgspec.Struct, omit_defaults=True):
    y: int = 0
    x: int = 0


@pytest.mark.parametrize(
    ("value", "golden"),
    [
        (None, "6bfb9a89e7917438ddb17fb73d74243df565eae70968b5a290cf5f3563d76bef"),
        ({"b": [1, 1.0, "é"], "a": {}}, "babc94f669b524203d9980a599076981a7c6a09ea17c9e8eb2516291258dc0a2"),
        (Point(y=1, x=2), "26e36f337482eba8a0f7719bb587fb9ec7bca1bb265ac63d310a7ace90cf7a73"),
    ],
)
def test_golden_hashes(value, golden):
    assert hash_of(value) == golden


def test_a_struct_is_hashed_as_the_object_it_is_written_as():
    assert hash_of(Point(y=1, x=2)) == hash_of({"x": 2, "y": 1})
    assert hash_of(Point()) == hash_of({})


def test_values_that_differ_in_json_differ_in_hash():
    different = [1, 1.0, True, "1", 0, 0.0, -0.0, None, "", [], {}, [1], {"a": 1}, "é", "e\u0301"]
    assert len(set(map(hash_of, different))) == len(different)


class Callable:
    def method(self):
        """So that there is one."""


def test_code_is_told_by_where_it_stands_and_an_object_by_its_type():
    here = Callable.__module__
    assert described(trees) == f"{here}:trees"
    assert described(Callable().method) == f"{here}:Callable.method"
    assert described(Callable) == f"{here}:Callable"
    assert described(Callable()) == f"{here}:Callable"
