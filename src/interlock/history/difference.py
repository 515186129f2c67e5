"""Where two runs part.

Steps are compared in plan order, never by when they ran: how calls interleave is no difference. Of one step, the
attempts are compared one by one. Where two calls were handed the same and were answered otherwise, the runs part of
themselves; a view that differs only hands on what parted earlier. Calls that were lost with their driver don't count,
nor do times, usage, and which person decided. Of a step that a fork has taken over counts what it wrote: its calls are
those of the run in which they were made.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.values import ABSENT, encode_canonical

from .attempts import Attempt, attempts
from .record import Record

# Naming the paths in which two views differ costs their size, so only so many are looked into.
VIEWS_COMPARED_MAX = 200

Kind = Literal["answer", "view", "job", "state", "only"]
# What may commit something of a step.
Commit = e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired | e.WaitEnded | e.ConflictsResolved | e.StepShared
Part = Literal["request", "context", "view", "item", "job", "writes", "reply", "step"]


class Contrast(msgspec.Struct, frozen=True):
    """Something that two runs have otherwise; ABSENT where one doesn't have it. part: of what `path` is a part."""

    part: Part
    path: str
    a: Any
    b: Any

    def to_dict(self) -> dict[str, Any]:
        """The contrast as `diff --json` prints it: a side that has nothing there is left out."""
        return {"in": self.part, "path": self.path} | {
            side: v for side, v in (("a", self.a), ("b", self.b)) if v is not ABSENT
        }


class Divergence(msgspec.Struct, frozen=True):
    """A step that two runs did otherwise.

    kind: answer (the same was handed out, and answered otherwise), view (another view or item), job (declared
    otherwise), state (it got further in one), only (one has no such step). attempt: of which attempt, 0 for none.
    """

    step: str
    kind: Kind
    attempt: int = 0
    contrasts: Sequence[Contrast] = ()

    def to_dict(self) -> dict[str, Any]:
        """The divergence as `diff --json` prints it."""
        head = {"step": self.step, "kind": self.kind, "attempt": self.attempt or None}
        return head | {"contrasts": [contrast.to_dict() for contrast in self.contrasts]}


class Difference(msgspec.Struct, frozen=True):
    """All in which two runs differ.

    faults: the hash of those injected into each on purpose; empty for an ordinary run. statuses: how each has ended.
    request and context: by path. steps: in plan order.
    """

    runs: tuple[str, str]
    same_team: bool
    faults: tuple[str, str]
    statuses: tuple[str, str]
    request: Sequence[Contrast]
    steps: Sequence[Divergence]
    context: Sequence[Contrast]

    @property
    def equal(self) -> bool:
        """Whether the runs are the same but for times, usage and lost calls."""
        return not (self.request or self.steps or self.context) and self.statuses[0] == self.statuses[1]

    @property
    def root(self) -> Contrast | Divergence | None:
        """Where they part first: the first path of the request, or the first step that answered the same otherwise."""
        if self.request:
            return self.request[0]
        answered = (step for step in self.steps if step.kind == "answer")
        return next(answered, self.steps[0] if self.steps else None)

    def to_dict(self) -> dict[str, Any]:
        """The difference as `diff --json` prints it."""
        root = self.root
        kind = {"kind": "request"} if isinstance(root, Contrast) else {}
        return {
            "runs": self.runs,
            "equal": self.equal,
            "same_team": self.same_team,
            **({"faults": self.faults} if any(self.faults) else {}),
            "statuses": self.statuses,
            "root": None if root is None else kind | root.to_dict(),
            "request": [contrast.to_dict() for contrast in self.request],
            "steps": [step.to_dict() for step in self.steps],
            "context": [contrast.to_dict() for contrast in self.context],
        }


def compare(a: Record, b: Record) -> Difference:
    """In what two runs differ. Raises BrokenPromise where one can't be folded."""
    sides = _Side(a), _Side(b)
    return Difference(
        (a.run_id, b.run_id),
        a.team == b.team,
        (sides[0].machine.faults, sides[1].machine.faults),
        (sides[0].machine.status, sides[1].machine.status),
        _trees("request", sides[0].request, sides[1].request),
        _Comparison(*sides, same_team=a.team == b.team).steps(),
        _trees("context", *(side.machine.context.to_dict() for side in sides)),
    )


def _trees(part: Part, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Contrast]:
    """The leaves that two trees have otherwise, by path."""
    return _flat(part, dict(_leaves(a)), dict(_leaves(b)))


def _flat(part: Part, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Contrast]:
    """What two mappings have otherwise, by key."""
    pairs = [(path, a.get(path, ABSENT), b.get(path, ABSENT)) for path in dict.fromkeys((*a, *b))]
    return [Contrast(part, path, one, other) for path, one, other in pairs if not _same(one, other)]


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{above}.{paths.segment(key)}" if above else paths.segment(key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path, value


def _same(a: Any, b: Any) -> bool:
    """Whether two values are the same JSON: for Python, true is 1 and 1 is 1.0."""
    if a is ABSENT or b is ABSENT:
        return a is b
    return bool(encode_canonical(a) == encode_canonical(b))


class _Side:
    """One of the two runs."""

    def __init__(self, record: Record) -> None:
        self.machine = machine = record.folded()
        started = next((event for event in record.events if isinstance(event, e.RunStarted)), None)
        self.request: dict[str, Any] = msgspec.json.decode(started.request) if started else {}
        self.calls: dict[str, list[Attempt]] = {}
        for attempt in attempts(record.events):
            if attempt.outcome != "interrupted":
                self.calls.setdefault(attempt.step, []).append(attempt)
        self.shared = {event.step for event in record.events if isinstance(event, e.StepShared)}
        self._commits = {event.step: event for event in record.events if isinstance(event, Commit) and _says(event)}
        items: dict[int, list[str]] = {}
        for n, (item_id, _, _) in machine.items.items():
            items.setdefault(machine.label[n], []).append(item_id)
        self.order = [step for n in machine.plan.number.values() for step in (machine.step_id(n), *items.get(n, ()))]

    def state(self, step: str) -> str:
        return self.machine.state[self.machine.number[step]]

    def written(self, step: str) -> dict[str, Any]:
        """What a step has written in the end."""
        commit = self._commits.get(step)
        return {path: msgspec.json.decode(raw) for path, raw in commit.writes.items()} if commit else {}

    def deleted(self, step: str) -> dict[str, Any]:
        """What it has deleted, if anything."""
        deletes = getattr(self._commits.get(step), "deletes", ())
        return {"deletes": list(deletes)} if deletes else {}

    def job(self, step: str) -> dict[str, Any]:
        """What the job of a step is by declaration."""
        declared = self.machine.step(self.machine.number[step])
        return {"action": declared.action, "instructions": declared.instructions}

    def item(self, step: str) -> dict[str, Any]:
        item = self.machine.items.get(self.machine.number[step])
        return {"item": msgspec.json.decode(item[2])} if item else {}

    def view(self, attempt: Attempt) -> dict[str, Any]:
        """What an attempt was shown: all its ancestors had ended, so it is what they show still."""
        label = self.machine.label[self.machine.number[attempt.step]]
        duties = self.machine.rules.duties[label]
        duty = next((duty for duty in duties if duty.agent == attempt.agent), duties[0])
        return self.machine.bank.view(label, duty.sight).to_dict()


class _Comparison:
    """Two runs, step by step."""

    def __init__(self, a: _Side, b: _Side, *, same_team: bool) -> None:
        self._a, self._b, self._same_team = a, b, same_team
        self._views_left = VIEWS_COMPARED_MAX

    def steps(self) -> list[Divergence]:
        a, b = self._a, self._b
        found = []
        for step in dict.fromkeys((*a.order, *b.order)):
            if step not in a.machine.number or step not in b.machine.number:
                sides = [side.state(step) if step in side.machine.number else ABSENT for side in (a, b)]
                found.append(Divergence(step, "only", 0, [Contrast("step", "state", *sides)]))
            else:
                found += islice(self._of_step(step), 1)
        return found

    def _of_step(self, step: str) -> Iterator[Divergence]:
        """In what a step differs, the earliest first."""
        a, b = self._a, self._b
        if step in a.shared or step in b.shared:
            yield from self._of_shared(step)
            return
        ours, theirs = a.calls.get(step, []), b.calls.get(step, [])
        if ours and theirs:
            job = _flat("job", a.job(step), b.job(step))
            if job:
                yield Divergence(step, "job", ours[0].attempt, job)
            item = _flat("item", a.item(step), b.item(step))
            if item:
                yield Divergence(step, "view", ours[0].attempt, item)
        for mine, other in zip(ours, theirs, strict=False):
            yield from self._of_attempt(mine, other)
        sides = [{"state": side.state(step), "attempts": len(side.calls.get(step, []))} for side in (a, b)]
        if sides[0] != sides[1]:
            yield Divergence(step, "state", 0, _flat("step", *sides))

    def _of_shared(self, step: str) -> Iterator[Divergence]:
        a, b = self._a, self._b
        deleted = _flat("reply", a.deleted(step), b.deleted(step))
        written = _flat("writes", a.written(step), b.written(step))
        if deleted or written:
            yield Divergence(step, "answer", 0, [*deleted, *written])
        if a.state(step) != b.state(step):
            yield Divergence(step, "state", 0, _flat("step", {"state": a.state(step)}, {"state": b.state(step)}))

    def _of_attempt(self, mine: Attempt, other: Attempt) -> Iterator[Divergence]:
        if mine.agent != other.agent:
            yield Divergence(mine.step, "job", mine.attempt, [Contrast("job", "agent", mine.agent, other.agent)])
        if mine.view != other.view:
            shown = self._views(mine, other)
            if shown or self._same_team:
                yield Divergence(mine.step, "view", mine.attempt, shown)
        written = _flat("writes", _writes(mine), _writes(other))
        said = _flat("reply", _said(mine), _said(other))
        if written or said:
            yield Divergence(mine.step, "answer", mine.attempt, [*said, *written])

    def _views(self, mine: Attempt, other: Attempt) -> list[Contrast]:
        """In what two views differ; of one team, their hashes have told already that they do."""
        if self._same_team:
            if not self._views_left:
                return []
            self._views_left -= 1
        return _trees("view", self._a.view(mine), self._b.view(other))


def _says(commit: Commit) -> bool:
    return bool(commit.writes or getattr(commit, "deletes", ()))


def _writes(attempt: Attempt) -> dict[str, Any]:
    return attempt.writes or {}


def _said(attempt: Attempt) -> dict[str, Any]:
    """What came of a call, but for its writes."""
    said = {name: getattr(attempt, name) for name in ("outcome", "error", "reply", "output", "confidence", "score")}
    said["findings"] = [finding.message for finding in attempt.findings]
    said["question"] = attempt.question.text if attempt.question else None
    said["deletes"] = list(attempt.deletes)
    said["request"] = msgspec.to_builtins(attempt.request)
    if attempt.decided:
        one = attempt.decided
        said["decided"] = {"decision": one.decision, "text": one.text, "writes": one.writes, "deletes": one.deletes}
    return {name: value for name, value in said.items() if value not in (None, "", [])}
