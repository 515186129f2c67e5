"""What is outside of a world's processes, where effects are performed: it outlives them all."""

import asyncio
from typing import TYPE_CHECKING, Any

from interlock.errors import NotPerformed
from interlock.ports import Began

from .account import Account, Broken
from .account.effects import EffectAccount

if TYPE_CHECKING:
    from .process import Process
    from .world import World

# What a performance takes, as shares of its timeout; and what comes of it, as shares of all.
LATENCY_SHARES = (0.0, 0.001, 0.01, 0.1, 0.5)
REFUSED_SHARE = 0.1
REFUSED_FOR_GOOD_SHARE = 0.02
UNKNOWN_SHARE = 0.05
HANGS_SHARE = 0.03
HANG_SHARE = 2.0


class Outside:
    """Performs one kind of effect for one process: with luck, and after some time.

    It doesn't know idempotency keys: whatever is done twice is seen to be done twice.
    """

    slots: int | None = None

    def __init__(self, world: "World", process: "Process", name: str) -> None:
        self._world, self._process, self._name = world, process, name

    async def perform(self, payload: Any, idempotency_key: str, began: Began) -> Any:
        """See ports.Performer."""
        world = self._world
        if self._process.dead:
            return None
        account = world.asking(idempotency_key)
        try:
            one = account.effects.performed(self._name, payload, idempotency_key)
        except Broken as broken:
            world.break_(broken)
            raise
        began()
        return await self._performed(one, account, idempotency_key)

    async def _performed(self, one: EffectAccount, account: Account, idempotency_key: str) -> Any:
        # A try that was lost in a crash has the luck of the one in its place.
        tries = one.begun - one.lost
        name = (self._world.label(account.run_id), *idempotency_key.split("/")[1:])
        random = self._world.chance.stream("effect", *name, tries)
        calm = self._world.scene.calm
        timeout = account.rules.effects[self._name].timeout_ms / 1_000
        seconds = 0.0 if calm else random.choice(LATENCY_SHARES) * random.random() * timeout
        luck = 1.0 if calm else random.random()
        await asyncio.sleep(seconds)
        if luck < REFUSED_SHARE:
            one.refused += 1
            raise NotPerformed("it was not performed, by chance", again=luck > REFUSED_FOR_GOOD_SHARE)
        one.completed += 1
        await asyncio.sleep(seconds)
        if luck < REFUSED_SHARE + UNKNOWN_SHARE:
            raise OSError("the line broke, by chance")
        if luck < REFUSED_SHARE + UNKNOWN_SHARE + HANGS_SHARE:
            await asyncio.sleep(HANG_SHARE * timeout)
        return {"receipt": one.completed}

    async def close(self) -> None:
        """Nothing is kept."""
