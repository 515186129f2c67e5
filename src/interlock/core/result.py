"""The result of a run, as its team declares it: what stands at a path, or a text made of what stands at several.

A template is filled once, and what stands in a value is never read as a template: values are others' words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec

from interlock.errors import PathError, TeamError

from . import paths
from .naming import hint
from .values import ABSENT, encode_written

TEMPLATE_CHARS_MAX = 20_000
TEXT_CHARS_MAX = 1 << 20
PLACE = ("result",)
EXAMPLE = 'a path, such as ticket.response, or {text: "Dear {customer.name}, ..."}'
# Two braces of a kind stand for one; else what stands between two is a path.
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Outcome(msgspec.Struct, frozen=True):
    """What the result of one run is. lacking: why there is none."""

    value: Any = None
    lacking: str = ""


class Result(msgspec.Struct, frozen=True):
    """What a run results in. path: of a value; else parts: texts, and in every second place a path."""

    path: str = ""
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, declared: Any) -> Self:
        """What `result` declares. Raises TeamError."""
        if isinstance(declared, str):
            return cls(path=_path(declared))
        if not isinstance(declared, Mapping) or [*declared] != ["text"] or not isinstance(declared["text"], str):
            raise TeamError("result says nothing that can be taken", fix=f"write {EXAMPLE}", place=PLACE)
        return cls(parts=tuple(_parts(declared["text"])))

    @property
    def reads(self) -> tuple[str, ...]:
        """The paths that it is made of."""
        return (self.path,) if self.path else self.parts[1::2]

    def taken(self, context: Mapping[str, Any]) -> Outcome:
        """The result, out of all that was committed."""
        values = [context.get(path, ABSENT) for path in self.reads]
        missing = next((path for path, value in zip(self.reads, values, strict=True) if value is ABSENT), None)
        if missing is not None:
            return Outcome(lacking=f"there is nothing at {missing}")
        if self.path:
            return Outcome(values[0])
        texts = [value if isinstance(value, str) else encode_written(value).decode() for value in values]
        if sum(map(len, texts)) > TEXT_CHARS_MAX:
            return Outcome(lacking=f"its text would have more than {TEXT_CHARS_MAX:,} characters")
        filled = [text for pair in zip(self.parts[::2], [*texts, ""], strict=True) for text in pair]
        return Outcome("".join(filled))


def _path(text: str) -> str:
    try:
        return paths.canonical(text)
    except PathError as error:
        raise TeamError(f"the result: {error.message}", fix=error.fix or EXAMPLE, place=PLACE) from error


def _parts(template: str) -> Iterator[str]:
    if not 0 < len(template) <= TEMPLATE_CHARS_MAX:
        message = f"the template of the result has {len(template):,} characters"
        raise TeamError(message, fix=f"1 to {TEMPLATE_CHARS_MAX:,} are possible", place=PLACE)
    text, end = "", 0
    for found in _PART.finditer(template):
        text, end = text + template[end : found.start()], found.end()
        if found[1] is not None:
            yield text
            yield _path(found[1].strip())
            text = ""
        elif len(found[0]) > 1:
            text += found[0][0]
        else:
            message = f"the template of the result has a {found[0]} alone, at character {found.start() + 1:,}"
            raise TeamError(message, fix="write {path}, or {{ and }} for braces", place=PLACE)
    yield text + template[end:]


def result_problems(result: Result, written: Sequence[str]) -> Iterator[TeamError]:
    """A result that no step could ever have written: most often a mistyped path. written: all that anybody writes."""
    known = paths.Patterns(tuple(written))
    silent = [path for path in result.reads if not known.reach(path)]
    if len(silent) == len(result.reads):
        which = ", ".join(silent) or "a text without a path"
        near = hint(silent[0], map(paths.base, written)) if silent else ""
        yield TeamError(f"the result is {which}, which no step writes{near}", fix=f"write {EXAMPLE}", place=PLACE)
