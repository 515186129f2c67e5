"""How the plan of a run grows: by decisions, and by the steps that they add."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from . import events as e
from .extended import ExtendedRules
from .grown import decoded
from .rules import Rules
from .states import TERMINAL, OnDead
from .step import Step
from .waiting import Waiting


class Revising(Waiting):
    """The steps of a run whose plan may grow.

    decisions: the numbers of the steps that decide about it; additions: those that each of them has added. finished:
    whether one has said that nothing more is to be done.
    """

    approval: e.PlanApproval | None
    _to_escalate: set[int]

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.additions: list[range] = []
        self.finished = False
        # Who was asked to do what, and shown what: the steps in which that was so.
        self._tasks: dict[tuple[str, str, str, str], list[int]] = {}
        # A decision that is taken, and not carried out yet: what was decided.
        self._decided: Raw | None = None
        # Whether it is decided after each step; and how many had ended when it was looked at last.
        self._each = rules.supervisor is not None and rules.supervisor.ask == "each"
        self._ended_before = 1

    def _grow(self, added: Sequence[Step]) -> range:
        """Go on under a plan with these steps; their numbers."""
        first = len(self.state)
        self.rules = ExtendedRules(self.rules, added, first)
        plan = self.plan = self.rules.plan
        grown = range(first, len(plan.steps))
        self.number = {**self.number, **{plan.steps[n].id: n for n in grown}}
        self.label.extend(grown)
        self.state += ["waiting"] * len(grown)
        self.attempts += [0] * len(grown)
        self._lacking += [0] * (first - len(self._lacking))
        for n in grown:
            self._lacking.append(sum(self.state[need] not in TERMINAL for need in plan.needs[n]))
            for event in self.shared_effects.pop(plan.steps[n].id, ()):
                self.ledger.take_over(n, event)
        self._open += len(grown)
        return grown

    def _note_task(self, n: int, event: e.AttemptStarted | e.ChildStarted) -> None:
        step = self.plan.steps[n]
        self._tasks.setdefault((event.agent, step.action, step.instructions, event.view), []).append(n)

    def repeated(self, n: int, agent: str, view: str) -> str:
        """The step that an added one repeats: the same agent did the same before it, and was shown the same; or ""."""
        step, before = self.plan.steps[n], self.plan.ancestors[n]
        if not any(n in added for added in self.additions):
            return ""
        same = self._tasks.get((agent, step.action, step.instructions, view), ())
        return next((self.plan.steps[other].id for other in same if before >> other & 1), "")

    def _decision_called(self, event: e.DecisionCalled) -> None:
        policy = self.rules.supervisor
        assert policy is not None, f"{event.step}: nobody decides about this run"
        step = Step(event.step, policy.agent, policy.action, event.needs, instructions=policy.instructions)
        # What nobody has approved, be it the last resort, doesn't run where a person must.
        goes_on: OnDead | None = "continue" if policy.last_resort and self.approval is None else None
        grown = self._grow([msgspec.structs.replace(step.deciding(), on_dead=goes_on)])
        n = grown.start
        self.decisions.append(n)
        self.additions.append(range(0))
        self._move(n, "ready")  # whatever became of all the others
        self._ended_before = self._ended
        if event.reason:
            self.reasons[n] = event.reason
            self._to_escalate.add(n)

    @property
    def _ended(self) -> int:
        """How many steps and items have ended, and some more: it grows with each that does."""
        return len(self.state) - self._open

    def _has_news(self) -> bool:
        """Whether a step was done or given up since the last decision was called, and no decision is under way."""
        if self._ended == self._ended_before or self.finished:
            return False
        if self.decisions and self.state[self.decisions[-1]] not in TERMINAL:
            return False
        known = self.plan.ancestors[self.decisions[-1]] if self.decisions else 0
        news = (n for n in self.plan.number.values() if not known >> n & 1 and n not in self.decisions)
        if any(self.state[n] in {"committed", "dead"} for n in news):
            return True
        self._ended_before = self._ended
        return False

    def _plan_revised(self, event: e.PlanRevised) -> None:
        self._decided = None
        self.finished = event.finished
        for step in event.dropped:
            self._dropped.setdefault(self.number[step], event.step)
            self._all_committed = False
        added = decoded(event.added)
        if added:
            grown = self._grow(added)
            self.additions[-1] = grown
            for n in grown:
                if not self._lacking[n]:
                    self._move(n, "ready")  # its decision has committed, and nothing that it needs has failed the run
