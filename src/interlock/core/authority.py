"""Who may decide a field: its owner, or whoever stands in for the owner in the owner's own step, and nobody later.

That scopes don't overlap is proved for agents, that no unordered steps write one field for steps. What is left is an
agent that stands in for others: it may write what they own, so in a step of its own, or of another agent that it stands
in for, it could undo what was decided there.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from interlock.errors import OwnershipError

from . import paths
from .plan import Plan
from .scope import Sharing
from .step import Step

Writable = Callable[[Step, str], Sequence[str]]


class _Claim(msgspec.Struct, frozen=True):
    """An agent writes a pattern in a step that is its own or that of an agent it stands in for."""

    step: str
    owner: str
    agent: str
    pattern: str


def usurped(plan: Plan, sharing: Sharing, writable: Writable) -> Iterator[OwnershipError]:
    """Fields of one agent's steps that another may write in a step in which it does not stand in for that agent.

    writable: the patterns that an agent may write in a step.
    """
    if not sharing.stand_ins:
        return
    owned, index = _owned(plan, writable)
    shared_openly = msgspec.structs.replace(sharing, stand_ins={})
    told: set[tuple[str, str]] = set()
    for claim in _claims(plan, sharing, writable):
        standing_in = (claim.owner, *sharing.stand_ins.get(claim.owner, ()))
        for n in paths.bits(index.meeting(claim.pattern)):
            other = owned[n]
            shared = paths.intersection(claim.pattern, other.pattern)
            if other.owner in standing_in or shared is None or (claim.step, other.owner) in told:
                continue
            if not any(shared_openly.permits(who, other.owner, shared) for who in (claim.owner, claim.agent)):
                told.add((claim.step, other.owner))
                yield _problem(claim, other, shared)


def _problem(claim: _Claim, other: _Claim, shared: str) -> OwnershipError:
    role = "" if claim.agent == claim.owner else f", for {claim.owner}"
    does = f"in step {claim.step}{role}, {claim.agent} may write {shared}"
    return OwnershipError(
        f"{does}, which {other.owner} decides in step {other.step}: it stands in for {other.owner} in its steps alone",
        fix=f"narrow the writes of step {claim.step}, or declare the succession of {paths.base(shared)}",
        place=("plan", claim.step, "writes"),
        agents=(other.owner, claim.agent),
        paths=(shared,),
    )


def _owned(plan: Plan, writable: Writable) -> tuple[list[_Claim], paths.PatternIndex]:
    """What each agent may write in steps of its own, each pattern once."""
    found: dict[tuple[str, str], _Claim] = {}
    index = paths.PatternIndex()
    for step in plan.steps[1:]:
        for pattern in writable(step, step.agent):
            if (step.agent, pattern) not in found:
                index.add(pattern, len(found))
                found[step.agent, pattern] = _Claim(plan.declared_id[step.id], step.agent, step.agent, pattern)
    return [*found.values()], index


def _claims(plan: Plan, sharing: Sharing, writable: Writable) -> Iterator[_Claim]:
    """What each agent may write in each step in which it may act, each pattern once for those of one owner."""
    seen: set[tuple[str, str, str]] = set()
    for step in plan.steps[1:]:
        for agent in (step.agent, *sharing.stand_ins.get(step.agent, ())):
            for pattern in writable(step, agent):
                if (step.agent, agent, pattern) not in seen:
                    seen.add((step.agent, agent, pattern))
                    yield _Claim(plan.declared_id[step.id], step.agent, agent, pattern)
