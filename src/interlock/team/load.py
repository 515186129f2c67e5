"""Load a team file: read it, hold it against the tables, build what it declares, prove it.

All that is wrong is reported at once, each problem with file, line and key. A later stage judges only what the earlier
ones left whole, so that one mistake isn't reported twice under other names.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from interlock.core import paths
from interlock.core.plan import Phase, Plan
from interlock.core.rules import PROBLEMS_MAX, Rules
from interlock.core.scope import Sharing
from interlock.core.step import Condition, Step
from interlock.core.values import Limits
from interlock.errors import InterlockError, TeamError

from .agent import Agent
from .costs import unpriced
from .guarding import guard
from .instructions import inlined
from .model import Team
from .nesting import Nesting, opened
from .plans import of_plan
from .shapes import Place, placed
from .source import Source, read
from .steps import STEP
from .tables import AGENT, LIMITS, SCOPE_KEYS, TEAM
from .templates import expanded

TEAM_FILE = "team.yaml"
NAMES_SHOWN = 5

Built = TypeVar("Built")


class Draft(msgspec.Struct):
    """What could be made of a team file, and all that is wrong with it. A team without problems is whole and proved."""

    agents: dict[str, Agent] = {}
    plan: Plan | None = None
    team: Team | None = None
    source: Source | None = None
    problems: list[TeamError] = []


def load(path: str | Path, nesting: Nesting | None = None) -> Team:
    """The team of a file, or of the `team.yaml` in a folder. Raises TeamError with every problem found.

    nesting: the teams that it is nested in.
    """
    draft = draft_of(path, nesting)
    if draft.problems:
        raise TeamError.of(draft.problems)
    assert draft.team is not None
    return draft.team


def draft_of(path: str | Path, nesting: Nesting | None = None) -> Draft:
    """Make what can be made of a team file; never raises for what is in it. nesting: the teams that it is nested in."""
    try:
        found = _file(path)
        source, unfilled = expanded(_with_agents_on_top(read(found)))
        source = msgspec.structs.replace(source, steps={step["id"]: place for place, step in _steps(source.data)})
    except TeamError as error:
        return Draft(problems=[error])
    draft = Draft(source=source)
    problems = [*unfilled, *islice(TEAM.problems(source.data, ()), PROBLEMS_MAX), *_doubled_ids(source)]
    later = _build(draft, _Sections(source.data, problems), nesting or Nesting((found.resolve(),)))
    draft.problems = _located([*problems, *(_in_file(p, source) for p in later)], source)
    return draft


def _file(named: str | Path) -> Path:
    try:
        path = Path(named)
        str(path).encode()
        is_folder = path.is_dir()
    except (TypeError, ValueError, OSError) as error:
        raise TeamError(
            f"{named!r:.100} names no file: {error!s:.200}", fix="name a team file, or its folder"
        ) from error
    if is_folder:
        path /= TEAM_FILE
        if not path.exists():
            raise TeamError(f"the folder has no {TEAM_FILE}", fix=_instead(path.parent), file=str(path.parent))
    return path


def _instead(folder: Path) -> str:
    """What may be named where a folder has no team file."""
    names = sorted(path.name for suffix in ("*.yaml", "*.yml") for path in folder.glob(suffix))
    if not names:
        return f"name the folder of a team, or write {folder / TEAM_FILE}; to see a team at work: interlock demo"
    more = f" ({len(names) - NAMES_SHOWN:,} more)" if len(names) > NAMES_SHOWN else ""
    return f"name a team file: {', '.join(str(folder / name) for name in names[:NAMES_SHOWN])}{more}"


def _with_agents_on_top(source: Source) -> Source:
    """A bare scope file maps agents to their scopes; read it as a team file that has nothing but agents."""
    data = source.data
    bare = (
        isinstance(data, dict)
        and data
        and "agents" not in data
        and all(isinstance(value, dict) and not value.keys().isdisjoint(SCOPE_KEYS) for value in data.values())
    )
    if not bare:
        return source
    return Source(source.file, {"agents": data}, {("agents", *place): line for place, line in source.lines.items()})


class _Sections:
    """The sections of the file that nothing is wrong with that another judgement could build on."""

    def __init__(self, data: Any, problems: list[TeamError]) -> None:
        self._data = data if isinstance(data, dict) else {}
        self._broken: set[str] = set()
        for problem in problems:
            lone = _lone(problem.place)
            if lone is not None:
                self._data = _without(self._data, lone)
            else:
                self._broken.add(problem.place[0] if problem.place else "agents")

    def has(self, *sections: str) -> bool:
        """Whether none of these sections is broken."""
        return self._broken.isdisjoint(sections)

    def section(self, name: str) -> Any:
        """A section without its lone mistakes; an empty one where there is none."""
        return self._data.get(name, {})


def _lone(place: Place) -> Place | None:
    """The whole value that a place lies in, if nothing else is judged by it."""
    match place:
        case ("agents", _, key, *inner):
            record = AGENT
        case ("plan", _, "steps", _, key, *inner) | ("plan", _, key, *inner):
            record = STEP
        case ("limits", key, *inner):
            record = LIMITS
        case (key, *inner):
            record = TEAM
        case _:
            return None
    lone = key in record.later or (key in record.fields and record.fields[key].lone)
    return place[: len(place) - len(inner)] if lone else None


def _without(data: Any, place: Place) -> Any:
    """A copy of the data without what stands at a place; a broken list is left out whole."""
    key, *rest = place
    if isinstance(data, list):
        return [_without(item, tuple(rest)) if str(n) == key and rest else item for n, item in enumerate(data)]
    if not isinstance(data, dict) or key not in data:
        return data
    if rest and isinstance(data[key], dict | list):
        return {**data, key: _without(data[key], tuple(rest))}
    return {name: value for name, value in data.items() if name != key}


def _build(draft: Draft, sections: _Sections, nesting: Nesting) -> list[TeamError]:
    """Fill the draft; what goes wrong."""
    found: list[TeamError] = []
    limits = Limits(**sections.section("limits")) if sections.has("limits") else Limits()
    if sections.has("plan") and sections.section("plan"):
        draft.plan = _built(lambda: _plan(sections.section("plan"), limits), found)
    if not sections.has("agents", "reducers", "succession"):
        return found
    assert draft.source is not None
    folder = Path(draft.source.file).parent
    agents = sections.section("agents").items()
    built = [_built(partial(_agent, n, declared, folder, nesting), found) for n, declared in agents]
    draft.agents = {agent.name: agent for agent in built if agent is not None}
    if None in built:
        return found  # the steps of such an agent would be found to have none
    draft.team = _built(lambda: _team(draft, sections, limits), found)
    if draft.team is not None:
        draft.plan = draft.team.plan
        found += _plans_proved(draft.team, draft.source)
    if draft.plan is not None:
        rules = _built(lambda: draft.team.rules if draft.team else _rules(draft, sections), found)
        if draft.team and rules:
            found += unpriced(draft.agents, rules)
    return found


def _built(build: Callable[[], Built], found: list[TeamError]) -> Built | None:
    try:
        return build()
    except TeamError as error:
        found += error.problems
    except InterlockError as error:
        found.append(TeamError(error.message, fix=error.fix))
    return None


def _agent(name: str, declared: Mapping[str, Any], folder: Path, nesting: Nesting) -> Agent:
    return Agent.of(name, opened(name, inlined(name, declared, folder), folder, nesting, load))


def _team(draft: Draft, sections: _Sections, limits: Limits) -> Team:
    shared = {name: sections.section(name) for name in ("reducers", "succession", "mcp_servers", "effects")}
    keys = ("rate", "budget", "notify", "supervisor", "planner", "result")
    shared |= {name: sections.section(name) or None for name in keys}
    declared = sections.section("plans")
    if not sections.has("plans"):
        declared = shared["planner"] = None  # whose rules would be found to name plans that aren't there
    plans = {name: _plan_called(name, steps, limits, draft) for name, steps in (declared or {}).items()}
    shared["plans"] = plans
    team = Team([*draft.agents.values()], draft.plan, limits=limits, name=sections.section("name") or "", **shared)
    assert draft.source is not None
    return team.located(draft.source)


def _plan_called(name: str, items: list[Any], limits: Limits, draft: Draft) -> Plan:
    """One of several plans. Raises TeamError, whose places are those of the file."""
    try:
        return _plan(items, limits)
    except TeamError as error:
        raise _of_plan(name, error, draft.source) from error


def _plans_proved(team: Team, source: Source) -> list[TeamError]:
    """What is wrong with plans that requests choose."""
    found: list[TeamError] = []
    for name, plan in team.plans.items():
        try:
            assert team.with_plan(plan).rules.plan is plan
        except TeamError as error:
            found += _of_plan(name, error, source).problems
    return found


def _of_plan(name: str, error: TeamError, source: Source | None) -> TeamError:
    """The same problems where they stand in the file."""
    assert source is not None
    places = {step["id"]: place for place, step in _steps_in(("plans", name), source.data)}
    problems = []
    for problem in error.problems:
        place = problem.place
        if place[:1] == ("plan",):
            step = place[1] if len(place) > 1 else ""
            place = (*places.get(step, places.get(step.rpartition("-")[0], ("plans", name))), *place[2:])
        problems.append(of_plan(name, problem, place))
    return TeamError.of(problems)


def _rules(draft: Draft, sections: _Sections) -> Rules:
    """The proof over agents that are no team: it adds what is wrong with the plan."""
    assert draft.plan is not None
    reducers, succession = (
        {paths.canonical(path): value for path, value in sections.section(name).items()}
        for name in ("reducers", "succession")
    )
    return Rules(
        draft.plan,
        {name: agent.role for name, agent in draft.agents.items()},
        Sharing(reducers, succession),
        guard=guard(None),
    )


def _plan(items: list[Any], limits: Limits) -> Plan:
    return Plan(
        [
            Phase(item["phase"], [*map(_step, item["steps"])], item.get("rounds", 0))
            if "phase" in item
            else _step(item)
            for item in items
        ],
        steps_max=limits.steps_max,
    )


def _step(declared: Mapping[str, Any]) -> Step:
    condition = {"when": Condition(**declared["when"])} if "when" in declared else {}
    return Step(**{**declared, **condition})


# --- where ---


def _steps(data: Any) -> Iterator[tuple[Place, Any]]:
    """Every entry of the plan that has an id, with its place, in whatever state the file is."""
    yield from _steps_in(("plan",), data)


def _steps_in(of: Place, data: Any) -> Iterator[tuple[Place, Any]]:
    """The same of a plan that stands there."""
    plan = data
    for key in of:
        plan = plan.get(key) if isinstance(plan, dict) else None
    for number, item in enumerate(plan if isinstance(plan, list) else []):
        inner = item.get("steps") if isinstance(item, dict) else None
        for at, step in enumerate(inner if isinstance(inner, list) else []):
            if isinstance(step, dict) and isinstance(step.get("id"), str):
                yield (*of, str(number), "steps", str(at)), step
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield (*of, str(number)), item


def _doubled_ids(source: Source) -> Iterator[TeamError]:
    first: dict[str, Place] = {}
    for place, step in _steps(source.data):
        earlier = first.setdefault(step["id"], place)
        if earlier != place:
            message = f"two steps have the id {step['id']}, first in line {source.line((*earlier, 'id'))}"
            yield TeamError(message, fix="rename one of them", place=(*place, "id"))


def _in_file(problem: TeamError, source: Source) -> TeamError:
    """A problem with its place in the file, unless it lies in another one."""
    return problem if problem.file else placed(problem, source.in_file(problem.place))


def _located(problems: list[TeamError], source: Source) -> list[TeamError]:
    """The same problems with file and line, each once, in the order of their lines; those of other files come last."""
    found: dict[tuple[str, Place, str], TeamError] = {}
    for problem in problems:
        if problem.file and problem.file != source.file:
            found.setdefault((problem.file, problem.place, problem.sentence), problem)
            continue
        where = placed(problem, problem.place, file=source.file, line=source.line(problem.place))
        found.setdefault(("", problem.place, problem.sentence), where)
    return sorted(found.values(), key=lambda problem: (problem.file != source.file, problem.file, problem.line))
