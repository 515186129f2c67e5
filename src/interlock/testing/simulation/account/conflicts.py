"""What must be true of what is reconciled: every contradiction is told, and what is taken is what was said.

The candidates are laid side by side as tables of all their nodes, and looked through for what differs.
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.values import ABSENT

from .commits import commit
from .known import Known, StepAccount
from .naive import covers
from .progress import end, require_turn, value

_json = msgspec.json.Encoder(order="sorted").encode
CHARS_MAX = 80
Node = tuple[str, ...]


class _Field:
    """One field: what each candidate has there, and which of them mean the same."""

    def __init__(self, path: str, has: Mapping[int, Any], form: str | None) -> None:
        self.path, self.has = path, has
        self.camps: dict[bytes, list[int]] = {}
        for n, said in has.items():
            self.camps.setdefault(_meaning(said, form), []).append(n)


def conflicts_resolved(run: Known, event: e.ConflictsResolved) -> None:
    """What a step has reconciled is what its candidates come to by its policy."""
    one, name = run.step(event.step), event.step
    run.require("conflicts", run.declared(one).reconcile is not None, f"{name} reconciles, and declares nothing")
    before = _committed_before(run, name)
    judged = isinstance(before, e.AttemptCommitted)
    writes = before.writes if isinstance(before, e.AttemptCommitted) else event.writes
    if judged:
        run.require("conflicts", not event.writes, f"{name} commits twice what it reconciles")
    else:
        run.require("once", one.state in {"waiting", "ready"}, f"{name} reconciles although it is {one.state}")
        require_turn(run, name, "reconciled")
    fields = _fields(run, one)
    differing = {field.path: field for field in fields if len(field.camps) > 1}
    told = [settled.path for settled in event.settled]
    run.require_same("conflicts", f"what contradicts itself for {name}", sorted(told), sorted(differing))
    run.require_same("conflicts", f"how many fields agree for {name}", event.agreed, len(fields) - len(differing))
    meant: dict[Node, Any] = {}
    for field in fields:
        taken = next(iter(field.has.values())) if len(field.camps) == 1 else _taken(run, one, field)
        run.require("conflicts", taken is not _OPEN, f"{field.path} is settled, and nobody could")
        if taken is not ABSENT:
            meant[paths.split(field.path)] = taken
    for settled in event.settled:
        _require_told(run, one, settled, differing[settled.path], meant.get(paths.split(settled.path), ABSENT))
    told_as = {path: msgspec.json.decode(raw) for path, raw in writes.items()}
    written = {node: said for path, tree in told_as.items() for node, said in _leaves(paths.split(path), tree)}
    flat = {below: said for node, tree in meant.items() for below, said in _leaves(node, tree)}
    run.require_same("conflicts", f"what {name} reconciles", _json_of(written), _json_of(flat))
    lost = {step for step, other in run.steps.items() if other.state in {"dead", "skipped"} and _feeds(run, one, other)}
    run.require_same("conflicts", f"who is left out of {name}", {*event.left_out}, lost)
    if not judged:
        commit(run, one, event)
        end(run, name, "committed")


def _committed_before(run: Known, name: str) -> e.AnyEvent | None:
    """What has committed a step; in the turn in which its judge did, more may have been told since."""
    told = (event for event in reversed(run.events[:-1]) if isinstance(event, e.AttemptCommitted | e.ConflictsResolved))
    return next((event for event in told if event.step == name), None)


def _require_told(run: Known, one: StepAccount, settled: e.Settled, field: _Field, taken: Any) -> None:
    """The winner and all the losers are told, with who said what."""
    candidates = _candidates(run, one)
    for camp in field.camps.values():
        said = field.has[camp[0]]
        who = {step for n in camp for step in candidates[n][1]}
        fits = any(
            {*told.steps} == who
            and (told.absent if said is ABSENT else _json(said) == _json(msgspec.json.decode(told.value)))
            for told in settled.said
        )
        run.require("conflicts", fits, f"{settled.path}: that {sorted(who)} say {said!r:.80} is not told")
    run.require("conflicts", len(settled.said) == len(field.camps), f"{settled.path}: more is told than was said")
    if settled.taken < 0:
        allowed = run.declared(one).reconcile or {}
        run.require("conflicts", allowed.get("anew"), f"{settled.path} has a new value, which nobody allows")
        run.require_same("conflicts", f"the new value of {settled.path}", msgspec.json.decode(settled.anew), taken)
        return
    won = settled.said[settled.taken]
    said = ABSENT if won.absent else msgspec.json.decode(won.value)
    same = said is taken if ABSENT in (said, taken) else _json(said) == _json(taken)
    run.require("conflicts", same, f"{settled.path} is told to be {said!r:.80}, and comes to {taken!r:.80}")


# --- the candidates ---


def _candidates(run: Known, one: StepAccount) -> list[tuple[Any, list[str], list[float | None]]]:
    """Value, steps and their scores of each, the first in the plan first."""
    declared = run.declared(one).reconcile or {}
    among, visible = declared["among"], run.ancestors[one.number]
    roots = [among] if isinstance(among, str) else among
    if isinstance(among, str):
        tree = value(run, among, one.number)
        keys = tree if isinstance(tree, dict) else {}
        roots = [paths.join((*paths.split(among), key)) for key in keys]
    found = []
    for place, root in enumerate(roots):
        said = value(run, root, one.number)
        if said is ABSENT:
            continue
        wrote = sorted(
            key for key, writes in run.naive.commits.items() if visible >> key[0] & 1 and _touches(writes, root)
        )
        names = [_name(run, label, index) for label, index in wrote] or ["request"]
        scores = [run.steps[name].score for name in names if name in run.steps]
        found.append((wrote[0] if wrote else (0, 0), place, (said, names, scores)))
    return [candidate for *_, candidate in sorted(found, key=lambda each: each[:2])]


def _touches(writes: Mapping[str, Any], root: str) -> bool:
    return any(paths.inside(path, root) or paths.inside(root, path) for path in writes)


def _name(run: Known, label: int, index: int) -> str:
    name = run.name_of[label]
    return f"{name}-{index}" if name in run.items_of else name


def _fields(run: Known, one: StepAccount) -> list[_Field]:
    step = run.declared(one)
    declared, target = step.reconcile or {}, (step.writes or ("",))[0]
    nodes: dict[Node, dict[int, Any]] = {}
    candidates = _candidates(run, one)
    for n, (said, *_) in enumerate(candidates):
        for node, below in _nodes((), said):
            nodes.setdefault(node, {})[n] = below
    whole = {node for node, has in nodes.items() if not all(isinstance(said, dict) for said in has.values())}
    whole |= {node for node, has in nodes.items() if all(said == {} for said in has.values())}
    fields = []
    for node, has in nodes.items():
        if node in whole and not any(node[:length] in whole for length in range(len(node))):
            everyone = range(len(candidates)) if declared.get("missing") == "conflict" else sorted(has)
            form = next((f for pattern, f in declared.get("same", {}).items() if _formed(pattern, node)), None)
            path = paths.join((*paths.split(target), *node))
            fields.append(_Field(path, {n: has.get(n, ABSENT) for n in everyone}, form))
    return fields


def _formed(pattern: str, node: Node) -> bool:
    return covers(pattern, paths.join(node)) if node else pattern == "*"


def _nodes(node: Node, said: Any) -> list[tuple[Node, Any]]:
    below = (
        [found for key, inner in said.items() for found in _nodes((*node, key), inner)] if type(said) is dict else []
    )
    return [(node, said), *below]


def _leaves(node: Node, said: Any) -> list[tuple[Node, Any]]:
    return [(one, found) for one, found in _nodes(node, said) if type(found) is not dict or not found]


def _json_of(leaves: Mapping[Node, Any]) -> list[tuple[Node, bytes]]:
    return sorted((node, _json(said)) for node, said in leaves.items())


def _meaning(said: Any, form: str | None) -> bytes:
    """Bytes that are equal for what means the same."""
    if said is ABSENT:
        return b"nothing"
    if form == "text" and isinstance(said, str):
        return b"t" + re.sub(r"\s+", " ", said).strip().lower().encode()
    readings: set[Any] = _figures(said) if form == "number" else _days(said) if form == "date" else set()
    if len(readings) == 1:
        return f"{form} {readings.pop()}".encode()
    found: bytes = b"j" + _json(said)
    return found


def _figures(said: Any) -> set[Fraction]:
    """All numbers that somebody could read here."""
    if type(said) in {int, float}:
        return {Fraction(str(said))}
    text = said.strip() if isinstance(said, str) and len(said) <= CHARS_MAX else ""
    found = {Fraction(text)} if re.fullmatch(r"[-+]?[0-9]+([.][0-9]+)?[eE][-+]?[0-9]{1,3}", text) else set()
    for point in ".,":
        if re.fullmatch(rf"[-+]?[0-9]+([{point}][0-9]+)?", text):
            found.add(Fraction(text.replace(point, ".")))
        for between in ",. '\u00a0\u202f".replace(point, ""):
            if re.fullmatch(rf"[-+]?[1-9][0-9]{{0,2}}([{between}][0-9]{{3}})+([{point}][0-9]+)?", text):
                found.add(Fraction(text.replace(between, "").replace(point, ".")))
    return found


def _days(said: Any) -> set[date]:
    """All days that somebody could read here."""
    text = " ".join(said.lower().split()) if isinstance(said, str) and len(said) <= CHARS_MAX else ""
    text = re.sub(r"\b([0-9]{1,2})(st|nd|rd|th)\b", r"\1", text).replace("sept ", "sep ").replace("sept. ", "sep ")
    text = re.sub(r"(?<=[a-z])[.,]|(?<=[0-9])[.,](?= [a-z0-9])|\bof ", "", text)
    found = set()
    for form in _FORMS if re.search(r"[0-9]{4}", text) else ():
        try:
            found.add(datetime.strptime(text, form).replace(tzinfo=UTC).date())
        except ValueError:
            continue
    return found


_FORMS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d %m. %Y", "%d %m %Y", "%d/%m/%Y", "%m/%d/%Y"),
    *("%d-%m-%Y", "%m-%d-%Y", "%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y"),
)


# --- who decides ---

_OPEN = object()


def _ways(run: Known, one: StepAccount) -> list[str]:
    declared = run.declared(one).reconcile or {}
    otherwise = declared.get("otherwise", "dead")
    return [declared["policy"], *([otherwise] if isinstance(otherwise, str) else otherwise)]


def _taken(run: Known, one: StepAccount, field: _Field) -> Any:
    """What a contradiction comes to; `_OPEN` where nobody has decided."""
    camps = [*field.camps.values()]
    for way in _ways(run, one):
        if way == "first":
            return field.has[camps[0][0]]
        if way == "vote":
            [(winner, votes), *_] = Counter({camp[0]: len(camp) for camp in camps}).most_common(1)
            if votes > len(field.has) / 2:
                return field.has[winner]
        elif way == "score":
            return field.has[max(camps, key=lambda camp: max(_score(run, one, n) for n in camp))[0]]
        elif way in {"judge", "person"} and one.ruling is not None:
            return _ruled(one, field, camps)
    return _OPEN


def _score(run: Known, one: StepAccount, n: int) -> float:
    scores = [score for score in _candidates(run, one)[n][2] if score is not None]
    return min(scores, default=-1)


def _ruled(one: StepAccount, field: _Field, camps: list[list[int]]) -> Any:
    _, said = one.ruling or ("", {"choices": {}})
    if isinstance(said, str):
        pairs = [part.rpartition("=") for part in said.split()]
        choices = msgspec.json.decode(said) if said.startswith("{") else {path: int(n) for path, _, n in pairs}
    else:
        choices = said["choices"]
    chosen = choices.get(field.path, _OPEN)
    if type(chosen) is int:
        return field.has[camps[chosen - 1][0]] if 0 < chosen <= len(camps) else _OPEN
    return chosen["new"] if isinstance(chosen, dict) else _OPEN


def _is_open(run: Known, one: StepAccount) -> bool:
    return any(len(field.camps) > 1 and _taken(run, one, field) is _OPEN for field in _fields(run, one))


def is_for_a_person(run: Known, one: StepAccount) -> bool:
    """Whether a step reconciles, and a person is next to decide."""
    if run.declared(one).reconcile is None or "person" not in _ways(run, one):
        return False
    return "judge" not in _ways(run, one) and _is_open(run, one)


def is_irreconcilable(run: Known, one: StepAccount) -> bool:
    """Whether a step reconciles, and has too few candidates, or contradictions that nobody decides about."""
    declared = run.declared(one).reconcile
    if declared is None or one.state not in {"waiting", "ready"}:
        return False
    among = declared["among"]
    least = declared.get("quorum", 2 if isinstance(among, str) else min(2, len(among)))
    if len(_candidates(run, one)) < least:
        return True
    return not {"judge", "person"} & {*_ways(run, one)} and _is_open(run, one)


def _feeds(run: Known, one: StepAccount, other: StepAccount) -> bool:
    """Whether a step before this one could have given a candidate."""
    if not run.ancestors[one.number] >> other.number & 1:
        return False
    declared = run.declared(one).reconcile or {}
    among = [declared["among"]] if isinstance(declared["among"], str) else declared["among"]
    written = run.rules.may_write(run.plan.steps[other.number])
    return any(paths.intersection(pattern, path) is not None for pattern in written for path in among)
