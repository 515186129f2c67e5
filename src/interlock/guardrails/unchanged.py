"""`unchanged`: what was validated upstream is neither "corrected" nor told differently."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

import msgspec

from interlock.core import paths
from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.core.job import DELETE
from interlock.core.values import ABSENT, at, encode_canonical
from interlock.errors import TeamError, cut_short

from . import facts
from .facts import Fact
from .shown import NOT_SHOWN, leaves

VALUE_CHARS_MAX = 80
FINDINGS_MAX = 10
MENTIONS_MAX = 200
TEXT_CHARS_MAX = 1_000_000
# Between the name of a field and its value: `total: $5`, `the total is now $5`, `Order no. 17`.
_LINK = r"(?:\s|[:=*_`\"“(]|\b(?:is|was|are|of|at|on|to|now|no|number|nr|id|amounts?|comes?|being|will|be)\b\.?){1,8}"


class Unchanged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Refuses replies that alter validated facts.

    fields: paths of the view whose values may not be written as anything else. copies: path of a write -> path of the
    view: if the first is written, it says the same as the second shows, in any format. mentions: whether texts that
    name one of the fields by its key, and a value of its kind right after it, must give its value.
    """

    fields: tuple[str, ...] = ()
    copies: Mapping[str, str] = {}
    mentions: bool = False

    name: ClassVar[str] = "unchanged"
    cost: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not self.fields and not self.copies:
            raise TeamError("it protects nothing", fix="give it fields, or copies")
        msgspec.structs.force_setattr(self, "fields", tuple(map(paths.canonical, self.fields)))
        spelled = {paths.canonical(target): paths.canonical(source) for target, source in self.copies.items()}
        msgspec.structs.force_setattr(self, "copies", spelled)

    @property
    def watches(self) -> tuple[str, ...]:
        """What it looks at in writes."""
        return ("*",) if self.mentions else (*self.fields, *self.copies)

    @property
    def consults(self) -> tuple[str, ...]:
        """What it looks at in the view."""
        return (*self.fields, *self.copies.values())

    def check(self, draft: Draft) -> Opinion:
        """Hold the writes against the fields."""
        findings = tuple(islice(self._findings(draft), FINDINGS_MAX))
        return Opinion(0.0, findings) if findings else FINE

    def _findings(self, draft: Draft) -> Iterator[Finding]:
        view = draft.view.unread()
        for field in self.fields:
            shown = view.get(field, ABSENT)
            if shown is ABSENT:
                continue
            for path, value in draft.writes.items():
                yield from self._rewritten(field, shown, path, value, view.get(path, ABSENT))
            if self.mentions and isinstance(shown, (str, int, float)) and not isinstance(shown, bool):
                yield from self._mentioned(field, shown, draft)
        for target, source in self.copies.items():
            shown = view.get(source, ABSENT)
            if shown is not ABSENT:
                yield from self._copied(target, source, shown, draft)

    def _rewritten(self, field: str, shown: Any, path: str, value: Any, before: Any) -> Iterator[Finding]:
        if paths.inside(field, path):
            kept = at(value, paths.split(field)[len(paths.split(path)) :]) if field != path else value
            same = kept is not DELETE and kept is not ABSENT and _is_same(kept, shown)
        elif paths.inside(path, field):
            kept, shown = value, before
            same = value is not DELETE and _is_same(value, before)
        else:
            return
        if not same:
            yield Finding(self.name, f"{field} was validated: {_told(shown, kept)}", path)

    def _copied(self, target: str, source: str, shown: Any, draft: Draft) -> Iterator[Finding]:
        for path, value in draft.writes.items():
            if not paths.inside(target, path):
                continue
            said = at(value, paths.split(target)[len(paths.split(path)) :]) if target != path else value
            if said is not ABSENT and said is not DELETE and not _says_the_same(said, shown):
                message = f"{target} repeats {source}: {_told(shown, said)}"
                yield Finding(self.name, message, path)

    def _mentioned(self, field: str, shown: str | float, draft: Draft) -> Iterator[Finding]:
        right = _readings_of(shown)
        if not right:
            return
        key = paths.split(field)[-1]
        label = re.compile(rf"(?<![\w-]){_label(key)}(?={_LINK}(?P<value>[\w$€£¥#+][^\n]{{0,60}}))", re.IGNORECASE)
        for path, text in ((p, t) for w, v in draft.writes.items() for p, t in leaves(v, w) if isinstance(t, str)):
            plain = facts.plain(text)[:TEXT_CHARS_MAX]
            for count, match in enumerate(label.finditer(plain)):
                if count == MENTIONS_MAX:
                    break
                fact = next(facts.marked(match["value"]), None)
                if (
                    fact
                    and match["value"].startswith(fact.text)
                    and _comparable(fact, right)
                    and not _equal(fact, right)
                ):
                    said = cut_short(fact.text, VALUE_CHARS_MAX)
                    yield Finding(self.name, f"{field} is {_short(shown)} {NOT_SHOWN}, not {said}", path)


_NUMBERS = frozenset({int, float})
_NUMERIC = frozenset({"amount", "quantity", "number", "percent"})


def _label(key: str) -> str:
    """A pattern for a key as it is spoken: `order_id` is `order id`, or just `order`."""
    parts = [re.escape(part) for part in re.split(r"[_\W]+", key) if part]
    if len(parts) > 1 and parts[-1].lower() in {"id", "at", "date", "amount", "number"}:
        return r"[ _-]".join(parts[:-1]) + rf"(?:[ _-]{parts[-1]})?(?!\w)"
    return r"[ _-]".join(parts) + r"(?!\w)"


def _readings_of(value: str | float) -> list[Fact]:
    """A value as the one fact that it is; nothing if it is none, or several."""
    if not isinstance(value, str):
        return [facts.of_number(value)]
    found = list(facts.marked(facts.plain(value[: VALUE_CHARS_MAX * 2])))
    return found if len(found) == 1 or (found and found[0].kind == "date") else []


def _comparable(fact: Fact, right: list[Fact]) -> bool:
    return any(fact.kind == other.kind or {fact.kind, other.kind} <= _NUMERIC for other in right)


def _equal(fact: Fact, right: list[Fact]) -> bool:
    return any(set(fact.readings) & set(other.readings) or _same_day(fact, other) for other in right)


def _same_day(fact: Fact, other: Fact) -> bool:
    """Whether a day without its year is meant."""
    both = {reading[-6:] for reading in fact.readings} & {reading[-6:] for reading in other.readings}
    return fact.kind == other.kind == "date" and bool(both) and any(r[0] == "-" for r in fact.readings + other.readings)


def _is_same(one: Any, other: Any) -> bool:
    """Equal as JSON, where 1 is 1.0 but not true."""
    if one is ABSENT or other is ABSENT:
        return False
    if type(one) in _NUMBERS and type(other) in _NUMBERS:
        return bool(one == other)
    return bool(encode_canonical(one) == encode_canonical(other))


def _says_the_same(said: Any, shown: Any) -> bool:
    if _is_same(said, shown):
        return True
    texts = [value if isinstance(value, str) else str(value) for value in (said, shown)]
    if any(isinstance(value, (dict, list, bool)) or value is None for value in (said, shown)):
        return False
    if facts.folded(texts[0]) == facts.folded(texts[1]):
        return True
    one, other = _readings_of(said), _readings_of(shown)
    return bool(one and other) and _equal(one[0], other) and _agree(one[0], other[0])


def _agree(one: Fact, other: Fact) -> bool:
    return not (one.measure and other.measure) or facts.agree(one.measure, other.measure)


def _told(shown: Any, said: Any) -> str:
    does = "removes it" if said in (DELETE, ABSENT) else f"says {_short(said)}"
    return f"it is {_short(shown)} {NOT_SHOWN}, and the reply {does}"


def _short(value: Any) -> str:
    return "nothing" if value is ABSENT else cut_short(msgspec.json.encode(value).decode(), VALUE_CHARS_MAX)
