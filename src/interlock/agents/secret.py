"""Secrets: where adapters get keys from, and how they are kept out of all that is told or stored.

A key comes from the environment, or from a provider that the program sets. What was handed out, and whatever the
environment holds under a name such as OPENAI_API_KEY, is looked for in replies, requests, errors, logs and messages. It
is found as it is, cut short, in JSON and in addresses; not where an agent has encoded it in other ways.
"""

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from interlock import errors
from interlock.errors import CUT, AccessDenied, TeamError, cut_short
from interlock.team.secret_names import names_a_secret

from .secret_forms import SECRET_CHARS_MIN, around, begun, forms_of, unicode, without_pieces

Provider = Callable[[str], str | None]

# Of a secret that changes, so many of its last values are looked for.
VALUES_KEPT_MAX = 20
NAME_CHARS_MAX = 200
_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(rf"[^\W\d]\w{{0,{NAME_CHARS_MAX - 1}}}")
_GOES_ON = "\0"  # which no variable can hold


class _Known(msgspec.Struct, frozen=True):
    """The values that are looked for. found: value -> name. forms, needles: what each looks like in texts, in JSON."""

    found: dict[str, str]
    forms: tuple[tuple[str, str], ...]
    needles: tuple[tuple[bytes, str], ...]

    @classmethod
    def of(cls, found: dict[str, str]) -> "_Known":
        """What is looked for, for these values."""
        named = {form: name for value, name in found.items() for form in forms_of(value)}
        # The longest first: one may be part of another.
        ordered = tuple(sorted(named.items(), key=lambda item: -len(item[0])))
        return cls(found, ordered, tuple((msgspec.json.encode(unicode(form))[1:-1], name) for form, name in ordered))


class Vault:
    """The secrets of a program. environment: names to values, read anew when an engine starts or a text is told.

    Any thread may use it: what is known is replaced as a whole, and whoever replaces it holds the lock.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._provider: Provider = environment.get
        self._handed_out: Mapping[str, tuple[str, ...]] = {}
        self._known = _Known.of({})
        # What the environment held when it was looked through last; None where that says too little.
        self._seen: Mapping[Any, Any] | None = None
        self._lock = threading.RLock()  # a signal may come in between, and be logged
        self.refresh()

    def __bool__(self) -> bool:
        return bool(self._known.needles)

    # --- handing out ---

    def provide(self, provider: Provider) -> None:
        """Take secrets from here instead of from the environment, whenever one is needed.

        It is given a name and returns None for no such one. It is called in the event loop, so it must not block.
        """
        self._provider = provider

    def secret(self, name: str) -> str:
        """The secret with this name. Raises AccessDenied where there is none, or something other than a text."""
        value = _checked(name, self._provider(name))
        if not value:
            raise AccessDenied(f"there is no {name}", fix=f"set {name} in the environment")
        if value not in self._handed_out.get(name, ()):
            with self._lock:
                values = tuple(dict.fromkeys((*self._handed_out.get(name, ()), value)))[-VALUES_KEPT_MAX:]
                self._handed_out = {**self._handed_out, name: values}
                self._look()
        return value

    def filled_in(self, text: str) -> str:
        """A text with the secrets that its `${NAME}` stand for. Raises AccessDenied."""
        return _PLACEHOLDER.sub(lambda match: self.secret(match[1]), text)

    # --- keeping ---

    def refresh(self) -> None:
        """Look again at what the environment holds."""
        # os.environ decodes all it holds each time it is read.
        if getattr(self._environment, "_data", self._environment) != self._seen:
            self._look()

    def _look(self) -> None:
        with self._lock:  # else an earlier look could replace a later one
            seen = dict(getattr(self._environment, "_data", self._environment))
            named = [(name, self._environment.get(name, "")) for name in [*self._environment] if names_a_secret(name)]
            found = self._there_are(named)
            if found != self._known.found:
                self._known = _Known.of(found)
            # Of a path, what it means hangs on whether there is such a file.
            self._seen = None if any(value.startswith("/") for _, value in named) else seen

    def _there_are(self, named: Iterable[tuple[str, str]]) -> dict[str, str]:
        found = {value: name for name, value in named if not _is_file(value)}
        return found | {value: name for name, values in self._handed_out.items() for value in values}

    def among(self, raw: bytes) -> str:
        """The name of a secret whose value stands in these bytes of JSON; "" where there is none."""
        for needle, name in self._known.needles:
            if needle in raw:
                return name
        return ""

    def hidden(self, text: str) -> str:
        """A text with the name of each secret in the place of its value."""
        self.refresh()
        for form, name in self._known.forms:
            text = text.replace(form, f"[{name}]")
            if form[:SECRET_CHARS_MIN] in text or form[-SECRET_CHARS_MIN:] in text:
                text = without_pieces(text, form, f"[{name}]")
        return text

    def excerpt(self, text: str, chars_max: int) -> str:
        """The beginning of a text, `hidden` before it is `cut_short`. Of a long one, no more than that is looked at."""
        self.refresh()
        room = chars_max + max((len(form) for form, _ in self._known.forms), default=0)
        return cut_short(self.hidden(text[:room]) + (CUT if len(text) > room else ""), chars_max)

    def hidden_so_far(self, text: str) -> tuple[str, str]:
        """Of a text that goes on, what can be told by now, `hidden`; and the rest, with which a value may begin."""
        settled = self._settled(text)
        # What stands at the end of the first part was not cut there.
        return self.hidden(text[:settled] + _GOES_ON).removesuffix(_GOES_ON), text[settled:]

    def _settled(self, text: str) -> int:
        forms, end = [form for form, _ in self._known.forms], len(text)
        settled = min((begun(text, form) for form in forms), default=end)
        while settled < end:  # it must not cut through a value that is part of another, or overlaps it
            end = settled
            settled = min(around(text, form, end) for form in forms)
        return settled


def _checked(name: str, given: Any) -> str | None:
    """What a provider gives for a name. Raises AccessDenied for what can't be looked for in texts."""
    if given is not None and not isinstance(given, str):
        fix = "let the function that was given to il.provide_secrets return a str, or None for no such one"
        raise AccessDenied(f"the secret {name} is a {type(given).__name__}, not a str", fix=fix)
    return given


def check_placeholders(text: str, what: str, place: tuple[str, ...]) -> None:
    """Raise TeamError where a text has a `${` that is no `${NAME}`. what: whose it is, and place: where."""
    names = _PLACEHOLDER.findall(text)
    if text.count("${") != len(names) or not all(_NAME.fullmatch(name) for name in names):
        fix = "write ${NAME}, with the name of a secret"
        raise TeamError(f"{what} has a ${{ without a name", fix=fix, place=place)


def _is_file(value: str) -> bool:
    """Whether a variable names a file with a secret, and holds none itself."""
    try:
        return value.startswith("/") and Path(value).exists()
    except (OSError, ValueError):
        return False


class _Discreet(logging.Filter):
    """Takes secrets out of what is logged, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, and change the few that tell a secret."""
        try:
            told = record.getMessage()
        except (TypeError, ValueError):  # arguments that don't fit, which logging tells as they are
            told, record.args = f"{record.msg} {record.args!r}", ()
            record.msg = told
        if (without := hidden(told)) != told:
            record.msg, record.args = without, ()
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        if (without := hidden(trace)) != trace:
            record.exc_text = without
        return True


VAULT = Vault()
provide, secret, filled_in, hidden, excerpt = VAULT.provide, VAULT.secret, VAULT.filled_in, VAULT.hidden, VAULT.excerpt
errors.hide, errors.excerpt = hidden, excerpt
logging.getLogger("interlock").addFilter(_Discreet())
