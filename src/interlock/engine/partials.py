"""What agents say before they have finished, passed on to whoever wants to watch: no fact, and never committed."""

import asyncio
import logging
from collections.abc import Callable

from interlock.core.job import Job
from interlock.ports import Partial, Secrets

log = logging.getLogger("interlock")

Hearer = Callable[[Partial], None]

PAUSE_SECONDS = 0.05
PARTIAL_CHARS_MAX = 200_000


class Telling:
    """Tells a hearer what one attempt says: at most every PAUSE_SECONDS, and at most PARTIAL_CHARS_MAX characters.

    Secrets are hidden; what one may begin with is held back until more is said. Once the attempt is over, nothing more
    is told; a hearer that fails is not called again for it.
    """

    def __init__(self, hearer: Hearer, job: Job, is_over: Callable[[], bool], secrets: Secrets | None = None) -> None:
        self._hearer, self._job, self._is_over = hearer, job, is_over
        self._secrets = secrets
        self._waiting: list[str] = []
        self._held = ""
        self._room = PARTIAL_CHARS_MAX
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, text: str) -> None:
        """The agent has said this."""
        text = text[: self._room]
        if not text or self._is_over():
            return
        self._room -= len(text)
        self._waiting.append(text)
        if self._timer is None:
            self._tell()
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._pause_ended)

    def end(self) -> None:
        """Tell what is left."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell(is_last=True)
        self._room = 0

    def _pause_ended(self) -> None:
        self._timer = None
        if self._waiting:
            self._tell()
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._pause_ended)

    def _without_secrets(self, text: str, *, is_last: bool) -> str:
        if not self._secrets:
            return text
        if is_last:
            return self._secrets.hidden(text)
        text, self._held = self._secrets.hidden_so_far(text)
        return text

    def _tell(self, *, is_last: bool = False) -> None:
        said, self._waiting, self._held = "".join((self._held, *self._waiting)), [], ""
        text = self._without_secrets(said, is_last=is_last)
        if not text or self._is_over():
            return
        job = self._job
        try:
            self._hearer(Partial(job.run_id, job.step, job.agent, job.attempt, text))
        except Exception:
            log.exception("what agent %s says could not be told of run %s; the run goes on", job.agent, job.run_id)
            self._room, self._held = 0, ""
