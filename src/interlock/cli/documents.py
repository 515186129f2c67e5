"""What commands print for programs: a document of JSON on a line of its own.

People read it too, on terminals. So what would control a terminal, or can't be seen, is escaped as JSON escapes it:
whoever decodes a document gets the very texts.
"""

import sys
from typing import Any

import msgspec

from . import exits
from .text import plain


def json_line(document: Any) -> bytes:
    """A document as a line of JSON."""
    encoded = msgspec.json.encode(document)
    if not encoded.isascii() or b"\x7f" in encoded:  # JSON escapes all other characters that matter by itself
        encoded = plain(encoded.decode()).encode()
    return encoded + b"\n"


def print_json(document: Any) -> int:
    """Write a document on standard output; returns the exit code."""
    sys.stdout.buffer.write(json_line(document))
    return exits.DONE
