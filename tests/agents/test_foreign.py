"""What every adapter of a framework shares."""

import asyncio

import pytest

import interlock as il
from interlock.agents.foreign import ForeignAdapter, Meter, Translation
from interlock.core.assess import MODEL_CHARS_MAX
from interlock.errors import AgentError, RateLimited, ReplyRefused, TeamError
from tests import virtual

from .scenes import job


class Echo:
    """A framework whose answers are given. A callable is called with the meter."""

    def __init__(self, answer):
        self.given, self.closed = answer, 0

    async def answer(self, of, meter):
        meter.add("model", 3, 4)
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given

    async def close(self):
        self.closed += 1


def call(answer, **given):
    began = []
    adapter = ForeignAdapter(Echo(answer), {"input": 1, "output": 1})
    reply = virtual.run(adapter.call(job(writes=("out",), **given), lambda **_: began.append(1)))
    assert began == [1]
    return reply


USAGE = il.Usage(3, 4, pytest.approx(7e-6), requests=1, model="model")


def test_an_answer_becomes_a_reply_with_its_usage():
    reply = call({"out": 1})
    assert (reply.writes, reply.usage) == ({"out": 1}, USAGE)


def test_a_model_whose_name_is_cut_is_told_without_secrets(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-1234567890")
    meter = Meter()
    meter.add("x" * (MODEL_CHARS_MAX - 13) + "tok-1234567890", 1, 1)
    assert "tok-1234" not in meter.usage.model
    assert len(meter.usage.model) <= MODEL_CHARS_MAX


def test_it_is_a_function_of_the_job_as_well():
    assert virtual.run(ForeignAdapter(Echo({"out": 1}))(job(writes=("out",)))).writes == {"out": 1}


def test_one_that_never_waits_needs_no_event_loop():
    reply = ForeignAdapter(Echo({"out": 1}), {"input": 1, "output": 1}).at_once(job(writes=("out",)))
    assert (reply.writes, reply.usage) == ({"out": 1}, USAGE)


def test_one_that_waits_is_not_called_without_an_event_loop():
    class Waits(Echo):
        async def answer(self, of, meter):
            await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="Waits waits"):
        ForeignAdapter(Waits({"out": 1})).at_once(job(writes=("out",)))


def test_a_failure_is_classified_and_charged():
    error = ValueError("slow down")
    error.status_code = 429
    with pytest.raises(RateLimited, match="slow down") as raised:
        call(error)
    assert raised.value.usage == USAGE
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_an_answer_that_is_no_reply_is_charged():
    for answer in ("[]", ReplyRefused("the model refused", said="I can't")):
        adapter = ForeignAdapter(Echo(answer), {"input": 1, "output": 1})
        with pytest.raises(ReplyRefused) as raised:
            virtual.run(adapter(job(writes=("out", "more"))))
        assert raised.value.usage == USAGE


def test_a_cancellation_stays_one_and_says_what_was_consumed():
    with pytest.raises(asyncio.CancelledError) as raised:
        call(asyncio.CancelledError())
    assert raised.type is asyncio.CancelledError
    assert raised.value.__cause__.usage == USAGE


def test_an_adapter_may_be_an_agents_use():
    echo = Echo({"answer": 42})
    scope = il.Scope(allowed_actions=["act"], write_permissions=["answer"])
    agent = il.Agent("ann", use=ForeignAdapter(echo), scope=scope)
    run = il.run(il.Team([agent], il.Plan([il.Step("s", agent="ann", action="act")])), {})
    assert (run.status, run.context["answer"], run.cost.tokens) == ("succeeded", 42, 7)
    assert echo.closed == 1


def test_what_fails_without_a_word_fails_the_attempt():
    with pytest.raises(AgentError, match="ZeroDivisionError"):
        call(ZeroDivisionError())


def test_a_translation_is_made_of_functions():
    found = {"desk:ask": str, "desk:read": 7}.__getitem__
    assert Translation.of({"instructions": "sort", "input": "desk:ask"}, found) == Translation("sort", str)
    with pytest.raises(TeamError, match="output names a int, not a function") as refused:
        Translation.of({"input": "desk:ask", "output": "desk:read"}, found)
    assert refused.value.place == ("output",)
