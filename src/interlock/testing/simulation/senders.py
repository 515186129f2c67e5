"""What sends events to the runs of a simulated world: early, late, twice, garbled or never, as one seed decides."""

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from interlock.core.step import Step
from interlock.engine import decisions
from interlock.engine.deliveries import event_request
from interlock.errors import EventNotTaken, InterlockError, JournalError, StaleDriver, describe
from interlock.testing.generation.events import event_data

from .account import Broken

if TYPE_CHECKING:
    from .process import Process
    from .world import World  # they know each other: it tells its world what breaks

BY = "sender:sim"
# When events are sent, in seconds of the world, and the share of those that are never sent, twice, or garbled.
SECONDS = (0.0, 0.3, 2.0, 30.0, 400.0, 5_000.0)
CALM_SECONDS = 45.0
NEVER, AGAIN, GARBLED = 0.15, 0.3, 0.2
# A run that nobody has started yet is looked for again after so long, so often.
RETRY_SECONDS = 5.0
RETRIES_MAX = 100
# So long after the last that may happen, nobody looks out for more.
LINGER_SECONDS = 40.0
# What ends later is left waiting: looking out for it half-minute by half-minute takes its time.
LINGER_SECONDS_MAX = 4 * 86_400.0
POLL_SECONDS = 10.0
# Where nothing is near, so long is passed over at once.
JUMP_SECONDS = 3_600.0
# So long after its time, while an engine is open, a wait has been forgotten.
LATE_SECONDS = 300.0


class Senders:
    """Those who send the events that a team awaits. until: when the last of them has been sent."""

    def __init__(self, world: "World") -> None:
        self._world = world
        steps = [step for step in world.scene.team.rules.plan.declared if step.await_event]
        self._steps = steps
        self.until = 0.0

    def plan(self) -> None:
        """Draw what is sent to each run, and when."""
        for row, label in enumerate(self._world.scene.labels):
            for step in self._steps:
                self._plan(f"sim-{row}", step, self._world.chance.stream("event", label, step.id))

    def _plan(self, run_id: str, step: Step, random: Random) -> None:
        calm, event_id = self._world.scene.calm, f"{step.await_event}-{step.id}"
        if not calm and random.random() < NEVER:
            return
        data = event_data(step, random)
        if not calm and random.random() < GARBLED:
            self._later(random.choice(SECONDS), run_id, step, f"{event_id}-garbled", random.choice(["x" * 99, [], -1]))
        self._later(CALM_SECONDS if calm else random.choice(SECONDS), run_id, step, event_id, data)
        if not calm and random.random() < AGAIN:
            self._later(random.choice(SECONDS), run_id, step, event_id, data)

    def _later(self, seconds: float, run_id: str, step: Step, event_id: str, data: Any, tries: int = 0) -> None:
        self.until = max(self.until, seconds)
        send = partial(self._send, run_id, step, event_id, data, tries)
        self._world.outside.call_later(seconds, send)

    def _send(self, run_id: str, step: Step, event_id: str, data: Any, tries: int) -> None:
        world = self._world
        if run_id in world.accounts:
            world.outside.create_task(self._deliver(run_id, step, event_id, data, tries))
        elif tries < RETRIES_MAX:
            world.outside.call_later(RETRY_SECONDS, partial(self._send, run_id, step, event_id, data, tries + 1))

    async def _deliver(self, run_id: str, step: Step, event_id: str, data: Any, tries: int) -> None:
        world, journal = self._world, self._world.visitor()
        try:
            request = event_request(run_id, step.await_event, data, BY, event_id, world.now_us())
            rules = world.scene.team.rules
            await decisions.decide(journal, rules, request, leave=True, now_us=world.now_us)
            account = world.accounts[run_id]
            account.require("waits", account.waits.has(event_id), f"the event {event_id} was taken, and is lost")
        except EventNotTaken:
            pass  # nothing waits for it any more, or it is garbled
        except (JournalError, StaleDriver):
            # Whoever drives the run has died: an event that isn't acknowledged is sent again.
            if tries < RETRIES_MAX:
                world.outside.call_later(RETRY_SECONDS, partial(self._send, run_id, step, event_id, data, tries + 1))
        except Broken as broken:
            world.break_(broken)
        except InterlockError as error:
            world.break_(Broken("engine", f"sending an event failed: {describe(error)}", run_id))
        finally:
            await journal.close()
            world.look()


async def linger(process: "Process") -> None:
    """Stay until no wait of a parked run can end any more: the engine goes on with those that do."""
    world = process.world
    since = world.timeline.now
    while waits := await process.journal.waits():
        parked = [one for one in waits if world.accounts[one.run_id].status == "parked"]
        left = [(one.due_us - world.now_us()) / 1e6 for one in parked if one.due_us]
        steady = not process.fenced and all(account.clock_is_steady for account in world.accounts.values())
        # What was overdue when this process came may still wait for room in it.
        if steady and left and min(left) < -LATE_SECONDS and world.timeline.now > since + LATE_SECONDS:
            late = min((one for one in parked if one.due_us), key=lambda one: one.due_us)
            world.break_(Broken("waits", f"the time of {late.step} has come, and nobody sees to it", late.run_id))
            return
        moves = any(seconds < LINGER_SECONDS_MAX for seconds in left)
        if not moves and world.timeline.now > world.senders.until + LINGER_SECONDS:
            return
        ahead = [*left, world.senders.until - world.timeline.now]
        await asyncio.sleep(max(POLL_SECONDS, min([JUMP_SECONDS, *(seconds for seconds in ahead if seconds > 0)])))
