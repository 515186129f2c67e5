"""What becomes of what people decide about a run, told to whoever waits for that as soon as it is durable."""

import asyncio

from interlock.core import events as e


class Verdicts:
    """The verdicts on the decisions about one run, by the id of the request."""

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[e.AnyEvent | None]] = {}
        # Those that are folded, and not durable yet.
        self._folded: list[tuple[str, e.AnyEvent]] = []

    def expect(self, request_id: str) -> bool:
        """Await a verdict; False where there is one, or it is awaited. An event that was refused may be sent again."""
        before = self._awaited.get(request_id)
        if before is not None and not (before.done() and isinstance(before.result(), e.EventRefused)):
            return False
        self._awaited[request_id] = asyncio.get_running_loop().create_future()
        return True

    def note(self, request_id: str, verdict: e.AnyEvent) -> None:
        """A verdict is folded."""
        self._folded.append((request_id, verdict))

    def tell(self) -> None:
        """All that was folded is durable."""
        folded, self._folded = self._folded, []
        for request_id, verdict in folded:
            self._awaited[request_id].set_result(verdict)

    def of(self, request_id: str) -> "asyncio.Future[e.AnyEvent | None]":
        """The verdict; None where the run is driven no more before there is one."""
        return self._awaited[request_id]

    def abandon(self) -> None:
        """Nothing more is decided here."""
        for verdict in self._awaited.values():
            if not verdict.done():
                verdict.set_result(None)
