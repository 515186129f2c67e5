"""A person approves a plan: before anything of it runs, or what an agent has decided about it."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from . import commands as c
from . import events as e
from .decision import Asked
from .delegating import Delegating
from .job import Question
from .rules import Rules
from .step import Step

STEPS_TOLD_MAX = 8


class Approving(Delegating):
    """The steps of a run whose plan a person may have to approve.

    approval: that this is so. rejected: why nothing of its plan may run.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.approval: e.PlanApproval | None = None
        self.rejected = ""
        # The step at which a person is asked about the run's own plan, while nobody has answered.
        self._gate = 0
        # What follows next: the question at that step; and the commits of decisions that a person has approved or made.
        self._agreed: dict[int, e.AttemptCommitted | None] = {}

    @property
    def waits_for_approval(self) -> bool:
        """Whether a person has not said yet that the run's own plan may run."""
        return self._gate > 0

    def _begin(self, approval: e.PlanApproval | None) -> None:
        """All steps that need nothing are ready; one alone, where a person is asked before they are."""
        self.approval = approval
        free = [n for n in range(1, len(self.state)) if not self._lacking[n]]
        if approval is not None and free:
            self._gate = free[0]
            self._agreed[free[0]] = None
            free = free[:1]
        for n in free:
            self._move(n, "ready")

    def _approval(self, n: int) -> c.AskAboutPlan | c.ConcludeDraft:
        """A person is asked whether the run's own plan may run; or a decision is committed that one has approved."""
        agreed = self._agreed[n]
        if agreed is not None:
            return c.ConcludeDraft(agreed)
        assert self.approval is not None
        steps = [self.plan.steps[number] for number in self.plan.number.values()]
        hashed = Raw(msgspec.json.encode(self.plan.hash))
        return c.AskAboutPlan(self.step_id(n), about_plan(steps), self.approval.deadline_ms, hashed)

    def _plan_agreed(self, n: int, event: e.QuestionAnswered) -> None:
        """A person has approved a plan, or has decided in the place of an agent."""
        self._move(n, "ready")
        if n in self.decisions:
            told = (event.at_us, event.step, event.attempt, event.writes)
            self._agreed[n] = e.AttemptCommitted(*told, reads=event.reads, output=event.plan)
            return
        self._gate = 0
        del self._agreed[n]
        for other in range(1, len(self.state)):
            if self.state[other] == "waiting" and not self._lacking[other]:
                self._move(other, "ready")

    def _plan_rejected(self, reason: str) -> None:
        """Nothing of the plan ever runs."""
        self._gate, self.rejected, self._open = 0, f"its plan was not approved: {reason}", 0
        self._agreed.clear()
        for n in range(1, len(self.state)):
            self._move(n, "cancelled")


def about_plan(steps: Sequence[Step]) -> Question:
    """The question whether a plan may run."""
    count = f"{len(steps):,} step" + ("" if len(steps) == 1 else "s")
    return Question(f"May this plan run? {count}: {_told(steps)}")


def about_itself(steps: Sequence[Step]) -> Question:
    """The question whether an agent that decides may give itself work."""
    return Question(f"May it give work to itself? {_told(steps)}")


def _told(steps: Sequence[Step]) -> str:
    names = [f"{step.id} ({step.agent}.{step.action})" if step.agent else step.id for step in steps[:STEPS_TOLD_MAX]]
    more = f" and {len(steps) - STEPS_TOLD_MAX:,} more" if len(steps) > STEPS_TOLD_MAX else ""
    return ", ".join(names) + more


def asked_first(taken: e.AttemptCommitted, question: Question, due_us: int) -> e.QuestionAsked:
    """A decision that may be taken waits for a person."""
    asked = (taken.at_us, taken.step, taken.attempt, question, taken.usage, taken.reads, due_us)
    return e.QuestionAsked(*asked, plan=taken.output)


def is_own(asked: Asked) -> bool:
    """Whether a question about a plan is about the run's own, and not about a decision."""
    return asked.about_plan and not asked.attempt
