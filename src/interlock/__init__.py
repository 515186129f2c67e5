"""Interlock orchestrates teams of AI agents.

It decides who runs when, what each may see, what each may write, and whether an answer is good enough to be committed.

The house, from the top; imports point down only:

    cli        the command line: parse, call, render
    testing    simulates teams and injects faults: virtual time, fake agents, checks at every event
    doctor     looks what is installed, and whether what is behind agents answers
    wiring     chooses the implementations: which journal, which adapter
    engine     drives runs in this process: tasks, timeouts, bounded calls, stop and resume
    journal    durable events: SQLite, memory
    history    what happened in a run, told from its events: story, replay, lineage, difference
    planning   holds plans that agents propose against the team
    agents     makes agents callable by the engine: functions, models, those of other frameworks, endpoints, programs
    team       what the user declares: team.yaml or Python, checked and proved
    guardrails checks on what a reply says, before its commit
    ports      the seams between the engine, journals and agents
    core       the pure machine: plan, rules, context bank, events; no clock, no I/O
"""

from typing import Any as _Any

from interlock.agents.secret import provide as provide_secrets
from interlock.core.job import DELETE, Effect, Job, Question, Reply, Request, Usage
from interlock.core.plan import Phase, Plan
from interlock.core.scope import Scope
from interlock.core.step import Condition, Step
from interlock.core.values import Limits
from interlock.engine.run import Run
from interlock.errors import AgentError, AgentRefused, InterlockError, NotPerformed
from interlock.ports import Message, Partial
from interlock.team import Agent, Team, agent
from interlock.wiring import Orchestrator, run

__all__ = [
    "DELETE",
    "Agent",
    "AgentError",
    "AgentRefused",
    "Condition",
    "Effect",
    "InterlockError",
    "Job",
    "Limits",
    "Message",
    "NotPerformed",
    "Orchestrator",
    "Partial",
    "Phase",
    "Plan",
    "Question",
    "Reply",
    "Request",
    "Run",
    "Scope",
    "Step",
    "Team",
    "Usage",
    "agent",
    "from_autogen",
    "from_command",
    "from_crewai",
    "from_http",
    "from_langgraph",
    "from_openai_agents",
    "from_swarm",
    "provide_secrets",
    "run",
]


def __getattr__(name: str) -> _Any:
    """What costs more than all the rest is looked up when it is asked for: the version, and adapters."""
    if name == "__version__":
        from importlib.metadata import version

        return version("interlock")
    if name.startswith("from_") and name in __all__:
        from importlib import import_module

        return getattr(import_module(f"interlock.agents.{name.removeprefix('from_')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
