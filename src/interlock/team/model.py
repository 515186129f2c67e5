"""A team: the declared agents, how their work is planned, and the proof that they can't get into each other's way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from interlock.core import paths
from interlock.core.gate import GatePolicy
from interlock.core.naming import hint
from interlock.core.plan import Plan
from interlock.core.role import role_problems, stand_ins
from interlock.core.rules import PROBLEMS_MAX, Rules
from interlock.core.scope import ReducerKind, Sharing
from interlock.core.step import Step
from interlock.core.supervision import supervisor_of
from interlock.core.values import Limits, content_hash, decode, encode_canonical
from interlock.errors import TeamError

from . import effects as declared_effects
from . import notify as declared_notify
from .agent import Agent, declared_agent
from .document import document
from .gates import gate_of, run_budget_of
from .guarding import guard
from .kinds import tools_of
from .nesting import Family
from .plans import Chosen, chooses, problems_of, rules_of
from .shapes import placed
from .tables import TEAM
from .values import USE

if TYPE_CHECKING:
    from .source import Source  # the loader's half of this room, which PyYAML comes with

# What all agents of a team share, as it is declared.
_SHARED = ("reducers", "succession", "mcp_servers", "rate", "budget", "supervisor", "planner", "result")
# What is computed once of a team and its plan.
_OF_THE_PLAN = frozenset({"rules", "document", "hash", "teams"})


class Team:
    """Agents with their scopes and policies, and a plan.

    agents: Agents, or functions decorated with a scope. plan: without one the team can be audited, not run. reducers:
    path -> `append`, `add` or `merge`, for fields with several writers at a time. succession: path -> its owners, one
    after another. limits: bounds on what a run may hold. rate, budget: of all agents together, declared as in a team
    file. supervisor, planner: who decides about the plan, declared as in a team file; then the plan may be left out.
    plans: by name, those that a planner of rules chooses among. chosen: which of them this team was put under.
    result: what a run results in: a path, or `{"text": "Dear {customer.name}, ..."}`.
    effects: name -> the function that performs it, or a mapping with the keys of a team file. notify: who is told
    when a run waits for a person: addresses that apprise knows, functions, or mappings with the keys of a team file. It
    is no part of what a run is pinned to.

    folder: the absolute folder of the team file, which is on the import path for `use`; None for a team of Python.

    That no two agents own one field is proved here; what a plan adds, by `rules`. Raises TeamError with every problem
    found.
    """

    def __init__(  # noqa: PLR0913 - what a team file may hold, by name
        self,
        agents: Sequence[Agent | Callable[..., Any]],
        plan: Plan | None = None,
        *,
        reducers: Mapping[str, ReducerKind] | None = None,
        succession: Mapping[str, Sequence[str]] | None = None,
        limits: Limits | None = None,
        mcp_servers: Mapping[str, Mapping[str, Any]] | None = None,
        rate: Mapping[str, str] | None = None,
        budget: Mapping[str, Any] | None = None,
        effects: Mapping[str, Any] | None = None,
        notify: Sequence[Any] | None = None,
        supervisor: Mapping[str, Any] | None = None,
        planner: Mapping[str, Any] | None = None,
        plans: Mapping[str, Plan] | None = None,
        result: str | Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        if plan is not None and not isinstance(plan, Plan):
            raise TeamError(
                f"the plan is a {type(plan).__name__}, not a Plan", fix="write Plan([...])", place=("plan",)
            )
        self.plan, self.limits, self.name = plan, limits or Limits(), name
        self.agents = _by_name(agents)
        Family.of(self.agents)  # before any of them is looked into
        self._source: Source | None = None
        self.path: Path | None = None
        given = {
            "name": name,
            "reducers": reducers,
            "succession": succession,
            "limits": _plain(limits),
            "mcp_servers": mcp_servers,
            "rate": rate,
            "budget": budget,
            "effects": declared_effects.checkable(effects),
            "notify": declared_notify.checkable(notify),
            "supervisor": supervisor,
            "planner": planner,
            "result": result,
        }
        problems = [p for key, value in given.items() if value for p in TEAM.fields[key].shape.problems(value, (key,))]
        if problems:
            raise TeamError.of(problems)
        self.reducers = {paths.canonical(path): kind for path, kind in (reducers or {}).items()}
        self.mcp_servers = dict(mcp_servers or {})
        self.rate, self.budget = rate, budget
        self.supervisor, self.planner, self.plans = supervisor, planner, dict(plans or {})
        self.result = result
        self.chosen: Chosen | None = None
        if plan is None and (supervisor is not None or (planner is not None and not chooses(planner))):
            self.plan = Plan((), may_be_empty=True)
        self.effects = declared_effects.whole(effects)
        self.notify = declared_notify.recipients(notify)
        self.succession = {paths.canonical(path): tuple(owners) for path, owners in (succession or {}).items()}
        problems = [*islice(role_problems(self.roles, self.sharing), PROBLEMS_MAX), *_server_problems(self)]
        problems += _plans_problems(self)
        if problems:
            raise TeamError.of(problems)

    @classmethod
    def load(cls, path: str | Path) -> "Team":
        """The team of a file, or of the `team.yaml` in a folder. Raises TeamError: file, line, key and the mend."""
        from .load import load  # noqa: PLC0415 - a team declared in Python pays nothing for the loader

        return load(path)

    @classmethod
    def of_document(cls, data: bytes) -> "Team":
        """The team that `document` describes, without the code that no "module:function" can name."""
        declared = decode(data)
        limits = Limits(**declared.get("limits", {}))
        agents = [Agent.of(name, _importable(_with_team(agent))) for name, agent in declared["agents"].items()]
        steps = msgspec.convert(declared.get("plan", []), list[Step])
        plan = Plan(steps, steps_max=limits.steps_max) if steps else None
        plans = {
            name: Plan(msgspec.convert(steps, list[Step]), steps_max=limits.steps_max)
            for name, steps in declared.get("plans", {}).items()
        }
        rest = {key: declared[key] for key in ("name", *_SHARED) if key in declared}
        effects = declared_effects.of_document(declared.get("effects", {}))
        return cls(agents, plan, plans=plans, limits=limits, effects=effects, **rest)

    def with_plan(self, plan: Plan, chosen: Chosen | None = None) -> "Team":
        """The same agents under another plan, which `rules` proves; of several plans, what is left is this one."""
        team = object.__new__(type(self))
        team.__dict__.update({name: value for name, value in vars(self).items() if name not in _OF_THE_PLAN})
        team.plan = plan
        team.chosen = chosen
        if self.plans:
            team.planner, team.plans = None, {}
        return team

    def placed_like(self, other: "Team") -> "Team":
        """The same team, whose code is where that of another version of it is."""
        self.path = other.path
        for name, inner in self.nested.items():
            if name in other.nested:
                inner.placed_like(other.nested[name])
        return self

    def located(self, source: "Source") -> "Team":
        """The same team, knowing where it was declared."""
        self._source, self.path = source, Path(source.file).resolve()
        return self

    def __repr__(self) -> str:
        where = f" from {self.source}" if self.source else ""
        return f"<Team {self.name or 'without a name'}{where}: {', '.join(self.agents)}>"

    # --- what the runtime needs ---

    @property
    def nested(self) -> dict[str, "Team"]:
        """The teams that agents of this one are, by the agent's name."""
        return {name: agent.team for name, agent in self.agents.items() if isinstance(agent.team, Team)}

    @cached_property
    def family(self) -> Family:
        """How many teams there are in this one, and how deep. Raises TeamError for too many."""
        return Family.of(self.agents)

    @cached_property
    def teams(self) -> "dict[str, Team]":
        """This team and all that are nested in it, at any depth, by hash."""
        found = {self.hash: self}
        for inner in self.nested.values():
            found |= inner.teams
        return found

    @cached_property
    def roles(self) -> dict[str, Any]:
        """The agents without their code, by name."""
        return {name: agent.role for name, agent in self.agents.items()}

    @cached_property
    def sharing(self) -> Sharing:
        """Which fields may have several owners."""
        return Sharing(self.reducers, self.succession, stand_ins(self.roles))

    @cached_property
    def gate(self) -> GatePolicy:
        """What calls of all agents together must pass."""
        return gate_of(rate=self.rate, budget=self.budget)

    @cached_property
    def rules(self) -> Rules:
        """What every run is held to, compiled and proved once. Raises TeamError: no plan, or one with a problem."""
        if self.plan is None and self.plans:
            message = f"this team has {len(self.plans):,} plans, and a request chooses one"
            raise TeamError(message, fix="take interlock.planning.choose(team, request).team", file=self.source)
        if self.plan is None:
            raise TeamError("this team has no plan: it can be audited, not run", fix="give it a plan", file=self.source)
        budget = run_budget_of(self.budget)
        effects = {name: declared_effects.rule(declared) for name, declared in self.effects.items()}
        shared = (self.sharing, self.limits, guard(self.folder), self.gate, budget, effects)
        planned = {name: plan.declared for name, plan in self.plans.items()}
        policy = supervisor_of(self.supervisor, self.planner, planned)
        if policy is not None and policy.otherwise:
            Rules(self.plans[policy.otherwise], self.roles, *shared)  # is its proof
        rules = Rules(self.plan, self.roles, *shared, policy)
        return rules if self.result is None else rules.resulting_in(self.result)

    @cached_property
    def document(self) -> bytes:
        """All that the team declares, as canonical JSON: what two versions are compared by."""
        return document(
            name=self.name,
            agents=self.agents,
            plan=self.plan,
            limits=self.limits,
            shared={key: getattr(self, key) for key in _SHARED}
            | {"plans": {name: plan.declared for name, plan in self.plans.items()}},
            effects=declared_effects.documented(self.effects),
        )

    @cached_property
    def hash(self) -> str:
        """The hash of the document: of what is declared, not of the code and not of the place."""
        return content_hash(self.document)

    # --- where it was declared ---

    @property
    def source(self) -> str:
        """The path of the team file, as it was given; empty for a team declared in Python."""
        return self._source.file if self._source else ""

    @property
    def folder(self) -> Path | None:
        """The folder of the team file, from which its code is imported; None for a team declared in Python."""
        return self.path.parent if self.path else None

    def line(self, place: tuple[str, ...]) -> int:
        """The line of ("agents", name, key) or ("plan", step id, key) in the team file; 0 for a team of Python."""
        return self._source.line(self._source.in_file(place)) if self._source else 0

    def locate(self, problem: TeamError) -> TeamError:
        """The same problem with the file and line of its place."""
        return placed(problem, problem.place, file=self.source, line=self.line(problem.place))


def _plain(limits: Any) -> Any:
    return msgspec.structs.asdict(limits) if isinstance(limits, Limits) else limits


def _importable(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    """An agent of a document without a `use` that names what can't be imported, such as a nested function."""
    named = not any(USE.problems(declared.get("use"), ()))
    return declared if named else {key: value for key, value in declared.items() if key != "use"}


def _with_team(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    """An agent of a document, with the team nested in it."""
    if "team" not in declared:
        return declared
    return {**declared, "team": Team.of_document(encode_canonical(declared["team"]))}


def _server_problems(team: Team) -> Iterator[TeamError]:
    """Tools of MCP servers that the team doesn't have."""
    for name, agent in team.agents.items():
        for action, tool in tools_of(agent.llm).items():
            server = tool.get("mcp")
            if server is not None and server not in team.mcp_servers:
                known = ", ".join(team.mcp_servers)
                whose = f"the tool {action} of agent {name}"
                message = f"{whose} is on {server}, and there is no such MCP server{hint(server, team.mcp_servers)}"
                fix = f"its mcp_servers: {known}" if known else f"declare {server} in mcp_servers"
                yield TeamError(message, fix=fix, place=("agents", name, "llm", "tools", action, "mcp"), agents=(name,))


def _plans_problems(team: Team) -> Iterator[TeamError]:
    """Rules that name no plan, and plans without rules."""
    planner = team.planner
    if team.plans and planner is None:
        fix = "give it a planner with rules, or one plan"
        yield TeamError("the team has several plans, and nothing chooses one", fix=fix, place=("plans",))
    if planner is not None and chooses(planner):
        yield from problems_of(team.plans, rules_of(planner), planner.get("default"))
        if team.plan is not None:
            message = "the team has a plan, and rules that choose another"
            yield TeamError(message, fix="put it into plans, and name it as the default", place=("plan",))
        if team.supervisor is not None:
            yield TeamError("the team has a planner and a supervisor", fix="keep one", place=("planner",))


def _by_name(agents: Sequence[Agent | Callable[..., Any]]) -> dict[str, Agent]:
    if isinstance(agents, str | Mapping | Agent) or not isinstance(agents, Sequence):
        raise TeamError(f"the agents are a {type(agents).__name__}, not a list", fix="write [...] around them")
    named: dict[str, Agent] = {}
    for item in agents:
        found = item if isinstance(item, Agent) else declared_agent(item)
        if named.setdefault(found.name, found) is not found:
            raise TeamError(f"two agents are called {found.name}", fix="rename one", place=("agents", found.name))
    if not named:
        raise TeamError("the team has no agents", fix="give it at least one", place=("agents",))
    return named
