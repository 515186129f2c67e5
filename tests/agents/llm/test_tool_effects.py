"""Tools that change something out there: in a run, what is done is not done twice."""

import asyncio

import pytest

import interlock as il
from interlock.agents.llm import LlmAdapter, LlmAgent
from interlock.agents.llm.answer import Answers
from interlock.agents.llm.model import Said, Tokens
from interlock.agents.llm.toolcalls import ToolCalls
from interlock.core import events as e
from interlock.errors import AgentError
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual
from tests.engine.stage import end, engine

from .test_toolcalls import Box, Scripted, calls, tool

ANSWER = Said('{"category": "cards"}', tokens=Tokens(10, 1, 0), model="made-up")
NONSENSE = Said('{"elsewhere": 1}', tokens=Tokens(10, 1, 0), model="made-up")
REFUND = '{"ticket": "4711", "usd": 5}'


def team(on_unknown="ask", rule=None, **given):
    tools = {"refund": {"use": "shop:refund", "effect": True, "on_unknown": on_unknown, **(rule or {})}}
    tools |= {"look up": {"use": "shop:look"}}
    scope = il.Scope(["sort", "refund", "look up"], ["ticket"], ["ticket.category"])
    llm = {"model": "openai:m", "tools": tools}
    ann = il.Agent("ann", scope=scope, llm=llm, **{"backoff": "10ms", "timeout": "5s", **given})
    return il.Team([ann], il.Plan([il.Step("s", "ann", "sort")]))


class Shop:
    """Refunds, and notes that; `said` are its results, one after another."""

    def __init__(self, *said, seconds=0.0):
        self.said, self.done, self.seconds = list(said), [], seconds

    async def __call__(self, arguments):
        self.done.append(arguments)
        await asyncio.sleep(self.seconds)
        said = self.said.pop(0) if self.said else {"receipt": len(self.done)}
        if isinstance(said, Exception):
            raise said
        return said


def offered(shop):
    return tool(shop, name="refund", effect=True), tool(shop, name="look up")


def adapter(model, shop):
    return LlmAdapter(LlmAgent(model, Answers(), toolbox=Box(*offered(shop))))


def run(model, shop, of=None, **given):
    async def main():
        async with engine(of or team(), adapters={"ann": adapter(model, shop)}, **given) as work:
            ended = await work.run({"ticket": {"text": "?"}}, run_id="r")
            return ended, await work.journal.load("r")

    return virtual.run(main())


def told(model):
    """What the model was told of its calls, in its last request."""
    return [text for exchange in model.requests[-1].exchanges for _, text in exchange.results]


def test_an_attempt_that_is_repeated_is_told_what_was_done():
    model, shop = Scripted(calls(REFUND, name="refund"), NONSENSE, calls(REFUND, name="refund"), ANSWER), Shop()
    ended, events = run(model, shop)

    assert (ended.status, len(shop.done)) == ("succeeded", 1)
    assert told(model) == ['{"receipt":1}']
    started = [event for event in events if isinstance(event, e.EffectStarted)]
    assert [(event.effect, event.key.split()[0], event.key[-2:]) for event in started] == [
        ("ann.refund", "refund", "#1")
    ]


def test_the_order_of_the_arguments_does_not_matter():
    again = '{"usd": 5, "ticket": "4711"}'
    model, shop = Scripted(calls(REFUND, name="refund"), NONSENSE, calls(again, name="refund"), ANSWER), Shop()
    run(model, shop)

    assert len(shop.done) == 1


def test_a_model_that_asks_twice_gets_two_and_the_same_two_again():
    twice = calls(REFUND, REFUND, name="refund")
    model, shop = Scripted(twice, NONSENSE, twice, ANSWER), Shop()
    run(model, shop)

    assert len(shop.done) == 2
    assert told(model) == ['{"receipt":1}', '{"receipt":2}']


def test_a_tool_without_an_effect_is_called_each_time():
    look = calls('{"ticket": "4711"}', name="look_up")
    model, shop = Scripted(look, NONSENSE, look, ANSWER), Shop()
    _, events = run(model, shop)

    assert len(shop.done) == 2
    assert not any(isinstance(event, e.EffectRequested) for event in events)


def test_that_nothing_was_done_is_told_to_the_model_which_may_go_on():
    model, shop = Scripted(calls(REFUND, name="refund"), ANSWER), Shop(il.NotPerformed("declined", again=False))
    ended, _ = run(model, shop)

    assert ended.status == "succeeded"
    assert "was not performed: declined" in told(model)[0]


def test_after_any_other_error_a_person_is_asked_and_the_model_gets_no_second_try():
    model = Scripted(calls(REFUND, name="refund"), calls(REFUND, name="refund"), ANSWER)
    shop = Shop(AgentError("refund took longer than 10 s and was stopped"))
    ended, _ = run(model, shop)

    assert (ended.status, len(shop.done)) == ("parked", 1)
    assert ended.reason.startswith("s needs a person: nobody knows whether its effect ann.refund (refund ")
    assert all("nobody knows" in text for text in told(model))


@pytest.mark.parametrize(("on_unknown", "times", "status"), [("ask", 1, "parked"), ("retry", 2, "succeeded")])
def test_after_a_crash_in_between_its_rule_says_what_happens(on_unknown, times, status):
    async def main():
        store, shop, of = MemoryStore(), Shop(seconds=1.0), team(on_unknown)
        model = Scripted(calls(REFUND, name="refund"), ANSWER)
        async with engine(of, adapters={"ann": adapter(model, shop)}, journal=MemoryJournal(store)) as work:
            doing = asyncio.ensure_future(work.run({"ticket": {"text": "?"}}, run_id="r"))
            await virtual.until(lambda: shop.done)
        await end(doing)
        model = Scripted(calls(REFUND, name="refund"), ANSWER)
        async with engine(of, adapters={"ann": adapter(model, shop)}, journal=MemoryJournal(store)) as work:
            ended = await work.resume_run("r")
        assert (len(shop.done), ended.status) == (times, status)

    virtual.run(main())


def test_a_tool_that_is_no_effect_has_no_rule_for_unknown_ones():
    with pytest.raises(il.InterlockError, match="on_unknown says nothing without effect"):
        il.Agent("ann", llm={"model": "openai:m", "tools": {"a": {"use": "a:b", "on_unknown": "ask"}}})


# --- a person's approval ---


def test_a_tool_that_needs_approval_is_called_when_the_model_asks_for_the_same_after_it():
    async def main():
        store, shop, of = MemoryStore(), Shop(), team(rule={"approve": True}, retries=0)
        model = Scripted(calls(REFUND, name="refund"))
        async with engine(of, adapters={"ann": adapter(model, shop)}, journal=MemoryJournal(store)) as work:
            parked = await work.run({"ticket": {"text": "?"}}, run_id="r")
        assert (parked.status, shop.done) == ("parked", [])
        assert parked.reason.startswith("s needs a person: May the effect ann.refund (refund ")
        model = Scripted(calls(REFUND, name="refund"), ANSWER)
        async with engine(of, adapters={"ann": adapter(model, shop)}, journal=MemoryJournal(store)) as work:
            ended = await work.decide("r", "s", "approve", by="eve")
        assert (ended.status, len(shop.done)) == ("succeeded", 1)
        assert 'ask for it again with the same payload, {"ticket":"4711","usd":5}' in model.requests[0].instructions

    virtual.run(main())


def test_a_model_that_asks_for_something_else_after_the_approval_needs_another():
    async def main():
        shop, of = Shop(), team(rule={"approve": True}, retries=0)
        model = Scripted(calls(REFUND, name="refund"), calls('{"usd": 500}', name="refund"))
        async with engine(of, adapters={"ann": adapter(model, shop)}) as work:
            await work.run({"ticket": {"text": "?"}}, run_id="r")
            ended = await work.decide("r", "s", "approve", by="eve")
        assert (ended.status, shop.done) == ("parked", [])

    virtual.run(main())


def test_outside_of_a_run_nobody_can_approve_it():
    shop = Shop()
    box = ToolCalls([tool(shop, name="refund", effect=True, approve=True)])
    [(_, text)] = asyncio.run(box.answered(calls(REFUND, name="refund").calls))

    assert text == "error: refund needs a person's approval, which only a run can wait for"
    assert shop.done == []


def test_a_tool_that_is_no_effect_needs_no_approval():
    with pytest.raises(il.InterlockError, match="approve says nothing without effect"):
        il.Agent("ann", llm={"model": "openai:m", "tools": {"a": {"use": "a:b", "approve": True}}})
