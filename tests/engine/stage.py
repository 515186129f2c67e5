"""What the tests of the engine play with: small teams, agents written as functions, journals that fail on demand."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import interlock as il
from interlock.agents.function import FunctionAdapter
from interlock.core.events import AnyEvent, AttemptStarted
from interlock.engine.engine import Engine
from interlock.errors import JournalError
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual

Function = Callable[[il.Job], Awaitable[Any]]


def scope() -> il.Scope:
    return il.Scope(["act"], ["*"], ["*"])


def step(id_: str, *needs: str, agent: str = "ann", **given: Any) -> il.Step:
    """A step that may write `out.ID`."""
    given.setdefault("writes", [f"out.{id_}"])
    return il.Step(id_, agent=agent, action="act", needs=list(needs), **given)


def team(*steps: il.Step, agents: Sequence[il.Agent] = (), reducers: Any = None, **ann: Any) -> il.Team:
    """A team of `ann`, who is given like an Agent, and others."""
    ann.setdefault("retries", 0)
    return il.Team([il.Agent("ann", scope=scope(), **ann), *agents], il.Plan(list(steps)), reducers=reducers)


def chain(length: int, **ann: Any) -> il.Team:
    return team(step("s0"), *(step(f"s{n}", f"s{n - 1}") for n in range(1, length)), **ann)


def fan(width: int, **ann: Any) -> il.Team:
    return team(*(step(f"s{n}") for n in range(width)), **ann)


def engine(of: il.Team, function: Function | None = None, *, journal: Any = None, **given: Any) -> Engine:
    """An engine on virtual time. `function` is what every agent does that `adapters` doesn't name."""
    adapters = given.pop("adapters", {})
    every = {name: adapters.get(name) or FunctionAdapter(function or done) for name in of.agents}
    given.setdefault("now_us", virtual.now_us)
    given.setdefault("watch", False)
    return Engine(of, every, journal or MemoryJournal(), **given)


async def done(job: il.Job) -> dict[str, Any]:
    return {f"out.{job.step}": "done"}


class Ann:
    """An agent that notes its calls. Steps take the seconds given; `faults` are raised, first come, first served."""

    def __init__(self, **seconds: float) -> None:
        self._seconds = seconds
        self.faults: dict[str, list[BaseException]] = {}
        self.calls: list[str] = []
        self.keys: list[str] = []
        self.jobs: list[il.Job] = []
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.in_flight = self.most_in_flight = 0

    async def __call__(self, job: il.Job) -> Any:
        self.calls.append(job.step)
        self.keys.append(job.idempotency_key)
        self.jobs.append(job)
        self.began[job.step] = virtual.seconds()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._seconds.get(job.step, self._seconds.get("every", 0)))
        finally:
            self.in_flight -= 1
        self.ended[job.step] = virtual.seconds()
        if self.faults.get(job.step):
            raise self.faults[job.step].pop(0)
        return {f"out.{job.step}": "done"}


class SlowJournal(MemoryJournal):
    """Durable only after a while, like a disk. `fault` is what appends fail with from now on."""

    def __init__(self, store: MemoryStore | None = None, seconds: float = 0.01) -> None:
        super().__init__(store)
        self._seconds = seconds
        self.fault: JournalError | None = None
        self.durable: list[AnyEvent] = []
        self.appends: list[list[str]] = []

    def append(self, run_id: str, expected_seq: int, events: Sequence[AnyEvent], **rest: Any) -> Any:
        events, rest["also"] = list(events), None
        self.appends.append([kind(event) for event in events])
        later = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(
            self._seconds, self._write, later, self.fault, run_id, expected_seq, events, rest
        )
        return later

    def _write(self, later: Any, fault: Any, run_id: str, expected_seq: int, events: Any, rest: Any) -> None:
        if later.cancelled():
            return
        if fault is not None:
            later.set_exception(fault)
            return
        error = super().append(run_id, expected_seq, events, **rest).exception()
        if error is None:
            self.durable += events
            later.set_result(None)
        else:
            later.set_exception(error)


def kind(event: AnyEvent) -> str:
    """An event as one word or two."""
    name = type(event).__name__
    return f"{name} {event.step}" if hasattr(event, "step") else name


async def story(engine: Engine, run_id: str) -> list[str]:
    """The events of a run."""
    return [kind(event) for event in await engine.journal.load(run_id)]


async def started(engine: Engine, run_id: str) -> list[tuple[str, int]]:
    """The attempts of a run."""
    events = await engine.journal.load(run_id)
    return [(event.step, event.attempt) for event in events if isinstance(event, AttemptStarted)]


async def end(task: "asyncio.Task[Any]") -> BaseException | None:
    """Wait for a task that may fail; what it failed with."""
    with suppress(BaseException):
        await task
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def repeated(calls: Sequence[str]) -> list[str]:
    return [call for call, times in Counter(calls).items() if times > 1]
