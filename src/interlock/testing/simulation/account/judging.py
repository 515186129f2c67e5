"""A reply that waits for its judges, as an account keeps it: by plain arithmetic, from events alone."""

from collections.abc import Sequence
from typing import Protocol

from interlock.core import events as e
from interlock.core.guardrail import Judge
from interlock.core.role import Duty

TOLERANCE = 1e-6


class Judged(Protocol):
    """A step whose reply is judged. duties: who may be called for it; link: whose turn it is."""

    duties: Sequence[Duty]
    tries: int
    failures: int
    lost: int
    first_us: int
    link: int
    given_up: bool
    feedback: tuple[str, ...]
    state: str


class DraftAccount:
    """A reply that waits. one: its step, as it stood when that was drafted."""

    def __init__(self, one: Judged, duty: Duty, event: e.ReplyDrafted) -> None:
        assert duty.panel is not None
        self.event, self.duty, self._panel = event, duty, duty.panel
        self._before = (one.duties, one.link, one.tries, one.failures, one.lost, one.first_us)
        self.scores = dict(event.scores)
        self._unasked = False
        self._weights = {name: seat.weight for name, seat in self._panel.seats}
        self._needed = self._panel.threshold * sum(self._weights.values()) - TOLERANCE

    @property
    def _gained(self) -> float:
        return sum(self._weights[name] * score for name, score in self.scores.items())

    @property
    def passes(self) -> bool:
        """Whether it may be committed, by what was said so far."""
        return not self._unasked and self._gained >= self._needed

    @property
    def waits_for(self) -> str:
        """The judge that must be asked next, by its name on the panel; "" where nothing it says would change much."""
        open_ = sum(weight for name, weight in self._weights.items() if name not in self.scores)
        left = [name for name, seat in self._panel.seats if name not in self.scores and type(seat.guardrail) is Judge]
        is_open = not self._unasked and not self.passes and self._gained + open_ >= self._needed
        return left[0] if left and is_open else ""

    @property
    def judge(self) -> Judge:
        """The judge that it waits for."""
        return self._panel.judges[self.waits_for]

    def turn_to(self, one: Judged) -> None:
        """Now the step is the next judge's."""
        one.link = one.tries = one.failures = one.lost = 0
        one.feedback, one.given_up, one.state, one.first_us = (), False, "ready", -1
        if self.waits_for:
            one.duties = self.duty.judges[self.waits_for]

    def hear(self, score: float) -> None:
        """A judge has given it a score."""
        self.scores[self.waits_for] = 1.0 if score >= self.judge.threshold else score

    def give_up(self) -> None:
        """The judge that it waits for can't be had."""
        name, refuses = self.waits_for, self.judge.on_error == "refuse"
        self.scores[name] = 0.0 if refuses else 1.0
        self._unasked = self._unasked or refuses

    def leave(self, one: Judged) -> None:
        """There is a verdict: the step stands as it did before."""
        one.duties, one.link, one.tries, one.failures, one.lost, one.first_us = self._before
        one.feedback, one.given_up = (), False
