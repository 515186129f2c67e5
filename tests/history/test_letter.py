"""A dead letter, told from the events of its run."""

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.errors import InputError
from interlock.history import handed, letter, to_redrive_elsewhere
from tests.engine.stage import step, team

from .runs import ran


async def wrong(job):
    if job.step == "b":
        usage = il.Usage(input_tokens=10, output_tokens=5, usd=0.25)
        return il.Reply(writes={"": job.attempt}, usage=usage)
    return {f"out.{job.step}": "done"}


def test_a_letter_has_its_view_every_reply_and_what_they_cost():
    told = ran(team(step("a"), step("b", "a", instructions="Do it."), retries=1), wrong, {"q": 1})
    found = letter(told, "b")
    assert isinstance(told.events[found.seq], e.StepBuried)
    assert (found.agent, found.action, found.instructions) == ("ann", "act", "Do it.")
    assert [attempt.reply for attempt in found.attempts] == ['{"":1}', '{"":2}']
    assert (found.cost.usd, found.cost.tokens, found.cost.calls) == (0.5, 30, 2)
    document = msgspec.json.decode(msgspec.json.encode(found.to_dict()))
    assert document["view"] == {"q": 1, "out": {"a": "done"}}
    assert document["verified"]
    assert document["job"]["feedback"] == ["'' is not a dotted path"]
    assert document["view_hash"] == document["attempts"][1]["view"]


def test_an_unknown_price_is_unknown():
    async def unpriced(_):
        return il.Reply(writes={"": 1}, usage=il.Usage(input_tokens=1))

    assert letter(ran(team(step("a")), unpriced), "a").cost.usd is None


def test_one_that_was_never_called_has_no_view():
    found = letter(ran(team(step("a", for_each="nothing", writes=["out.{step}"]))), "a")
    assert (found.call, found.attempts, found.to_dict()["view"]) == (None, [], None)


async def judged_badly(job):
    return {"score": 0.1} if job.draft else {"out.a": "done"}


def test_of_a_judged_step_the_view_is_its_own_agents_and_not_the_judges():
    eve = il.Agent("eve", scope=il.Scope(["judge"], ["p"], []), retries=0)
    told = ran(team(step("a"), agents=[eve], guardrails=[{"judge": {"agent": "eve"}}]), judged_badly, {"p": 1, "q": 2})
    found = letter(told, "a")
    assert [(attempt.agent, attempt.judges) for attempt in found.attempts] == [("ann", False), ("eve", True)]
    assert (found.call.job.agent, found.call.attempt.attempt, found.call.view) == ("ann", 1, {"p": 1, "q": 2})
    assert handed(told, "a", 2).job.agent == "eve"


def test_an_item_has_its_item():
    told = ran(team(step("b", for_each="list", writes=["out.{step}"])), fails_second, {"list": ["x", "y"]})
    assert letter(told, "b-1").to_dict()["job"] | {"feedback": []} == {
        "action": "act",
        "instructions": "",
        "item": "y",
        "index": 1,
        "feedback": [],
    }


async def fails_second(job):
    return {"": 1} if job.index else {}


def test_effects_that_failed_are_told():
    effects = {"mail": {"use": mail, "retries": 1, "on_unknown": "fail"}}
    scope = il.Scope(["act", "mail"], ["*"], ["*"])
    agent = il.Agent("ann", scope=scope, retries=0)
    of = il.Team([agent], il.Plan([step("a"), step("b", "a")]), effects=effects)
    found = letter(ran(of, posts, performers={"mail": Broken()}), "b")
    [effect] = found.to_dict()["effects"]
    assert (effect["step"], effect["key"], effect["state"], effect["payload"]) == ("b", "k", "failed", {"to": "eve"})
    assert "no stamps" in effect["reason"]


def mail(_):
    """Never called: `Broken` is."""


class Broken:
    slots = None

    async def perform(self, payload, idempotency_key, began):
        began()
        raise il.NotPerformed("no stamps")

    async def close(self):
        pass


async def posts(job):
    return il.Reply(effects=[il.Effect("mail", {"to": "eve"}, key="k")] if job.step == "b" else [])


def test_what_was_never_given_up_is_none():
    told = ran(team(step("a"), step("b", "a")), wrong)
    with pytest.raises(InputError) as refused:
        letter(told, "a")
    assert str(refused.value) == "step a of run r was never given up; its dead letters: b"


def test_what_is_needed_elsewhere():
    told = ran(team(step("a"), step("b", "a")), wrong, {"q": 1})
    document = msgspec.json.decode(msgspec.json.encode(to_redrive_elsewhere(told, b'{"agents":{}}')))
    assert document["request"] == {"q": 1}
    assert document["team"] == {"agents": {}}
    assert [(commit["step"], commit["writes"]) for commit in document["committed"]] == [("a", {"out.a": "done"})]


def test_what_people_and_deadlines_have_written_is_needed_as_well():
    told = ran(team(step("a"), step("b", "a")), wrong, {"q": 1})
    by_hand = {"out.a": msgspec.Raw(b"1")}
    more = [
        e.QuestionAnswered(1, "a", 1, "person:eve", "write", writes=by_hand),
        e.QuestionAnswered(1, "a", 1, "person:eve", "retry"),
        e.QuestionExpired(1, "a", 1, "default", by_hand),
        e.QuestionExpired(1, "a", 1, "dead"),
        e.StepShared(1, "a", 1, "ann", by_hand),
    ]
    kept = to_redrive_elsewhere(msgspec.structs.replace(told, events=[told.events[0], *more]), b"{}")["committed"]
    assert [msgspec.json.decode(bytes(event))["t"] for event in kept] == [
        "question_answered",
        "question_expired",
        "step_shared",
    ]
