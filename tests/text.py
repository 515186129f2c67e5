"""Texts, as tests compare them."""

import re


def without_place(text: str) -> str:
    """An error's text without the line it came from."""
    return re.sub(r" \([^()]+:\d+ in [^()]+\)", "", text)
