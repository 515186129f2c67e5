"""Room for calls: how many may be in flight at once, over all runs and per agent. First come, first served."""

from collections import deque
from collections.abc import Callable, Mapping


class Slots:
    """Counts calls in flight. bounds: agent -> how many calls of it; an agent without a bound shares `total` alone."""

    def __init__(self, total: int, bounds: Mapping[str, int]) -> None:
        self._total = total
        self._bounds = dict(bounds)
        self._in_flight = 0
        self._of_agent = dict.fromkeys(bounds, 0)
        self._queues: dict[str, deque[Callable[[], bool]]] = {}

    def take(self, agent: str) -> bool:
        """Take room for a call of this agent, if there is some and nobody waits for it already."""
        if agent in self._queues or not self._has_room(agent):
            return False
        self._occupy(agent)
        return True

    def wait(self, agent: str, granted: Callable[[], bool]) -> None:
        """Call `granted` when room was taken on the caller's behalf; it returns whether that is still wanted."""
        self._queues.setdefault(agent, deque()).append(granted)

    def give_back(self, agent: str) -> None:
        """A call has ended."""
        self._release(agent)
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
                self._occupy(agent)
                if not granted():
                    self._release(agent)

    def _release(self, agent: str) -> None:
        self._in_flight -= 1
        if agent in self._of_agent:
            self._of_agent[agent] -= 1

    def _occupy(self, agent: str) -> None:
        self._in_flight += 1
        if agent in self._of_agent:
            self._of_agent[agent] += 1

    def _has_room(self, agent: str) -> bool:
        bound = self._bounds.get(agent)
        return self._in_flight < self._total and (bound is None or self._of_agent[agent] < bound)
