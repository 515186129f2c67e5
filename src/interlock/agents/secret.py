"""Secrets: where adapters get keys from, and how they are kept out of all that is told.

A key comes from the environment, or from a provider that the program sets. What was handed out, and whatever the
environment holds under a name such as OPENAI_API_KEY, is replaced by its name in texts.
"""

import os
import re
from collections.abc import Callable

from interlock.errors import AccessDenied

Provider = Callable[[str], str | None]

# Shorter values stand in ordinary texts by chance.
SECRET_CHARS_MIN = 8
_NAMES = re.compile(r"(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|PRIVATE_?KEY)$", re.IGNORECASE)
_provider: Provider = os.environ.get
_handed_out: dict[str, str] = {}


def provide(provider: Provider) -> None:
    """Take secrets from here instead of from the environment. It is given a name, and returns None for no such one."""
    global _provider  # noqa: PLW0603 - one program has one place for its secrets
    _provider = provider


def secret(name: str) -> str:
    """The secret with this name. Raises AccessDenied where there is none."""
    value = _provider(name)
    if not value:
        raise AccessDenied(f"there is no {name}", fix=f"set {name} in the environment")
    if len(value) >= SECRET_CHARS_MIN:
        _handed_out[value] = name
    return value


def hidden(text: str) -> str:
    """A text with the name of each secret in the place of its value."""
    for value, name in _known().items():
        if value in text:
            text = text.replace(value, f"[{name}]")
    return text


def _known() -> dict[str, str]:
    known = {v: name for name, v in os.environ.items() if len(v) >= SECRET_CHARS_MIN and _NAMES.search(name)}
    return known | _handed_out
