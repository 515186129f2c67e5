"""Several plans of one team, and the rules by which a request chooses among them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.core.conditions import implies
from interlock.core.naming import hint, is_id
from interlock.core.plan import Plan
from interlock.core.step import Condition
from interlock.core.supervision import CHOOSES
from interlock.errors import TeamError

RULES_MAX = 1_000
PLANS_MAX = 1_000


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which plan a request has that fulfils all of these conditions."""

    plan: str
    when: Sequence[Condition] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.when)) or "any request"


class Chosen(msgspec.Struct, frozen=True):
    """The name of the plan that a team was put under; why: says for a request which rule has chosen it."""

    plan: str
    why: Callable[[Mapping[str, Any]], str]


def chooses(planner: Mapping[str, Any] | None) -> bool:
    """Whether a planner, as it is declared, is rules, and no agent."""
    return planner is not None and not planner.keys().isdisjoint(CHOOSES)


def rules_of(planner: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The declared rules: `when` is one condition or several."""
    return tuple(Rule(rule["plan"], _conditions(rule.get("when", ()))) for rule in planner.get("rules", ()))


def _conditions(when: Any) -> tuple[Condition, ...]:
    listed = [when] if isinstance(when, Mapping | Condition) else when
    return tuple(one if isinstance(one, Condition) else Condition(**one) for one in listed)


def problems_of(plans: Mapping[str, Plan], rules: Sequence[Rule], default: str | None) -> Iterator[TeamError]:
    """Plans and rules that name nothing."""
    for name in plans:
        if not is_id(name):
            message = f"{name!r:.100} is no name of a plan"
            yield TeamError(message, fix="use letters, digits, _ and -", place=("plans",))
    if len(rules) > RULES_MAX:
        yield TeamError(f"there are {len(rules):,} rules, more than {RULES_MAX:,}", place=("planner", "rules"))
    named: list[tuple[tuple[str, ...], str]] = []
    for number, rule in enumerate(rules[:RULES_MAX]):
        named.append((("planner", "rules", str(number), "plan"), rule.plan))
    if default is not None:
        named.append((("planner", "default"), default))
    for place, name in named:
        if name not in plans:
            message = f"there is no plan {name!r:.100}{hint(name, plans)}"
            yield TeamError(message, fix=f"the plans: {', '.join(plans)}", place=place)


def of_plan(name: str, problem: TeamError, place: tuple[str, ...]) -> TeamError:
    """What is wrong with one of several plans."""
    about = f"plan {name}: {problem.sentence}"
    return type(problem)(about, fix=problem.fix, place=place, agents=problem.agents, paths=problem.paths)


def idle_rules(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """Rules that can never choose, by their number, and why: an earlier one has whatever they could have."""
    for number, rule in enumerate(rules):
        mine: dict[str, list[Condition]] = {}
        for condition in rule.when:
            mine.setdefault(condition.path, []).append(condition)
        for before, earlier in enumerate(rules[:number]):
            if all(any(implies(one, asked) for one in mine.get(asked.path, ())) for asked in earlier.when):
                yield number, f"rule {before + 1} ({earlier}) is fulfilled whenever it is"
                break


def unchosen(plans: Mapping[str, Plan], rules: Sequence[Rule], named: Sequence[str]) -> list[str]:
    """The plans that nobody chooses. named: those that are named beside rules."""
    idle = {number for number, _ in idle_rules(rules)}
    chosen = {*named, *(rule.plan for number, rule in enumerate(rules) if number not in idle)}
    return [name for name in plans if name not in chosen]
