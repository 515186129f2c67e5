"""Agents of OpenAI Swarm: in processes, which are killed, and metered at their client, since Swarm doesn't count."""

import asyncio
import itertools
import sys
from types import MappingProxyType

import pytest
import swarm as framework

from interlock.agents import extras, swarm
from interlock.agents.swarm import from_swarm
from interlock.errors import AgentError, AgentRefused, MissingExtra, RateLimited, TeamError

from .bench import Lane
from .contract import AdapterContract
from .model_server import KEY, ModelServer
from .pages import run_page
from .scenes import job

AGENT = """
from openai import OpenAI
from swarm import Agent, Swarm

def triage():
    agent = Agent(name="triage", instructions="You sort tickets.", model={model!r})
    return Swarm(OpenAI(base_url={url!r})), agent
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the modules of a test lie; workers import from there, too, and have its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


_numbers = itertools.count(1)


def module(source):
    """A module of its own with this source, in the folder of the test."""
    name = f"swarm_agents_{next(_numbers)}"
    with open(f"{sys.path[0]}/{name}.py", "w") as file:  # noqa: PTH123 - a path as text
        file.write(source)
    return name


def adapter(server, model):
    return from_swarm(f"{module(AGENT.format(model=model, url=server.url))}:triage")


@pytest.mark.thorough
class TestOfSwarm(AdapterContract):
    lane = Lane("swarm", adapter, stops="process")


# --- what works in the worker, called in this process ---

TICKET = ("ticket.category", "ticket.priority")
WRITES = {"ticket.category": "billing", "ticket.priority": "high"}


@pytest.fixture
def server(monkeypatch):
    with ModelServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


def agent(model="normal", **more):
    return framework.Agent(**{"name": "triage", "model": model, "instructions": "You sort tickets."} | more)


@pytest.fixture
def ask(server):
    """The reply of what a reference would name."""
    opened = []

    def ask(found, **options):
        told = {name: name for name in ("input", "output") if name in options}
        names = {"agent": found} | {name: options[name] for name in told}
        answer = swarm.bound("agent", options | told, names.__getitem__)
        opened.append(answer.__self__._foreigner._client)
        return answer(job(writes=TICKET, view={"ticket": {"text": "charged twice"}}))

    yield ask
    for client in opened:
        client.close()


def test_an_agent_answers_by_openai_s_own_client(ask, server):
    reply = ask(agent(), price={"input": 1, "output": 1})
    counted = server.requests[0].usage
    assert (reply.writes, reply.usage.cached_tokens) == (WRITES, counted.cached_tokens)
    assert reply.usage.usd == pytest.approx((counted.input_tokens + counted.output_tokens) / 1e6)


def test_any_mapping_of_prices_reaches_the_worker(server):
    price = MappingProxyType({"input": 1.0, "output": 1.0})
    reference = f"{module(AGENT.format(model='gpt-5-mini', url=server.url))}:triage"

    async def once():
        made = from_swarm(reference, price=price)
        try:
            return await made(job(writes=TICKET, view={"ticket": {"text": "charged twice"}}))
        finally:
            await made.close()

    assert asyncio.run(once()).usage.usd > 0


def test_a_function_may_make_the_agent(ask):
    assert ask(agent).writes == WRITES


def test_its_functions_may_run_an_event_loop_of_their_own(ask):
    def instructions(context_variables):
        return asyncio.run(asyncio.sleep(0, "You sort tickets."))

    assert ask(agent(instructions=instructions)).writes == WRITES


def test_its_functions_find_what_the_job_shows(ask):
    seen = []

    def look_up(context_variables):
        seen.append(context_variables)
        return "a good customer"

    assert ask(agent(functions=[look_up])).usage.requests == 2
    assert seen == [{"ticket": {"text": "charged twice"}}]


def test_after_a_handoff_both_are_charged(ask, server):
    reply = ask(agent(functions=[lambda_named("to_clerk", lambda: agent("second", name="clerk"))]))
    assert (reply.writes, reply.usage.requests) == (WRITES, 2)
    assert [request.model for request in server.requests] == ["normal", "second"]


def lambda_named(name, function):
    function.__name__ = name
    return function


def test_a_conversation_without_an_end_is_stopped(ask):
    with pytest.raises(AgentError, match="no end after 40 messages") as raised:
        ask(agent("unoffered"))
    assert (raised.value.retryable, raised.value.usage.requests) == (True, 20)


def test_the_client_s_own_retries_are_off(ask, server):
    with pytest.raises(RateLimited):
        ask(agent("limited"))
    assert len(server.requests) == 1


def test_input_and_output_are_functions_of_the_job(ask, server):
    said = [{"role": "user", "content": "a-task-of-my-own"}]
    reply = ask(agent(), input=lambda of: said, output=lambda response, of: {"ticket.category": response.agent.name})
    assert reply.writes == {"ticket.category": "triage"}
    assert server.requests[0].saw("a-task-of-my-own")


def test_what_is_no_agent_is_refused(ask):
    with pytest.raises(AgentRefused, match="is a str, not an Agent of Swarm"):
        ask("triage")


def test_a_function_that_raises_is_refused(ask):
    def broken():
        raise ValueError(f"no client for {KEY}")

    with pytest.raises(AgentRefused, match=r"no client for \[OPENAI_API_KEY\]"):
        ask(broken)


def test_without_a_key_nothing_is_asked(ask, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(AgentRefused, match="OPENAI_API_KEY"):
        ask(agent())


# --- this end ---


def test_what_no_other_process_can_import_is_no_agent():
    with pytest.raises(TeamError, match="can't import this Agent"):
        from_swarm(agent())
    with pytest.raises(TeamError, match="can't import this function"):
        from_swarm("desk:triage", output=lambda response, of: {})


def test_it_is_installed_apart(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install --no-deps openai-swarm"):
        from_swarm("desk:triage")


def test_it_works_in_as_many_processes_as_one_says():
    assert from_swarm("desk:triage", workers=3).slots == 3


def test_options_reach_the_worker(server):
    source = AGENT.format(model="normal", url=server.url) + "\ndef output(response, job):\n    return {'x': job.step}\n"
    name = module(source)

    async def main():
        adapter = from_swarm(f"{name}:triage", instructions="Mind this: sort-mark", output=f"{name}:output")
        try:
            return await adapter(job(writes=("x",)))
        finally:
            await adapter.close()

    assert asyncio.run(main()).writes == {"x": "s0"}
    assert server.requests[0].saw("sort-mark")


def test_the_page_works(server, tmp_path):
    run_page("docs/agents-swarm.md", tmp_path, server)
