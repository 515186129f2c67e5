"""An agent as its user declares it: a scope, code that may come later, and how it is tried."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import msgspec

from interlock.core.effects import EffectRule
from interlock.core.naming import hint
from interlock.core.nested import Nested
from interlock.core.policy import (
    RETRIES_DEFAULT,
    TIMEOUT_COMPLEX_MS,
    TIMEOUT_SIMPLE_MS,
    Escalation,
    Policy,
    duration_ms,
)
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.states import OnDead
from interlock.core.step import listed
from interlock.core.values import described
from interlock.errors import TeamError

from .gates import gate_of, run_budget_of
from .kinds import KINDS, tools_of
from .nesting import AnyTeam, is_team
from .shapes import Place
from .tables import AGENT, SCOPE_KEYS, Effects, Effort, Isolation
from .values import NAME

Work = TypeVar("Work", bound=Callable[..., Any])

_DECLARATION = "__interlock_agent__"


class _Who(msgspec.Struct, frozen=True):
    """What every agent has; apart, so that everything but the name is given by keyword."""

    name: str


class Agent(_Who, frozen=True, kw_only=True):
    """A named worker and its declaration.

    use: the code, as a callable (what `il.from_...` makes is one) or "module:function", or a Team, which is then nested
    in this one; without any, the team can be audited, not run. llm, langgraph, crewai, autogen, openai_agents, swarm,
    http, command, choose: an agent of that kind instead, declared as in a team file. inputs, outputs: what crosses the
    border of a nested team: path there -> path that the agent may read, path that it may write -> path there. scope:
    what it may do, see and write. effort: `simple` gives an attempt 5 s (the default), `complex` 30 s; timeout: a
    duration such as `2s` instead; of a team there is none by default. retries: further attempts (2; 0 of a team).
    backoff: the first wait after a failure (200 ms). retry_for: how long after the first attempt began another one may.
    fallback: the agent that takes over. breaker, rate, budget: when it is not called, declared as in a team file.
    schema: a JSON Schema over the writes. guardrails: checks on its replies, as in a team file, or functions of a
    draft. threshold: the score that a reply must reach (1). escalate: ask a person when all attempts have failed: true,
    or {deadline, then, default}. isolation: `task`, `process` or `thread`. concurrency: how many of its calls may be
    open at a time. effects: `immediate` lets it wait for effects while it works. version: change it when the code
    changes meaning. on_dead: what it means for the run that a step of it is given up: `fail_run` (the default), `skip`
    or `continue`.

    Raises TeamError, with every problem found.
    """

    use: Callable[..., Any] | str | AnyTeam | None = None
    llm: Mapping[str, Any] | None = None
    langgraph: str | Mapping[str, Any] | None = None
    crewai: str | Mapping[str, Any] | None = None
    autogen: str | Mapping[str, Any] | None = None
    openai_agents: str | Mapping[str, Any] | None = None
    swarm: str | Mapping[str, Any] | None = None
    http: str | Mapping[str, Any] | None = None
    command: Sequence[str] | Mapping[str, Any] | None = None
    choose: Mapping[str, Any] | None = None
    team: AnyTeam | None = None
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    scope: Scope = Scope()
    effort: Effort | None = None
    timeout: str | None = None
    retries: int | None = None
    backoff: str | None = None
    retry_for: str | None = None
    fallback: str | None = None
    breaker: Mapping[str, Any] | None = None
    rate: Mapping[str, str] | None = None
    budget: Mapping[str, Any] | None = None
    schema: Mapping[str, Any] | None = None
    guardrails: Sequence[Any] = ()
    threshold: float | None = None
    escalate: bool | Mapping[str, Any] | None = None
    isolation: Isolation | None = None
    concurrency: int | None = None
    effects: Effects | None = None
    version: str = ""
    on_dead: OnDead | None = None

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        if is_team(self.use):
            set_field(self, "team", self.use)
            set_field(self, "use", None)
        if self.retries is None:
            set_field(self, "retries", RETRIES_DEFAULT if self.team is None else 0)
        problems = [*NAME.problems(self.name, ("name",))] or [*_problems(self)]
        if problems:
            raise TeamError.of(problems)
        set_field(self, "guardrails", listed(self.guardrails))

    @classmethod
    def of(cls, name: str, declared: Mapping[str, Any]) -> Self:
        """The agent with this name and these keys: those of a team file, where the scope stands among the others."""
        scope = Scope(**{key: declared.get(key, ()) for key in SCOPE_KEYS})
        return cls(name, scope=scope, **{key: value for key, value in declared.items() if key not in SCOPE_KEYS})

    @property
    def kind(self) -> str:
        """The key that says what is behind it: `use`, `llm`, `langgraph`, ...; "" where nothing is."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), "")

    @property
    def policy(self) -> Policy:
        """How it is tried, for the core."""
        timeout_ms = TIMEOUT_COMPLEX_MS if self.effort == "complex" else TIMEOUT_SIMPLE_MS
        if self.team is not None:
            timeout_ms = 0
        if self.timeout is not None:
            timeout_ms = duration_ms(self.timeout)
        given = {"backoff_ms": self.backoff, "retry_for_ms": self.retry_for}
        durations = {name: duration_ms(text) for name, text in given.items() if text is not None}
        return Policy(timeout_ms=timeout_ms, retries=self.retries or 0, **durations)

    @property
    def nested(self) -> Nested | None:
        """The team behind it, for the core."""
        team = self.team
        return None if team is None else Nested(team.name or self.name, team.hash, self.inputs, self.outputs)

    @property
    def role(self) -> Role:
        """Its declaration without its code, for the core."""
        tools = {name: _effect_rule(tool) for name, tool in tools_of(self.llm).items() if tool.get("effect")}
        return Role(
            self.scope,
            self.policy,
            self.schema,
            self.fallback,
            self.version,
            on_dead=self.on_dead or "fail_run",
            escalation=Escalation.of(self.escalate),
            guardrails=self.guardrails,
            threshold=self.threshold,
            gate=gate_of(breaker=self.breaker, rate=self.rate, budget=self.budget),
            budget=run_budget_of(self.budget),
            immediate=self.effects == "immediate",
            tools=tools,
            nested=self.nested,
        )


def _effect_rule(tool: Mapping[str, Any]) -> EffectRule:
    """A tool that is an effect. It bounds its time itself."""
    return EffectRule(**{key: tool[key] for key in ("on_unknown", "approve") if key in tool})


class Declaration(msgspec.Struct, frozen=True):
    """What the decorator left on a function: the agent, and which of its fields were given there."""

    agent: Agent
    given: frozenset[str]


def agent(name: str, **declaration: Any) -> Callable[[Work], Work]:
    """Declare a function to be the code of an agent; the function itself stays as it is.

    declaration: the arguments of Agent. With a scope among them, the function can stand in a Team's list of agents.
    Raises TeamError for what Agent would refuse.
    """
    if not isinstance(name, str):
        raise TeamError("the decorator agent is given no name", fix='write @agent("name")')
    unknown = [key for key in declaration if key not in _GIVABLE]
    if unknown:
        message = f"agent {name}: there is no argument {unknown[0]}{hint(unknown[0], _GIVABLE)}"
        raise TeamError(message, fix=f"its arguments: {', '.join(_GIVABLE)}")

    def declare(function: Work) -> Work:
        declared = Declaration(Agent(name, use=function, **declaration), frozenset(declaration))
        try:
            setattr(function, _DECLARATION, declared)
        except (AttributeError, TypeError):
            message = f"agent {name}: a {type(function).__name__} can't be decorated"
            raise TeamError(message, fix="wrap it in a function") from None
        return function

    return declare


def declared_agent(function: Callable[..., Any]) -> Agent:
    """The agent that a decorated function declares. Raises TeamError where it declares none, or no scope."""
    declaration = declaration_of(function)
    if declaration is None:
        message = f"{described(function)} is no agent"
        raise TeamError(message, fix='write Agent("name", use=...), or decorate it with @agent("name", scope=...)')
    if "scope" not in declaration.given:
        name = declaration.agent.name
        message = f"agent {name} has no scope: its decorator gives it none"
        raise TeamError(message, fix=f'write @agent("{name}", scope=Scope(...))', place=("agents", name))
    return declaration.agent


def declaration_of(function: Any) -> Declaration | None:
    """What the decorator left on a function, if it is decorated."""
    found = getattr(function, _DECLARATION, None)
    return found if isinstance(found, Declaration) else None


def contradictions(agent: Agent, function: Any) -> Iterator[TeamError]:
    """Where an agent and the decorator of its code say different things."""
    declaration = declaration_of(function)
    if declaration is None:
        return
    place, other = ("agents", agent.name, "use"), declaration.agent
    if other.name != agent.name:
        message = f"agent {agent.name} uses {described(function)}, which is decorated as agent {other.name}"
        yield TeamError(message, fix="give both the same name", place=place)
        return
    for key in sorted(declaration.given):
        here, there = getattr(agent, key), getattr(other, key)
        if here != there:
            message = f"agent {agent.name} is declared twice: its {key} is {here!r}, and {there!r} in its decorator"
            yield TeamError(message, fix=f"remove {key} from the decorator", place=place)


def _problems(agent: Agent) -> Iterator[TeamError]:
    place = ("agents", agent.name)
    scope: Any = agent.scope
    if not isinstance(scope, Scope):
        message = f"agents.{agent.name}.scope is a {type(scope).__name__}, not a Scope"
        yield TeamError(message, fix="write Scope(...)", place=place)
        return
    given = {key: getattr(agent, key) for key in AGENT.fields if key not in SCOPE_KEYS and _is_given(agent, key)}
    given |= {key: getattr(scope, key) for key in SCOPE_KEYS}
    if callable(agent.use):
        del given["use"]
        yield from _code_problems(agent, agent.use)
    declared = [*AGENT.problems(given, place)]
    yield from declared or _border_problems(agent, place)


def _border_problems(agent: Agent, place: Place) -> Iterator[TeamError]:
    if not (agent.team is None or is_team(agent.team)):
        message = f"the team of agent {agent.name} is the path of a file"
        yield TeamError(message, fix="load it: use=Team.load(...)", place=(*place, "team"))
        return
    if agent.team is not None and agent.team.plan is None:
        several = "one plan, but several of which a request chooses" if agent.team.plans else "plan: it can't be run"
        message = f"the team nested in {agent.name} has no {several}"
        yield TeamError(message, fix="give it one plan", place=(*place, "team"))
    try:
        _ = agent.nested
    except TeamError as error:
        yield TeamError(f"agent {agent.name}: {error.sentence}", fix=error.fix, place=(*place, *error.place))


def _is_given(agent: Agent, key: str) -> bool:
    value = getattr(agent, key)
    return value is not None and not (key in _EMPTY and value == _EMPTY[key])


def _code_problems(agent: Agent, use: Any) -> Iterator[TeamError]:
    if isinstance(use, type):
        message = f"agent {agent.name} uses the class {described(use)}, not a function"
        yield TeamError(
            message, fix="give it a function, or an object that can be called", place=("agents", agent.name)
        )
    yield from contradictions(agent, use)


_EMPTY: dict[str, Any] = {"version": "", "guardrails": ()}
_GIVABLE = tuple(field.name for field in msgspec.structs.fields(Agent) if field.name not in {"name", *KINDS})
