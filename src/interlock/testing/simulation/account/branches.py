"""What must be true of requests, kept by other means than the machine's: who may make them, and what they lead to."""

from interlock.core.events import BranchRequested
from interlock.core.job import Request
from interlock.core.rules import Rules
from interlock.core.step import Step

from .broken import Require


class BranchesAccount:
    """The branches of one run, by their declared ids, and which of them were requested."""

    def __init__(self, rules: Rules, require: Require) -> None:
        self._rules, self._require = rules, require
        self._branches = {branch for step in rules.plan.declared for branch in step.on_request.values()}
        self._requested: set[str] = set()

    def hear(self, step: Step, agent: str, request: BranchRequested) -> None:
        """An agent's commit in a step came with a request."""
        allowed = request.action in self._rules.roles[agent].scope.allowed_actions
        self._require("requests", allowed, f"{agent} requests {request.action}, which is none of its actions")
        branch = step.on_request.get(request.action)
        self._require("requests", branch == request.step, f"{step.id} runs {request.step}, which is no branch of it")
        fits = request.to == self._agent(request.step)
        self._require("requests", fits, f"{step.id} requests {request.step} of {request.to}, who doesn't do it")
        self._requested.add(request.step)

    def meant(self, step: Step, request: Request | None) -> tuple[str, str] | None:
        """Which action and which branch a reply requests, if that can be."""
        branch = None if request is None else step.on_request.get(request.action)
        if request is None or branch is None or request.to not in {branch, self._agent(branch)}:
            return None
        return request.action, branch

    def is_wanted(self, step: Step) -> bool:
        """Whether a step may run as far as requests go."""
        if not self._branches:
            return True
        declared = self._rules.plan.declared_id[step.id]
        return declared not in self._branches or declared in self._requested

    def _agent(self, branch: str) -> str:
        return next(step.agent or branch for step in self._rules.plan.declared if step.id == branch)
