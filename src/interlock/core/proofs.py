"""What is proved of the rules of a team: that nobody tramples another, and that no step is declared in vain."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from interlock.errors import PathError, PlanError, RaceError, TeamError, ValueRefused

from . import paths
from .authority import usurped
from .branches import branch_problems
from .budget import BudgetPolicy
from .duties import Duties, compiled
from .gate import GatePolicy
from .guardrail import Seat
from .idle import blind, empty, looks_at, unread
from .naming import hint
from .nested import nested_step_problems, unbounded_problems, unheard_problems
from .outsiders import event_problems, reconcile_problems
from .paths import bits
from .races import Race, Writers, races, unordered_reads
from .role import schema_problems
from .step import INDEX, Step, reconcile_of, wait_of
from .supervision import SupervisorPolicy, supervisor_problems
from .values import Limits, encode

Guard = Callable[[Any], Seat]


class Proofs(Duties):
    """What is wrong with the agents, the plan and their guardrails, each problem with its place.

    guard: makes a guardrail of what was declared as one; it raises a TeamError whose place counts from there.
    """

    limits: Limits
    guard: Guard | None
    gate: GatePolicy
    supervisor: SupervisorPolicy | None

    def _supervisor_problems(self) -> Iterator[TeamError]:
        policy, scopes = self.supervisor, {name: role.scope for name, role in self.roles.items()}
        authors = () if policy is None else [agent for agent in self.chain(policy.agent) if agent in scopes]
        yield from supervisor_problems(policy, scopes, authors, self.plan.number)

    def _step_problems(self) -> Iterator[TeamError]:
        yield from event_problems(self.plan, self.roles, self.sharing, self.limits)
        chains = {name: [agent for agent in self.chain(name) if agent in self.roles] for name in self.roles}
        for step in self.plan.declared:
            if step.reconcile is not None:
                readable = {agent: self._readable[agent] for agent in self.chain(step.agent) if agent in self.roles}
                yield from reconcile_problems(step, readable, self.sharing)
            if not step.agent:  # it waits, or reconciles without a judge
                continue
            if step.agent not in self.roles:
                message = f"step {step.id}: there is no agent {step.agent}{hint(step.agent, self.roles)}"
                yield PlanError(message, place=("plan", step.id, "agent"))
                continue
            chain = chains[step.agent]
            for agent in chain:
                if not self._keeps_to_scope(step, agent):
                    yield from self._agent_problems(step, agent)
            if step.schema is not None:
                roles = {agent: self.roles[agent] for agent in chain}
                yield from schema_problems(step.schema, roles, ("plan", step.id, "schema"))
            if step.reconcile is None:
                yield from self._escalation_problems(step)
            if step.on_request:
                yield from branch_problems(step, {agent: self.roles[agent].scope for agent in chain})

    def _escalation_problems(self, step: Step) -> Iterator[TeamError]:
        place = _escalate_of(step)
        try:
            escalation = self.escalation(step)
        except PlanError as error:
            yield PlanError(f"step {step.id}: {error.message}", fix=error.fix, place=place)
            return
        if escalation is None:
            return
        if escalation.then == "fallback" and self.roles[step.agent].fallback is None:
            message = f"step {step.id}: after the deadline its fallback goes on, and {step.agent} has none"
            yield PlanError(message, fix=f"give {step.agent} a fallback", place=place, agents=(step.agent,))
        can_write = paths.Patterns(self.may_write(step)).cover
        for path, value in escalation.default.items():
            try:
                if not can_write(paths.canonical(path)):
                    yield PlanError(f"step {step.id} may not write {path}, which its default has", place=place)
                encode(value, self.limits)
            except (PathError, ValueRefused) as error:
                yield PlanError(f"step {step.id}: its default for {path!r:.100}: {error.message}", place=place)

    def _keeps_to_scope(self, step: Step, agent: str) -> bool:
        role = self.roles[agent]
        return (
            role.nested is None
            and step.action in role.scope.allowed_actions
            and all(map(self._permitted[agent].contain, step.writes or ()))
            and all(map(self._readable[agent].reach, step.reads or ()))
        )

    def _agent_problems(self, step: Step, agent: str) -> Iterator[TeamError]:
        scope, place, nested = self.roles[agent].scope, ("plan", step.id), self.roles[agent].nested
        if nested is not None:
            yield from nested_step_problems(step, agent, nested)
        role = "" if agent == step.agent else f" (fallback of {step.agent})"
        if step.action not in scope.allowed_actions:
            allowed = ", ".join(scope.allowed_actions) or "nothing"
            yield PlanError(
                f"step {step.id}: {agent}{role} may not do {step.action}{hint(step.action, scope.allowed_actions)}",
                fix=f"allowed_actions of {agent}: {allowed}",
                place=(*place, "action"),
                agents=(agent,),
            )
        for pattern in step.writes or ():
            if not self._permitted[agent].contain(pattern):
                yield PlanError(
                    f"step {step.id} writes {pattern}, which {agent}{role} may not write",
                    fix=f"write_permissions of {agent}: {', '.join(scope.write_permissions) or 'nothing'}",
                    place=(*place, "writes"),
                    agents=(agent,),
                )
        for read in step.reads or ():
            if not self._readable[agent].reach(read):
                yield PlanError(
                    f"step {step.id} reads {read}, which {agent}{role} may not read",
                    fix=f"context_access of {agent}: {', '.join(scope.context_access) or 'nothing'}",
                    place=(*place, "reads"),
                    agents=(agent,),
                )

    def _unmet_schemas(self, step: Step) -> Iterator[TeamError]:
        """Paths that a schema requires, and that this step doesn't let an agent write: no reply could pass."""
        if step.writes is None or any(INDEX in pattern for pattern in step.writes):
            return
        can_write = paths.Patterns(tuple(step.writes)).cover
        declared = self.plan.declared_id[step.id]
        for path in (path for schema in compiled(step.schema) for path in schema.required if not can_write(path)):
            message = f"step {step.id} may not write {path}, which its schema requires"
            yield PlanError(message, fix=f"add {path} to its writes", place=("plan", declared, "schema"))
        for agent in self.chain(step.agent):
            for schema in self._schemas[agent]:
                for path in schema.required:
                    if not can_write(path):
                        message = f"step {step.id} does not let {agent} write {path}, which its schema requires"
                        fix = f"add {path} to the step's writes, or move the schema from the agent to its other steps"
                        yield PlanError(message, fix=fix, place=("plan", declared, "writes"))

    def _plan_problems(self) -> Iterator[TeamError]:
        steps = self.plan.steps
        writes: list[Sequence[str]] = [(), *(self.may_write(step) for step in steps[1:])]
        writers = Writers(writes, self.sharing.reducers)
        for race in races(self.plan, writes, writers):
            one, other = race.steps
            fix = self._race_fix(race)
            message = f"steps {one} and {other} may run at the same time and may both write {race.path}"
            involved = [self._declared(one), self._declared(other)]
            agents = tuple(dict.fromkeys(step.agent for step in involved if step.agent))
            place = ("plan", involved[1].id, "writes")
            yield RaceError(message, fix=fix, place=place, agents=agents, paths=(race.path,))
        if self.sharing.reducers:
            writers = Writers(writes, {})
        for race in unordered_reads(self.plan, [_declared_reads(step) for step in steps], writers):
            reader, writer = race.steps
            message = f"step {reader} reads {race.path}, which step {writer} may write at the same time"
            stale = (
                "" if self._declared(reader).by_itself else ", or mark it stale_ok: true to read what was there before"
            )
            fix = f"let {reader} need {writer}{stale}"
            yield PlanError(message, fix=fix, place=("plan", self.plan.declared_id[reader], "reads"))
        yield from self._succession_problems(writes)
        yield from usurped(self.plan, self.sharing, self._writable)
        has_schemas = any(self._schemas.values())
        for step in steps[1:]:
            if step.agent and (has_schemas or step.schema is not None):
                yield from self._unmet_schemas(step)
        yield from self._judge_problems()
        yield from self._guardrail_problems()
        nested = {name: role.budget for name, role in self.roles.items() if role.nested is not None}
        if nested:
            yield from self._nested_problems(nested)

    def _guardrail_problems(self) -> Iterator[TeamError]:
        for name, role in self.roles.items():
            for seat in self._seats["agents", name]:
                found = blind(seat, f"agent {name}", role.scope.write_permissions)
                if found is not None:
                    yield TeamError(found[0], fix=found[1], place=("agents", name, "guardrails"), agents=(name,))
            if role.threshold is None or role.guardrails:
                continue
            mine = [step for step in self.plan.declared if name in self.chain(step.agent)]
            if mine and not any(step.guardrails for step in mine):
                message = f"agent {name} has a threshold, and no guardrail gives a score"
                yield TeamError(message, fix="give it guardrails", place=("agents", name, "threshold"), agents=(name,))
        escalating = {name for name, role in self.roles.items() if role.escalation is not None}
        guarded = {name for (section, name), seats in self._seats.items() if section == "agents" and seats}
        for step in self.plan.declared:
            is_guarded = guarded and not guarded.isdisjoint(self.chain(step.agent))
            if is_guarded or step.guardrails or step.threshold is not None:
                yield from self._idle_guardrails(step)
            if step.escalate is not None or step.agent in escalating:
                yield from self._unfit_defaults(step)

    def _nested_problems(self, nested: Mapping[str, BudgetPolicy | None]) -> Iterator[TeamError]:
        """Teams among the agents that nothing bounds, or that are to do what a team can't."""
        yield from unbounded_problems(nested, self.budget)
        asked: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [
            ((*place, "guardrails", str(number), "judge"), f"the judge of {place[1]}", self.chain(judge.agent))
            for place, number, judge in self.judges()
        ]
        if self.supervisor is not None:
            called = self.supervisor.called
            asked.append(((called, "agent"), f"the {called}", self.chain(self.supervisor.agent)))
        yield from unheard_problems(nested, asked)

    def _unmade_guardrails(self) -> Iterator[TeamError]:
        """Make all guardrails, each once; what can't be made."""
        holders = [("agents", name, role.guardrails) for name, role in self.roles.items()]
        steps = (("plan", step.id, step.guardrails) for step in self.plan.declared if step.guardrails)
        for section, name, declared in (*holders, *steps):
            seats = self._seats[section, name] = []
            for number, guardrail in enumerate(declared):
                try:
                    assert self.guard is not None, "guardrails are declared, and nothing makes them"
                    seats.append(self.guard(guardrail))
                except TeamError as error:
                    whose = f"{'step' if section == 'plan' else 'agent'} {name}"
                    place = (section, name, "guardrails", str(number), *error.place)
                    yield TeamError(f"a guardrail of {whose}: {error.sentence}", fix=error.fix, place=place)

    def _judge_problems(self) -> Iterator[TeamError]:
        """Judges that can't judge: no agents of the team, not allowed to, or those whose replies they are."""
        judges = [*self.judges()]
        steps = {step.id: step.agent for step in self.plan.declared} if judges else {}
        for (section, name), number, judge in judges:
            place = (section, name, "guardrails", str(number), "judge")
            whose = f"the judge of {'step' if section == 'plan' else 'agent'} {name}"
            authors = self.chain(steps[name]) if section == "plan" else (name,)
            if judge.agent not in self.roles:
                unknown = f"{judge.agent}, which is no agent{hint(judge.agent, self.roles)}"
                yield TeamError(f"{whose} is {unknown}", place=(*place, "agent"))
                continue
            for agent in self.chain(judge.agent):
                allowed = self.roles[agent].scope.allowed_actions
                if agent in authors:
                    fix = "name another agent; one that stands in for a judge judges, too"
                    message = f"{whose} is {judge.agent}, so that {agent} would judge replies of its own"
                    yield TeamError(message, fix=fix, place=(*place, "agent"), agents=(agent,))
                if judge.action not in allowed:
                    message = f"{whose}: {agent} may not do {judge.action}{hint(judge.action, allowed)}"
                    fix = f"add {judge.action} to the allowed_actions of {agent}"
                    yield TeamError(message, fix=fix, place=(*place, "agent"), agents=(agent,))

    def _idle_guardrails(self, step: Step) -> Iterator[TeamError]:
        """Guardrails that could never look at anything: most often a mistyped path."""
        place, chain = ("plan", step.id, "guardrails"), self.chain(step.agent)
        seats = self._seats.get(("plan", step.id), [])
        if step.threshold is not None and not seats and not any(self._seats["agents", agent] for agent in chain):
            message = f"step {step.id} has a threshold, and no guardrail gives a score"
            yield PlanError(message, fix="give it guardrails", place=(*place[:2], "threshold"))
        for agent in chain:
            scope, own = self.roles[agent].scope, self._seats["agents", agent]
            writes = scope.write_permissions if step.writes is None else step.writes
            sight = self._sight(step, agent)
            has_schema = step.schema is not None or self.roles[agent].schema is not None
            looking = [seat for seat in own if looks_at(seat, writes)]
            found = [
                *(blind(seat, f"{agent} in step {step.id}", writes) for seat in seats),
                *(unread(seat, f"{agent} in step {step.id}", sight) for seat in (*looking, *seats)),
                *(empty(seat, f"{agent} in step {step.id}", has_schema=has_schema) for seat in (*looking, *seats)),
            ]
            for message, fix in filter(None, found):
                yield PlanError(message, fix=fix, place=place, agents=(agent,))

    def _unfit_defaults(self, step: Step) -> Iterator[TeamError]:
        """A default that the step's schemas refuse could never be taken."""
        escalation = self.escalation(step)
        if escalation is None or not escalation.default:
            return
        for schema in (*self._schemas[step.agent], *compiled(step.schema)):
            for _, message in schema.findings(dict(escalation.default)):
                yield PlanError(f"step {step.id}: its default: {message}", place=_escalate_of(step))

    def _race_fix(self, race: Race) -> str:
        field = paths.base(race.path)
        reducer = f", or declare a reducer for {field}" if field and INDEX not in field else ""
        if race.steps[1] in self.plan.number:
            return f"let one need the other, give them different writes{reducer}"
        return f"put {INDEX} into all that it writes, always beside the same text{reducer}"

    def _declared(self, id_: str) -> Step:
        """The declared step that a copy comes from; an item of a for_each has no number of its own."""
        declared = self.plan.declared_id.get(id_) or id_.rpartition("-")[0]
        return next(step for step in self.plan.declared if step.id == declared)

    def _succession_problems(self, writes: list[Sequence[str]]) -> Iterator[TeamError]:
        for field, owners in self.sharing.succession.items():
            earlier = 0
            for owner in owners:
                mine = self._turns_of(field, owner, owners, writes)
                late = [n for n in bits(mine) if earlier & ~self.plan.ancestors[n]]
                if late:
                    step = self.plan.steps[late[0]].id
                    message = f"step {step} of {owner} may write {field} before its earlier owners are done with it"
                    fix = f"let {step} need every step of {', '.join(owners[: owners.index(owner)])} that may write it"
                    yield PlanError(message, fix=fix, place=("plan", self.plan.declared_id[step]))
                earlier |= mine

    def _turns_of(self, field: str, owner: str, owners: Sequence[str], writes: list[Sequence[str]]) -> int:
        """The steps that may write a field in this owner's turn: its own, and those in which it may stand in."""
        mask = 0
        for n, step in enumerate(self.plan.steps):
            first = next((agent for agent in self.chain(step.agent) if agent in owners), None)
            if first == owner and any(paths.intersection(field, pattern) for pattern in writes[n]):
                mask |= 1 << n
        return mask


def _escalate_of(step: Step) -> tuple[str, ...]:
    """The place of what says when a step asks a person: its own, or that of its agent."""
    return ("plan", step.id, "escalate") if step.escalate is not None else ("agents", step.agent, "escalate")


def deciding(step: Step) -> tuple[str, ...]:
    """The fields that decide whether a step runs, how often, and how long it waits."""
    found = []
    if step.when is not None:
        found.append(step.when.path)
    if step.for_each is not None:
        found.append(step.for_each)
    if step.wait is not None and (path := wait_of(step).path):
        found.append(path)
    return tuple(found)


def _declared_reads(step: Step) -> tuple[str, ...]:
    """What a step says that it depends on."""
    if step.reconcile is not None:
        return (*reconcile_of(step).among, *deciding(step))
    if step.stale_ok or (step.reads is None and step.when is None and step.for_each is None and step.wait is None):
        return ()
    return (*(step.reads or ()), *deciding(step))
