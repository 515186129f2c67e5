"""How the plan of a run grows: by decisions, and by the steps that they add."""

from collections.abc import Sequence

from msgspec import Raw

from . import events as e
from .extended import ExtendedRules
from .grown import decoded
from .rules import Rules
from .states import TERMINAL
from .step import Step
from .waiting import Waiting


class Revising(Waiting):
    """The steps of a run whose plan may grow.

    decisions: the numbers of the steps that decide about it; additions: those that each of them has added. finished:
    whether one has said that nothing more is to be done.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.decisions: list[int] = []
        self.additions: list[range] = []
        self.finished = False
        # Who was asked to do what, and shown what: the steps in which that was so.
        self._tasks: dict[tuple[str, str, str, str], list[int]] = {}
        # A decision that is taken, and not carried out yet: what was decided.
        self._decided: Raw | None = None

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
        grown = self._grow([step.deciding()])
        self.decisions += grown
        self.additions.append(range(0))
        self._move(grown.start, "ready")  # whatever became of all the others

    def _plan_revised(self, event: e.PlanRevised) -> None:
        self._decided = None
        self.finished = event.finished
        added = decoded(event.added)
        if added:
            grown = self._grow(added)
            self.additions[-1] = grown
            for n in grown:
                if not self._lacking[n]:
                    self._move(n, "ready")  # its decision has committed, and nothing that it needs has failed the run
