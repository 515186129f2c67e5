"""Who does each step of a team's plan, and what each of them may see and write in it: duties, compiled once."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from . import paths
from .branches import branches_of
from .budget import BudgetPolicy, budget_of, for_run
from .effects import EffectRule, effect_of
from .guardrail import THRESHOLD_DEFAULT, Guardrail, Judge, Panel, Seat
from .idle import looks_at
from .job import Request
from .outsiders import asks_person, by_itself
from .plan import Plan
from .policy import Escalation, duration_ms
from .role import NOBODY, Duty, Role, stand_ins
from .schema import WritesSchema
from .scope import Sharing, Sight
from .states import OnDead
from .step import INDEX, Step
from .values import encode

# What a judge answers, instead of what it may write in steps of its own.
JUDGEMENT: dict[str, Any] = {
    "properties": {
        "score": {"type": "number", "minimum": 0, "maximum": 1, "description": "1: nothing speaks against the draft."},
        "findings": {
            "type": "array",
            "maxItems": 20,
            "items": {"type": "string", "maxLength": 2_000},
            "description": "What is wrong with it: sentences that tell its author what to do.",
        },
    },
    "required": ["score"],
}


class Duties:
    """The agents of a team, each with its part in every step.

    By plan numbers, and made once a run needs them: duties, first_duties, on_dead, escalations.
    """

    _schemas: dict[str, tuple[WritesSchema, ...]]

    def __init__(
        self,
        plan: Plan,
        roles: Mapping[str, Role],
        sharing: Sharing | None,
        budget: BudgetPolicy | None,
        effects: Mapping[str, EffectRule],
    ) -> None:
        self.plan, self.roles, self.budget = plan, dict(roles), budget
        self._declared_effects = tuple(effects)
        self._seats: dict[tuple[str, str], list[Seat]] = {}
        self.sharing = msgspec.structs.replace(sharing or Sharing(), stand_ins=stand_ins(self.roles))
        self._sights = {name: Sight(role.scope.readable) for name, role in roles.items()}
        self._readable = {name: paths.Patterns(role.scope.readable) for name, role in roles.items()}
        self._permitted = {name: paths.Patterns(tuple(role.scope.write_permissions)) for name, role in roles.items()}

    def chain(self, agent: str) -> tuple[str, ...]:
        """An agent and those that stand in for it, in the order in which they are tried; nobody does a wait."""
        if not agent:
            return ()
        return (agent, *self.sharing.stand_ins.get(agent, ()))

    def duty(self, step_id: str, agent: str) -> Duty:
        """The part of an agent in a step or an item, be it as a fallback. Raises KeyError where it has none."""
        for duty in self.duties[self.plan.number_of(step_id)]:
            if duty.agent == agent:
                return duty
            for judge in (judge for bench in duty.judges.values() for judge in bench):
                if judge.agent == agent:
                    return judge
        raise KeyError(agent)

    @cached_property
    def duties(self) -> list[tuple[Duty, ...]]:
        """Who does each step: its agent, then that agent's fallbacks."""
        return [(), *(self._duties(step) for step in self.plan.steps[1:])]

    @cached_property
    def first_duties(self) -> list[Duty]:
        """The first of each; nobody does number 0, the request, so that one means nothing."""
        return [(duties or (NOBODY,))[0] for duties in self.duties]

    @cached_property
    def escalations(self) -> list[Escalation | None]:
        """When each step asks a person."""
        return [None, *map(self.escalation, self.plan.steps[1:])]

    @cached_property
    def on_dead(self) -> list[OnDead]:
        """What it means for the run that nobody could do a step."""
        return ["fail_run", *(step.on_dead or self._on_dead(step) for step in self.plan.steps[1:])]

    def _on_dead(self, step: Step) -> OnDead:
        return "fail_run" if step.by_itself else self.roles[step.agent].on_dead

    def _duties(self, step: Step) -> tuple[Duty, ...]:
        if step.by_itself:
            return (by_itself(step),)
        return tuple(self._duty(step, agent) for agent in self.chain(step.agent))

    def _duty(self, step: Step, agent: str) -> Duty:
        role = self.roles[agent]
        given = {"timeout_ms": step.timeout, "backoff_ms": step.backoff, "retry_for_ms": step.retry_for}
        changed: dict[str, Any] = {name: duration_ms(text) for name, text in given.items() if text is not None}
        if step.retries is not None:
            changed["retries"] = step.retries
        policy = msgspec.structs.replace(role.policy, **changed) if changed else role.policy
        schemas = (*self._schemas[agent], *compiled(step.schema))
        writable = role.scope.write_permissions if step.writes is None else step.writes
        templated = any(INDEX in pattern for pattern in writable)
        texts = tuple(encode(schema).decode() for schema in (role.schema, step.schema) if schema is not None)
        sight, patterns = self._sight(step, agent), paths.Patterns(tuple(writable))
        budgets = tuple(self._budgets(step, agent))
        panel = self._panel(step, agent)
        effects = tuple(action for action in role.scope.allowed_actions if action in self._declared_effects)
        tools = tuple(effect_of(agent, tool) for tool in role.tools)
        branches = branches_of(step, self.plan, role.scope)
        return Duty(
            agent,
            sight,
            patterns,
            policy,
            schemas,
            templated,
            texts,
            panel,
            role.gate,
            budgets,
            effects,
            role.immediate,
            tools,
            branches,
            tuple(Request(branch.action, branch.to) for branch in branches),
            {} if panel is None else {name: self._bench(judge, step) for name, judge in panel.judges.items()},
            role.nested,
        )

    def _bench(self, judge: Judge, step: Step) -> tuple[Duty, ...]:
        """Who may judge the replies of a step: each sees what its scope lets it, and writes a judgement alone."""
        schema, text = WritesSchema(JUDGEMENT), encode(JUDGEMENT).decode()
        return tuple(
            Duty(
                agent,
                self._sights[agent],
                paths.Patterns(tuple(JUDGEMENT["properties"])),
                self.roles[agent].policy,
                (schema,),
                schema_texts=(text,),
                gate=self.roles[agent].gate,
                budgets=tuple(self._budgets(msgspec.structs.replace(step, budget=None), agent)),
            )
            for agent in self.chain(judge.agent)
        )

    def _budgets(self, step: Step, agent: str) -> Iterator[tuple[str, str, BudgetPolicy]]:
        """The budgets of one run that a call draws on."""
        of_step, role = None if step.budget is None else budget_of(step.budget), self.roles[agent]
        for kind, whose, budget in (
            ("run_budget", "", self.budget),
            ("agent_budget", f"agent {agent}", role.budget if role.nested is None else None),
            ("step_budget", f"step {self.plan.declared_id[step.id]}", of_step),
        ):
            if budget is not None:
                yield kind, whose, budget if role.nested is None else for_run(budget, role.budget)

    def _panel(self, step: Step, agent: str) -> Panel | None:
        """The agent's guardrails that have something to look at in this step, and the step's own."""
        role = self.roles[agent]
        patterns = role.scope.write_permissions if step.writes is None else step.writes
        seats = [seat for seat in self._seats["agents", agent] if looks_at(seat, patterns)]
        seats += self._seats.get(("plan", self.plan.declared_id[step.id]), [])
        threshold = next((t for t in (step.threshold, role.threshold) if t is not None), THRESHOLD_DEFAULT)
        return Panel(seats, threshold) if seats else None

    def escalation(self, step: Step) -> Escalation | None:
        """When a step asks a person: as it declares, else as its agent does."""
        if step.reconcile is not None:
            return asks_person(step)
        if step.waits:
            return None
        return self.roles[step.agent].escalation if step.escalate is None else Escalation.of(step.escalate)

    def _sight(self, step: Step, agent: str) -> Sight:
        """What an agent may read in a step: its scope, cut to the step's own reads."""
        if step.reads is None:
            return self._sights[agent]
        readable = self.roles[agent].scope.readable
        shared = (paths.intersection(read, pattern) for read in step.reads for pattern in readable)
        return Sight([pattern for pattern in shared if pattern is not None], narrowed=True)

    def _writable(self, step: Step, agent: str) -> Sequence[str]:
        return self.roles[agent].scope.write_permissions if step.writes is None else step.writes

    def may_write(self, step: Step) -> tuple[str, ...]:
        """Every pattern that some agent of a step may write in it."""
        if step.writes is not None:
            return tuple(step.writes)
        patterns = (p for agent in self.chain(step.agent) for p in self.roles[agent].scope.write_permissions)
        return tuple(dict.fromkeys(patterns))

    def judges(self) -> Iterator[tuple[tuple[str, str], int, Judge]]:
        """All judges, each with the agent or step that declares it, and its place there."""
        for place, seats in self._seats.items():
            for number, seat in enumerate(seats):
                if isinstance(seat.guardrail, Judge):
                    yield place, number, seat.guardrail

    def guardrails(self) -> Iterator[tuple[tuple[str, ...], Guardrail]]:
        """All of them, each with its place."""
        for (section, name), seats in self._seats.items():
            for number, seat in enumerate(seats):
                yield (section, name, "guardrails", str(number)), seat.guardrail


def compiled(schema: Mapping[str, Any] | None) -> tuple[WritesSchema, ...]:
    """A schema that may not be declared, ready to check with."""
    return () if schema is None else (WritesSchema(schema),)
