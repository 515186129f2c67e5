"""What the audit looks for: each check yields findings about one question.

What concerns many agents in the same way is one finding, so that the list stays worth reading.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from interlock.core import paths
from interlock.core.guardrail import Judge
from interlock.core.naming import nearest
from interlock.core.paths import bits
from interlock.core.plan import Plan
from interlock.core.policy import TIMEOUT_SIMPLE_MS
from interlock.core.proofs import deciding
from interlock.core.races import Writers, unordered_reads
from interlock.core.role import stand_ins
from interlock.core.rules import Rules
from interlock.core.step import Step, reconcile_of

from .agent import Agent
from .costs import uncertain
from .plans import idle_rules, rules_of, unchosen
from .shapes import Place

TIMEOUT_LONG_MS = 600_000
PAIRS_MAX = 50_000
BLIND_FINDINGS_MAX = 50
_ALL = "*"

Severity = Literal["error", "warning", "info"]


class AuditFinding(msgspec.Struct, frozen=True):
    """One thing that the audit found. code is stable; line is that of the team file, 0 for a team of Python."""

    code: str
    severity: Severity
    agents: tuple[str, ...]
    paths: tuple[str, ...]
    message: str
    fix: str = ""
    line: int = 0


class Subject(msgspec.Struct):
    """What is audited: as much of a team as could be made of it.

    unplanned: it declares no plan, where `plan` may also be missing because it is broken. rules: there only if all was
    proved. line: the line of a place, 0 where it is unknown. result: the paths of which the result is made.
    """

    agents: dict[str, Agent]
    plan: Plan | None
    unplanned: bool
    rules: Rules | None
    line: Callable[[Place], int]
    plans: Mapping[str, Plan] = {}
    planner: Mapping[str, Any] | None = None
    result: Sequence[str] = ()


def chosen(subject: Subject) -> Iterator[AuditFinding]:
    """Can every rule choose, and is every plan chosen?"""
    planner = subject.planner
    if planner is None:
        return
    rules = rules_of(planner)
    for number, why in idle_rules(rules):
        message = f"rule {number + 1} ({rules[number]}) never chooses: {why}"
        at = subject.line(("planner", "rules", str(number)))
        yield AuditFinding("idle_rule", "warning", (), (), message, "put it before that one, or remove it", at)
    named = [name for key in ("default", "otherwise") if (name := planner.get(key))]
    for name in unchosen(subject.plans, rules, named):
        at = subject.line(("plans", name))
        yield AuditFinding("idle_plan", "warning", (), (), f"nothing chooses the plan {name}", "name it in a rule", at)


def scopes(subject: Subject) -> Iterator[AuditFinding]:
    """Does every agent have a scope, and one that says something?"""
    for name, agent in subject.agents.items():
        scope, at = agent.scope, subject.line(("agents", name))
        if not (scope.allowed_actions or scope.context_access or scope.write_permissions):
            fix = "give it allowed_actions, context_access and write_permissions"
            yield AuditFinding(
                "no_scope", "warning", (name,), (), f"agent {name} has no scope: it can do nothing", fix, at
            )
        elif not scope.allowed_actions:
            message = f"agent {name} has no allowed actions: no step can give it work"
            yield AuditFinding("no_actions", "warning", (name,), (), message, "list them in allowed_actions", at)
        yield from _unbounded(subject, name, agent)


def _unbounded(subject: Subject, name: str, agent: Agent) -> Iterator[AuditFinding]:
    """A scope of `*` is none; as an action, `*` is only a name."""
    cases = {
        "allowed_actions": (
            "literal_star",
            f"* in the allowed actions of {name} stands for no other action",
            "list them",
        ),
        "context_access": ("reads_everything", f"agent {name} may read everything", "name the fields that it needs"),
        "write_permissions": (
            "writes_everything",
            f"agent {name} may write everything",
            "name the fields that it owns",
        ),
    }
    for key, (code, message, fix) in cases.items():
        if _ALL in getattr(agent.scope, key):
            line = subject.line(("agents", name, key))
            yield AuditFinding(
                code, "warning", (name,), () if key == "allowed_actions" else (_ALL,), message, fix, line
            )


def timeouts(subject: Subject) -> Iterator[AuditFinding]:
    """Is it declared how long an attempt may take, and is that sensible?"""
    agents = subject.agents
    defaulted = tuple(
        name
        for name, agent in agents.items()
        if agent.choose is None and agent.team is None and agent.timeout is None and agent.effort is None
    )
    if defaulted:
        message = f"no timeout is declared for {_listed(defaulted)}: an attempt gets {TIMEOUT_SIMPLE_MS // 1_000} s"
        yield AuditFinding("default_timeout", "info", defaulted, (), message, "declare effort or timeout")
    for name, agent in agents.items():
        if agent.team is None and agent.policy.timeout_ms > TIMEOUT_LONG_MS:
            message = f"an attempt of {name} may take {agent.timeout}: a stuck one is noticed only then"
            line = subject.line(("agents", name, "timeout"))
            yield AuditFinding("long_timeout", "warning", (name,), (), message, "give it a shorter timeout", line)
        if agent.isolation == "thread":
            message = f"agent {name} runs in a thread: nothing can stop it when it times out"
            fix = "write async def, or let it run in a process"
            line = subject.line(("agents", name, "isolation"))
            yield AuditFinding("unstoppable", "warning", (name,), (), message, fix, line)


def undecided(subject: Subject) -> Iterator[AuditFinding]:
    """What happens where a vote settles nothing?"""
    asking = {step.agent for step in (subject.plan.declared if subject.plan else ()) if step.escalate}
    for name, agent in subject.agents.items():
        if agent.choose is not None and agent.fallback is None and not agent.escalate and name not in asking:
            message = f"where {name} can't choose, nobody does: the step is a dead letter"
            fix = "give it a fallback, such as a judge, or escalate: true"
            line = subject.line(("agents", name, "choose"))
            yield AuditFinding("undecided", "warning", (name,), (), message, fix, line)


def failures(subject: Subject) -> Iterator[AuditFinding]:
    """What happens when an agent fails for good?"""
    standing_in = {agent.fallback for agent in subject.agents.values()}
    alone = [n for n, agent in subject.agents.items() if agent.fallback is None and n not in standing_in]
    # The agents of a nested team have retries, or else their own audit tells so.
    asked_once = {n for n, agent in subject.agents.items() if agent.choose is not None or agent.team is not None}
    fragile = [name for name in alone if subject.agents[name].retries == 0 and name not in asked_once]
    for name in fragile:
        message = f"agent {name} has neither retries nor a fallback: its first failure ends the step"
        line = subject.line(("agents", name))
        yield AuditFinding("single_try", "warning", (name,), (), message, "declare retries or a fallback", line)
    told = {*fragile, *(name for name in alone if subject.agents[name].choose is not None)}
    rest = tuple(name for name in alone if name not in told and not subject.agents[name].escalate)
    if rest:
        message = f"no fallback stands in for {_listed(rest)}: when the retries are used up, the step is a dead letter"
        yield AuditFinding("no_fallback", "info", rest, (), message, "declare a fallback where the work must go on")


def people(subject: Subject) -> Iterator[AuditFinding]:
    """Is there a way to a person, where nothing stands between a failure and the end?"""
    steps = subject.plan.declared if subject.plan else ()
    asks = any(declared.escalate for declared in (*subject.agents.values(), *steps))
    asks = asks or any(step.reconcile is not None and "person" in reconcile_of(step).ways for step in steps)
    if subject.agents and not asks and all(agent.fallback is None for agent in subject.agents.values()):
        given_up = "nobody is asked before a step is given up: it becomes a dead letter"
        message = f"{given_up}; an agent can ask one with Reply(ask=Question(...))"
        yield AuditFinding("no_person", "info", (), (), message)


def waits(subject: Subject) -> Iterator[AuditFinding]:
    """Which steps wait for an event that may never come?"""
    for step in _waits(subject):
        if step.await_event and step.deadline is None:
            message = (
                f"step {step.id} awaits {step.await_event} without a deadline: if it never comes, the run never ends"
            )
            fix = "declare one, such as deadline: 3d, and what comes then with on_deadline"
            yield AuditFinding(
                "no_deadline", "warning", (), tuple(step.writes or ()), message, fix, subject.line(("plan", step.id))
            )


def _waits(subject: Subject) -> list[Step]:
    return [step for step in (subject.plan.declared if subject.plan else ()) if step.waits]


def _by_themselves(subject: Subject) -> list[Step]:
    return [step for step in (subject.plan.declared if subject.plan else ()) if step.by_itself]


def candidates(subject: Subject) -> Iterator[AuditFinding]:
    """Which steps reconcile what no step before them says?"""
    rules = subject.rules
    for n, declared in rules.reconciles.items() if rules else ():
        assert rules is not None
        step = rules.plan.steps[n]
        writers = Writers([rules.may_write(rules.plan.steps[m]) for m in bits(rules.feeders[n])], {})
        silent = tuple(path for path in declared.among if not writers.meeting(path))
        if silent:
            message = f"step {step.id} reconciles {_listed(silent)}, which no step before it may write"
            fix = "name the paths that the steps before it write, or make sure that each request brings them"
            place = ("plan", step.id)
            yield AuditFinding("no_candidates", "warning", (), silent, message, fix, subject.line(place))


def costs(subject: Subject) -> Iterator[AuditFinding]:
    """Which agents may not tell what they cost, although a budget bounds that?"""
    found = uncertain(subject.agents, subject.rules) if subject.rules else {}
    if found:
        names = tuple(found)
        told = f"bounds {_listed(names)} in dollars only as far as it is told what a call costs"
        message = f"{next(iter(found.values()))} {told}"
        fix = "give it the most that a call may cost, which is charged where its price isn't told: call: {usd: 0.02}"
        line = subject.line(("agents", names[0]))
        yield AuditFinding("unknown_cost", "warning", names, (), message, fix, line)


def shares(subject: Subject) -> Iterator[AuditFinding]:
    """Which nested teams are to have more of the budget of a run than there is?"""
    rules = subject.rules
    if rules is None or rules.budget is None:
        return
    for amount, most, _ in rules.budget.bounds:
        for name, role in rules.roles.items():
            if role.nested is not None and role.budget is not None and (getattr(role.budget, amount) or 0) > most:
                message = f"the team {name} never begins: its budget has more {amount} than that of the run"
                fix = f"give it at most {most / 1e6 if amount == 'usd' else most:,} {amount}, or the run more"
                line = subject.line(("agents", name))
                yield AuditFinding("share_too_large", "warning", (name,), (), message, fix, line)


def runnable(subject: Subject) -> Iterator[AuditFinding]:
    """Can it run?"""
    if subject.unplanned:
        yield AuditFinding(
            "no_plan", "info", (), (), "the team has no plan: it can be audited, not run", "give it a plan"
        )
    codeless = tuple(name for name, agent in subject.agents.items() if not agent.kind)
    if codeless:
        message = f"no code is declared for {_listed(codeless)}: the team can be audited, not run"
        yield AuditFinding("no_code", "info", codeless, (), message, "name it with use: module:function")


def unused(subject: Subject) -> Iterator[AuditFinding]:
    """Which agents and actions does the plan leave idle?

    Only of a team that is sound: what is wrong may be what names a judge, or an effect.
    """
    if subject.plan is None or subject.rules is None:
        return
    grows = subject.rules.supervisor is not None  # by any action of any agent
    wanted = {name: set(agent.scope.allowed_actions if grows else ()) for name, agent in subject.agents.items()}
    chains = stand_ins({name: agent.role for name, agent in subject.agents.items()})
    for step in subject.plan.declared:
        if step.agent in wanted:
            for name in (step.agent, *chains.get(step.agent, ())):
                wanted[name] |= {step.action, *step.on_request}
    for judge in _judges(subject):
        for name in (judge.agent, *chains.get(judge.agent, ())):
            wanted[name].add(judge.action)
    for name in (name for name, actions in wanted.items() if not actions):
        message = f"agent {name} has no step, and stands in for none that has"
        yield AuditFinding("unused_agent", "warning", (name,), (), message, "remove it", subject.line(("agents", name)))
    effects = set(subject.rules.effects)
    idle = {
        name: [
            action
            for action in subject.agents[name].scope.allowed_actions
            if action not in actions | _tools(subject, name) | effects
        ]
        for name, actions in wanted.items()
        if actions
    }
    named = tuple(name for name, actions in idle.items() if actions)
    if named:
        listed = "; ".join(f"{name}: {', '.join(idle[name])}" for name in named)
        message = f"no step asks for these allowed actions: {listed}"
        yield AuditFinding("unused_actions", "info", named, (), message, "remove what is not needed")


def judges(subject: Subject) -> Iterator[AuditFinding]:
    """Which judges see nothing but what they judge?"""
    for name in dict.fromkeys(judge.agent for judge in _judges(subject)):
        scope = subject.agents[name].scope
        if not scope.readable:
            message = f"{name} judges replies, and may read nothing: it sees the draft alone, and not what it is about"
            fix = "give it context_access to what it should compare the draft with"
            line = subject.line(("agents", name))
            yield AuditFinding("blind_judge", "warning", (name,), (), message, fix, line)


def _judges(subject: Subject) -> list[Judge]:
    return [judge for _, _, judge in subject.rules.judges()] if subject.rules else []


def _tools(subject: Subject, name: str) -> set[str]:
    """The actions of an agent that are tools of its model."""
    return set((subject.agents[name].llm or {}).get("tools", ()))


def fields(subject: Subject) -> Iterator[AuditFinding]:
    """Which fields must the request bring, and which are the result?"""
    reads = {pattern for agent in subject.agents.values() for pattern in agent.scope.context_access} - {_ALL}
    writes = {pattern for agent in subject.agents.values() for pattern in agent.scope.write_permissions} - {_ALL}
    writes |= {pattern for step in _by_themselves(subject) for pattern in step.writes or ()}
    declared = subject.plan.declared if subject.plan else ()
    looked_at = {path for step in declared for path in deciding(step)}
    looked_at |= {*subject.result}
    looked_at |= {path for step in declared if step.reconcile is not None for path in reconcile_of(step).among}
    brought = tuple(sorted(apart(reads | looked_at, writes)))
    if brought:
        message = f"no agent writes {_listed(brought)}: the request has to bring it"
        yield AuditFinding("from_request", "info", (), brought, message)
    left = tuple(sorted(apart(writes, reads | looked_at)))
    if left:
        yield AuditFinding("never_read", "info", (), left, f"no agent reads {_listed(left)}: a result, or forgotten")


def mistyped(subject: Subject) -> Iterator[AuditFinding]:
    """Which steps depend on a field that nobody writes, though one of nearly that name is written?"""
    written = [paths.base(pattern) for agent in subject.agents.values() for pattern in agent.scope.write_permissions]
    written += [pattern for step in _by_themselves(subject) for pattern in step.writes or ()]
    for step in subject.plan.declared if subject.plan else ():
        for path in apart(deciding(step), written):
            near = nearest(path, filter(None, written))
            if near is not None:
                message = f"step {step.id} depends on {path}, which no agent writes; did you mean {near}?"
                fix = f"write {near}, or make sure that each request brings {path}"
                place = ("plan", step.id)
                agents = (step.agent,) if step.agent else ()
                yield AuditFinding("mistyped", "warning", agents, (path,), message, fix, subject.line(place))


def apart(patterns: Iterable[str], others: Iterable[str]) -> Iterator[str]:
    """The patterns that share no field with any of the others."""
    others = list(others)
    return (pattern for pattern in patterns if all(paths.intersection(pattern, other) is None for other in others))


def blind_reads(subject: Subject) -> Iterator[AuditFinding]:
    """Which steps may read a field that an unordered step may write? They see it as it was before."""
    if subject.plan is None or subject.rules is None:
        return
    meetings: dict[tuple[str, str], set[str]] = {}
    for reader, writer, pattern in islice(_meetings(subject.plan, subject.rules), PAIRS_MAX):
        if reader != writer:
            meetings.setdefault((reader, pattern), set()).add(writer)
    agent_of = {step.id: step.agent for step in subject.plan.declared}
    for (reader, pattern), writers in islice(meetings.items(), BLIND_FINDINGS_MAX):
        others = _listed(sorted(writers))
        message = f"step {reader} may read {pattern}, and {others} may write there at the same time: it won't see that"
        fix = f"let {reader} need {others}, or narrow its reads"
        found = [agent_of[reader], *(agent_of[writer] for writer in sorted(writers))]
        agents = tuple(dict.fromkeys(filter(None, found)))
        yield AuditFinding("blind_read", "warning", agents, (pattern,), message, fix, subject.line(("plan", reader)))


def _meetings(plan: Plan, rules: Rules) -> Iterator[tuple[str, str, str]]:
    """Reader, writer and pattern, by declared ids, of what the agents' broad scopes let happen."""
    reads: list[tuple[str, ...]] = [()]
    for step in plan.steps[1:]:
        broad = step.reads is None and not step.stale_ok and not step.by_itself
        reads.append(tuple(rules.roles[step.agent].scope.context_access) if broad else ())
    writers = Writers([(), *(rules.may_write(step) for step in plan.steps[1:])], rules.sharing.reducers)
    for race in unordered_reads(plan, reads, writers):
        reader, writer = race.steps
        yield plan.declared_id[reader], plan.declared_id[writer], race.path


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


CHECKS: tuple[Callable[[Subject], Iterator[AuditFinding]], ...] = (
    scopes,
    timeouts,
    failures,
    undecided,
    people,
    waits,
    candidates,
    costs,
    shares,
    runnable,
    chosen,
    unused,
    judges,
    fields,
    mistyped,
    blind_reads,
)
