"""Requests and good replies by chance, from what a team declares: its scopes, schemas, reducers, conditions.

The same state of a Random gives the same values in every process. Where no schema speaks, a field is a short text, a
list where a for_each expands it, a number or an object where its reducer asks for one.
"""

from random import Random
from typing import Any

from interlock.core import paths
from interlock.core.job import Job
from interlock.core.proofs import deciding
from interlock.core.rules import Rules
from interlock.core.step import Step
from interlock.errors import TeamError

from .fields import Fields
from .free import HALF, details, free, listed, share
from .from_schema import maker
from .interests import interests_of, reads_of
from .texts import Make, pick, text

__all__ = ["Make", "ReplyMaker", "RequestMaker", "maker"]

_Place = tuple[tuple[str, ...], float, Make]
# No id of a step has a space in it, so no step contributes a key of this name.
_INITIAL: dict[str, Make] = {
    "append": listed(3),
    "add": maker({"type": "integer", "minimum": 0, "maximum": 100}),
    "merge": lambda random: {"the request": text(random)},
}


class ReplyMaker:
    """Good replies for one agent in one step: what its scope, the step's writes, schemas and reducers allow.

    step: one of `rules.plan.steps`; agent: its agent, or a fallback of it. Raises TeamError: the agent doesn't do the
    step, or no reply could ever be accepted, or none can be made up.
    """

    def __init__(self, rules: Rules, step: Step, agent: str) -> None:
        duties = rules.duties[rules.plan.number.get(step.id, 0)]
        duty = next((duty for duty in duties if duty.agent == agent), None)
        if duty is None:
            message = f"agent {agent} does not do the step {step.id} of this plan"
            raise TeamError(message, fix="take a step of rules.plan.steps, and its agent or a fallback of it")
        self._of = (rules, step, duty)
        self._at_index: dict[int, Fields] = {}
        self._fields = None if duty.templated else Fields(rules, step, duty, duty.writable.patterns)

    def __call__(self, job: Job, random: Random) -> dict[str, Any]:
        """The writes of one reply: path -> JSON value. Of the job only `step` and `index` are looked at."""
        fields = self._fields or self._for_item(job.index or 0)
        writes: dict[str, Any] = {}
        luck = random.random
        sure = pick(random, fields.sure) if fields.sure else -1
        for at, (often, put) in enumerate(fields.all):
            if often == 1 or at == sure or luck() < often:
                put(writes, job, random)
        return writes

    def _for_item(self, index: int) -> Fields:
        fields = self._at_index.get(index)
        if fields is None:
            rules, step, duty = self._of
            fields = self._at_index[index] = Fields(rules, step, duty, duty.writable_by(index).patterns)
        return fields


class RequestMaker:
    """Requests for a team: what its steps read and no step writes, and what they decide by before any step writes it.

    Fields with a reducer begin empty, unless no step writes them or a for_each expands them.
    """

    def __init__(self, rules: Rules) -> None:
        asked = _asked_for(rules)
        self._places = [_place_of(path, asked, rules) for path in asked]
        writable = [pattern for step in rules.plan.steps[1:] for pattern in rules.may_write(step)]
        for field, kind in rules.sharing.reducers.items():
            interest = interests_of(rules).at(field)
            listed = interest is not None and interest.listed
            if listed or not any(paths.intersection(field, pattern) for pattern in writable):
                self._places.append((paths.split(field), 1.0, _INITIAL[kind]))

    def __call__(self, random: Random) -> dict[str, Any]:
        """One request: nested, plain JSON, fit for `rules.encode_request`."""
        request: dict[str, Any] = {}
        luck = random.random
        for keys, often, make in self._places:
            if often == 1 or luck() < often:
                _put_in(request, keys, make(random))
        return request


def _asked_for(rules: Rules) -> list[str]:
    """The paths that steps look at and that only the request can fill, the outer ones first."""
    steps, ancestors = rules.plan.steps, rules.plan.ancestors
    writers = paths.PatternIndex()
    for n, step in enumerate(steps[1:], 1):
        for pattern in rules.may_write(step):
            writers.add(pattern, n)
    written = paths.Patterns(tuple(p for step in steps[1:] for p in rules.may_write(step) if p != "*"))
    found: dict[str, None] = {}
    for n, step in enumerate(steps[1:], 1):
        reads = [path for path in reads_of(rules, step) if not written.cover(path)]
        for path in (*reads, *deciding(step)):
            if not (ancestors[n] & writers.meeting(path) or _in_reducer(path, rules)):
                found[path] = None
    return sorted(found, key=lambda path: len(paths.split(path)))


def _in_reducer(path: str, rules: Rules) -> bool:
    return any(above in rules.sharing.reducers for above in (path, *paths.prefixes(path)))


def _place_of(path: str, asked: list[str], rules: Rules) -> _Place:
    """What the request has at a path: where others write below, an object, in which nothing is theirs."""
    interest = interests_of(rules).at(path)
    assert interest is not None, "what a step looks at is of interest"
    often = HALF if share(interest) == HALF else 1.0
    if not (interest.children or interest.branch):
        return paths.split(path), often, free(interest, rules.limits.for_each_width_max)
    filled = any(other != path and paths.inside(other, path) for other in asked)
    return paths.split(path), often, _nothing if filled else details(interest)


def _nothing(_random: Random) -> dict[str, Any]:
    return {}


def _put_in(request: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    *above, last = keys
    for key in above:
        request = request.setdefault(key, {})
    request[last] = value
