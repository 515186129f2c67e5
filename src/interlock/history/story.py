"""A run as it is now: its steps, every attempt, its context.

The machine, folded again over the events, knows the state of every step and the context; what it forgets is read from
the events.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.machine import Machine
from interlock.core.purse import Cost
from interlock.core.redrive import BY_DEADLINE
from interlock.core.result import Outcome
from interlock.ports import RunRow

from .attempts import Attempt, Held, attempts, holds
from .children import ChildStory, children
from .record import Record
from .settling import told_settled
from .times import timestamp


class StepStory(msgspec.Struct, frozen=True):
    """A step as it is now. stage: how many steps follow one another before it. item_of: the for_each step it is of.

    held: which gates kept its calls away. branch_of: the steps one of which must have requested it. waits_for: of a
    step without an agent, what for, as declared; begun: that it does so now, since when and until when;
    takes_data: its event brings data. reconciles: what, as declared; resolved: what that came to.
    """

    id: str
    agent: str
    action: str
    needs: tuple[str, ...]
    state: str
    reason: str
    stage: int
    item_of: str = ""
    held: Sequence[Held] = ()
    branch_of: tuple[str, ...] = ()
    waits_for: str = ""
    begun: e.WaitBegun | None = None
    takes_data: bool = False
    reconciles: str = ""
    resolved: e.ConflictsResolved | None = None

    def to_dict(self) -> dict[str, Any]:
        """The step as `show --json` prints it."""
        document: dict[str, Any] = {name: getattr(self, name) for name in ("id", "agent", "action", "needs", "state")}
        held = [one.to_dict() for one in self.held]
        optional: dict[str, Any] = {
            "reason": self.reason,
            "item_of": self.item_of,
            "branch_of": self.branch_of,
            "held": held,
        }
        optional["waits_for"] = self.waits_for
        optional["reconciles"] = self.reconciles
        if self.resolved is not None:
            document["contradictions"] = [told_settled(one) for one in self.resolved.settled]
            document["agreed"] = self.resolved.agreed
            optional["left_out"] = self.resolved.left_out
        if self.begun is not None:
            document["since"] = timestamp(self.begun.at_us)
            document["until"] = timestamp(self.begun.due_us) if self.begun.due_us else None
        return document | {key: value for key, value in optional.items() if value}


class EffectStory(msgspec.Struct, frozen=True):
    """An effect as it is now.

    state: requested, started, done, failed (it is certain that nothing was done), rejected (by a person, before it was
    begun) or unknown; reason: why it failed, was rejected or is unknown. tries: how often it was begun. flaw: why its
    result isn't kept. approved_by, rejected_by: who let it be performed, or did not.
    """

    step: str
    effect: str
    key: str
    payload: Any
    state: str
    tries: int
    result: Any
    reason: str
    flaw: str
    approved_by: str = ""
    rejected_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The effect as `show --json` prints it."""
        document = {name: getattr(self, name) for name in ("step", "effect", "key", "payload", "state", "tries")}
        done = {"result": self.result} if self.state == "done" else {}
        optional = {"reason": self.reason, "flaw": self.flaw, "approved_by": self.approved_by}
        optional["rejected_by"] = self.rejected_by
        return document | done | {key: value for key, value in optional.items() if value}


class Story(msgspec.Struct, frozen=True):
    """One run, from its beginning to now.

    faults: the hash of those injected on purpose; empty for an ordinary run. origin: what a fork goes on from. kept:
    the events that have come before a step waits for them. parent: of a run that does a step of another. children: the
    runs that do steps of this one; runs: the stories of those that are known, by id. result: what the team declares as
    its result. chosen: which of several plans its request has; None where there is one.
    """

    row: RunRow
    status: str
    reason: str
    steps: Sequence[StepStory]
    attempts: Sequence[Attempt]
    context: dict[str, Any]
    cost: Cost
    started_us: int
    last_us: int
    faults: str = ""
    origin: e.Origin | None = None
    effects: Sequence[EffectStory] = ()
    kept: Sequence[e.EventReceived] = ()
    parent: e.Parent | None = None
    children: Sequence[ChildStory] = ()
    runs: "Mapping[str, Story]" = {}
    result: Outcome = Outcome()
    chosen: e.PlanChosen | None = None

    def to_dict(self) -> dict[str, Any]:
        """The run as `interlock show --json` prints it."""
        document = {
            "run_id": self.row.run_id,
            "status": self.status,
            "reason": self.reason,
            "team": self.row.source,
            "team_hash": self.row.team,
            "batch": self.row.batch,
            "input": self.row.row,
            "started": timestamp(self.started_us),
            "duration_ms": (self.last_us - self.started_us) / 1_000,
            "plan": [step.to_dict() for step in self.steps],
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "effects": [effect.to_dict() for effect in self.effects],
            "context": self.context,
            "cost": {"usd": self.cost.usd, "tokens": self.cost.tokens, "calls": self.cost.calls},
        }
        if self.kept:
            document["events_kept"] = [_kept(event) for event in self.kept]
        if self.parent is not None:
            document["parent"] = {name: getattr(self.parent, name) for name in ("run_id", "step", "attempt")}
        if self.children:
            document["children"] = [self._child(child) for child in self.children]
        document |= {} if self.chosen is None else {"chosen": self.chosen.plan, "why": self.chosen.why}
        document |= {} if self.result.value is None else {"result": self.result.value}
        origin = {"origin": msgspec.to_builtins(self.origin)} if self.origin else {}
        return document | ({"faults": self.faults} if self.faults else {}) | origin

    def _child(self, child: ChildStory) -> dict[str, Any]:
        """A run that does a step, with those that do its steps; of one that isn't known, what is told of it here."""
        head = {name: getattr(child, name) for name in ("step", "attempt", "agent", "run_id", "status", "reason")}
        document = head | {"started": timestamp(child.at_us), "given_up": child.given_up}
        inner = self.runs.get(child.run_id)
        if inner is None:
            return document
        told = inner.to_dict()
        known = {name: told[name] for name in ("status", "reason", "started", "duration_ms", "cost")}
        steps = {"steps": dict(Counter(step.state for step in inner.steps))}
        return document | known | steps | ({"children": told["children"]} if inner.children else {})

    @property
    def family(self) -> set[str]:
        """The ids of this run, and of all known ones below it."""
        return {self.row.run_id}.union(*(inner.family for inner in self.runs.values()))


def _kept(event: e.EventReceived) -> dict[str, Any]:
    told = {"event": event.event, "event_id": event.event_id, "by": event.by, "at": timestamp(event.at_us)}
    return told | {"data": msgspec.json.decode(event.data)}


def story(record: Record) -> Story:
    """The story of a run. Raises BrokenPromise where its events can't be folded."""
    machine, events = record.folded(), record.events
    first = events[0] if events else None
    return Story(
        record.row,
        machine.status,
        machine.reason,
        [*_steps(machine, holds(events), _lapsed(events), _resolved(events))],
        attempts(events),
        machine.context.to_dict(),
        machine.cost,
        machine.started_us,
        machine.at_us,
        machine.faults,
        first.origin if isinstance(first, e.RunStarted) else None,
        [effect for n in machine.ledger.entries for effect in effects(machine, n)],
        [event for kept in machine.kept.values() for event in kept],
        first.parent if isinstance(first, e.RunStarted) else None,
        children(events),
        result=machine.result,
        chosen=first.chosen if isinstance(first, e.RunStarted) else None,
    )


def effects(machine: Machine, n: int) -> Iterator[EffectStory]:
    """The effects of a step, as they stand."""
    for entry in machine.ledger.of(n):
        is_rejected = entry.standing == "requested" and entry.rejected_by
        yield EffectStory(
            machine.step_id(n),
            entry.effect,
            entry.key,
            msgspec.json.decode(entry.payload),
            "rejected" if is_rejected else entry.standing,
            entry.tries,
            msgspec.json.decode(entry.result),
            entry.reason if entry.standing in {"failed", "unknown"} else entry.rejected_for,
            entry.flaw,
            entry.approved_by,
            entry.rejected_by,
        )


def _lapsed(events: Sequence[e.AnyEvent]) -> set[str]:
    """The steps that a deadline has ended, here or in the run that this one is a fork of."""
    ended = {event.step for event in events if isinstance(event, e.WaitEnded) and event.then and not event.by}
    return ended | {event.step for event in events if isinstance(event, e.StepShared) and event.agent == BY_DEADLINE}


def _resolved(events: Sequence[e.AnyEvent]) -> dict[str, e.ConflictsResolved]:
    """What the steps that reconcile have come to."""
    return {event.step: event for event in events if isinstance(event, e.ConflictsResolved)}


def _steps(
    machine: Machine, held: Sequence[Held], lapsed: Collection[str], resolved: Mapping[str, e.ConflictsResolved]
) -> Iterator[StepStory]:
    """Every step in plan order, the items of a for_each after it."""
    stages = _stages(machine)
    of_step: dict[str, list[Held]] = {}
    for one in held:
        one.goes_on = one.goes_on and machine.state[machine.number[one.step]] == "backing_off"
        of_step.setdefault(one.step, []).append(one)
    items: dict[int, list[int]] = {}
    for n in machine.items:
        items.setdefault(machine.label[n], []).append(n)
    for n in machine.plan.number.values():
        step = _step(machine, n, stages[n], of_step, lapsed=machine.step_id(n) in lapsed)
        yield msgspec.structs.replace(step, resolved=resolved[step.id]) if step.id in resolved else step
        for item in items.get(n, ()):
            yield _step(machine, item, stages[n], of_step, item_of=machine.step_id(n))


def _step(
    machine: Machine, n: int, stage: int, held: Mapping[str, list[Held]], item_of: str = "", *, lapsed: bool = False
) -> StepStory:
    step, needs = machine.step(n), machine.plan.needs[machine.label[n]]
    wait = machine.rules.waits.get(n)
    reason = f"{wait.event} has not come in time" if lapsed and wait is not None and wait.event else ""
    return StepStory(
        machine.step_id(n),
        step.agent,
        step.action,
        tuple(machine.step_id(need) for need in needs),
        machine.state[n],
        machine.reasons.get(n, "") if machine.state[n] != "committed" else reason,
        stage,
        item_of,
        held.get(machine.step_id(n), ()),
        tuple(machine.step_id(by) for by in machine.plan.requesters.get(machine.label[n], ())),
        "" if wait is None else wait.described,
        machine.waits.get(n),
        bool(step.writes),
        machine.rules.reconciles[n].described if n in machine.rules.reconciles else "",
    )


def _stages(machine: Machine) -> list[int]:
    """Per step the longest way that leads to it. Two steps of one stage can't be in each other's way."""
    stages = [0]
    for needs in machine.plan.needs[1:]:
        stages.append(1 + max((stages[need] for need in needs), default=-1))
    return stages
