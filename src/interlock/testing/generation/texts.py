"""Texts by chance: most are a few readable words, some are what breaks careless code."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

Make = Callable[[Random], Any]
Item = TypeVar("Item")

TRICKY_SHARE = 0.12
EDGE_SHARE = 0.1
EDGE_CHARS_MAX = 1_000

WORDS = tuple(
    """
    account amber answer april basket billing birch bridge cable candle card city cloud coffee copper corner credit
    customer delta desk door early evening field first garden green harbour history invoice island june kettle
    ladder letter light market meadow member morning north number order paper parcel pepper phone planet question
    quiet refund report river road sample school second server shop silver spring station street summer table ticket
    timber train travel under update valley village water weather window winter yellow
    """.split()  # noqa: SIM905 - a column of ninety quoted words is no better to read
)
TRICKY = (
    "",
    " ",
    "0",
    "null",
    "na\u00efve caf\u00e9 \u00df",
    "e\u0301 is two characters",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0",
    "\u0645\u0631\u062d\u0628\u0627 from right to left",
    "\U0001f600 \U0001f469\u200d\U0001f680",
    'she said "no", it\'s \\ over',
    "two\nlines\r\nand a\ttab",
    "<b>bold</b> &amp; more",
    "{curly} {0} %s $HOME",
    "a.b.*",
    "'; DROP TABLE runs; --",
    "\u200bzero\u00a0width",
    "\x00\x1b[31m",
    "very long " * 30,
    "verylong" * 60,
)


def pick(random: Random, items: Sequence[Item]) -> Item:
    """One of several things; a third of the price of Random.choice."""
    return items[int(random.random() * len(items))]


def text(random: Random) -> str:
    """A text of any length, which may be empty."""
    if random.random() < TRICKY_SHARE:
        return pick(random, TRICKY)
    return " ".join([pick(random, WORDS) for _ in range(1 + int(4 * random.random()))])


def texts(least: int, most: int | None) -> Make:
    """What makes texts of so many characters; most is None where there is no bound."""
    if not least and most is None:
        return text
    edges = [edge for edge in (least, most) if edge is not None and edge <= max(least, EDGE_CHARS_MAX)]

    def make(random: Random) -> str:
        made = text(random)
        length = pick(random, edges) if random.random() < EDGE_SHARE else len(made)
        length = max(least, length if most is None else min(length, most))
        return stretched(made, length)[:length]

    return make


def stretched(made: str, length: int) -> str:
    """The text, gone on with until it has at least so many characters."""
    return made if len(made) >= length else made + ("and so on " * (length // 10 + 1))[: length - len(made)]
