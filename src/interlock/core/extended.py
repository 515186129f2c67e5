"""The rules of a run whose plan has grown: those of its team, and the same proofs for what was added."""

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import chain
from typing import Any

import msgspec

from interlock.errors import TeamError

from . import paths
from .grown import NOBODYS, GrownPlan
from .plan import Plan
from .role import NOBODY, Duty
from .rules import Rules
from .states import OnDead
from .step import Step
from .supervision import DECISION, is_decision
from .values import encode

_NOTHING = paths.Patterns(())
_DECISION_TEXT = encode(DECISION).decode()


class ExtendedRules(Rules):
    """Rules under a plan with more steps, from the number `first` on; the others keep all that they had.

    They are made without proof, since what is journaled was proved: `problems` is the proof. Raises PlanError.
    """

    def __init__(self, rules: Rules, added: Sequence[Step], first: int) -> None:
        vars(self).update(vars(rules))
        count = len(rules.plan.steps)
        gap = first - count
        self.plan: Plan = GrownPlan(rules.plan, added, first)
        new = self.plan.steps[first:]
        duties = [self._duties_of(step) for step in new]
        self.duties = [*rules.duties, *[()] * gap, *duties]
        self.first_duties = [*rules.first_duties, *[NOBODY] * gap, *(mine[0] for mine in duties)]
        self.escalations = [*rules.escalations, *[None] * gap, *map(self.escalation, new)]
        nobodys: list[OnDead] = ["fail_run"] * gap
        self.on_dead = [
            *rules.on_dead,
            *nobodys,
            *(step.on_dead or self._on_dead(step) for step in new),
        ]

    def _duties_of(self, step: Step) -> tuple[Duty, ...]:
        duties = self._duties(step)
        return tuple(map(_deciding, duties)) if is_decision(step.id) else duties

    def answering(self, agent: str) -> Duty:
        """The part of an agent that ends a run by a decision: it may write what its scope lets it."""
        writable, schemas = self._permitted[agent], self._schemas[agent]
        return msgspec.structs.replace(NOBODY, agent=agent, writable=writable, schemas=schemas)

    def problems(self) -> Iterator[TeamError]:
        """What is wrong with the whole plan as it is now: what a plan must keep in which decisions write nothing."""
        proved: Any = copy(self)
        proved.plan = plan = copy(self.plan)
        plan.steps = tuple(NOBODYS if is_decision(step.id) else step for step in plan.steps)
        plan.declared = [step for step in plan.declared if not is_decision(step.id)]
        yield from chain(proved._step_problems(), proved._plan_problems())  # noqa: SLF001 - a copy of its own kind


def _deciding(duty: Duty) -> Duty:
    """An agent that decides sees what its scope lets it, and writes a decision alone."""
    alone: dict[str, Any] = {"panel": None, "effects": (), "branches": (), "requests": (), "judges": {}}
    return msgspec.structs.replace(duty, writable=_NOTHING, schemas=(), schema_texts=(_DECISION_TEXT,), **alone)
