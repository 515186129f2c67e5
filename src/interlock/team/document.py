"""The document of a team: all that it declares, as canonical JSON, to be kept with each run and compared later."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from interlock.core.plan import Plan
from interlock.core.values import Limits, decode, described, encode_canonical, encode_declared

from .agent import Agent
from .tables import AGENT, SCOPE_KEYS

Place = tuple[str, ...]

SHOWN_CHARS_MAX = 80
_ABSENT = object()
_ORDERS = {"order of steps": "steps", "order of guardrails": "guardrails"}


def document(
    *,
    name: str,
    agents: Mapping[str, Agent],
    plan: Plan | None,
    limits: Limits,
    shared: Mapping[str, Any],
    effects: Mapping[str, Mapping[str, Any]],
) -> bytes:
    """All declarations as canonical JSON; callables appear as "module:qualname". What is not declared is left out.

    shared: what all agents share, by its key.
    """
    parts = {
        "name": name,
        "agents": {name: _agent(agent) for name, agent in agents.items()},
        "plan": None if plan is None else plan.declared,
        "limits": msgspec.to_builtins(limits),
        **shared,
        "effects": effects,
    }
    encoded: bytes = encode_declared({key: part for key, part in parts.items() if part})
    return encoded


def _agent(agent: Agent) -> dict[str, Any]:
    declared = {key: getattr(agent.scope if key in SCOPE_KEYS else agent, key) for key in AGENT.fields}
    if agent.team is not None:
        declared["team"] = decode(agent.team.document)
    else:
        declared["effort"] = agent.effort or "simple"
    if callable(agent.use):
        declared["use"] = described(agent.use)
    return {key: value for key, value in declared.items() if value not in (None, "", (), [])}


def difference(old: bytes, new: bytes) -> list[str]:
    """What changed from one document to another, a line for each: `agents.triage.retries: 2 -> 3`."""
    return [text for _, text in changes(old, new)]


def changes(old: bytes, new: bytes) -> list[tuple[Place, str]]:
    """The same, each line with the keys that lead there: ("agents", "triage", "retries")."""
    return [*_changes(_comparable(decode(old)), _comparable(decode(new)), ())]


def _comparable(document: dict[str, Any]) -> dict[str, Any]:
    """Steps by their ids and guardrails by their names, so that one more isn't a change of all those after it."""
    agents = {name: _by_guardrail(_with_inner(agent)) for name, agent in document["agents"].items()}
    document = {**document, "agents": agents}
    steps = document.get("plan")
    if steps is None:
        return document
    named = {step["id"]: _by_guardrail(step) for step in steps}
    return {**document, "plan": named, "order of steps": [step["id"] for step in steps]}


def _with_inner(agent: dict[str, Any]) -> dict[str, Any]:
    return {**agent, "team": _comparable(agent["team"])} if "team" in agent else agent


def _by_guardrail(holder: dict[str, Any]) -> dict[str, Any]:
    declared = holder.get("guardrails")
    if not declared:
        return holder
    named: dict[str, Any] = {}
    for guardrail in declared:
        name, options = _named(guardrail)
        while name in named:
            name += "'"
        named[name] = options
    return {**holder, "guardrails": named, "order of guardrails": [*named]}


def _named(guardrail: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(guardrail, str):
        return guardrail, {}
    if "use" in guardrail:
        return guardrail["use"], {key: value for key, value in guardrail.items() if key != "use"}
    [(name, options)] = guardrail.items()
    return name, options or {}


def _changes(old: dict[str, Any], new: dict[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    for key in [*old, *(key for key in new if key not in old)]:
        here, at = (*place, key), ".".join((*place, key))
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if key in _ORDERS:
            for text in _reordered(before, after, ".".join(place) or "plan", _ORDERS[key]):
                yield here, text
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _changes(before, after, here)
        elif isinstance(before, dict) and after is _ABSENT:
            yield here, f"{at}: removed"
        elif before is _ABSENT and isinstance(after, dict):
            yield here, f"{at}: added"
        elif before is _ABSENT or after is _ABSENT or encode_canonical(before) != encode_canonical(after):
            yield here, f"{at}: {_shown(before)} -> {_shown(after)}"


def _reordered(before: Any, after: Any, place: str, what: str) -> Iterator[str]:
    """The order of declaration is that in which reducers fold, and equal guardrails are asked: a change of its own."""
    if before is _ABSENT or after is _ABSENT:
        return
    old, new = [i for i in before if i in set(after)], [i for i in after if i in set(before)]
    if old != new:
        yield f"{place}: the order of the {what}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not set"
    text = value if isinstance(value, str) else encode_canonical(value).decode()
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
