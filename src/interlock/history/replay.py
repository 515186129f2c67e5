"""A run folded again, event by event, by the machine that drove it.

What the machine computes is held against what was journaled: the hash of every view, and that every call and every
consequence was due when it was recorded. A value that was changed in the journal is found by the first view that shows
it; what no later step could see has no hash, and can't be found. What lists show of the run is held against its end,
so that events which are missing there are found as well.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from interlock.core import commands as c
from interlock.core import events as e
from interlock.core.children import hash_of
from interlock.core.job import Job
from interlock.core.machine import Machine
from interlock.core.naming import hint
from interlock.core.redrive import obstacle
from interlock.errors import BrokenPromise, InputError
from interlock.ports import RunRow

from .attempts import Attempt, attempts
from .record import Record
from .times import timestamp

_STATES_COMPARED_AT_ONCE = 256
_DUE = {
    e.AttemptStarted: c.CallAgent,
    e.ChildStarted: c.StartChild,
    e.EffectStarted: c.PerformEffect,
    e.StepExpanded: c.ExpandStep,
    e.ConflictsResolved: c.ResolveConflicts,
    e.StepSkipped: c.SkipStep,
    e.DecisionCalled: c.CallForDecision,
    e.PlanRevised: c.RevisePlan,
    e.StepEscalated: c.AskPerson,
    e.StepBuried: c.BuryStep,
    e.RunParked: c.ParkRun,
    e.RunFinished: c.FinishRun,
}


class Move(msgspec.Struct, frozen=True):
    """A step that went from one state to another; `before` is empty for an item that came to be."""

    step: str
    before: str
    after: str


class Mismatch(msgspec.Struct, frozen=True):
    """Something that was journaled otherwise than the machine computes it. what: view, call, items, team, ...

    seq: the event; of what lists show of the run, its last one.
    """

    seq: int
    step: str
    what: str
    recorded: str
    computed: str

    @property
    def sentence(self) -> str:
        """What is wrong, for people."""
        where = f"event {self.seq}" + (f", step {self.step}" if self.step else "")
        return f"{where}: the {self.what} in the journal is {self.recorded}, but its events give {self.computed}"


class Moment(msgspec.Struct, frozen=True):
    """One event and what it changed. seq: its number in the journal, from 0."""

    seq: int
    event: e.AnyEvent
    moves: Sequence[Move] = ()
    mismatches: Sequence[Mismatch] = ()


class Replay:
    """The machine of a run, to be told its events again."""

    def __init__(self, record: Record) -> None:
        self.machine = Machine(record.rules)
        self.broken = ""
        self._team = record.team
        self._seq = 0
        self._states: list[str] = list(self.machine.state)
        self._due: dict[tuple[type, str], Any] = {}
        # What the runs have come to that have just done steps, by the steps: the hash of what these write.
        self._come_to: dict[str, str] = {}

    def fold(self, event: e.AnyEvent) -> Moment:
        """Fold the next event. What comes after one that can't be folded is only listed."""
        seq, self._seq = self._seq, self._seq + 1
        if self.broken:
            return Moment(seq, event)
        try:
            found = [Mismatch(seq, step, *rest) for step, *rest in self._differences(event)]
            self.machine.apply(event)
        except Exception as error:  # noqa: BLE001 - a damaged event may break the machine in any way
            self.broken = f"event {seq} can't follow from those before it ({type(error).__name__}: {error})"
            wrong = Mismatch(seq, getattr(event, "step", ""), "event", type(event).__name__, f"no such fact: {error}")
            return Moment(seq, event, (), (wrong,))
        for command in self.machine.decide():
            self._due[type(command), _about(command)] = command
        return Moment(seq, event, self._moves(), found)

    def _moves(self) -> list[Move]:
        before, after, machine = self._states, self.machine.state, self.machine
        moves = [Move(machine.step_id(n), "", after[n]) for n in range(len(before), len(after))]
        before += after[len(before) :]
        # Slices are compared in C: a run of thousands of steps has tens of thousands of events.
        for start in range(0, len(after), _STATES_COMPARED_AT_ONCE):
            part = slice(start, start + _STATES_COMPARED_AT_ONCE)
            if before[part] != after[part]:
                for n, (old, new) in enumerate(zip(before[part], after[part], strict=True), start):
                    if old != new:
                        moves.append(Move(machine.step_id(n), old, new))
                before[part] = after[part]
        return moves

    # --- what is held against what ---

    def _differences(self, event: e.AnyEvent) -> Iterator[tuple[str, str, str, str]]:
        """(step, what, recorded, computed) for all that is otherwise in this event than the machine has it."""
        if event.at_us < self.machine.at_us:
            yield getattr(event, "step", ""), "time", str(event.at_us), f"one not before {self.machine.at_us}"
        if isinstance(event, e.RunStarted):
            yield from _unequal("", "hash of the team", event.team, self._team)
            yield from _unequal("", "hash of the plan", event.plan, self.machine.plan.hash)
        if isinstance(event, e.RunReopened) and (why := obstacle(self.machine, [*event.steps])):
            yield "", "event", "RunReopened", f"no reason for it: {why}"
        step = getattr(event, "step", "")
        if isinstance(event, e.AttemptCommitted) and event.request is not None:
            yield from self._not_granted(step, event.request)
        yield from self._not_come_to(step, event)
        kind = _DUE.get(type(event))
        if kind is None or (isinstance(event, e.StepSkipped) and event.by):  # which was decided before it was forked
            return
        command = self._due.pop((kind, _about(event)), None)
        if command is None:
            yield step, "event", type(event).__name__, "no reason for it"
        elif isinstance(event, _BEGUN):
            recorded = f"of {event.agent}, attempt {event.attempt}"
            yield from _unequal(step, "call", recorded, f"of {command.agent}, attempt {command.attempt}")
        elif isinstance(event, e.EffectStarted):
            recorded = f"{event.effect}, try {event.number}"
            yield from _unequal(step, "effect", recorded, f"{command.effect}, try {command.attempt}")
        elif isinstance(event, _FROZEN):
            yield from _unfrozen(event, command)
        elif isinstance(event, e.RunFinished):
            yield from _unequal("", "end of the run", event.status, command.status)
        if isinstance(event, _BEGUN):
            yield from _unequal(step, "view", event.view, self.view_hash(step))

    def _not_come_to(self, step: str, event: e.AnyEvent) -> Iterator[tuple[str, str, str, str]]:
        """What is committed for a run that has done a step is what that has come to, as told when it ended."""
        if isinstance(event, e.ChildEnded) and event.writes:
            self._come_to[step] = event.writes
        elif isinstance(event, e.AttemptCommitted | e.ReplyDrafted) and step in self._come_to:
            yield from _unequal(step, "hash of what its run has come to", self._come_to.pop(step), hash_of(event))

    def _not_granted(self, step: str, request: e.BranchRequested) -> Iterator[tuple[str, str, str, str]]:
        if request not in self.machine.author(self.machine.number[step]).branches:
            yield step, "request", f"{request.action} of {request.to} (step {request.step})", "no such branch"

    def differences_at_the_end(self, row: RunRow) -> Iterator[Mismatch]:
        """Where lists show something else of the run than its events come to, as where the last of them is missing."""
        machine = self.machine
        ended_us = 0 if machine.status in {"running", "parked"} else machine.at_us
        compared = {
            "listed status": (row.status, machine.status),
            "listed reason": (row.reason or "none", machine.reason or "none"),
            "listed start": (timestamp(row.started_us), timestamp(machine.started_us)),
            "listed end": tuple(timestamp(at_us) if at_us else "none" for at_us in (row.ended_us, ended_us)),
        }
        for what, (recorded, computed) in compared.items():
            if recorded != computed:
                yield Mismatch(self._seq - 1, "", what, recorded, computed)

    def view_hash(self, step: str) -> str:
        """The hash of what a step may see now."""
        machine = self.machine
        n = machine.number[step]
        return machine.bank.view_hash(machine.label[n], machine.duty(n).sight)


_BEGUN = e.AttemptStarted | e.ChildStarted
_FROZEN = e.StepExpanded | e.ConflictsResolved | e.DecisionCalled | e.PlanRevised


def _unfrozen(
    event: e.StepExpanded | e.ConflictsResolved | e.DecisionCalled | e.PlanRevised, command: Any
) -> Iterator[tuple[str, str, str, str]]:
    """In what a list that was frozen in an event differs from the one that its events give."""
    match event:
        case e.StepExpanded() if bytes(event.items) != bytes(command.items):
            yield event.step, "list of items", _short(event.items), _short(command.items)
        case e.ConflictsResolved():
            meant = msgspec.structs.replace(command.verdict, at_us=event.at_us)
            for name in ("writes", "settled", "agreed", "left_out", "reads"):
                recorded, computed = (_short(msgspec.Raw(e.encode(getattr(one, name)))) for one in (event, meant))
                yield from _unequal(event.step, f"resolution ({name})", recorded, computed)
        case e.PlanRevised() if bytes(event.added) != bytes(command.added):
            yield event.step, "list of new steps", _short(event.added), _short(command.added)
        case e.PlanRevised():
            yield from _unequal(event.step, "end of the plan", str(event.finished), str(command.finished))
            yield from _unequal(
                event.step, "list of dropped steps", ", ".join(event.dropped), ", ".join(command.dropped)
            )
            yield from _unequal(event.step, "last resort", str(event.otherwise), str(command.otherwise))
        case e.DecisionCalled():
            yield from _unequal(event.step, "list of needs", ", ".join(event.needs), ", ".join(command.needs))


def _about(thing: Any) -> str:
    """Which step, and which of its effects, an event or a command is about."""
    step, key = getattr(thing, "step", ""), getattr(thing, "key", None)
    return step if key is None else f"{step}/{key}"


def _unequal(step: str, what: str, recorded: str, computed: str) -> Iterator[tuple[str, str, str, str]]:
    if recorded != computed:
        yield step, what, recorded, computed


_SHORT_CHARS = 80


def _short(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    return text if len(text) <= _SHORT_CHARS else text[:_SHORT_CHARS] + "..."


def replay(record: Record) -> list[Moment]:
    """All the moments of a run; with the last of them, where lists show another end."""
    telling = Replay(record)
    moments = [telling.fold(event) for event in record.events]
    at_the_end = () if telling.broken else telling.differences_at_the_end(record.row)
    last = moments.pop()
    return [*moments, msgspec.structs.replace(last, mismatches=[*last.mismatches, *at_the_end])]


# --- one call ---


class Handed(msgspec.Struct, frozen=True):
    """One call as it was: what the agent was handed, and what came of it.

    view: all that the job's view shows. view_hash: as it was journaled; `mismatches` says where that is not what the
    events give. calls: how often this attempt was issued; more than once where a call was lost with its driver.
    """

    seq: int
    job: Job
    view: dict[str, Any]
    view_hash: str
    mismatches: Sequence[Mismatch]
    attempt: Attempt
    calls: int


def handed(record: Record, step: str, attempt: int | None = None) -> Handed:
    """The last call for this attempt of a step; where none is given, the last one that wasn't a judge's.

    Raises InputError where there was no such call, BrokenPromise where the events before it can't be folded.
    """
    events = record.events
    starts = [seq for seq, event in enumerate(events) if isinstance(event, e.AttemptStarted)]
    mine = [
        (seq, told)
        for seq, told in zip(starts, attempts(events), strict=True)
        if _is_of(events[seq], step, attempt) and (attempt is not None or not told.judges)
    ]
    if not mine:
        raise _no_call(record, step, attempt)
    seq, told = mine[-1]
    started = events[seq]
    assert isinstance(started, e.AttemptStarted)
    telling = Replay(record)
    for event in events[:seq]:
        telling.fold(event)
    if telling.broken:
        fix = f"the journal is damaged; see where: interlock replay {record.run_id}"
        raise BrokenPromise(f"run {record.run_id} can't be replayed to there: {telling.broken}", fix=fix)
    job = _job(record.run_id, telling.machine, started)
    view = dict[str, Any](job.view.to_dict())  # type: ignore[attr-defined]
    same = sum(_is_of(events[seq], step, started.attempt) for seq in starts)
    return Handed(seq, job, view, started.view, telling.fold(started).mismatches, told, same)


def attempt_asked_about(events: Sequence[e.AnyEvent], step: str, attempt: int) -> int:
    """The attempt that a question is about, which a step asks after this one: of a judged reply, that of its author."""
    own = [one.attempt for one in attempts(events) if one.step == step and not one.judges]
    return max((number for number in own if number <= attempt), default=attempt)


def to_be_handed(record: Record, step: str) -> Handed:
    """What a step that was never called would be handed now."""
    machine, last = record.folded(), record.events[-1]
    agent = machine.duty(machine.number[step]).agent
    job = _job(record.run_id, machine, e.AttemptStarted(last.at_us, step, 1, agent, ""))
    view = dict[str, Any](job.view.to_dict())  # type: ignore[attr-defined]
    attempt = Attempt(step=step, attempt=0, agent=agent, view="", at_us=last.at_us)
    return Handed(len(record.events) - 1, job, view, "", (), attempt, 0)


def _job(run_id: str, machine: Machine, started: e.AttemptStarted) -> Job:
    """The job as the engine made it, from the machine as it was then."""
    n = machine.number[started.step]
    timeout_ms = machine.duty(n).policy.timeout_ms
    return machine.job(run_id, c.CallAgent(n, started.step, started.agent, started.attempt, timeout_ms))


def _is_of(event: e.AnyEvent, step: str, attempt: int | None) -> bool:
    return isinstance(event, e.AttemptStarted) and event.step == step and attempt in {None, event.attempt}


def _no_call(record: Record, step: str, attempt: int | None) -> InputError:
    """Why there is no such call, as far as the run itself can tell."""
    run_id, plan, events = record.run_id, record.folded().plan, record.events
    begun = sorted({event.attempt for event in events if isinstance(event, e.AttemptStarted) and event.step == step})
    if begun:
        fix = f"choose one of: {', '.join(map(str, begun))}"
        return InputError(f"step {step} of run {run_id} has no attempt {attempt}", fix=fix)
    copies = _copies(record, step)
    if copies:
        message = f"step {step} of run {run_id} is called once for each of its copies"
        return InputError(message, fix=f"choose one: {copies[0]} to {copies[-1]}")
    if step in plan.number:
        fix = f"see what became of it: interlock show {run_id}"
        return InputError(f"step {step} of run {run_id} was never called", fix=fix)
    known = [*plan.number, *(event.step for event in events if isinstance(event, e.AttemptStarted))]
    return InputError(f"run {run_id} has no step {step}{hint(step, known)}", fix=f"see: interlock show {run_id}")


def _copies(record: Record, step: str) -> list[str]:
    """The samples or items that a declared step stands for."""
    expanded = (event for event in record.events if isinstance(event, e.StepExpanded) and event.step == step)
    for event in expanded:
        return [f"{step}-{index}" for index in range(len(msgspec.json.decode(event.items)))]
    plan = record.folded().plan
    return [plan.steps[n].id for n in plan.groups.get(step, ()) if step != plan.steps[n].id]
