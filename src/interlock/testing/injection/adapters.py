"""An adapter in front of another that breaks some of its calls."""

import asyncio
from collections.abc import Callable
from typing import Any

from interlock.core.job import Job
from interlock.core.rules import Rules
from interlock.errors import AgentError, AgentRefused
from interlock.ports import Adapter, Began, unheard
from interlock.testing.chance import Chance
from interlock.testing.grown import GrownRules

from .faults import Faults, Injection, seconds_of
from .garbage import garble

# A call that hangs ends by itself after so many times its timeout: nobody waits for it by then.
HANG_TIMEOUTS = 10
CANCELLATIONS_IGNORED = 2


class InjectedError(AgentError):
    """This call was broken on purpose."""

    code = "injected"


class InjectedRefusal(AgentRefused):
    """This call was refused on purpose."""

    code = "injected_refusal"


class FaultyAdapter:
    """Breaks the calls that the faults name, and passes the others on.

    label: what a run is called in the draws. reissues: how often a call was lost before and is made again now.
    """

    def __init__(
        self,
        inner: Adapter,
        rules: Rules,
        faults: Faults,
        chance: Chance,
        *,
        label: Callable[[str], str] = str,
        reissues: Callable[[Job], int] = lambda _job: 0,
        note: Callable[[Job, Injection], None] = lambda _job, _injection: None,
    ) -> None:
        self.slots = inner.slots
        self._inner, self._rules, self._faults, self._chance = inner, rules, faults, chance
        self._grown = GrownRules(rules)
        self._label, self._reissues, self._note = label, reissues, note

    async def call(self, job: Job, began: Began) -> Any:
        """The inner agent's answer, or what the fault makes of it."""
        injection = self._faults.of_call(
            self._chance,
            run=self._label(job.run_id),
            agent=job.agent,
            step=job.step,
            declared_step=self._declared(job),
            attempt=job.attempt,
            reissue=self._reissues(job),
        )
        if injection is None:
            return await self._inner.call(job, began)
        self._note(job, injection)
        return await self._broken(job, injection, began)

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()

    async def _broken(self, job: Job, injection: Injection, began: Began) -> Any:
        kind, duty = injection.kind, self._grown.of(job).duty(job.step, job.agent)
        if kind == "exception":
            began(fault=kind)
            raise InjectedError("injected: the agent failed")
        if kind == "refusal":
            began(fault=kind)
            raise InjectedRefusal("injected: the agent refused")
        if kind == "timeout":
            began(fault=kind)
            await asyncio.sleep(HANG_TIMEOUTS * duty.policy.timeout_ms / 1_000)
            raise InjectedError("injected: the agent hung")
        if kind in {"slow", "late"}:
            began(fault=kind)
            timeout = duty.policy.timeout_ms / 1_000
            seconds = seconds_of(injection, self._chance, timeout=timeout)
            await (asyncio.sleep(seconds) if kind == "slow" else _sleep_on(timeout + seconds))
            return await self._inner.call(job, unheard)
        if kind == "duplicate":
            began(fault=kind)
            return await self._twice(job)
        answer = await self._inner.call(job, lambda **_: began(fault=kind))
        return garble(kind, answer, job, duty, self._rules.limits, self._chance.stream("garble", injection.name))

    async def _twice(self, job: Job) -> Any:
        """Call the agent twice, as a transport that repeats itself does; the first answer counts."""
        (answer, error), _ = [await _outcome_of(self._inner, job) for _ in range(2)]
        if error is not None:
            raise error
        return answer

    def _declared(self, job: Job) -> str:
        plan = self._grown.of(job).plan
        return plan.declared_id[plan.steps[plan.number_of(job.step)].id]


async def _outcome_of(adapter: Adapter, job: Job) -> tuple[Any, BaseException | None]:
    """The answer of a call, or what it raised; in this very task, since another one couldn't keep a SystemExit."""
    try:
        return await adapter.call(job, unheard), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again, or of the call that doesn't count
        return None, error


async def _sleep_on(seconds: float) -> None:
    """Sleep that long, however often the engine cancels it; at the end of the loop it ends."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    for left in range(CANCELLATIONS_IGNORED, -1, -1):
        try:
            await asyncio.sleep(max(0.0, end - loop.time()))
        except asyncio.CancelledError:
            if not left:
                raise
        else:
            return
