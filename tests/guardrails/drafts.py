"""Drafts to judge, and what a declared guardrail says of them."""

from typing import Any

import pytest

from interlock.core.context import View
from interlock.core.guardrail import Draft, Guardrail, Opinion
from interlock.errors import TeamError
from interlock.guardrails.declared import seat_of


def draft(writes: dict[str, Any] | None = None, *, view: dict[str, Any] | None = None, **more: Any) -> Draft:
    given: dict[str, Any] = {
        "output": None,
        "confidence": None,
        "instructions": "",
        "feedback": (),
        "item": None,
        "step": "a",
        "agent": "ann",
        "action": "act",
    }
    return Draft(writes=writes or {}, view=View.of(view or {}), **{**given, **more})


def nothing(reference: str) -> Any:
    raise AssertionError(f"nothing was to be found, and {reference} is asked for")


def made(declared: Any, find: Any = nothing) -> Guardrail:
    return seat_of(declared, find).guardrail


def says(declared: Any, given: Draft, find: Any = nothing) -> list[str]:
    """What a guardrail finds; it has to score 0 then, and 1 where it finds nothing."""
    guardrail = made(declared, find)
    opinion = guardrail.check(given)
    assert isinstance(opinion, Opinion)
    assert opinion.score == (0 if opinion.findings else 1)
    assert {finding.code for finding in opinion.findings} <= {guardrail.name}
    return [finding.message for finding in opinion.findings]


def refusal(declared: Any) -> str:
    with pytest.raises(TeamError) as caught:
        seat_of(declared, nothing)
    return caught.value.sentence
