"""Guardrails: checks on a reply that has passed shape, scope, sizes and schema. What each is shown, and what it says.

The guardrails of one step sit on a panel. The score of a reply is the weighted mean of theirs; below the threshold it is
refused with all that was found so far. The cheap ones are asked first, and nobody is asked whose answer couldn't change
the verdict any more. One that fails refuses: what nobody could judge is not committed.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from .context import View
from .events import Finding


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What guardrails look at: a reply that may be committed as far as rules go, and what its agent was shown.

    writes: dotted path -> JSON value, or DELETE; a copy of their own. output: a JSON value, or None. view: what the agent
    was shown; what is read of it here is not noted as read by the agent. item: that of a for_each.
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


class Opinion(msgspec.Struct, frozen=True):
    """What one guardrail thinks. score: 0 (surely wrong) to 1 (nothing to say against it).

    findings: their codes are the guardrail's name, their messages sentences that can be fed back to the agent. Findings
    with a full score count as a score of 0: whoever finds something has something to say against it.
    """

    score: float = 1.0
    findings: tuple[Finding, ...] = ()


class Guardrail(Protocol):
    """A check on drafts. cost: 0 (free) to 9 (slow); cheap ones are asked first."""

    @property
    def name(self) -> str:
        """How it is called in declarations, findings and scores."""

    @property
    def cost(self) -> int:
        """From 0 (free) to 9 (slow)."""

    def check(self, draft: Draft) -> Opinion:
        """Judge one draft. Whatever it raises refuses the reply."""
