"""Delivers what people are told: out of the journal, again and again until it has come through, and past every run.

Each recipient has a task of its own, which waits for nobody else's. What is taken to be delivered stays in the journal
until that is done, so a crash delays a message and loses none.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from interlock import errors
from interlock.core.notice import Kind
from interlock.errors import AccessDenied, JournalError, MissingExtra, NotDelivered, describe
from interlock.ports import Journal, Message, Recipient

from . import clock, tasks
from .messages import Command, composed
from .noticing import Noticing

log = logging.getLogger("interlock")

# How long one delivery may take, and for how long what is under way is nobody else's.
DELIVERY_SECONDS_MAX = 20.0
TAKEN_US = 60_000_000
# What comes within so many seconds of a message shares the next one.
PAUSE_SECONDS = 10.0
# How often it is looked for what others have posted and not delivered.
POLL_SECONDS = 30.0
RETRY_SECONDS = 5.0
RETRY_SECONDS_MAX = 1_800.0
DOUBLINGS_MAX = 20
TOGETHER_MAX = 200
# What could not be delivered for so long is forgotten; and how often that is looked for.
KEPT_DAYS = 7
FORGET_US = 3_600_000_000
# How long the end of an engine may wait for what is still to be delivered. To load apprise takes seconds.
CLOSE_SECONDS = 15.0

_DAY_US = 86_400_000_000


class Notifier:
    """Tells the recipients of a team. wanted: which kinds each of them wants; those of no other are posted for it.

    team: the name by which the team's notices are kept in the journal; shown: the one for people. command: how a
    command that finds the journal is typed.
    """

    def __init__(
        self,
        recipients: Sequence[Recipient],
        wanted: Mapping[str, Sequence[Kind]],
        *,
        team: str,
        shown: str = "",
        command: Command = "interlock {}".format,
    ) -> None:
        self.noticing = Noticing(team, wanted)
        self._posts = [_Post(recipient, team, shown or "a team", command) for recipient in recipients]
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, journal: Journal, now_us: Callable[[], int] = clock.now_us) -> None:
        """Begin to deliver what is posted on this journal, and what was left there."""
        for post in self._posts:
            self._tasks.add(tasks.spawn(post.work(journal, now_us)))
        self.noticing.posted = self._posted

    def _posted(self) -> None:
        for post in self._posts:
            post.posted()

    async def close(self) -> None:
        """Deliver what is left, in bounded time; what doesn't come through stays in the journal."""
        for post in self._posts:
            post.end()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            await tasks.cancel_all(left)
        deliveries = [delivery for post in self._posts if (delivery := post.delivery) is not None]
        for delivery in deliveries:
            delivery.cancel()
        await tasks.end_or_leave(deliveries)


class _Post:
    """What one recipient is told."""

    def __init__(self, recipient: Recipient, team: str, shown: str, command: Command) -> None:
        self._recipient, self._team, self._shown, self._command = recipient, team, shown, command
        self._journal: Journal
        self._now_us: Callable[[], int]
        self._stirred = asyncio.Event()
        self._has_news = self._ending = False
        self._failures = self._forgot_us = 0
        # What is wrong, as it was logged: it is logged once.
        self._complaint = ""
        # What is under way, which may go on after its cancellation.
        self.delivery: asyncio.Task[None] | None = None

    def posted(self) -> None:
        """There may be something to deliver."""
        self._has_news = True
        self._stirred.set()

    def end(self) -> None:
        """Deliver what there is, and end."""
        self._ending = True
        self._stirred.set()

    async def work(self, journal: Journal, now_us: Callable[[], int]) -> None:
        """Deliver until the end."""
        self._journal, self._now_us = journal, now_us
        while True:
            self._has_news = False
            try:
                pause, is_done = await self._round()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end this for good
                why = str(error) if isinstance(error, JournalError) else describe(error)
                self._complain(f"the journal or its secrets can't be used: {why}")
                pause, is_done = POLL_SECONDS, False
            if self._ending and (self._complaint or (is_done and not self._has_news)):
                return
            await self._rest(pause, until_news=is_done)
            if self._ending and self._complaint:
                return

    async def _round(self) -> tuple[float, bool]:
        """Deliver what is due: how long to pause then, and whether there was nothing more."""
        await self._forget()
        recipient = self._recipient
        try:
            recipient.check()
        except (MissingExtra, AccessDenied) as error:
            self._complain(str(error))
            return POLL_SECONDS, False
        now = self._now_us()
        taken = await self._journal.take_notices(self._team, recipient.name, now, now + TAKEN_US, TOGETHER_MAX)
        if not self._failures:
            self._complaint = ""
        if not taken:
            return POLL_SECONDS, True
        numbers = [one.number for one in taken]
        notices = [one.notice for one in taken]
        why = await self._delivered(composed(self._shown, notices, self._command, reasons=recipient.reasons))
        if why is not None:
            return await self._put_off(numbers, why), False
        await self._journal.settle_notices(numbers)
        self._came_through()
        return PAUSE_SECONDS, False

    async def _put_off(self, numbers: Sequence[int], why: str) -> float:
        """What could not be delivered stays; how long to wait before it is tried again."""
        seconds = min(RETRY_SECONDS * (1 << min(self._failures, DOUBLINGS_MAX)), RETRY_SECONDS_MAX)
        self._failures += 1
        self._complain(f"{why}; it is tried again, for {KEPT_DAYS} days")
        # A little less than is waited, since that is measured by another clock.
        await self._journal.settle_notices(numbers, self._now_us() + round(seconds * 900_000))
        return seconds

    def _came_through(self) -> None:
        if self._failures:
            log.warning("%s is told again what waits for people", self._recipient.name)
        self._failures, self._complaint = 0, ""

    async def _delivered(self, message: Message) -> str | None:
        """Deliver in bounded time; why that failed. What goes on after its cancellation is left alone."""
        if self.delivery is not None and not self.delivery.done():
            return "what was sent before still hangs"
        task = self.delivery = tasks.spawn(_guarded(self._recipient, message))
        task.add_done_callback(_whatever_came)
        try:
            done, _ = await asyncio.wait({task}, timeout=DELIVERY_SECONDS_MAX)
        finally:
            task.cancel()
        if not done:
            return f"no answer within {DELIVERY_SECONDS_MAX:g} s"
        if task.cancelled():
            return "it was cancelled from inside"
        error = task.exception()
        return None if error is None else describe(error)

    async def _forget(self) -> None:
        """Give up what nobody could deliver for long."""
        now = self._now_us()
        if abs(now - self._forgot_us) < FORGET_US:
            return
        self._forgot_us = now
        count = await self._journal.forget_notices(self._team, now - KEPT_DAYS * _DAY_US)
        if count:
            log.warning("%d notices of %s could not be delivered for %d days: given up", count, self._shown, KEPT_DAYS)

    def _complain(self, why: str) -> None:
        if not self._complaint:
            log.warning("%s can't be told what waits for people: %s", self._recipient.name, errors.hide(why))
        self._complaint = why

    async def _rest(self, seconds: float, *, until_news: bool) -> None:
        """Wait so long, or until the end; or until something is posted."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._ending and not (until_news and self._has_news):
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stirred.wait()


def _whatever_came(delivery: asyncio.Task[None]) -> None:
    """Of one that was left alone, nobody asks."""
    if not delivery.cancelled():
        delivery.exception()


async def _guarded(recipient: Recipient, message: Message) -> None:
    """A recipient is code of others: what would end the loop is an error like any other."""
    try:
        await recipient.deliver(message)
    except (SystemExit, KeyboardInterrupt) as error:
        raise NotDelivered(describe(error)) from error
