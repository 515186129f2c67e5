"""Texts for patterns: each one matches, within its lengths; what can't be made asks for examples."""

import importlib
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import TeamError
from interlock.testing.generation.patterns import matching

PATTERNS = [
    r"^\d{4}-\d{2}-\d{2}$",
    r"[a-z]+@[a-z]+\.(com|org)",
    r"^(?:[A-F0-9]{2}:){5}[A-F0-9]{2}$",
    r"\bfoo\b",
    r"(?i)abc",
    r"^[^a-z]+$",
    r"^[^\d\s]{3}[\w-]*[\D\S\W]$",
    r"x*",
    r"^[^x\]\-]$",
    r"^$",
    r"(?P<name>a|b|){2,}?c",
    r"\Aone\Z",
    r"(?s)^.+\s$",
    r"^[\u4e00-\u9fff]{2,3}$",
    r"^[^x]y[^x-z]?+(?>ab)$",
    r"^[\ud7ff-\ud801]$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_is_made_matches(pattern):
    make, random = matching(pattern), Random(1)
    made = [make(random) for _ in range(200)]
    assert all(re.search(pattern, text) for text in made)
    assert all(text.encode("utf-8") == text.encode("utf-8", "replace") for text in made)


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        (r"^\d+$", 20, 22),
        ("foo", 20, 25),
        ("foo$", 20, None),
        ("^a*b*$", 0, 1),
        ("x{3,}", 3, 3),
        (r"^\d{0,500}$", 300, 310),
    ],
)
def test_lengths_are_kept(pattern, least, most):
    make, random = matching(pattern, least, most), Random(2)
    for _ in range(200):
        text = make(random)
        assert re.search(pattern, text)
        assert least <= len(text) <= (most or len(text))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a(?=b)", "lookaround"),
        ("(?<!a)b", "lookaround"),
        (r"(a)\1", "reference back"),
        ("(a)?(?(1)b|c)", "hangs on a group"),
        (r"[^\s\S]", "no ordinary character"),
        ("a{100000}", "10,000 characters"),
        ("((a{100}){100}){100}", "10,000 characters"),
        ("(", "unterminated"),
        (r"\Bb", "none of 1,000 tries had 0 or more characters"),
        ("a^b", "none of 1,000 tries"),
    ],
)
def test_what_cannot_be_made_asks_for_examples(pattern, why):
    with pytest.raises(TeamError, match="add examples") as caught:
        matching(pattern, where="ticket.id")
    assert why in caught.value.sentence
    assert "ticket.id" in caught.value.sentence


def test_lengths_that_no_match_has():
    with pytest.raises(TeamError, match="5 to 6 characters"):
        matching(r"^\d{3}$", 5, 6)


def test_a_python_that_keeps_its_parser_elsewhere(monkeypatch):
    def moved(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", moved)
    with pytest.raises(TeamError, match="keeps its parser elsewhere; add examples"):
        matching("a")


@given(
    st.recursive(
        st.sampled_from(["a", ".", r"\d", r"\w", r"\s", "[a-c_]", "[^a-c]", "é", r"\."]),
        lambda inner: (
            st.builds("".join, st.lists(inner, min_size=1, max_size=3))
            | st.builds("(?:{}|{})".format, inner, inner)
            | st.builds("({}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}?"]))
        ),
        max_leaves=8,
    ),
    st.integers(0, 2**32),
)
def test_any_of_the_subset_matches(pattern, seed):
    text = matching(f"^{pattern}$")(Random(seed))
    assert re.search(f"^{pattern}$", text)
