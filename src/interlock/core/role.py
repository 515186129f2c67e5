"""Who works: an agent as declared (its role), and its part in one step (its duty)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.errors import OwnershipError, PathError, PlanError, TeamError

from . import paths
from .budget import BudgetPolicy
from .effects import EffectRule
from .events import BranchRequested
from .gate import OPEN, GatePolicy
from .guardrail import Panel
from .job import Request
from .naming import hint
from .nested import Nested, nested_problems
from .policy import Escalation, Policy
from .schema import WritesSchema
from .scope import Scope, Sharing, Sight, overlaps
from .states import OnDead
from .step import INDEX

PATTERNS_SHOWN = 5


class Role(msgspec.Struct, frozen=True, omit_defaults=True):
    """An agent as declared, without its code. `version` changes the team's hash when the code changes its meaning.

    on_dead: what a step of it that is given up means for the run, where the step doesn't say. immediate: it may have
    effects performed while it works, and wait for their results. tools: those that are effects. nested: the team that
    it is.
    """

    scope: Scope
    policy: Policy = Policy()
    schema: Mapping[str, Any] | None = None
    fallback: str | None = None
    version: str = ""
    on_dead: OnDead = "fail_run"
    guardrails: Sequence[Any] = ()
    threshold: float | None = None
    gate: GatePolicy = OPEN
    budget: BudgetPolicy | None = None
    escalation: Escalation | None = None
    immediate: bool = False
    tools: Mapping[str, EffectRule] = {}
    nested: Nested | None = None


class Duty(msgspec.Struct, frozen=True):
    """One agent's part in one step: what it may see and write there, how it is tried, what its writes must look like.

    templated: `writable` still holds `{index}`, to be filled in for each item of a for_each. schema_texts: the schemas
    as they were declared, as JSON. panel: its guardrails; None where there are none. budgets: of the run, the agent and
    the step, as (what it is, whose it is, how much). effects: those it may ask for; immediate: and wait for. tools: the
    effects that its tools are. branches: what it may request. requests: the same, as it is told. judges: of the panel,
    by their names there: each with its fallbacks. nested: the team that does it.
    """

    agent: str
    sight: Sight
    writable: paths.Patterns
    policy: Policy
    schemas: tuple[WritesSchema, ...]
    templated: bool = False
    schema_texts: tuple[str, ...] = ()
    panel: Panel | None = None
    gate: GatePolicy = OPEN
    budgets: tuple[tuple[str, str, BudgetPolicy], ...] = ()
    effects: tuple[str, ...] = ()
    immediate: bool = False
    tools: tuple[str, ...] = ()
    branches: tuple[BranchRequested, ...] = ()
    requests: tuple[Request, ...] = ()
    judges: "Mapping[str, tuple[Duty, ...]]" = {}
    nested: Nested | None = None

    def writable_by(self, index: int) -> paths.Patterns:
        """What the agent may write in the copy of the step with this index; any where the step has no copies."""
        if not self.templated:
            return self.writable
        return paths.Patterns(tuple(pattern.replace(INDEX, str(index)) for pattern in self.writable.patterns))


# Who does number 0, the request, and the numbers of items in a plan that has grown.
NOBODY = Duty("", Sight(()), paths.Patterns(()), Policy(), ())


def role_problems(roles: Mapping[str, Role], sharing: Sharing) -> Iterator[TeamError]:
    """What is wrong with the agents whatever the plan: successions and fallbacks that name no agent, ...

    ... circles of fallbacks, fields with two owners.
    """
    for field, owners in sharing.succession.items():
        for owner in owners:
            if owner not in roles:
                message = f"the succession of {field} names {owner}, which is no agent{hint(owner, roles)}"
                yield TeamError(message, place=("succession", field), paths=(field,))
    for name, role in roles.items():
        place = ("agents", name, "fallback")
        if role.fallback is not None and role.fallback not in roles:
            unknown = f"{role.fallback}, which is no agent{hint(role.fallback, roles)}"
            yield TeamError(f"the fallback of {name} is {unknown}", place=place, agents=(name,))
        elif name in sharing.stand_ins.get(name, ()):
            yield TeamError(f"agent {name} falls back to itself", fix="end the chain", place=place, agents=(name,))
        for pattern in role.scope.write_permissions:
            if INDEX in pattern or "{step}" in pattern:
                message = f"agent {name} may write {pattern}, but {{step}} and {INDEX} belong in the writes of a step"
                fix = "grant all that the steps may write, such as options.*, and narrow it in the steps"
                yield TeamError(message, fix=fix, place=("agents", name, "write_permissions"), agents=(name,))
        yield from schema_problems(role.schema, {name: role}, ("agents", name, "schema"))
        if role.nested is not None:
            yield from nested_problems(name, role.nested, role.scope)
    for found in overlaps({name: role.scope for name, role in roles.items()}, sharing):
        place = ("agents", found.agents[1], "write_permissions")
        yield OwnershipError(found.message, fix=found.fix, place=place, agents=found.agents, paths=(found.shared,))


def schema_problems(
    schema: Mapping[str, Any] | None, roles: Mapping[str, Role], place: tuple[str, ...]
) -> Iterator[TeamError]:
    """What is wrong with a schema that the replies of each of these agents must fit."""
    if schema is None:
        return
    try:
        named = WritesSchema(schema).paths
    except (TeamError, PathError) as error:
        yield PlanError(error.message, fix=error.fix, place=place)
        return
    for agent, role in roles.items():
        can_write = paths.Patterns(tuple(role.scope.write_permissions)).cover
        for path in named:
            if not can_write(path):
                yield PlanError(f"the schema names {path}, which {agent} may not write", place=place)


def stand_ins(roles: Mapping[str, Role]) -> dict[str, tuple[str, ...]]:
    """Per agent the chain of its fallbacks, as far as it leads; a circle ends where it would come back."""
    chains = {}
    for name, role in roles.items():
        chain: list[str] = []
        following = role.fallback
        while following is not None and following in roles and following not in chain:
            chain.append(following)
            following = roles[following].fallback
        if chain:
            chains[name] = tuple(chain)
    return chains
