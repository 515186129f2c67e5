"""Where a value came from: who wrote it, from which reads, and so on back to the request.

An item of a for_each was handed its part of a list beside its view, so that list counts among its reads.
"""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.machine import Machine
from interlock.core.nested import STEP
from interlock.core.step import INDEX
from interlock.core.values import ABSENT, at
from interlock.errors import InputError

from .record import Record
from .settling import told_settled

NEAR_PATHS_MAX = 3
PATHS_COMPARED_MAX = 5_000
REQUEST = "request"
# The writer of what a team file declares for a question that nobody answers.
RECONCILED = "reconciled"
DEFAULT = "default"
_Commit = e.AttemptCommitted | e.ConflictsResolved | e.QuestionAnswered | e.QuestionExpired | e.WaitEnded | e.StepShared


class Origin(msgspec.Struct, frozen=True):
    """Who wrote a leaf, and which paths it had read.

    writer: a step's number in the run; 0 is the request. agent: whose reply it was; `person:ID` where a person wrote,
    and whoever sent the event that a step awaited.
    requested_by: the steps without whose request the writer would have been skipped.
    told_by: the people who answered or advised it before. forked_from: of a value that was set when a run was forked,
    that run; agent is who set it, or nobody where that was in a fork before this one. settled: what the candidates for
    it contradicted each other about, and who decided that. run_id, path_there: of a value that a nested team has come
    to, its run, and where the value stands in that.
    """

    path: str
    writer: int
    step: str
    agent: str
    attempt: int
    at_us: int
    value: Any
    reads: tuple[str, ...]
    requested_by: tuple[str, ...] = ()
    told_by: tuple[str, ...] = ()
    forked_from: str = ""
    settled: e.Settled | None = None
    run_id: str = ""
    path_there: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The origin as `explain --json` prints it."""
        who = {"writer": self.step, "agent": self.agent or None, "attempt": self.attempt or None}
        why = {"requested_by": self.requested_by, "told_by": self.told_by}
        told = {name: people for name, people in why.items() if people}
        fork = {"forked_from": self.forked_from} if self.forked_from else {}
        settled = {"contradiction": told_settled(self.settled)} if self.settled else {}
        below = {"run_id": self.run_id, "path_there": self.path_there} if self.run_id else {}
        known = {**told, **fork, **settled, **below}
        return {"path": self.path, **who, "value": self.value, "reads": self.reads, **known}


class Lineage:
    """All that one value goes back to. `first`: who wrote the value itself; `before`: what a writer had read.

    faults: the hash of those injected into the run on purpose; empty for an ordinary one.
    """

    def __init__(self, path: str, value: Any, first: Sequence[Origin], machine: Machine) -> None:
        self.path, self.value, self.first, self.faults = path, value, first, machine.faults
        self.origins: list[Origin] = []
        self._machine = machine
        self._at: dict[str, list[Origin]] = {}

    def add(self, origin: Origin) -> None:
        """Take one more origin of the value, the nearest first."""
        self.origins.append(origin)
        self._at.setdefault(origin.path, []).append(origin)

    def before(self, origin: Origin) -> list[Origin]:
        """The origins of what its writer had read."""
        if not origin.writer:
            return []
        visible = self._machine.plan.ancestors[self._machine.label[origin.writer]]
        found = {id(seen): seen for read in origin.reads for seen in self.standing(read, visible)}
        return [*found.values()]

    def forget_unreached(self) -> None:
        """Leave out what only led to values in whose place others were set."""
        reached = {id(origin): origin for origin in self.first}
        front = [*self.first]
        for origin in front:
            further = [one for one in self.before(origin) if id(one) not in reached]
            reached |= {id(one): one for one in further}
            front += further
        self.origins = [origin for origin in self.origins if id(origin) in reached]

    def standing(self, path: str, visible: int) -> Iterator[Origin]:
        """The origins of what stood at a path for one who sees the commits of these steps."""
        bank = self._machine.bank
        root = "" if path == "*" else bank.field_above(path) or path
        for leaf in (root, *bank.leaves_below(root)):
            if leaf in self._at:
                yield from self._written(leaf, visible)

    def _written(self, leaf: str, visible: int) -> Iterator[Origin]:
        merged = leaf in self._machine.rules.sharing.reducers
        shown = self._machine.bank.shown(leaf, visible)
        if shown is None:
            return
        for origin in self._at[leaf]:
            is_visible = visible >> self._machine.label[origin.writer] & 1
            if is_visible and (merged or origin.writer == shown.writer):
                yield origin

    def to_dict(self, run_id: str) -> dict[str, Any]:
        """The lineage as `explain --json` prints it."""
        origins = [origin.to_dict() for origin in self.origins]
        document = {"run_id": run_id, "path": self.path, "value": self.value, "origins": origins}
        return document | ({"faults": self.faults} if self.faults else {})


def lineage(record: Record, path: str) -> Lineage:
    """Where the value at a path came from. Raises PathError, and InputError where nothing stands there."""
    path, machine, events = paths.canonical(path), record.folded(), record.events
    try:
        value = machine.context[path]
    except KeyError:
        raise _nothing_at(path, machine, events) from None
    found = Lineage(path, value, [], machine)
    writers = _Writers(machine, events)
    for leaf, writer, reads in _all_origins(machine, path):
        found.add(writers.origin(leaf, writer, reads))
    found.first = [*found.standing(path, -1)]
    if any(origin.forked_from for origin in found.origins):
        found.forget_unreached()
    return found


def _all_origins(machine: Machine, path: str) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    known: set[tuple[str, int]] = set()
    questions = [(path, -1)]
    for wanted, visible in questions:
        for origin in machine.bank.lineage(wanted, visible):
            if (origin.path, origin.writer) not in known:
                known.add((origin.path, origin.writer))
                reads = origin.reads
                source = machine.step(origin.writer).for_each if origin.writer in machine.items else None
                if source is not None:
                    reads = tuple(dict.fromkeys((*reads, source)))
                    question = (source, machine.plan.ancestors[machine.label[origin.writer]])
                    if question not in questions:
                        questions.append(question)
                yield origin.path, origin.writer, reads


class _Writers:
    """Who wrote what, as the events tell it."""

    def __init__(self, machine: Machine, events: Sequence[e.AnyEvent]) -> None:
        self._machine = machine
        self._started: dict[tuple[str, int], e.AttemptStarted | e.ChildStarted] = {}
        self._committed: dict[int, _Commit] = {}
        self._told_by: dict[str, dict[str, None]] = {}
        self._decoded: dict[tuple[int, str], Any] = {}
        self._settled: dict[int, tuple[e.Settled, ...]] = {}
        self._request: e.RunStarted | None = None
        self._requesters: dict[str, dict[str, None]] = {}
        for event in events:
            if isinstance(event, e.AttemptCommitted | e.StepShared) and event.request is not None:
                self._requesters.setdefault(event.request.step, {})[event.step] = None
            if isinstance(event, e.AttemptStarted | e.ChildStarted):
                self._started[event.step, event.attempt] = event
            elif isinstance(event, e.QuestionAnswered) and not event.commits:
                self._told_by.setdefault(event.step, {})[event.by] = None
            elif isinstance(event, e.ConflictsResolved) and self._settle(machine.number[event.step], event):
                pass  # its judge's reply has committed that
            elif isinstance(event, _Commit):
                self._committed[machine.number[event.step]] = event
            elif isinstance(event, e.RunStarted):
                self._request = event

    def _settle(self, n: int, event: e.ConflictsResolved) -> bool:
        """Note what was settled; whether it was committed before."""
        self._settled[n] = event.settled
        return not event.writes

    def origin(self, leaf: str, writer: int, reads: tuple[str, ...]) -> Origin:
        value = self._value(leaf, writer)
        set_by = self._set_by(leaf, writer)
        if set_by is not None:
            who, fork = set_by
            step = self._committed[writer].step if writer else REQUEST
            return Origin(leaf, writer, step, who, 0, self._machine.started_us, value, (), forked_from=fork)
        if not writer:
            return Origin(leaf, 0, REQUEST, "", 0, self._machine.started_us, value, ())
        event = self._committed[writer]
        agent = self._writer(event)
        declared = self._machine.plan.declared_id[self._machine.step(writer).id]
        asked = tuple(self._requesters.get(declared, ()))
        told_by = tuple(self._told_by.get(event.step, ()))
        attempt = 0 if isinstance(event, e.WaitEnded | e.ConflictsResolved) else event.attempt
        settled = next((one for one in self._settled.get(writer, ()) if paths.inside(leaf, one.path)), None)
        known = (event.at_us, value, reads, asked, told_by, "", settled)
        found = Origin(leaf, writer, event.step, agent, attempt, *known)
        started = self._started.get((event.step, attempt))
        if not isinstance(event, e.AttemptCommitted) or not isinstance(started, e.ChildStarted):
            return found
        return msgspec.structs.replace(found, run_id=started.run_id, path_there=self._there(leaf, writer, agent))

    def _there(self, leaf: str, writer: int, agent: str) -> str:
        """Where the value of a leaf stands in the run that did its step."""
        nested, items = self._machine.rules.roles[agent].nested, self._machine.items
        assert nested is not None
        index = str(items[writer][1]) if writer in items else ""
        for target, source in (nested.outputs or {}).items():
            filled = target.replace(STEP, self._machine.step_id(writer)).replace(INDEX, index)
            if paths.inside(leaf, filled):
                return source + leaf[len(filled) :]
        return leaf

    def _set_by(self, leaf: str, writer: int) -> tuple[str, str] | None:
        """Who set a leaf when the run was forked, and from which; None where nobody did."""
        assert self._request is not None
        origin = self._request.origin
        if origin is None:
            return None
        in_commits = {path for event in self._committed.values() for path in getattr(event, "changed", ())}
        if writer:
            changed: Collection[str] = getattr(self._committed[writer], "changed", ())
        else:
            changed = {*origin.changed} - in_commits
        found = [path for path in changed if paths.inside(leaf, path)]
        return (origin.by if {*found} & {*origin.changed} else "", origin.run_id) if found else None

    def _writer(self, event: "_Commit") -> str:
        """Who wrote what an event commits."""
        match event:
            case e.StepShared():
                return event.agent
            case e.QuestionAnswered():
                return event.by
            case e.QuestionExpired():
                return DEFAULT
            case e.WaitEnded():
                return event.by or DEFAULT
            case e.ConflictsResolved():
                return RECONCILED
        return self._started[event.step, event.attempt].agent

    def _value(self, leaf: str, writer: int) -> Any:
        """What was written at a leaf, taken out of the write that it was part of."""
        if not writer:
            assert self._request is not None
            return at(self._once(0, "", self._request.request), paths.split(leaf))
        writes = self._committed[writer].writes
        whole = next(path for path in (leaf, *paths.prefixes(leaf)) if path in writes)
        inner = paths.split(leaf)[len(paths.split(whole)) :]
        return at(self._once(writer, whole, writes[whole]), inner)

    def _once(self, writer: int, path: str, raw: msgspec.Raw) -> Any:
        key = (writer, path)
        if key not in self._decoded:
            self._decoded[key] = msgspec.json.decode(raw)
        return self._decoded[key]


# --- where nothing stands ---


def _nothing_at(path: str, machine: Machine, events: Sequence[e.AnyEvent]) -> InputError:
    for event in reversed(events):
        if isinstance(event, e.AttemptCommitted | e.QuestionAnswered) and any(
            paths.inside(path, gone) for gone in event.deletes
        ):
            message = f"there is nothing at {path} any more: step {event.step} has deleted it"
            return InputError(message, fix=f"explain what it had read: {', '.join(event.reads) or 'nothing'}")
    context = machine.context
    for above in paths.prefixes(path):
        value = context.get(above, ABSENT)
        if value is not ABSENT and not isinstance(value, dict):
            kind = "a list, which is one value" if isinstance(value, list) else "a value with nothing below it"
            return InputError(f"there is nothing at {path}: {above} holds {kind}", fix=f"explain {above}")
    near = _near(path, machine)
    fix = f"near it: {', '.join(near)}" if near else "the context is empty"
    return InputError(f"there is nothing at {path}", fix=fix)


def _near(path: str, machine: Machine) -> list[str]:
    """The paths that a mistyped one most likely means; else those beside it."""
    known: dict[str, None] = {}
    for leaf in machine.context:
        known |= dict.fromkeys((*reversed(paths.prefixes(leaf)), leaf))
        if len(known) > PATHS_COMPARED_MAX:
            break
    near = get_close_matches(path, known, NEAR_PATHS_MAX)
    above = next((prefix for prefix in paths.prefixes(path) if prefix in known), "")
    return near or [other for other in known if paths.inside(other, above) and other != above][:NEAR_PATHS_MAX]
