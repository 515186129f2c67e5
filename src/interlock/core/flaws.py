"""What is wrong with a proposal, told so that a model can mend it, and so that nothing hostile is repeated."""

import re
from collections.abc import Iterable

import msgspec

from interlock.errors import ProposalRefused, RaceError, TeamError, cut_short

from .bounds import Bounds

NAME_CHARS_SHOWN = 40
NAMES_SHOWN = 12
_NAME = re.compile(r"[A-Za-z0-9_.{}*-]+", re.ASCII)


class Flaw(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong. where: a JSON path. step: the id of the step, if it has one that can be shown."""

    where: str
    what: str
    allowed: str = ""
    step: str = ""

    def __str__(self) -> str:
        step = f" (step {self.step})" if self.step else ""
        return f"{self.where}{step}: {self.what}{f'; {self.allowed}' if self.allowed else ''}"


class Flaws:
    """Collects flaws, as many as the bounds allow, each cut to its length and to what is printable."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.found: list[Flaw] = []

    def add(self, where: str, what: str, allowed: str = "", step: str = "") -> None:
        """Note one, if there is room."""
        if self.full:
            return
        most = self.bounds.flaw_chars_max
        self.found.append(Flaw(where, _clean(what, most), _clean(allowed, most), step if _is_shown(step) else ""))

    @property
    def full(self) -> bool:
        """Whether it's no use to look for more. One is told whatever the bounds: what is wrong isn't right for that."""
        return len(self.found) >= max(1, self.bounds.flaws_max)

    def add_problems(self, problems: Iterable[TeamError], places: dict[str, int]) -> None:
        """What the proof of the plan has found; places: step id -> its index in the proposal."""
        for problem in problems:
            where, step = "$.steps", ""
            if problem.place[:1] == ("plan",) and len(problem.place) > 1 and problem.place[1] in places:
                step = problem.place[1]
                where = ".".join([f"$.steps[{places[step]}]", *problem.place[2:3]])
            self.add(where, problem.sentence, _mend(problem), step)

    def raise_if_any(self) -> None:
        """Raise ProposalRefused with all that was found."""
        if self.found:
            raise self.refusal()

    def refusal(self) -> ProposalRefused:
        """All that was found."""
        more = ["there may be more"] if self.full else []
        message = "\n".join(["the proposed plan is not valid:", *map(str, self.found), *more])
        return ProposalRefused(message, flaws=tuple(self.found))


def _mend(problem: TeamError) -> str:
    """How whoever proposes can mend it: reducers, scopes and `stale_ok` are the team's to declare."""
    if isinstance(problem, RaceError):
        return "let one need the other, or give them different writes"
    return problem.fix.partition(", or mark it stale_ok")[0]


def _clean(text: str, chars_max: int) -> str:
    text = cut_short(text, chars_max)
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def shown(text: str) -> str:
    """A name as it was written, if it can be one and is short; otherwise only how long it is."""
    return text if _is_shown(text) else shown_length(text)


def _is_shown(text: str) -> bool:
    return len(text) <= NAME_CHARS_SHOWN and _NAME.fullmatch(text) is not None


def shown_length(text: str) -> str:
    """Of a text that is not to be repeated, how long it is."""
    return f"a text of {len(text):,} characters"


def listed(names: Iterable[str]) -> str:
    """Names of the team, not of the proposal; of many the first."""
    known = list(names)
    more = f" and {len(known) - NAMES_SHOWN:,} more" if len(known) > NAMES_SHOWN else ""
    return (", ".join(known[:NAMES_SHOWN]) or "none") + more
