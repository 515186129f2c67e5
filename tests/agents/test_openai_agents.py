"""Agents of the OpenAI Agents SDK: each job is a run, charged whatever becomes of it."""

import asyncio
import sys
from types import ModuleType

import agents
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

import interlock as il
from interlock.agents import openai_agents
from interlock.agents.foreign import Meter
from interlock.agents.openai_agents import TURNS_MAX, VERDICT_CHARS_MAX, from_openai_agents
from interlock.errors import AgentError, AgentRefused, Overloaded, ReplyRefused, TeamError

from .bench import Lane
from .contract import AdapterContract
from .model_server import KEY, ModelServer
from .pages import run_page
from .scenes import job


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """The key comes from the environment, as it does in production; what stands there is hidden."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def chat(server, model):
    return agents.OpenAIChatCompletionsModel(model, AsyncOpenAI(base_url=server.url))


def responses(server, model):
    return agents.OpenAIResponsesModel(model, AsyncOpenAI(base_url=server.url))


def agent(model, **more):
    return agents.Agent("triage", **{"instructions": "You sort tickets.", "model": model} | more)


def lane(name, kind):
    return Lane(name, lambda server, model: from_openai_agents(agent(kind(server, model))))


# The SDK makes a coroutine for a task that is cancelled before its first step.
leaves_a_coroutine = pytest.mark.filterwarnings("ignore:coroutine 'run_single_turn' was never awaited:RuntimeWarning")


@leaves_a_coroutine
class TestOfChatCompletions(AdapterContract):
    lane = lane("openai_agents (chat)", chat)


@leaves_a_coroutine
class TestOfResponses(AdapterContract):
    lane = lane("openai_agents (responses)", responses)

    # The SDK drops what a filtered response says of its tokens.
    @pytest.mark.parametrize("model", ["refusal", "empty"])
    def test_an_answer_that_is_refused_was_still_paid_for(self, model):
        super().test_an_answer_that_is_refused_was_still_paid_for(model)


# --- on its own ---

TICKET = ("ticket.category", "ticket.priority")
WRITES = {"ticket.category": "billing", "ticket.priority": "high"}


class Sorted(BaseModel):
    category: str
    priority: str


@pytest.fixture
def server():
    with ModelServer() as running:
        yield running


def ask(adapter, **given):
    told = {"writes": TICKET, "view": {"ticket": {"text": "charged twice"}}} | given

    async def main():
        try:
            return await adapter(job(**told))
        finally:
            await adapter.close()

    return asyncio.run(main())


def trips(*found):
    """A guardrail that finds this."""

    def guard(context, agent, seen):
        return agents.GuardrailFunctionOutput(output_info=found[0] if found else None, tripwire_triggered=True)

    return guard


kinds = pytest.mark.parametrize("kind", [chat, responses])


@kinds
def test_an_output_type_is_asked_for_by_itself(server, kind):
    reply = ask(from_openai_agents(agent(kind(server, "normal"), output_type=Sorted)))
    [request] = server.requests
    assert (reply.writes, request.saw("JSON Schema:")) == (WRITES, False)


@kinds
def test_what_doesn_t_fit_the_output_type_is_charged_and_fed_back(server, kind):
    with pytest.raises(ReplyRefused, match="Invalid JSON") as refused:
        ask(from_openai_agents(agent(kind(server, "prose"), output_type=Sorted)))
    assert refused.value.usage.requests == 1


@kinds
def test_it_works_in_one_event_loop_after_another(server, kind):
    adapter = from_openai_agents(agent(kind(server, "normal")))
    assert [ask(adapter).writes for _ in range(3)] == [WRITES] * 3


def test_a_model_that_is_only_named_is_asked_for_by_the_sdk(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    adapter = from_openai_agents(agent("unavailable"))
    for _ in range(2):
        with pytest.raises(Overloaded):
            ask(adapter)
    assert [request.path for request in server.requests] == ["/v1/responses"] * 2, "only the engine asks again"


def test_after_a_handoff_each_model_is_charged(server, monkeypatch):
    server.behave("first", "unoffered")
    clerk = agent(chat(server, "second"), handoff_description="files tickets")
    front = agent(chat(server, "first"), handoffs=[agents.handoff(clerk, tool_name_override="launch_the_rocket")])
    seen, add = [], Meter.add

    def noted(meter, model, *counts, **more):
        seen.append(model)
        add(meter, model, *counts, **more)

    monkeypatch.setattr(Meter, "add", noted)
    reply = ask(from_openai_agents(front))
    assert (reply.writes, reply.usage.requests, seen) == (WRITES, 2, ["first", "second"])


def test_its_tools_find_the_job(server):
    seen = []

    @agents.function_tool
    def look_up(context: agents.RunContextWrapper[il.Job]) -> str:
        seen.append(context.context.view["ticket.text"])
        return "a good customer"

    assert ask(from_openai_agents(agent(chat(server, "normal"), tools=[look_up]))).usage.requests == 2
    assert seen == ["charged twice"]


def test_a_run_without_an_end_is_stopped(server):
    @agents.function_tool
    def launch_the_rocket() -> str:
        return "once more"

    with pytest.raises(AgentError, match=rf"Max turns \({TURNS_MAX}\) exceeded") as raised:
        ask(from_openai_agents(agent(chat(server, "unoffered"), tools=[launch_the_rocket])))
    assert (raised.value.retryable, raised.value.usage.requests) == (True, TURNS_MAX)


def test_a_guardrail_lets_no_job_in(server):
    guards = [agents.InputGuardrail(trips("homework"), name="no_homework", run_in_parallel=False)]
    with pytest.raises(AgentRefused, match=r"guardrail no_homework \(homework\) doesn't let the job in"):
        ask(from_openai_agents(agent(chat(server, "normal"), input_guardrails=guards)))
    assert server.requests == []


def test_a_guardrail_lets_no_answer_out(server):
    guards = [agents.OutputGuardrail(trips({"rude": KEY}), name="polite")]
    with pytest.raises(ReplyRefused, match=r"the guardrail polite .* doesn't let the answer out") as refused:
        ask(from_openai_agents(agent(chat(server, "normal"), output_guardrails=guards)))
    assert refused.value.usage.requests == 1
    assert KEY not in refused.value.message


def test_what_a_guardrail_found_holds_no_piece_of_a_secret(server):
    guards = [agents.OutputGuardrail(trips("x" * (VERDICT_CHARS_MAX + 1 - len(KEY)) + KEY), name="polite")]
    with pytest.raises(ReplyRefused, match=r"the guardrail polite .* doesn't let the answer out") as refused:
        ask(from_openai_agents(agent(chat(server, "normal"), output_guardrails=guards)))
    assert KEY[:8] not in refused.value.message


def test_a_guardrail_without_words_is_named():
    class Result:
        guardrail = agents.OutputGuardrail(trips(), name="polite")
        output = agents.GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    meant = openai_agents._meant(agents.OutputGuardrailTripwireTriggered(Result()), agents)
    assert meant.message == "the guardrail polite doesn't let the answer out"


def test_a_guardrail_of_a_tool_is_fed_back(server):
    @agents.tool_input_guardrail
    def careful(data):
        return agents.ToolGuardrailFunctionOutput.raise_exception(output_info="not today")

    @agents.function_tool(tool_input_guardrails=[careful])
    def refund() -> str:
        return "done"

    with pytest.raises(ReplyRefused, match=r"careful \(not today\) doesn't allow the call of a tool"):
        ask(from_openai_agents(agent(chat(server, "normal"), tools=[refund])))


def test_an_error_of_its_user_is_not_tried_again(server):
    with pytest.raises(AgentRefused, match="UserError"):
        ask(from_openai_agents(agent(chat(server, "normal")), input=lambda of: [{"type": "no_such_thing"}]))


def test_input_and_output_are_functions_of_the_job(server):
    adapter = from_openai_agents(
        agent(chat(server, "normal")),
        input=lambda of: [{"role": "user", "content": "a-task-of-my-own"}],
        output=lambda result, of: {"ticket.category": result.last_agent.name},
    )
    assert ask(adapter).writes == {"ticket.category": "triage"}
    assert server.requests[0].saw("a-task-of-my-own")


def test_what_is_no_agent_is_no_team():
    with pytest.raises(TeamError, match="is a str, not an Agent of the OpenAI Agents SDK"):
        from_openai_agents("triage")


def test_a_module_of_the_team_may_hide_the_sdk(monkeypatch):
    monkeypatch.setitem(sys.modules, "agents", ModuleType("agents"))
    with pytest.raises(TeamError, match="rename the team's own module agents"):
        from_openai_agents(object())


def test_the_page_works(server, tmp_path):
    run_page("docs/agents-openai-agents.md", tmp_path, server)
