"""What a run waits for: the steps whose time or event must come, and the events that came before a step awaited them.

An event ends one wait: that of the step which began first, of those that await it and that it fits. One that comes
earlier is kept for the first of these that begins.
"""

from collections.abc import Callable

from . import events as e
from .context import Bank
from .performing import Performing
from .rules import Rules
from .states import Status
from .waits import AWAKE_US_MAX, awaited

WaitEvent = e.WaitBegun | e.WaitEnded | e.EventReceived | e.EventRefused


class Waiting(Performing):
    """The steps of a run with their waits.

    waits: the steps that wait, in the order in which they began. kept: by name, events that nothing has awaited yet.
    event_ids: of all events that were taken or kept.
    """

    bank: Bank
    status: Status
    reason: str
    _given_up: set[int]
    _kept_for: Callable[[int], e.EventReceived | None]

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.waits: dict[int, e.WaitBegun] = {}
        self.kept: dict[str, list[e.EventReceived]] = {}
        self.event_ids: set[str] = set()
        # Kept events that are about to end a wait, or to be refused; and the waits that keep their run going.
        self._taken: dict[int, e.EventReceived] = {}
        self._awake: set[int] = set()

    def upcoming(self, event: str) -> list[int]:
        """The steps that may begin to wait for this event."""
        waits = self.rules.waits.items()
        coming = (n for n, wait in waits if wait.event == event and self.state[n] in {"waiting", "ready"})
        return [n for n in coming if n not in self._given_up]  # which has waited in vain, and is buried next

    def _wait_told(self, event: WaitEvent) -> None:
        match event:
            case e.WaitBegun():
                n = self.number[event.step]
                self.waits[n] = event
                self.reasons[n] = awaited(event.event, event.due_us)
                self._move(n, "awaiting")
                self._take_kept(n)
            case e.WaitEnded():
                self._wait_ended(event)
            case e.EventReceived():
                self.event_ids.add(event.event_id)
                self.kept.setdefault(event.event, []).append(event)
            case e.EventRefused(step=step) if step:
                self._use(event.event, event.event_id)
                self._take_kept(self.number[step])

    def _take_kept(self, n: int) -> None:
        """An event that was kept is about to end a wait, or to be refused; without one, its time may end it."""
        begun = self.waits[n]
        self._taken.pop(n, None)
        if self.kept.get(begun.event) and (kept := self._kept_for(n)) is not None:
            self._taken[n] = kept
        if n in self._taken or begun.due_us:
            self._due[n] = None
        self._keep_awake(n, awake=n in self._taken or 0 < begun.due_us <= begun.at_us + AWAKE_US_MAX)

    def _use(self, event: str, event_id: str) -> None:
        """An event is kept no longer; what was to have it has the next."""
        self.kept[event] = [kept for kept in self.kept[event] if kept.event_id != event_id]
        for n in [n for n, kept in self._taken.items() if kept.event_id == event_id]:
            self._take_kept(n)

    def _keep_awake(self, n: int, *, awake: bool) -> None:
        if awake != (n in self._awake):
            self._busy += 1 if awake else -1
            self._awake ^= {n}

    def _wait_ended(self, event: e.WaitEnded) -> None:
        n = self.number[event.step]
        begun = self.waits.pop(n)
        self._taken.pop(n, None)
        self._keep_awake(n, awake=False)
        self._unpark()
        if event.event_id in self.event_ids:
            self._use(begun.event, event.event_id)
        elif event.event_id:
            self.event_ids.add(event.event_id)
        reason = event.reason or f"{begun.event} has not come in time"
        if event.then == "dead":
            self.reasons[n] = reason
            self._given_up.add(n)
            self._move(n, "ready")
        elif event.then == "skip":
            self._end(n, "skipped", reason)
        else:
            self.bank.commit(n, event.writes)
            self._end(n, "committed")

    def _unpark(self) -> None:
        if self.status == "parked":
            self.status, self.reason = "running", ""
