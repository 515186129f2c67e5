"""Who writes where no agent does: whoever sends an event, or a step that reconciles. The ownership proof for them.

An event owns the fields that it writes: no agent may write them, and no other event, unless they have a reducer. So
does a step that reconciles.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from interlock.errors import OwnershipError, PathError, PlanError, TeamError, ValueRefused

from . import paths
from .plan import Plan
from .policy import Escalation
from .role import NOBODY, Duty, Role
from .schema import WritesSchema
from .scope import Sharing, Sight
from .step import Step, reconcile_of, wait_of
from .values import Limits, encode


def by_itself(step: Step) -> Duty:
    """The part of nobody in a step: what its event may write, or what it reconciles; and what it looks at for that."""
    schemas = () if step.schema is None else (WritesSchema(step.schema),)
    reads = (wait_of(step).path,) if step.reconcile is None else reconcile_of(step).among
    writable = paths.Patterns(tuple(step.writes or ()))
    return msgspec.structs.replace(NOBODY, sight=Sight([*filter(None, reads)]), writable=writable, schemas=schemas)


def event_problems(plan: Plan, roles: Mapping[str, Role], sharing: Sharing, limits: Limits) -> Iterator[TeamError]:
    """What is wrong with the steps that wait: fields with another owner, a schema or a default that never fits."""
    owners = {name: tuple(role.scope.write_permissions) for name, role in roles.items()}
    events: dict[str, tuple[str, ...]] = {}
    for step in plan.declared:
        if not step.agent:
            yield from _owned(step, {f"agent {name}": theirs for name, theirs in owners.items()} | events, sharing)
            yield from _unfit(step, limits)
            events[_owner(step)] = (*events.get(_owner(step), ()), *(step.writes or ()))


def _owner(step: Step) -> str:
    return f"step {step.id}" if step.reconcile is not None else f"the event {step.await_event}"


def _when(step: Step) -> str:
    return f" when {step.await_event} comes" if step.await_event else ""


def _unfit(step: Step, limits: Limits) -> Iterator[TeamError]:
    place = ("plan", step.id)
    try:
        schema = WritesSchema(step.schema or {})
    except (TeamError, PathError) as error:
        yield PlanError(f"step {step.id}: {error.message}", fix=error.fix, place=(*place, "schema"))
        return
    can_write = paths.Patterns(tuple(step.writes or ())).cover
    for path in schema.paths:
        if not can_write(path):
            message = f"step {step.id} may not write {path}, which its schema names"
            yield PlanError(message, fix=f"put {path} into its writes", place=(*place, "schema"))
    default = {} if step.reconcile is not None else wait_of(step).default
    for path, value in default.items():
        try:
            encode(value, limits)
        except ValueRefused as error:
            yield PlanError(f"step {step.id}: its default for {path}: {error.message}", place=(*place, "on_deadline"))
    if default:
        for _, message in schema.findings(default):
            yield PlanError(f"step {step.id}: its default: {message}", place=(*place, "on_deadline"))


def _owned(step: Step, owners: Mapping[str, Sequence[str]], sharing: Sharing) -> Iterator[OwnershipError]:
    for pattern in step.writes or ():
        if any(paths.inside(pattern, field) for field in sharing.reducers):
            continue
        for name, theirs in owners.items():
            shared = next(filter(None, (paths.intersection(pattern, one) for one in theirs)), None)
            if shared is not None and name != _owner(step):
                yield OwnershipError(
                    f"step {step.id} writes {shared}{_when(step)}, and {name} owns it",
                    fix=f"write another field, or declare a reducer for {pattern}",
                    place=("plan", step.id, "writes"),
                    agents=(name.removeprefix("agent "),) if name.startswith("agent ") else (),
                    paths=(shared,),
                )


def asks_person(step: Step) -> Escalation | None:
    """When a step that reconciles asks a person; None where it never does. Raises PlanError."""
    asks = "person" in reconcile_of(step).ways
    return Escalation.of(True if step.escalate is None else step.escalate) if asks else None


def reconcile_problems(step: Step, readable: Mapping[str, paths.Patterns], sharing: Sharing) -> Iterator[TeamError]:
    """Candidates that are merged already, or that a judge may not see; what is taken where a person doesn't answer.

    readable: what its judges may read, by name.
    """
    declared, place = reconcile_of(step), ("plan", step.id, "reconcile")
    for path in (*declared.among, *(step.writes or ())):
        field = next((f for f in sharing.reducers if paths.inside(path, f) or paths.inside(f, path)), None)
        if field is not None:
            message = f"step {step.id} reconciles with {path}, and {field} has a reducer, which merges what is there"
            yield PlanError(message, fix=f"let each step write a field of its own, not {field}", place=place)
    for agent, patterns in readable.items():
        for path in declared.among:
            if not patterns.cover(path):
                message = f"step {step.id}: its judge {agent} may not read {path}, which it is to judge"
                yield PlanError(message, fix=f"add {path} to the context_access of {agent}", place=place)
    place = ("plan", step.id, "escalate")
    try:
        escalation = asks_person(step)
    except PlanError as error:
        yield PlanError(f"step {step.id}: {error.message}", fix=error.fix, place=place)
        return
    if escalation is not None and escalation.then != "dead":
        message = f"step {step.id}: {escalation.then} would be taken instead of what was said"
        yield PlanError(message, fix="then: dead", place=place)
