"""Regular expressions that can't hang: each text is gone through once, whatever it holds.

Python's own engine tries one way after another, and some patterns have more ways through a hostile text than the
universe has seconds; nothing can stop it. Here all ways are followed at once (Thompson's construction), and what was
worked out for a set of ways and a character is kept. Python parses the pattern, and decides what each single character
matches, so that only the search is ours. What can't be searched so (references back, lookarounds, possessive repeats)
is refused when the team is loaded. The work on one text is counted: past WORK_MAX the search gives up.
"""

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from interlock.errors import TeamError

PATTERN_CHARS_MAX = 2_000
STATES_MAX = 2_000
TEXT_CHARS_MAX = 200_000
# Characters gone through, and for each that was new, the ways that had to be followed.
WORK_MAX = 600_000
KNOWN_MAX = 20_000

_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}
_KEPT_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL
_WORD, _NEWLINE, _LAST_NEWLINE, _OTHER, _EDGE = range(5)

States = frozenset[int]


class TooMuchWork(Exception):
    """The text is too long for this pattern, or too intricate."""


class Pattern:
    """A pattern that is searched for in bounded time. Raises TeamError for one that can't be."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > PATTERN_CHARS_MAX:
            raise TeamError(f"the pattern has more than {PATTERN_CHARS_MAX:,} characters", fix="shorten it")
        try:
            compiled = re.compile(pattern)
            parser: Any = importlib.import_module("re._parser")
            tree = parser.parse(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise TeamError(f"{pattern[:80]!r} is no regular expression: {error}") from None
        self.text = pattern
        self._net = _Net()
        self._start = self._net.state()
        self._end = self._net.add(tree, self._start, compiled.flags)
        self._word = re.compile(r"\w", compiled.flags & re.ASCII).match
        self._kinds = {"\n": _NEWLINE}
        # What was worked out for searches, and for matches.
        self._known: dict[bool, _Known] = {}

    def found_in(self, text: str) -> str | None:
        """The end of what was found, at most 40 characters of it; None where nothing is. Raises TooMuchWork."""
        for position in self._ends(text, anywhere=True):
            return text[max(0, position - 40) : position]
        return None

    def matches(self, text: str) -> bool:
        """Whether it describes a text from end to end. Raises TooMuchWork."""
        return any(position == len(text) for position in self._ends(text, anywhere=False))

    def _ends(self, text: str, *, anywhere: bool) -> Iterator[int]:
        """The places at which a way through the pattern ends."""
        if len(text) > TEXT_CHARS_MAX:
            raise TooMuchWork(f"it has {len(text):,} characters; at most {TEXT_CHARS_MAX:,} are searched")
        known = self._known.get(anywhere)
        if known is None or known.is_large:
            known = self._known[anywhere] = _Known(self._start)
        looks_around, kinds, steps = self._net.looks_around, self._kinds, known.steps
        at, before, after, left, last = 0, _EDGE, _OTHER, WORK_MAX - len(text), len(text) - 1
        for position, character in enumerate(text):
            if looks_around:
                after = kinds[character] if character in kinds else self._kind(character)
                if after == _NEWLINE and position == last:
                    after = _LAST_NEWLINE
            step = steps.get((at, before, after, character))
            if step is None:
                step, work = self._step(known, at, before, after, character, anywhere=anywhere)
                left -= work
                if left < 0:
                    raise TooMuchWork("it has too many ways through the pattern")
            if step[0]:
                yield position
            at, before = step[1], after
            if not known.sets[at]:
                return
        if self._end in self._closure(known.sets[at], before, _EDGE if looks_around else _OTHER):
            yield len(text)

    def _step(
        self, known: "_Known", at: int, before: int, after: int, character: str, *, anywhere: bool
    ) -> tuple[tuple[bool, int], int]:
        """What a character leads to that was not met here before, and how much work it was to find out."""
        reached = self._closure(known.sets[at], before, after)
        moved = self._move(reached, character)
        step = self._end in reached, known.number(moved | {self._start} if anywhere else moved)
        known.steps[at, before, after, character] = step
        return step, len(reached)

    def _kind(self, character: str) -> int:
        """Whether it is of a word; remembered as far as there is room."""
        kind = _WORD if self._word(character) else _OTHER
        if len(self._kinds) < KNOWN_MAX:
            self._kinds[character] = kind
        return kind

    def _closure(self, at: States, before: int, after: int) -> States:
        reached, pending = set(at), [*at]
        while pending:
            for condition, target in self._net.free[pending.pop()]:
                if target not in reached and (condition is None or condition(before, after)):
                    reached.add(target)
                    pending.append(target)
        return frozenset(reached)

    def _move(self, reached: States, character: str) -> States:
        steps = (self._net.steps.get(state) for state in reached)
        return frozenset(step[1] for step in steps if step is not None and step[0](character))


class _Known:
    """Sets of ways that were met, by number, and what follows from each: where a way ends, and the next set."""

    def __init__(self, start: int) -> None:
        self.sets: list[States] = [frozenset({start})]
        self.numbers: dict[States, int] = {self.sets[0]: 0}
        self.steps: dict[tuple[int, int, int, str], tuple[bool, int]] = {}

    @property
    def is_large(self) -> bool:
        """Whether the next text should begin anew: a hostile one leaves much that no other meets."""
        return len(self.steps) > KNOWN_MAX or len(self.sets) > KNOWN_MAX

    def number(self, at: States) -> int:
        """The number of a set, which may be new."""
        found = self.numbers.get(at)
        if found is None:
            found = self.numbers[at] = len(self.sets)
            self.sets.append(at)
        return found


class _Net:
    """States, the characters that lead from one to the next, and the ways that take none."""

    def __init__(self) -> None:
        self.free: list[list[tuple[Callable[[int, int], bool] | None, int]]] = []
        self.steps: dict[int, tuple[Callable[[str], Any], int]] = {}
        self.looks_around = False

    def state(self) -> int:
        if len(self.free) >= STATES_MAX:
            raise TeamError("the pattern is too large once its repeats are written out", fix="repeat less often")
        self.free.append([])
        return len(self.free) - 1

    def add(self, nodes: Any, start: int, flags: int) -> int:
        """Append these nodes after a state; the state in which they end."""
        for op, value in nodes:
            start = self._add(str(op), value, start, flags)
        return start

    def _add(self, op: str, value: Any, start: int, flags: int) -> int:
        if op in _REPEATS:
            return self._repeat(value, start, flags)
        if op == "SUBPATTERN":
            _, more, fewer, inner = value
            return self.add(inner, start, (flags | more) & ~fewer)
        if op == "BRANCH":
            end = self.state()
            for branch in value[1]:
                begin = self._free(start)
                self.free[self.add(branch, begin, flags)].append((None, end))
            return end
        end = self.state()
        if op == "AT":
            self.looks_around = True
            self.free[start].append((_place(str(value), flags), end))
        else:
            self.steps[start] = (re.compile(_character(op, value), flags & _KEPT_FLAGS).match, end)
        return end

    def _free(self, start: int) -> int:
        end = self.state()
        self.free[start].append((None, end))
        return end

    def _repeat(self, value: Any, start: int, flags: int) -> int:
        least, most, inner = value
        for _ in range(least):
            start = self.add(inner, self._free(start), flags)
        if most is importlib.import_module("re._constants").MAXREPEAT:
            loop = self._free(start)
            self.free[self.add(inner, self._free(loop), flags)].append((None, loop))
            return self._free(loop)
        end = self.state()
        self.free[start].append((None, end))
        for _ in range(most - least):
            start = self.add(inner, self._free(start), flags)
            self.free[start].append((None, end))
        return end


def _place(where: str, flags: int) -> Callable[[int, int], bool]:
    """Whether `^`, `$` or a word boundary fits between two kinds of characters."""
    lines = bool(flags & re.MULTILINE)
    match where:
        case "AT_BEGINNING" if lines:
            return lambda before, _: before in {_EDGE, _NEWLINE, _LAST_NEWLINE}
        case "AT_BEGINNING" | "AT_BEGINNING_STRING":
            return lambda before, _: before == _EDGE
        case "AT_END" if lines:
            return lambda _, after: after in {_EDGE, _NEWLINE, _LAST_NEWLINE}
        case "AT_END":
            return lambda _, after: after in {_EDGE, _LAST_NEWLINE}
        case "AT_END_STRING":
            return lambda _, after: after == _EDGE
        case "AT_BOUNDARY":
            return lambda before, after: (before == _WORD) != (after == _WORD)
        case "AT_NON_BOUNDARY":
            return lambda before, after: (before == _WORD) == (after == _WORD)
    raise _unsupported(where)


def _character(op: str, value: Any) -> str:
    """The pattern of one character."""
    match op:
        case "LITERAL":
            return re.escape(chr(value))
        case "NOT_LITERAL":
            return f"[^{_escaped(value)}]"
        case "ANY":
            return "."
        case "IN":
            negated = "^" if str(value[0][0]) == "NEGATE" else ""
            return f"[{negated}{''.join(_member(str(kind), inner) for kind, inner in value[bool(negated) :])}]"
    raise _unsupported(op)


def _member(kind: str, value: Any) -> str:
    if kind == "RANGE":
        return f"{_escaped(value[0])}-{_escaped(value[1])}"
    return _escaped(value) if kind == "LITERAL" else _CATEGORIES[str(value)]


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


def _unsupported(what: str) -> TeamError:
    message = f"the pattern has a part that can't be searched in bounded time ({what.lower().replace('_', ' ')})"
    return TeamError(message, fix="write it without lookarounds, references back and possessive repeats")
