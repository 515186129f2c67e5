"""An adapter under test: how it is made, the server that it asks, how it is called, and what is noted of it."""

import asyncio
import functools
import io
import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

import interlock as il
from interlock.engine.tasks import STUBBORN_SECONDS
from interlock.errors import AgentError
from interlock.ports import Adapter

from .model_answers import ANSWER
from .model_behaviours import Behaviour
from .model_server import ModelServer
from .scenes import job

WRITES = {f"ticket.{key}": value for key, value in ANSWER.items()}
MARK = re.compile(rb"call-\d{5}-end")

# When a call that is to stop is cancelled.
TIMEOUT_SECONDS = 1.0
END_SECONDS_MAX = 20.0
# How long what must stop may go on before it counts as never stopping.
PATIENCE_SECONDS = 5.0
ALL_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "requests", "model")

# A file that the results are added to, one JSON object a line; `contract_table.py` makes a table of it.
RESULTS = "CONTRACT_RESULTS"


@dataclass(frozen=True)
class Lane:
    """One adapter, as its tests make it.

    stops: what ends a call's work, the end of its socket or of its process. usage: the fields of Usage that it reports,
    none where it can't know; usage_of_errors: whether a refused answer bears its usage too. streams: whether `make`
    takes `stream=True`. cannot: names of tests it can't pass by its nature, and why.
    """

    name: str
    make: Callable[..., Adapter]
    stops: str = "socket"
    usage: tuple[str, ...] = ALL_USAGE
    usage_of_errors: bool = True
    streams: bool = False
    cannot: Mapping[str, str] = field(default_factory=dict)


class Bench:
    """A lane at its server. figures: what was measured."""

    def __init__(self, lane: Lane, server: ModelServer) -> None:
        self.lane, self.server = lane, server
        self.figures: dict[str, float] = {}
        self._calls = 0

    @asynccontextmanager
    async def adapter(self, model: str, *behaviours: Behaviour | str, stream: bool = False) -> AsyncIterator["Asked"]:
        """An adapter whose model behaves as its name says, or like this, one after the other."""
        if behaviours:
            self.server.behave(model, *behaviours)
        made = self.lane.make(self.server, model, **({"stream": True} if stream else {}))
        try:
            yield Asked(self, made)
        finally:
            async with asyncio.timeout(END_SECONDS_MAX):
                await made.close()

    async def warm_up(self) -> None:
        """Let whatever is made once and for all be made: imports, pools, caches."""
        async with self.adapter("warm-up") as asked:
            await asked.call()

    def mark(self) -> str:
        """Tells one call from all others."""
        self._calls += 1
        return f"call-{self._calls:05}-end"

    def counted(self, mark: str) -> il.Usage:
        """What the server counted for a call; nobody else's marks may stand in its requests."""
        requests = self.server.of(mark)
        assert requests, "the call never reached the model"
        for request in requests:
            strangers = {found.decode() for found in MARK.findall(request.raw)} - {mark}
            assert not strangers, f"{mark} was told of another call: {sorted(strangers)}"
        counts = [request.usage for request in requests if request.usage is not None]
        return il.Usage(
            sum(count.input_tokens for count in counts),
            sum(count.output_tokens for count in counts),
            cached_tokens=sum(count.cached_tokens for count in counts),
            requests=len(counts),
            model=requests[0].model,
        )

    def accounts_for(self, usage: Any, mark: str) -> None:
        """The usage is what the server counted, in every field that the lane reports."""
        assert isinstance(usage, il.Usage), f"usage is {usage!r}, not a Usage"
        counted = self.counted(mark)
        told = {name: getattr(usage, name) for name in self.lane.usage}
        assert told == {name: getattr(counted, name) for name in self.lane.usage}, f"of {mark}"


class Asked:
    """An adapter that is called: as the engine does it, in no more slots than it has."""

    def __init__(self, bench: Bench, adapter: Adapter) -> None:
        self.bench, self.adapter = bench, adapter
        self._slots = asyncio.Semaphore(adapter.slots or 1_000)

    async def call(self, text: str = "I was charged twice.", *, mark: str = "", began: Any = None, **given: Any) -> Any:
        """Its answer to a ticket."""
        view = {"ticket": {"text": f"{mark or self.bench.mark()} {text}"}}
        told = {"instructions": "Sort the ticket: name its category and its priority.", "writes": tuple(WRITES)} | given
        begun: list[float] = [] if began is None else began
        async with self._slots:
            try:
                async with asyncio.timeout(END_SECONDS_MAX):
                    answer = await self.adapter.call(job(view=view, **told), lambda **_: begun.append(time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"no answer and no error within {END_SECONDS_MAX:g} s") from None
        assert len(begun) == 1, f"began was called {len(begun)} times"
        assert isinstance(answer, il.Reply), f"answered a {type(answer).__name__}, not a Reply"
        return answer

    async def outcome(self, **given: Any) -> Any:
        """A reply, or the AgentError that came instead."""
        try:
            return await self.call(**given)
        except AgentError as error:
            return error
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"raised a {type(error).__name__}, which is no AgentError: {error}") from error

    async def fails(self, **given: Any) -> AgentError:
        """The error of a call that can't go well."""
        outcome = await self.outcome(**given)
        assert isinstance(outcome, AgentError), f"answered, as if nothing was wrong: {outcome}"
        return outcome

    @asynccontextmanager
    async def under_way(self, *, mark: str = "", **given: Any) -> AsyncIterator[asyncio.Task[Any]]:
        """A call that goes on meanwhile; whatever it hangs on is cut in the end."""
        task = asyncio.get_running_loop().create_task(self.call(mark=mark, **given))
        try:
            yield task
        finally:
            await self.ended(task)

    async def ended(self, task: asyncio.Task[Any]) -> None:
        """Cancel a call and wait for its end; once more where it goes on, as the engine does."""
        task.cancel()
        _, going_on = await asyncio.wait({task}, timeout=STUBBORN_SECONDS)
        if going_on:
            task.cancel()
            _, going_on = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if going_on:
            self.bench.server.hang_up()
            await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        assert not going_on, "the call went on after it was cancelled"
        if not task.cancelled():
            task.exception()

    async def stopped(self, *, text: str = "Please wait.") -> tuple[float, float]:
        """Cancel a call after a while: when that was, and when its work had stopped, both in seconds from its begin."""
        began: list[float] = []
        mark = self.bench.mark()
        task = asyncio.get_running_loop().create_task(self.call(text, mark=mark, began=began))
        try:
            request = await self.bench.server.asked(mark)
            # A call that was slow to begin has as long from there.
            waited = max(TIMEOUT_SECONDS, request.at - began[0] + TIMEOUT_SECONDS / 2)
            await asyncio.sleep(began[0] + waited - time.monotonic())
            assert not task.done(), "the call ended by itself"
            task.cancel()
            closed = await self.bench.server.closed(request, PATIENCE_SECONDS)
            await self.ended(task)
            assert task.cancelled(), "the cancellation was swallowed"
            assert closed >= request.at + TIMEOUT_SECONDS / 4, "the connection was given up before the call was"
        finally:
            self.bench.server.hang_up()
            task.cancel()
            await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return waited, closed - began[0]


class OnBench(Protocol):
    """Tests of one lane."""

    lane: Lane
    bench: Bench


def promise(title: str) -> Callable[[Any], Any]:
    """A test at a server of its own, as `self.bench`; what comes of it is noted under the title."""

    def of(test: Any) -> Any:
        @functools.wraps(test)
        def run(self: OnBench, *args: Any, **kwargs: Any) -> None:
            lane, outcome = self.lane, "broken"
            case = "-".join(str(value) for value in (*args, *kwargs.values()))
            noted = {"lane": lane.name, "stops": lane.stops, "promise": title, "case": case}
            if reason := lane.cannot.get(test.__name__):
                _note({**noted, "outcome": "not applicable", "reason": reason})
                pytest.skip(reason)
            with ModelServer() as server:
                self.bench = Bench(lane, server)
                try:
                    _in_loop(self.bench, test(self, *args, **kwargs))
                    outcome = "kept"
                except pytest.skip.Exception as skipped:
                    outcome = "not applicable"
                    noted["reason"] = str(skipped)
                    raise
                finally:
                    _note({**noted, "outcome": outcome, **self.bench.figures})

        return run

    return of


def _in_loop(bench: Bench, test: Any) -> None:
    async def main() -> None:
        try:
            await test
        finally:
            bench.server.hang_up()

    asyncio.run(main())


def _note(result: dict[str, Any]) -> None:
    if path := os.environ.get(RESULTS):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


@contextmanager
def overheard() -> Iterator[Callable[[], str]]:
    """All that is logged, at any level, or printed meanwhile."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(heard), redirect_stderr(heard):
            yield heard.getvalue
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


async def longest_stall(work: Any) -> float:
    """How long the loop was held up at most while something was awaited, in seconds."""
    worst = 0.0

    async def beat() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before - 0.001)

    beating = asyncio.get_running_loop().create_task(beat())
    try:
        await asyncio.sleep(0.005)
        await work
        await asyncio.sleep(0.002)
    finally:
        beating.cancel()
        await asyncio.wait({beating})
    return worst
