"""Ids of runs and batches: sortable by time, safe in paths, file names and URLs."""

import os

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 55
_CHARS = 22


def new_id(at_us: int) -> str:
    """A new id: 55 bits of microseconds since 1970, then 55 random bits, in 22 characters of base 32."""
    number = at_us << _RANDOM_BITS | int.from_bytes(os.urandom(8), "big") >> 64 - _RANDOM_BITS
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_CHARS - 1), -1, -5))


def row_run_id(batch_id: str, row: int) -> str:
    """The id of the run for one row of a batch: the same on every resume."""
    return f"{batch_id}-{row}"
