"""What an agent is asked to decide about the plan of a run that goes on: when, and within which bounds."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec

from interlock.errors import PlanError, TeamError

from .naming import hint
from .scope import Scope
from .step import Step

Ask = Literal["start", "idle", "each"]
Then = Literal["finish", "fail_run", "escalate"]
Recursion = Literal["refuse", "ask"]
Called = Literal["supervisor", "planner"]
DECIDE = "decide"
_is_decision = re.compile(rf"{DECIDE}-\d+").fullmatch
# A planner with one of these is no agent.
CHOOSES = ("rules", "default")
DROPPED_MAX = 1_000

# What a decision consists of; what this can't say is checked when it is given.
DECISION: dict[str, Any] = {
    "properties": {
        "add": {
            "type": "array",
            "description": "New steps. Each of them comes after all that is done, and needs what it names beside that.",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "A new name: letters, digits, _ and -."},
                    "agent": {"type": "string", "description": "Who does it."},
                    "action": {"type": "string", "description": "What the agent does; one of its actions."},
                    "needs": {"type": "array", "items": {"type": "string"}},
                    "reads": {"type": "array", "items": {"type": "string"}},
                    "writes": {"type": "array", "items": {"type": "string"}},
                    "instructions": {"type": "string", "description": "What the agent is told."},
                    "samples": {"type": "integer"},
                    "for_each": {"type": "string"},
                    "width": {"type": "integer"},
                    "batch": {"type": "integer"},
                    "when": {"type": "object"},
                },
                "required": ["id", "agent", "action"],
            },
        },
        "drop": {
            "type": "array",
            "description": "Ids of steps that wait, and are not to be done.",
            "items": {"type": "string"},
        },
        "finish": {
            "type": ["object", "null"],
            "description": "Nothing more is to be done: what you write for that, as dotted paths and their values.",
        },
    },
}


DECISION_KEYS = tuple(DECISION["properties"])


class SupervisorPolicy(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which agent decides about the plan, and how often.

    ask: `start`, once before anything else: the agent plans. `idle`: whenever nothing is left to do, until it finishes.
    `each`: after each step that has ended as well, while others go on.
    decisions_max: so many of them. steps_max: so many steps are added in all. depth_max: so many come one after
    another. calls_max: so many of them are one agent's. no_progress_max: so many decisions in a row may have added
    nothing that committed. then: what follows where a bound is reached: `finish` (the run ends as it is), `fail_run`,
    or `escalate` (a person decides). recursion: whether it may give steps to itself: `refuse`, or `ask` a person each
    time. otherwise: the name of the plan that is taken where no proposal of a planner could be; last_resort: its steps.
    called: by which key it is declared.
    """

    agent: str
    action: str
    ask: Ask = "idle"
    instructions: str = ""
    decisions_max: int = 20
    steps_max: int = 100
    depth_max: int = 50
    calls_max: int = 50
    no_progress_max: int = 3
    then: Then = "fail_run"
    called: Called = "supervisor"
    recursion: Recursion = "refuse"
    otherwise: str = ""
    last_resort: Sequence[Step] = ()

    @property
    def asked_at_most(self) -> int:
        """How many decisions there are at most."""
        return 1 if self.ask == "start" else self.decisions_max


def supervisor_of(
    supervisor: Mapping[str, Any] | None,
    planner: Mapping[str, Any] | None = None,
    plans: Mapping[str, Sequence[Step]] | None = None,
) -> SupervisorPolicy | None:
    """What a team declares: a planner is asked once, before anything else. plans: by name, their steps.

    Raises TeamError.
    """
    if planner is not None and not planner.keys().isdisjoint(CHOOSES):
        planner = None  # rules, which have chosen before there is a run
    if supervisor is not None and planner is not None:
        raise TeamError("the team has a planner and a supervisor", fix="keep one", place=("planner",))
    place, declared = "supervisor", supervisor
    if planner is not None:
        place, declared = "planner", {"ask": "start", "called": "planner", **planner}
    if declared is None:
        return None
    plans = plans or {}
    if name := declared.get("otherwise"):
        if name not in plans:
            message = f"there is no plan {name!r:.100}{hint(name, plans)}"
            beside = f", beside {', '.join(plans)}" if plans else ""
            raise TeamError(message, fix=f"declare it in plans{beside}", place=(place, "otherwise"))
        declared = {**declared, "last_resort": plans[name]}
    try:
        return SupervisorPolicy(**declared)
    except TypeError as error:
        raise TeamError(f"the {place}: {error}", fix="give it an agent and an action", place=(place,)) from error


def is_decision(step: str) -> bool:
    """Whether this is the id of a decision."""
    return _is_decision(step) is not None


def supervisor_problems(
    policy: SupervisorPolicy | None, scopes: Mapping[str, Scope], chain: Collection[str], steps: Collection[str]
) -> Iterator[TeamError]:
    """What is wrong with it. chain: its agent and who stands in for that; steps: the ids of the plan."""
    if policy is None:
        return

    def at(key: str) -> tuple[str, ...]:
        return (policy.called, key)

    for name, known in (("ask", get_args(Ask)), ("then", get_args(Then)), ("recursion", get_args(Recursion))):
        value = getattr(policy, name)
        if value not in known:
            yield TeamError(f"{name} of the {policy.called} is {value!r:.40}", fix=" or ".join(known), place=at(name))
    for name in ("decisions_max", "steps_max", "depth_max", "calls_max", "no_progress_max"):
        if getattr(policy, name) < 1:
            yield TeamError(f"{name} of the {policy.called} is less than 1", place=at(name))
    if policy.agent not in scopes:
        yield TeamError(
            f"the {policy.called} is {policy.agent}, which is no agent{hint(policy.agent, scopes)}", place=at("agent")
        )
        return
    for agent in chain:
        if policy.action not in scopes[agent].allowed_actions:
            near = hint(policy.action, scopes[agent].allowed_actions)
            message = f"the {policy.called} may not do {policy.action}{near}"
            fix = f"add {policy.action} to the allowed_actions of {agent}"
            yield TeamError(message, fix=fix, place=at("action"), agents=(agent,))
    if policy.ask == "start" and steps:
        message = "the plan has steps, and an agent plans them"
        yield TeamError(message, fix="leave out the plan, or ask: idle", place=at("agent"))
    for step in filter(is_decision, (*steps, *(one.id for one in policy.last_resort))):
        yield PlanError(f"the id {step} is that of a decision", fix="rename it", place=("plan", step, "id"))
