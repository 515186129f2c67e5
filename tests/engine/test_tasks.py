"""Work on many items at once: width, order of results, and how it ends early."""

import asyncio
import contextvars

import pytest

from interlock.engine import tasks
from tests import virtual


async def numbers(count):
    for number in range(count):
        yield number


def test_results_come_as_they_are_ready():
    async def main():
        async def after(number):
            await asyncio.sleep(3 - number)
            return number

        return [number async for number in tasks.each(numbers(3), after, width=3)]

    assert virtual.run(main()) == [2, 1, 0]


def test_at_most_width_at_once_and_never_less_while_there_is_more():
    async def main():
        at_once, most = 0, []

        async def work(_number):
            nonlocal at_once
            at_once += 1
            most.append(at_once)
            await asyncio.sleep(1)
            at_once -= 1

        assert [done async for done in tasks.each(numbers(10), work, width=3)] == [None] * 10
        return max(most), virtual.seconds()

    most, took = virtual.run(main())
    assert most == 3
    assert took == pytest.approx(4)


def test_the_first_error_cancels_the_rest_and_is_raised():
    async def main():
        cancelled = []

        async def work(number):
            try:
                await asyncio.sleep(number)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise
            if number == 1:
                raise LookupError("one")
            return number

        with pytest.raises(LookupError, match="one"):
            async for _ in tasks.each(numbers(4), work, width=4):
                pass
        assert sorted(cancelled) == [2, 3]

    virtual.run(main())


def test_closing_the_iterator_cancels_what_is_under_way_and_waits_for_it():
    async def main():
        ended = []

        async def work(number):
            try:
                await asyncio.sleep(number)
            finally:
                ended.append(number)

        results = tasks.each(numbers(3), work, width=3)
        await anext(results)
        await results.aclose()
        assert sorted(ended) == [0, 1, 2]

    virtual.run(main())


def test_an_error_of_the_source_cancels_what_is_under_way():
    async def broken():
        yield 1
        raise LookupError("the source")

    async def main():
        with pytest.raises(LookupError, match="the source"):
            async for _ in tasks.each(broken(), asyncio.sleep, width=3):
                pass
        assert len(asyncio.all_tasks()) == 1

    virtual.run(main())


def test_no_items_is_no_trouble():
    async def main():
        return [item async for item in tasks.each(numbers(0), asyncio.sleep, width=1)]

    assert virtual.run(main()) == []


def test_a_task_can_be_given_a_context_of_its_own():
    name = contextvars.ContextVar("name", default="nobody")

    async def main():
        empty = contextvars.copy_context()
        name.set("somebody")

        async def whose():
            return name.get()

        return await tasks.spawn(whose(), empty), await tasks.spawn(whose())

    assert virtual.run(main()) == ("nobody", "somebody")
