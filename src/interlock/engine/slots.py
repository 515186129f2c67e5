"""Room for calls: how many may be in flight at once, over all runs and per agent. First come, first served."""

from collections import deque
from collections.abc import Callable, Mapping


class Slots:
    """Counts the room that is left. bounds: agent -> how many calls of it; one without a bound shares `total` alone."""

    def __init__(self, total: int, bounds: Mapping[str, int]) -> None:
        self._total = self._free = total
        self._free_of = dict(bounds)
        self._queues: dict[str, deque[Callable[[], bool]]] = {}

    def part(self, name: str, bounds: Mapping[str, int]) -> "Slots":
        """The same room for another team, whose agents may have the same names."""
        self._free_of |= {f"{name}/{agent}": bound for agent, bound in bounds.items()}
        return _Part(self, name)

    @property
    def in_flight(self) -> int:
        """How many calls have room now."""
        return self._total - self._free

    def take(self, agent: str) -> bool:
        """Take room for a call of this agent, if there is some and nobody waits for it already."""
        if agent in self._queues or not self._has_room(agent):
            return False
        self._add(agent, -1)
        return True

    def wait(self, agent: str, granted: Callable[[], bool]) -> None:
        """Call `granted` when room was taken on the caller's behalf; it returns whether that is still wanted."""
        self._queues.setdefault(agent, deque()).append(granted)

    def give_back(self, agent: str) -> None:
        """A call has ended."""
        self._add(agent, 1)
        if self._queues:
            self._grant()

    def _grant(self) -> None:
        """Serve the agents that wait in turn, so that a long queue of one doesn't hold up the others.

        Whoever is served goes to the end, and may wait or give back at once: a queue is looked up anew each time.
        """
        for agent in list(self._queues):
            while self._has_room(agent) and (queue := self._queues.pop(agent, None)):
                granted = queue.popleft()
                if queue:
                    self._queues[agent] = queue
                self._add(agent, -1)
                if not granted():
                    self._add(agent, 1)

    def _add(self, agent: str, room: int) -> None:
        self._free += room
        if agent in self._free_of:
            self._free_of[agent] += room

    def _has_room(self, agent: str) -> bool:
        return self._free > 0 and self._free_of.get(agent, 1) > 0


class _Part(Slots):
    """The room of one team of several."""

    def __init__(self, whole: Slots, name: str) -> None:
        super().__init__(0, {})
        self._whole, self._name = whole, name

    @property
    def in_flight(self) -> int:
        return self._whole.in_flight

    def take(self, agent: str) -> bool:
        return self._whole.take(f"{self._name}/{agent}")

    def wait(self, agent: str, granted: Callable[[], bool]) -> None:
        self._whole.wait(f"{self._name}/{agent}", granted)

    def give_back(self, agent: str) -> None:
        self._whole.give_back(f"{self._name}/{agent}")
