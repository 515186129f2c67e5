"""An agent that is no code and no model: it chooses one of several candidates, by vote or by score.

What it writes is always one of them, as it stands; where they don't settle it, it fails for good, and its fallback, a
person or a dead letter follows, as of any agent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.core import paths
from interlock.core.job import Job, Reply
from interlock.core.values import ABSENT, at, encode_canonical
from interlock.errors import AgentRefused, TeamError, cut_short

from .shapes import Choice, Field, Number, Place, Record, Text, Whole, dotted, kind_of

VOTES_MAX = 100_000
SHOWN_MAX = 4
SHOWN_CHARS_MAX = 40
QUORUM = 2
MAJORITY, UNANIMITY = "majority", "unanimity"
_WAYS = ("vote", "score", "scores")


class _Vote:
    """majority, unanimity, or how many must agree."""

    _words, _number = Choice((MAJORITY, UNANIMITY)), Whole(1, VOTES_MAX)

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Neither of the words, nor a number."""
        shape = self._words if isinstance(value, str) else self._number
        yield from shape.problems(value, place)

    def schema(self) -> dict[str, Any]:
        """Either."""
        return {"anyOf": [self._words.schema(), self._number.schema()]}


def shape(path: Text) -> Record:
    """What a declared choice must look like."""
    return Record(
        "a choice",
        {
            "among": Field(path, "Where the candidates stand: a list, or the values of an object.", required=True),
            "into": Field(path, "Where the chosen one is written.", required=True),
            "vote": Field(_Vote(), "Candidates that are alike are votes: majority, unanimity, or how many must agree."),
            "of": Field(path, "What of each candidate is compared in a vote (all of it)."),
            "quorum": Field(Whole(1, VOTES_MAX), f"So many candidates must be there for a vote ({QUORUM})."),
            "score": Field(path, "The number in each candidate, of which the highest wins."),
            "scores": Field(path, "Where the numbers stand, under the keys or places of the candidates."),
            "at_least": Field(Number(-1e300, 1e300), "The score that the best one must reach."),
        },
        check=_problems,
    )


def _problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    ways = [way for way in _WAYS if way in value]
    if len(ways) != 1:
        said = f"has {' and '.join(ways)}" if ways else "doesn't say how to choose"
        yield TeamError(f"{dotted(place)} {said}", fix=f"give it one of {', '.join(_WAYS)}", place=place)
    for key, needed in (("of", ("vote",)), ("quorum", ("vote",)), ("at_least", ("score", "scores"))):
        if key in value and not set(needed).intersection(value):
            at_ = (*place, key)
            message = f"{dotted(at_)} says nothing without {' or '.join(needed)}"
            yield TeamError(message, fix="remove it", place=at_)


def out_of_scope(choose: Any, agent: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    """What it chooses among and may not see, and where it writes and may not."""
    if not isinstance(choose, Mapping):
        return
    write, read = (_patterns(agent.get(key)) for key in ("write_permissions", "context_access"))
    for key, granted, verb in (
        ("among", [*read, *write], "see"),
        ("scores", [*read, *write], "see"),
        ("into", write, "write"),
    ):
        path = choose.get(key)
        if isinstance(path, str) and not any(paths.covers(pattern, path) for pattern in granted):
            section = "write_permissions" if key == "into" else "context_access"
            at_ = (*place, key)
            message = f"{dotted(at_)} is {path[:SHOWN_CHARS_MAX]!r}, which the agent may not {verb}"
            yield TeamError(message, fix=f"add it to {section}", place=at_)


def _patterns(declared: Any) -> list[str]:
    texts = declared if isinstance(declared, list | tuple) else ()
    return [text for text in texts if isinstance(text, str)]


class _Candidate(msgspec.Struct, frozen=True):
    """One that may be chosen. key: its key, or its place in the list."""

    key: str
    value: Any


class Chooser:
    """The code of an agent that chooses: the same of the same view, always."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        self._declared = declared
        self._choose: Callable[[Sequence[_Candidate], Job], _Candidate] = (
            self._by_vote if "vote" in declared else self._by_score
        )

    async def __call__(self, job: Job) -> Reply:
        """The chosen candidate. Raises AgentRefused where none is: asking once more would not help."""
        candidates = _candidates(self._declared["among"], job)
        chosen = self._choose(candidates, job)
        return Reply(writes={self._declared["into"]: chosen.value}, output={"chosen": chosen.key})

    def _by_vote(self, candidates: Sequence[_Candidate], job: Job) -> _Candidate:
        quorum = self._declared.get("quorum", QUORUM)
        if len(candidates) < quorum:
            raise AgentRefused(f"{_votes(len(candidates))} at {self._declared['among']}, and {quorum:,} are needed")
        alike: dict[bytes, list[_Candidate]] = {}
        for candidate in candidates:
            compared = _inside(candidate.value, self._declared.get("of"))
            if compared is not ABSENT:
                alike.setdefault(encode_canonical(compared), []).append(candidate)
        needed = self._needed(len(candidates))
        most = max(alike.values(), key=len, default=[])
        rivals = [votes for votes in alike.values() if len(votes) == len(most)]
        if len(most) < needed or len(rivals) > 1:
            raise AgentRefused(f"{needed:,} of {_votes(len(candidates))} must agree: {_tally(alike)}")
        return most[0]

    def _needed(self, votes: int) -> int:
        vote: str | int = self._declared["vote"]
        if vote == MAJORITY:
            return votes // 2 + 1
        return votes if vote == UNANIMITY else int(vote)

    def _by_score(self, candidates: Sequence[_Candidate], job: Job) -> _Candidate:
        field, elsewhere = self._declared.get("score"), self._declared.get("scores")
        scores = {one.key: one.value for one in _listed(job.view.get(elsewhere, ABSENT))} if elsewhere else {}
        scored: list[tuple[Any, _Candidate]] = [
            (scores.get(one.key) if elsewhere else _inside(one.value, field), one) for one in candidates
        ]
        known = [(score, candidate) for score, candidate in scored if type(score) in {int, float}]
        where = elsewhere or f"{self._declared['among']}, as {field}"
        if not known:
            raise AgentRefused(f"none of {len(candidates):,} candidates has a score at {where}")
        score, best = max(known, key=lambda one: one[0])
        least = self._declared.get("at_least", score)
        if score < least:
            raise AgentRefused(f"the best of {len(candidates):,} candidates has {score:g}, less than {least:g}")
        return best


def _candidates(path: str, job: Job) -> list[_Candidate]:
    there = job.view.get(path, ABSENT)
    found = _listed(there)
    if not found:
        what = "nothing" if there is ABSENT else "no candidate" if not there else kind_of(there)
        raise AgentRefused(f"there is {what} at {path} to choose from")
    return found


def _listed(there: Any) -> list[_Candidate]:
    """The values of an object or a list, by their keys or places, in the order of the view."""
    if isinstance(there, Mapping):
        return [_Candidate(key, value) for key, value in there.items()]
    return [_Candidate(str(place), value) for place, value in enumerate(there)] if isinstance(there, list) else []


def _inside(value: Any, path: str | None) -> Any:
    return value if path is None else at(value, paths.parse(path)) if isinstance(value, Mapping) else ABSENT


def _votes(number: int) -> str:
    return f"{number:,} vote{'s' * (number != 1)}"


def _tally(alike: Mapping[bytes, Sequence[_Candidate]]) -> str:
    """Who has how many votes, the strongest first."""
    ordered = sorted(alike.items(), key=lambda one: -len(one[1]))[:SHOWN_MAX]
    shown = [f"{cut_short(text.decode(), SHOWN_CHARS_MAX)} has {len(votes):,}" for text, votes in ordered]
    return ", ".join([*shown, *(["..."] if len(alike) > SHOWN_MAX else [])]) or "none has what is compared"
