"""What a secret looks like in texts, and where one stands that was cut short."""

import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from interlock.errors import CUT

# What is shorter, or a single word, stands in ordinary texts by chance.
SECRET_CHARS_MIN = 8
WORD_CHARS_MAX = 19
_PEM_LABEL = re.compile(r"-----[A-Z ]+-----")
_CUTS = re.compile(r"(\.{3,})")


def forms_of(value: str) -> Iterator[str]:
    """What a secret may look like in a text: as it is, its lines; each in JSON, in Python, and in an address."""
    for part in {value: None, **dict.fromkeys(map(str.strip, (value, *value.splitlines())))}:
        is_word = part.isalpha() and len(part) <= WORD_CHARS_MAX
        if len(part.strip()) >= SECRET_CHARS_MIN and not is_word and not _PEM_LABEL.fullmatch(part):
            yield part
            yield json.dumps(part)[1:-1]
            yield json.dumps(part, ensure_ascii=False)[1:-1]
            yield repr(part)[1:-1]
            yield quote(unicode(part))
            yield quote(unicode(part), safe="")
            yield quote_plus(unicode(part))


def unicode(text: str) -> str:
    """A text as it is sent: a variable may hold bytes that are no UTF-8, and so no Unicode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def begun(text: str, form: str) -> int:
    """Where in a text that goes on a form may begin, or a piece of it that was cut short; its length for nowhere."""
    start = text.find(form[0], max(0, len(text) - len(form) - len(CUT)))
    while start >= 0:
        piece = text[start:].rstrip(CUT)
        if form.startswith(piece) and piece != form:
            return start
        start = text.find(form[0], start + 1)
    _, cut, piece = text[-len(form) - len(CUT) :].rpartition(CUT)
    return len(text) - len(cut + piece) if cut and piece in form else len(text.rstrip(CUT))


def around(text: str, form: str, end: int) -> int:
    """Where a form begins that goes on past `end`; `end` for nowhere."""
    start = text.find(form, max(0, end - len(form) + 1), end + len(form) - 1)
    return end if start < 0 else start


def without_pieces(text: str, form: str, name: str) -> str:
    """A text that was cut within a secret, without the pieces of it that are left.

    One ends where the text or a part of it was cut, or begins there; so only that is looked at, and each place once.
    """
    parts = _CUTS.split(text)
    parts[::2] = (_without_beginning(_without_end(part, form, name), form, name) for part in parts[::2])
    return "".join(parts)


def _without_end(text: str, form: str, name: str) -> str:
    """A text with a name in the place of the beginning of a form that it ends with."""
    head = form[:SECRET_CHARS_MIN]
    start = text.find(head, max(0, len(text) - len(form)))
    while start >= 0 and not form.startswith(text[start:]):
        start = text.find(head, start + 1)
    return text if start < 0 else text[:start] + name


def _without_beginning(text: str, form: str, name: str) -> str:
    """A text with a name in the place of the end of a form that it begins with."""
    tail = form[-SECRET_CHARS_MIN:]
    start = text.rfind(tail, 0, len(form))
    while start >= 0 and not form.endswith(text[: start + len(tail)]):
        start = text.rfind(tail, 0, start + len(tail) - 1)
    return text if start < 0 else name + text[start + len(tail) :]
