"""Agents and teams of AutoGen: no job sees another's, and each is charged whatever becomes of it."""

import asyncio
import logging

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, SocietyOfMindAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import HandoffMessage, TextMessage, ToolCallSummaryMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import FunctionExecutionResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient
from pydantic import BaseModel

from interlock.agents import autogen
from interlock.agents.autogen import from_autogen
from interlock.errors import AgentError, AgentRefused, Overloaded, ReplyRefused, TeamError

from .bench import Lane
from .contract import AdapterContract
from .model_server import KEY, ModelServer
from .pages import run_page
from .scenes import job

INFO = {"vision": False, "function_calling": True, "json_output": True, "structured_output": True, "family": "unknown"}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """The key comes from the environment, as it does in production; what stands there is hidden."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def client(server, model, **more):
    return OpenAIChatCompletionClient(model=model, base_url=server.url, model_info=INFO, **more)


def agent(client, name="triage", **more):
    return AssistantAgent(name, client, system_message="You sort tickets.", **more)


def team(client):
    return RoundRobinGroupChat([agent(client)], max_turns=1)


def factory(make):
    """A lane in which each job has an agent of its own, and all the same client."""

    def adapter(server, model):
        shared = client(server, model)
        return from_autogen(lambda: make(shared))

    return adapter


class TestOfAgents(AdapterContract):
    lane = Lane("autogen (agents)", factory(agent))


class TestOfTeams(AdapterContract):
    lane = Lane("autogen (teams)", factory(team))


class TestOfOneAgent(AdapterContract):
    lane = Lane("autogen (one agent)", lambda server, model: from_autogen(agent(client(server, model))))


class TestOfOneTeam(AdapterContract):
    lane = Lane("autogen (one team)", lambda server, model: from_autogen(team(client(server, model))))


# --- on its own ---

TICKET = ("ticket.category", "ticket.priority")
WRITES = {"ticket.category": "billing", "ticket.priority": "high"}


class Sorted(BaseModel):
    category: str
    priority: str


class Said(BaseChatAgent):
    """Says what it is given, in the order of it; an error is raised."""

    def __init__(self, *messages):
        super().__init__("said", "says it")
        self.messages = messages

    produced_message_types = (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        *inner, last = self.messages
        if isinstance(last, BaseException):
            raise last
        return Response(chat_message=last, inner_messages=inner)

    async def on_reset(self, cancellation_token):
        pass


def text(content):
    return TextMessage(content=content, source="said")


@pytest.fixture
def server():
    with ModelServer() as running:
        yield running


def ask(adapter, *texts, **given):
    """The replies to a ticket after the other, in one loop."""
    told = {"writes": TICKET, "view": {"ticket": {"text": "charged twice"}}} | given

    async def main():
        try:
            return [await adapter(job(**told | {"view": {"ticket": {"text": one}}})) for one in texts or [""]]
        finally:
            await adapter.close()

    return asyncio.run(main())


def reply_of(*messages, writes=("answer",)):
    [reply] = ask(from_autogen(Said(*messages)), writes=writes)
    return reply.writes


def test_whoever_uses_an_object_has_it_alone(server):
    shared = agent(client(server, "slow-0.05"))
    adapters = [from_autogen(shared), from_autogen(shared)]

    async def main():
        jobs = [job(view={"ticket": {"text": mark}}, writes=TICKET) for mark in ("first-mark", "second-mark")]
        await asyncio.gather(*(adapter(one) for adapter, one in zip(adapters, jobs, strict=True)))
        await adapters[0].close()

    asyncio.run(main())
    assert [(one.saw("first-mark"), one.saw("second-mark")) for one in server.requests] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("make", [agent, team])
def test_an_object_forgets_a_job_that_failed(server, make):
    server.behave("m", "broken", "normal")
    adapter = from_autogen(make(client(server, "m")))

    async def main():
        with pytest.raises(Overloaded):
            await adapter(job(view={"ticket": {"text": "first-mark"}}, writes=TICKET))
        reply = await adapter(job(view={"ticket": {"text": "second-mark"}}, writes=TICKET))
        await adapter.close()
        return reply

    assert asyncio.run(main()).writes == WRITES
    assert [request.saw("first-mark") for request in server.requests] == [True, False]


def test_it_works_in_one_event_loop_after_another(server):
    shared = client(server, "normal")
    for adapter in (from_autogen(agent(shared)), from_autogen(lambda: team(shared))):
        assert [ask(adapter)[0].writes for _ in range(3)] == [WRITES] * 3


def test_a_team_that_was_made_beforehand_belongs_to_one_event_loop(server):
    adapter = from_autogen(team(client(server, "normal")))
    ask(adapter)
    with pytest.raises(AgentRefused, match="name a function that makes the team"):
        ask(adapter)


def test_an_object_takes_one_job_at_a_time_and_a_factory_any_number(server):
    shared = client(server, "normal")
    assert from_autogen(agent(shared)).slots == 1
    assert from_autogen(lambda: agent(shared)).slots is None


def test_a_factory_may_be_async(server):
    async def make():
        return agent(client(server, "normal"))

    assert ask(from_autogen(make))[0].writes == WRITES


typed = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # AutoGen dumps what it was answered


@typed
def test_an_agent_with_an_output_type_is_not_told_the_form_in_words(server):
    [reply] = ask(from_autogen(agent(client(server, "normal"), output_content_type=Sorted)))
    [request] = server.requests
    assert (reply.writes, request.saw("JSON Schema:"), reply.usage.requests) == (WRITES, False, 1)


@typed
@pytest.mark.parametrize(
    ("model", "error", "is_charged"),
    [
        ("refusal", AgentRefused, True),
        ("filtered", AgentRefused, True),
        ("prose", ReplyRefused, False),  # OpenAI's client raises on it before anybody hears of it
    ],
)
def test_what_doesn_t_fit_the_output_type(server, model, error, is_charged):
    with pytest.raises(error) as raised:
        ask(from_autogen(agent(client(server, model), output_content_type=Sorted)))
    assert (raised.value.usage is not None) == is_charged


def test_all_members_of_a_team_are_charged(server):
    shared = client(server, "normal")
    pair = RoundRobinGroupChat([agent(shared, "writer"), agent(shared, "critic")], max_turns=2)
    [reply] = ask(from_autogen(pair, price={"input": 1, "output": 1}))
    counts = [request.usage for request in server.requests]
    tokens = sum(one.input_tokens for one in counts), sum(one.output_tokens for one in counts)
    assert (reply.usage.requests, reply.usage.input_tokens, reply.usage.output_tokens) == (2, *tokens)
    assert reply.usage.usd == pytest.approx(sum(tokens) / 1e6)


def test_the_error_of_a_team_is_that_of_its_member():
    with pytest.raises(AgentRefused, match="account is closed"):
        ask(from_autogen(RoundRobinGroupChat([Said(AgentRefused("account is closed"))], max_turns=1)))


def test_a_client_that_tells_no_events_is_charged_by_its_messages():
    replay = ReplayChatCompletionClient(['{"category": "billing", "priority": "high"}'])
    [reply] = ask(from_autogen(AssistantAgent("triage", replay)))
    assert reply.usage.requests == 1
    assert reply.usage.input_tokens > 0


def test_the_word_for_the_end_is_no_part_of_the_answer():
    assert reply_of(text("It is billing. TERMINATE")) == {"answer": "It is billing. "}
    assert reply_of(text("It is billing."), text("TERMINATE")) == {"answer": "It is billing."}


def test_an_output_function_has_the_whole_result():
    def output(result, of):
        return {"answer": f"{len(result.messages)} for {of.step}"}

    adapter = from_autogen(Said(text("one"), text("two")), output=output)
    assert ask(adapter, writes=("answer",))[0].writes == {"answer": "2 for s0"}


def test_an_input_function_makes_the_task(server):
    ask(from_autogen(agent(client(server, "normal")), input=lambda of: [text("a-task-of-my-own")]))
    assert server.requests[0].saw("a-task-of-my-own")
    assert not server.requests[0].saw("data-")


def test_a_handoff_to_nobody_is_refused():
    handoff = HandoffMessage(content="over to you", target="user", source="said")
    with pytest.raises(ReplyRefused, match="handed to user, who isn't there"):
        reply_of(handoff)


def test_the_error_of_a_tool_is_no_answer():
    failed = FunctionExecutionResult(content="no such order", name="look_up", call_id="1", is_error=True)
    summary = ToolCallSummaryMessage(content="no such order", source="said", tool_calls=[], results=[failed])
    with pytest.raises(ReplyRefused, match="the tool look_up failed: no such order"):
        reply_of(summary)


def test_no_message_is_no_answer():
    with pytest.raises(ReplyRefused, match="answered nothing"):
        reply_of(text("TERMINATE"))


def test_a_team_without_an_end_is_stopped(server, monkeypatch):
    monkeypatch.setattr(autogen, "MESSAGES_MAX", 5)
    shared = client(server, "normal")
    with pytest.raises(AgentError, match="no end after 5 messages; give the team a termination condition") as raised:
        ask(from_autogen(RoundRobinGroupChat([agent(shared, "writer"), agent(shared, "critic")])))
    assert raised.value.usage.requests >= 5


def test_a_member_that_heeds_no_token_is_cancelled():
    class Deaf(Said):
        async def on_messages(self, messages, cancellation_token):
            await asyncio.Event().wait()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await from_autogen(Deaf())(job())
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
def test_its_events_are_logged_only_where_the_program_wants_them(server, caplog, level):
    caplog.set_level(level)
    ask(from_autogen(agent(client(server, "normal"))))
    assert any(record.name == "autogen_core.events" for record in caplog.records) == (level == logging.INFO)


@pytest.mark.parametrize(("target", "what"), [(AssistantAgent, "the class AssistantAgent"), ("triage", "a str")])
def test_what_is_no_agent_is_no_team(target, what):
    with pytest.raises(TeamError, match=what):
        from_autogen(target)


def test_a_factory_of_something_else_is_refused():
    with pytest.raises(AgentRefused, match="makes a str, not an AutoGen agent"):
        ask(from_autogen(lambda: "triage"))


def test_the_page_works(server, tmp_path):
    run_page("docs/agents-autogen.md", tmp_path, server)


def test_the_clients_of_all_members_are_where_they_are_looked_for():
    clients = [ReplayChatCompletionClient([]) for _ in range(3)]
    inner = RoundRobinGroupChat([agent(clients[0], "writer"), agent(clients[1], "critic")], max_turns=2)
    outer = RoundRobinGroupChat([SocietyOfMindAgent("society", inner, clients[2])], max_turns=1)
    found = [one for one in autogen._clients(outer) if one is not None]
    assert sorted(map(id, found)) == sorted(map(id, clients))
