"""Layer 1, decomposition: who decides which steps a request is split into, and what keeps that decision in bounds.

A proposal is a plan that an agent has written: hostile input, held against the team and `Bounds` before it is a Plan.
What is wrong with it are `Flaw`s, each with its place and what is allowed there, for the agent to mend. Planners make a
`Choice` for a request: among named plans by `Rule`s, or whatever a function of the user's returns.
"""

from interlock.core.bounds import Bounds
from interlock.core.flaws import Flaw
from interlock.team.plans import Rule

from .proposal import planned, proposed_steps, proved, validated
from .rules import Choice, FunctionPlanner, RulesPlanner, choose, planner_of, under
from .schema import proposal_schema

__all__ = [
    "Bounds",
    "Choice",
    "Flaw",
    "FunctionPlanner",
    "Rule",
    "RulesPlanner",
    "choose",
    "planned",
    "planner_of",
    "proposal_schema",
    "proposed_steps",
    "proved",
    "under",
    "validated",
]
