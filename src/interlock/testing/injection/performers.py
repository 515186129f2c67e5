"""A performer in front of another that breaks some tries of an effect."""

import asyncio
from collections.abc import Callable
from typing import Any

from interlock.core.rules import Rules
from interlock.errors import NotPerformed
from interlock.ports import Began, Performer
from interlock.testing.chance import Chance
from interlock.testing.grown import declared_step

from .adapters import HANG_TIMEOUTS
from .faults import Faults, Injection


class FaultyPerformer:
    """Breaks the tries of one kind of effect that the faults name, and passes the others on.

    name: of the effect. label: what a run is called in the draws. number: of the try under this idempotency key.
    """

    def __init__(
        self,
        inner: Performer,
        name: str,
        rules: Rules,
        faults: Faults,
        chance: Chance,
        *,
        label: Callable[[str], str] = str,
        number: Callable[[str], int],
        note: Callable[[str, Injection], None] = lambda _key, _injection: None,
    ) -> None:
        self.slots = inner.slots
        self._inner, self._name, self._rules, self._faults, self._chance = inner, name, rules, faults, chance
        self._label, self._number, self._note = label, number, note

    async def perform(self, payload: Any, idempotency_key: str, began: Began) -> Any:
        """What the inner one does, or what the fault makes of it."""
        run, step, key = idempotency_key.split("/", 2)
        plan = self._rules.plan
        injection = self._faults.of_effect(
            self._chance,
            run=self._label(run),
            step=step,
            declared_step=declared_step(plan, step),
            key=key.removeprefix("effect:"),
            number=self._number(idempotency_key),
        )
        if injection is None:
            return await self._inner.perform(payload, idempotency_key, began)
        self._note(idempotency_key, injection)
        if injection.kind == "effect_error":
            began(fault=injection.kind)
            raise NotPerformed("injected: it was not performed")
        if injection.kind == "effect_timeout":
            began(fault=injection.kind)
            await asyncio.sleep(HANG_TIMEOUTS * self._rules.effects[self._name].timeout_ms / 1_000)
            raise OSError("injected: it hung")
        await self._inner.perform(payload, idempotency_key, began)
        raise OSError("injected: its answer was lost")

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()
