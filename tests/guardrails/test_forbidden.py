"""`forbidden` refuses words that must not leave the house, however they are spelled out."""

import pytest

from interlock.core.job import DELETE
from interlock.guardrails import forbidden as module

from .drafts import draft, made, refusal, says

WORDS = {"forbidden": {"words": ["guarantee", "full refund"]}}


@pytest.mark.parametrize(
    "text",
    [
        "guarantee",
        "We GUARANTEE it.",
        "a full\n\n  refund!",
        "gua\u00adran\u200btee",
        "\uff47uarantee",
        "no(guarantee)",
        "full\u00a0refund",
    ],
)
def test_words_are_found_however_they_are_spelled_out(text):
    assert len(says(WORDS, draft({"x": text}))) == 1


@pytest.mark.parametrize("text", ["guaranteed", "fullrefund", "full of refund", "", "full. refund"])
def test_other_words_are_not(text):
    assert says(WORDS, draft({"x": text})) == []


def test_texts_are_found_wherever_they_stand():
    for value in ({"a": [{"b": "guarantee"}]}, {"guarantee": 1}, ["x", ["guarantee"]]):
        assert says(WORDS, draft({"x": value})) == ["x holds 'guarantee', which is forbidden: leave it out"]
    assert says(WORDS, draft({"x": [1, None, True, 1.5], "y": DELETE})) == []


def test_each_word_is_told_once():
    assert len(says(WORDS, draft({"x": "guarantee guarantee full refund"}))) == 2


def test_patterns_are_found():
    patterns = {"forbidden": {"patterns": [r"\b\d{16}\b", "(?i)password: *[^ ]+"]}}
    assert says(patterns, draft({"x": "card 1234567812345678."}))
    assert says(patterns, draft({"x": "Password: hunter2"}))
    assert says(patterns, draft({"x": "card 12345678123456789, no password"})) == []


def test_only_some_paths_are_looked_at():
    outside = {"forbidden": {"words": ["guarantee"], "paths": ["ticket.response", "mail.*"]}}
    assert says(outside, draft({"note": "guarantee", "ticket.internal": "guarantee", "mail": DELETE})) == []
    for writes in (
        {"ticket.response.text": "guarantee"},
        {"ticket": {"response": "guarantee"}},
        {"mail.a": "guarantee"},
    ):
        assert len(says(outside, draft(writes))) == 1
    beside = {"ticket": {"response": "fine", "internal": "guarantee"}}
    assert says(outside, draft(beside)) == []
    assert says(outside, draft({"ticket": {"internal": "guarantee"}, "mailbox": "guarantee"})) == []
    assert len(says(outside, draft({"mail": {"a": {"b": "guarantee"}}}))) == 1
    assert made(outside).watches == ("ticket.response", "mail.*")


def test_more_text_than_can_be_searched_is_refused(monkeypatch):
    monkeypatch.setattr(module, "TEXT_CHARS_MAX", 10)
    assert says(WORDS, draft({"x": "ten chars.", "y": "and more"})) == [
        "the texts have more than 10 characters, too many to be searched"
    ]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "it forbids nothing"),
        ({"words": [" "]}, "one of its words is empty"),
        ({"words": "guarantee"}, "forbidden: words is 'guarantee', not a list of texts"),
        ({"words": ["x"] * 1_001}, "more than 1,000 words"),
        ({"patterns": ["(?=x)"]}, "in bounded time"),
        ({"words": ["x"], "paths": ["a..b"]}, "is not a dotted path"),
    ],
)
def test_what_forbids_nothing_is_refused(options, part):
    assert part in refusal({"forbidden": options})
