"""Candidates that speak about one thing, compared field by field: where they contradict each other, and what is taken.

Objects are compared by their fields, anything else as a whole. What is taken for a field is always what a candidate has
there, as it stands; only where the plan allows it, a judge or a person gives a new value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from interlock.errors import ValueRefused, cut_short

from . import paths
from .events import Said, Settled
from .reconcile import Reconcile
from .sameness import sense
from .values import ABSENT, encode, encode_written

NEW = "new"
INSTANCE = "For instance: "
SHOWN_MAX = 10
SHOWN_CHARS = 80
VALUE_CHARS_SHOWN = 200


class Candidate(msgspec.Struct, frozen=True):
    """What somebody has said: a value, the steps that wrote it, and the lowest of their scores."""

    value: Any
    steps: tuple[str, ...]
    score: float | None = None


class Compared(msgspec.Struct, frozen=True):
    """A field as the candidates have it. said: each that differs, once; voices: which candidates say it."""

    keys: tuple[str, ...]
    path: str
    said: tuple[Said, ...]
    voices: tuple[tuple[int, ...], ...]

    @property
    def contradictory(self) -> bool:
        """Whether the candidates don't agree."""
        return len(self.said) > 1


class Choice(msgspec.Struct, frozen=True):
    """What somebody chose for a field: what was said, by its number from 0, or a new value."""

    taken: int
    anew: Any = None


class Choices(msgspec.Struct, frozen=True):
    """What somebody chose, by path. by: `judge AGENT` or `person:ID`."""

    by: str
    chosen: Mapping[str, Choice]


class Resolution(msgspec.Struct, frozen=True):
    """What the candidates come to. open: what nobody has decided yet; `value` is nothing as long as there is some."""

    value: Any
    settled: tuple[Settled, ...]
    open: tuple[Compared, ...]
    agreed: int


# --- comparing ---


def compared(candidates: Sequence[Candidate], declared: Reconcile, target: str) -> Iterator[Compared]:
    """The fields of the candidates, each with what is said of it. target: where the result is written."""
    yield from _fields((), {n: one.value for n, one in enumerate(candidates)}, candidates, declared, target)


def _fields(
    keys: tuple[str, ...],
    values: Mapping[int, Any],
    candidates: Sequence[Candidate],
    declared: Reconcile,
    target: str,
) -> Iterator[Compared]:
    trees = [value for value in values.values() if isinstance(value, dict)]
    if len(trees) < len(values) or not any(trees):
        yield _compared(keys, values, candidates, declared, target)
        return
    for key in dict.fromkeys(key for tree in trees for key in tree):
        below = {n: tree[key] for n, tree in values.items() if key in tree}
        yield from _fields((*keys, key), below, candidates, declared, target)


def _compared(
    keys: tuple[str, ...],
    values: Mapping[int, Any],
    candidates: Sequence[Candidate],
    declared: Reconcile,
    target: str,
) -> Compared:
    form = declared.form_at(paths.join(keys))
    groups: dict[Any, list[int]] = {}
    for n in range(len(candidates)):
        if n in values:
            groups.setdefault(sense(values[n], form), []).append(n)
        elif declared.missing == "conflict":
            groups.setdefault(ABSENT, []).append(n)
    said = []
    for meant, voices in groups.items():
        steps = tuple(dict.fromkeys(step for n in voices for step in candidates[n].steps))
        if meant is ABSENT:
            said.append(Said(steps, absent=True))
        else:
            said.append(Said(steps, Raw(encode_written(values[voices[0]]))))
    path = ".".join((target, *map(paths.segment, keys)))
    return Compared(keys, path, tuple(said), tuple(map(tuple, groups.values())))


# --- deciding ---


def resolved(
    fields: Sequence[Compared], candidates: Sequence[Candidate], declared: Reconcile, choices: Choices | None
) -> Resolution:
    """What the fields come to. choices: of who was asked, if anybody was yet."""
    value: Any = ABSENT
    settled, open_ = [], []
    for field in fields:
        taken: Settled | None = None
        if field.contradictory:
            taken = _settled(field, candidates, declared, choices)
            if taken is None:
                open_.append(field)
                continue
            settled.append(taken)
        value = _with(value, field, taken)
    agreed = len([field for field in fields if not field.contradictory])
    return Resolution(ABSENT if open_ else value, tuple(settled), tuple(open_), agreed)


def _settled(
    field: Compared, candidates: Sequence[Candidate], declared: Reconcile, choices: Choices | None
) -> Settled | None:
    """Who decides about a contradiction, and how; None where nobody has yet."""
    before = ""
    for way in declared.ways:
        if way == "first":
            return Settled(field.path, field.said, 0, "first", before)
        if way == "score":
            return _by_score(field, candidates, before)
        if way == "vote":
            votes = [*map(len, field.voices)]
            best = max(range(len(votes)), key=votes.__getitem__)
            if 2 * votes[best] > sum(votes):
                return Settled(field.path, field.said, best, "vote", f"{votes[best]:,} of {sum(votes):,}")
            before = f"no majority: {' to '.join(f'{count:,}' for count in votes[:SHOWN_MAX])}"
        elif choices is not None and field.path in choices.chosen:
            choice = choices.chosen[field.path]
            anew = Raw(encode_written(choice.anew))
            return Settled(field.path, field.said, choice.taken, choices.by, before, anew)
    return None


def _by_score(field: Compared, candidates: Sequence[Candidate], before: str) -> Settled:
    """The highest score of those who say it; of equal ones, the first in the plan."""
    known = [[score for n in voices if (score := candidates[n].score) is not None] for voices in field.voices]
    scores = [max(mine, default=-1.0) for mine in known]
    best = max(range(len(scores)), key=scores.__getitem__)
    rivals = [n for n, score in enumerate(scores) if score == scores[best] and n != best]
    if scores[best] < 0:
        why = "none has a score; the first in the plan"
    elif rivals:
        why = f"several have {scores[best]:g}; the first in the plan"
    else:
        second = max(score for n, score in enumerate(scores) if n != best)
        why = f"{scores[best]:g} against {f'{second:g}' if second >= 0 else 'none'}"
    return Settled(field.path, field.said, best, "score", "; ".join(filter(None, (before, why))))


def _with(tree: Any, field: Compared, settled: Settled | None) -> Any:
    """A tree with the value that a field has come to; without one, where that is to have none."""
    if settled is not None and settled.taken < 0:
        raw = settled.anew
    else:
        said = field.said[settled.taken if settled is not None else 0]
        if said.absent:
            return tree
        raw = said.value
    value = msgspec.json.decode(raw)
    if not field.keys:
        return value
    tree = {} if tree is ABSENT else tree
    node = tree
    for key in field.keys[:-1]:
        node = node.setdefault(key, {})
    node[field.keys[-1]] = value
    return tree


# --- choosing ---


def chosen(given: Any, fields: Sequence[Compared], *, anew: bool) -> tuple[dict[str, Choice], list[str]]:
    """What somebody gives as choices, by path, and what is wrong with that. What is given is hostile."""
    if not is_object(given):
        return {}, ["choices say for each path the number of what is right"]
    by_path = {field.path: field for field in fields}
    problems = []
    for path in given:
        if path not in by_path:
            problems.append(f"{path[:SHOWN_CHARS]!r} is none of what is asked about: {_names(fields)}")
            break
    missing = [field for field in fields if field.path not in given]
    if missing:
        problems.append(f"nothing is chosen for {_names(missing)}")
    found: dict[str, Choice] = {}
    for field in fields if not problems else ():
        choice = _choice(given[field.path], field, anew=anew)
        if isinstance(choice, Choice):
            found[field.path] = choice
        else:
            problems.append(choice)
    return found, problems


def is_object(given: Any) -> bool:
    """Whether this is a JSON object as far as its keys go: an agent's own may do anything when they are compared."""
    return type(given) is dict and all(type(key) is str for key in given)


def _choice(choice: Any, field: Compared, *, anew: bool) -> Choice | str:
    """A choice, or what is wrong with it."""
    if type(choice) is int and 1 <= choice <= len(field.said):
        return Choice(choice - 1)
    if anew and is_object(choice) and [*choice] == [NEW]:
        try:
            encode(choice[NEW])
        except ValueRefused as error:
            return f"the new value for {field.path} can't be used: {error.message}"
        return Choice(-1, choice[NEW])
    new = f', or {{"{NEW}": VALUE}}' if anew else ""
    return f"for {field.path} choose a number from 1 to {len(field.said)}{new}"


def _names(fields: Sequence[Compared]) -> str:
    more = f" and {len(fields) - SHOWN_MAX:,} more" if len(fields) > SHOWN_MAX else ""
    return ", ".join(field.path for field in fields[:SHOWN_MAX]) + more


def typed(text: str, fields: Sequence[Compared]) -> Any:
    """Choices as a person types them: `contract.amount=2 contract.date=1`, one number for a single field, or JSON."""
    text = text.strip()
    if text.startswith("{"):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return None
    if text.isdecimal() and len(text) < SHOWN_MAX and len(fields) == 1:
        return {fields[0].path: int(text)}
    # A path may hold a space, a comma or "=": those that are asked about are known, and the longest is meant.
    known = "|".join(re.escape(field.path) for field in sorted(fields, key=lambda one: -len(one.path)))
    pair = re.compile(rf"[\s,]*({known}|[^\s,]+?)\s*=\s*(\d{{1,{SHOWN_MAX - 1}}})(?=[\s,]|$)")
    found: dict[str, int] = {}
    end = 0
    while one := pair.match(text, end):
        if one[1] in found:
            return None
        found[one[1]], end = int(one[2]), one.end()
    return None if text[end:].strip(", ") else found


# --- telling ---


def contradiction(fields: Sequence[Compared]) -> str:
    """That something contradicts itself, in one sentence."""
    return f"what was said contradicts itself about {_names(fields)}"


def question(fields: Sequence[Compared], *, anew: bool) -> str:
    """What a person is asked."""
    lines = [contradiction(fields), "Answer with the number of what is right:"]
    for field in fields:
        lines.append(f"{field.path}:")
        lines += [
            f"  {n}. {shown(said)}  ({', '.join(said.steps[:SHOWN_MAX])})" for n, said in enumerate(field.said, 1)
        ]
    first = fields[0].path
    lines.append(INSTANCE + instance(fields))
    lines += [f'Or a value of your own: {{"{first}": {{"{NEW}": VALUE}}}}'] if anew else []
    return "\n".join(lines)


def instance(fields: Sequence[Compared]) -> str:
    """Choices as a person might type them."""
    return " ".join(f"{field.path}=1" for field in fields[:SHOWN_MAX]) + (" ..." if len(fields) > SHOWN_MAX else "")


def shown(said: Said) -> str:
    """What was said, for people."""
    return "nothing" if said.absent else cut_short(bytes(said.value).decode(), VALUE_CHARS_SHOWN)


def told(fields: Sequence[Compared]) -> dict[str, Any]:
    """What a judge is told: of each path what was said, under its number, and by which steps."""
    return {
        field.path: [
            {"number": n, "steps": [*said.steps]} | ({} if said.absent else {"value": msgspec.json.decode(said.value)})
            for n, said in enumerate(field.said, 1)
        ]
        for field in fields
    }
