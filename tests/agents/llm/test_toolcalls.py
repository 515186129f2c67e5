"""Tools: only those offered are called, within bounds; what went wrong is told to the model; all is written down."""

import asyncio
import json

import msgspec
import pytest

import interlock as il
from interlock.agents import secret as secrets
from interlock.agents.llm import LlmAdapter, LlmAgent, toolcalls
from interlock.agents.llm.answer import Answers
from interlock.agents.llm.model import Said, Tokens, ToolCall
from interlock.agents.tools import Tool
from interlock.errors import AgentError, ReplyRefused
from tests.agents.model_behaviours import canned
from tests.agents.model_server import ModelServer
from tests.agents.scenes import in_loop, job

from .desk import adapter_of

JOB = job(view={"ticket": {"text": "Where is my card?"}}, writes=("ticket.category",))
ANSWER = Said('{"category": "cards"}', tokens=Tokens(10, 1, 0), model="made-up")
PARAMETERS = {"type": "object", "properties": {"ticket": {"type": "string"}}, "required": ["ticket"]}


class Scripted:
    """A model that says one thing after the other."""

    takes_schema = False

    def __init__(self, *said):
        self.said, self.requests = list(said), []

    async def ready(self):
        pass

    async def ask(self, request, hear):
        self.requests.append(request)
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]

    async def close(self):
        pass


class Box:
    """A toolbox."""

    def __init__(self, *tools):
        self.tools = list(tools)

    async def open(self, given):
        return self.tools


def tool(call, name="look up", **given):
    return Tool(name, "Looks it up.", PARAMETERS, call, given.pop("timeout", 1.0), **given)


def calls(*arguments, name="look_up"):
    asked = (ToolCall(f"call-{number}", name, text) for number, text in enumerate(arguments))
    return Said("", tuple(asked), tokens=Tokens(5, 2, 1), model="made-up")


async def reply_of(model, *tools):
    return await LlmAdapter(LlmAgent(model, Answers(), toolbox=Box(*tools)))(JOB)


async def sent(arguments):
    return {"sent": arguments["ticket"]}


@in_loop
async def test_a_tool_is_called_and_its_result_told():
    model = Scripted(calls('{"ticket": "4711"}'), ANSWER)
    reply = await reply_of(model, tool(sent, effect=True))
    assert reply.writes == {"ticket.category": "cards"}
    assert reply.output == {
        "tools": [{"tool": "look up", "arguments": '{"ticket": "4711"}', "effect": True, "failed": False}]
    }
    first, second = model.requests
    assert [offer.name for offer in first.offers] == ["look_up"]
    [[(call, text)]] = [exchange.results for exchange in second.exchanges]
    assert (call.call_id, text) == ("call-0", '{"sent":"4711"}')
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.requests) == (15, 3, 1, 2)


@in_loop
async def test_an_answer_without_tools_keeps_nothing():
    assert (await reply_of(Scripted(ANSWER), tool(sent))).output is None


@in_loop
async def test_of_several_calls_one_of_which_was_not_offered_none_is_made():
    made = []

    async def note(arguments):
        made.append(arguments)

    stranger = ToolCall("2", "launch", "{}")
    said = msgspec.structs.replace(calls('{"ticket": "1"}'), calls=(*calls('{"ticket": "1"}').calls, stranger))
    with pytest.raises(ReplyRefused, match="called 'launch', which it was not offered; its tools: look_up") as raised:
        await reply_of(Scripted(said), tool(note))
    assert made == []
    assert raised.value.usage.requests == 1


@in_loop
async def test_a_request_whose_use_is_not_told_is_counted_without_a_price():
    untold = msgspec.structs.replace(ANSWER, tokens=None)
    adapter = LlmAdapter(LlmAgent(Scripted(untold), Answers()), {"input": 1.0, "output": 1.0})
    assert (await adapter(JOB)).usage == il.Usage(0, 0, None, 0, 1, "made-up")


async def fail(arguments):
    raise AgentError("the ticket is closed")


async def break_down(arguments):
    raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("call", "arguments", "told"),
    [
        (fail, "{}", "error: the ticket is closed"),
        (break_down, "{}", "error: ZeroDivisionError: oh"),
        (sent, "not json", "error: the arguments are no JSON object of at most 100,000 characters"),
        (sent, "[1]", "error: the arguments are no JSON object of at most 100,000 characters"),
        (sent, json.dumps({"ticket": "x" * 100_000}), "error: the arguments are no JSON object"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(call, arguments, told):
    model = Scripted(calls(arguments), ANSWER)
    reply = asyncio.run(reply_of(model, tool(call)))
    assert model.requests[1].exchanges[0].results[0][1].startswith(told)
    assert [(kept["failed"], len(kept["arguments"]) <= 2_000) for kept in reply.output["tools"]] == [(True, True)]


@in_loop
async def test_results_are_bounded_and_hold_no_secrets(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-1234567890")

    async def leak(arguments):
        return "tok-1234567890" + toolcalls.RESULT_CHARS_MAX * "x"

    model = Scripted(calls('{"ticket": "tok-1234567890"}'), ANSWER)
    reply = await reply_of(model, tool(leak))
    text = model.requests[1].exchanges[0].results[0][1]
    assert text.startswith('"[SHOP_TOKEN]xxx')
    assert text.endswith("more characters are left out)")
    assert len(text) < toolcalls.RESULT_CHARS_MAX + 100
    assert "tok-1234567890" not in str(reply)


def test_a_name_that_was_made_up_is_told_without_secrets(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-1234567890")
    model = Scripted(calls("{}", name="x" * (toolcalls.NAME_CHARS_MAX - 13) + "tok-1234567890"))
    with pytest.raises(ReplyRefused, match="which it was not offered") as raised:
        asyncio.run(reply_of(model, tool(sent)))
    assert "tok-1234" not in raised.value.message


@in_loop
async def test_of_a_long_result_no_more_is_looked_at_than_is_told(monkeypatch):
    looked_at = []
    monkeypatch.setattr(secrets.VAULT, "hidden", lambda text: looked_at.append(len(text)) or text)

    async def goes_on(arguments):
        return "x" * 1_000_000

    await reply_of(Scripted(calls("{}"), ANSWER), tool(goes_on))
    assert toolcalls.RESULT_CHARS_MAX <= max(looked_at) < 2 * toolcalls.RESULT_CHARS_MAX


@pytest.mark.parametrize("said", [calls("{}"), calls(*["{}"] * (toolcalls.CALLS_MAX + 1))], ids=["rounds", "calls"])
def test_a_model_that_only_calls_tools_is_stopped(said):
    model = Scripted(said)
    with pytest.raises(ReplyRefused, match="more than 10 times, or for more than 50 calls, and didn't answer"):
        asyncio.run(reply_of(model, tool(sent)))
    assert len(model.requests) <= toolcalls.ROUNDS_MAX + 1


def test_actions_become_names_that_providers_take():
    names = ["look up", "look.up", "look_up", "x" * 80, "x" * 90, "naïve"]
    offered = toolcalls.ToolCalls([tool(sent, name=name) for name in names]).offers
    assert [offer.name for offer in offered] == [
        "look_up", "look_up_2", "look_up_3", "x" * 64, "x" * 62 + "_2", "na_ve",
    ]  # fmt: skip


@in_loop
async def test_a_call_that_is_cancelled_cancels_its_tool():
    ended = []

    async def wait(arguments):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    task = asyncio.get_running_loop().create_task(reply_of(Scripted(calls("{}")), tool(wait, timeout=60)))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})
    assert (task.cancelled(), ended) == (True, [True])


def with_a_server(call, *behaviours, listened):
    """The reply of an agent with this tool, and the requests that its model's server got."""

    async def main(server):
        adapter = adapter_of(server, "model")
        agent = msgspec.structs.replace(adapter._agent, toolbox=Box(tool(call)))
        if listened:
            il.ports.listen(lambda text: None)
        try:
            return await LlmAdapter(agent)(job(writes=("ticket.category", "ticket.priority")))
        finally:
            await adapter.close()

    with ModelServer() as server:
        server.behave("model", *behaviours)
        return asyncio.run(main(server)), server.requests


@pytest.mark.parametrize("listened", [False, True], ids=["whole", "streamed"])
def test_a_real_client_carries_calls_and_results(listened):
    reply, (first, second) = with_a_server(sent, "normal", listened=listened)
    assert reply.writes == {"ticket.category": "billing", "ticket.priority": "high"}
    assert reply.output["tools"][0]["tool"] == "look up"
    assert first.body["tools"][0]["function"]["name"] == "look_up"
    assert [message["role"] for message in second.body["messages"]] == ["system", "user", "assistant", "tool"]
    assert '"sent"' in second.body["messages"][3]["content"]
    assert reply.usage.requests == 2
    assert reply.usage.input_tokens == sum(request.usage.input_tokens for request in (first, second))


@pytest.mark.parametrize("listened", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("arguments", ["not json", "[1]", '{"ticket": "47'])
def test_a_real_client_makes_up_no_arguments(arguments, listened):
    called = []

    async def note(given):
        called.append(given)

    reply, (_, second) = with_a_server(note, canned(arguments), "normal", listened=listened)
    assert called == []
    assert "the arguments are no JSON object" in second.body["messages"][3]["content"]
    assert reply.output["tools"][0]["arguments"] == arguments
