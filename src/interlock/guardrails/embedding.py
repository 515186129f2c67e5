"""Texts as vectors: the static embeddings of WordLlama, which lie in its package. Nothing is ever downloaded."""

import logging
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from interlock.errors import MissingExtra

CACHED_TEXTS_MAX = 64

Vector = Any


@cache
def _model() -> Any:
    """The model, which takes half a second and 40 MB. Raises MissingExtra."""
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise MissingExtra("wordllama is not installed", fix="pip install 'interlock[topic]'")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    from wordllama import WordLlama  # noqa: PLC0415 - optional, and slow

    # Its import sets up the logging of the whole process, which is nobody's but the program's.
    root.handlers[:], root.level = handlers, level
    # Its tokenizer lies in the package as well, but is looked for elsewhere.
    return WordLlama.load(cache_dir=Path(found.origin).parent, disable_download=True)


def load() -> None:
    """Get ready to embed. Raises MissingExtra where that part isn't installed."""
    _model()


@lru_cache(CACHED_TEXTS_MAX)
def embedded(text: str) -> Vector | None:
    """The mean of the vectors of a text's tokens, of length 1; None for a text without any."""
    model = _model()
    tokens = model.tokenizer.encode(text, add_special_tokens=False).ids
    if not tokens:
        return None
    mean = model.embedding[tokens].mean(axis=0)
    length = float(mean @ mean) ** 0.5
    return mean / length if length else None


def similarity(one: Vector, other: Vector) -> float:
    """How alike two vectors are: the cosine of their angle, from -1 to 1; about 0 where they have nothing in common."""
    return float(one @ other)
