"""Times, as people read them."""

from datetime import UTC, datetime

from interlock.core import events as e


def timestamp(at_us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC; as they are, where a damaged journal has a time out of all bounds."""
    if not 0 <= at_us <= e.AT_US_MAX:
        return f"{at_us} us"
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
