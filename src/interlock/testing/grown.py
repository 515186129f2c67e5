"""What the test tools make of steps that were added to the plan of a run, which they hear of by jobs alone."""

from interlock.core.extended import ExtendedRules
from interlock.core.job import Job
from interlock.core.plan import Plan
from interlock.core.rules import Rules
from interlock.core.step import Step
from interlock.core.supervision import is_decision


class GrownRules:
    """The rules for jobs of a run whose plan has grown, which its agents are not told.

    What the team's plan doesn't have is as good as a step after all of it that writes what the job may write.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[tuple[str, str], Rules] = {}

    def of(self, job: Job) -> Rules:
        """The rules that have this job's step."""
        return self._rules if self._rules.supervisor is None else self._of(job.step, job.agent, job)

    def _of(self, step: str, agent: str, job: Job) -> Rules:
        plan = self._rules.plan
        if step in plan.number or step.rpartition("-")[0] in plan.number:
            return self._rules
        known = self._known.get((step, agent))
        if known is None:
            writes = () if is_decision(step) else job.writes
            added = Step(step, agent, job.action, instructions=job.instructions, writes=writes)
            known = self._known[step, agent] = ExtendedRules(self._rules, [added], len(plan.steps))
        return known


def declared_step(plan: Plan, step: str) -> str:
    """The id that a step is declared by in the team's plan; of one that was added, its own."""
    try:
        return plan.declared_id[plan.steps[plan.number_of(step)].id]
    except KeyError:
        return step
