"""The rules one run is held to: its plan, and for each step who may do it, what they may see and write, and how often.

Compiled once per team and shared by all its runs. Compiling is proving: rules that let two agents own one field, or
two unordered steps write one, don't come to exist.
"""

from collections.abc import Mapping
from functools import cached_property, reduce
from itertools import chain, islice
from operator import or_
from typing import Any

from interlock.errors import InputError, TeamError, ValueRefused

from . import paths
from .budget import BudgetPolicy
from .duties import compiled
from .effects import EffectRule, effect_of
from .gate import OPEN, GatePolicy
from .plan import Plan
from .proofs import Guard, Proofs
from .races import Writers
from .reconcile import Reconcile
from .reducers import REDUCERS
from .result import Result, result_problems
from .role import Duty, Role, role_problems
from .scope import Sharing
from .step import reconcile_of, wait_of
from .supervision import SupervisorPolicy
from .values import ABSENT, DEFAULT_LIMITS, Limits, at, encode
from .waits import Wait

# A wide plan without narrowed writes has a race for every pair of its steps: nobody reads them all.
PROBLEMS_MAX = 100


class Rules(Proofs):
    """The rules, compiled.

    effects: how those of the team are performed, by name. supervisor: who decides about the plan while a run goes on.

    result: what its runs result in, where that is declared.

    Raises TeamError (or one of its kinds) with every problem found.
    """

    result: Result | None = None

    def __init__(  # noqa: PLR0913, PLR0917 - what a run is held to, by name
        self,
        plan: Plan,
        roles: Mapping[str, Role],
        sharing: Sharing | None = None,
        limits: Limits = DEFAULT_LIMITS,
        guard: Guard | None = None,
        gate: GatePolicy = OPEN,
        budget: BudgetPolicy | None = None,
        effects: Mapping[str, EffectRule] | None = None,
        supervisor: SupervisorPolicy | None = None,
    ) -> None:
        declared_effects = effects or {}
        super().__init__(plan, roles, sharing, budget, declared_effects)
        self.limits, self.guard, self.gate, self.supervisor = limits, guard, gate, supervisor
        self.effects = dict(declared_effects)
        for name, role in roles.items():
            self.effects |= {effect_of(name, tool): rule for tool, rule in role.tools.items()}
        declared = chain(role_problems(self.roles, self.sharing), self._step_problems(), self._unmade_guardrails())
        declared = chain(declared, self._supervisor_problems())
        problems = list(islice(declared, PROBLEMS_MAX))
        if not problems:
            self._schemas = {name: compiled(role.schema) for name, role in roles.items()}
            problems = list(islice(self._plan_problems(), PROBLEMS_MAX))
        if problems:
            raise TeamError.of(problems)

    @cached_property
    def waits(self) -> dict[int, Wait]:
        """What the steps without an agent wait for."""
        return {n: wait_of(step) for n, step in enumerate(self.plan.steps) if step.waits}

    @cached_property
    def reconciles(self) -> dict[int, Reconcile]:
        """What the steps reconcile that do."""
        return {n: reconcile_of(step) for n, step in enumerate(self.plan.steps) if step.reconcile is not None}

    @cached_property
    def by_score(self) -> bool:
        """Whether some step goes by the scores of those before it."""
        return any("score" in declared.ways for declared in self.reconciles.values())

    @cached_property
    def feeders(self) -> dict[int, int]:
        """Of the steps that reconcile, the bitset of those before them that may write a candidate."""
        writers = Writers([(), *(self.may_write(step) for step in self.plan.steps[1:])], {})
        found = {}
        for n, declared in self.reconciles.items():
            met = (writers.meeting(path) for path in declared.among)
            found[n] = reduce(or_, met) & self.plan.ancestors[n]
        return found

    def encode_request(self, request: Any) -> bytes:
        """A request as the JSON it is stored as. Raises InputError: no object, not plain JSON, or too large."""
        if not isinstance(request, Mapping):
            raise InputError(f"a request is an object, not {type(request).__name__}", fix='such as {"ticket": {...}}')
        try:
            raw = encode(dict(request), self.limits, self.limits.context_bytes_max)
        except ValueRefused as error:
            raise InputError(f"the request can't be used: {error.message}") from error
        for field, kind in self.sharing.reducers.items():
            value, reducer = at(request, paths.parse(field)), REDUCERS[kind]
            if value is ABSENT:
                continue
            if type(value) not in reducer.initial_types:
                raise InputError(f"the request has a {type(value).__name__} at {field}, whose reducer is {kind}")
            if not reducer.initial_fits(value):
                raise InputError(f"the request has {value} at {field}: with what is added it could leave JSON's range")
        return raw

    def waits_at(self, kind: str, duty: Duty) -> bool:
        """Whether a step waits where this part of a gate holds it, and nobody stands in for its agent."""
        policy = self.gate if kind.startswith("team_") else duty.gate
        part = getattr(policy, kind.removeprefix("team_"), None)
        return part is not None and part.waits

    def budget_at(self, gate: str, duty: Duty) -> tuple[BudgetPolicy | None, str]:
        """The budget that a gate of a call is, None where it is none; and whose: `agent ID`, `step ID` "" for all."""
        if gate == "budget":
            return duty.gate.budget, f"agent {duty.agent}"
        if gate == "team_budget":
            return self.gate.budget, ""
        return next(((budget, whose) for kind, whose, budget in duty.budgets if kind == gate), (None, ""))

    def resulting_in(self, declared: Any) -> "Rules":
        """The same rules, whose runs result in what is declared. Raises TeamError."""
        self.result = Result.of(declared)
        written = [pattern for role in self.roles.values() for pattern in role.scope.write_permissions]
        written += [pattern for step in self.plan.declared if step.by_itself for pattern in step.writes or ()]
        problems = [*result_problems(self.result, written)]
        if problems:
            raise TeamError.of(problems)
        return self
