"""Virtual time: what happens when, in which order, and how it ends."""

import asyncio
import gc
import sys
from random import Random

import pytest

from interlock.errors import AgentRefused, BrokenPromise
from interlock.testing.simulation import loop as virtual_loop
from interlock.testing.simulation.loop import ROUNDS_AT_ONCE_MAX, START_US, Timeline, now_us, run

HOUR = 3_600


def seconds():
    return asyncio.get_running_loop().time()


@pytest.fixture
def timeline():
    return Timeline()


@pytest.fixture
def loop(timeline):
    return timeline.loop()


def never():
    return False


# --- time ---


def test_time_jumps():
    async def main():
        await asyncio.sleep(100 * 86_400)
        return seconds()

    assert run(main()) == 100 * 86_400


def test_time_stands_still_while_anything_is_ready():
    async def main():
        for _ in range(1_000):
            await asyncio.sleep(0)
        return seconds()

    assert run(main()) == 0.0


def test_the_wall_clock_goes_with_it():
    async def main():
        before = now_us()
        await asyncio.sleep(1.5)
        return before, now_us()

    assert run(main()) == (START_US, START_US + 1_500_000)


def test_timers_fire_in_the_order_of_their_time(timeline, loop):
    told = []
    for delay in (3.0, 1.0, 2.0):
        loop.call_later(delay, lambda delay=delay: told.append((delay, timeline.now)))
    assert not timeline.run(never)
    assert told == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_a_timer_of_the_past_fires_now(timeline, loop):
    told = []
    loop.call_later(5, lambda: loop.call_at(1, lambda: told.append(timeline.now)))
    loop.call_later(-5, lambda: told.append(timeline.now))
    timeline.run(never)
    assert told == [0.0, 5.0]


def test_a_cancelled_timer_takes_no_time(timeline, loop):
    told = []
    loop.call_later(1, told.append, "cancelled").cancel()
    loop.call_later(2, told.append, "fired").cancel()
    loop.call_soon(told.append, "cancelled").cancel()
    assert not timeline.run(never)
    assert (told, timeline.now) == ([], 0.0)
    assert loop.complaints == []


def test_a_timer_cancelled_by_its_twin_does_not_fire(timeline, loop):
    told = []
    twins = []
    twins += [loop.call_later(1, lambda: (told.append("first"), twins[1].cancel()))]
    twins += [loop.call_later(1, told.append, "second")]
    timeline.run(never)
    assert told == ["first"]


def test_it_stops_as_soon_as_it_is_done(timeline, loop):
    told = []
    loop.call_later(1, told.append, 1)
    loop.call_later(2, told.append, 2)
    assert timeline.run(lambda: told)
    assert (told, timeline.now) == ([1], 1.0)
    assert timeline.run(lambda: len(told) == 2)


def test_it_goes_no_further_than_it_may(timeline, loop):
    loop.call_later(10, print)
    assert not timeline.run(never, seconds_max=9)
    assert timeline.now == 0.0
    assert not timeline.run(never, seconds_max=10)
    assert timeline.now == 10.0


# --- order ---


def order(timeline, loops, at=1.0, each=3):
    """In which order things due at the same moment happen."""
    told = []
    for turn in range(each):
        for name, loop in enumerate(loops):
            loop.call_at(at, told.append, f"{name}{turn}")
    timeline.run(never)
    return told


def test_without_chance_simultaneous_things_go_in_the_order_of_creation(timeline):
    assert order(timeline, [timeline.loop()], each=5) == ["00", "01", "02", "03", "04"]
    assert order(timeline, [timeline.loop(), timeline.loop()], at=2.0, each=2) == ["00", "01", "10", "11"]


def test_the_seed_draws_the_order_of_simultaneous_things():
    def drawn(seed, loops=1):
        timeline = Timeline(Random(seed))
        return order(timeline, [timeline.loop() for _ in range(loops)])

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(50)}) == 6, "three timers of one loop have six orders"
    first_loops = {drawn(seed, loops=3)[0][0] for seed in range(50)}
    assert first_loops == {"0", "1", "2"}
    # A loop is one process: whatever the order, it runs what is due in it in one go.
    assert all([name[0] for name in drawn(seed, loops=2)] in ([*"000111"], [*"111000"]) for seed in range(50))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_called_soon_keeps_its_order_whatever_the_seed(seed):
    timeline = Timeline(Random(seed))
    loop, told = timeline.loop(), []
    for number in range(10):
        loop.call_soon(told.append, number)
    timeline.run(never)
    assert told == [*range(10)]


def test_what_becomes_ready_meanwhile_has_its_turn_in_the_next_round(timeline, loop):
    told = []
    loop.call_soon(lambda: (told.append("first"), loop.call_soon(told.append, "third")))
    loop.call_soon(told.append, "second")
    timeline.run(never)
    assert told == ["first", "second", "third"]


# --- several loops ---


def test_loops_on_one_timeline_do_not_wait_for_each_other(timeline):
    told = []

    async def work(name, pause):
        for _ in range(2):
            await asyncio.sleep(pause)
            told.append((name, seconds()))

    tasks = [timeline.loop().create_task(work(name, pause)) for name, pause in (("slow", HOUR), ("quick", 1))]
    assert timeline.run(lambda: all(task.done() for task in tasks))
    assert told == [("quick", 1.0), ("quick", 2.0), ("slow", 3_600.0), ("slow", 7_200.0)]


def test_each_loop_is_the_running_one_in_its_own_round(timeline):
    seen = []
    loops = [timeline.loop(), timeline.loop()]
    for loop in loops:
        loop.call_soon(lambda: seen.append(asyncio.get_running_loop()))
    timeline.run(never)
    assert seen == loops
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_one_loop_can_wake_another(timeline):
    one, other = timeline.loop(), timeline.loop()
    woken = other.create_future()

    async def wait():
        return await woken

    task = other.create_task(wait())
    one.call_later(3, lambda: other.call_soon_threadsafe(woken.set_result, "from one"))
    assert timeline.run(task.done)
    assert (task.result(), timeline.now) == ("from one", 3.0)


# --- ends ---


def test_a_halt_stops_in_the_middle_of_a_round(timeline, loop):
    told = []
    loop.call_soon(told.append, "before")
    loop.call_soon(loop.halt)
    loop.call_soon(told.append, "after")
    loop.call_later(1, told.append, "later")
    assert not timeline.run(never)
    assert (told, timeline.now) == (["before"], 0.0)


def test_time_goes_on_without_a_halted_loop(timeline, loop):
    told = []
    loop.call_later(1, loop.halt)
    loop.call_later(2, told.append, "dead")
    timeline.loop().call_later(3, told.append, "alive")
    assert timeline.run(lambda: told)
    assert (told, timeline.now) == (["alive"], 3.0)


def test_a_loop_halted_by_another_in_the_same_round_does_nothing(timeline):
    told = []
    killer, victim = timeline.loop(), timeline.loop()
    killer.call_soon(victim.halt)
    victim.call_soon(told.append, "alive")
    timeline.run(never)
    assert told == []


def test_a_burial_ends_all_tasks_and_runs_their_finally_blocks(timeline, loop):
    told = []

    async def work(name, pause):
        try:
            await asyncio.sleep(pause)
        finally:
            told.append(f"{name} unwound")

    async def parent():
        try:
            await asyncio.gather(*[work(name, HOUR) for name in ("a", "b")])
        finally:
            told.append("parent unwound")

    tasks = [loop.create_task(parent()), loop.create_task(work("c", HOUR))]
    timeline.run(lambda: timeline.now >= 1, seconds_max=1)
    loop.halt()
    loop.bury()
    assert all(task.cancelled() for task in tasks)
    assert sorted(told) == ["a unwound", "b unwound", "c unwound", "parent unwound"]
    assert loop.is_closed()
    assert not loop.is_running()
    assert timeline.now == 0.0


def test_a_burial_ends_a_task_that_swallows_its_cancellation_once(timeline, loop):
    told = []

    async def stubborn():
        for attempt in range(2):
            try:
                await asyncio.sleep(HOUR)
            except asyncio.CancelledError:
                told.append(f"cancelled {attempt}")
        await asyncio.sleep(HOUR)

    task = loop.create_task(stubborn())
    timeline.run(lambda: not loop.ready)
    loop.bury()
    assert task.cancelled()
    assert told == ["cancelled 0", "cancelled 1"]


def test_a_burial_leaves_behind_whoever_never_ends(timeline, loop, monkeypatch):
    monkeypatch.setattr(virtual_loop, "BURIAL_ROUNDS_MAX", 20)
    told = []

    async def immortal():
        while True:
            try:
                await asyncio.sleep(HOUR)
            except asyncio.CancelledError:
                told.append("cancelled")

    task = loop.create_task(immortal())
    timeline.run(lambda: not loop.ready)
    loop.bury()
    assert len(told) == 20
    assert not task.done()
    assert loop.is_closed()


def test_a_burial_waits_for_no_timer(timeline, loop):
    told = []
    loop.call_later(1, told.append, "timer")
    loop.bury()
    assert not timeline.run(never)
    assert told == []


def test_nothing_reaches_a_buried_loop(timeline, loop):
    told = []
    loop.bury()
    loop.bury()
    loop.call_soon(told.append, "late")
    loop.call_later(1, told.append, "later")
    timeline.run(never)
    assert (told, timeline.now) == ([], 0.0)
    assert not loop.ready


def test_a_loop_that_buries_another_goes_on(timeline):
    """As the outside of a world does with a process that has died."""
    told = []
    outer, dead = timeline.loop(), timeline.loop()

    async def left():
        try:
            await asyncio.sleep(HOUR)
        finally:
            told.append(asyncio.get_running_loop() is dead)

    async def other():
        await asyncio.sleep(1)
        told.append(asyncio.get_running_loop() is outer)

    dead.create_task(left())
    timeline.run(lambda: not dead.ready)
    outer.call_soon(dead.bury)
    outer.call_soon(lambda: outer.create_task(other()))
    outer.call_soon(lambda: told.append(asyncio.get_running_loop() is outer))
    timeline.run(never)
    assert told == [True, True, True]


# --- async generators ---


async def numbers(told):
    try:
        for number in range(10):
            yield number
            await asyncio.sleep(1)
    finally:
        await asyncio.sleep(0)
        told.append("closed")


def test_an_async_generator_left_behind_is_closed():
    told = []

    async def main():
        async for number in numbers(told):
            if number == 2:
                break
        gc.collect()
        await asyncio.sleep(1)
        return list(told)

    assert run(main()) == ["closed"]


def test_a_burial_closes_async_generators_too(timeline, loop):
    told = []

    async def main():
        async for _ in numbers(told):
            pass

    loop.create_task(main())
    timeline.run(lambda: timeline.now >= 3, seconds_max=3)
    loop.bury()
    gc.collect()
    assert told == ["closed"]


def test_an_async_generator_that_outlives_its_loop_is_left_alone(timeline, loop):
    told, kept = [], []

    async def main():
        generator = numbers(told)
        kept.append(generator)
        await anext(generator)

    task = loop.create_task(main())
    assert timeline.run(task.done)
    loop.bury()
    kept.clear()
    gc.collect()
    assert told == []
    assert asyncio.all_tasks(loop) == set()


def test_the_hooks_for_async_generators_are_put_back(timeline, loop):
    before = sys.get_asyncgen_hooks()
    inside = []
    loop.call_soon(lambda: inside.append(sys.get_asyncgen_hooks()))
    timeline.run(never)
    assert sys.get_asyncgen_hooks() == before != inside[0]


# --- what never comes ---


def test_a_circle_at_one_moment_is_noticed(timeline, loop):
    rounds = []

    async def spin():
        while True:
            rounds.append(timeline.now)
            await asyncio.sleep(0)

    loop.call_later(5, lambda: loop.create_task(spin()))
    assert timeline.run(never) is False
    assert ROUNDS_AT_ONCE_MAX - 5 <= len(rounds) <= ROUNDS_AT_ONCE_MAX + 5
    assert 60 < timeline.now < 600, "time has passed, so that a timeout would have come"
    loop.bury()


def test_many_rounds_are_no_circle_while_time_passes():
    async def main():
        for _ in range(3 * ROUNDS_AT_ONCE_MAX // 1_000):
            for _ in range(1_000):
                await asyncio.sleep(0)
            await asyncio.sleep(1e-6)
        return True

    assert run(main())


def test_waiting_for_ever_breaks_a_promise():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(BrokenPromise, match="would wait for ever"):
        run(main())


def test_run_gives_what_it_ran():
    async def good():
        return 7

    async def bad():
        raise ValueError("bad")

    assert run(good(), Random(1)) == 7
    with pytest.raises(ValueError, match="bad"):
        run(bad())


def test_run_ends_what_was_left_running():
    told = []

    async def left():
        try:
            await asyncio.sleep(HOUR)
        finally:
            told.append("unwound")

    async def main():
        asyncio.get_running_loop().create_task(left())
        await asyncio.sleep(1)

    run(main())
    assert told == ["unwound"]


# --- what leaves virtual time ---


def blocking():
    raise AssertionError("it was called")


REAL = {
    "a thread": [
        lambda: asyncio.to_thread(blocking),
        lambda: asyncio.get_running_loop().run_in_executor(None, blocking),
    ],
    "the network": [
        lambda: asyncio.open_connection("example.org", 80),
        lambda: asyncio.start_server(blocking, "127.0.0.1", 0),
        lambda: asyncio.open_unix_connection("socket"),
        lambda: asyncio.start_unix_server(blocking, "socket"),
        lambda: asyncio.get_running_loop().getaddrinfo("example.org", 80),
        lambda: asyncio.get_running_loop().getnameinfo(("127.0.0.1", 80)),
        lambda: asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol),
        lambda: asyncio.get_running_loop().sock_connect(None, ("127.0.0.1", 80)),
    ],
    "another process": [
        lambda: asyncio.create_subprocess_exec("true"),
        lambda: asyncio.create_subprocess_shell("true"),
    ],
}


@pytest.mark.parametrize(("what", "use"), [(what, use) for what, uses in REAL.items() for use in uses])
def test_what_leaves_virtual_time_is_refused(what, use):
    async def main():
        await use()

    with pytest.raises(AgentRefused) as raised:
        run(main())
    assert raised.value.message.startswith(f"an agent in simulated time can't use {what}")
    assert raised.value.fix == "give it a fake in the simulation"
    gc.collect()


# --- complaints ---


def test_what_a_callback_raises_is_kept_and_the_rest_goes_on(timeline, loop):
    told = []
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(told.append, "next")
    timeline.run(never)
    assert told == ["next"]
    assert [type(complaint["exception"]) for complaint in loop.complaints] == [ZeroDivisionError]


def test_what_nobody_asked_a_task_about_is_kept(timeline, loop):
    async def bad():
        raise ValueError("nobody looks")

    task = loop.create_task(bad())
    timeline.run(never)
    del task
    gc.collect()
    assert [str(complaint["exception"]) for complaint in loop.complaints] == ["nobody looks"]


# --- asyncio's own tools ---


def test_gather_waits_for_the_slowest():
    async def nap(pause):
        await asyncio.sleep(pause)
        return pause

    async def main():
        return await asyncio.gather(nap(3), nap(1), nap(2)), seconds()

    assert run(main()) == ([3, 1, 2], 3.0)


def test_a_timeout_ends_what_takes_too_long():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(HOUR)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(HOUR), 5)
        async with asyncio.timeout(HOUR):
            await asyncio.sleep(1)
        return seconds()

    assert run(main()) == 11.0


def test_wait_with_a_timeout_tells_what_is_done():
    async def main():
        loop = asyncio.get_running_loop()
        quick, slow = loop.create_task(asyncio.sleep(1)), loop.create_task(asyncio.sleep(10))
        done, pending = await asyncio.wait([quick, slow], timeout=5)
        return done == {quick}, pending == {slow}, seconds()

    assert run(main()) == (True, True, 5.0)


def test_a_queue_hands_over_in_order():
    async def main():
        queue, got = asyncio.Queue(maxsize=1), []

        async def give():
            for number in range(3):
                await queue.put(number)
                await asyncio.sleep(1)

        async def take():
            for _ in range(3):
                item = await queue.get()
                got.append((item, seconds()))

        await asyncio.gather(take(), give())
        return got

    assert run(main()) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_an_event_wakes_all_who_wait():
    async def main():
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(4, event.set)
        await asyncio.gather(event.wait(), event.wait())
        return seconds()

    assert run(main()) == 4.0


def test_a_semaphore_lets_in_so_many_at_once():
    async def main():
        room = asyncio.Semaphore(2)

        async def work():
            async with room:
                await asyncio.sleep(1)

        await asyncio.gather(*[work() for _ in range(6)])
        return seconds()

    assert run(main()) == 3.0


def test_a_task_group_ends_together():
    async def main():
        with pytest.raises(ExceptionGroup) as raised:
            await together()
        return str(raised.value.exceptions[0]), seconds()

    async def together():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(HOUR))
            group.create_task(bad())

    async def bad():
        await asyncio.sleep(1)
        raise ValueError("one of them")

    assert run(main()) == ("one of them", 1.0)


def test_it_answers_what_libraries_ask_a_loop():
    async def main():
        loop = asyncio.get_running_loop()
        task = loop.create_task(asyncio.sleep(0), name="mine")
        return loop.get_debug(), loop.is_running(), loop.is_closed(), loop.get_task_factory(), task.get_name()

    assert run(main()) == (False, True, False, None, "mine")
