"""What every adapter promises. One passes by a subclass of `AdapterContract` that says how to make it.

class TestOfAutogen(AdapterContract):
    lane = Lane("autogen", make)

`make(server, model, stream=False)` returns an adapter for an agent that reads the ticket, the instructions and the
feedback of its job and answers with a category and a priority, both free text, for `ticket.category` and
`ticket.priority`. It is to ask `server.url` with `server.key` for `model`, which says how the server behaves. An agent
behind an address or a command asks `server.agent_url(model)`.

What an adapter can't do by its nature is named in `cannot`, with the reason. Times are held against the time that was
asked for, and the best of several tries counts, so that a busy machine fails nothing.
"""

import asyncio
import functools
import gc
import io
import json
import logging
import math
import os
import re
import statistics
import time
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import interlock as il
from interlock.core.values import encode
from interlock.engine.tasks import STUBBORN_SECONDS
from interlock.errors import (
    AgentError,
    AgentRefused,
    BadRequest,
    ContextTooLong,
    Overloaded,
    RateLimited,
    ValueRefused,
    describe,
)
from interlock.ports import Adapter

from .footprint import Footprint, memory_of
from .model_answers import ANSWER, ECHO_FROM, ECHO_TO
from .model_behaviours import RETRY_AFTER_SECONDS, Behaviour, named
from .model_server import ModelServer
from .scenes import children, job, until

WRITES = {f"ticket.{key}": value for key, value in ANSWER.items()}
MARK = re.compile(rb"call-\d{5}-end")

CALLS_AT_ONCE = 50
TIMEOUT_SECONDS = 1.0
TIMEOUT_FACTOR = 1.1
# What a slow machine may add to the time, whatever was asked for.
TIMEOUT_FLOOR_SECONDS = 0.25
TRIES = 3
END_SECONDS_MAX = 20.0
# How long what must stop may go on before it counts as never stopping.
PATIENCE_SECONDS = 5.0
STALL_SECONDS_MAX = 0.05
STALL_ROUNDS, STALL_CALLS = 3, 5
REQUESTS_MAX = 30
# An answer has come after fewer turns of the loop, and a cancellation may hurt in a single one of them.
TURNS = 50
LEAK_CALLS, LEAK_AT_ONCE, LEAK_BYTES_PER_CALL_MAX = 1_000, 10, 256
LEAK_RESIDENT_BYTES_MAX = 24 << 20
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


def promise(title: str) -> Callable[[Any], Any]:
    """A test at a server of its own, as `self.bench`; what comes of it is noted under the title."""

    def of(test: Any) -> Any:
        @functools.wraps(test)
        def run(self: "AdapterContract", *args: Any, **kwargs: Any) -> None:
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


def either_way(test: Any) -> Any:
    """Once with a whole answer, once with a streamed one."""
    return pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])(test)


def must_stream(lane: Lane, stream: bool) -> None:  # noqa: FBT001 - as the parameter of a test comes
    if stream and not lane.streams:
        pytest.skip("it doesn't stream")


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


def resident(pids: set[int]) -> int:
    return sum(map(memory_of, {os.getpid(), *pids}))


ERRORS = {
    "limited": (RateLimited, True),
    "limited-without-end": (RateLimited, True),
    "broken": (Overloaded, True),
    "unavailable": (Overloaded, True),
    "overloaded": (Overloaded, True),
    "bad-request": (BadRequest, False),
    "too-long": (ContextTooLong, False),
    "unauthorised": (AgentError, False),
    "refusal": (AgentRefused, False),
    "filtered": (AgentRefused, False),
    "garbage": (AgentError, True),
    "truncated": (AgentError, True),
    "cut": (AgentError, True),
    "empty": (AgentError, True),
    "unoffered": (AgentError, True),
}
HANGING = ["silent", "hung", "midway", "endless"]
# No backslash and no quote, which the server could not tell from escapes.
UNICODE = "naïve Žluťoučký 🙂 👩‍👩‍👧‍👦 مرحبا \u202eשלום\u202c 漢字 e\u0301 \x00\x01\x7f\u2028\ufeff tab\tline\nend"


class AdapterContract:
    """The promises. A subclass sets `lane`."""

    lane: Lane
    bench: Bench

    # --- good answers ---

    @either_way
    @promise("answers with its writes")
    async def test_a_good_answer_is_a_reply_with_its_writes(self, stream):
        must_stream(self.lane, stream)
        async with self.bench.adapter("normal", stream=stream) as asked:
            assert (await asked.call()).writes == WRITES

    @promise("tells the model everything")
    async def test_the_model_is_told_of_the_ticket_the_instructions_and_the_feedback(self):
        mark, instructions, feedback = (self.bench.mark() for _ in range(3))
        async with self.bench.adapter("normal") as asked:
            await asked.call(mark=mark, instructions=f"Sort {instructions}", feedback=(f"too vague {feedback}",))
        request = self.bench.server.requests[0]
        assert [request.saw(one) for one in (mark, instructions, feedback)] == [True] * 3

    @either_way
    @promise("usage is each call's own")
    async def test_under_many_calls_at_once_each_reports_its_own_usage(self, stream):
        must_stream(self.lane, stream)
        marks = [self.bench.mark() for _ in range(CALLS_AT_ONCE)]
        async with self.bench.adapter("slow-0.05", stream=stream) as asked:
            replies = await asyncio.gather(*(asked.call(mark=mark) for mark in marks))
        for mark, reply in zip(marks, replies, strict=True):
            assert reply.writes == WRITES
            if self.lane.usage:
                self.bench.accounts_for(reply.usage, mark)
            else:
                self.bench.counted(mark)
                assert reply.usage is None, "usage that the adapter can't know"
        self.bench.figures["calls"] = len(replies)
        self.bench.figures["input_tokens"] = sum(self.bench.counted(mark).input_tokens for mark in marks)

    @promise("usage of refused answers")
    @pytest.mark.parametrize("model", ["refusal", "filtered", "empty"])
    async def test_an_answer_that_is_refused_was_still_paid_for(self, model):
        if not (self.lane.usage and self.lane.usage_of_errors):
            pytest.skip("it can't tell")
        mark = self.bench.mark()
        async with self.bench.adapter(model) as asked:
            error = await asked.fails(mark=mark)
        self.bench.accounts_for(error.usage, mark)

    @either_way
    @promise("Unicode comes back unchanged")
    async def test_any_unicode_comes_back_as_it_was(self, stream):
        must_stream(self.lane, stream)
        async with self.bench.adapter("echo", stream=stream) as asked:
            reply = await asked.call(f"{ECHO_FROM}{UNICODE}{ECHO_TO}")
        assert reply.writes["ticket.category"] == UNICODE

    @promise("a lone surrogate is refused")
    async def test_text_that_is_not_unicode_is_refused(self):
        async with self.bench.adapter("surrogate") as asked:
            reply = await asked.outcome()
        if isinstance(reply, il.Reply):
            assert _is_refused(reply.writes), f"what is not Unicode became something else: {reply.writes!a}"

    @promise("1 MB of input")
    async def test_a_ticket_of_a_megabyte_reaches_the_model_whole(self):
        marks = [self.bench.mark() for _ in range(2)]
        async with self.bench.adapter("normal") as asked:
            assert (await asked.call("é" * 500_000 + marks[1], mark=marks[0])).writes == WRITES
        [request] = self.bench.server.of(marks[0])
        text = json.dumps(request.body, ensure_ascii=False).replace(r"\\u00e9", "é")
        assert (text.count("é"), request.saw(marks[1])) == (500_000, True)

    # --- bad answers ---

    @promise("errors are told apart")
    @pytest.mark.parametrize("model", ERRORS)
    async def test_what_goes_wrong_is_an_error_that_says_whether_to_try_again(self, model):
        kind, retryable = ERRORS[model]
        async with self.bench.adapter(f"first-{model}", model) as asked:
            mark = self.bench.mark()
            error = await asked.fails(mark=mark)
            assert isinstance(error, kind), f"{type(error).__name__}, not {kind.__name__}: {error}"
            assert isinstance(error, ContextTooLong) == (kind is ContextTooLong)
            assert error.retryable == retryable, f"{type(error).__name__}.retryable: {error}"
            if kind is RateLimited:
                expected = RETRY_AFTER_SECONDS if model == "limited" else None
                assert error.retry_after == expected
            requests = len(self.bench.server.of(mark))
            assert requests <= REQUESTS_MAX, f"{requests} requests for one answer"
            if named(model).status != 200 or model == "cut":
                assert requests == 1, f"{requests} requests: only the engine asks again"
            self.bench.server.behave(f"first-{model}", "normal")
            outcome = await asked.outcome()
            assert isinstance(outcome, il.Reply), f"it never recovered: {outcome}"

    @promise("a broken stream is an error")
    @pytest.mark.parametrize("model", ["garbage", "cut", "truncated", "refusal", "filtered", "empty", "limited"])
    async def test_the_same_goes_for_a_stream(self, model):
        must_stream(self.lane, True)
        kind, retryable = ERRORS[model]
        async with self.bench.adapter(model, stream=True) as asked:
            error = await asked.fails()
        assert (isinstance(error, kind), error.retryable) == (True, retryable), repr(error)

    @promise("made-up answers do no harm")
    @pytest.mark.parametrize("model", ["prose", "extra", "mistyped"])
    async def test_what_the_model_makes_up_writes_nothing_else(self, model):
        async with self.bench.adapter(model) as asked:
            outcome = await asked.outcome()
        if isinstance(outcome, AgentError):
            assert outcome.retryable
        else:
            assert set(outcome.writes) <= set(WRITES)
            assert model == "mistyped" or outcome.writes == WRITES

    @promise("the API key stays secret")
    @pytest.mark.parametrize("model", ["normal", *ERRORS])
    async def test_the_key_is_in_no_error_no_log_and_no_reply(self, model):
        key = self.bench.server.key
        with overheard() as heard:
            async with self.bench.adapter(model) as asked:
                outcome = await asked.outcome()
        request = self.bench.server.requests[0]
        assert any(key in value for value in request.headers.values()), "the lane doesn't use server.key"
        told = {"repr": repr(outcome), "log": heard()}
        if isinstance(outcome, AgentError):
            told |= {"str": str(outcome), "description": describe(outcome), "fields": repr(vars(outcome))}
            told["traceback"] = "".join(traceback.format_exception(outcome))
        places = ", ".join(where for where, text in told.items() if key in text)
        assert not places, f"the key is in {places}"

    # --- its end ---

    @either_way
    @promise("stops when cancelled")
    async def test_a_call_that_is_cancelled_stops_in_time(self, stream):
        must_stream(self.lane, stream)
        await self.bench.warm_up()
        tries: list[tuple[float, float]] = []
        async with self.bench.adapter("midway" if stream else "silent", stream=stream) as asked:
            while len(tries) < TRIES:
                tries.append(await asked.stopped())
                if _in_time(tries[-1]):
                    break
        waited, took = min(tries, key=lambda one: one[1] - one[0])
        self.bench.figures |= {"timeout_s": round(waited, 3), "stopped_s": round(took, 3)}
        assert any(map(_in_time, tries)), f"cancelled after {waited:.2f} s, its work stopped after {took:.2f} s"

    @promise("a cancellation leaves nothing behind")
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("model", HANGING)
    async def test_wherever_it_is_cancelled_nothing_stays_behind(self, model, stream):
        must_stream(self.lane, stream)
        await self.bench.warm_up()
        before = await Footprint.settled()
        async with self.bench.adapter(model, stream=stream) as asked:
            mark = self.bench.mark()
            async with asked.under_way(mark=mark) as task:
                request = await self.bench.server.asked(mark)
            assert task.cancelled(), f"it ended by itself: {_told(task)}"
            await self.bench.server.closed(request, PATIENCE_SECONDS)
        await before.returns(PATIENCE_SECONDS)

    @promise("a cancellation leaves nothing behind")
    async def test_cancelled_while_it_still_sends_nothing_stays_behind(self):
        await self.bench.warm_up()
        before, connections = await Footprint.settled(), self.bench.server.connections
        self.bench.server.read_bodies(yes=False)
        async with self.bench.adapter("normal") as asked:
            async with asked.under_way(text="x" * 1_000_000) as task:
                await until(lambda: self.bench.server.connections > connections, END_SECONDS_MAX)
            assert task.cancelled(), f"it ended by itself: {_told(task)}"
        self.bench.server.read_bodies(yes=True)
        await before.returns(PATIENCE_SECONDS)

    @promise("a cancellation leaves nothing behind")
    @pytest.mark.parametrize("turns", [0, 1, 5, 20])
    async def test_cancelled_twice_nothing_stays_behind(self, turns):
        await self.bench.warm_up()
        before = await Footprint.settled()
        async with self.bench.adapter("silent") as asked:
            mark = self.bench.mark()
            async with asked.under_way(mark=mark) as task:
                request = await self.bench.server.asked(mark)
                task.cancel()
                for _ in range(turns):
                    await asyncio.sleep(0)
            assert task.cancelled(), f"it ended by itself: {_told(task)}"
            await self.bench.server.closed(request, PATIENCE_SECONDS)
        await before.returns(PATIENCE_SECONDS)

    @promise("a cancellation leaves nothing behind")
    async def test_cancelled_after_any_turn_of_the_loop_nothing_stays_behind(self):
        await self.bench.warm_up()
        before = await Footprint.settled()
        async with self.bench.adapter("normal") as asked:
            for turns in range(TURNS):
                async with asked.under_way() as task:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                assert task.cancelled() or task.exception() is None, f"after {turns} turns: {_told(task)}"
            assert (await asked.call()).writes == WRITES
        await before.returns(PATIENCE_SECONDS)

    @promise("never blocks the loop")
    async def test_the_loop_is_never_held_up(self):
        await self.bench.warm_up()
        rounds: list[float] = []
        async with self.bench.adapter("slow-0.2") as asked:
            await asked.call()
            while len(rounds) < STALL_ROUNDS and min(rounds, default=math.inf) > STALL_SECONDS_MAX:
                stalls = [await longest_stall(asked.call()) for _ in range(STALL_CALLS)]
                rounds.append(statistics.median(stalls))
        self.bench.figures["stall_ms"] = round(min(rounds) * 1e3, 1)
        assert min(rounds) <= STALL_SECONDS_MAX, f"the loop stood still for {min(rounds) * 1e3:.0f} ms"

    @pytest.mark.thorough
    @pytest.mark.timeout(600)
    @promise("1,000 calls leak nothing")
    async def test_a_thousand_calls_leak_nothing(self):
        self.bench.server._kept = LEAK_AT_ONCE  # what the server keeps is no leak
        await self.bench.warm_up()
        before = await Footprint.settled()
        async with self.bench.adapter("normal") as asked:
            await _many(asked, LEAK_CALLS // 2)
            gc.collect()
            middle, resident_before = await Footprint.settled(), resident(children())
            tracemalloc.start()
            try:
                # What takes another's place is seen by both readings, and so is no growth.
                readings = [await _kept_after(asked, LEAK_CALLS // 4) for _ in range(2)]
            finally:
                tracemalloc.stop()
            kept = (readings[1] - readings[0]) / (LEAK_CALLS // 4)
            await middle.returns(PATIENCE_SECONDS)
            grown = resident(children()) - resident_before
            self.bench.figures |= {"kept_bytes_per_call": round(kept), "grown_mb": round(grown / 1e6, 1)}
            assert kept < LEAK_BYTES_PER_CALL_MAX, f"{kept:,.0f} bytes stay for every call"
            assert grown < LEAK_RESIDENT_BYTES_MAX, f"{grown / 1e6:.0f} MB more after {LEAK_CALLS // 2} calls"
            assert len(self.bench.server.wires) <= LEAK_AT_ONCE, "connections pile up"
        await before.returns(PATIENCE_SECONDS)


def _is_refused(writes: Mapping[str, Any]) -> bool:
    try:
        encode(dict(writes))
    except ValueRefused:
        return True
    return False


async def _many(asked: Asked, calls: int) -> None:
    """Calls, a few at once."""

    left = iter(range(calls))

    async def some() -> None:
        for _ in left:
            await asked.call()

    await asyncio.gather(*(some() for _ in range(LEAK_AT_ONCE)))


async def _kept_after(asked: Asked, calls: int) -> int:
    """The bytes allocated since the tracing began that are still held after more calls."""
    await _many(asked, calls)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _in_time(tried: tuple[float, float]) -> bool:
    waited, took = tried
    return took <= waited * TIMEOUT_FACTOR + TIMEOUT_FLOOR_SECONDS


def _told(task: asyncio.Task[Any]) -> str:
    return "cancelled" if task.cancelled() else repr(task.exception() or task.result())
