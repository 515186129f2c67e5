"""Agents that are functions in this process: in the loop, and in threads that nothing can stop."""

import asyncio
import threading

import pytest

from interlock.agents import function
from interlock.agents.function import FunctionAdapter, ThreadAdapter
from interlock.errors import AgentError
from tests.text import without_place

from .scenes import job, nothing, until


def call(adapter, given=None):
    return asyncio.run(adapter.call(given or job(), nothing))


# --- in the loop ---


def test_an_async_function_is_called_in_the_loop():
    async def agent(given):
        return {"thread": threading.get_ident(), "step": given.step}

    assert call(FunctionAdapter(agent)) == {"thread": threading.get_ident(), "step": "s0"}


def test_its_timeout_runs_from_the_call():
    told = []

    async def agent(given):
        told.append("called")

    asyncio.run(FunctionAdapter(agent).call(job(), lambda: told.append("began")))
    assert told == ["began", "called"]


# --- in threads ---


def test_a_function_is_called_in_a_thread_of_its_own():
    assert call(ThreadAdapter(lambda given: {"thread": threading.current_thread().name})) == {"thread": "agent-ann"}


def test_an_async_function_may_run_in_a_thread():
    async def agent(given):
        await asyncio.sleep(0)
        return {"thread": threading.current_thread().name}

    def wrapped(given):
        return agent(given)

    assert call(ThreadAdapter(agent)) == call(ThreadAdapter(wrapped)) == {"thread": "agent-ann"}


class Mute(BaseException):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ValueError("bad"), ValueError, "bad"),
        (AgentError("worse"), AgentError, "worse"),
        (StopIteration("early"), AgentError, "StopIteration: early"),
        (SystemExit(3), AgentError, "SystemExit: 3"),
        (KeyboardInterrupt(), AgentError, "KeyboardInterrupt"),
        (GeneratorExit(), AgentError, "GeneratorExit"),
        (asyncio.CancelledError(), AgentError, "CancelledError"),
        (TimeoutError(), TimeoutError, ""),
        (Mute(), AgentError, "Mute: (its text can't be read)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_it_raises_is_an_error(error, kind, told):
    def agent(given):
        raise error

    with pytest.raises(kind) as raised:
        call(ThreadAdapter(agent))
    assert (type(raised.value), without_place(str(raised.value))) == (kind, told)


class Stuck:
    """A function that hangs until it is let go."""

    def __init__(self):
        self.gate = threading.Event()
        self.began = threading.Semaphore(0)

    def __call__(self, given):
        self.began.release()
        self.gate.wait()
        return {"out.s0": 1}


async def abandon(adapter, stuck, count):
    for _ in range(count):
        task = asyncio.get_running_loop().create_task(adapter.call(job(), nothing))
        await until(lambda: stuck.began.acquire(blocking=False))
        task.cancel()
        await asyncio.wait([task])


def test_abandoned_threads_are_counted_and_past_a_limit_no_more_are_started(monkeypatch):
    monkeypatch.setattr(function, "ABANDONED_THREADS_MAX", 3)
    stuck = Stuck()
    adapter = ThreadAdapter(stuck)

    async def main():
        await abandon(adapter, stuck, 3)
        assert adapter.abandoned == 3
        with pytest.raises(AgentError, match="3 abandoned threads of ann still run"):
            await adapter.call(job(), nothing)
        stuck.gate.set()
        await until(lambda: adapter.abandoned == 0)
        return await adapter.call(job(), nothing)

    assert asyncio.run(main()) == {"out.s0": 1}


def test_a_thread_that_ends_as_it_is_given_up_is_not_abandoned():
    """Its answer is delivered, and the task is cancelled before it could see it."""

    async def main():
        adapter = ThreadAdapter(lambda given: {"out.s0": 1})
        task = asyncio.get_running_loop().create_task(adapter.call(job(), nothing))
        delivered = ThreadAdapter._deliver

        def deliver(*given):
            delivered(adapter, *given)
            task.cancel()

        adapter._deliver = deliver
        await asyncio.wait([task])
        assert task.cancelled()
        return adapter.abandoned

    assert asyncio.run(main()) == 0


def test_a_thread_that_outlives_its_loop_does_no_harm():
    stuck = Stuck()
    asyncio.run(abandon(ThreadAdapter(stuck), stuck, 1))
    [thread] = [thread for thread in threading.enumerate() if thread.name == "agent-ann"]
    stuck.gate.set()
    thread.join(5)
    assert not thread.is_alive()
