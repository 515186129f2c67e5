"""The team of a run, rebuilt from the document that the journal keeps of it."""

from typing import Any

import msgspec

from interlock.core.plan import Plan, Step
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.values import Limits
from interlock.team import Agent, Team


def rules_of(document: bytes) -> Rules:
    """The rules that a team's document declares, without the team's code."""
    declared = msgspec.json.decode(document)
    limits = Limits(**declared.get("limits", {}))
    agents = [_agent(name, agent) for name, agent in declared["agents"].items()]
    plan = Plan(msgspec.convert(declared.get("plan", []), list[Step]), steps_max=limits.steps_max)
    shared = {name: declared.get(name, {}) for name in ("reducers", "succession")}
    return Team(agents, plan, limits=limits, **shared).rules


def _agent(name: str, declared: dict[str, Any]) -> Agent:
    scope = Scope(**{key: declared.get(key, ()) for key in Scope.__struct_fields__})
    rest = {key: value for key, value in declared.items() if key not in Scope.__struct_fields__}
    return Agent(name, scope=scope, **rest)
