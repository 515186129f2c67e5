"""What an LLM agent answers becomes writes, or is refused with all that is wrong."""

import json
import textwrap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import interlock as il
from interlock.agents.llm import answer
from interlock.agents.llm.answer import Answers, place_of
from interlock.agents.tools import Workshop
from interlock.errors import ReplyRefused, TeamError
from interlock.team.output import schema_of
from interlock.wiring import adapters
from tests.agents.scenes import job

NAMES = ["category", "priority", "ticket.category", "ticket", "notes.x"]
WRITES = ("ticket.category", "ticket.priority", "notes.*")


def answers(output, writes=WRITES):
    return Answers(schema_of(output), writes)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("category", "ticket.category"),
        ("ticket.category", "ticket.category"),
        ("ticket.category.main", "ticket.category.main"),
        ("notes.first", "notes.first"),
        ("first", "notes.first"),
    ],
)
def test_a_field_has_its_path(name, path):
    assert place_of(name, WRITES) == path


def test_with_the_right_to_write_all_a_field_is_its_own_path():
    assert place_of("summary", ["*"]) == "summary"


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        (["ticket.id"], "name is none of the fields that the agent may write; add it to write_permissions"),
        (["a.name", "b.name"], "name may be a.name or b.name; call it by its whole path"),
        (["a.*", "b.*"], "name may be a.name or b.name"),
    ],
)
def test_a_field_without_a_path_is_named(writes, message):
    with pytest.raises(TeamError) as raised:
        place_of("name", writes)
    assert str(raised.value).startswith(message)


def test_the_answer_is_what_was_declared():
    asked = answers({"category": ["a", "b"], "first?": "text"})
    reply = asked.reply('{"category": "b", "first": "x"}', job(writes=WRITES))
    assert reply.writes == {"ticket.category": "b", "notes.first": "x"}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('{"category": "c"}', "ticket.priority is missing; the schema requires it; ticket.category: Inv"),
        ('{"category": "a", "priority": "1"}', "ticket.priority: Expected `int`, got `str`"),
        ('{"category": "a", "priority": 9}', "ticket.priority: Expected `int` <= 5"),
        ('{"category": "a", "priority": 1, "owner": "x"}', "'owner' is none of the fields: category, priority"),
        ('{"category": "a", "priority": 1, "ticket.category": "b"}', "ticket.category is given twice"),
        ("billing", "the answer is no JSON object"),
        ("  ", "the answer is empty"),
    ],
)
def test_what_is_wrong_is_said_and_kept(text, sentences):
    with pytest.raises(ReplyRefused) as raised:
        answers({"category": ["a", "b"], "priority": "int 1..5"}).reply(text, job(writes=WRITES))
    assert raised.value.message.startswith(sentences)
    assert raised.value.said == text


def test_a_field_that_was_made_up_is_told_without_secrets(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-1234567890")
    stray = "x" * (answer.KEY_CHARS_MAX - 13) + "tok-1234567890"
    with pytest.raises(ReplyRefused, match="is none of the fields") as raised:
        answers({"category": "text"}).reply(json.dumps({"category": "a", stray: "b"}), job(writes=WRITES))
    assert "tok-1234" not in raised.value.message


def test_a_step_that_may_write_less_gets_less():
    reply = answers({"category": "text", "priority": "int"}).reply(
        '{"category": "a", "priority": 1}', job(writes=["ticket.priority"])
    )
    assert reply.writes == {"ticket.priority": 1}


def test_without_a_declaration_the_job_says_what_is_asked_for():
    given = job(writes=["ticket.category"])
    assert Answers().form(given).fields == {"category": "ticket.category"}
    assert Answers().reply("billing", given).writes == {"ticket.category": "billing"}
    with pytest.raises(ReplyRefused, match="'owner' is none of the fields: category"):
        Answers().reply('{"category": "billing", "owner": "x"}', given)


@pytest.mark.parametrize("asked", [answers({"category": "text"}), Answers()])
def test_a_request_is_asked_for_and_read_where_one_may_be_made(asked):
    given = job(writes=["ticket.category"], requests=(il.Request("escalate", "bob"),))
    assert asked.form(given).schema["properties"]["request"]["enum"] == ["escalate"]
    reply = asked.reply('{"category": "a", "request": "escalate"}', given, held=True)
    assert (reply.writes, reply.request) == ({"ticket.category": "a"}, il.Request("escalate", "bob"))
    assert asked.reply('{"category": "a"}', given).request is None
    with pytest.raises(ReplyRefused, match="request is 'refund', not one of: escalate"):
        asked.reply('{"category": "a", "request": "refund"}', given)
    with pytest.raises(ReplyRefused, match="request"):
        asked.reply('{"category": "a", "request": "escalate"}', job(writes=["ticket.category"]))


@pytest.mark.parametrize("text", ["billing", '"billing"', '[{"category": "billing"}]', "null", '{"category": NaN}'])
@pytest.mark.parametrize("asked", [answers({"category": "text"}), answers({"category": "any"}), Answers()])
def test_who_was_given_a_schema_answers_with_its_object_and_nothing_else(asked, text):
    with pytest.raises(ReplyRefused, match="the answer is no JSON object; answer with one that has category") as raised:
        asked.reply(text, job(writes=["ticket.category"]), held=True)
    assert raised.value.said == text


def test_a_declared_output_is_never_a_text_without_its_object():
    with pytest.raises(ReplyRefused, match="no JSON object"):
        answers({"category": "text"}).reply("billing", job(writes=["ticket.category"]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@example('{"category": "a", "\\"": 1}')
@example('{"category": "a", "priority": true}')
@example('{"category": "a", "category": "b"}')
@example('{"category": "a\\ud800"}')
@example("[" * 100_000)
@example('{"a":' * 100_000)
@given(st.text() | JSON.map(json.dumps) | JSON.map(lambda value: f"```json\n{json.dumps(value)}\n```"))
def test_whatever_a_model_says_it_writes_what_it_was_asked_for_or_nothing(text):
    asked = answers({"category": ["a", "b"], "priority?": "int 1..5"})
    try:
        writes = asked.reply(text, job(writes=WRITES)).writes
    except ReplyRefused:
        return
    assert writes["ticket.category"] in {"a", "b"}
    assert writes.get("ticket.priority", 1) in range(1, 6)
    assert writes.keys() <= {"ticket.category", "ticket.priority"}


def test_a_key_that_is_no_path_is_refused_where_any_path_may_be_written():
    with pytest.raises(ReplyRefused, match="has an unclosed quote"):
        Answers().reply('{"\\"": 1}', job(writes=["*"]))


# --- a pydantic model ---

SOURCE = """
    from collections.abc import Callable
    from enum import StrEnum
    from typing import Self
    from pydantic import BaseModel, Field, model_validator

    class Category(StrEnum):
        BILLING = "billing"
        CARDS = "cards"

    class Ticket(BaseModel):
        category: Category
        priority: int = Field(default=3, ge=1, le=5)

        @model_validator(mode="after")
        def cards_are_urgent(self):
            if self.category == "cards" and self.priority > 2:
                raise ValueError("a lost card has priority 1 or 2")
            return self

    class Nothing(BaseModel):
        pass

    class Caller(BaseModel):
        category: Callable[[int], int]

    class Unfinished(BaseModel):
        category: "NotThere"

    class Nested(BaseModel):
        category: str
        priority: list[Self] = []

    class Odd(BaseModel):
        name: str = Field(alias="a..b")

    class Plain:
        pass
"""
TEAM = """
    agents:
      triage:
        allowed_actions: [sort]
        write_permissions: [ticket.category, ticket.priority]
        llm:
          model: openai:gpt-5-mini
          output: {output}
"""


@pytest.fixture
def agent(tmp_path):
    """The agent of a team file with this output."""

    def made(output):
        (tmp_path / "answer_models.py").write_text(textwrap.dedent(SOURCE))
        (tmp_path / "team.yaml").write_text(textwrap.dedent(TEAM).format(output=output))
        team = il.Team.load(tmp_path)
        return adapters(team, Workshop.of(team))["triage"]._agent

    return made


def test_a_pydantic_model_checks_and_completes(agent):
    asked = agent("answer_models:Ticket").answers
    given = job(writes=("ticket.category", "ticket.priority"))
    assert asked.form(given).schema["properties"].keys() == {"category", "priority"}
    assert asked.reply('{"category": "billing"}', given).writes == {"ticket.category": "billing", "ticket.priority": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"category": "cards"}', "the answer: Value error, a lost card has priority 1 or 2"),
        ('{"category": "x", "priority": 9}', "category: Input should be 'billing' or 'cards'; priority: "),
        ('{"category": "cards", "owner": "x"}', "'owner' is none of the fields: category, priority"),
    ],
)
def test_what_a_pydantic_model_refuses_is_said(agent, text, message):
    with pytest.raises(ReplyRefused) as raised:
        agent("answer_models:Ticket").answers.reply(text, job(writes=("ticket.category", "ticket.priority")))
    assert raised.value.message.startswith(message)


def test_a_pydantic_model_may_contain_itself(agent):
    asked = agent("answer_models:Nested").answers
    given = job(writes=("ticket.category", "ticket.priority"))
    assert asked.form(given).schema["properties"].keys() == {"category", "priority"}
    leaf = {"category": "b", "priority": []}
    text = '{"category": "a", "priority": [{"category": "b"}]}'
    assert asked.reply(text, given).writes == {"ticket.category": "a", "ticket.priority": [leaf]}
    with pytest.raises(ReplyRefused, match=r"priority\.0\.category: Field required"):
        asked.reply('{"category": "a", "priority": [{}]}', given)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("answer_models:Caller", "answer_models:Caller has no JSON Schema: PydanticInvalidForJsonSchema: Cannot gen"),
        ("answer_models:Unfinished", "answer_models:Unfinished has no JSON Schema: PydanticUserError: `Unfinished` is"),
        ("answer_models:Plain", "answer_models:Plain is no pydantic model"),
        ("answer_models:Nothing", "answer_models:Nothing has no fields"),
        ("answer_models:Ticket2", "the module answer_models has no function Ticket2; did you mean Ticket?"),
        ("{owner: text}", "owner is none of the fields that the agent may write"),
        ("{category: text, ticket.category: text}", "ticket.category is written to ticket.category, and so is another"),
        ("answer_models:Odd", "'a..b' is not a dotted path"),
    ],
)
def test_an_output_that_cannot_be_is_named_with_its_line(agent, output, message):
    with pytest.raises(TeamError) as raised:
        agent(output)
    assert f"team.yaml:8: agent triage: its output: {message}" in str(raised.value)
