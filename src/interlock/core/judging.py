"""A reply that waits for its judges: other agents, which are called in its step before it is committed.

Its attempt has ended with ReplyDrafted, so that no crash loses it. A judge's call is an attempt of the same step, under
the judge's own scope, timeout, retries, fallbacks, gates and budgets. Where nobody can judge, the guardrail says what
that means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from interlock.errors import cut_short

from . import events as e
from .guardrail import FINDINGS_MAX, Assessment, Judge, Opinion, Panel
from .role import Duty
from .values import Limits, decode, encode_written

REASON_CHARS_MAX = 300
FINDING_CHARS_MAX = 500
EXCERPT_CHARS_MAX = 2_000


class Standing(msgspec.Struct):
    """How a step stood when its reply was drafted; it stands so again when that is concluded."""

    duty: Duty
    link: int
    tries: int
    failures: int
    lost: int
    first_us: int


class Drafted(msgspec.Struct):
    """A reply that waits. judge: whom it waits for, by the name on the panel; "" when there is a verdict.

    scores, findings: so far. feedback: why the last answer of that judge was none.
    """

    reply: e.ReplyDrafted
    before: Standing
    scores: dict[str, float]
    findings: tuple[e.Finding, ...]
    judge: str = ""
    feedback: tuple[str, ...] = ()
    assessment: Assessment | None = None

    @property
    def panel(self) -> Panel:
        """The guardrails of the agent whose reply it is."""
        panel = self.before.duty.panel
        assert panel is not None
        return panel

    @property
    def guardrail(self) -> Judge:
        """The judge that it waits for, as it is declared."""
        return self.panel.judges[self.judge]

    @property
    def chain(self) -> Sequence[Duty]:
        """Who may judge it: the judge and its fallbacks."""
        return self.before.duty.judges[self.judge]

    @property
    def shown(self) -> dict[str, Any]:
        """What a judge is handed."""
        reply = self.reply
        return {
            "agent": self.before.duty.agent,
            "writes": {path: decode(raw) for path, raw in reply.writes.items()},
            "deletes": [*reply.deletes],
            "output": decode(reply.output),
            "confidence": reply.confidence,
        }

    def go_on(self) -> None:
        """See whether a judge must be asked, by what was said so far."""
        found = self.panel.weigh(self.scores, self.findings)
        self.judge, self.feedback = found.judge, ()
        self.assessment = None if found.judge else found

    def hear(self, opinion: Opinion) -> None:
        """The judge that it waits for has said what it thinks."""
        self.scores = {**self.scores, self.judge: opinion.score}
        self.findings = (*self.findings, *opinion.findings)[: 2 * FINDINGS_MAX]
        self.go_on()

    def give_up(self, why: str) -> None:
        """The judge that it waits for can't be had."""
        refuses, opinion = self.guardrail.on_error == "refuse", self.guardrail.unasked(cut_short(why, REASON_CHARS_MAX))
        name = self.judge
        self.hear(opinion)
        if refuses:  # whatever its weight
            self.judge, self.assessment = "", Assessment(False, 0.0, {**self.scores, name: 0.0}, self.findings)

    def verdict(self, limits: Limits) -> e.AttemptCommitted | e.AttemptRefused:
        """What becomes of it, to be recorded now."""
        reply, found = self.reply, self.assessment
        assert found is not None
        told: dict[str, Any] = {
            "score": found.score,
            "scores": found.scores,
            "findings": found.findings[-FINDINGS_MAX:],
        }
        if not found.passed:
            told |= {"reply": self._kept(limits), "reads": reply.reads, "effects": reply.effects}
            return e.AttemptRefused(reply.at_us, reply.step, reply.attempt, **told)
        shared: dict[str, Any] = {name: getattr(reply, name) for name in _COMMITTED}
        return e.AttemptCommitted(reply.at_us, reply.step, reply.attempt, **shared, **told)

    def _kept(self, limits: Limits) -> msgspec.Raw:
        """Its writes, for a person to look at; but for large ones, and where it deletes as well."""
        raw: bytes = encode_written(self.reply.writes)
        if len(raw) <= limits.value_bytes_max and not self.reply.deletes:
            return msgspec.Raw(raw)
        return msgspec.Raw(encode_written(cut_short(raw.decode(), EXCERPT_CHARS_MAX)))


_COMMITTED = ("writes", "deletes", "reads", "coarse", "output", "confidence", "effects", "request")


def judgement_of(writes: Mapping[str, Any]) -> tuple[float, tuple[e.Finding, ...]]:
    """The score and the findings in a judge's answer, which keeps to its schema."""
    told = (cut_short(text, FINDING_CHARS_MAX) for text in writes.get("findings", ()))
    return float(writes["score"]), tuple(e.Finding(Judge.name, text) for text in told if text)
