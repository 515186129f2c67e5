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
import gc
import json
import math
import statistics
import traceback
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest

import interlock as il
from interlock.core.values import encode
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

from .bench import END_SECONDS_MAX, PATIENCE_SECONDS, WRITES, Asked, Bench, Lane, longest_stall, overheard, promise
from .footprint import Footprint, resident
from .model_answers import ECHO_FROM, ECHO_TO
from .model_behaviours import RETRY_AFTER_SECONDS, named
from .scenes import children, until

CALLS_AT_ONCE = 50
TIMEOUT_FACTOR = 1.1
# What a slow machine may add to the time, whatever was asked for.
TIMEOUT_FLOOR_SECONDS = 0.25
TRIES = 3
STALL_SECONDS_MAX = 0.05
STALL_ROUNDS, STALL_CALLS = 3, 5
REQUESTS_MAX = 30
# An answer has come after fewer turns of the loop, and a cancellation may hurt in a single one of them.
TURNS = 50
LEAK_CALLS, LEAK_AT_ONCE, LEAK_BYTES_PER_CALL_MAX = 1_000, 10, 256
LEAK_RESIDENT_BYTES_MAX = 24 << 20

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


def either_way(test: Any) -> Any:
    """Once with a whole answer, once with a streamed one."""
    return pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])(test)


def must_stream(lane: Lane, stream: bool) -> None:  # noqa: FBT001 - as the parameter of a test comes
    if stream and not lane.streams:
        pytest.skip("it doesn't stream")


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
