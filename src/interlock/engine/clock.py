"""The only place that reads the wall clock."""

import time


def now_us() -> int:
    """Microseconds since 1970 in UTC."""
    return time.time_ns() // 1_000


def monotonic() -> float:
    """Seconds of a clock that never goes back."""
    return time.monotonic()
