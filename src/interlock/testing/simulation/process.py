"""One simulated process: a loop of its own, a journal handle, and an engine; it can die at any moment."""

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from interlock.core.events import PlanApproval
from interlock.core.job import Job
from interlock.engine.engine import Engine
from interlock.engine.run import Run
from interlock.errors import InputError, StaleDriver
from interlock.ports import Adapter, Began, Letters, Opening
from interlock.team import Team
from interlock.testing.injection.journals import FaultyJournal

from .loop import VirtualLoop
from .meddling import meddle
from .people import answer
from .senders import linger

if TYPE_CHECKING:
    from .world import World  # they know each other: a process tells its world all that happens in it

BATCH = "sim"
APPROVED_WITHIN_MS = 86_400_000


class Process:
    """One process of a world: a loop of its own, a journal handle, and an engine that runs or resumes."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.loop: VirtualLoop = world.timeline.loop()
        self.began_us = world.now_us()
        self.dead = self.fenced = False
        # The errors of its journal are our doing.
        self.excused = False
        random = None if world.scene.calm else world.chance.stream("disk", number)
        self.disk = world.disk.open(random, partial(world.durable, self))
        self.journal = FaultyJournal(
            self.disk,
            world.faults_of_writes,
            world.chance,
            name=f"process-{number}",
            die=self.die,
            lose=self.lose,
            note=self._noted,
        )
        self.task = self.loop.create_task(self._work())
        self.task.add_done_callback(lambda _: world.process_ended(self))

    async def _work(self) -> None:
        world = self.world
        engine = (ApprovingEngine if world.scene.approve else Engine)(
            world.scene.team,
            self.adapters(world.scene.team),
            self.journal,
            calls_max=world.calls_max,
            runs_max=world.runs_max,
            now_us=world.now_us,
            ids=lambda _: world.new_id(),
            watch=False,
            performers=world.performers(self, world.scene.team.rules),
            nested=world.crews(self),
            notifier=world.notices.notifier(self),
        )
        async with engine:
            if world.disk.has_batch():
                runs = engine.resume()
            else:
                batch = await engine.open_batch([world.scene.requests[row] for row in world.scene.labels], "simulation")
                runs = engine.run_batch(batch)
            async with aclosing(runs):  # type: ignore[type-var]
                async for run in runs:
                    world.run_ended(self, run)
            if world.scene.people and not world.scene.calm:
                await answer(self, engine)
            if world.has_waits:
                await linger(self)
            await self._redrive(engine)
            if world.scene.meddling:
                await meddle(self, engine)

    def adapters(self, team: Team) -> dict[str, "Watched"]:
        """What the agents of a team are called by."""
        called = (name for name, agent in team.agents.items() if agent.team is None)
        return {name: Watched(self, self.world.adapter(name, team)) for name in called}

    async def _redrive(self, engine: Engine) -> None:
        """A person tries some dead letters again."""
        world, found = self.world, dict[str, list[str]]()
        for letter in await self.journal.letters(Letters(waiting=True), 0):
            if world.wants_again(letter):
                found.setdefault(letter.run_id, []).append(letter.step)
        for run_id, steps in found.items():
            try:
                run = await engine.redrive(run_id, steps, by="person:sim", reason="again")
            except StaleDriver:
                pass  # another process has been quicker
            except InputError:
                account = world.accounts[run_id]
                if account.status != "running" and all(account.states[step] == "dead" for step in steps):
                    raise
                # Somebody has been quicker: it must end first, or they have been tried again already.
            else:
                world.run_ended(self, run)

    def _noted(self, name: str, kind: str) -> None:
        self.excused = True
        self.world.struck(name, kind, f"process {self.number}: {kind}", self.number)

    def die(self) -> None:
        """As by kill -9: nothing more happens in it, and its locks are free."""
        if not self.dead:
            self.dead = True
            self.disk.die()
            self.loop.halt()
            self.world.process_died(self)

    def lose(self) -> None:
        """Others believe that it is dead, but it goes on."""
        if not self.fenced:
            self.fenced = True
            self.disk.lose()
            self.world.start_process_later()


class ApprovingEngine(Engine):
    """One all of whose runs have a plan that somebody must approve."""

    async def _start(self, run_id: str, raw: bytes, opening: Opening, approval: PlanApproval | None = None) -> Run:
        return await super()._start(run_id, raw, opening, approval or PlanApproval(APPROVED_WITHIN_MS))


class Watched:
    """Tells the world of every call, and of its end."""

    def __init__(self, process: Process, inner: Adapter) -> None:
        self.slots = inner.slots
        self._process, self._inner = process, inner

    async def call(self, job: Job, began: Began) -> Any:
        """See ports.Adapter."""
        process = self._process
        if process.dead:
            return None
        call = process.world.call_began(process, job)

        def begun(*, fault: str = "") -> None:
            if call.deadline is None:
                call.deadline = process.loop.time() + call.timeout
            began(fault=fault)

        try:
            call.answer = await self._inner.call(job, begun)
            return call.answer
        except BaseException as error:
            call.error = error
            raise
        finally:
            call.ended = process.loop.time()
            if process.loop.refused:
                process.world.left_virtual_time(job, process.loop.refused)

    async def close(self) -> None:
        """See ports.Adapter."""
        await self._inner.close()


class Call:
    """A call as the world saw it, from within its task. Times are seconds of the world."""

    __slots__ = ("answer", "deadline", "ended", "error", "job", "task", "timeout")

    def __init__(self, job: Job, timeout: float) -> None:
        self.job, self.timeout = job, timeout
        self.task = asyncio.current_task()
        self.answer: Any = None
        self.error: BaseException | None = None
        self.deadline: float | None = None
        self.ended: float | None = None

    @property
    def in_time(self) -> bool:
        """Whether it ended before its timeout."""
        return self.ended is not None and self.deadline is not None and self.ended <= self.deadline

    def began_in(self, loop: VirtualLoop) -> bool:
        """Whether it is a call of the process with this loop."""
        return self.task is not None and self.task.get_loop() is loop

    @property
    def goes_on(self) -> bool:
        """Whether it is still at work, and was not asked to stop: who ignores that keeps no room for long."""
        return self.ended is None and self.task is not None and not self.task.cancelling()
