"""Work on many items at once: width, order of results, and how it ends early."""

import asyncio
import contextvars
import logging
import signal
import sys
import threading

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


def test_what_ends_after_it_was_left_behind_is_forgotten():
    async def main():
        release = asyncio.Event()

        async def stubborn():
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        task = tasks.spawn(stubborn())
        await virtual.settle()
        task.cancel()
        await tasks.end_or_leave([task])
        left = task in tasks.LEFT_BEHIND, task in asyncio.all_tasks()
        release.set()
        await task
        await virtual.settle()
        return left, task in tasks.LEFT_BEHIND

    assert virtual.run(main()) == ((True, False), False)


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


# --- run_main: what agents leave in the loop does not end the program ---


async def leave(error):
    raise error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_task_that_was_left_behind_ends_no_program(error, caplog):
    async def main():
        left = [asyncio.create_task(leave(error)) for _ in range(2)]
        await asyncio.sleep(0.01)
        return [task.exception() for task in left]

    assert tasks.run_main(main()) == [error] * 2
    said = [record.message for record in caplog.records if record.name == "interlock"]
    assert len(said) == 2
    assert said[0].startswith(f"a task that an agent has left tried to end the program: {type(error).__name__}")
    assert "(test_tasks.py:" in said[0]


def test_neither_does_a_callback_a_stopped_loop_or_a_cancelled_task(caplog):
    async def stubborn():
        try:
            await asyncio.sleep(60)
        finally:
            sys.exit("I go when I like")

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(sys.exit, 3)
        loop.call_soon(loop.stop)
        left.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0.01)
        return "done"

    left = []
    assert tasks.run_main(main()) == "done"
    assert isinstance(left.pop().exception(), SystemExit)
    assert [record.levelno for record in caplog.records if record.name == "interlock"] == [logging.ERROR] * 2


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), LookupError("no")])
def test_what_the_work_itself_raises_is_raised(error, caplog):
    with pytest.raises(type(error)):
        tasks.run_main(leave(error))
    assert not [record for record in caplog.records if record.name == "interlock"]


def test_ctrl_c_cancels_the_work():
    async def main():
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("in good order")

    ended = []
    with pytest.raises(KeyboardInterrupt):
        tasks.run_main(main())
    assert ended == ["in good order"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_is_raised_wherever_the_program_is():
    async def left():
        await asyncio.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    async def main():
        task = asyncio.create_task(left())
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)
        return task

    with pytest.raises(KeyboardInterrupt):
        tasks.run_main(main())


def test_a_handler_of_the_users_own_is_left_alone():
    def handler(*_):
        raise KeyboardInterrupt

    async def main():
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            tasks.run_main(main())
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_signal_is_touched_in_another_thread():
    async def main():
        task = asyncio.create_task(leave(KeyboardInterrupt()))
        await asyncio.sleep(0.01)
        return repr(task.exception())

    found = []
    thread = threading.Thread(target=lambda: found.append(tasks.run_main(main())))
    thread.start()
    thread.join()
    assert found == ["KeyboardInterrupt()"]
