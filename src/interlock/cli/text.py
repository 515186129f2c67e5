"""How values are written for people. Texts of agents and users are hostile: none may move a cursor, or hide."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from interlock.core.events import AT_US_MAX

# What controls a terminal, turns the order of letters round, or breaks lines where nothing else does.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e"
# What nobody sees, so that a person would approve what stands there unread: what is ignored by default in Unicode 15,
# and annotations; but for what joins letters and emoji, or chooses their form.
_HIDDEN = r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
_HIDDEN_FURTHER_UP = r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_unseen = re.compile(f"[{_CONTROLS}{_HIDDEN}{_HIDDEN_FURTHER_UP}]")
COLUMNS_MIN = 40
_SECOND_US, _MINUTE_S, _HOUR_S, _DAY_S = 1_000_000, 60, 3_600, 86_400
_MILLION, _TEN_THOUSAND = 1_000_000, 10_000


def plain(text: str) -> str:
    """A text that a terminal shows as it is: what would control the terminal, or is hidden, is made visible."""
    return _unseen.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """As JSON escapes it, which knows 16 bits at a time."""
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def line(text: str) -> str:
    """A text on one line."""
    return plain(" ".join(text.split()))


def first_line(text: str) -> str:
    """The first line of a text, with dots where more follow."""
    first, *more = text.strip().splitlines() or [""]
    return line(first) + (" ..." if more else "")


def colourful(stream: TextIO) -> bool:
    """Whether colours are wanted on a stream (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def wrapped(text: str, stream: TextIO) -> str:
    """A text whose lines break between words where a terminal would break them anywhere; else as it is."""
    if not stream.isatty():
        return text
    columns = max(COLUMNS_MIN, shutil.get_terminal_size().columns)
    return "\n".join(part for line_ in text.split("\n") for part in _broken(line_, columns))


def _broken(text: str, columns: int) -> list[str]:
    if len(text) <= columns:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    # What is typed again, such as a path or a run's id, is not broken.
    return textwrap.wrap(
        text, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def red(text: str, stream: TextIO) -> str:
    """The text in bold red, where colours are wanted."""
    return f"\x1b[1;31m{text}\x1b[0m" if colourful(stream) else text


def duration(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `2 m 05 s`, `3 h 20 m`, `4 d 2 h`."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1_000:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} m {whole % _MINUTE_S:02} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02} m"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def counted(counts: Mapping[str, int]) -> str:
    """What was counted, the most frequent first: `100 committed, 8 timed out`."""
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    return ", ".join(f"{number:,} {line(name.replace('_', ' '))}" for name, number in ordered)


def ago(then_us: int, now_us: int) -> str:
    """`just now`, `40 s ago`, `3 m ago`, `2 h ago`, `5 d ago`."""
    seconds = (now_us - then_us) // _SECOND_US
    if seconds < 2:  # noqa: PLR2004 - a moment
        return "just now"
    units = ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "m"), (1, "s"))
    size, unit = next((size, unit) for size, unit in units if seconds >= size)
    return f"{seconds // size} {unit} ago"


def clock(at_us: int, now_us: int) -> str:
    """The local time, to the second; of another day, with its date."""
    if not 0 <= at_us <= AT_US_MAX:
        return f"{at_us} us"
    at, now = (datetime.fromtimestamp(one / 1e6).astimezone() for one in (at_us, now_us))
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%m-%d %H:%M:%S}"


def count(number: int) -> str:
    """`9,876`, `12.3 k`, `4.5 M`."""
    if number < _TEN_THOUSAND:
        return f"{number:,}"
    return f"{number / 1_000:.1f} k" if number < _MILLION else f"{number / _MILLION:.1f} M"


def money(usd: float | None) -> str:
    """Dollars, with as many digits as a small sum needs."""
    if usd is None:
        return "unknown"
    return f"${usd:.2f}" if usd >= 1 or not usd else f"${usd:.4f}"


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`, `3 batches`."""
    ending = "es" if noun.endswith(("ch", "s", "sh")) else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{ending}"


def shown_path(path: str) -> str:
    """A path as a person in this folder would write it."""
    inside = path.removeprefix(os.getcwd() + os.sep)  # noqa: PTH109 - the prefix as text is wanted
    return plain(inside)


def shown_team(source: str) -> str:
    """The team file of a run: its folder is enough where the file has the usual name."""
    short = shown_path(source).removesuffix(f"{os.sep}team.yaml")
    home = os.path.expanduser("~") + os.sep  # noqa: PTH111 - the prefix as text is wanted
    return ("~" + os.sep + short.removeprefix(home) if short.startswith(home) else short) or "(Python)"


def interactive(stream: TextIO = sys.stderr) -> bool:
    """Whether a person watches a stream."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
