"""The effects of a team as its user declares them: what performs each, and how."""

from collections.abc import Mapping
from typing import Any

from interlock.core.effects import EffectRule
from interlock.core.policy import duration_ms
from interlock.core.values import described

from .values import USE

Declared = dict[str, Any]


def whole(effects: Mapping[str, Any] | None) -> dict[str, Declared]:
    """Each effect with its keys, where only its function may have been named."""
    return {name: dict(keys) if isinstance(keys, Mapping) else {"use": keys} for name, keys in (effects or {}).items()}


def checkable(effects: Any) -> Any:
    """The same as it would stand in a team file, where functions are named."""
    if not isinstance(effects, Mapping):
        return effects
    return {name: _named(keys) for name, keys in effects.items()}


def _named(keys: Any) -> Any:
    if callable(keys):
        return {}
    if isinstance(keys, Mapping) and callable(keys.get("use")):
        return {key: value for key, value in keys.items() if key != "use"}
    return keys


def rule(declared: Declared) -> EffectRule:
    """How it is performed, for the core."""
    given: dict[str, Any] = {key: declared[key] for key in ("retries", "on_unknown", "approve") if key in declared}
    if "timeout" in declared:
        given["timeout_ms"] = duration_ms(declared["timeout"])
    return EffectRule(**given)


def documented(effects: Mapping[str, Declared]) -> dict[str, Declared]:
    """The declarations as JSON; functions appear as "module:qualname"."""
    return {name: {key: _text(value) for key, value in keys.items()} for name, keys in effects.items()}


def _text(value: Any) -> Any:
    return described(value) if callable(value) else value


def of_document(effects: Mapping[str, Declared]) -> dict[str, Declared]:
    """The declarations out of a document, without a `use` that names what can't be imported."""
    return {
        name: {key: value for key, value in keys.items() if key != "use" or not any(USE.problems(value, ()))}
        for name, keys in effects.items()
    }
