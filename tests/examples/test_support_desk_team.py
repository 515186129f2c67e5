"""The two team files of the support desk, and what its agents make of feedback."""

import asyncio
import sys

import pytest

import interlock as il

from .reading import Example

EXAMPLE = Example("support_desk")


def test_the_demo_is_the_team_with_faults_and_one_shorter_timeout():
    expected = EXAMPLE.table("team")
    for name, agent in expected["agents"].items():
        assert agent["use"] == f"agents:{name}"
        agent["use"] = f"faults:{name}"
    expected["agents"]["triage"]["timeout"] = "1s"

    assert EXAMPLE.table("demo") == expected


# --- feedback says what was wrong with the last reply, and is for nobody but the agent ---

FEEDBACK = "ticket.response: expected a string"


@pytest.fixture
def agents(monkeypatch):
    monkeypatch.setitem(sys.modules, "intents", EXAMPLE.module("intents"))  # as `agents` imports it
    return EXAMPLE.module("agents")


def ask(agent, category):
    view = {"ticket.metadata.message": "Hello?", "ticket.category": category, "ticket.priority": "low"}
    job = il.Job(
        view=view,
        run_id="r",
        step="s",
        agent="a",
        action="act",
        attempt=2,
        idempotency_key="r/s/2",
        feedback=(FEEDBACK,),
    )
    return asyncio.run(agent(job))


def test_a_customer_never_reads_feedback(agents):
    letter = ask(agents.resolution, "card_arrival").writes["ticket.response"]
    assert letter == f"Dear customer, you wrote: “Hello?”\n\n{agents.ANSWERS['card_arrival']}"


def test_what_has_no_answer_is_asked_again_after_feedback(agents):
    reply = ask(agents.resolution, "no_such_category")
    assert reply.writes == {}
    assert reply.ask.text == "There is no answer for no_such_category. What shall we tell the customer?"


def test_escalation_asks_again_after_feedback(agents):
    reply = ask(agents.escalation, "unrecognised")
    assert reply.writes == {}
    assert reply.ask.text.startswith("What does this customer want?")
    assert FEEDBACK not in reply.ask.text
