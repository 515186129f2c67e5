"""The two team files of the support desk, and what its agents make of feedback."""

import asyncio
import re
import shutil
import sys

import pytest

import interlock as il

from .reading import Example

EXAMPLE = Example("support_desk")


def test_the_demo_is_the_team_with_faults_and_one_shorter_timeout():
    expected = EXAMPLE.table("team")
    for name, agent in expected["agents"].items():
        assert agent["use"] == f"desk:{name}"
        agent["use"] = f"faults:{name}"
    expected["agents"]["triage"]["timeout"] = "1s"

    assert EXAMPLE.table("demo") == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_model_on_this_machine_does_the_triage_by_the_line_of_the_readme(tmp_path):
    [line] = re.findall(r"^    llm: .*local:smollm2.*$", (EXAMPLE.folder / "README.md").read_text(), re.MULTILINE)
    folder = shutil.copytree(EXAMPLE.folder, tmp_path / "desk")
    file = folder / "team.yaml"
    rules = file.read_text()
    assert rules.count("    use: desk:triage\n") == 1
    given_time = f"{line}\n    timeout: 100s\n"  # the machine may be busy
    file.write_text(rules.replace("    use: desk:triage\n", given_time))

    async def main():
        async with il.Orchestrator(il.Team.load(file), ":memory:") as orchestrator:
            run = await orchestrator.run({"ticket": {"metadata": {"message": "Where is my card?"}}})
            return run, await orchestrator.journal.load(run.run_id)

    run, events = asyncio.run(main())
    asked = [event for event in events if getattr(event, "usage", None) and event.usage.model == "smollm2"]
    assert asked, f"{run.status}: the model was never heard"


# --- feedback says what was wrong with the last reply, and is for nobody but the agent ---

FEEDBACK = "ticket.response: expected a string"


@pytest.fixture
def desk(monkeypatch):
    monkeypatch.setitem(sys.modules, "intents", EXAMPLE.module("intents"))  # as `desk` imports it
    return EXAMPLE.module("desk")


def ask(agent, category, answer=""):
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
        answer=answer,
    )
    return asyncio.run(agent(job))


def test_a_customer_never_reads_feedback(desk):
    letter = ask(desk.resolution, "card_arrival").writes["ticket.response"]
    assert letter == f"Dear customer, you wrote: “Hello?”\n\n{desk.ANSWERS['card_arrival']}"


def test_what_has_no_answer_is_asked_again_after_feedback(desk):
    reply = ask(desk.resolution, "no_such_category")
    assert reply.writes == {}
    assert reply.ask.text == "There is no answer for no_such_category. What shall we tell the customer?"


def test_escalation_asks_again_after_feedback(desk):
    reply = ask(desk.escalation, "unrecognised")
    assert reply.writes == {}
    assert reply.ask.text.startswith("What does this customer want?")
    assert FEEDBACK not in reply.ask.text


# --- a person's answer is not feedback ---


def test_what_a_person_says_reaches_the_customer_or_is_kept(desk):
    letter = ask(desk.resolution, "no_such_category", answer="We will call you.").writes["ticket.response"]
    assert letter == "Dear customer, you wrote: “Hello?”\n\nWe will call you."
    assert ask(desk.escalation, "unrecognised", answer="Fraud.").writes == {"ticket.decision": "Fraud."}


def test_a_ticket_that_was_parked_is_answered_and_goes_on():
    async def main():
        async with il.Orchestrator(il.Team.load(EXAMPLE.folder / "team.yaml"), ":memory:") as orchestrator:
            run = await orchestrator.run({"ticket": {"metadata": {"message": "🤷"}}})
            assert run.status == "parked"
            return await orchestrator.decide(run.run_id, "escalate", "answer", text="Call her.", by="eve")

    run = asyncio.run(main())
    assert (run.status, run.context["ticket.decision"]) == ("succeeded", "Call her.")
