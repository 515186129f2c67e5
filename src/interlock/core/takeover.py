"""What a fork takes over under another team than that of its origin, proved fact by fact under the rules of that team.

What was committed there is not computed again, so it must be what the other team could have come to: the same steps, in
an order that its plan allows, with writes that its scopes and schemas allow.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw

from interlock.errors import InputError

from . import events as e
from .arrivals import may_come
from .assess import submitted
from .branches import unrequested
from .conditions import holds
from .job import DELETE
from .machine import Machine
from .naming import hint
from .paths import bits
from .plan import Plan
from .policy import due
from .redrive import BY_DEADLINE, Facts
from .rules import Rules
from .states import TERMINAL
from .step import Step, wait_of
from .values import decode

PROBLEMS_SHOWN = 8


def coming_after(origin: Plan, plan: Plan, steps: Iterable[str]) -> frozenset[str]:
    """What comes after these steps in a plan, or came after them in that of the origin, with all that comes after it.

    steps: those tried again; of an item, its for_each step counts.
    """
    again = {_declared(origin, step) for step in steps}
    old = 0
    for step in again:
        old |= origin.descendants[origin.number[step]]
    later = {origin.steps[n].id for n in bits(old)}
    mask = 0
    for step in (again | later) & plan.number.keys():
        mask |= plan.descendants[plan.number[step]]
    return frozenset(later | {plan.steps[n].id for n in bits(mask)})


def adopted(
    rules: Rules, origin: Plan, request: Raw, facts: Facts, steps: Sequence[str], at_us: int
) -> tuple[Facts, Machine]:
    """These facts as a fork under other rules takes them over, in the order of its plan, and the machine they come to.

    origin: the plan that they are from. steps: those tried again. Raises InputError, which names what doesn't fit.
    """
    rules.encode_request(msgspec.json.decode(request))
    machine, plan = Machine(rules), rules.plan
    machine.apply(e.RunStarted(at_us, request, "", ""))
    problems = [f"there is no step {step}{hint(step, plan.number)}" for step in steps if not _knows(plan, step)]
    kept: Facts = []
    wrong: set[str] = set()
    for fact in sorted(facts, key=lambda fact: _place(plan, fact)):
        if isinstance(fact, e.WaitBegun | e.EventReceived):  # which are the last
            if (fits := _awaited(machine, origin, fact, at_us)) is not None:
                machine.apply(fits)
                kept.append(fits)
            continue
        found = [*_misfits(machine, origin, fact, wrong)]
        if found:
            wrong.add(_declared(origin, _step(fact)))
            problems += filter(None, found)
        else:
            machine.apply(fact)
            kept.append(fact)
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        told = [*problems[:PROBLEMS_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
        message = f"the run can't go on under this team: {'; '.join(told)}"
        raise InputError(
            message, fix="change what is tried again and what comes after it alone, or run its request anew"
        )
    return kept, machine


def _step(fact: e.AnyEvent) -> str:
    found: str = getattr(fact, "step", "")
    return found


def _knows(plan: Plan, step: str) -> bool:
    try:
        return step in plan.number or plan.steps[plan.number_of(step)].for_each is not None
    except KeyError:
        return False


def _declared(plan: Plan, step: str) -> str:
    """A step, or the for_each step that an item is of."""
    return plan.steps[plan.number_of(step)].id


def _place(plan: Plan, fact: e.AnyEvent) -> tuple[int, bool]:
    """Steps in the order of the plan, each before its items; what it doesn't have comes last, and what still waits."""
    step = _step(fact)
    if isinstance(fact, e.WaitBegun) or not _knows(plan, step):
        return len(plan.steps), False
    return plan.number_of(step), step not in plan.number


def _awaited(
    machine: Machine, origin: Plan, fact: e.WaitBegun | e.EventReceived, at_us: int
) -> e.WaitBegun | e.EventReceived | None:
    """An open wait or a kept event as it goes on here; None where it doesn't: then the step begins to wait anew."""
    if isinstance(fact, e.EventReceived):
        return fact if may_come(machine, fact.event, decode(fact.data)) else None
    n = machine.number.get(fact.step, 0)
    old, new = wait_of(origin.steps[origin.number[fact.step]]), machine.rules.waits.get(n)
    if new is None or not old.is_kin(new) or machine.state[n] != "ready" or not _is_to_run(machine, n):
        return None
    began_us = fact.due_us - 1_000 * old.ms if old.ms else fact.at_us
    due_us = min(due(began_us, new.ms), e.AT_US_MAX) or new.until_us or (fact.due_us if new.path else 0)
    return msgspec.structs.replace(fact, at_us=at_us, due_us=due_us)


def _misfits(machine: Machine, origin: Plan, fact: e.AnyEvent, wrong: set[str]) -> Iterator[str]:
    """Why a fact can't be taken over; "" for one that is left out, or that fails for what was told before.

    A step that was skipped has written nothing: whether it is skipped now is decided anew, but where a person has done
    without it, or the deadline of its event.
    """
    plan, step = machine.plan, _step(fact)
    n = machine.number.get(step)
    if isinstance(fact, e.EffectShared):
        has_committed = n is not None and machine.state[n] == "committed"
        if not _knows(plan, step):
            yield (
                ""
                if _declared(origin, step) in wrong
                else f"there is no step {step}, whose effect {fact.effect} was performed"
            )
        elif fact.effect not in machine.rules.effects:
            yield "" if has_committed else f"there is no effect {fact.effect}, which step {step} has had performed"
        return
    if isinstance(fact, e.StepSkipped):
        if n is None or not (_is_done_without(machine, n, fact) if fact.by else _is_to_skip(machine, n)):
            yield ""
        return
    if n is None:
        yield "" if _declared(origin, step) in wrong else f"there is no step {step}, which has committed"
    elif (n in machine.items) != (step not in origin.number) or not _is_same_list(machine, origin, n):
        yield f"step {step} has another for_each"
    elif not _is_due(machine, n):
        yield _not_due(machine, n, wrong)
    elif n not in machine.items and not _is_to_run(machine, n):
        yield f"step {step} has committed, and {_why_skipped(machine, n)}"
    elif isinstance(fact, e.StepShared):
        yield from _unlawful(machine, n, fact)


def _is_to_skip(machine: Machine, n: int) -> bool:
    return n not in machine.items and machine.state[n] == "ready" and not _is_to_run(machine, n)


def _is_done_without(machine: Machine, n: int, fact: e.StepSkipped) -> bool:
    wait = machine.rules.waits.get(n)
    is_meant = fact.by != BY_DEADLINE or (wait is not None and bool(wait.event))
    return is_meant and _is_due(machine, n)


def _is_due(machine: Machine, n: int) -> bool:
    return machine.state[n] == "ready" or (n in machine.items and machine.state[n] == "waiting")


def _is_same_list(machine: Machine, origin: Plan, n: int) -> bool:
    step = machine.step(n)
    return step.id in origin.number and _listed(step) == _listed(origin.steps[origin.number[step.id]])


def _listed(step: Step) -> tuple[str | None, int]:
    return step.for_each, step.batch


def _is_to_run(machine: Machine, n: int) -> bool:
    when = machine.step(n).when
    return machine.is_requested(n) and (when is None or holds(when, machine.bank, machine.plan.ancestors[n]))


def _why_skipped(machine: Machine, n: int) -> str:
    if not machine.is_requested(n):
        return unrequested(n, machine.plan)
    return f"its condition does not hold: {machine.step(n).when}"


def _not_due(machine: Machine, n: int, wrong: set[str]) -> str:
    step, plan = machine.step_id(n), machine.plan
    if machine.state[n] == "skipped":
        return f"step {step} has committed, and would be skipped: {machine.reasons[n]}"
    lacking = [plan.steps[need].id for need in plan.needs[machine.label[n]] if machine.state[need] not in TERMINAL]
    if not wrong.isdisjoint(lacking):
        return ""
    return f"step {step} has committed, and needs {', '.join(lacking)}, which has not run"


def _unlawful(machine: Machine, n: int, fact: e.StepShared) -> Iterator[str]:
    """Why a commit is none that the step could make now. What a person wrote is held to its first agent."""
    duties = machine.rules.duties[machine.label[n]]
    duty = next((duty for duty in duties if duty.agent == fact.agent), duties[0])
    writes = {path: msgspec.json.decode(raw) for path, raw in fact.writes.items()}
    submission = submitted(
        writes | dict.fromkeys(fact.deletes, DELETE),
        bank=machine.bank,
        duty=duty,
        index=machine.index_of(n),
        limits=machine.rules.limits,
    )
    for finding in submission.findings:
        yield f"step {fact.step} could not have committed what it has: {finding.message}"
    if fact.request is not None and fact.request not in duty.branches:
        told = f"{fact.request.action} of {fact.request.to} (step {fact.request.step})"
        yield f"step {fact.step} could not have requested what it has: {told}"
