"""What must be true of the plan: which step may begin, what is skipped, and what has ended without an event."""

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.states import TERMINAL
from interlock.core.values import ABSENT

from .calls import repeats
from .known import Known, StepAccount
from .naive import holds

_json = msgspec.json.encode
# A shorter wait keeps its run going.
AWAKE_US_MAX = 60_000_000


def step_expanded(run: Known, event: e.StepExpanded) -> None:
    """A for_each has become items: those of its list, as it is then."""
    name, one = event.step, run.step(event.step)
    run.require("frozen_items", name not in run.items_of, f"{name} is expanded twice")
    path = run.declared(one).for_each if one.item is ABSENT else None
    run.require("plan", path is not None, f"{name} is expanded, but has no for_each")
    require_turn(run, name, "expanded")
    items, there = msgspec.json.decode(event.items), value(run, path or "", one.number)
    same = isinstance(there, list) and _json(items) == _json(_batched(there, run.declared(one).batch))
    run.require("frozen_items", same, f"{name} is expanded to something else than its list")
    run.require("limits", can_expand(run, one, path or ""), f"{name} is expanded to {len(items)} items, too many")
    run.items_of[name] = [f"{name}-{index}" for index in range(len(items))]
    for index, item in enumerate(items):
        run.steps[f"{name}-{index}"] = StepAccount(one.number, one.duties, index, item)
    _admit(run, name)
    one.state = "running"
    if not items:
        one.state = "committed"
        _skip_the_lost(run, one.number)


def step_skipped(run: Known, event: e.StepSkipped) -> None:
    """A step is skipped, since its condition doesn't hold when it is its turn."""
    name, one = event.step, run.step(event.step)
    fate = _fate(run, name)
    run.require("once", one.state not in TERMINAL, f"{name} is skipped although it is {one.state}")
    is_item = one.item is not ABSENT
    run.require("plan", fate == "run" or (is_item and run.takes_over), f"{name} is skipped, but {fate}")
    # A fork takes over that an event has not come in time, and that a person has done without a step.
    may_be = (run.takes_over and event.by) or repeats(run, name) or not _is_wanted(run, one)
    run.require("plan", may_be, f"{name} is skipped, but its condition holds")
    if is_item:
        end(run, name, "skipped")
        return
    one.state = "skipped"
    _skip_the_lost(run, one.number)


def step_shared(run: Known, event: e.StepShared) -> None:
    """A fork takes over what a step has committed."""
    one = run.step(event.step)
    run.require("shared", run.takes_over, f"{event.step} is taken over, but not into a fork")
    run.require("once", one.state in {"waiting", "ready"}, f"{event.step} is taken over although it is {one.state}")
    if one.item is ABSENT:
        run.require("plan", _fate(run, event.step) == "run", f"{event.step} is taken over before its turn")
    writes = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
    run.naive.commit(one.number, one.index or 0 if one.item is not ABSENT else 0, writes, event.deletes)
    run.written += (*writes, *event.deletes)
    if event.event_id:
        run.require("waits", run.waits.take(event.event_id), f"{event.step} takes over an event that another has had")
    one.score = event.score
    if event.request is not None:
        run.branches.hear(run.declared(one), event.agent, event.request)
    end(run, event.step, "committed")


def end(run: Known, name: str, state: str) -> None:
    """A step is over, in this state; so is its for_each after its last item, and what can't run any more."""
    run.steps[name].state = state
    group = run.name_of[run.steps[name].number]
    if group != name:
        _admit(run, group)
        states = {run.steps[item].state for item in run.items_of[group]}
        if not states <= TERMINAL:
            return
        lost = "dead" in states and (states == {"dead"} or on_dead(run, group) == "fail_run")
        run.steps[group].state = "dead" if lost else "committed"
    _skip_the_lost(run, run.steps[name].number)


def _skip_the_lost(run: Known, ended: int) -> None:
    """What can't run any more, now that this step is over, has ended without an event of its own."""
    over = [ended]
    for n in over:
        for dependent in run.plan.dependents[n]:
            name = run.name_of[dependent]
            fate = _fate(run, name) if run.steps[name].state == "waiting" else ""
            if fate.startswith("it must be skipped"):
                run.steps[name].state = "skipped"
                over.append(dependent)
                if fate.endswith("is lost"):
                    run.blocked.add(name)
                if fate.endswith("was dropped"):
                    run.dropped.add(name)


def settle_new(run: Known, names: Sequence[str]) -> None:
    """Of steps that were added to a run, those that can't run any more have ended without an event of their own."""
    over = {name for name, one in run.steps.items() if one.state in TERMINAL}
    run.sure |= {name for name in names if {run.name_of[n] for n in run.plan.needs[run.steps[name].number]} <= over}
    for name in names:
        if run.steps[name].state == "waiting" and _fate(run, name).startswith("it must be skipped"):
            run.steps[name].state = "skipped"
            if _fate(run, name).endswith("is lost"):
                run.blocked.add(name)
            _skip_the_lost(run, run.steps[name].number)


def _fate(run: Known, name: str) -> str:
    """`run`, or why a step may not run now."""
    one = run.steps[name]
    names, steps = run.name_of, run.steps
    needs = [names[n] for n in run.plan.needs[one.number]]
    for need in needs:
        if steps[need].state not in TERMINAL:
            return f"it must wait for {need}"
    if name in run.dropped:
        return "it must be skipped: it was dropped"
    if name in run.added:
        return "run"
    died = {need: on_dead(run, need) for need in needs if run.steps[need].state == "dead"}
    if run.declared(one).join == "all":
        if "fail_run" in died.values() or not run.blocked.isdisjoint(needs):
            return "it must be skipped: a step that it needs is lost"
    elif died or not run.blocked.isdisjoint(needs):
        return "it was skipped" if one.state == "skipped" else "run"
    asked_for = {*needs} - {*run.added}
    if asked_for and asked_for <= run.dropped and name not in run.sure:
        return "it must be skipped: it was dropped"
    if needs and all(run.steps[need].state == "skipped" or died.get(need) == "skip" for need in needs):
        return "it must be skipped: all that it needs was skipped"
    if one.state == "skipped":
        return "it was skipped"
    return "run"


def on_dead(run: Known, name: str) -> str:
    """What it means for the run that this step has died: its own word, or else its agent's."""
    step = run.declared(run.steps[name])
    return step.on_dead or ("fail_run" if step.by_itself else run.rules.roles[step.agent].on_dead)


def require_turn(run: Known, name: str, what: str) -> None:
    """That a step may begin: all that it needs is over, and its condition holds."""
    fate = _fate(run, name)
    run.require("plan", fate == "run", "{} is {}, but {}", name, what, fate)
    run.require("plan", _is_wanted(run, run.steps[name]), "{} is {}, but its condition doesn't hold", name, what)


def _is_wanted(run: Known, one: StepAccount) -> bool:
    step = run.declared(one)
    holding = step.when is None or holds(step.when, value(run, step.when.path, one.number))
    return holding and run.branches.is_wanted(step)


def can_go_on(run: Known, name: str, one: StepAccount) -> bool:
    """Whether something is left to do for a step that no person must do."""
    if one.state == "waiting":
        return not run.unapproved and _fate(run, name) == "run" and has_room(run, one)
    if one.state == "awaiting" and one.due_us:
        return one.due_us <= one.first_us + AWAKE_US_MAX
    if name in run.children:
        return not run.children[name].is_parked
    if one.held and run.lacks_for_now(one):
        return False
    return one.state in {"ready", "backing_off", "performing"} or one.open


def has_room(run: Known, one: StepAccount) -> bool:
    """Whether a step may be under way beside others: of an item, fewer others than the width of its for_each are."""
    width = run.declared(one).width
    if not width or one.item is ABSENT:
        return True
    others = (run.steps[name].state for name in run.items_of[run.name_of[one.number]])
    return sum(state not in TERMINAL and state != "waiting" for state in others) < width


def _admit(run: Known, group: str) -> None:
    """Items that wait for room begin in the order of their list."""
    for name in run.items_of[group]:
        if run.steps[name].state == "waiting" and has_room(run, run.steps[name]):
            run.steps[name].state = "ready"


def _batched(items: list[Any], size: int) -> list[Any]:
    """Items as they are handed out: one by one, or so many at a time."""
    if not size:
        return items
    batches: list[Any] = []
    for index, item in enumerate(items):
        if index % size == 0:
            batches.append([])
        batches[-1].append(item)
    return batches


def value(run: Known, path: str, n: int) -> Any:
    """What a step finds at a path, whatever its scope; ABSENT where nothing stands."""
    return run.naive.value(path, run.ancestors[n])


def can_expand(run: Known, one: StepAccount, path: str) -> bool:
    """Whether what stands at a path is a list that is not too long."""
    items = value(run, path, one.number)
    limits = run.rules.limits
    most = min(limits.for_each_width_max, limits.steps_max - len(run.steps))
    return isinstance(items, list) and len(_batched(items, run.declared(one).batch)) <= most
