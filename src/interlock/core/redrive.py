"""Trying dead steps again: which they are, whether their own run can go on with them, and what a fork shares."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from interlock.errors import InputError, ValueRefused

from . import events as e
from . import paths
from .assess import submitted
from .context import Bank
from .delegating import Child
from .job import DELETE
from .machine import Machine
from .naming import hint
from .paths import bits
from .proofs import deciding
from .values import encode

# A step in one of these states has not started: nothing was computed from what a dead one left out.
NOT_STARTED = frozenset({"waiting", "skipped"})


def dead_steps(machine: Machine) -> list[str]:
    """The steps and items that were given up. A for_each step that died of its items is not one."""
    groups = {machine.label[n] for n in machine.items}
    dead = (n for n, state in enumerate(machine.state) if state == "dead" and n not in groups)
    return [machine.step_id(n) for n in dead]


def obstacle(machine: Machine, steps: list[str]) -> str:
    """Why a run can't go on with steps that are dead; "" where it can.

    It can where nothing that comes after them has started: then it goes on as if they had never been tried.
    """
    if machine.status == "cancelled":
        return "the run was cancelled, which is final"
    for step in steps:
        label = machine.label[machine.number[step]]
        for n in bits(machine.plan.descendants[label]):
            if machine.state[n] not in NOT_STARTED:
                return f"step {machine.step_id(n)} comes after {step}, and has started already"
    return ""


def why_not_again(machine: Machine, run_id: str, step: str, *, skip: bool = False) -> tuple[str, str] | None:
    """Why a step can't be tried again, or skipped, in its own run, and what may be done instead; None if it can."""
    n = machine.number.get(step)
    if n is None:
        items = (item for item, *_ in machine.items.values())
        names = [machine.plan.steps[m].id for m in range(1, len(machine.plan.steps))]
        some = ", ".join(names[:STEPS_SHOWN]) + (", ..." if len(names) > STEPS_SHOWN else "")
        return f"there is no such step{hint(step, [*names, *items])}", f"its steps: {some}"
    anew = f"run it again in a new run: interlock fork {run_id} --at {step}"
    state = machine.state[n]
    if state in _OVER:
        return _OVER[state], anew
    if state == "escalated":
        return "it waits for a person", f"decide about it: interlock inbox show {run_id}/{step}"
    if n in machine.waits:
        event = machine.waits[n].event
        send = f"send its event: interlock event {run_id} {event}, or " if event else ""
        return f"it {machine.reasons[n]}, not for a person", f"{send}go on without it: interlock skip {run_id} {step}"
    if (child := machine.children.get(n)) is not None and not child.is_over:
        return _at_child(child)
    if state == "waiting":
        return "it has not begun", f"see what comes before it: interlock show {run_id}"
    if state != "dead":
        return (
            f"it is {state}: neither dead nor waiting for a person",
            f"see how the run stands: interlock show {run_id}",
        )
    if step not in (dead := dead_steps(machine)):
        mine = [one for one in dead if machine.label[machine.number[one]] == n]
        return f"it is dead of its items: {', '.join(mine[:STEPS_SHOWN])}", "name one of them"
    if skip and machine.has_committed(n):
        return (
            "it has committed, and its effects are not done",
            f"have them tried again: interlock retry {run_id} {step}",
        )
    why = obstacle(machine, [step])
    return (why, anew) if why else None


def _at_child(child: Child) -> tuple[str, str]:
    """That the run which does a step must move first."""
    name = child.started.run_id
    look = f"see how that one stands: interlock show {name}"
    if not child.parked_seq:
        return f"run {name} does it", look
    return f"run {name} does it, and waits", f"decide there: interlock inbox show {name}; or {look}"


STEPS_SHOWN = 8
_OVER = {
    "committed": "it has committed",
    "skipped": "it was skipped",
    "cancelled": "the run was cancelled, which is final",
}

# --- in a fork ---

Facts = list[e.AnyEvent]
# Who wrote a default that was taken when nobody had answered, or no event had come, in time.
BY_DEADLINE = "default"


def taken_over(  # noqa: C901, PLR0912 - one case per event
    machine: Machine,
    run_id: str,
    events: Sequence[e.AnyEvent],
    steps: Sequence[str],
    at_us: int,
    apart: Collection[str] = (),
    *,
    repeat_effects: bool = False,
    keep_waits: bool = False,
) -> Facts:
    """What a fork shares with its origin: all that was done there, but for the steps tried again and what follows them.

    It shares the effects of all steps, lest they are performed again in it, or in a fork of it. machine, run_id: of the
    origin. apart: steps that it doesn't share either. repeat_effects: it forgets those of what is done again.
    keep_waits: it goes on with waits that were open, as it takes the place of its origin.
    """
    plan, after = machine.plan, _grown(machine)
    for step in steps:
        after |= plan.descendants[plan.number_of(step)] | (1 << plan.number[step] if step in plan.number else 0)
    for step in plan.number.keys() & apart:
        after |= 1 << plan.number[step]
    agents: dict[tuple[str, int], str] = {}
    facts: dict[tuple[type, str], e.AnyEvent] = {}
    for event in (one for told in events for one in _each_skipped(told)):
        step = getattr(event, "step", "")
        if not step or step in steps or after >> plan.number_of(step) & 1:
            continue
        fact: e.AnyEvent | None = None
        match event:
            case e.AttemptStarted() | e.ChildStarted():
                agents[step, event.attempt] = event.agent
            case e.AttemptCommitted() if machine.state[machine.number[step]] == "committed":
                told = (event.attempt, agents[step, event.attempt], event.writes, event.deletes, event.reads)
                fact = e.StepShared(at_us, step, *told, request=event.request, score=machine.score_of(step))
            case e.ConflictsResolved() if event.writes or (e.StepShared, step) not in facts:
                fact = e.StepShared(at_us, step, 0, "", event.writes, (), event.reads)
            case e.QuestionAnswered() if event.commits and machine.state[machine.number[step]] == "committed":
                fact = e.StepShared(at_us, step, event.attempt, event.by, event.writes, event.deletes, event.reads)
            case e.QuestionExpired(then="default"):
                fact = e.StepShared(at_us, step, event.attempt, BY_DEADLINE, event.writes)
            case e.WaitEnded():
                fact = _waited(machine, event, at_us)
            case e.StepShared() | e.StepExpanded():
                fact = msgspec.structs.replace(event, at_us=at_us)
            case e.StepSkipped() if machine.state[machine.number[step]] == "skipped":
                fact = msgspec.structs.replace(event, at_us=at_us)
        if fact is not None:
            facts.pop((type(fact), step), None)
            facts[type(fact), step] = fact
    shared = {step for kind, step in facts if kind is e.StepShared}
    known = _effects(machine, run_id, at_us)
    kept = (one for one in known if not repeat_effects or one.step in shared)
    waits = _still_open(events) if keep_waits else ()
    open_ = [one for one in waits if not after >> plan.number_of(one.step) & 1]
    return [*facts.values(), *kept, *open_, *_unused(machine, events, shared, at_us)]


def _each_skipped(event: e.AnyEvent) -> Iterator[e.AnyEvent]:
    """An event; of one by which a person has skipped steps, that each of them was skipped."""
    if isinstance(event, e.RunReopened) and event.skip:
        why = e.skipped_by(event.by, event.reason)
        yield from (e.StepSkipped(event.at_us, step, why, event.by) for step in event.steps)
    elif isinstance(event, e.QuestionAnswered) and event.decision == "skip":
        yield e.StepSkipped(event.at_us, event.step, e.skipped_by(event.by, event.reason), event.by)
    else:
        yield event


def _waited(machine: Machine, event: e.WaitEnded, at_us: int) -> e.StepShared | e.StepSkipped | None:
    """What is shared of a wait that is over."""
    n = machine.number[event.step]
    if event.then == "skip":
        skipped = e.StepSkipped(at_us, event.step, machine.reasons[n], event.by or BY_DEADLINE)
        return skipped if machine.state[n] == "skipped" else None
    shared = e.StepShared(at_us, event.step, 0, event.by or BY_DEADLINE, event.writes, event_id=event.event_id)
    return shared if machine.state[n] == "committed" else None


def _still_open(events: Sequence[e.AnyEvent]) -> Collection[e.WaitBegun]:
    """The waits that had not ended, the first to begin first."""
    found: dict[str, e.WaitBegun] = {}
    for event in events:
        if isinstance(event, e.WaitBegun):
            found[event.step] = event
        elif isinstance(event, e.WaitEnded):
            del found[event.step]
    return found.values()


def _unused(
    machine: Machine, events: Sequence[e.AnyEvent], shared: Collection[str], at_us: int
) -> Iterator[e.EventReceived]:
    """The events that no step has used which is shared: they have come, and will not come again for the fork."""
    found: dict[str, e.EventReceived] = {}
    for event in events:
        match event:
            case e.EventReceived():
                found[event.event_id] = msgspec.structs.replace(event, at_us=at_us)
            case e.EventRefused(step=step) if step:
                found.pop(event.event_id, None)
            case e.WaitEnded(event_id=event_id) if event_id:
                name = machine.rules.waits[machine.number[event.step]].event
                data = next(iter(event.writes.values()), e.NULL)
                found[event_id] = e.EventReceived(at_us, name, event_id, event.by, data)
                if event.step in shared:
                    del found[event_id]
    yield from found.values()


def _grown(machine: Machine) -> int:
    """The decisions about the plan, and what they have added: in a fork they are asked for anew."""
    found = 0
    for n in machine.decisions:
        found |= machine.plan.descendants[n] | 1 << n
    return found


def _effects(machine: Machine, run_id: str, at_us: int) -> Iterator[e.EffectShared]:
    """What became of the effects of a run, where they were performed or may have been."""
    for n, mine in machine.ledger.entries.items():
        step = machine.step_id(n)
        for entry in mine.values():
            if entry.standing not in {"done", "unknown"} and not entry.doubtful:
                continue
            said = (entry.result, entry.flaw) if entry.standing == "done" else (e.NULL, "", entry.reason)
            first = entry.run_id or run_id
            yield e.EffectShared(at_us, step, entry.effect, entry.key, entry.payload, first, *said)
    for waiting in machine.shared_effects.values():
        yield from (msgspec.structs.replace(event, at_us=at_us) for event in waiting)


def change(machine: Machine, request: Raw, facts: Facts, step: str, path: str, value: Any) -> Raw:
    """Set a path in what a step of a fork is shown, where it was last written: in one of the facts, or in the request.

    Returns the request as it is then. Raises InputError for what nobody may change: what the step isn't shown, what
    decided about other steps, and what the agent that wrote it could not have written so.
    """
    path = paths.canonical(path)
    _refuse_hidden(machine, facts, step, path)
    ancestors = machine.plan.ancestors[machine.plan.number_of(step)]
    for place in range(len(facts) - 1, -1, -1):
        fact = facts[place]
        if isinstance(fact, e.StepShared) and ancestors >> machine.plan.number_of(fact.step) & 1 and _wrote(fact, path):
            facts[place] = _rewritten(machine, fact, path, value)
            return request
    tree = {paths.segment(key): raw for key, raw in msgspec.json.decode(request, type=dict[str, Raw]).items()}
    top = paths.segment(paths.split(path)[0])
    if path != top:
        tree.setdefault(top, Raw(b"{}"))
    changed = {paths.split(key)[0]: msgspec.json.decode(raw) for key, raw in _with(tree, path, value).items()}
    return Raw(machine.rules.encode_request(changed))


def _refuse_hidden(machine: Machine, facts: Facts, step: str, path: str) -> None:
    sight = machine.rules.duties[machine.plan.number_of(step)][0].sight
    if not sight.can_read(path):
        fix = f"it is shown: {', '.join(sight.patterns) or 'nothing'}"
        raise InputError(f"{path} can't be changed: step {step} is not shown it", fix=fix)
    if any(paths.inside(path, field) or paths.inside(field, path) for field in machine.rules.sharing.reducers):
        raise InputError(f"{path} can't be changed: several steps write it, and it is merged")
    for fact in facts:
        if isinstance(fact, e.StepSkipped | e.StepExpanded):
            for field in deciding(machine.plan.steps[machine.plan.number_of(fact.step)]):
                if paths.inside(path, field) or paths.inside(field, path):
                    message = (
                        f"{path} can't be changed: it has decided about step {fact.step}, which is not tried again"
                    )
                    raise InputError(message)


def _wrote(fact: e.StepShared, path: str) -> bool:
    touched = (*fact.writes, *fact.deletes)
    return any(paths.inside(path, other) or paths.inside(other, path) for other in touched)


def _rewritten(machine: Machine, fact: e.StepShared, path: str, value: Any) -> e.StepShared:
    """A commit with another value, which must pass as the reply of its agent would have to."""
    rules = machine.rules
    writes: dict[str, Any] = {p: msgspec.json.decode(raw) for p, raw in _with(fact.writes, path, value).items()}
    gone = {deleted: DELETE for deleted in fact.deletes if deleted not in writes}
    duties = rules.duties[rules.plan.number_of(fact.step)]
    submission = submitted(
        writes | gone,
        bank=Bank(rules.plan, limits=rules.limits),  # what is merged can't be changed
        # A person wrote in the place of the step's first agent.
        duty=next((duty for duty in duties if duty.agent == fact.agent), duties[0]),
        index=machine.index_of(machine.number[fact.step]),
        limits=rules.limits,
    )
    if submission.findings:
        said = "; ".join(finding.message for finding in submission.findings)
        raise InputError(f"{path} can't be changed so: step {fact.step} wrote it, and could not write this: {said}")
    changed = (*fact.changed, path)
    return msgspec.structs.replace(fact, writes=submission.writes, deletes=tuple(submission.deletes), changed=changed)


def _with(writes: Mapping[str, Raw], path: str, value: Any) -> dict[str, Raw]:
    """These writes with another value at a path, which may lie inside of one of them. Raises InputError."""
    try:
        kept = {other: raw for other, raw in writes.items() if not paths.inside(other, path)}
        above = next((other for other in kept if paths.inside(path, other)), None)
        if above is None:
            return kept | {path: Raw(encode(value))}
        tree = msgspec.json.decode(kept[above])
        *inner, last = paths.split(path)[len(paths.split(above)) :]
        node = tree
        for key in inner:
            node = node.setdefault(key, {})
        node[last] = value
        return kept | {above: Raw(encode(tree))}
    except (AttributeError, TypeError):
        raise InputError(f"{path} can't be changed: it lies inside of a value that is no object") from None
    except ValueRefused as error:
        raise InputError(f"the value for {path} can't be used: {error.message}") from error
