"""How notices read: a few plain lines, which say what is asked of whom, and the command that answers.

What agents have said stands in quotes and on one line, so that it can't be taken for ours.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from interlock import errors
from interlock.core.notice import KINDS, Kind, Notice
from interlock.errors import cut_short
from interlock.ports import Message

SAID_CHARS_MAX = 300
NAME_CHARS_MAX = 100
# Of many notices, so many are told one by one.
SHOWN_MAX = 5

# From the words of a command to the command, as it is to be typed.
Command = Callable[[str], str]

_KINDS: dict[Kind, tuple[str, str]] = {
    "question": ("question", "questions"),
    "dead": ("dead letter", "dead letters"),
    "breaker": ("open breaker", "open breakers"),
}
_LISTS: dict[Kind, str] = {"question": "inbox list", "dead": "dlq list", "breaker": "breakers"}
_THEN = {"dead": "it is given up", "fallback": "its fallback goes on", "default": "its default is committed"}


def composed(team: str, notices: Sequence[Notice], command: Command, *, reasons: bool) -> Message:
    """One message about some notices. reasons: it says why, and so do the notices in it."""
    kept = notices if reasons else [msgspec.structs.replace(notice, reason="") for notice in notices]
    ordered = sorted(kept, key=lambda notice: KINDS.index(notice.kind))
    name = _name(team)
    if len(ordered) == 1:
        [notice] = ordered
        title, text = f"{name}: {_title(notice)}", "\n".join(_lines(notice, command))
    else:
        title, text = f"{name}: {_counted(ordered)}", "\n\n".join(_parts(ordered, command))
    return Message(team, errors.hide(title), errors.hide(text), tuple(ordered))


def trial(team: str) -> Message:
    """A message that says that messages come through."""
    name = _name(team)
    text = f"This is a test: whoever reads this is told when a run of {name} waits for a person. Nothing is to be done."
    return Message(team, f"{name}: a test", text)


def _parts(notices: Sequence[Notice], command: Command) -> list[str]:
    shown = [" ".join(_lines(notice, command)) for notice in notices[:SHOWN_MAX]]
    rest = len(notices) - SHOWN_MAX
    lists = ", ".join(command(_LISTS[kind]) for kind in dict.fromkeys(notice.kind for notice in notices))
    return [*shown, *([f"And {rest:,} more."] if rest > 0 else ()), f"All of them: {lists}"]


def _title(notice: Notice) -> str:
    if notice.kind == "question":
        return f"{_name(notice.step)} waits for a person"
    if notice.kind == "dead":
        return f"{_name(notice.step)} was given up"
    return f"{_name(notice.agent)} is called no more"


def _lines(notice: Notice, command: Command) -> list[str]:
    what = f"step {_name(notice.step)} of run {_name(notice.run_id)}"
    whose = f" (agent {_name(notice.agent)})" if notice.agent else ""
    where = f"{notice.run_id}/{notice.step}"
    if notice.kind == "question":
        return [*_asked(notice, f"{what}{whose}"), f"To answer it: {command(f'inbox show {where}')}"]
    if notice.kind == "dead":
        tries = "1 attempt" if notice.attempt == 1 else f"{notice.attempt:,} attempts"
        why = [f"Why: {_said(notice.reason)}"] if notice.reason else []
        said = f"{_begun(what)}{whose} was given up after {tries}."
        return [said, *why, f"To see it, and try it again: {command(f'dlq show {where}')}"]
    why = [f"Why: {_said(notice.reason)}"] if notice.reason else []
    said = f"Agent {_name(notice.agent)} is called no more for a while: its breaker has opened."
    return [said, *why, f"To see it: {command('breakers')}"]


def _asked(notice: Notice, who: str) -> list[str]:
    found = [f"{_begun(who)} asks: {_said(notice.text)}"]
    if notice.reason:
        found.append(f"Why: {_said(notice.reason)}")
    if notice.choices:
        found.append(f"Choices: {', '.join(map(_said, notice.choices))}.")
    found.append(f"You may: {', '.join(notice.verbs)}.")
    if not notice.due_us:
        return [*found, "It waits until somebody does."]
    until = f"{datetime.fromtimestamp(notice.due_us // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
    return [*found, f"Until {until}; then {_THEN.get(notice.then, 'it is given up')}."]


def _counted(notices: Sequence[Notice]) -> str:
    counts = Counter(notice.kind for notice in notices)
    return ", ".join(f"{number:,} {_KINDS[kind][number > 1]}" for kind, number in counts.items())


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name(text: str) -> str:
    return cut_short(_line(text), NAME_CHARS_MAX)


def _said(text: str) -> str:
    """What somebody has said, such that nobody takes it for a line of ours."""
    return f'"{cut_short(_line(text).replace(chr(34), chr(39)), SAID_CHARS_MAX)}"'


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
