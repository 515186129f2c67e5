"""The planner `rules`: the first rule that a request fulfils chooses one of several plans, each proved beforehand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from interlock.core.bounds import DEFAULT_BOUNDS, Bounds
from interlock.core.conditions import holds_in
from interlock.core.naming import hint, is_id
from interlock.core.plan import Plan
from interlock.core.step import Condition
from interlock.core.values import encode
from interlock.errors import InputError, TeamError
from interlock.team import Team

from .proposal import planned, proved

RULES_MAX = 1_000

Function = Callable[[Mapping[str, Any]], Any]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which plan a request has that fulfils all of these conditions."""

    plan: str
    when: Sequence[Condition] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.when)) or "any request"


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
        problems = [*_problems(plans, rules, default)]
        self.rules, self.default, self.teams = tuple(rules), default, dict[str, Team]()
        for name, plan in plans.items():
            under = self.teams[name] = team.with_plan(plan)
            try:
                assert under.rules.plan is plan
            except TeamError as error:
                problems += [_of_plan(name, problem) for problem in error.problems]
        if problems:
            raise TeamError.of(problems)

    def choose(self, request: Mapping[str, Any]) -> Choice:
        """The plan of a request. Raises InputError where no rule fits, and there is no default."""
        for number, rule in enumerate(self.rules, 1):
            if all(holds_in(condition, request) for condition in rule.when):
                return Choice(self.teams[rule.plan], rule.plan, f"rule {number}: {rule}")
        if self.default is None:
            tried = "; ".join(map(str, self.rules[:5]))
            fix = f"its rules ask for: {tried}" if tried else "give it rules, or a default"
            raise InputError("no rule chooses a plan for this request, and there is no default", fix=fix)
        return Choice(self.teams[self.default], self.default, "no rule fits: the default")


def _problems(plans: Mapping[str, Plan], rules: Sequence[Rule], default: str | None) -> list[TeamError]:
    found = [
        TeamError(f"{name!r:.100} is no name of a plan", fix="use letters, digits, _ and -", place=("plans",))
        for name in plans
        if not is_id(name)
    ]
    if len(rules) > RULES_MAX:
        found.append(TeamError(f"there are {len(rules):,} rules, more than {RULES_MAX:,}", place=("planner", "rules")))
    named: list[tuple[tuple[str, ...], str]] = []
    for number, rule in enumerate(rules[:RULES_MAX]):
        named.append((("planner", "rules", str(number), "plan"), rule.plan))
    if default is not None:
        named.append((("planner", "default"), default))
    for place, name in named:
        if name not in plans:
            message = f"there is no plan {name!r:.100}{hint(name, plans)}"
            found.append(TeamError(message, fix=f"the plans: {', '.join(plans)}", place=place))
    return found


def _of_plan(name: str, problem: TeamError) -> TeamError:
    place = ("plans", name, *problem.place[1:]) if problem.place[:1] == ("plan",) else problem.place
    return type(problem)(
        f"plan {name}: {problem.sentence}", fix=problem.fix, place=place, agents=problem.agents, paths=problem.paths
    )


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
