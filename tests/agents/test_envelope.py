"""The JSON between the engine and agents that are other programs."""

import json

import msgspec
import pytest

import interlock as il
from interlock.agents.envelope import opened, posted
from interlock.errors import AgentError, AgentRefused, Overloaded, RateLimited, ReplyRefused

from .scenes import job

FIELDS = ("ticket.category", "ticket.priority")
ESCALATE = il.Request("escalate", "bob")


def answer(said, *writes, schemas=(), requests=()):
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return opened(raw, job(writes=writes or FIELDS, schemas=schemas, requests=requests))


def refused(said, **given):
    with pytest.raises(ReplyRefused) as error:
        answer(said, **given)
    return error.value


def test_a_job_is_posted_with_all_that_it_shows():
    schema = '{"required":["ticket.category"]}'
    given = job(
        view={"ticket": {"text": "Ünicode", "tags": []}},
        instructions="sort it",
        feedback=("too vague",),
        item={"n": 1},
        index=3,
        writes=FIELDS,
        schemas=(schema,),
        requests=(ESCALATE,),
    )
    assert json.loads(posted(given)) == {
        "format": 1,
        "run_id": "run",
        "step": "s0",
        "agent": "ann",
        "action": "act",
        "attempt": 1,
        "idempotency_key": "run/s0/1",
        "instructions": "sort it",
        "feedback": ["too vague"],
        "item": {"n": 1},
        "index": 3,
        "writes": [*FIELDS],
        "view": {"ticket": {"text": "Ünicode", "tags": []}},
        "schemas": [json.loads(schema)],
        "answer": "",
        "requests": [{"action": "escalate", "to": "bob"}],
    }


def test_every_field_of_a_job_is_posted():
    fields = {"format", *il.Job.__struct_fields__}
    assert set(json.loads(posted(job()))) == fields - {"draft", "progress", "conflicts"}
    told = {"draft": {"writes": {"ticket.category": "cards"}}, "progress": {"done": []}, "conflicts": {"a": []}}
    judged = msgspec.structs.replace(job(), **told)
    assert set(json.loads(posted(judged))) == fields


# --- replies ---


def test_a_reply_has_writes_and_what_stands_beside_them():
    reply = answer(
        {
            "writes": {"ticket.category": "cards", "priority": "high"},
            "deletes": ["ticket.draft"],
            "output": {"thought": "easy"},
            "usage": {"input_tokens": 9, "output_tokens": 1, "usd": 0.5, "requests": 1, "model": "m"},
            "confidence": 0.5,
        },
        *FIELDS,
        "ticket.draft",
    )
    assert reply == il.Reply(
        writes={"ticket.category": "cards", "ticket.priority": "high", "ticket.draft": il.DELETE},
        output={"thought": "easy"},
        usage=il.Usage(9, 1, 0.5, requests=1, model="m"),
        confidence=0.5,
    )


def test_the_fields_may_come_alone():
    assert answer({"category": "cards", "ticket.priority": "low"}).writes == dict(
        zip(FIELDS, ["cards", "low"], strict=True)
    )
    assert answer("cards", "ticket.category").writes == {"ticket.category": "cards"}
    assert answer(b" 7 ", "ticket.n", schemas=('{"properties":{"ticket.n":{"type":"integer"}}}',)).writes == {
        "ticket.n": 7
    }


def test_a_field_may_be_called_like_a_part_of_a_reply():
    assert answer({"output": "x"}, "ticket.output").writes == {"ticket.output": "x"}
    reply = answer({"writes": {"output": "x"}, "output": 7}, "ticket.output")
    assert (reply.writes, reply.output) == ({"ticket.output": "x"}, 7)


def test_a_question_comes_without_writes():
    reply = answer({"ask": {"text": "Refund?", "choices": ["yes", "no"]}, "usage": {"input_tokens": 5}})
    assert (reply.ask, reply.writes) == (il.Question("Refund?", ("yes", "no")), {})
    assert reply.usage == il.Usage(5)


@pytest.mark.parametrize(
    "said",
    [
        {"writes": {"category": "a"}, "request": {"action": "escalate", "to": "bob"}},
        {"writes": {"category": "a", "request": "escalate"}},
        {"category": "a", "request": "escalate"},
        {"category": "a", "request": {"action": "escalate", "to": "bob"}},
    ],
)
def test_a_request_comes_beside_the_writes_or_among_the_fields(said):
    reply = answer(said, requests=[ESCALATE])
    assert (reply.writes, reply.request) == ({"ticket.category": "a"}, ESCALATE)


def test_a_request_may_come_alone():
    assert answer({"request": {"action": "escalate", "to": "bob"}}, requests=[ESCALATE]).request == ESCALATE


def test_a_request_that_nobody_offered_is_left_to_the_assessment():
    assert answer({"request": {"action": "escalate", "to": "eve"}}).request == il.Request("escalate", "eve")


# --- what is none ---


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the answer is empty"),
        (b" \n", "the answer is empty"),
        (b"<html>", "the answer is no JSON"),
        (b'{"category": ', "the answer is no JSON"),
        (b'{"category": "\\ud800"}', "the answer is no JSON"),
        (b'{"category": "\xff"}', "the answer is no JSON"),
        (b'{"category": NaN}', "the answer is no JSON"),
        (b"[" * 100_000, "the answer is no JSON"),
        (b'{"category": "a", "category": "b"}', "the key 'category' is given twice"),
        (b'{"writes": {"category": "a"}, "writes": {}}', "the key 'writes' is given twice"),
        (b"null", "answered nothing"),
        (b"[]", "answered a list"),
        ({"writes": []}, "Expected `object`, got `array`"),
        ({"writes": {}, "wrties": {}}, "unknown field `wrties`"),
        ({"usage": {"input_tokens": 7}, "tool": "rocket"}, "unknown field `tool`"),
        ({"writes": {"category": "a", "ticket.category": "b"}}, "given twice"),
        (
            {"writes": {"category": "a", "owner": "eve"}},
            "owner was not asked for; write ticket.category, ticket.priority",
        ),
        ({"category": "a", "owner": "eve"}, "owner was not asked for"),
        ({"writes": {"category": "a"}, "deletes": ["category"]}, "category is written and deleted; do one of them"),
        ({"writes": {"category": "a"}, "deletes": ["ticket.category"]}, "ticket.category is given twice"),
        ({"deletes": ["owner"]}, "owner was not asked for"),
        ({"writes": {}, "confidence": "high"}, "Expected `float"),
        ({"writes": {}, "usage": {"input_tokens": "many"}}, "Expected `int`"),
        ({"error": {"message": "m", "kind": "odd"}}, "error.kind is 'odd', not one of error, crash,"),
        ({"error": "m"}, "Expected `object"),
    ],
)
def test_what_is_no_reply_is_refused_with_the_reason(said, why):
    assert why in refused(said).message


def test_what_was_said_is_kept_and_charged():
    error = refused({"writes": 7, "usage": {"input_tokens": 5, "output_tokens": 2}})
    assert (error.said, error.usage) == (
        '{"writes": 7, "usage": {"input_tokens": 5, "output_tokens": 2}}',
        il.Usage(5, 2),
    )
    assert len(refused(b"\xff" * 1_000_000).said) == 10_000


# --- failures ---


def test_a_refusal_is_final_and_charged():
    with pytest.raises(AgentRefused) as error:
        answer({"refused": "the account is closed", "usage": {"input_tokens": 5}})
    assert (error.value.message, error.value.usage) == ("the account is closed", il.Usage(5))


@pytest.mark.parametrize(
    ("failure", "kind", "after"),
    [
        ({"message": "later", "kind": "rate_limited", "retry_after": 7}, RateLimited, 7),
        ({"message": "busy", "kind": "overloaded"}, Overloaded, None),
        ({"message": "odd"}, AgentError, None),
    ],
)
def test_an_error_says_of_which_kind_it_is(failure, kind, after):
    with pytest.raises(AgentError) as error:
        answer({"error": failure, "usage": {"input_tokens": 5}})
    told = error.value
    assert (type(told), told.message, told.retry_after, told.usage) == (kind, failure["message"], after, il.Usage(5))


def test_no_failure_tells_a_secret(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", "sk-planted-5f1d0c7e9b3a4286")
    for said in (
        {"refused": "no sk-planted-5f1d0c7e9b3a4286"},
        {"error": {"message": "no sk-planted-5f1d0c7e9b3a4286"}},
    ):
        with pytest.raises(AgentError, match=r"no \[DESK_API_KEY\]"):
            answer(said)


def test_a_kind_of_failure_that_was_made_up_is_told_without_secrets(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", "sk-planted-5f1d0c7e9b3a4286")
    for before in range(40, 80):
        message = refused({"error": {"message": "no", "kind": "x" * before + "sk-planted-5f1d0c7e9b3a4286"}}).message
        assert "sk-plant" not in message
