"""Warnings of the logger `interlock`, on standard error: repeats are counted, and shown only now and then."""

import logging
from collections.abc import Callable
from typing import Self

from interlock.engine import clock

from .text import line

REPEAT_SECONDS = 30.0
KINDS_MAX = 1_000


class Notices(logging.Handler):
    """Shows warnings. The same warning about the same agent comes again only after a while, with a count."""

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float] = clock.monotonic) -> None:
        super().__init__(logging.WARNING)
        self.say = say
        self._monotonic = monotonic
        self._shown_at: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], tuple[int, str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, or count it."""
        first = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        kind, now = (str(record.msg), str(first)), self._monotonic()
        text = f"{record.levelname.lower()}: {line(record.getMessage())}"
        shown_at = self._shown_at.get(kind)
        if shown_at is None and len(self._shown_at) >= KINDS_MAX:
            return
        if shown_at is not None and now - shown_at < REPEAT_SECONDS:
            self._held[kind] = (self._held.get(kind, (0, ""))[0] + 1, text)
            return
        self._shown_at[kind] = now
        held, _ = self._held.pop(kind, (0, ""))
        self.say(_repeated(text, held))

    def __enter__(self) -> Self:
        log = logging.getLogger("interlock")
        self._propagated, log.propagate = log.propagate, False
        log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        log = logging.getLogger("interlock")
        log.removeHandler(self)
        log.propagate = self._propagated
        for held, text in self._held.values():
            self.say(_repeated(text, held))


def _repeated(text: str, held: int) -> str:
    return f"{text} ({held:,} more like this)" if held else text
