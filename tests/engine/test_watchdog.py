"""An agent that blocks the loop is named while it does; whoever else blocks it isn't taken for an agent."""

import asyncio
import logging
import threading
import time

import pytest

import interlock as il
from interlock.agents.function import FunctionAdapter
from interlock.engine.engine import Engine
from interlock.journal.memory import MemoryJournal

from .stage import fan


class Heard(logging.Handler):
    """What is logged, and when."""

    def __init__(self):
        super().__init__()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record):
        self.lines.append((time.monotonic(), record.getMessage()))


@pytest.fixture
def heard():
    handler = Heard()
    logging.getLogger("interlock").addHandler(handler)
    yield handler
    logging.getLogger("interlock").removeHandler(handler)


def run(function, *observers):
    async def main():
        async with Engine(fan(1), {"ann": FunctionAdapter(function)}, MemoryJournal(), observers=observers) as engine:
            ended = await engine.run({})
            return ended, engine._watchdog.blocked

    return asyncio.run(main())


def test_an_agent_that_blocks_the_loop_is_named_within_a_second(heard):
    began = []

    async def rude(job):
        began.append(time.monotonic())
        time.sleep(1.2)  # noqa: ASYNC251 - the point of the test
        return {"out.s0": 1}

    ended, blocked = run(rude)
    assert ended.status == "succeeded"
    assert blocked == {"ann": 1}
    [(at, line)] = heard.lines
    assert at - began[0] < 1
    assert line.startswith("agent ann has blocked the event loop for 0.")
    assert "(step s0)" in line
    assert "isolation: process" in line


def test_an_agent_that_waits_is_not_named(heard):
    async def polite(job):
        await asyncio.sleep(0.9)
        return {"out.s0": 1}

    _, blocked = run(polite)
    assert (blocked, heard.lines) == ({}, [])


def test_an_agent_is_not_blamed_for_an_observer(heard):
    async def quick(job):
        return {"out.s0": 1}

    def slow(_run_id, events):
        if len(events) > 1 and "AttemptCommitted" in str(events):
            time.sleep(0.9)

    _, blocked = run(quick, slow)
    assert blocked == {}
    [(_, line)] = heard.lines
    assert "not by an agent's own code" in line


def test_it_ends_with_the_engine():
    async def quick(job):
        return {"out.s0": il.DELETE}

    run(quick)
    assert "interlock-watchdog" not in {thread.name for thread in threading.enumerate()}
