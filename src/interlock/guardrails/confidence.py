"""`confidence`: what the agent itself wasn't sure of."""

from typing import Annotated, ClassVar

import msgspec

from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Confidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The agent's own estimate is high enough.

    min: from where on it counts in full; below, the score is the estimate itself. missing: what a reply without one
    scores (0).
    """

    min: _Share = 0.5
    missing: _Share = 0.0

    name: ClassVar[str] = "confidence"
    cost: ClassVar[int] = 0

    def check(self, draft: Draft) -> Opinion:
        """Whether the agent was sure enough."""
        told = draft.confidence
        if told is None:
            if self.missing == 1:
                return FINE
            return Opinion(self.missing, (Finding(self.name, "the reply has no confidence: give one, from 0 to 1"),))
        if told >= self.min:
            return FINE
        message = f"a confidence of {told:g} is less than {self.min:g}: look again, and say what you are sure of"
        return Opinion(float(told), (Finding(self.name, message),))
