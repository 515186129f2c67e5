"""Patterns find what Python's engine finds, and can't be made to hang."""

import random
import re
import time
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from interlock.errors import TeamError
from interlock.guardrails import pattern as module
from interlock.guardrails.pattern import PATTERN_CHARS_MAX, TEXT_CHARS_MAX, Pattern, TooMuchWork

_ATOMS = [
    "a",
    "b",
    ".",
    r"\w",
    r"\d",
    r"\s",
    "[ab]",
    "[^a]",
    r"[^\d_]",
    "A",
    r"\.",
    "\u00e9",
    "[a-c]",
    r"\W",
    "[^ab\\s]",
]
_PLACES = ["^", "$", r"\b", r"\B", r"\A", r"\Z"]
_PATTERNS = st.recursive(
    st.sampled_from(_ATOMS + _PLACES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0,2}?"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        ),
        inner.map(lambda one: f"(?i:{one})"),
        inner.map(lambda one: f"({one})"),
    ),
    max_leaves=8,
)
_FLAGS = st.sampled_from(["", "(?i)", "(?s)", "(?m)", "(?a)", "(?im)"])
_TEXTS = st.text("aAbBc1_ .\n\u00e9\u0130", max_size=12)


@settings(max_examples=400)
@given(_FLAGS, _PATTERNS, _TEXTS)
def test_it_finds_what_python_finds(flags, pattern, text):
    assume(text or r"\B" not in pattern)  # what that means of no text at all, Python has changed its mind about
    mine, theirs = Pattern(flags + pattern), re.compile(flags + pattern)
    assert (mine.found_in(text) is not None) == (theirs.search(text) is not None)
    assert mine.matches(text) == (theirs.fullmatch(text) is not None)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", r"(\w+\s?)*$", "(.*)*,(.*)*,(.*)*;", "(x+x+)+y", "^(([a-z])+.)+[A-Z]$"]
)
def test_what_makes_other_engines_hang_ends(pattern):
    started = time.perf_counter()
    Pattern(pattern).found_in("a" * 20_000 + "!\n")
    assert time.perf_counter() - started < 5


def test_work_is_bounded_and_past_the_bound_nobody_guesses(monkeypatch):
    monkeypatch.setattr(module, "WORK_MAX", 20_000)
    many_ways = Pattern("(a|b)*a" + "(a|b)" * 14 + "c")
    text = "".join(random.Random(1).choices("ab", k=3_000))
    with pytest.raises(TooMuchWork, match="too many ways"):
        many_ways.found_in(text)
    with pytest.raises(TooMuchWork, match="at most 200,000 are searched"):
        Pattern("a").found_in("b" * (TEXT_CHARS_MAX + 1))


def test_what_is_known_is_forgotten_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(module, "KNOWN_MAX", 50)
    pattern = Pattern("(a|b)*a" + "(a|b)" * 8 + "$")
    text = "".join(random.Random(1).choices("ab", k=2_000))
    assert pattern.matches(text) == (re.fullmatch(pattern.text, text) is not None)
    assert len(pattern._known[False].steps) > 50
    assert not pattern.matches("c")
    assert len(pattern._known[False].steps) == 1


@pytest.mark.parametrize("text", ["a" * TEXT_CHARS_MAX, "ab, " * (TEXT_CHARS_MAX // 4)])
@pytest.mark.parametrize("pattern", ["(x|y|[a-z]{1,200}){3}z!", "(.{0,50}a.{0,50}){5}b!", r"\b[a-z]+\d\b"])
def test_what_is_gone_through_again_costs_little_however_many_ways_there_are(pattern, text):
    """Each of these took 10 s when the ways were followed anew at each character."""
    began = time.process_time()
    with suppress(TooMuchWork):
        assert Pattern(pattern).found_in(text) is None
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("(", "is no regular expression"),
        (r"(a)\1", "in bounded time (groupref)"),
        ("(?=a)b", "in bounded time (assert)"),
        ("(?<!a)b", "in bounded time (assert not)"),
        ("a++", "in bounded time (possessive repeat)"),
        ("(?>a)", "in bounded time (atomic group)"),
        ("(a)?(?(1)b|c)", "in bounded time (groupref exists)"),
        ("(a{100}){100}", "too large once its repeats are written out"),
        ("a" * (PATTERN_CHARS_MAX + 1), "more than 2,000 characters"),
    ],
)
def test_what_cannot_be_searched_in_bounded_time_is_refused(pattern, part):
    with pytest.raises(TeamError) as caught:
        Pattern(pattern)
    assert part in caught.value.sentence
