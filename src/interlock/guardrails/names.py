"""Names in texts: capitalised words that are neither common ones nor capitalised only because a sentence begins."""

import re
import unicodedata
from collections.abc import Iterator

from .common_words import COMMON
from .facts import Fact

_CAPITAL = re.compile(r"(?<![\w'])(?=[^\W\d_])[^a-z\W\d_][^\W\d_']{0,63}(?:['-][^\W\d_]{1,63}){0,4}")
_WORD = re.compile(r"[^\W\d_]+")
_ABBREVIATED = frozenset(["mr", "mrs", "ms", "dr", "prof", "st", "no", "sr", "jr", "mt", "ft"])
_NO_NAME_ENDINGS = ("ing", "ed", "tion", "ment")
_LOOK_BACK_CHARS = 12
_LOOK_AHEAD_CHARS = 14
_VERBS = frozenset(
    [
        *(
            "has",
            "hasn't",
            "had",
            "is",
            "isn't",
            "was",
            "wasn't",
            "can",
            "can't",
            "cannot",
            "could",
            "couldn't",
            "will",
        ),
        *(
            "won't",
            "would",
            "wouldn't",
            "wants",
            "wanted",
            "asks",
            "asked",
            "says",
            "said",
            "paid",
            "ordered",
            "bought",
        ),
    ]
)


def words_of(text: str) -> set[str]:
    """The words of a text as names are compared: without case and accents."""
    return set(_WORD.findall(bare(text)))


def bare(text: str) -> str:
    """A text without case and accents."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.casefold()


def names(text: str) -> Iterator[Fact]:
    """The words of a plain text that are capitalised like names: no common words, and not only at a sentence's begin.

    The reading of a name is its words; each of them has to be known.
    """
    group: list[str] = []
    begin = end = -1
    for match in _CAPITAL.finditer(text):
        word = match[0]
        if not word[0].isupper():
            continue
        if match.start() != end + 1 or text[end] != " ":
            fact = _name(group, text, begin, end)
            if fact is not None:
                yield fact
            group, begin = [], match.start()
        group.append(word)
        end = match.end()
    fact = _name(group, text, begin, end)
    if fact is not None:
        yield fact


def _name(group: list[str], text: str, begin: int, end: int) -> Fact | None:
    """The name in a row of capitalised words, if there is one in it."""
    if not group or (len(group) == 1 and group[0].lower() in COMMON) or (len(group) == 1 and _is_label(text, end)):
        return None
    found = [(word, _own(bare(word))) for word in group]
    if _begins_sentence(text, begin):
        called = len(group) == 1 and (
            text[end : end + 1] == "," or group[0].endswith("'s") or _acts(found[0][1], text, end)
        )
        if not called and (len(group) == 1 or found[0][1].endswith(_NO_NAME_ENDINGS)):
            found = found[1:]
    kept = [(word, reading) for word, reading in found if len(word) > 1 and reading not in COMMON]
    if not kept:
        return None
    return Fact("name", " ".join(word for word, _ in kept), tuple(reading for _, reading in kept))


def _is_label(text: str, end: int) -> bool:
    """Whether a colon follows, and no time of day."""
    return text[end : end + 1] == ":" and not text[end + 1 : end + 2].isdecimal()


def _acts(word: str, text: str, end: int) -> bool:
    """Whether a verb follows a word that is no plural and not made of a verb, as it follows a person's name."""
    after = text[end : end + _LOOK_AHEAD_CHARS].split(None, 1)
    return bool(after) and after[0] in _VERBS and not word.endswith(("s", *_NO_NAME_ENDINGS))


def _own(word: str) -> str:
    """A word without the ending of a possessive."""
    return word.removesuffix("'s").rstrip("'")


def _begins_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - _LOOK_BACK_CHARS) : start].rstrip(" \t\"'“«*_#>-•(`")
    if not before or before[-1] in "\n!?\0":
        return True
    return before[-1] == "." and before[:-1].rpartition(" ")[2].lower() not in _ABBREVIATED
