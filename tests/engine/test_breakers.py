"""Breakers that a person moves, and what the log says of those that move by themselves."""

import asyncio
import logging

import pytest

import interlock as il
from interlock.engine.breakers import NAME_CHARS_MAX, REASON_CHARS_MAX
from interlock.errors import InputError
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual
from tests.engine.stage import Ann, engine, step, team

BREAKER = {"trip_after": 2, "cooldown": "30s", "half_open_calls": 1}


def lone(**ann):
    return team(step("a"), breaker=BREAKER, **ann)


async def gate(engine, name="/ann"):
    return dict(await engine.journal.gates())[name]


async def moves(engine):
    return [(moved.to, moved.reason, moved.by) for moved in (await gate(engine)).moved]


def test_an_opened_breaker_keeps_every_call_away_until_it_is_reset():
    async def main():
        ann, store = Ann(), MemoryStore()
        async with engine(lone(), journal=MemoryJournal(store)) as other:
            await other.open_breaker("ann", reason="bad prompt", by="Ada")
        async with engine(lone(), ann, journal=MemoryJournal(store)) as running:
            task = asyncio.create_task(running.run({}))
            await asyncio.sleep(3_600)
            assert (ann.calls, task.done()) == ([], False)
            await running.reset_breaker("ann", reason="prompt fixed", by="Bob")
            assert (await task).status == "succeeded"
            assert ann.calls == ["a"]
            assert await moves(running) == [("closed", "prompt fixed", "Bob"), ("open", "bad prompt", "Ada")]

    virtual.run(main())


def test_what_calls_have_come_to_counts_before_a_breaker_is_moved():
    async def main():
        ann = Ann()
        ann.faults["a"] = [ValueError("no"), ValueError("no")]
        async with engine(lone(), ann) as running:
            await running.run({})
            await running.run({})
            assert len((await gate(running)).outcomes) == 1  # the first was folded when the second asked
            await running.reset_breaker("ann", reason="it was the network")
            at = await gate(running)
            assert (at.gate.breaker.state, list(at.outcomes)) == ("closed", [])
            [last, first] = await moves(running)
            assert last == ("closed", "it was the network", "program")
            assert first[0] == "open"
            assert first[1].startswith("2 bad outputs in a row")

    virtual.run(main())


def test_one_that_is_open_for_a_while_can_be_held_open():
    async def main():
        ann = Ann()
        ann.faults["a"] = [ValueError("no"), ValueError("no")]
        async with engine(lone(), ann) as running:
            await running.run({})
            await running.run({})
            await running.open_breaker("ann", reason="look first")
            assert (await gate(running)).gate.breaker.until_us == 0
            assert [to for to, _, _ in await moves(running)] == ["open", "open"]

    virtual.run(main())


def test_what_is_refused():
    async def main():
        other = il.Agent("ben", scope=il.Scope(["act"]))
        async with engine(team(step("a"), agents=[other], breaker=BREAKER)) as running:
            refused = [
                (running.reset_breaker, "ann", "x", "closed already"),
                (running.open_breaker, "anne", "x", "no agent anne in this team; did you mean ann"),
                (running.open_breaker, "ben", "x", "agent ben has no breaker"),
                (running.open_breaker, "ann", " ", "a reason is missing"),
                (running.open_breaker, "ann", "x" * (REASON_CHARS_MAX + 1), "a reason is longer than"),
            ]
            for move, agent, reason, message in refused:
                with pytest.raises(InputError, match=message):
                    await move(agent, reason=reason)
            for by in ("", "x" * (NAME_CHARS_MAX + 1)):
                with pytest.raises(InputError, match="who does it is"):
                    await running.open_breaker("ann", reason="x", by=by)
            await running.open_breaker("ann", reason="bad prompt")
            with pytest.raises(InputError, match="was opened by hand before: bad prompt"):
                await running.open_breaker("ann", reason="x")

    virtual.run(main())


def test_the_log_tells_when_calls_are_kept_away_and_when_they_are_made_again(caplog):
    async def main():
        ann = Ann()
        ann.faults["a"] = [ValueError("no"), ValueError("no\x1b[2J")]
        async with engine(lone(), ann) as running:
            for _ in range(4):
                await running.run({})

    with caplog.at_level(logging.WARNING, "interlock"):
        virtual.run(main())
    opened, closed = [record.getMessage() for record in caplog.records if "breaker" in record.getMessage()]
    assert opened.startswith("agent ann is called no more: its breaker has opened: 2 bad outputs in a row")
    assert "\x1b" not in opened
    assert closed == "agent ann is called again: its breaker has closed: the probe was good"
