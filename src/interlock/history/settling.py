"""Contradictions that were settled, as they are told: what was taken, who decided that, and what lost."""

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.conflicts import shown

LOSERS_TOLD = 4
VALUE_CHARS_TOLD = 60


def told_settled(settled: e.Settled) -> dict[str, Any]:
    """A contradiction as `show --json` and `explain --json` print it."""
    said = [
        {"steps": [*one.steps]} | ({"absent": True} if one.absent else {"value": msgspec.json.decode(one.value)})
        for one in settled.said
    ]
    taken = (
        {"taken": settled.taken} if settled.taken >= 0 else {"taken": None, "anew": msgspec.json.decode(settled.anew)}
    )
    return {"path": settled.path, "said": said, **taken, "by": settled.by} | (
        {"why": settled.why} if settled.why else {}
    )


def settled_line(settled: e.Settled) -> str:
    """What was taken, from whom, by what, and what lost."""
    losers = [one for n, one in enumerate(settled.said) if n != settled.taken]
    if settled.taken < 0:
        head = f"{_cut(bytes(settled.anew).decode())}, a new value"
    else:
        won = settled.said[settled.taken]
        head = f"{_cut(shown(won))} of {_names(won.steps)}"
    lost = ", ".join(f"{_cut(shown(one))} of {_names(one.steps)}" for one in losers[:LOSERS_TOLD])
    more = f" and {len(losers) - LOSERS_TOLD:,} more" if len(losers) > LOSERS_TOLD else ""
    why = f" ({settled.why})" if settled.why else ""
    return f"{head} by {settled.by}{why}, not {lost}{more}"


def _names(steps: Sequence[str]) -> str:
    more = f" and {len(steps) - LOSERS_TOLD:,} more" if len(steps) > LOSERS_TOLD else ""
    return ", ".join(steps[:LOSERS_TOLD]) + more


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS_TOLD else text[:VALUE_CHARS_TOLD] + "..."
