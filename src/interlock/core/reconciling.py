"""What becomes of a step that reconciles what others have said: it is settled, or somebody must be asked.

The candidates are what stands at their paths in what its ancestors have committed, in the order of the plan.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from interlock.errors import ReplyRefused, ValueRefused, cut_short

from . import paths
from .assess import EXCERPT_CHARS_MAX, Submission, submitted
from .conflicts import (
    Candidate,
    Choices,
    Compared,
    Resolution,
    chosen,
    compared,
    contradiction,
    instance,
    is_object,
    question,
    resolved,
    told,
    typed,
)
from .events import ConflictsResolved, Finding
from .fold import Fold
from .job import Reply
from .paths import bits
from .reconcile import CANDIDATES_MAX
from .values import ABSENT, decode, encode

# Who is asked is asked about so many fields at most.
ASKED_MAX = 200
LEFT_OUT_MAX = 1_000
REQUEST = "request"
CHOICES = "choices"


class Unreconciled(Exception):
    """Why the candidates of a step can't be reconciled at all."""


def candidates(machine: Fold, n: int) -> list[Candidate]:
    """What others have said, in the order of the plan. Raises Unreconciled."""
    declared, visible = machine.rules.reconciles[n], machine.plan.ancestors[n]
    roots = declared.among
    if declared.each:
        roots = tuple(islice(_children(machine, roots[0], visible), CANDIDATES_MAX + 1))
    found = []
    for place, path in enumerate(roots):
        written = _written(machine, path, visible)
        if written:
            steps, order = written
            scores = [score for step in steps if (score := machine.score_of(step)) is not None]
            score = min(scores, default=None)
            found.append((order, place, Candidate(machine.bank.value(path, visible), steps, score)))
    if len(found) > CANDIDATES_MAX:
        raise Unreconciled(f"{declared.among[0]} holds more than {CANDIDATES_MAX:,} candidates")
    if len(found) < declared.quorum:
        count = "is 1 candidate" if len(found) == 1 else f"are {len(found):,} candidates"
        raise Unreconciled(f"there {count} at {', '.join(declared.among)}, and {declared.quorum:,} are needed")
    return [candidate for *_, candidate in sorted(found)]  # no two have one place


def _children(machine: Fold, root: str, visible: int) -> Iterator[str]:
    """The paths directly below another at which something is shown."""
    whole = machine.bank.shown(root, visible)
    if whole is not None and whole.raw != b"{}":
        raise Unreconciled(f"{root} holds no object, whose values could be candidates")
    depth, seen = len(paths.split(root)), set[str]()
    for leaf in machine.bank.leaves_below(root):
        path = paths.join(paths.split(leaf)[: depth + 1])
        if path not in seen and machine.bank.shown(leaf, visible) is not None:
            seen.add(path)
            yield path


def _written(machine: Fold, path: str, visible: int) -> tuple[tuple[str, ...], int] | None:
    """The steps that wrote what stands at a path, and the place of the first of them in the plan; None for nothing."""
    leaves = (path, *machine.bank.leaves_below(path))
    versions = [version for leaf in leaves if (version := machine.bank.shown(leaf, visible)) is not None]
    if not versions:
        return None
    versions.sort(key=lambda version: version.order)
    steps = (machine.step_id(version.writer) if version.writer else REQUEST for version in versions)
    return tuple(dict.fromkeys(steps)), versions[0].order


def resolution(machine: Fold, n: int, choices: Choices | None = None) -> Resolution:
    """What the candidates come to. Raises Unreconciled."""
    declared, given = machine.rules.reconciles[n], candidates(machine, n)
    most = machine.rules.limits.commit_fields_max
    fields = [*islice(compared(given, declared, _target(machine, n)), most + 1)]
    if len(fields) > most:
        raise Unreconciled(f"the candidates have more than {most:,} fields")
    found = resolved(fields, given, declared, choices)
    if len(found.open) > ASKED_MAX and {"judge", "person"} & {*declared.ways}:
        raise Unreconciled(f"{contradiction(found.open)}: more than {ASKED_MAX:,}, which nobody is asked about")
    return found


def _target(machine: Fold, n: int) -> str:
    writes = machine.step(n).writes
    assert writes, "a step that reconciles writes one path"
    return writes[0]


def verdict(machine: Fold, n: int, found: Resolution) -> tuple[ConflictsResolved, Submission]:
    """The fact that the candidates were reconciled, and what it commits on its way through the checks."""
    given = {} if found.value is ABSENT else {_target(machine, n): found.value}
    limits = machine.rules.limits
    submission = submitted(given, bank=machine.bank, duty=machine.duty(n), limits=limits)
    reads = machine.rules.reconciles[n].among
    facts = (found.settled, found.agreed, left_out(machine, n))
    return ConflictsResolved(machine.at_us, machine.step_id(n), reads, submission.writes, *facts), submission


def left_out(machine: Fold, n: int) -> tuple[str, ...]:
    """The steps before this one that could have given a candidate, and have ended without one."""
    ended = (m for m in bits(machine.rules.feeders[n]) if machine.state[m] in {"dead", "skipped"})
    items = (m for m in machine.items if machine.rules.feeders[n] >> machine.label[m] & 1)
    lost = (m for m in items if machine.state[m] in {"dead", "skipped"})
    return tuple(map(machine.step_id, islice((*ended, *lost), LEFT_OUT_MAX)))


# --- who is asked ---


def asked_of_judge(fields: tuple[Compared, ...], *, anew: bool) -> tuple[dict[str, Any], str]:
    """What a judge is told of contradictions, and the schema of what it answers."""
    numbers: dict[str, Any] = {}
    for field in fields:
        number = {"type": "integer", "minimum": 1, "maximum": len(field.said)}
        new = {"type": "object", "properties": {"new": {}}, "required": ["new"], "additionalProperties": False}
        numbers[field.path] = {"anyOf": [number, new]} if anew else number
    choices = {"type": "object", "properties": numbers, "required": [*numbers], "additionalProperties": False}
    described = choices | {"description": "For each path the number of what is right."}
    schema = {"properties": {CHOICES: described}, "required": [CHOICES]}
    return told(fields), encode(schema).decode()


def ruled(machine: Fold, n: int, answer: Any, agent: str) -> Any:
    """What a judge answers, as a reply that writes what the candidates come to by that; or why that is none."""
    reply = Reply(writes=answer) if type(answer) is dict else answer
    if type(reply) is not Reply or reply.ask is not None:
        return reply
    given = reply.writes if type(reply.writes) is dict and reply.writes else reply.output
    choices = given[CHOICES] if is_object(given) and [*given] == [CHOICES] else None
    declared, before = machine.rules.reconciles[n], resolution(machine, n)
    found, problems = chosen(choices, before.open, anew=declared.anew)
    if problems:
        return ReplyRefused("; ".join(problems), usage=reply.usage, said=_excerpt(given))
    after = resolution(machine, n, Choices(f"judge {agent}", found))
    writes = {} if after.value is ABSENT else {_target(machine, n): after.value}
    return msgspec.structs.replace(reply, writes=writes, output={CHOICES: choices})


def _excerpt(given: Any) -> str:
    """The beginning of what a judge has said, where that is JSON."""
    try:
        return cut_short(encode(given).decode(), EXCERPT_CHARS_MAX)
    except ValueRefused:
        return ""


def rulings(machine: Fold, n: int) -> Choices | None:
    """What was chosen about a step so far, by a person or by its judge; None where nobody was asked."""
    ruling = machine.rulings.get(n)
    if ruling is None:
        return None
    by, raw = ruling
    fields, anew = resolution(machine, n).open, machine.rules.reconciles[n].anew
    given = typed(raw, fields) if by.startswith("person:") else decode(raw)[CHOICES]
    return Choices(by, chosen(given, fields, anew=anew)[0])


def asked_of_person(machine: Fold, n: int) -> str:
    """What a person is asked about a step."""
    return question(resolution(machine, n).open, anew=machine.rules.reconciles[n].anew)


def answered(machine: Fold, n: int, text: str, by: str) -> list[Finding]:
    """What is wrong with what a person has chosen; empty where it settles the step."""
    fields, anew = resolution(machine, n).open, machine.rules.reconciles[n].anew
    found, problems = chosen(typed(text, fields), fields, anew=anew)
    if problems:
        *before, last = problems
        return [Finding("choice", problem) for problem in (*before, f"{last}; for instance: {instance(fields)}")]
    return verdict(machine, n, resolution(machine, n, Choices(by, found)))[1].findings
