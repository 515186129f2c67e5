"""A support desk with one LLM agent, whose model is the local server."""

import asyncio

import interlock as il
from interlock.agents.tools import Workshop
from interlock.wiring import adapters

SCOPE = il.Scope(
    allowed_actions=["sort", "look up"],
    context_access=["ticket"],
    write_permissions=["ticket.category", "ticket.priority"],
)
REQUEST = {"ticket": {"id": 4711, "text": "I was charged twice."}}
OUTPUT = {"category": ["billing", "technical"], "priority": "text"}


def declared(server, model="normal", **llm):
    """What the agent declares under llm."""
    return {"model": f"openai:{model}", "base_url": server.url, "key": "MODEL_KEY"} | llm


def team_of(server, model="normal", *, policy=None, scope=SCOPE, **llm):
    agent = il.Agent("triage", llm=declared(server, model, **llm), scope=scope, **(policy or {}))
    return il.Team([agent], il.Plan([il.Step("sort", "triage", "sort")]))


def adapter_of(server, model="normal", **llm):
    team = team_of(server, model, **llm)
    return adapters(team, Workshop.of(team))["triage"]


def run_of(team, *, request=REQUEST, **given):
    """A run of the team to its end, and its events as the journal has them."""

    async def main():
        async with il.Orchestrator(team, ":memory:", **given) as orchestrator:
            run = await orchestrator.run(request)
            return run, await orchestrator.journal.load(run.run_id)

    return asyncio.run(main())
