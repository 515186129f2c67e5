"""The events that have come to one run from outside, as far as its events tell."""

from interlock.core import events as e


class WaitsAccount:
    """The events that have come to one run, and the steps that wait, in the order in which they began."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.kept: dict[str, list[e.EventReceived]] = {}
        self.ids: set[str] = set()
        # Those whose run was parked meanwhile: nobody need have been there when their time came.
        self.asleep: set[str] = set()

    def take(self, event_id: str) -> bool:
        """Whether this is the first time that an event is told of."""
        is_new = event_id not in self.ids
        self.ids.add(event_id)
        return is_new

    def has(self, event_id: str) -> bool:
        """Whether an event was taken or kept."""
        return event_id in self.ids
