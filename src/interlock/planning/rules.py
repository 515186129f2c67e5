"""The planner `rules`: the first rule that a request fulfils chooses one of several plans, each proved beforehand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from interlock.core.bounds import DEFAULT_BOUNDS, Bounds
from interlock.core.conditions import holds_in
from interlock.core.naming import hint
from interlock.core.plan import Plan
from interlock.core.values import encode
from interlock.errors import InputError, TeamError
from interlock.team import Team
from interlock.team.plans import Chosen, Rule, chooses, of_plan, problems_of, rules_of

from .proposal import planned, proved

Function = Callable[[Mapping[str, Any]], Any]


class Choice(msgspec.Struct, frozen=True):
    """The team under the plan that a request has. plan: its name, "" for one that has none; why: in words."""

    team: Team
    plan: str
    why: str


class RulesPlanner:
    """Chooses among named plans by rules, in their order.

    default: the plan of requests that fulfil no rule; without one they are refused. Raises TeamError for a plan that
    the team can't follow, and for rules that name no plan: so it is known before any request comes.
    """

    def __init__(
        self, team: Team, plans: Mapping[str, Plan], rules: Sequence[Rule], default: str | None = None
    ) -> None:
        problems = [*problems_of(plans, rules, default)]
        self.rules, self.default, self.teams = tuple(rules), default, dict[str, Team]()
        for name, plan in plans.items():
            under = self.teams[name] = team.with_plan(plan, Chosen(name, self.why))
            try:
                assert under.rules.plan is plan
            except TeamError as error:
                problems += [of_plan(name, problem, _in(name, problem.place)) for problem in error.problems]
        if problems:
            raise TeamError.of(problems)

    def choose(self, request: Mapping[str, Any]) -> Choice:
        """The plan of a request. Raises InputError where no rule fits, and there is no default."""
        plan, why = self._chosen(request)
        return Choice(self.teams[plan], plan, why)

    def why(self, request: Mapping[str, Any]) -> str:
        """Why a request has its plan, in words."""
        return self._chosen(request)[1]

    def _chosen(self, request: Mapping[str, Any]) -> tuple[str, str]:
        for number, rule in enumerate(self.rules, 1):
            if all(holds_in(condition, request) for condition in rule.when):
                return rule.plan, f"rule {number}: {rule}"
        if self.default is None:
            tried = "; ".join(map(str, self.rules[:5]))
            fix = f"its rules ask for: {tried}" if tried else "give it rules, or a default"
            raise InputError("no rule chooses a plan for this request, and there is no default", fix=fix)
        return self.default, "no rule fits: the default"


def _in(plan: str, place: tuple[str, ...]) -> tuple[str, ...]:
    return ("plans", plan, *place[1:]) if place[:1] == ("plan",) else place


def planner_of(team: Team) -> RulesPlanner | None:
    """The rules that choose among the plans of a team, as it declares them; None where it declares none."""
    declared = team.planner
    if declared is None or not chooses(declared):
        return None
    return RulesPlanner(team, team.plans, rules_of(declared), declared.get("default"))


def under(team: Team, plan: str) -> Team:
    """The team under the one of its plans with this name; the team itself, where it has one plan, and "" is given.

    Raises InputError.
    """
    planner = planner_of(team)
    teams = {"": team} if planner is None else planner.teams
    if plan not in teams:
        named = f"the team has no plan {plan!r:.100}{hint(plan, teams)}" if plan else "the team has several plans"
        fix = f"name one: {', '.join(teams)}" if planner is not None else "it has one plan: name none"
        raise InputError(named, fix=fix)
    return teams[plan]


def choose(team: Team, request: Mapping[str, Any]) -> Choice:
    """The team under the plan that a request has: the team itself, where it has no rules. Raises InputError."""
    planner = planner_of(team)
    return Choice(team, "", "") if planner is None else planner.choose(request)


class FunctionPlanner:
    """Has a function of the user's make the plan: it gets the request, and returns a Plan or a proposal.

    What it returns is validated as what an agent proposes is: a function may have read it somewhere.
    """

    def __init__(self, team: Team, function: Function, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.team, self.function, self.bounds = team, function, bounds

    def choose(self, request: Mapping[str, Any]) -> Choice:
        """The plan of a request. Raises ProposalRefused, InputError, and what the function raises."""
        copy = msgspec.json.decode(encode(dict(request), self.team.limits, self.team.limits.context_bytes_max))
        made = self.function(copy)
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        if isinstance(made, Plan):
            return Choice(proved(made, self.team, self.bounds), "", f"made by {name}")
        if not isinstance(made, bytes | Mapping):
            raise InputError(
                f"the planner {name} returned a {type(made).__name__}",
                fix="return a Plan, or a proposal as bytes or an object",
            )
        return Choice(planned(made, self.team, self.bounds), "", f"proposed by {name}")
