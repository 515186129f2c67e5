"""What an agent of another framework is asked for, and what its answer means."""

import dataclasses

import msgspec
import pytest

import interlock as il
from interlock.agents.answer import PATH_CHARS_SHOWN, Form, reply_of
from interlock.errors import ReplyRefused

from .scenes import job


def asked(*writes, schema=None):
    texts = () if schema is None else (msgspec.json.encode(schema).decode(),)
    return job(writes=writes, schemas=texts)


TICKET = asked("ticket.category", "ticket.priority")


def refusal(answer, of=TICKET):
    with pytest.raises(ReplyRefused) as refused:
        reply_of(answer, of)
    return refused.value


# --- the form ---


def test_fields_are_asked_for_by_their_last_names():
    form = Form.of(TICKET)
    assert form.fields == {"category": "ticket.category", "priority": "ticket.priority"}
    assert form.schema == {
        "type": "object",
        "properties": {"category": {"type": "string"}, "priority": {"type": "string"}},
        "required": ["category", "priority"],
        "additionalProperties": False,
    }


def test_names_are_as_long_as_it_takes_to_tell_fields_apart():
    form = Form.of(asked("ticket.owner.name", "customer.name", "name"))
    assert form.fields == {"owner.name": "ticket.owner.name", "customer.name": "customer.name", "name": "name"}


def test_keys_with_dots_stay_one_segment():
    assert Form.of(asked('files."a.txt"')).fields == {'"a.txt"': 'files."a.txt"'}


def test_a_schema_says_what_the_fields_are_and_which_are_needed():
    schema = {"properties": {"ticket.category": {"enum": ["billing"]}}, "required": ["ticket.category"]}
    form = Form.of(asked("ticket", "notes", schema=schema))
    assert form.fields == {"category": "ticket.category", "notes": "notes"}
    assert form.schema["properties"] == {"category": {"enum": ["billing"]}, "notes": {"type": "string"}}
    assert form.schema["required"] == ["category"]


def test_open_writes_have_no_names_of_their_own():
    form = Form.of(asked("notes.*"))
    assert (form.fields, form.open, form.schema["additionalProperties"]) == ({}, True, True)
    assert form.request == "Answer with one JSON object and nothing else; its keys are dotted paths."


def test_the_request_shows_the_schema():
    assert '"required":["category","priority"]' in Form.of(TICKET).request


# --- the reply ---

WRITES = {"ticket.category": "billing", "ticket.priority": "high"}


class Pydantic:
    def model_dump(self, mode):
        assert mode == "json"
        return {"category": "billing", "priority": "high"}


class Struct(msgspec.Struct):
    category: str = "billing"
    priority: str = "high"


@dataclasses.dataclass
class Data:
    category: str = "billing"
    priority: str = "high"


@pytest.mark.parametrize(
    "answer",
    [
        {"category": "billing", "priority": "high"},
        WRITES,
        '{"category": "billing", "ticket.priority": "high"}',
        ' \n{"category": "billing", "priority": "high"}\n',
        '```json\n{"category": "billing", "priority": "high"}\n```',
        '```\n{"category": "billing", "priority": "high"}\n```\n',
        Pydantic(),
        Struct(),
        Data(),
        il.Reply(writes=WRITES),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_an_object_in_any_form_is_a_reply(answer):
    usage = il.Usage(1, 2)
    reply = reply_of(answer, TICKET, usage)
    assert (reply.writes, reply.usage) == (WRITES, usage)


def test_an_agent_that_counts_for_itself_is_believed():
    assert reply_of(il.Reply(usage=il.Usage(7)), TICKET, il.Usage(1)).usage == il.Usage(7)


@pytest.mark.parametrize(
    ("answer", "schema", "value"),
    [
        ("A draft, {with} braces.", None, "A draft, {with} braces."),
        ("42", None, "42"),
        ("42", {"properties": {"out": {"type": "integer"}}}, 42),
        (42, None, 42),
        ([1], None, [1]),
    ],
)
def test_one_field_is_answered_by_its_value_alone(answer, schema, value):
    assert reply_of(answer, asked("out", schema=schema)).writes == {"out": value}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "the answer is empty; answer with a JSON object with category, priority"),
        (" \n\t", "the answer is empty"),
        ('Sure! {"category": "billing"}', "the answer is no JSON object; answer with one that has category, priority"),
        ('{"category": "billing"} Hope that helps!', "the answer is no JSON object"),
        ('{"category": "billing"', "the answer is no JSON object"),
        ("[1, 2]", "the answer is no JSON object"),
        ("[" * 100_000, "the answer is no JSON object"),
        (None, "the agent answered nothing, not an object with category, priority"),
        (42, "the agent answered a int, not an object"),
        ({"category": "a", "ticket.category": "b"}, "ticket.category is given twice, once under its short name"),
    ],
)
def test_what_is_no_object_is_refused_with_what_is_wanted(answer, said):
    assert said in refusal(answer).message


class Broken:
    def model_dump(self, mode):
        raise ZeroDivisionError


@dataclasses.dataclass
class Unencodable:
    category: object = dataclasses.field(default_factory=object)


@pytest.mark.parametrize("answer", [Broken(), Unencodable()], ids=lambda answer: type(answer).__name__)
def test_an_answer_that_fails_when_it_is_looked_at_is_refused_and_charged(answer):
    with pytest.raises(ReplyRefused, match="the answer can't be read") as refused:
        reply_of(answer, TICKET, il.Usage(3, 4))
    assert refused.value.usage == il.Usage(3, 4)


def test_a_number_is_not_made_of_prose():
    schema = {"properties": {"out": {"type": "integer"}}}
    assert "no JSON object" in refusal("about 42", asked("out", schema=schema)).message


BROKEN = [
    '{"out": NaN}',
    '{"out": 1e999}',
    '{"out": "a\\ud800"}',
    '{"out": "a"} {"out": "b"}',
    '\ufeff{"out": "a"}',
    '```json\n{"out": "a"}\n```\n```json\n{"out": "b"}\n```',
    " [1, 2",
    "[" * 100_000,
]


@pytest.mark.parametrize("answer", BROKEN, ids=lambda answer: answer[:20])
def test_broken_json_is_not_the_text_that_was_asked_for(answer):
    assert "the answer is no JSON object; answer with one that has out" in refusal(answer, asked("out")).message


@pytest.mark.parametrize("inner", [{}, {"enum": ["a"]}, {"type": ["string", "null"]}])
def test_prose_is_taken_where_a_text_was_asked_for_and_nowhere_else(inner):
    assert "no JSON object" in refusal("I think so.", asked("out", schema={"properties": {"out": inner}})).message


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ('{"category": "a", "category": "b", "priority": "high"}', "category"),
        ('{"category": "a", "priority": {"now": 1, "why": [{"x": 1, "x": 2}]}}', "x"),
        ('```json\n{"category": "a", "priority": "low", "priority": "high"}\n```', "priority"),
    ],
)
def test_a_key_that_is_given_twice_is_named(answer, key):
    assert refusal(answer).message == f"the key '{key}' is given twice; give it once"


def test_fields_that_nobody_asked_for_are_refused():
    message = "mood was not asked for; write ticket.category, ticket.priority"
    assert refusal({"category": "a", "mood": "good"}).message == message
    assert "was not asked for" in refusal({"category": "a", 5: "good"}).message


def test_a_field_that_was_made_up_is_told_without_secrets(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-1234567890")
    stray = "x" * (PATH_CHARS_SHOWN - 13) + "tok-1234567890"
    assert "tok-1234" not in refusal({"category": "a", stray: "good"}).message


def test_what_lies_below_a_field_was_asked_for():
    assert reply_of({"ticket.owner": "a"}, asked("ticket", "notes.*")).writes == {"ticket.owner": "a"}


def test_where_nobody_says_what_may_be_written_the_assessment_does():
    assert reply_of({"mood": "good"}, asked()).writes == {"mood": "good"}


def test_a_refusal_keeps_what_was_said_and_what_it_cost():
    usage = il.Usage(3, 4)
    with pytest.raises(ReplyRefused) as refused:
        reply_of("Sure!" * 10_000, TICKET, usage)
    assert refused.value.usage == usage
    assert refused.value.said.startswith("Sure!Sure!")
    assert len(refused.value.said) == 10_000


# --- requests ---

REQUESTS = (il.Request("escalate", "bob"), il.Request("get_help", "eve"))


def requesting(*writes):
    return job(writes=writes or ("ticket.category", "ticket.priority"), requests=REQUESTS)


def test_an_agent_that_may_request_is_offered_it():
    form = Form.of(requesting())
    assert form.schema["properties"]["request"] == {
        "enum": ["escalate", "get_help"],
        "description": "Only where it is called for: escalate has bob go on, get_help has eve go on.",
    }
    assert form.schema["required"] == ["category", "priority"]
    assert '"request"' in form.request
    assert '"request"' in Form.of(requesting("*")).request
    assert "request" not in Form.of(TICKET).schema["properties"]


@pytest.mark.parametrize(
    ("said", "request_"),
    [
        ("escalate", REQUESTS[0]),
        ({"action": "get_help"}, REQUESTS[1]),
        ({"action": "get_help", "to": "eve"}, REQUESTS[1]),
        ({"action": "get_help", "to": "bob"}, il.Request("get_help", "bob")),
        (None, None),
        ("", None),
    ],
)
def test_a_request_is_a_field_of_the_answer(said, request_):
    reply = reply_of({"category": "a", "request": said}, requesting())
    assert (reply.writes, reply.request) == ({"ticket.category": "a"}, request_)
    assert reply_of(msgspec.json.encode({"category": "a", "request": said}).decode(), requesting()) == reply


@pytest.mark.parametrize("said", ["refund", 7, ["escalate"], {"to": "bob"}, {"action": ["escalate"]}])
def test_a_request_that_was_made_up_is_refused(said):
    refused = refusal({"category": "a", "request": said}, of=requesting())
    assert refused.message.startswith("request is ")
    assert refused.message.endswith("not one of: escalate, get_help")


def test_who_may_request_nothing_has_no_such_field():
    assert refusal({"category": "a", "request": "escalate"}).message.startswith("request was not asked for")


def test_a_field_of_that_name_is_a_field():
    given = requesting("ticket.request")
    assert Form.of(given).requests == ()
    reply = reply_of({"request": "escalate"}, given)
    assert (reply.writes, reply.request) == ({"ticket.request": "escalate"}, None)


def test_one_text_may_still_be_the_whole_answer():
    reply = reply_of("billing", requesting("ticket.category"))
    assert (reply.writes, reply.request) == ({"ticket.category": "billing"}, None)
