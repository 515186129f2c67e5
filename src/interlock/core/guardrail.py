"""Guardrails: checks on a reply that has passed shape, scope, sizes and schema. What each is shown, and what it says.

The guardrails of one step sit on a panel. The score of a reply is the weighted mean of theirs; below the threshold it
is refused with all that was found so far. The cheap ones are asked first, and nobody is asked any more whose answer
couldn't change the verdict. One that fails refuses: what nobody could judge is not committed.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec

from interlock.errors import cut_short

from .context import View
from .events import UNJUDGED, Finding
from .paths import PATH_CHARS_MAX

COST_MAX = 9
THRESHOLD_DEFAULT = 1.0
# Scores are told to so many digits.
SCORE_DIGITS = 6
# Sums of weights that binary fractions can't hold miss what they mean by less.
SCORE_TOLERANCE = 1e-9
FINDINGS_MAX = 20
ERROR_CHARS_MAX = 300


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What guardrails look at: a reply that may be committed as far as rules go, and what its agent was shown.

    writes: dotted path -> JSON value, or DELETE; a copy of their own. output: a JSON value, or None. view: what the
    agent was shown; what is read of it here is not noted as read by the agent. item: that of a for_each. answer: what a
    person has told it. feedback may quote what it made up before, so it proves nothing.
    """

    writes: Mapping[str, Any]
    output: Any
    confidence: float | None
    view: View
    instructions: str
    feedback: tuple[str, ...]
    item: Any
    step: str
    agent: str
    action: str
    answer: str = ""


class Opinion(msgspec.Struct, frozen=True):
    """What one guardrail thinks. score: 0 (surely wrong) to 1 (nothing to say against it).

    findings: their codes are the guardrail's name, their messages sentences that can be fed back to the agent. Findings
    with a full score count as a score of 0: whoever finds something has something to say against it.
    """

    score: float = 1.0
    findings: tuple[Finding, ...] = ()


# Most opinions by far: with one object for them all, they need no looking at, and no counting.
FINE = Opinion()


class Guardrail(Protocol):
    """A check on drafts.

    It may have more that is asked for when a team is proved: `watches`, the patterns of what it looks at in writes, and
    `consults`, the paths of what it looks at in the view. One that could never look at anything is refused then.
    """

    @property
    def name(self) -> str:
        """How it is called in declarations, findings and scores."""

    @property
    def cost(self) -> int:
        """From 0 (free) to 9 (slow)."""

    def check(self, draft: Draft) -> Opinion:
        """Judge one draft. Whatever it raises refuses the reply."""


class Judge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another agent of the team says what it thinks of a reply, when no other guardrail refuses it.

    agent: who judges. threshold: from which score on it counts in full; below, it counts as it is. instructions: what
    the judge is asked to look at. action: what it is asked to do; one of its allowed actions. on_error: what becomes of
    a reply that it can't judge.
    """

    agent: str
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7
    instructions: str = ""
    action: str = "judge"
    on_error: Literal["refuse", "pass"] = "refuse"

    name: ClassVar[str] = "judge"
    cost: ClassVar[int] = COST_MAX

    def check(self, draft: Draft) -> Opinion:
        """Never asked: its agent is called."""
        raise AssertionError(f"{self.agent} is an agent")

    def opinion(self, score: float, findings: tuple[Finding, ...]) -> Opinion:
        """What its word comes to. What it finds in a reply that is good enough is kept, and doesn't count."""
        if score >= self.threshold:
            return Opinion(1.0, findings)
        told = f"{self.agent} gives it a score of {score:g}, of the {self.threshold:g} that are needed"
        return Opinion(score, findings or (Finding(self.name, told),))

    def unasked(self, why: str) -> Opinion:
        """What it comes to that nobody has judged the reply."""
        passes = self.on_error == "pass"
        message = f"{self.agent} could not judge it: {why}" + ("; it was let through as on_error says" * passes)
        return Opinion(float(passes), (Finding(self.name if passes else UNJUDGED, message),))


class Seat(msgspec.Struct, frozen=True):
    """One guardrail on a panel, and how much its score counts beside the others'."""

    guardrail: Guardrail
    weight: float = 1.0


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """What a panel thinks of a draft. scores: by name, of those that were asked; score: their weighted mean.

    judge: the name of the judge that must be asked next, before the panel can say.
    """

    passed: bool
    score: float | None = None
    scores: dict[str, float] = {}
    findings: tuple[Finding, ...] = ()
    judge: str = ""


class _NoOpinionError(Exception):
    """A guardrail has failed: it raised, or answered with what is no opinion."""


class _Raised(msgspec.Struct, frozen=True):
    """In the place of an opinion: what a guardrail has raised."""

    error: BaseException


class Panel:
    """The guardrails of one duty, in the order in which they are asked."""

    __slots__ = ("_best", "_checks", "_enough", "_needed", "_weight", "judges", "seats", "threshold")

    def __init__(self, seats: Sequence[Seat], threshold: float = THRESHOLD_DEFAULT) -> None:
        named = zip(_names([seat.guardrail.name for seat in seats]), seats, strict=True)
        self.seats = tuple(sorted(named, key=_turn))
        self.judges = {name: seat.guardrail for name, seat in self.seats if type(seat.guardrail) is Judge}
        self.threshold = threshold
        self._checks = [
            (name, seat.guardrail.check, seat.guardrail.name, seat.weight)
            for name, seat in self.seats
            if name not in self.judges
        ]
        self._weight = sum(seat.weight for _, seat in self.seats)
        self._enough = threshold * self._weight - SCORE_TOLERANCE
        # Most replies are fine: whom they must convince, and the verdict on one that does.
        self._best = self._weighed(repeat(FINE))
        self._needed = [check for name, check, _, _ in self._checks if name in self._best.scores]

    def assess(self, draft: Draft) -> Assessment:
        """The verdict on a draft. It never raises, whatever the guardrails do."""
        fine = 0
        opinion: Any = None
        try:
            for check in self._needed:
                opinion = check(draft)
                if opinion is not FINE:
                    break
                fine += 1
            else:
                return self._best
        except BaseException as error:  # noqa: BLE001 - it is told where it counts
            opinion = _Raised(error)
        others = (check(draft) for _, check, _, _ in self._checks[fine + 1 :])
        return self._weighed(chain(repeat(FINE, fine), (opinion,), others))

    def _weighed(self, opinions: Iterator[Any]) -> Assessment:
        """The verdict by what the guardrails say in their turn, as far as it is needed."""
        scores: dict[str, float] = {}
        findings: list[Finding] = []
        enough, left, asked, gained = self._enough, self._weight, 0.0, 0.0
        for name, _, code, weight in self._checks:
            # Whether those that are left could still change the verdict.
            if gained >= enough or gained + left < enough:
                break
            try:
                opinion = _counted(next(opinions), code)
            except BaseException as error:  # noqa: BLE001 - whatever it raises, nobody has judged the reply
                message = f"the guardrail {name} could not judge it: {_told(error)}"
                failure = Finding(code, message)
                return Assessment(False, 0.0, {**scores, name: 0.0}, (*findings, failure))
            score = scores[name] = opinion.score
            findings += opinion.findings
            gained += weight * score
            asked += weight
            left -= weight
        if self.judges:
            return self.weigh(scores, tuple(findings))
        mean = 1.0 if gained == asked else round(gained / asked, SCORE_DIGITS)
        return Assessment(gained >= enough, mean, scores, tuple(findings))

    def weigh(self, scores: dict[str, float], findings: tuple[Finding, ...]) -> Assessment:
        """The verdict by these scores; or which judge must be asked, where that could change it."""
        weights = {name: seat.weight for name, seat in self.seats}
        asked = sum(weights[name] for name in scores)
        gained = sum(weights[name] * score for name, score in scores.items())
        score = round(gained / asked, SCORE_DIGITS) if scores else None
        is_open = gained < self._enough <= gained + self._weight - asked
        waiting = next((name for name in self.judges if name not in scores), "") if is_open else ""
        return Assessment(gained >= self._enough, score, scores, findings, waiting)


def _turn(place: tuple[str, Seat]) -> tuple[bool, int]:
    """The cheap ones first, and judges last."""
    guardrail = place[1].guardrail
    return type(guardrail) is Judge, guardrail.cost


def _names(names: Sequence[str]) -> list[str]:
    """The same names, each once: the second of one kind is `choice-2`."""
    return [name if name not in names[:n] else f"{name}-{names[:n].count(name) + 1}" for n, name in enumerate(names)]


def _counted(opinion: Any, name: str) -> Opinion:
    if type(opinion) is _Raised:
        raise opinion.error
    if type(opinion) is not Opinion:
        raise _NoOpinionError(f"it returned a {type(opinion).__name__}, not an Opinion")
    score, findings = opinion.score, opinion.findings
    if type(score) not in {int, float} or not isfinite(score) or not 0 <= score <= 1:
        raise _NoOpinionError("its score is not a number from 0 to 1")
    if type(findings) not in {tuple, list} or not all(_is_finding(finding) for finding in findings[:FINDINGS_MAX]):
        raise _NoOpinionError("its findings are not a tuple of Finding")
    found = tuple(Finding(name, finding.message, _unicode(finding.path)) for finding in findings[:FINDINGS_MAX])
    score = round(float(score), SCORE_DIGITS)
    if found:
        return Opinion(score if score < 1 else 0.0, found)
    unexplained = () if score == 1 else (Finding(name, f"{name} gives it a score of {score:g}, of 1"),)
    return Opinion(score, unexplained)


def _unicode(path: str) -> str:
    return path[:PATH_CHARS_MAX].encode("utf-8", "replace").decode()


def _is_finding(finding: Any) -> bool:
    return type(finding) is Finding and type(finding.message) is str and type(finding.path) is str


def _told(error: BaseException) -> str:
    """An error in a few words; its own text may raise, too."""
    try:
        text = cut_short(" ".join(str(error).split()), ERROR_CHARS_MAX)
    except Exception:  # noqa: BLE001 - a foreign error's text is foreign code
        text = ""
    kind = "" if isinstance(error, _NoOpinionError) else type(error).__name__
    return ": ".join(filter(None, (kind, text)))
